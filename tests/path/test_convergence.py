"""Any schedule of events, faults, crashes and steps of the clock converges: each problem is shown once, as it is, and nothing waits."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import aiohttp
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from relay.app import user_agent
from relay.config.load import load
from relay.config.trees import load_trees
from relay.config.values import Configuration
from relay.core.event import Event, Severity
from relay.core.tree import Library
from relay.deadlines import Deadlines
from relay.demo.discord import Kind, Scope
from relay.discord.client import DiscordClient
from relay.observe.metrics import Metrics
from relay.reconcile import Reconciler
from relay.storage.engine import Database
from relay.writer import Writer
from tests.core.make import alert, beat, flux, pod
from tests.path.stage import CHANNELS, ROLE, Clock, Place
from tests.soak import verdict
from tests.soak.driver import WEBHOOK, Worst, unknown
from tests.soak.senders import Kind as Sort
from tests.soak.senders import Said, Thing
from tests.soak.verdict import Held

EDGE: Final = (Kind.BAN_HTML, Kind.CLOUDFLARE_1015, Kind.FORBIDDEN_HTML, Kind.EDGE_404_HTML)
"""Answers that are not Discord's own."""
FAULTS: Final = (
    Kind.DROPPED_BEFORE, Kind.RESET, Kind.STORED_THEN_DROPPED, Kind.RETRY_AFTER_ZERO, Kind.TRUNCATED_JSON, Kind.EMPTY_BODY,
    Kind.MISSING_HEADERS, Kind.RESET_SKEW, *EDGE,
)  # fmt: skip
PATIENCE: Final = 20.0
"""Real seconds in which it must converge."""
IDLE: Final = 0.03
"""Real seconds without a request, after which time goes on."""
NAME: Final = st.sampled_from(["t0x", "t1x", "t2x", "t3x", "f4x", "f5x"])
SEVERITY: Final = st.sampled_from(["warning", "error", "critical"])
METHOD: Final = st.sampled_from(["POST", "PATCH"])
BEGAN: Final = 1_790_000_000.0
MEMORY: Final = Path("/dev/shm")  # noqa: S108  # a folder of its own within it
"""Where a crash of a process, which is all that happens here, loses as little as on a disk, and many lives take less time."""


@cache
def library() -> Library:
    return load_trees()


@dataclass
class Steps(Clock):
    """A clock that stands still until it is told."""

    def __call__(self) -> float:
        return BEGAN + self.ahead


@dataclass
class Life:
    """Writer and sender of one process, on the database of the ones before."""

    database: Database
    writer: Writer
    deadlines: Deadlines
    reconciler: Reconciler
    session: aiohttp.ClientSession
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def ends(self, *, well: bool) -> None:
        """It is stopped, or dies wherever it is: between any two of its steps."""
        if well:
            self.reconciler.stop()
            await self.tasks[-1]
            self.writer.stop()
            await self.tasks[0]
        for task in self.tasks:
            task.cancel()
        ended = await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.session.close()
        await self.database.close()
        assert all(one is None or isinstance(one, asyncio.CancelledError) for one in ended), ended


@dataclass
class World:
    """A Discord with its own clock, the files of a relay, and the life that serves from them now."""

    folder: Path
    true: Steps = field(default_factory=Steps)
    """What time it is."""
    clock: Steps = field(default_factory=Steps)
    """What time the relay believes it is."""
    things: dict[str, Thing] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    set_forward: bool = False
    """Whether its clock was: then it believes that more of Discord's budget is back than is."""
    set_back: bool = False
    parts: AsyncExitStack = field(default_factory=AsyncExitStack)
    standin: Worst = field(init=False)
    place: Place = field(init=False)
    configuration: Configuration = field(init=False)
    life: Life | None = None

    async def begins(self) -> None:
        self.standin = Worst(clock=self.true)
        self.standin.add_webhook(WEBHOOK, "token", "20", "30", name="relay")
        self.standin.add_role(ROLE, "oncall")
        api = await self.parts.enter_async_context(self.standin.running())
        self.place = Place(self.folder, self.standin, api, self.clock)
        self.place.configure(CHANNELS)
        self.configure()
        await self.starts()

    def configure(self) -> None:
        """Read the files again, the webhook's address among them."""
        self.configuration = load(self.place.file, self.place.env)
        if self.life is not None:
            self.life.reconciler.reload()

    async def starts(self) -> None:
        self.standin.life += 1
        database = Database.open(self.configuration.database_url.reveal(), serving=True)
        await database.migrate()
        session = aiohttp.ClientSession()
        client = DiscordClient(session, self.configuration.discord_api, user_agent())
        metrics = Metrics(version="0")
        writer = Writer(database, lambda: self.configuration.policy, self.clock, metrics)
        sender = Reconciler(database, writer, client, lambda: self.configuration, library, self.clock, metrics)
        writer.changed = sender.wake
        deadlines = Deadlines(database, writer, lambda: self.configuration.policy, self.clock)
        life = self.life = Life(database, writer, deadlines, sender, session)
        life.tasks.append(asyncio.create_task(writer.run()))
        await writer.started()
        life.tasks += [asyncio.create_task(deadlines.run()), asyncio.create_task(sender.run())]

    @property
    def alive(self) -> Life:
        assert self.life is not None
        for task in self.life.tasks:
            if task.done():
                task.result()
        return self.life

    async def says(self, *events: Event) -> None:
        await self.alive.writer.submit(events)

    def goes_on(self, seconds: float) -> None:
        self.true.ahead += seconds
        self.clock.ahead += seconds
        self.alive.deadlines.look()
        self.alive.reconciler.wake()

    async def converges(self, patience: float = PATIENCE) -> list[str]:
        """Time goes on while nothing is done, in longer and longer steps. Returns what is still wrong in the end."""
        deadline = time.monotonic() + patience
        done, step, wrong = -1, 0.25, ["it was never looked at"]
        while time.monotonic() < deadline:
            wrong = await self.wrong()
            if not wrong:
                return []
            if len(self.standin.requests) != done:
                done, step = len(self.standin.requests), 0.25
            else:
                self.goes_on(step)
                step = min(2 * step, 120.0)
            await asyncio.sleep(IDLE)
        return wrong

    async def wrong(self) -> list[str]:
        held = await self.alive.database.read(Held.read)
        things = self.things.values()
        return [
            *verdict.lost(things, held),
            *verdict.wrong(things, held, self.standin, self.deleted, self.clock(), may_heal=self.set_back),
        ]

    async def ends(self) -> None:
        """The verdict: after the last fault everything converges, and nothing was done that was not to be done on the way."""
        try:
            self.standin.faults.clear()
            self.place.webhook("ops", WEBHOOK, str(self.standin.store.webhooks[WEBHOOK].token))
            self.configure()
            assert await self.converges() == []
            held = await self.alive.database.read(Held.read)
            await self.alive.ends(well=True)
            self.life = None
            assert all(count <= 1 for count in unknown(held, self.standin)[1].values()), (
                "twice at most once for a crash"
            )
            self.standin.assert_never_two_in_flight_per_webhook()
            writes = [one for one in self.standin.requests if one.method != "GET"]
            if not self.set_forward:
                assert not [one for one in writes if one.status == 429 and not one.fault], (
                    "waits as told, and asks for no wait"
                )
        finally:
            if self.life is not None:
                await self.life.ends(well=False)
            await self.parts.aclose()


class Convergence(RuleBasedStateMachine):
    """The rules are what may happen; they never wait for it to be shown."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.home = tempfile.TemporaryDirectory(prefix="relay-converges-", dir=MEMORY if MEMORY.is_dir() else None)
        self.world = World(Path(self.home.name))

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        self.runner.run(work)

    @initialize(broken=st.lists(st.tuples(NAME, SEVERITY), max_size=4), shown=st.booleans())
    def begins(self, broken: list[tuple[str, str]], shown: bool) -> None:
        self.run(self.world.begins())
        for name, severity in broken:
            self.run(self.tell(name, severity, firing=True))
        if shown:
            self.run(self.shown())

    # --- what is told ---------------------------------------------------------------------------------------------------

    @rule(names=st.lists(NAME, min_size=1, max_size=3, unique=True), severity=SEVERITY, at_once=st.booleans())
    def they_break(self, names: list[str], severity: str, at_once: bool) -> None:
        for name in names:
            self.run(self.tell(name, severity, firing=True, at_once=at_once))

    @precondition(lambda self: any(thing.firing for thing in self.world.things.values()))
    @rule(which=st.integers(0, 4), at_once=st.booleans())
    def it_recovers(self, which: int, at_once: bool) -> None:
        firing = [thing.name for thing in self.world.things.values() if thing.firing]
        self.run(self.tell(firing[which % len(firing)], "", firing=False, at_once=at_once))

    async def tell(self, name: str, severity: str, *, firing: bool, at_once: bool = False) -> None:
        """Returns when it is stored, or a little later, when it may have been shown."""
        await self.told(name, severity, firing=firing)
        if not at_once:
            await asyncio.sleep(IDLE)

    async def told(self, name: str, severity: str, *, firing: bool) -> None:
        self.world.goes_on(0.01)  # Nobody says two things at once.
        now, received_at = self.world.true(), self.world.clock()
        thing = self.world.things.get(name)
        if thing is None:
            sort = Sort.FLUX if name.startswith("f") else Sort.ALERT
            thing = self.world.things[name] = Thing(name, sort, severity)
            if sort is Sort.FLUX:
                await self.world.says(beat(name, now - 1.0, received_at=received_at))
        if thing.kind is Sort.FLUX:
            fails = flux(name, at=now, received_at=received_at)
            await self.world.says(fails if firing else beat(name, now, received_at=received_at))
            thing.accepted[""] = Said(firing, now)
            return
        said = thing.accepted.get("SoakFails")
        starts = said.starts if said is not None and (said.firing or not firing) else now
        event = alert(
            "SoakFails",
            severity={"warning": Severity.WARNING, "error": Severity.ERROR}.get(thing.severity, Severity.CRITICAL),
            firing=firing,
            at=received_at,
            starts_at=starts,
            ends_at=None if firing else now,
            group=name,
            subject=pod(f"{name}-0"),
            labels={"pod": f"{name}-0"},
        )
        await self.world.says(event)
        thing.accepted["SoakFails"] = Said(firing, starts)

    # --- what happens ---------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.5, 3.0, 30.0, 130.0, 2000.0]))
    def time_passes(self, seconds: float) -> None:
        self.run(self.passes(seconds))

    async def passes(self, seconds: float) -> None:
        await asyncio.sleep(IDLE)
        self.world.goes_on(seconds)
        await asyncio.sleep(IDLE)

    @rule()
    def it_is_shown(self) -> None:
        self.run(self.shown())

    async def shown(self) -> None:
        await self.world.converges(0.5)

    @rule(kind=st.sampled_from(FAULTS), method=METHOD)
    def a_request_goes_wrong(self, kind: Kind, method: str) -> None:
        self.world.standin.fault(kind, match=method, retry_after=30 if kind in EDGE else None)

    @rule(
        status=st.sampled_from([500, 502, 503]),
        stored=st.booleans(),
        times=st.sampled_from([1, 1, 3, 12]),
        method=METHOD,
    )
    def discord_fails(self, status: int, stored: bool, times: int, method: str) -> None:
        stored = stored and times == 1
        self.world.standin.fault(Kind.STATUS, match=method, status=status, stored=stored, times=times)

    @rule(scope=st.sampled_from(Scope), seconds=st.sampled_from([0.5, 20.0, 400.0]), method=METHOD)
    def discord_says_wait(self, scope: Scope, seconds: float, method: str) -> None:
        self.world.standin.fault(Kind.RETRY_AFTER_LONG, match=method, scope=scope, seconds=seconds)

    @rule(which=st.integers(0, 9))
    def a_person_deletes_a_message(self, which: int) -> None:
        if standing := self.world.standin.messages():
            one = standing[which % len(standing)]
            self.world.standin.delete_message(one.id)
            self.world.deleted.add(one.id)

    @rule(known=st.just(True) | st.booleans())
    def the_webhook_gets_another_token(self, known: bool) -> None:
        token = self.world.standin.rotate_token(WEBHOOK)
        self.world.standin.told_in = 0
        if known:
            self.world.place.webhook("ops", WEBHOOK, token)
            self.world.configure()

    @rule(well=st.booleans())
    def it_is_started_anew(self, well: bool) -> None:
        self.run(self.anew(well=well))

    async def anew(self, *, well: bool) -> None:
        await self.world.alive.ends(well=well)
        await self.world.starts()

    @rule(method=METHOD)
    def it_dies_while_it_waits_for_an_answer(self, method: str) -> None:
        self.world.standin.fault(Kind.SLOW_HEADERS, match=method, seconds=0.2)
        self.run(self.dies_waiting())

    async def dies_waiting(self) -> None:
        for _ in range(5):
            if any(one.answered is None for one in self.world.standin.requests[-1:]):
                break
            await asyncio.sleep(0.02)
        await self.anew(well=False)

    @precondition(lambda self: bool(self.world.things))
    @rule(seconds=st.sampled_from([-40.0, -2.0, 0.0, 2.0, 40.0]))
    def its_clock_is_set(self, seconds: float) -> None:
        self.world.set_back |= self.world.clock.ahead > self.world.true.ahead + seconds
        self.world.set_forward |= self.world.clock.ahead < self.world.true.ahead + seconds
        self.world.clock.ahead = self.world.true.ahead + seconds

    def teardown(self) -> None:
        try:
            if hasattr(self.world, "standin"):
                self.run(self.world.ends())
        finally:
            self.runner.close()
            self.home.cleanup()


Convergence.TestCase.settings = settings(
    max_examples=20, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAnyScheduleConverges = Convergence.TestCase
