"""Prunes history in small bites, and measures what waits; it changes nothing that is shown and holds up nobody."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

import structlog
from sqlalchemy import Connection

from relay.config.values import Configuration
from relay.core.event import Instant, Severity
from relay.observe.metrics import Metrics
from relay.storage import delivery, lists
from relay.storage.engine import Database, is_outage
from relay.storage.promise import NotWritten, Promises
from relay.storage.prune import prune

log = structlog.get_logger(__name__)

PRUNE_EVERY: Final = 60.0
MEASURE_EVERY: Final = 5.0
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


def _counted(
    connection: Connection, now: Instant, channels: Iterable[str]
) -> tuple[lists.Counts, dict[str, int], Counter[str]]:
    waiting = {name: delivery.due_count(connection, name, now, CAP) for name in channels}
    return (
        lists.counts(connection, now, CAP),
        waiting,
        Counter(p.channel for p in lists.parked_postings(connection, CAP)),
    )


async def measure(
    database: Database, metrics: Metrics, names: Callable[[], Iterable[str]], clock: Callable[[], Instant]
) -> None:
    """Set the gauges of what is open and what waits. Runs until cancelled."""
    while True:
        now = clock()
        try:
            counts, waiting, parked = await database.read(partial(_counted, now=now, channels=names()))
        except Exception as error:
            if not is_outage(error):
                raise
        else:
            for severity in Severity:
                if severity is not Severity.NONE:
                    metrics.open_incidents.labels(severity.word).set(counts.open.get(severity, 0))
            for name in waiting:
                metrics.due.labels(name).set(waiting[name])
                metrics.parked.labels(name).set(parked[name])
            metrics.oldest_due_seconds.set(max(0.0, now - counts.oldest_due) if counts.oldest_due is not None else 0.0)
        await asyncio.sleep(MEASURE_EVERY)
