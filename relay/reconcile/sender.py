"""Before each request its attempt is committed, after it its outcome; what was asked is never asked again because it was not written down.

One task for each Channel, so that a webhook never has two requests in flight. A wake-up is a hint; looking is the truth.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Final, TypeVar
from uuid import uuid4

import structlog
from sqlalchemy import Connection

from relay.config.values import Configuration
from relay.core import own, pace, packing
from relay.core.event import Event, Instant, Severity
from relay.core.outcome import Outcome, RateInfo, Refused, Remedy, Sent, Unavailable, WebhookDead
from relay.core.pace import Route
from relay.core.packing import Choice
from relay.core.posting import Message
from relay.core.tree import Library
from relay.discord.client import DiscordClient, WebhookInfo
from relay.observe.logs import fault
from relay.observe.metrics import Metrics
from relay.reconcile import looking, recording
from relay.reconcile.bulletins import Bulletins
from relay.reconcile.line import Host, Line, Own, Place, Request, report
from relay.reconcile.looking import Look
from relay.reconcile.rendering import Renderer, UnrenderableError, Work
from relay.storage import delivery, lease, meta
from relay.storage.engine import Database, is_outage
from relay.storage.promise import NotWritten, Promises, StorageAway

T = TypeVar("T")
log = structlog.get_logger(__name__)

BREATH: Final = 0.1
"""Seconds between two looks that found nothing to send, at least."""
LOOK_EVERY: Final = 15.0
"""Seconds between two looks at the database when no wake-up came: a lost one costs at most this."""
WAITS: Final = "waits:"
"""Before a webhook's id: the wait that Discord told it last, for a relay that starts within it."""
JOINED: Final = "joined:"
"""Before a Discord channel's id: the mark that edits count among its new messages, as Discord once told us."""
RENEW_EVERY: Final = 4.0
"""Seconds between two renewals of the lease, and between two tries to take it."""
REOPENS: Final = 5.0
"""Seconds without an edit, in which a new message opens an archived thread."""
AWAY: Final = 2.0
"""Seconds between two tries while the database is away."""


class LeaseLostError(Exception):
    """Another replica took the lease while this one was late."""


class Reconciler:
    """Keeps one `Line` for each configured Channel. `run` ends when it is stopped or cancelled, or by a bug."""

    def __init__(
        self,
        database: Database,
        writer: Promises,
        client: DiscordClient,
        configuration: Callable[[], Configuration],
        library: Callable[[], Library],
        clock: Callable[[], Instant],
        metrics: Metrics,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._database = database
        self._writer = writer
        self._client = client
        self._configuration = configuration
        self._renderer = Renderer(database, configuration, library)
        self._bulletins = Bulletins(database, configuration, self._renderer.briefs, lambda: self.dead, metrics.refuses)
        self._clock = clock
        self._metrics = metrics
        self._dice = dice
        self._lines: dict[str, Line] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._places: dict[str, Place] = {}
        self._webhooks: dict[str, Own] = {}
        self._reloaded = asyncio.Event()
        self._host = Host()
        self._stopping = False
        self._holder = uuid4().hex
        self._holds = False

    def wake(self) -> None:
        """Something may be due."""
        for line in self._lines.values():
            line.wake.set()

    def reload(self) -> None:
        """The configuration changed: a Channel with a new webhook gets a new Line."""
        self._reloaded.set()

    def stop(self) -> None:
        """Start no further request."""
        self._stopping = True
        self._reloaded.set()
        self.wake()

    @property
    def dead(self) -> tuple[str, ...]:
        """The Channels whose webhook is gone."""
        return tuple(name for name, line in self._lines.items() if line.dead)

    async def run(self) -> None:
        """Keep every Channel while the lease is held, until `stop`; a request under way is finished and recorded first."""
        try:
            while not self._stopping:
                self._reloaded.clear()
                if await self._takes_lease():
                    await self._follow_configuration()
                else:
                    await self._leave()
                await self._watch()
            await self._leave()
            await self._let_go()
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _watch(self) -> None:
        """Returns when it is time to renew the lease, when the configuration is new, or when a Line ended; raises what ended it."""
        reloaded = asyncio.create_task(self._reloaded.wait())
        try:
            done, _ = await asyncio.wait(
                {reloaded, *self._tasks.values()}, timeout=RENEW_EVERY, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            reloaded.cancel()
        for task in done - {reloaded}:
            task.result()

    # --- the lease ------------------------------------------------------------------------------------------------------

    async def _takes_lease(self) -> bool:
        """Whether this replica is the one that sends; while the database is away, what it was."""
        try:
            held = await self._writer.transact(
                lambda c: lease.take(c, lease.SENDER, self._holder, force=self._database.alone)
            )
        except NotWritten as error:
            log.warning("lease not renewed", why=str(error))
            return self._holds
        if held != self._holds:
            log.info("this replica sends" if held else "another replica sends")
        self._holds = held
        return held

    async def _let_go(self) -> None:
        if self._holds:
            with suppress(NotWritten):
                await self._writer.transact(lambda c: lease.release(c, lease.SENDER, self._holder))

    async def _leave(self) -> None:
        """End every Line; a request under way is finished, and recorded if it may be."""
        for line in self._lines.values():
            line.leaving = True
            line.wake.set()
        await asyncio.gather(*self._tasks.values())
        self._tasks.clear()
        self._lines.clear()
        self._places.clear()
        self._webhooks.clear()

    async def _transact(self, work: Callable[[Connection], T]) -> T:
        """`work` in the writer's next transaction; raises LeaseLostError where another took the lease: who is late writes nothing."""

        def held(c: Connection) -> T:
            if not lease.holds(c, lease.SENDER, self._holder):
                raise LeaseLostError
            return work(c)

        return await self._writer.transact(held)

    async def _follow_configuration(self) -> None:
        """End the Lines of what is no longer configured or has another webhook now, keep the others, start what is new."""
        wanted = {settings.name: settings.webhook() for settings in self._configuration().channels}
        for name, line in list(self._lines.items()):
            if wanted.get(name) == line.webhook and not line.leaving:
                continue
            line.leaving = True
            line.wake.set()
            await self._tasks.pop(name)
            del self._lines[name]
        for name in wanted.keys() - self._lines.keys():
            line = self._lines[name] = Line(
                name, wanted[name], self._host, self._webhooks.setdefault(wanted[name].id, Own())
            )
            self._tasks[name] = asyncio.create_task(self._keep(line), name=f"channel {name}")

    # --- one Channel ----------------------------------------------------------------------------------------------------

    async def _keep(self, line: Line) -> None:
        """Look, send, look again."""
        while not (self._stopping or line.leaving):
            line.wake.clear()
            try:
                async with line.own.turn:
                    pause = await self._once(line)
            except LeaseLostError:
                log.warning("another replica sends: what came of the last request is not recorded", channel=line.name)
                line.leaving = True
                self._reloaded.set()
                return
            except NotWritten as error:
                log.warning("cannot record what is sent", channel=line.name, why=str(error))
                pause = AWAY
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("database away", channel=line.name, why=type(error).__name__)
                pause = AWAY
            if pause > 0:
                looked = monotonic()
                await _sleep_or(line.wake, pause)
                # A storm wakes with every commit, and each look costs a read: what may go, goes in the next breath.
                await asyncio.sleep(looked + BREATH - monotonic())

    async def _once(self, line: Line) -> float:
        """The next due thing of this Channel that may go now. Returns the seconds until there may be more to do."""
        now = self._clock()
        if line.dead:
            return await self._hand_over(line, now)
        edits = line.ready_at(Route.EDIT, now)
        if line.info is None:
            return edits - now if edits > now else await self._introduce(line)
        ready = min(edits, line.ready_at(Route.POST, now))
        if ready > now:
            return min(ready - now, LOOK_EVERY)
        policy = self._renderer.policy(line)
        look = await self._database.glance(lambda c: looking.look(c, line, policy, now))
        if look.stale:
            await self._transact(lambda c: recording.rescheduled(c, line, look.stale, policy, self._clock()))
            return 0.0
        choice = look.choose(line, now)
        if not choice.sends:
            if choice.reason is packing.Reason.NOTHING and (status := await self._bulletins.due(line, now)) is not None:
                await self._send(line, status)
                return 0.0
            return await self._until_next(line, choice, now)
        made = await self._prepared(line, choice, look, now)
        if not isinstance(made, Request):
            await self._transact(made)
        elif made.message is not None and made.message.digest == made.payload.digest and not made.tail:
            await self._recorded(lambda c: self._shown(c, line, made, None))
        elif (ready := line.ready_at(made.route, now)) > now and made.message is not None:
            await self._transact(partial(_put_off, message=made.message, until=line.slot(ready)))
        else:
            await self._send(line, made)
        return 0.0

    async def _until_next(self, line: Line, choice: Choice, now: Instant) -> float:
        """Seconds until something may be sent: what waits for its turn, or what is due later."""
        if choice.at is not None:
            return min(max(choice.at - now, 0.01), LOOK_EVERY)
        waiting = dict(await self._database.glance(delivery.channels_waiting))
        return min(max(waiting.get(line.name, now + LOOK_EVERY) - now, 0.01), LOOK_EVERY)

    async def _introduce(self, line: Line) -> float:
        """Ask Discord once where the webhook posts: a cheap probe, and what jump links and shared limits need."""
        if line.failures == 0:
            line.remember(await self._remembered(line.webhook.id), self._clock())
            line.recall(await self._database.glance(lambda c: meta.get_meta(c, WAITS + line.webhook.id)))
            if line.ready_at(Route.EDIT, self._clock()) > self._clock():
                return 0.0
        answer, info = await self._client.look(line.webhook.id, line.webhook.token)
        now = self._clock()
        match answer:
            case WebhookInfo():
                await self._moved_in(line, answer)
                return 0.0
            case WebhookDead(code=code):
                await self._bury(line, code)
                return LOOK_EVERY
            case _:
                log.info("Discord does not answer yet", channel=line.name, outcome=type(answer).__name__)
                line.pace = line.pace.told(Route.EDIT, answer, info, now)
                line.failures += 1
                again = now + pace.backoff(line.failures, self._dice())
                line.pace = line.pace.paused(Route.EDIT, again)
                return line.ready_at(Route.EDIT, now) - now

    async def _remembered(self, webhook: str) -> list[delivery.Attempt]:
        """The attempts of the last minutes, answered or not: a crash never sends a burst twice. Those of webhooks that left count too."""
        known = {line.webhook.id for line in self._lines.values()} - {webhook}
        attempts = await self._database.glance(lambda c: delivery.recent_attempts(c, self._clock() - pace.MEMORY))
        return [attempt for attempt in attempts if attempt.webhook not in known]

    async def _moved_in(self, line: Line, info: WebhookInfo) -> None:
        """The webhook is there: what stands where it cannot edit is shown anew, and whoever was told that it is gone is told otherwise."""
        policy, now = self._renderer.policy(line), self._clock()
        if moved := await self._transact(lambda c: recording.moved_in(c, line, policy, now)):
            log.info("another webhook: what is open is shown again", channel=line.name, incidents=moved)
        await self._tell(own.webhook_back(line.name, now, self._configuration().policy))
        joined = await self._database.glance(lambda c: meta.get_meta(c, JOINED + info.channel_id))
        line.place = self._places.setdefault(info.channel_id, Place())
        line.place.remember(line.remembered, joined=joined is not None)
        line.info = info
        line.failures = 0
        self._metrics.channel_up.labels(line.name).set(1)

    # --- deciding -------------------------------------------------------------------------------------------------------

    async def _prepared(self, line: Line, choice: Choice, look: Look, now: Instant) -> Request | Work:
        """What to send; where there is nothing to send, what to write down instead."""
        try:
            return await self._renderer.request(line, choice, look, now)
        except UnrenderableError as error:
            # One card that cannot be made holds up no other: it is tried more plainly, then parked.
            log.error("cannot be rendered", channel=line.name, **fault(error.reason))  # noqa: TRY400  # its text may hold the sender's
            return partial(recording.unrenderable, line=line, error=error, now=now)

    # --- sending and recording ------------------------------------------------------------------------------------------

    async def _send(self, line: Line, request: Request) -> None:
        """Where there still is room for it: another webhook of its Discord channel may have taken the slot meanwhile."""
        if request.message is not None:
            await self._ask(line, request)
        elif line.ready_at(Route.POST, self._clock()) <= self._clock():
            line.place.flying += 1
            try:
                await self._ask(line, request)
            finally:
                line.place.flying -= 1

    async def _ask(self, line: Line, request: Request) -> None:
        """Attempt committed, request, outcome committed. A crash in between may show one new message twice, and nothing else."""
        webhook, message = line.webhook, request.message
        started = self._clock()
        attempt = await self._transact(
            lambda c: (
                lease.take(c, lease.SENDER, self._holder),  # It outlasts the request.
                delivery.begin_attempt(
                    c,
                    webhook=webhook.id,
                    route=request.route.value,
                    message_id=message.id if message else None,
                    at=started,
                ),
            )[1]
        )
        with self._metrics.discord_seconds.time():
            outcome, info = await self._client.send(
                webhook.id,
                webhook.token,
                request.payload,
                message_id=message.discord_id if message else None,
                thread=message.thread if message else webhook.thread,
            )
        now = self._clock()
        self._hear(line, request, outcome, info, now)
        word = type(outcome).__name__.lower()

        def settle(c: Connection) -> None:
            delivery.end_attempt(c, attempt, now, word)
            if (wait := pace.told_wait(outcome, now)) is not None:
                meta.set_meta(c, WAITS + webhook.id, wait)
            if isinstance(outcome, Sent):
                self._shown(c, line, request, outcome)
            else:
                recording.not_shown(c, line, request, outcome, self._renderer.policy(line), now, self._dice())
            if line.place.pace.joined and line.info is not None:
                meta.set_meta(c, JOINED + line.info.channel_id, "1")

        await self._recorded(settle)
        if isinstance(outcome, WebhookDead):
            await self._bury(line, outcome.code)

    def _hear(self, line: Line, request: Request, outcome: Outcome, info: RateInfo, now: Instant) -> None:
        """What the answer means for what may be sent next, and what is told of it."""
        line.told(request, outcome, info, now)
        match outcome:
            case Sent():
                line.sent(request, now)
                for part in request.parts:
                    waited = now - (part.posting.due_at or now)
                    self._metrics.delivery_seconds.labels(line.name).observe(max(0.0, waited))
                if request.mentioned is not Severity.NONE:
                    self._metrics.pages.labels(line.name).inc()
            case Unavailable(host=False):
                line.failed(request, outcome, now, self._dice())
            case Refused(remedy=Remedy.DEGRADE | Remedy.NO_LINKS):
                line.refused(request)
            case Refused(remedy=Remedy.REPOST):
                line.pace = line.pace.paused(Route.EDIT, now + REOPENS)
            case _:
                pass
        word = type(outcome).__name__.lower()
        self._metrics.discord_requests.labels(line.name, request.route.value, word).inc()
        log.info("sent" if isinstance(outcome, Sent) else "not sent", **report(line, request, outcome))

    def _shown(self, c: Connection, line: Line, request: Request, sent: Sent | None) -> None:
        settle = self._configuration().policy.incidents.settle
        recording.shown(c, line, request, sent, self._renderer.policy(line), settle, self._clock())

    async def _recorded(self, work: Callable[[Connection], None]) -> None:
        """Written down, however long the database is away: to ask Discord again would show the same twice."""
        while True:
            try:
                return await self._transact(work)
            except StorageAway as error:
                log.warning("what Discord answered waits to be recorded", why=str(error))
                await asyncio.sleep(AWAY)

    async def _hand_over(self, line: Line, now: Instant) -> float:
        """Its webhook is dead: the pages that it owes are owed by its fallback too, and are as loud there as that Channel says."""
        channels, fallback = self._configuration().policy.channels, self._renderer.policy(line).fallback
        to = channels.get(fallback) if fallback is not None else None
        if to is None or not await self._database.glance(lambda c: delivery.pages_not_in(c, line.name, to.name, 1)):
            return LOOK_EVERY
        handed = await self._transact(lambda c: recording.handed_over(c, line, to, now))
        log.warning("pages go to the fallback", channel=line.name, to=to.name, incidents=handed)
        self.wake()
        return 0.0 if handed else LOOK_EVERY

    async def _bury(self, line: Line, code: int) -> None:
        """The webhook is gone: never call it again; keep everything, and say so through every other Channel."""
        line.dead = True
        self._metrics.channel_up.labels(line.name).set(0)
        log.error("webhook dead", channel=line.name, code=code, help="set a new webhook URL; everything is kept")
        await self._tell(own.webhook_dead(line.name, self._clock(), self._configuration().policy))

    async def _tell(self, event: Event) -> None:
        try:
            await self._writer.submit([event])
        except NotWritten as error:
            log.warning("cannot say so", why=str(error))


def _put_off(c: Connection, message: Message, until: Instant) -> None:
    """Its route has no room before `until`, which must hold up nothing else."""
    delivery.put_off(c, message.channel, message.id, until)
    if message.due_at is not None:
        delivery.update_message(c, replace(message, due_at=max(until, message.due_at)))


async def _sleep_or(wake: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        pass
