"""`relay rejects` shows what could not be read, and takes it once more: what is accepted is applied as any delivery is, and kept no longer.

One transaction for each, beside a relay that runs: none is applied and kept, none is gone and not applied.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from relay.config.edges import load_edges
from relay.config.live import composed
from relay.config.model import suggestion
from relay.config.values import Configuration, SourceSettings
from relay.core.event import Event, Instant
from relay.core.policy import Policy
from relay.core.wording import duration, plural
from relay.sources import PARSERS, Delivered
from relay.storage.engine import Database, is_outage
from relay.storage.promise import BATCH
from relay.storage.rejects import Reject, delete_reject, get_reject, list_rejects
from relay.tools import listing
from relay.tools.check import library_of
from relay.tools.terminal import Ink, Line, RefusedError, clean, columns, table, wrapped
from relay.writer import applied

# --- relay rejects ------------------------------------------------------------------------------------------------------


def told(found: Sequence[Reject], now: Instant) -> Iterator[Line | str]:
    """Newest first: when, who, how long, why, and the cure."""
    if not found:
        yield "Nothing was rejected."
        return
    cells = table([[str(one.id), f"{duration(now - one.at)} ago", one.sender, size(one.size)] for one in found])
    for one, (number, ago, sender, length) in zip(found, cells, strict=True):
        yield [(Ink.BOLD, number), (Ink.DIM, ago), sender, length]
        said = f"{one.why}; {one.cure}" if one.cure else one.why
        yield from (f"{'':<{len(number)}}{row}" for row in wrapped(said, columns() - len(number)))
    yield [(Ink.DIM, "relay rejects show ID prints one as it came, relay rejects replay ID takes it once more")]


def size(count: int) -> str:
    """`812 B`, `14 KiB`."""
    return f"{count} B" if count < 1024 else f"{count // 1024} KiB"


def as_json(found: Sequence[Reject]) -> list[dict[str, Any]]:
    """For programs: instants are seconds since the epoch, sizes bytes."""
    return [
        {
            "id": one.id,
            "at": one.at,
            "source": one.source,
            "sender": one.sender,
            "why": one.why,
            "cure": one.cure or None,
            "size": one.size,
        }
        for one in found
    ]


def write(env: Mapping[str, str], number: int) -> None:
    """One body to standard output: byte for byte, but to a terminal without what it would obey. Raises RefusedError."""
    found = listing.looked_up(env, lambda connection: get_reject(connection, number))
    if found is None:
        raise RefusedError(f"There is no reject {number}: relay rejects lists them.")
    _, body = found
    if sys.stdout.isatty():
        sys.stdout.write(clean(body.decode("utf-8", "replace")) + "\n")
    else:
        sys.stdout.buffer.write(body)
    sys.stdout.flush()


# --- relay rejects replay -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of one: how many Events were applied, or why it stays."""

    number: int
    events: int = 0
    why: str = ""

    @property
    def accepted(self) -> bool:
        return not self.why


def replay(
    env: Mapping[str, str], config: Path | None, numbers: Sequence[int], now: Instant, *, source: str | None = None
) -> list[Replayed]:
    """Take these once more, or all, oldest first; as what `source` sends where that is given. Raises RefusedError, ConfigError, TreeError.

    Our time is that of the replay, as if each had been sent again now.
    """
    configuration = listing.configured(config, env)
    edges = load_edges(configuration.edges_folder)
    policy = composed(configuration.policy, library_of(config, env, None), edges)
    return asyncio.run(_replay(env, _Again(configuration, policy, now, source), numbers))


async def _replay(env: Mapping[str, str], again: _Again, numbers: Sequence[int]) -> list[Replayed]:
    async with listing.opened(env) as database:
        chosen = numbers or [one.id for one in reversed(await database.read(list_rejects))]
        return [await again.take(database, number) for number in chosen]


@dataclass(frozen=True, slots=True)
class _Again:
    """What decides about a replay."""

    configuration: Configuration
    policy: Policy
    now: Instant
    source: str | None

    async def take(self, database: Database, number: int) -> Replayed:
        """One of them: read, parsed, and applied and forgotten in one transaction."""
        found = await database.read(lambda connection: get_reject(connection, number))
        if found is None:
            raise RefusedError(f"There is no reject {number}: relay rejects lists them.")
        events = self._parsed(*found)
        if isinstance(events, str):
            return Replayed(number, why=events)
        try:
            done = await database.run(lambda connection: self._apply(connection, number, events), exclusive=True)
        except Exception as error:
            if is_outage(error):
                raise
            return Replayed(number, why=f"it cannot be applied ({type(error).__name__}): a bug of the relay")
        return Replayed(number, len(events)) if done else Replayed(number, why="somebody else took it meanwhile")

    def _parsed(self, reject: Reject, body: bytes) -> Sequence[Event] | str:
        """Its Events, or why there are none."""
        settings = self._settings(reject)
        if isinstance(settings, str):
            return settings
        try:
            parsed = PARSERS[settings.kind](body, settings.policy, self.policy, self.now)
        except Exception as error:  # noqa: BLE001  # As at the door: no body ends it.
            return f"the parser fails at it ({type(error).__name__}): a bug of the relay"
        if isinstance(parsed, Delivered):
            return parsed.events
        cure = getattr(parsed, "cure", "")
        return f"{parsed.why}; {cure}" if cure else parsed.why

    def _settings(self, reject: Reject) -> SourceSettings | str:
        name = self.source or reject.sender
        sources = {one.name: one for one in self.configuration.sources}
        if name in sources:
            return sources[name]
        if self.source is not None:
            others = suggestion(name, sources) or f": there is {', '.join(sources)}"
            raise RefusedError(f"there is no source {clean(name)[:30]}{others}")
        return f"no source is called {name} any more: --as NAME takes it as another's"

    def _apply(self, connection: Connection, number: int, events: Sequence[Event]) -> bool:
        """As the writer applies a delivery; False where it is gone. What comes so late teaches no sender's rhythm, hence `now`."""
        there = delete_reject(connection, number)
        for start in range(0, len(events) if there else 0, BATCH):
            applied(connection, [events[start : start + BATCH]], self.policy, self.now)
        return there


def told_replayed(found: Sequence[Replayed]) -> Iterator[Line | str]:
    """A line for each, and what stays."""
    if not found:
        yield "Nothing was rejected."
        return
    for one, (number, _) in zip(found, table([[str(one.number), ""] for one in found]), strict=True):
        if one.accepted:
            yield [(Ink.BOLD, number), (Ink.GREEN, f"accepted: {plural(one.events, 'event')}")]
        else:
            rows = wrapped(f"stays: {one.why}", columns() - len(number))
            yield [(Ink.BOLD, number), rows[0]]
            yield from (f"{'':<{len(number)}}{row}" for row in rows[1:])
