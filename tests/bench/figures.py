"""The figures: each is measured several times, in rounds, so that what else the machine does meets all of them alike."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from statistics import median, quantiles
from typing import Final

from sqlalchemy import Connection

from relay.core.event import Event
from relay.core.facts import Facts
from relay.core.policy import Policy
from relay.core.tree import Library
from tests.bench import bodies, machine, stage
from tests.bench.load import Result

ROUNDS: Final = 3
SUSTAINED: Final = 30_000
"""Events of one turn: some ten seconds, since the sender has most to do in the first."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `goal` is what we want, `least` what we must reach; both are limits from above where `most` says so."""

    name: str
    values: list[float]
    unit: str = ""
    goal: float | None = None
    least: float | None = None
    most: bool = False

    @property
    def value(self) -> float:
        return median(self.values)

    @property
    def ratio(self) -> float | None:
        """How well the goal is reached: 1 is just, more is better."""
        if not self.goal or not self.value:
            return None
        return self.goal / self.value if self.most else self.value / self.goal

    @property
    def verdict(self) -> str:
        """`ok`; `least` where only what must be is reached; `below` where not even that is; empty where nothing is asked."""
        if self.goal is None:
            return ""
        if self._reaches(self.goal):
            return "ok"
        return "least" if self.least is not None and self._reaches(self.least) else "below"

    def _reaches(self, limit: float) -> bool:
        return self.value <= limit if self.most else self.value >= limit


def at_least(name: str, values: list[float], goal: float, least: float | None = None, unit: str = "") -> Figure:
    return Figure(name, values, unit, goal, least)


def at_most(name: str, values: list[float], goal: float, unit: str) -> Figure:
    return Figure(name, values, unit, goal, most=True)


# --- events a second ----------------------------------------------------------------------------------------------------


def throughput() -> Iterator[Figure]:
    """Durable events a second over 64 connections, and the same load on handlers that do less, in turns.

    Each relay is a new one with an empty database, and ends before the next is measured: what it still has to send would cost the others.
    """
    rates: dict[str, list[float]] = {name: [] for name in ("bare", "parsing", "sqlite", "new", "postgresql", "disk")}
    with stage.folder() as place, stage.discord() as api, ExitStack() as stack:
        bare, parsing = (stack.enter_context(stage.peer(name)) for name in ("bare", "parsing"))
        for _ in range(ROUNDS):
            rates["disk"].append(machine.fdatasync(place) * 1000)
            rates["bare"].append(_rate(bare, "mix"))
            with stage.relay(place, api) as server:
                rates["sqlite"].append(_rate(server, "mix"))
            rates["parsing"].append(_rate(parsing, "mix"))
            with stage.relay(place, api) as server:
                rates["new"].append(_rate(server, "new"))
            with stage.postgresql() as url, stage.relay(place, api, url) as server:
                rates["postgresql"].append(_rate(server, "mix"))
    yield Figure("fdatasync of the disk", rates["disk"], "ms")
    yield Figure("bare handler: validates the body", rates["bare"], "/s")
    yield Figure("handler that authenticates and parses", rates["parsing"], "/s")
    yield at_least("accepted, SQLite, realistic mix", rates["sqlite"], 5_000, 4_000, "/s")
    yield at_least("… of the bare handler", _ratios(rates["sqlite"], rates["bare"]), 0.30, 0.22)
    yield at_least("… of the parsing handler", _ratios(rates["sqlite"], rates["parsing"]), 0.45)
    yield at_least("accepted, SQLite, each opens an Incident", rates["new"], 3_000, unit="/s")
    yield at_least("accepted, PostgreSQL, realistic mix", rates["postgresql"], 3_000, unit="/s")


def _rate(server: stage.Server, kind: str) -> float:
    return server.load(kind, SUSTAINED, warm=1_000).rate


def _ratios(ours: list[float], theirs: list[float]) -> list[float]:
    return [one / other for one, other in zip(ours, theirs, strict=True)]


# --- latency ------------------------------------------------------------------------------------------------------------


def latency() -> Iterator[Figure]:
    """How long a sender waits for its 202 at 500 events a second."""
    with stage.folder() as place, stage.discord() as api, stage.relay(place, api) as server:
        server.load("mix", 2_000)
        runs = [server.load("mix", 2_500, rate=500.0) for _ in range(ROUNDS)]
    yield Figure("acknowledged at 500/s, p50", [median(run.latencies) * 1000 for run in runs], "ms")
    yield at_most("acknowledged at 500/s, p99", [_p99(run) for run in runs], 20.0, "ms")
    yield at_most("CPU at 500/s", [run.cpu / run.seconds for run in runs], 0.60, "cores")


def _p99(run: Result) -> float:
    return quantiles(run.latencies, n=100)[98] * 1000


def discord() -> Iterator[Figure]:
    """From the last byte of an event to the request that Discord gets, one event at a time."""
    taken: list[float] = []
    for _ in range(2):
        taken += asyncio.run(_told_at_once())
    yield at_most("event to Discord's request", taken, 20.0, "ms")


async def _told_at_once(times: int = 7) -> list[float]:
    """Milliseconds for each of `times` events, as far apart as Discord's limits ask."""
    from relay.demo.discord import Limits, StandIn
    from tests.bench.peers import WEBHOOK

    standin = StandIn(limits=Limits.off())
    standin.add_webhook(*WEBHOOK, channel_id="2", guild_id="3")
    taken: list[float] = []
    with stage.folder() as place:
        async with standin.running() as api:
            with ExitStack() as stack:
                server = await asyncio.to_thread(stack.enter_context, stage.relay(place, api))
                await asyncio.sleep(1.0)  # It asks Discord once who its webhook is.
                for number in range(times):
                    sent = time.time()
                    await asyncio.to_thread(_post, server.port, bodies.flux(f"app-{number}", sent))
                    await asyncio.sleep(0.55)
                    told = (one.time for one in standin.recorder.requests if f"app-{number}" in str(one.body))
                    taken.append((next(told) - sent) * 1000)
                await asyncio.to_thread(stack.close)
    return taken


def _post(port: int, body: bytes) -> None:
    import socket

    with socket.create_connection(("127.0.0.1", port), 5.0) as connection:
        connection.sendall(bodies.request("/flux", body))
        if b" 202 " not in connection.recv(4096):
            raise RuntimeError("an event was not accepted")


# --- start and memory ---------------------------------------------------------------------------------------------------


def start() -> Iterator[Figure]:
    """From the command to the first answer of /readyz: with a new database, and as on every later day."""
    first: list[float] = []
    later: list[float] = []
    with stage.folder() as place, stage.discord() as api:
        for number in range(ROUNDS):
            here = place / str(number)
            here.mkdir()
            env = stage.settings(here, api)
            for taken in (first, later, later):
                began = time.perf_counter()
                with machine.process("relay", "serve", env=env) as running:
                    machine.wait_until_ready(int(env["RELAY_LISTEN"].rpartition(":")[2]), running)
                    taken.append(time.perf_counter() - began)
    yield at_most("start to ready", later, 1.0, "s")
    yield at_most("start to ready, making its database", first, 1.5, "s")


def memory() -> Iterator[Figure]:
    """What it holds when idle, and after a storm that opened 100,000 Incidents; and whether the same event costs more then."""
    with stage.folder() as place, stage.discord() as api, stage.relay(place, api, again=True) as server:
        time.sleep(2.0)
        idle = machine.resident(server.pid)
        server.load("new", 100)
        few = [_cost(server.load("old", 4_000, objects=100, warm=500)) for _ in range(ROUNDS)]
        for _ in range(10):
            server.load("new", 10_000)
        after = machine.resident(server.pid)
        many = [_cost(server.load("old", 4_000, objects=100, warm=500)) for _ in range(ROUNDS)]
    yield at_most("memory, idle", [idle], 95.0, "MB")
    yield at_most("memory, after 100,000 events", [after], 125.0, "MB")
    yield Figure("CPU of an event, 100 Incidents stored", few, "µs")
    yield Figure("CPU of an event, 100,000 Incidents stored", many, "µs")
    yield at_most("… of the same with 100", [median(many) / median(few)], 1.25, "×")


def _cost(run: Result) -> float:
    return run.cpu / run.count * 1e6


# --- many open ----------------------------------------------------------------------------------------------------------


def crowded() -> Iterator[Figure]:
    """What applying a batch costs with few Incidents open and with many: openings that fold or wait, and repeats."""
    few, many = 10, 10_000
    taken = asyncio.run(_applying(few, many, rounds=9))
    yield Figure(f"applying an event, {few} Incidents open", taken[few], "µs")
    yield Figure(f"applying an event, {many:,} Incidents open", taken[many], "µs")
    yield at_most("… of the same with few", [median(taken[many]) / median(taken[few])], 1.25, "×")


async def _applying(*crowds: int, rounds: int) -> dict[int, list[float]]:
    """Microseconds of CPU for an event, in turns, with so many Incidents open; each measured batch is undone."""
    from relay.config.edges import load_edges
    from relay.config.live import composed
    from relay.config.trees import load_trees
    from relay.core.attention import ChannelPolicy
    from relay.core.labels import Matchers
    from relay.core.routing import Route
    from relay.storage.engine import Database

    plain = Policy(channels={"ops": ChannelPolicy("ops")}, routes=(Route(Matchers(), ("ops",)),))
    policy = composed(plain, load_trees(None), load_edges(None))
    taken: dict[int, list[float]] = {crowd: [] for crowd in crowds}
    with stage.folder() as place:
        databases = {crowd: Database.open(f"sqlite:///{place}/{crowd}.db") for crowd in crowds}
        for crowd, database in databases.items():
            await database.migrate()
            for start in range(0, crowd, 250):
                await database.run(partial(_apply, events=_openings(start, min(250, crowd - start)), policy=policy))
        for number in range(rounds):
            batch = [*_openings(20_000 + 100 * number, 100), *_openings(0, 10, later=60.0)]
            for crowd, database in databases.items():
                with suppress(_UndoneError):
                    await database.run(partial(_apply, events=batch, policy=policy, taken=taken[crowd]))
        for database in databases.values():
            await database.close()
    return taken


class _UndoneError(Exception):
    """A batch was measured, and must leave nothing behind."""


def _apply(connection: Connection, events: list[Event], policy: Policy, taken: list[float] | None = None) -> None:
    """Take `events` as the writer would; with `taken` measure it, and raise so that it is undone."""
    from relay.writer import applied

    began = time.process_time()
    applied(connection, [[event] for event in events], policy, 0.0)
    if taken is not None:
        taken.append((time.process_time() - began) / len(events) * 1e6)
        raise _UndoneError


def _openings(start: int, count: int, later: float = 0.0) -> list[Event]:
    """Failures of so many objects: of ten four that stand for themselves, two that wait for a cause, and four alerts about pods."""
    from relay.core.policy import SourcePolicy
    from relay.sources import alertmanager, flux
    from relay.sources.delivered import Delivered

    now, events = 1_760_000_000.0 + later, list[Event]()
    for number in range(start, start + count):
        name = f"app-{number}"
        if number % 10 < 6:
            waits = "dependency 'flux-system/base' is not ready" if number % 10 < 2 else ""
            found = flux.parse(bodies.flux(name, now, said=waits), SourcePolicy("flux"), Policy(), now)
        else:
            pod = {"alertname": "KubePodNotReady", "severity": "warning", "namespace": name, "pod": f"{name}-0"}
            found = alertmanager.parse(bodies.alerts([pod], now), SourcePolicy("alertmanager"), Policy(), now)
        events += found.events if isinstance(found, Delivered) else ()
    return events


# --- the worst ----------------------------------------------------------------------------------------------------------


def worst() -> Iterator[Figure]:
    """The largest and most crowded body that is taken, while small events come 50 times a second."""
    with stage.folder() as place, stage.discord() as api, stage.relay(place, api) as server:
        server.load("mix", 500)
        answered: list[float] = []
        trickle = threading.Thread(target=lambda: answered.append(server.load("worst", 1, connections=1).seconds))
        trickle.start()
        others = server.load("mix", 500, rate=50.0, connections=16)
        trickle.join()
    waited = sorted(others.latencies)
    yield at_most("worst legal body, answered after", answered, 15.0, "s")
    yield Figure("… and meanwhile others wait, p50", [median(waited) * 1000], "ms")
    yield at_most("… and meanwhile others wait, p99", [_p99(others)], 1000.0, "ms")
    yield at_most("… and meanwhile others wait, at most", [waited[-1] * 1000], 1000.0, "ms")


# --- parts --------------------------------------------------------------------------------------------------------------


def parts() -> Iterator[Figure]:
    """What one step costs by itself, in this process."""
    from relay.config.trees import load_trees
    from relay.core import cards
    from relay.core.attention import Loudness
    from relay.core.card import Form
    from relay.core.joining import take
    from relay.core.known import Known
    from relay.core.policy import SourcePolicy
    from relay.discord.message import render
    from relay.sources import alertmanager, flux

    now, policy = 1_760_000_000.0, Policy(holds={"flux": 0.0})
    labels = {
        "alertname": "KubePodCrashLooping",
        "severity": "critical",
        "namespace": "media",
        "pod": "sonarr-66cc5c9fcf-9rccg",
    }
    one, group = bodies.flux("app-1", now), bodies.alerts([labels], now, 80)
    known, library = Known(), load_trees(None)
    delivered = alertmanager.parse(group, SourcePolicy("alertmanager"), policy, now)
    take(known, delivered.events[0], policy)  # type: ignore[union-attr]  # The body is ours.
    (signal,), (incident,) = known.signals.values(), known.incidents.values()
    hint = library.hint(signal)
    card = cards.build(incident, [signal], hint, cards.Context(now=now))
    yield Figure("parse, a Flux event", _each(lambda: flux.parse(one, SourcePolicy("flux"), policy, now)), "µs")
    yield Figure(
        "parse, a group of one alert", _each(lambda: alertmanager.parse(group, SourcePolicy("a"), policy, now)), "µs"
    )
    yield Figure("hint of a signal", _each(lambda: library.hint(signal)), "µs")
    yield Figure(
        "card of an incident", _each(lambda: cards.build(incident, [signal], hint, cards.Context(now=now))), "µs"
    )
    yield Figure(
        "message of a card", _each(lambda: render([(card, Form.FULL)], loudness=Loudness.NOTIFY, mentions=())), "µs"
    )


def trees() -> Iterator[Figure]:
    """The whole library, asked for each of its own examples; and what it holds."""
    from relay.config.trees import load_trees
    from relay.core.facts import derive
    from relay.core.tree import nodes, written

    library, loads = load_trees(None), []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        library = load_trees(None)
        loads.append((time.perf_counter() - began) * 1000)
    asked = [derive(example.given) for tree in library.trees for example in tree.examples]
    walks = [_walked(library, asked) for _ in range(ROUNDS + 1)][1:]  # The first one compiles what is first asked.
    yield at_most("all trees loaded", loads, 300.0, "ms")
    yield Figure("one walk of the library, p50", [median(walk) for walk in walks], "µs")
    yield at_most("one walk of the library, p99", [quantiles(walk, n=100)[98] for walk in walks], 300.0, "µs")
    found = [node for tree in library.trees for node in nodes(tree.root)]
    yield Figure("trees", [float(len(library.trees))])
    yield Figure("… with leaves and questions", [float(sum(bool(node.leaf) for node in found))])
    yield Figure("… and examples", [float(len(asked))])
    yield Figure(
        "… and commands", [float(len({written(step.run) for node in found for step in node.steps if step.run}))]
    )


def _walked(library: Library, asked: list[Facts]) -> list[float]:
    taken = []
    for known in asked:
        began = time.perf_counter()
        library.explain(known)
        taken.append((time.perf_counter() - began) * 1e6)
    return taken


def _each(work: Callable[[], object], times: int = 500, rounds: int = 7) -> list[float]:
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(times):
            work()
        taken.append((time.perf_counter() - began) / times * 1e6)
    return taken


ALL: Final[dict[str, Callable[[], Iterator[Figure]]]] = {
    "throughput": throughput,
    "latency": latency,
    "discord": discord,
    "start": start,
    "memory": memory,
    "crowded": crowded,
    "worst": worst,
    "parts": parts,
    "trees": trees,
}
