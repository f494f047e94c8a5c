"""The one door for changes: everything waiting is applied in one transaction and answered after its commit, never before.

A batch costs a fixed number of statements whatever its size. A batch that raises is applied again one delivery at a time, so that one
poisonous delivery harms nobody else; only a database that is away fails them all. What it remembers between transactions may be lost:
who was heard since it was last written down, and since when it listens.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from types import MappingProxyType
from typing import Any, Final, TypeVar, cast

import structlog
from sqlalchemy import Connection

from relay import __version__
from relay.core import folding, heartbeats, hushing, joining, news, own
from relay.core.event import Event, Instant, Source
from relay.core.incident import Reason
from relay.core.known import Known, Wanted
from relay.core.policy import Policy
from relay.core.quiet import Rules
from relay.core.routing import Route
from relay.observe.logs import fault
from relay.observe.metrics import Metrics
from relay.storage import delivery, ledger, lists, meta
from relay.storage import quiet as quiets
from relay.storage.bulletins import BEGUN, HEARD, note_start
from relay.storage.engine import Database, is_outage
from relay.storage.promise import NotWritten, Poison, Stopping, StorageAway

T = TypeVar("T")
log = structlog.get_logger(__name__)

BATCH: Final = 256
"""Events in one transaction at most: what keeps a large delivery from making all others wait."""
APART: Final = 0.005
"""Seconds from the beginning of a small transaction to the next one, at least: what a commit's own cost is spread over."""
SMALL: Final = 8
"""Deliveries; fewer make a small transaction."""
ALIVE: Final = 60.0
"""Seconds between two times that it is written down that the relay listens."""
TWINS_EVERY: Final = 3600.0
NOBODY: Final[Mapping[str, Instant]] = MappingProxyType({})
TICK: Final = 5.0
"""Seconds between two looks for a deadline, at most."""


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
        self._away = False
        self._look = asyncio.Event()
        self.looks = 0
        """How often `tick` has looked: whoever skips time waits for the next one."""
        self._awake_since: Instant = 0.0
        self._said_alive: Instant = 0.0
        self._heard: dict[str, Instant] = {}
        self._first_heard: dict[str, Instant] = {}
        self._known_senders: set[str] = set()
        self._twins: dict[str, str] = {}
        self._said_twins: dict[str, Instant] = {}

    @property
    def ready(self) -> bool:
        """Whether a delivery would be taken now: running, not stopping, and the database answered last time."""
        return self._running.is_set() and not self._closed and not self._away

    @property
    def stopping(self) -> bool:
        return self._closed

    async def started(self) -> None:
        """Returns once deliveries are taken."""
        await self._running.wait()

    async def submit(self, events: Sequence[Event]) -> None:
        """Returns once all `events` are committed. Raises StorageAway or Stopping (nothing promised), or Poison."""
        for start in range(0, len(events), BATCH):
            await self._enqueue(_Item(self._future(), events=events[start : start + BATCH]))

    async def transact(self, work: Callable[[Connection], T]) -> T:
        """Do `work` in the next transaction; returns its result after the commit. Raises StorageAway, or what `work` raises."""
        return cast("T", await self._enqueue(_Item(self._future(), work=work)))

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

    async def tick(self) -> None:
        """Apply what no delivery brings: held firings open, silent Incidents expire, a new policy routes again. Runs until cancelled."""
        routed: tuple[Route, ...] | None = None
        ruled: Rules | None = None
        heals = self._policy().heals
        while True:
            self._look.clear()
            try:
                if (
                    self._away
                    or self._clock() - self._said_alive >= ALIVE
                    or not self._heard.keys() <= self._known_senders
                ):
                    await self.transact(self._say_alive)
                if (policy := self._policy()).routes is not routed:
                    await self._route_again()
                    routed = policy.routes
                if policy.heals is not heals:
                    await self.transact(self._ask_again)
                    heals = policy.heals
                    self.changed()
                while (
                    deadline := await self._database.read(ledger.next_deadline)
                ) is not None and deadline <= self._clock():
                    await self.transact(self._apply_deadlines)
                    self.changed()
                await self._follow_heartbeats()
                await self._say_twins()
                ruled = await self._follow_rules(ruled)
                while (end := await self._database.read(quiets.next_end)) is not None and end <= self._clock():
                    if not await self.transact(self._end_quiet):
                        break
                    self.changed()
            except NotWritten as error:
                log.warning("deadlines wait", why=str(error))
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("deadlines wait", why=type(error).__name__)
            self.looks += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await self._look.wait()

    def look(self) -> None:
        """The policy is another one, or time was skipped: a hint to `tick`, which looks every few seconds anyway."""
        self._look.set()

    async def _route_again(self) -> None:
        """The configuration is new, at a start too: every open Incident is routed again, a batch at a time."""
        after = ""
        while incidents := await self._database.read(partial(lists.open_ids, after=after, limit=BATCH)):
            await self.transact(partial(self._reroute, incidents=incidents))
            after = incidents[-1]
        await self.transact(lambda connection: delivery.leave_channels(connection, kept=self._policy().channels))
        self.changed()

    def _say_alive(self, connection: Connection) -> None:
        """The time is written down now and then; at a start it says how long nobody listened, which counts for no deadline."""
        now = self._clock()
        if self._said_alive == 0.0:
            self._awake_since = now
            away = now - float(meta.get_meta(connection, "alive") or now)
            if away > ALIVE:
                ledger.slept(connection, away)
            note_start(connection, now, away, __version__)
            if meta.get_meta(connection, BEGUN) is None:
                meta.set_meta(connection, BEGUN, repr(now))
        heard, self._heard = self._heard, {}
        for sender, at in heard.items():
            meta.set_meta(connection, HEARD + sender, repr(at))
        meta.set_meta(connection, "alive", repr(now))
        self._said_alive = now
        self._known_senders |= heard.keys()

    def _ask_again(self, connection: Connection) -> None:
        """The trees are there, or others are: what was held because nobody knew what heals it is asked about again."""
        now, policy = self._clock(), self._policy()
        known = ledger.load(connection, Wanted(), incidents=lists.held_ids(connection, now, BATCH))
        for incident in list(known.incidents.values()):
            if incident.is_open:
                joining.ask_again(known, incident, delivery.members(connection, incident.id), now, policy)
        ledger.save(connection, known)

    def _reroute(self, connection: Connection, incidents: Sequence[str]) -> None:
        now, policy = self._clock(), self._policy()
        known = ledger.load(connection, Wanted(), incidents=incidents)
        for incident in list(known.incidents.values()):
            if incident.is_open:
                joining.reroute(known, incident, delivery.members(connection, incident.id), now, policy)
        ledger.save(connection, known)

    async def _follow_heartbeats(self) -> None:
        """What has fallen silent is said, and what beats again."""
        beats, policy = await self._database.read(ledger.all_heartbeats), self._policy()
        if gone := heartbeats.forgotten(beats, policy.heartbeats):
            await self.transact(partial(self._forget_heartbeats, names=gone))
        elif heartbeats.judged(beats, self._clock(), self._awake_since, policy)[0]:
            await self.transact(self._judge_heartbeats)
            self.changed()

    def _forget_heartbeats(self, connection: Connection, names: Sequence[str]) -> None:
        """Nobody expects them any more: what was said of their silence is over."""
        now, policy = self._clock(), self._policy()
        said = [own.heard_again(name, Source.ALERTMANAGER, now, policy) for name in names]
        known = ledger.load(connection, Wanted.of(said, policy))
        for event in said:
            joining.take(known, event, policy)
        ledger.save(connection, known)
        ledger.forget_heartbeats(connection, names)

    def _judge_heartbeats(self, connection: Connection) -> None:
        policy = self._policy()
        beats = ledger.all_heartbeats(connection)
        changed, said = heartbeats.judged(beats, self._clock(), self._awake_since, policy)
        known = ledger.load(connection, Wanted.of(said, policy))
        for beat in changed:
            known.put_heartbeat(beat)
        for event in said:
            joining.take(known, event, policy)
        ledger.save(connection, known)

    async def _say_twins(self) -> None:
        """Two clusters that share a name are spoken of as long as they do, once an hour."""
        now = self._clock()
        for cluster, what in self._twins.items():
            if now - self._said_twins.get(cluster, -TWINS_EVERY) >= TWINS_EVERY:
                await self.submit([own.twins(cluster, what, now, self._policy())])
                self._said_twins[cluster] = now
        self._twins = {}

    async def _follow_rules(self, followed: Rules | None) -> Rules:
        """Quiet that was asked for or taken back, by whomever: what it is meant for falls quiet, or is told. Returns what holds."""
        now = self._clock()
        asked = (*await self._database.read(quiets.standing), *self._policy().quiet)
        holding = tuple(rule for rule in asked if rule.holds(now))
        if holding == followed:
            return holding
        await self.transact(lambda connection: quiets.lapse(connection, [rule.key for rule in holding], now))
        after, sounded = "", set[str]()
        while set(holding) - set(followed or ()) and (
            incidents := await self._database.read(partial(lists.open_ids, after=after, limit=BATCH))
        ):
            await self.transact(partial(self._look_again, incidents=incidents, sounded=sounded))
            after = incidents[-1]
        self.changed()
        return holding

    def _end_quiet(self, connection: Connection) -> int:
        """Rules and nights that are over, and what flaps no more: what is left is told. Returns how many Incidents."""
        now = self._clock()
        quiets.write_down_ends(connection, now)
        incidents = [*quiets.ended(connection, now, BATCH), *quiets.calmed(connection, now, BATCH)]
        self._look_again(connection, incidents, set())
        return len(incidents)

    def _look_again(self, connection: Connection, incidents: Sequence[str], sounded: set[str]) -> None:
        """What quiet makes of these Incidents now. `sounded` are the Channels that what is left has sounded in."""
        now, policy = self._clock(), self._policy()
        known = ledger.load(connection, Wanted(), incidents=incidents)
        hushing.calm(known, list(known.incidents.values()), now, policy)
        for incident in sorted(known.incidents.values(), key=lambda one: (-one.severity, one.opened_at)):
            members = delivery.members(connection, incident.id) if incident.is_open else ()
            hushing.look_again(known, incident, members, now, policy, sounded)
        ledger.save(connection, known)

    # --- inside ---------------------------------------------------------------------------------------------------------

    def _future(self) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().create_future()

    async def _enqueue(self, item: _Item) -> Any:  # noqa: ANN401  # typed by its callers
        if not self._running.is_set() or self._stopping or (self._closed and item.events):
            raise Stopping("the relay is stopping")
        self._waiting.append(item)
        self._arrived.set()
        return await item.done

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
                self._away = True
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
        self._away = False
        told: Counter[tuple[str, str]] = Counter()
        for item in batch:
            if not item.done.cancelled():
                item.done.set_result(item.result)
            told.update((event.source.value, reason.value) for event, reason in item.reasons)
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
            known, told = applied(connection, [item.events for item in deliveries], policy, self._awake_since, first)
            for item, reasons in zip(deliveries, told, strict=True):
                item.reasons = reasons
                self._heard[item.events[0].sender] = item.events[0].received_at
            self._twins.update(known.twins)
        for item in batch:
            if item.work is not None:
                item.result = item.work(connection)

    def _first(self, connection: Connection, events: Iterable[Event]) -> Mapping[str, Instant]:
        """When each sender was first heard; of one that is heard now for the first time it is written down."""
        fresh: dict[str, Instant] = {}
        for event in events:
            if event.source is Source.RELAY or event.sender in self._first_heard or event.sender in fresh:
                continue
            if (known := meta.get_meta(connection, meta.FIRST + event.sender)) is not None:
                self._first_heard[event.sender] = float(known)  # Only what is committed is remembered.
            else:
                meta.set_meta(connection, meta.FIRST + event.sender, repr(event.received_at))
                fresh[event.sender] = event.received_at
        return {**self._first_heard, **fresh} if fresh else self._first_heard

    def _apply_deadlines(self, connection: Connection) -> int:
        now, policy = self._clock(), self._policy()
        held = ledger.held_signals(connection, now, BATCH)
        expired = ledger.expired_incidents(connection, now, BATCH)
        wanted = Wanted.of((joining.as_event(signal, now) for signal in held), policy)
        for signal in ledger.firing_of(connection, [incident.id for incident in expired]):
            wanted.signals.add(signal.key)
            wanted.objects.add(signal.subject.key)
        tended = ledger.tended(connection, now)
        wanted.keys.update(tended.keys if tended else ())
        wanted.signals.update(tended.leads if tended else ())
        named = (*(incident.id for incident in expired), *(tended.ids if tended else ()))
        known = ledger.load(connection, wanted, incidents=named)
        known.awake_since, known.first_heard = self._awake_since, self._first_heard
        count = joining.release_held(known, held, now, policy) + joining.expire(known, expired, now, policy)
        if tended is not None:
            look = folding.gather if tended.goes_on else folding.tend
            look(known, tended.cause.id, tended.effects, tended.waits, now, policy, more=tended.more)
            count += len(tended.effects)
        ledger.save(connection, known)
        return count

    @staticmethod
    def _fail(items: Iterable[_Item], error: Exception) -> None:
        for item in items:
            if not item.done.done():
                item.done.set_exception(error)
