"""The door: nothing gets in unproven or too large, and 202 means stored."""

from __future__ import annotations

from typing import Protocol

from relay.storage.promise import Promises


class Accepts(Promises, Protocol):
    """What the door needs of the writer."""

    @property
    def ready(self) -> bool:
        """Whether a delivery would be taken now."""

    @property
    def stopping(self) -> bool:
        """Whether it takes nothing more because the relay stops."""
