"""The door: nothing gets in unproven or too large, and 202 means stored."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol, TypeVar

from relay.core.event import Event
from relay.storage.promise import Promises

T = TypeVar("T")


class Accepts(Promises, Protocol):
    """What the door needs of the writer."""

    @property
    def ready(self) -> bool:
        """Whether a delivery would be taken now."""

    @property
    def stopping(self) -> bool:
        """Whether it takes nothing more because the relay stops."""

    def offer(self, events: Sequence[Event], told: asyncio.Future[T], answer: T) -> None:
        """Apply at most `BATCH` events: `told` gets `answer` after the commit, or what `submit` would raise. Raises Stopping."""
