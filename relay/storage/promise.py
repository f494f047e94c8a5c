"""What the one door for changes promises to whoever needs it: when it returns it is committed, and when it raises nothing changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from relay.core.event import Event

T = TypeVar("T")


class NotWritten(Exception):  # noqa: N818  # a fact, not a fault
    """Nothing was written. The text is safe to answer with."""


class StorageAway(NotWritten):
    """The database is away; try again."""


class Stopping(NotWritten):
    """The relay is stopping; try again."""


class Poison(NotWritten):
    """This delivery raises by itself, and always will: it belongs into the rejects."""


class Promises(Protocol):
    """The writer, to those that stand beside it."""

    async def submit(self, events: Sequence[Event]) -> None:
        """Apply `events`. Raises StorageAway, Stopping or Poison."""

    async def transact(self, work: Callable[[Connection], T]) -> T:
        """Do `work` in the next transaction; what it returns, after the commit. Raises StorageAway, Stopping, or what `work` raises."""
