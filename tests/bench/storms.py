"""Storms as a reader of the channel meets them: a real relay against a strict Discord, and Alertmanager's own messages beside it.

Discord here allows what it is known to allow: 5 requests in 2 s for each route of a webhook, 30 new messages a minute. All in real time.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Final

import aiohttp

from relay.demo.discord import Limits, StandIn
from tests.bench.figures import Figure
from tests.bench.machine import resident
from tests.bench.storm import marked, named, posts, seen
from tests.path.stage import ROLE, Clock, Json, Place, Process, alert, process_at, rfc3339
from tests.senders.stage import free_port, program

SENDERS: Final = 32
"""Requests under way at once."""
PATIENCE: Final = 150.0


def told(name: str, value: float, unit: str = "") -> Figure:
    return Figure(name, [value], unit)


def at_most(name: str, value: float, goal: float, unit: str = "") -> Figure:
    return Figure(name, [value], unit, goal, most=True)


def at_least(name: str, value: float, goal: float, unit: str = "") -> Figure:
    return Figure(name, [value], unit, goal)


@dataclass
class Scene:
    """One relay, its Discord, and who sends."""

    process: Process
    standin: StandIn

    @property
    def memory(self) -> float:
        return resident(self.process.child.pid)

    async def sends(self, count: int, seconds: float, of: Callable[[int], Json]) -> tuple[float, dict[int, float]]:
        """`count` deliveries spread over `seconds`: when the first was sent, and when each was answered."""
        answered: dict[int, float] = {}
        turns, began = asyncio.Semaphore(SENDERS), time.time()

        async def one(number: int) -> None:
            async with turns:
                await self.process.alerts(of(number), key=f"g{number}")
            answered[number] = time.time()

        async with asyncio.TaskGroup() as group:
            for number in range(count):
                await asyncio.sleep(max(0.0, began + number * seconds / count - time.time()))
                group.create_task(one(number))
        return began, answered

    async def until(self, seen_now: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not seen_now() and time.monotonic() < deadline:  # noqa: ASYNC110  # Nobody tells when a reader has seen it.
            await asyncio.sleep(0.5)


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    standin = StandIn()
    standin.add_webhook("11", "token", "20", "30", name="relay")
    standin.add_webhook("12", "other", "21", "30", name="relay")
    standin.add_role(ROLE, "oncall")
    with tempfile.TemporaryDirectory() as folder:
        async with standin.running() as api, process_at(Place(Path(folder), standin, api, Clock())) as process:
            await asyncio.sleep(1.0)
            yield Scene(process, standin)


def opening(severity: str = "critical") -> Callable[[int], Json]:
    return lambda number: alert("KubePodCrashLooping", severity, pod=named(number), starts=time.time())


def ending(severity: str = "critical") -> Callable[[int], Json]:
    return lambda number: alert(
        "KubePodCrashLooping", severity, pod=named(number), starts=time.time() - 1, ends=time.time()
    )


# --- the storms ---------------------------------------------------------------------------------------------------------


async def _storm(count: int, seconds: float, *, by: float, over_by: float, waits: float | None) -> list[Figure]:
    """`count` open within `seconds`, and then are over within `seconds`."""
    name = f"{count:,} in {seconds:.0f} s"
    async with scene() as on:
        began, answered = await on.sends(count, seconds, opening())
        await on.until(lambda: len(seen(on.standin.messages("20")).shown) == count)
        shown = seen(on.standin.messages("20")).shown
        messages = on.standin.messages("20")
        mentions = sum(bool(push.mentioned) for push in on.standin.pushes)
        left = 25 - max(posts(on.standin, at, at + 60) for at in (began, began + 30))
        again, _ = await on.sends(count, seconds, ending())
        await on.until(lambda: len(seen(on.standin.messages("20")).over) == count)
        over = seen(on.standin.messages("20")).over
        late = [shown.get(number, began + PATIENCE) - at for number, at in answered.items()]
        return [
            told(f"{name}: sent within", max(answered.values()) - began, "s"),
            at_most(f"{name}: longest from 202 to visible", max(late), waits, "s")
            if waits is not None
            else told(f"{name}: longest from 202 to visible", max(late), "s"),
            at_most(f"{name}: all visible by second", max(shown.values()) - began, by, "s"),
            at_most(f"{name}: never visible", count - len(shown), 0),
            at_most(f"{name}: messages", len(messages), 15 if waits is not None else 35),
            at_most(f"{name}: mentions", mentions, 3),
            *([at_least(f"{name}: posts left in the minute", left, 8)] if waits is not None else []),
            at_most(f"{name}: all over by second", max(over.values()) - again, over_by, "s"),
            at_most(f"{name}: never shown to be over", count - len(over), 0),
            at_most(f"{name}: answers 429", sum(one.status == 429 for one in on.standin.requests), 0),
            at_most(f"{name}: memory", on.memory, 130, "MB"),
        ]


async def _stream(count: int, seconds: float) -> list[Figure]:
    """Between calm and storm."""
    name = f"{count:,} in {seconds:.0f} s"
    async with scene() as on:
        _, answered = await on.sends(count, seconds, opening())
        await on.until(lambda: len(seen(on.standin.messages("20")).shown) == count)
        shown = seen(on.standin.messages("20")).shown
        late = [shown.get(number, PATIENCE) - at for number, at in answered.items()]
        return [
            at_most(f"{name}: longest from 202 to visible", max(late), 3, "s"),
            told(f"{name}: messages", len(on.standin.messages("20"))),
            at_most(f"{name}: answers 429", sum(one.status == 429 for one in on.standin.requests), 0),
        ]


async def _changing(count: int, rate: float, seconds: float) -> list[Figure]:
    """Of `count` that stand in packed Messages, `rate` a second become worse or better again, for `seconds`."""
    name = f"{rate:.0f} changes a second"
    dice = random.Random(7)
    changes: dict[int, list[tuple[float, bool]]] = {}
    worse: dict[int, float] = {}
    async with scene() as on:
        await on.sends(count, 10.0, opening("warning"))
        await on.until(lambda: len(seen(on.standin.messages("20")).shown) == count)
        free = set(range(count))

        def change(_: int) -> Json:
            number = dice.choice(tuple(free))
            free.discard(number)
            asyncio.get_running_loop().call_later(0.5, free.add, number)  # Its answer comes before its next change.
            now, starts = time.time(), worse.pop(number, None)
            changes.setdefault(number, []).append((now, starts is None))
            if starts is not None:
                return alert("KubePodNotReady", "error", pod=named(number), starts=starts, ends=now)
            worse[number] = now
            return alert("KubePodNotReady", "error", pod=named(number), starts=now)

        began, _ = await on.sends(int(rate * seconds), seconds, change)
        ended = time.time()
        await asyncio.sleep(12.0)
        delays = sorted(_delays(changes, on.standin))
        final = [delay for number, one in changes.items() for delay in _delays({number: one[-1:]}, on.standin)]
        return [
            told(f"{name}: sent within", ended - began, "s"),
            told(f"{name}: messages", len(on.standin.messages("20"))),
            at_most(f"{name}: staleness p99", quantiles(delays, n=100)[98], 10, "s"),
            at_most(f"{name}: converged after", max(final), 10, "s"),
            at_most(f"{name}: answers 429", sum(one.status == 429 for one in on.standin.requests), 0),
            at_most(f"{name}: memory", on.memory, 130, "MB"),
        ]


def _delays(changes: dict[int, list[tuple[float, bool]]], standin: StandIn) -> Iterator[float]:
    """From each change until what was shown is what was true at some time since."""
    shown: dict[int, list[tuple[float, bool]]] = {}
    for at, stood in sorted(
        ((version.at, marked(version, "❌")) for one in standin.messages("20") for version in one.history),
        key=lambda pair: pair[0],
    ):
        for number, is_worse in stood.items():
            shown.setdefault(number, []).append((at, is_worse))
    for number, moments in changes.items():
        seen_at = shown.get(number, [])
        for index, (at, _) in enumerate(moments):
            yield next((now - at for now in _agreed(moments[index:], seen_at, at)), PATIENCE)


def _agreed(
    truths: Sequence[tuple[float, bool]], seen_at: Sequence[tuple[float, bool]], since: float
) -> Iterator[float]:
    """The instants from `since` on at which what is shown is what has been true at some time since."""
    moments = sorted({since, *(at for at, _ in truths), *(at for at, _ in seen_at if at >= since)})
    for now in moments:
        display = [state for at, state in seen_at if at <= now]
        if display and display[-1] in {state for at, state in truths if at <= now}:
            yield now


# --- beside it ----------------------------------------------------------------------------------------------------------

_ALERTMANAGER: Final = """\
route: {{receiver: discord, group_by: [alertname, pod], group_wait: 1s, group_interval: 10s, repeat_interval: 4h}}
receivers: [{{name: discord, discord_configs: [{{webhook_url: "{url}"}}]}}]
"""


async def _alertmanagers_own(count: int, seconds: float) -> list[Figure]:
    """The same storm through Alertmanager's own messages, one for each, as it would be without the relay."""
    name = f"Alertmanager alone, {count:,} in {seconds:.0f} s"
    standin, port = StandIn(strict=False, limits=Limits(ban_after=10_000)), free_port()
    standin.add_webhook("11", "token", "20", "30", name="alertmanager")
    binary = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager") or "prometheus-alertmanager"
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        async with standin.running() as api:
            (folder / "alertmanager.yml").write_text(_ALERTMANAGER.format(url=f"{api}/webhooks/11/token"))
            async with (
                program(
                    binary,
                    f"--config.file={folder / 'alertmanager.yml'}",
                    f"--storage.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                    "--cluster.listen-address=",
                    log=folder / "log",
                    ready=f"http://127.0.0.1:{port}/-/ready",
                ),
                aiohttp.ClientSession() as session,
            ):
                began = time.time()
                for first in range(0, count, 20):
                    await asyncio.sleep(max(0.0, began + first * seconds / count - time.time()))
                    some = [
                        {
                            "labels": opening()(number)["labels"],
                            "annotations": opening()(number)["annotations"],
                            "startsAt": rfc3339(time.time()),
                        }
                        for number in range(first, min(first + 20, count))
                    ]
                    async with session.post(f"http://127.0.0.1:{port}/api/v2/alerts", json=some) as answer:
                        answer.raise_for_status()
                await asyncio.sleep(max(0.0, began + 60.0 - time.time()))
                within = len(seen(standin.messages("20")).shown)
                await asyncio.sleep(60.0)
        refused = sum(one.status is not None and one.status >= 400 for one in standin.requests)
        return [
            told(f"{name}: visible after 60 s", within),
            told(f"{name}: visible after 120 s", len(seen(standin.messages("20")).shown)),
            told(f"{name}: not visible", count - len(seen(standin.messages("20")).shown)),
            told(f"{name}: requests refused", refused),
            told(f"{name}: messages", len(standin.messages("20"))),
        ]


def storms() -> Iterator[Figure]:
    """All of them, in about seven minutes."""
    yield from asyncio.run(_storm(1000, 10.0, by=13.0, over_by=15.0, waits=3.0))
    yield from asyncio.run(_alertmanagers_own(1000, 10.0))
    yield from asyncio.run(_stream(100, 50.0))
    yield from asyncio.run(_storm(10_000, 10.0, by=90.0, over_by=30.0, waits=None))
    yield from asyncio.run(_changing(1000, 400.0, 60.0))
