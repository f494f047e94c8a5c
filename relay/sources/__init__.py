"""Foreign shapes stop here: bytes become Events, cut and cleaned, or a clear refusal. A new source is one file and one line below."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from relay.core.event import Source
from relay.sources import alertmanager, flux
from relay.sources.delivered import Delivered, Parsed, Parser

__all__ = ["PARSERS", "Delivered", "Parsed", "Parser"]

PARSERS: Final[Mapping[Source, Parser]] = MappingProxyType(
    {
        Source.FLUX: flux.parse,
        Source.ALERTMANAGER: alertmanager.parse,
    }
)
"""Who may speak from outside, and who understands it. `relay` speaks from inside and needs no parser."""
