"""The real process under load, killed again and again at the worst moments, between senders that insist and a Discord that fails.

Everything that is random comes from one seed; what the machine's own timing adds is not repeated by it. Clock steps have no place here,
as a process has the machine's clock: `tests/path/test_convergence.py` steps it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

import aiohttp

from relay.demo.discord import Kind, Scope, StandIn
from relay.demo.discord.answers import Answer, HangUp
from relay.demo.discord.faults import Fault
from relay.demo.discord.recorder import Request, Violation
from relay.demo.discord.standin import Call
from relay.storage.engine import Database
from tests.conftest import ROOT
from tests.path.stage import CHANNELS, ROLE, Clock, Place, Sender
from tests.postgresql import Server
from tests.soak import verdict
from tests.soak.senders import World
from tests.soak.verdict import Held

WEBHOOK: Final = "11"
STARTS: Final = 30.0
"""Seconds that a process may take until it is ready, on a busy machine."""
FAULTS: Final = 0.02
"""The chance of each kind of fault, per request."""


class Moment(StrEnum):
    """When a process is killed."""

    STARTING = "while it starts"
    ANY = "at any moment"
    ACCEPTED = "after a 202"
    ASKED = "before Discord stored its message"
    STORED = "after Discord stored its message, before it answered"
    EDITED = "after Discord stored its edit, before it answered"
    FULL = "while the disk is full"
    STOPPED = "not at all: it is stopped"
    AWAY = "while the database restarts"


@dataclass(slots=True)
class Worst(StandIn):
    """A Discord that lets the relay be killed when it has stored a message and has not answered yet, or has not even stored it."""

    kill: Callable[[], None] | None = None
    at: Moment | None = None
    made_by: dict[str, tuple[int, Request]] = field(default_factory=dict)
    """Which life of the relay posted a message, and by which request."""
    life: int = 0
    told_in: int = 0
    """The life in which somebody was last told to wait; 0 where nobody who lives was."""
    forgot: int = 0
    """Requests while somebody else had been told to wait: a life that was killed, or the webhook with its token before."""

    def answer(self, call: Call, request: Request, fault: Fault | None) -> Answer | HangUp:
        if self.at is Moment.ASKED and call.method == "POST":
            self._kill()
            request.fault = "killed"
            return HangUp()
        before = len(self.store.messages)
        answer = StandIn.answer(self, call, request, fault)
        if len(self.store.messages) > before:
            self.made_by[next(reversed(self.store.messages))] = (self.life, request)
        self._tell(request, answer)
        stored = isinstance(answer, Answer) and answer.status == 200
        if stored and (self.at, call.method) in ((Moment.STORED, "POST"), (Moment.EDITED, "PATCH")):
            self._kill()
        return answer

    def _tell(self, request: Request, answer: Answer | HangUp) -> None:
        """Who is told to wait knows it, and nobody after a kill, or with another token: to Discord that is another route."""
        if request.violation in (Violation.WHILE_BLOCKED, Violation.WHILE_BANNED) and self.told_in < self.life:
            request.violation = None
            request.fault = "forgotten"
            self.forgot += 1
        if isinstance(answer, Answer) and answer.status == 429:
            self.told_in = self.life

    def _kill(self) -> None:
        kill, self.kill, self.at = self.kill, None, None
        if kill is not None:
            kill()


@dataclass(slots=True)
class Report:
    """What was done, and what came of it."""

    seed: int
    database: str
    kills: Counter[Moment] = field(default_factory=Counter)
    stops: int = 0
    full: int = 0
    away: int = 0
    deleted: set[str] = field(default_factory=set)
    rotated: int = 0
    seconds: float = 0.0
    converged_in: float | None = None
    things: int = 0
    events: int = 0
    given_up: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    messages: int = 0
    duplicates: int = 0
    hidden: int = 0
    """Of these, those whose answer a fault of Discord's hid."""
    violations: list[str] = field(default_factory=list)

    @property
    def killed(self) -> int:
        return sum(self.kills.values())

    def __str__(self) -> str:
        took = f"{self.converged_in:.1f} s" if self.converged_in is not None else "never"
        rows = {
            "seed": self.seed,
            "database": self.database,
            "kills": f"{self.killed} ({', '.join(f'{count} {moment}' for moment, count in self.kills.most_common())})",
            "stops": self.stops,
            "disk full, database restarted": f"{self.full}, {self.away}",
            "messages deleted, tokens rotated": f"{len(self.deleted)}, {self.rotated}",
            "under load": f"{self.seconds:.0f} s",
            "problems": self.things,
            "events accepted": f"{self.events} ({self.given_up} of Flux given up by their sender)",
            "senders were answered": _told(self.answers),
            "requests to Discord": _told(self.requests),
            "faults of Discord": _told(self.faults) or "none",
            "messages": self.messages,
            "duplicates": f"{self.duplicates} ({self.hidden} where Discord's answer was lost, the others one for a kill at most)",
            "converged in": took,
            "violations": len(self.violations),
        }
        lines = [f"{name:34}{value}" for name, value in rows.items()]
        return "\n".join((*lines, *(f"  ✗ {one}" for one in self.violations[:40])))


def _told(counted: Counter[str]) -> str:
    return ", ".join(f"{count} × {what}" for what, count in counted.most_common())


@dataclass(slots=True)
class Soak:
    """One run. `server` where the database is PostgreSQL."""

    place: Place
    standin: Worst
    world: World
    dice: random.Random
    report: Report
    alive: list[Sender]
    """Where a relay may listen now."""
    server: Server | None = None
    rate: float = 1.5
    """New things a second."""
    pace: float = 4.0
    """Seconds, about, between two things that a thing says."""
    faults: bool = True
    plan: list[Moment] = field(default_factory=list)
    """The first moments, in order; after them the dice choose."""
    child: asyncio.subprocess.Process | None = None
    lives: list[asyncio.Task[None]] = field(default_factory=list)
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.place.folder / "relay.log"

    # --- the process ----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def process(
        self, session: aiohttp.ClientSession, *, full: bool = False
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """`relay serve`, from its first instruction until it is gone. Its words go through a pipe: a full disk does not silence it.

        `full`: the disk is so from the beginning, as far as no file that is there already may grow.
        """
        self.standin.life += 1
        child = self.child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "relay", "serve", "--config", str(self.place.file), cwd=ROOT,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env={**os.environ, **self.place.env},
            preexec_fn=_no_room if full else None,
        )  # fmt: skip
        words = asyncio.create_task(self._write_down(child))
        self.alive[:] = [Sender(f"http://127.0.0.1:{self.place.port}", session, self.place.clock)]
        try:
            yield child
        finally:
            self.alive.clear()
            if child.returncode is None:
                child.kill()
            await child.wait()
            await words
            self.standin.at = self.standin.kill = None
            self.world.after_accepted = lambda: None

    async def _write_down(self, child: asyncio.subprocess.Process) -> None:
        assert child.stdout is not None
        with self.log.open("ab", buffering=0) as out:
            out.write(f"--- life {self.standin.life}, process {child.pid}\n".encode())
            while words := await child.stdout.read(65536):
                out.write(words)

    def kill(self) -> None:
        """-9, at once."""
        if self.child is not None and self.child.returncode is None:
            os.kill(self.child.pid, signal.SIGKILL)

    async def ready(self, child: asyncio.subprocess.Process) -> bool:
        """Whether it is ready to take deliveries; False where it was killed before."""
        deadline = time.monotonic() + STARTS
        while child.returncode is None and time.monotonic() < deadline:
            try:
                if (await self.alive[0].get("/readyz"))[0] == 200:
                    return True
            except (aiohttp.ClientError, OSError):
                pass
            await asyncio.sleep(0.02)
        if child.returncode is None:
            self.report.violations.append(f"life {self.standin.life} was not ready in {STARTS} s")
        return False

    # --- one life -------------------------------------------------------------------------------------------------------

    async def live(self, session: aiohttp.ClientSession) -> None:
        """One process from its start to its end, at a moment that the dice choose."""
        moment = self._moment()
        async with self.process(session) as child:
            if moment is Moment.STARTING:
                await asyncio.sleep(self.dice.uniform(0.02, 1.5))
            elif await self.ready(child):
                await self._until(moment, child)
            if moment is Moment.STOPPED:
                await self._stopped(child)
            elif child.returncode is not None and child.returncode != -signal.SIGKILL:
                self.report.violations.append(f"life {self.standin.life} ended by itself: {child.returncode}")
            else:
                self.kill()
                self.report.kills[moment] += 1

    def _moment(self) -> Moment:
        if self.plan:
            return self.plan.pop(0)
        common = [Moment.STORED, Moment.STORED, Moment.EDITED, Moment.ASKED, Moment.ACCEPTED, Moment.ANY, Moment.ANY]
        rare = [Moment.STARTING, Moment.STOPPED, Moment.AWAY if self.server is not None else Moment.FULL]
        return self.dice.choice(common if self.dice.random() < 0.75 else rare)

    async def _until(self, moment: Moment, child: asyncio.subprocess.Process) -> None:
        """Returns when it is time, or when it was killed already."""
        await asyncio.sleep(self.dice.uniform(0.0, 0.6))
        match moment:
            case Moment.ASKED | Moment.STORED | Moment.EDITED:
                self.standin.kill, self.standin.at = self.kill, moment
                await self._ended(child, 4.0)
            case Moment.ACCEPTED:
                self.world.after_accepted = self.kill
                await self._ended(child, 4.0)
            case Moment.FULL:
                await self._full(child)
            case Moment.AWAY:
                await self._away()
            case _:
                await self._ended(child, self.dice.uniform(0.0, 3.0))

    @staticmethod
    async def _ended(child: asyncio.subprocess.Process, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await child.wait()

    async def _stopped(self, child: asyncio.subprocess.Process) -> None:
        child.terminate()
        await self._ended(child, 10.0)
        self.report.stops += 1
        if child.returncode != 0:
            self.report.violations.append(f"life {self.standin.life} did not stop well: {child.returncode}")

    async def _full(self, child: asyncio.subprocess.Process) -> None:
        """No file of the process's may grow any more, for a while; it goes on without a restart, or is killed meanwhile."""
        files = [self.place.database, self.place.database.with_name(self.place.database.name + "-wal")]
        size = max(one.stat().st_size for one in files if one.exists())
        _limit(child, size)
        self.report.full += 1
        await self._ended(child, self.dice.uniform(0.5, 3.0))
        if self.dice.random() < 0.7 and child.returncode is None:
            room_again(child)
            await self._ended(child, self.dice.uniform(0.5, 5.0))

    async def _away(self) -> None:
        assert self.server is not None
        await asyncio.to_thread(self.server.crash)
        self.report.away += 1
        await asyncio.sleep(self.dice.uniform(0.0, 1.5))
        await asyncio.to_thread(self.server.start)
        await asyncio.sleep(self.dice.uniform(0.5, 4.0))

    # --- around it ------------------------------------------------------------------------------------------------------

    async def _load(self) -> None:
        """New things all the time, now and then many at once."""
        while True:
            for _ in range(20 if self.dice.random() < 0.02 else 1):
                thing = self.world.thing(len(self.world.things))
                self.lives.append(asyncio.create_task(self.world.live(thing, pace=self.pace)))
            await asyncio.sleep(self.dice.expovariate(self.rate))

    async def _people(self) -> None:
        """Somebody deletes a message now and then, or gives the webhook another token."""
        while True:
            await asyncio.sleep(self.dice.uniform(5.0, 20.0))
            if self.dice.random() < 0.3:
                token = self.standin.rotate_token(WEBHOOK)
                self.standin.told_in = 0
                await asyncio.sleep(self.dice.uniform(0.0, 2.0))
                self.place.webhook("ops", WEBHOOK, token)
                self.report.rotated += 1
            elif standing := self.standin.messages():
                one = self.dice.choice(standing)
                self.standin.delete_message(one.id)
                self.report.deleted.add(one.id)

    def _misbehave(self) -> None:
        """All that goes wrong with single requests, with a chance that the seed repeats."""
        chance = self.standin.chance
        for status, stored in ((502, False), (503, False), (502, True)):
            chance(Kind.STATUS, FAULTS, status=status, stored=stored)
        chance(Kind.RESET, FAULTS)
        chance(Kind.RESET, FAULTS / 2, stored=True)
        chance(Kind.STORED_THEN_DROPPED, FAULTS / 2)
        chance(Kind.DROPPED_BEFORE, FAULTS)
        chance(Kind.SLOW_HEADERS, FAULTS, seconds=1.0)
        chance(Kind.TRICKLE, FAULTS, seconds=0.5)
        chance(Kind.GZIP, FAULTS)
        chance(Kind.MISSING_HEADERS, FAULTS)
        for scope in Scope:
            chance(Kind.RETRY_AFTER_LONG, FAULTS / 4, scope=scope, seconds=1.5)
        chance(Kind.RETRY_AFTER_ZERO, FAULTS / 4)
        chance(Kind.CLOUDFLARE_1015, FAULTS / 8, retry_after=2)

    async def run(self, kills: int, minutes: float, patience: float) -> Report:
        """Load and kills until either is reached; then no more of both, and it must converge within `patience` seconds."""
        began = time.monotonic()
        if self.faults:
            self._misbehave()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            around = [asyncio.create_task(self._load())]
            if self.faults:
                around.append(asyncio.create_task(self._people()))
            try:
                while self.report.killed < kills and time.monotonic() - began < 60 * minutes:
                    await self.live(session)
            finally:
                for task in around:
                    task.cancel()
                await asyncio.wait(around)
            for task in around:
                if not task.cancelled():
                    task.result()
            self.report.seconds = time.monotonic() - began
            self.standin.faults.clear()
            async with self.process(session) as child:
                await self.ready(child)
                await asyncio.gather(*self.lives)
                await self._converge(child, patience)
                await self._stopped(child)
        await self._judge()
        return self.report

    # --- the end --------------------------------------------------------------------------------------------------------

    async def held(self) -> Held:
        """What the database holds now, read beside the process as a command does."""
        database = Database.open(self.place.env["RELAY_DATABASE_URL"])
        try:
            return await database.read(Held.read)
        finally:
            await database.close()

    async def _converge(self, child: asyncio.subprocess.Process, patience: float) -> None:
        began = time.monotonic()
        while time.monotonic() - began < patience and child.returncode is None:
            held = await self.held()
            if not self._wrong(held):
                self.report.converged_in = time.monotonic() - began
                return
            await asyncio.sleep(0.5)

    def _wrong(self, held: Held) -> list[str]:
        things = self.world.things.values()
        return verdict.wrong(things, held, self.standin, self.report.deleted, self.place.clock())

    async def _judge(self) -> None:
        """Everything that was promised, from what is left."""
        held, report, standin = await self.held(), self.report, self.standin
        report.things, report.events, report.given_up = len(self.world.things), self.world.events, self.world.given_up
        report.answers = self.world.answers
        report.requests = Counter(f"{one.method} {one.status or 'no answer'}" for one in standin.requests)
        report.faults = Counter(one.fault for one in standin.requests if one.fault)
        report.messages = len(standin.messages(deleted=True))
        report.violations += [f"lost: {one}" for one in verdict.lost(self.world.things.values(), held)]
        report.violations += [f"wrong: {one}" for one in self._wrong(held)]
        if held.rejected:
            report.violations.append(f"{held.rejected} deliveries were refused")
        self._judge_duplicates(held)
        self._judge_requests()

    def _judge_duplicates(self, held: Held) -> None:
        """A message more than is known is one whose answer a fault hid, or the one that a killed life had in flight."""
        self.report.hidden, by_life = unknown(held, self.standin)
        self.report.duplicates = self.report.hidden + by_life.total()
        self.report.violations += [f"life {life} left {n} messages unknown" for life, n in by_life.items() if n > 1]

    def _judge_requests(self) -> None:
        """Discord said wait only where it was told to, and nobody spoke before; nor two at once."""
        throttled = [one for one in self.standin.requests if one.status == 429 and not one.fault and not one.violation]
        self.report.violations += [f"refused: {one}" for one in throttled]
        blocked = [
            one for one in self.standin.requests if one.violation and one.violation is not Violation.TO_A_DEAD_WEBHOOK
        ]
        self.report.violations += [f"while told to wait: {one}" for one in blocked]
        self.report.violations += [f"beside another: {one}" for one in self.standin.requests if one.in_flight > 1]


NO_ROOM: Final = 36 * 1024
"""Bytes: what SQLite needs beside a database to open it, and no more."""


def _no_room() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (NO_ROOM, resource.RLIM_INFINITY))


def _limit(child: asyncio.subprocess.Process, size: int) -> None:
    """No file of this process's may grow beyond `size` bytes: to it, that is a full disk."""
    resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def room_again(child: asyncio.subprocess.Process) -> None:
    """Somebody made room."""
    _limit(child, resource.RLIM_INFINITY)


def unknown(held: Held, standin: Worst) -> tuple[int, Counter[int]]:
    """Messages that the relay knows nothing of: how many of them a fault hid from it, and the others by the life that posted them."""
    hidden, by_life = 0, Counter[int]()
    for one in verdict.orphans(held, standin):
        life, request = standin.made_by[one.id]
        if request.fault in verdict.HIDES:
            hidden += 1
        else:
            by_life[life] += 1
    return hidden, by_life


@asynccontextmanager
async def stage(
    folder: Path, seed: int, server: Server | None = None, *, rate: float = 1.5, pace: float = 4.0, faults: bool = True
) -> AsyncIterator[Soak]:
    """A Discord, the files of a relay, and senders, all by one seed."""
    clock, dice = Clock(), random.Random(seed)
    standin = Worst(clock=clock, seed=seed)
    standin.add_webhook(WEBHOOK, "token", "20", "30", name="relay")
    standin.add_role(ROLE, "oncall")
    async with AsyncExitStack() as parts:
        api = await parts.enter_async_context(standin.running())
        place = Place(folder, standin, api, clock)
        place.configure(CHANNELS, "incidents: {settle: 2s}\n")
        place.free_port()
        if server is not None:
            place.env["RELAY_DATABASE_URL"] = parts.enter_context(server.database())
        report = Report(seed, "PostgreSQL" if server is not None else "SQLite")
        alive: list[Sender] = []
        world = World(lambda: alive, clock, random.Random(seed + 1))
        yield Soak(place, standin, world, dice, report, alive, server, rate=rate, pace=pace, faults=faults)
