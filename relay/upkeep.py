"""Prunes history in small bites, and measures what waits; it changes nothing that is shown and holds up nobody."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog
from sqlalchemy import Connection

from relay.config.values import Configuration
from relay.core.event import Instant, Severity, Source
from relay.observe.metrics import Metrics
from relay.storage import delivery, lists, tally
from relay.storage.engine import Database, is_outage
from relay.storage.promise import NotWritten, Promises
from relay.storage.prune import prune

log = structlog.get_logger(__name__)

PRUNE_EVERY: Final = 60.0
MEASURE_EVERY: Final = 5.0
TALLY_EVERY: Final = 60.0
CAP: Final = 10_000
"""Where counting stops: no gauge costs more in a storm."""
BREATH: Final = 0.2
"""Seconds between two bites, so that deliveries go first."""


async def prune_history(
    writer: Promises, configuration: Callable[[], Configuration], clock: Callable[[], Instant]
) -> None:
    """Bite after bite until nothing is older than it may be; then wait. Runs until cancelled."""
    while True:
        keep = configuration().history_keep
        try:
            bitten = await writer.transact(partial(prune, now=clock(), keep=keep))
        except NotWritten as error:
            log.warning("history waits", why=str(error))
            bitten = 0
        await asyncio.sleep(BREATH if bitten else PRUNE_EVERY)


async def keep_tally(writer: Promises, metrics: Metrics, clock: Callable[[], Instant]) -> None:
    """What was told since the last time is added to its hour, for `relay report`. Runs until cancelled; a crash loses a minute's."""
    kept: Mapping[str, int] = {}
    while True:
        await asyncio.sleep(TALLY_EVERY)
        told = metrics.told()
        more = {word: count - kept.get(word, 0) for word, count in told.items() if count > kept.get(word, 0)}
        if not more:
            continue
        try:
            await writer.transact(partial(tally.add, now=clock(), more=more))
        except NotWritten as error:
            log.warning("tally waits", why=str(error))
        else:
            kept = told


@dataclass(frozen=True, slots=True)
class _Measured:
    """One look at the database."""

    counts: lists.Counts
    waiting: Mapping[str, int]
    oldest: Mapping[str, Instant]
    parked: Mapping[str, int]
    silent: Mapping[Source, int]


def _look(connection: Connection, now: Instant, channels: Iterable[str]) -> _Measured:
    return _Measured(
        lists.counts(connection, now, CAP),
        {name: delivery.due_count(connection, name, now, CAP) for name in channels},
        dict(delivery.channels_due(connection, now)),
        Counter(posting.channel for posting in lists.parked_postings(connection, CAP)),
        lists.silent_heartbeats(connection),
    )


async def measure(
    database: Database, metrics: Metrics, names: Callable[[], Iterable[str]], clock: Callable[[], Instant]
) -> None:
    """Set the gauges of what is open, what waits and what is overdue. Runs until cancelled."""
    known: set[str] = set()
    while True:
        now, channels = clock(), set(names())
        for name in known - channels:
            metrics.forget(name)
        known = channels
        try:
            seen = await database.read(partial(_look, now=now, channels=channels))
        except Exception as error:
            if not is_outage(error):
                raise
        else:
            _tell(metrics, seen, now)
        await asyncio.sleep(MEASURE_EVERY)


def _tell(metrics: Metrics, seen: _Measured, now: Instant) -> None:
    for severity in Severity:
        if severity is not Severity.NONE:
            metrics.open_incidents.labels(severity.word).set(seen.counts.open.get(severity, 0))
    for name, waiting in seen.waiting.items():
        metrics.due.labels(name).set(waiting)
        metrics.oldest_due_seconds.labels(name).set(max(0.0, now - seen.oldest.get(name, now)))
        metrics.parked.labels(name).set(seen.parked.get(name, 0))
    for source in Source:
        metrics.silent_heartbeats.labels(source.value).set(seen.silent.get(source, 0))
