"""The one door for changes: everything waiting is applied in one transaction and answered after its commit, never before.

A batch costs a fixed number of statements whatever its size. A batch that raises is applied again one delivery at a time, so that one
poisonous delivery harms nobody else; only a database that is away fails them all. What it remembers between transactions (`memory`) may
be lost.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from types import MappingProxyType
from typing import Any, Final, TypeVar, cast

import structlog
from sqlalchemy import Connection

from relay.core import joining, news
from relay.core.event import Event, Instant, Source
from relay.core.incident import Reason
from relay.core.known import Known, Wanted
from relay.core.policy import Policy
from relay.observe.logs import fault
from relay.observe.metrics import Metrics
from relay.storage import ledger, meta
from relay.storage.engine import Database, is_outage
from relay.storage.promise import BATCH, Memory, Poison, Stopping, StorageAway

T = TypeVar("T")
log = structlog.get_logger(__name__)

APART: Final = 0.005
"""Seconds from the beginning of a small transaction to the next one, at least: what a commit's own cost is spread over."""
SMALL: Final = 8
"""Deliveries; fewer make a small transaction."""
NOBODY: Final[Mapping[str, Instant]] = MappingProxyType({})


def applied(
    connection: Connection,
    deliveries: Sequence[Sequence[Event]],
    policy: Policy,
    awake_since: Instant,
    first_heard: Mapping[str, Instant] = NOBODY,
) -> tuple[Known, list[list[tuple[Event, Reason]]]]:
    """Each delivery taken, in one transaction: all keys loaded at once, applied in memory, each table written once.

    Returns what is known then, and what became of each Event.
    """
    known = ledger.load(connection, Wanted.of((event for events in deliveries for event in events), policy))
    known.awake_since, known.first_heard = awake_since, first_heard
    told = []
    for events in deliveries:
        reasons = [(event, joining.take(known, event, policy)) for event in events]
        news.learn(known, reasons)
        told.append(reasons)
    ledger.save(connection, known)
    return known, told


@dataclass(slots=True, eq=False)
class _Item:
    """Events to apply, or work to do in the same transaction; and who waits for the commit."""

    done: asyncio.Future[Any]
    events: Sequence[Event] = ()
    work: Callable[[Connection], Any] | None = None
    result: Any = None
    reasons: list[tuple[Event, Reason]] = field(default_factory=list)


class Writer:
    """Serial by construction: one task, one transaction at a time. `changed` is called after each commit that changed what is wanted."""

    def __init__(
        self,
        database: Database,
        policy: Callable[[], Policy],
        clock: Callable[[], Instant],
        metrics: Metrics,
    ) -> None:
        self._database = database
        self._policy = policy
        self._clock = clock
        self._metrics = metrics
        self.changed: Callable[[], None] = lambda: None
        self._waiting: deque[_Item] = deque()
        self._arrived = asyncio.Event()
        self._closed = False
        self._stopping = False
        self._running = asyncio.Event()
        self.memory = Memory()

    @property
    def ready(self) -> bool:
        """Whether a delivery would be taken now: running, not stopping, and the database answered last time."""
        return self._running.is_set() and not self._closed and not self.memory.away

    @property
    def stopping(self) -> bool:
        return self._closed

    async def started(self) -> None:
        """Returns once deliveries are taken."""
        await self._running.wait()

    async def submit(self, events: Sequence[Event]) -> None:
        """Returns once all `events` are committed. Raises StorageAway or Stopping (nothing promised), or Poison."""
        for start in range(0, len(events), BATCH):
            told = self._future()
            self.offer(events[start : start + BATCH], told, None)
            await told

    def offer(self, events: Sequence[Event], told: asyncio.Future[T], answer: T) -> None:
        """Commit these, at most `BATCH` of them, with what else waits: `told` gets `answer` then, or what `submit` raises.

        Raises Stopping. Whoever has many deliveries in hand needs no task for each.
        """
        self._enqueue(_Item(told, events=events, result=answer))

    async def transact(self, work: Callable[[Connection], T]) -> T:
        """Do `work` in the next transaction; returns its result after the commit. Raises StorageAway, or what `work` raises."""
        told = self._future()
        self._enqueue(_Item(told, work=work))
        return cast("T", await told)

    def close(self) -> None:
        """Take no more deliveries; what is known to be wanted can still be recorded."""
        self._closed = True

    def stop(self) -> None:
        """Take nothing more; what waits is still committed, then `run` returns."""
        self._closed = self._stopping = True
        self._arrived.set()

    async def run(self) -> None:
        """Commit batch after batch until stopped. Only a bug ends it otherwise, and then the process should end too."""
        self._running.set()
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                while self._waiting:
                    began, batch = monotonic(), self._next_batch()
                    await self._commit(batch)
                    if len(batch) < SMALL and not self._stopping:
                        # A stream of single events shares its transactions; a single one never waits, nor does a storm.
                        await asyncio.sleep(began + APART - monotonic())
                if self._stopping:
                    return
        finally:
            self._running.clear()
            self._fail(self._waiting, Stopping("the relay is stopping"))
            self._waiting.clear()

    # --- inside ---------------------------------------------------------------------------------------------------------

    def _future(self) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().create_future()

    def _enqueue(self, item: _Item) -> None:
        if not self._running.is_set() or self._stopping or (self._closed and item.events):
            raise Stopping("the relay is stopping")
        self._waiting.append(item)
        self._arrived.set()

    def _next_batch(self) -> list[_Item]:
        batch: list[_Item] = []
        room = BATCH
        while self._waiting and (not batch or len(self._waiting[0].events) <= room):
            item = self._waiting.popleft()
            if not item.done.cancelled():
                batch.append(item)
                room -= len(item.events) or 1
        return batch

    async def _commit(self, batch: list[_Item]) -> None:
        """One transaction; where it raises, each delivery in one of its own."""
        if not batch:
            return
        try:
            await self._transaction(batch)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is this batch's
            if is_outage(error):
                self.memory.away = True
                log.error("database away", why=type(error).__name__, waiting=len(batch))  # noqa: TRY400  # as below
                self._fail(batch, StorageAway("the database is away"))
                return
            if len(batch) > 1:
                log.warning("batch raised, applying one by one", why=type(error).__name__, deliveries=len(batch))
                for item in batch:
                    await self._commit([item])
                return
            self._fail(batch, error if batch[0].work else Poison(type(error).__name__))
            if not batch[0].work:
                log.error("delivery cannot be applied", **fault(error))  # noqa: TRY400  # its text may hold the delivery's

    async def _transaction(self, batch: list[_Item]) -> None:
        policy = self._policy()
        with self._metrics.commit_seconds.time():
            await self._database.run(lambda connection: self._write(connection, batch, policy), exclusive=True)
        self.memory.away = False
        told: Counter[tuple[str, str]] = Counter()
        for item in batch:
            if not item.done.cancelled():
                item.done.set_result(item.result)
            told.update((event.source._value_, reason._value_) for event, reason in item.reasons)
        for labels, events in told.items():
            self._metrics.events.labels(*labels).inc(events)
        if told:
            self._metrics.batch_events.observe(told.total())
            self.changed()

    def _write(self, connection: Connection, batch: Iterable[_Item], policy: Policy) -> None:
        """All deliveries at once, then the work that shares their transaction."""
        deliveries = [item for item in batch if item.events]
        if deliveries:
            first = self._first(connection, [item.events[0] for item in deliveries])
            known, told = applied(
                connection, [item.events for item in deliveries], policy, self.memory.awake_since, first
            )
            for item, reasons in zip(deliveries, told, strict=True):
                item.reasons = reasons
                self.memory.heard[item.events[0].sender] = item.events[0].received_at
            self.memory.twins.update(known.twins)
        for item in batch:
            if item.work is not None:
                item.result = item.work(connection)

    def _first(self, connection: Connection, events: Iterable[Event]) -> Mapping[str, Instant]:
        """When each sender was first heard; of one that is heard now for the first time it is written down."""
        fresh: dict[str, Instant] = {}
        for event in events:
            if event.source is Source.RELAY or event.sender in self.memory.first_heard or event.sender in fresh:
                continue
            if (known := meta.get_meta(connection, meta.FIRST + event.sender)) is not None:
                self.memory.first_heard[event.sender] = float(known)  # Only what is committed is remembered.
            else:
                meta.set_meta(connection, meta.FIRST + event.sender, repr(event.received_at))
                fresh[event.sender] = event.received_at
        return {**self.memory.first_heard, **fresh} if fresh else self.memory.first_heard

    @staticmethod
    def _fail(items: Iterable[_Item], error: Exception) -> None:
        for item in items:
            if not item.done.done():
                item.done.set_exception(error)
