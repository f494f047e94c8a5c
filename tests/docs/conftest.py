"""The pages for people are read by what they promise: on the stage of `tests/path`."""

from tests.path.conftest import clock, place, standin

__all__ = ["clock", "place", "standin"]
