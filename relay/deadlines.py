"""What no delivery brings comes at its time: what is held opens, what is silent turns grey, quiet ends, a new configuration takes hold.

It looks every few seconds, and at once when it is told to; each thing is done through the writer, in bites, and is decided there anew, so
that two replicas that look at once do it once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import structlog
from sqlalchemy import Connection

from relay import __version__
from relay.core import folding, heartbeats, hushing, joining, own
from relay.core.event import Instant, Source
from relay.core.known import Wanted
from relay.core.policy import Policy
from relay.core.quiet import Rules
from relay.core.routing import Route
from relay.storage import delivery, ledger, lists, meta
from relay.storage import quiet as quiets
from relay.storage.bulletins import BEGUN, HEARD, note_start
from relay.storage.engine import Database, is_outage
from relay.storage.promise import NotWritten, Promises

log = structlog.get_logger(__name__)

EVERY: Final = 5.0
"""Seconds between two looks, at most."""
BITE: Final = 256
"""Incidents or Signals that are looked after in one transaction, so that deliveries go in between."""
ALIVE: Final = 60.0
"""Seconds between two times that it is written down that the relay listens."""
TWINS_EVERY: Final = 3600.0
"""Seconds between two times that it is said that two clusters share a name."""


class Deadlines:
    """Looks for what is due. `looks` counts how often it has: whoever skips time waits for the next one."""

    def __init__(
        self, database: Database, writer: Promises, policy: Callable[[], Policy], clock: Callable[[], Instant]
    ) -> None:
        self._database = database
        self._writer = writer
        self._memory = writer.memory
        self._policy = policy
        self._clock = clock
        self._look = asyncio.Event()
        self.looks = 0
        self._said_alive: Instant = 0.0
        self._known_senders: set[str] = set()
        self._said_twins: dict[str, Instant] = {}

    async def run(self) -> None:
        """Apply what no delivery brings: held firings open, silent Incidents expire, a new policy routes again. Runs until cancelled."""
        routed: tuple[Route, ...] | None = None
        ruled: Rules | None = None
        heals = self._policy().heals
        while True:
            self._look.clear()
            try:
                if (
                    self._memory.away
                    or self._clock() - self._said_alive >= ALIVE
                    or not self._memory.heard.keys() <= self._known_senders
                ):
                    await self._writer.transact(self._say_alive)
                if (policy := self._policy()).routes is not routed:
                    await self._route_again()
                    routed = policy.routes
                if policy.heals is not heals:
                    await self._writer.transact(self._ask_again)
                    heals = policy.heals
                    self._writer.changed()
                while (
                    deadline := await self._database.read(ledger.next_deadline)
                ) is not None and deadline <= self._clock():
                    await self._writer.transact(self._apply_deadlines)
                    self._writer.changed()
                await self._follow_heartbeats()
                await self._say_twins()
                ruled = await self._follow_rules(ruled)
                while (end := await self._database.read(quiets.next_end)) is not None and end <= self._clock():
                    if not await self._writer.transact(self._end_quiet):
                        break
                    self._writer.changed()
            except NotWritten as error:
                log.warning("deadlines wait", why=str(error))
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("deadlines wait", why=type(error).__name__)
            self.looks += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._look.wait()

    def look(self) -> None:
        """The policy is another one, or time was skipped: a hint: it looks every few seconds anyway."""
        self._look.set()

    async def _route_again(self) -> None:
        """The configuration is new, at a start too: every open Incident is routed again, a batch at a time."""
        after = ""
        while incidents := await self._database.read(partial(lists.open_ids, after=after, limit=BITE)):
            await self._writer.transact(partial(self._reroute, incidents=incidents))
            after = incidents[-1]
        await self._writer.transact(
            lambda connection: delivery.leave_channels(connection, kept=self._policy().channels)
        )
        self._writer.changed()

    def _say_alive(self, connection: Connection) -> None:
        """The time is written down now and then; at a start it says how long nobody listened, which counts for no deadline."""
        now = self._clock()
        if self._said_alive == 0.0:
            self._memory.awake_since = now
            away = now - float(meta.get_meta(connection, "alive") or now)
            if away > ALIVE:
                ledger.slept(connection, away)
            note_start(connection, now, away, __version__)
            if meta.get_meta(connection, BEGUN) is None:
                meta.set_meta(connection, BEGUN, repr(now))
        heard, self._memory.heard = self._memory.heard, {}
        for sender, at in heard.items():
            meta.set_meta(connection, HEARD + sender, repr(at))
        meta.set_meta(connection, "alive", repr(now))
        self._said_alive = now
        self._known_senders |= heard.keys()

    def _ask_again(self, connection: Connection) -> None:
        """The trees are there, or others are: what was held because nobody knew what heals it is asked about again."""
        now, policy = self._clock(), self._policy()
        known = ledger.load(connection, Wanted(), incidents=lists.held_ids(connection, now, BITE))
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
            await self._writer.transact(partial(self._forget_heartbeats, names=gone))
        elif heartbeats.judged(beats, self._clock(), self._memory.awake_since, policy)[0]:
            await self._writer.transact(self._judge_heartbeats)
            self._writer.changed()

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
        changed, said = heartbeats.judged(beats, self._clock(), self._memory.awake_since, policy)
        known = ledger.load(connection, Wanted.of(said, policy))
        for beat in changed:
            known.put_heartbeat(beat)
        for event in said:
            joining.take(known, event, policy)
        ledger.save(connection, known)

    async def _say_twins(self) -> None:
        """Two clusters that share a name are spoken of as long as they do, once an hour."""
        now = self._clock()
        for cluster, what in self._memory.twins.items():
            if now - self._said_twins.get(cluster, -TWINS_EVERY) >= TWINS_EVERY:
                await self._writer.submit([own.twins(cluster, what, now, self._policy())])
                self._said_twins[cluster] = now
        self._memory.twins = {}

    async def _follow_rules(self, followed: Rules | None) -> Rules:
        """Quiet that was asked for or taken back, by whomever: what it is meant for falls quiet, or is told. Returns what holds."""
        now = self._clock()
        asked = (*await self._database.read(quiets.standing), *self._policy().quiet)
        holding = tuple(rule for rule in asked if rule.holds(now))
        if holding == followed:
            return holding
        await self._writer.transact(lambda connection: quiets.lapse(connection, [rule.key for rule in holding], now))
        after, sounded = "", set[str]()
        while set(holding) - set(followed or ()) and (
            incidents := await self._database.read(partial(lists.open_ids, after=after, limit=BITE))
        ):
            await self._writer.transact(partial(self._look_again, incidents=incidents, sounded=sounded))
            after = incidents[-1]
        self._writer.changed()
        return holding

    def _end_quiet(self, connection: Connection) -> int:
        """Rules and nights that are over, and what flaps no more: what is left is told. Returns how many Incidents."""
        now = self._clock()
        quiets.write_down_ends(connection, now)
        incidents = [*quiets.ended(connection, now, BITE), *quiets.calmed(connection, now, BITE)]
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

    def _apply_deadlines(self, connection: Connection) -> int:
        now, policy = self._clock(), self._policy()
        held = ledger.held_signals(connection, now, BITE)
        expired = ledger.expired_incidents(connection, now, BITE)
        wanted = Wanted.of((joining.as_event(signal, now) for signal in held), policy)
        for signal in ledger.firing_of(connection, [incident.id for incident in expired]):
            wanted.signals.add(signal.key)
            wanted.objects.add(signal.subject.key)
        tended = ledger.tended(connection, now)
        wanted.keys.update(tended.keys if tended else ())
        wanted.signals.update(tended.leads if tended else ())
        named = (*(incident.id for incident in expired), *(tended.ids if tended else ()))
        known = ledger.load(connection, wanted, incidents=named)
        known.awake_since, known.first_heard = self._memory.awake_since, self._memory.first_heard
        count = joining.release_held(known, held, now, policy) + joining.expire(known, expired, now, policy)
        if tended is not None:
            look = folding.gather if tended.goes_on else folding.tend
            look(known, tended.cause.id, tended.effects, tended.waits, now, policy, more=tended.more)
            count += len(tended.effects)
        ledger.save(connection, known)
        return count
