"""Before each request its attempt is committed, after it its outcome; what was asked is never asked again because it was not written down.

One task for each Channel, so that a webhook never has two requests in flight. A wake-up is a hint; looking is the truth.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from time import monotonic
from typing import Final, TypeVar

import structlog
from sqlalchemy import Connection

from relay.config.values import Configuration
from relay.core import own, pace
from relay.core.event import Event, Instant
from relay.core.outcome import Outcome, Refused, Sent, WebhookDead
from relay.core.pace import Pace, Route
from relay.core.tree import Library
from relay.discord.client import DiscordClient, WebhookInfo
from relay.observe.logs import fault
from relay.observe.metrics import Metrics
from relay.reconcile import recording
from relay.reconcile.line import Line, Place, Request, report
from relay.reconcile.rendering import Renderer
from relay.storage import delivery
from relay.storage.engine import Database, is_outage
from relay.storage.promise import NotWritten, Promises, StorageAway

T = TypeVar("T")
log = structlog.get_logger(__name__)

BREATH: Final = 0.02
"""Seconds between two looks that found nothing to send, at least."""
LOOK_EVERY: Final = 15.0
"""Seconds between two looks at the database when no wake-up came: a lost one costs at most this."""
AWAY: Final = 2.0
"""Seconds between two tries while the database is away."""


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
        self._clock = clock
        self._metrics = metrics
        self._dice = dice
        self._lines: dict[str, Line] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._places: dict[str, Place] = {}
        self._reloaded = asyncio.Event()
        self._host_closed_until: Instant = 0.0
        self._stopping = False

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
        """Keep every Channel until `stop`; a request under way is finished and recorded first."""
        try:
            while not self._stopping:
                self._reloaded.clear()
                await self._follow_configuration()
                reloaded = asyncio.create_task(self._reloaded.wait())
                watched = {reloaded, *self._tasks.values()}
                done, _ = await asyncio.wait(watched, timeout=LOOK_EVERY, return_when=asyncio.FIRST_COMPLETED)
                reloaded.cancel()
                for task in done - {reloaded}:
                    task.result()
            await asyncio.gather(*self._tasks.values())
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _follow_configuration(self) -> None:
        """End the Lines of what is no longer configured or has another webhook now, keep the others, start what is new."""
        wanted = {settings.name: settings.webhook() for settings in self._configuration().channels}
        for name, line in list(self._lines.items()):
            if wanted.get(name) == line.webhook:
                continue
            line.leaving = True
            line.wake.set()
            await self._tasks.pop(name)
            del self._lines[name]
        for name in wanted.keys() - self._lines.keys():
            line = self._lines[name] = Line(name, wanted[name])
            self._tasks[name] = asyncio.create_task(self._keep(line), name=f"channel {name}")

    # --- one Channel ----------------------------------------------------------------------------------------------------

    async def _keep(self, line: Line) -> None:
        """Look, send, look again."""
        while not (self._stopping or line.leaving):
            line.wake.clear()
            try:
                pause = await self._once(line)
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
        closed = max(self._host_closed_until, line.closed_until)
        if line.dead:
            return LOOK_EVERY
        if closed > now:
            return min(closed - now, LOOK_EVERY)
        posts, edits = line.ready_at(Route.POST, now), line.ready_at(Route.EDIT, now)
        if line.info is None:
            return edits - now if edits > now else await self._introduce(line)
        if min(posts, edits) > now:
            return min(posts, edits) - now
        found = await self._database.read(
            lambda c: delivery.next_due(c, line.name, now, posts=posts <= now, edits=edits <= now)
        )
        if found is None:
            return await self._until_next(line, now, max(posts, edits))
        request = await self._prepared(line, found, now)
        if request is None:
            return 0.0
        ready = line.ready_at(request.route, now)
        if ready > now:
            await self._writer.transact(lambda c: recording.put_off(c, request, ready))
        else:
            await self._send(line, request)
        return 0.0

    async def _until_next(self, line: Line, now: Instant, room: Instant) -> float:
        """Seconds until something may be sent: due then, or due already and without room until `room`."""
        waiting = dict(await self._database.read(delivery.channels_waiting))
        earliest = waiting.get(line.name, now + LOOK_EVERY)
        if earliest <= now:
            return min(max(room - now, 0.01), 1.0)
        return min(max(earliest - now, 0.01), LOOK_EVERY)

    async def _introduce(self, line: Line) -> float:
        """Ask Discord once where the webhook posts: a cheap probe, and what jump links and shared limits need."""
        if line.failures == 0:
            line.pace = await self._remembered_pace(line.webhook.id)
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
                self._hear_of_host(line, answer)
                line.failures += 1
                again = now + pace.backoff(line.failures, self._dice())
                line.pace = line.pace.paused(Route.EDIT, again)
                return line.ready_at(Route.EDIT, now) - now

    async def _remembered_pace(self, webhook: str) -> Pace:
        """The attempts of the last minutes, answered or not: a crash never sends a burst twice."""
        now = self._clock()
        remembered = Pace()
        for attempt in await self._database.read(lambda c: delivery.recent_attempts(c, now - pace.MEMORY)):
            if attempt.webhook == webhook:
                remembered = remembered.after(Route(attempt.route), attempt.ended_at or now)
        return remembered

    async def _moved_in(self, line: Line, info: WebhookInfo) -> None:
        """The webhook is there: what stands where it cannot edit is shown anew, and whoever was told that it is gone is told otherwise."""
        policy, now = self._renderer.policy(line), self._clock()
        if moved := await self._writer.transact(lambda c: recording.moved_in(c, line, policy, now)):
            log.info("another webhook: what is open is shown again", channel=line.name, incidents=moved)
        await self._tell(own.webhook_back(line.name, now, self._configuration().policy))
        line.place = self._places.setdefault(info.channel_id, Place())
        line.place.joined(line.pace)
        line.info = info
        self._metrics.channel_up.labels(line.name).set(1)

    # --- deciding -------------------------------------------------------------------------------------------------------

    async def _prepared(self, line: Line, found: delivery.Due, now: Instant) -> Request | None:
        """What to send for what is due; None where there is nothing to send (any more), which is recorded."""
        try:
            if isinstance(found, delivery.DueMessage):
                return await self._pointer(line, found, now)
            return await self._posting(line, found, now)
        except Exception as error:
            if isinstance(error, NotWritten) or is_outage(error):
                raise
            # One card that cannot be made holds up no other: it is tried more plainly, then parked.
            log.error("cannot be rendered", channel=line.name, **fault(error))  # noqa: TRY400  # its text may hold the sender's
            refused = Refused(0, f"cannot be rendered: {type(error).__name__}")
            await self._recorded(lambda c: self._not_shown(c, line, found, refused))
            return None

    async def _posting(self, line: Line, found: delivery.DuePosting, now: Instant) -> Request | None:
        posting, step = self._renderer.step(line, found, now)
        if not step.sends:
            policy = self._renderer.policy(line)
            await self._writer.transact(lambda c: recording.rescheduled(c, posting, policy, self._clock()))
            return None
        request = await self._renderer.of_posting(line, found, posting, step, now)
        if request.message is not None and request.message.digest == request.payload.digest:
            await self._recorded(lambda c: self._shown(c, line, request, None))
            return None
        return request

    async def _pointer(self, line: Line, found: delivery.DueMessage, now: Instant) -> Request | None:
        request = await self._renderer.of_pointer(line, found.message, now)
        if request is None:
            await self._writer.transact(
                lambda c: recording.pointer_postponed(c, found.message, Refused(0, "nowhere to lead"), now)
            )
        return request

    # --- sending and recording ------------------------------------------------------------------------------------------

    async def _send(self, line: Line, request: Request) -> None:
        """Attempt committed, request, outcome committed. A crash in between may show one new message twice, and nothing else."""
        webhook, message = line.webhook, request.message
        started = self._clock()
        attempt = await self._writer.transact(
            lambda c: delivery.begin_attempt(
                c,
                webhook=webhook.id,
                route=request.route.value,
                message_id=message.id if message else None,
                at=started,
            )
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
        line.told(request.route, outcome, info, now)
        self._hear_of_host(line, outcome)
        word = type(outcome).__name__.lower()
        self._metrics.discord_requests.labels(line.name, request.route.value, word).inc()
        if isinstance(outcome, Sent) and request.since_due is not None:
            self._metrics.delivery_seconds.labels(line.name).observe(max(0.0, now - request.since_due))
        log.info("sent" if isinstance(outcome, Sent) else "not sent", **report(line, request, outcome))

        def settle(c: Connection) -> None:
            delivery.end_attempt(c, attempt, now, word)
            if isinstance(outcome, Sent):
                self._shown(c, line, request, outcome)
            else:
                self._not_shown(c, line, request, outcome)

        await self._recorded(settle)
        if isinstance(outcome, WebhookDead):
            await self._bury(line, outcome.code)

    def _hear_of_host(self, line: Line, outcome: Outcome) -> None:
        """A wait that is told to everybody is everybody's."""
        if pace.reaches_host(outcome):
            self._host_closed_until = max(self._host_closed_until, line.pace.blocked_until)

    def _shown(self, c: Connection, line: Line, request: Request, sent: Sent | None) -> None:
        settle = self._configuration().policy.incidents.settle
        recording.shown(c, line, request, sent, self._renderer.policy(line), settle, self._clock())

    def _not_shown(self, c: Connection, line: Line, asked: Request | delivery.Due, outcome: Outcome) -> None:
        posting = None if isinstance(asked, delivery.DueMessage) else asked.posting
        if posting is not None:
            recording.postponed(c, posting, outcome, self._renderer.policy(line), self._clock(), self._dice())
        elif asked.message is not None:
            recording.pointer_postponed(c, asked.message, outcome, self._clock())

    async def _recorded(self, work: Callable[[Connection], None]) -> None:
        """Written down, however long the database is away: to ask Discord again would show the same twice."""
        while True:
            try:
                return await self._writer.transact(work)
            except StorageAway as error:
                log.warning("what Discord answered waits to be recorded", why=str(error))
                await asyncio.sleep(AWAY)

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


async def _sleep_or(wake: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        pass
