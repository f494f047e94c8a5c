"""What the one door for changes promises to whoever needs it: when it returns it is committed, and when it raises nothing changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from sqlalchemy import Connection

from relay.core.event import Event, Instant

T = TypeVar("T")

BATCH: Final = 256
"""Events in one transaction at most: what keeps a large delivery from making all others wait."""


class NotWritten(Exception):  # noqa: N818  # a fact, not a fault
    """Nothing was written. The text is safe to answer with."""


class StorageAway(NotWritten):
    """The database is away; try again."""


class Stopping(NotWritten):
    """The relay is stopping; try again."""


class Poison(NotWritten):
    """This delivery raises by itself, and always will: it belongs into the rejects."""


@dataclass(slots=True)
class Memory:
    """What is remembered between transactions; what of it matters is written down within a minute, and the rest is found again."""

    away: bool = False
    """Whether the database did not answer last time."""
    awake_since: Instant = 0.0
    """Since when the relay listens."""
    heard: dict[str, Instant] = field(default_factory=dict)
    """Senders, and when each was heard since that was last written down."""
    first_heard: dict[str, Instant] = field(default_factory=dict)
    twins: dict[str, str] = field(default_factory=dict)
    """Clusters whose name another one has too, each with an object that says so."""


class Promises(Protocol):
    """The writer, to those that stand beside it. `changed` is to be called where what is wanted may have changed."""

    memory: Memory
    changed: Callable[[], None]

    async def submit(self, events: Sequence[Event]) -> None:
        """Apply `events`. Raises StorageAway, Stopping or Poison."""

    async def transact(self, work: Callable[[Connection], T]) -> T:
        """Do `work` in the next transaction; what it returns, after the commit. Raises StorageAway, Stopping, or what `work` raises."""
