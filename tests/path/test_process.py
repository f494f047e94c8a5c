"""The process as an operator runs it: 202 means stored, whatever kills it; it stops in time, and says why it does not start."""

import asyncio
import itertools
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import Connection

from relay.demo.discord import Kind, Limits, StandIn
from relay.reconcile.sender import WAITS
from relay.storage import delivery, meta
from relay.storage.engine import Database
from tests.path.conftest import Start, StartProcess
from tests.path.stage import CHANNELS, KEY, PATIENCE, Clock, Place, Process, alert


@pytest.fixture
def standin(clock: Clock) -> StandIn:
    """Faster than Discord, so that what many kills left due is soon shown; the relay's own pace is not."""
    made = StandIn(clock=clock)
    made.add_webhook("11", "token", "20", "30")
    made.add_webhook("12", "other", "21", "30")
    return made


async def until_shown(standin: StandIn, starts: tuple[str, ...]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not {message.content[:2] for message in standin.messages()} >= set(starts):
        assert time.monotonic() < deadline, [message.content for message in standin.messages()]
        await asyncio.sleep(0.02)


async def test_what_was_answered_202_survives_a_kill_right_after_it(place: Place, process: StartProcess) -> None:
    async with process() as first:
        await first.fails("apps")
        first.kill()
        await first.ended()
    async with process():
        await until_shown(place.standin, ("❌ ",))
    assert len(place.standin.messages()) <= 2, "twice only where nobody can know"


async def test_kills_under_load_lose_nothing_and_send_no_burst(place: Place, process: StartProcess) -> None:
    """At random moments, ten times or for twenty seconds: three objects fail and recover; in the end each shows what was last accepted."""
    place.configure(CHANNELS, "incidents: {flapping: {reopenings: 100}}\n")
    dice = random.Random(7)
    accepted: dict[str, bool] = {}
    names = [f"app{number}" for number in range(3)]
    began = time.monotonic()
    kills = 0
    for _ in range(10):
        if time.monotonic() - began > 20:
            break
        async with process() as running:
            loads = [asyncio.create_task(_load(running, name, accepted)) for name in names]
            await asyncio.sleep(dice.uniform(0.05, 1.2))
            running.kill()
            kills += 1
            await running.ended()
            for load in loads:
                load.cancel()
            await asyncio.wait(loads)
    assert kills >= 3
    place.free_port()
    async with process() as running:
        for name in names:
            await _tell(running, name, firing=accepted.get(name, False))
        place.standin.limiter.limits = Limits.off()
        deadline = time.monotonic() + PATIENCE
        while wrong := _wrong(place, accepted):
            assert time.monotonic() < deadline, wrong
            await asyncio.sleep(0.05)
    place.standin.assert_no_429()
    place.standin.assert_never_two_in_flight_per_webhook()
    posts = [request.time for request in place.standin.requests if request.method == "POST"]
    assert all(fifth - first >= 2.0 for first, fifth in zip(posts, posts[4:], strict=False)), "attempts fill the pacer"
    assert _duplicates(place) <= kills


async def _load(running: Process, name: str, accepted: dict[str, bool]) -> None:
    for turn in itertools.count():
        try:
            await _tell(running, name, firing=turn % 2 == 0)
        except (aiohttp.ClientError, AssertionError):
            return
        accepted[name] = turn % 2 == 0
        await asyncio.sleep(0.02)


async def _tell(running: Process, name: str, *, firing: bool) -> None:
    await (running.fails(name) if firing else running.recovers(name))


def _named(place: Place, name: str) -> list[str]:
    """What each message says of it, whether it stands there alone or among others."""
    found = []
    for message in place.standin.messages():
        embeds = [str(embed.get(part, "")) for embed in message.now.embeds for part in ("title", "description")]
        lines = [message.content, *(line for text in embeds for line in text.split("\n"))]
        found += [line for line in lines if f"Flux {name} " in line][:1]
    return found


def _wrong(place: Place, accepted: dict[str, bool]) -> list[str]:
    """What the newest card of each object shows otherwise than what was last accepted."""
    wrong = []
    for name, firing in accepted.items():
        newest = next(iter(reversed(_named(place, name))), "nothing" if firing else "✅")
        if newest.startswith("❌") is not firing:
            wrong.append(f"{name} {'fails' if firing else 'is well'}, shown: {newest}")
    return wrong


def _duplicates(place: Place) -> int:
    ids = Counter(
        str(message.now.embeds[0].get("footer")) for message in place.standin.messages() if message.now.embeds
    )
    return sum(count - 1 for count in ids.values())


async def test_a_stop_under_load_loses_nothing_and_takes_no_long_time(place: Place, process: StartProcess) -> None:
    place.configure(CHANNELS, "incidents: {flapping: {reopenings: 100}}\n")
    place.standin.fault(Kind.SLOW_HEADERS, match="POST", times=3, seconds=0.6)
    async with process() as running:
        accepted: dict[str, bool] = {}
        loads = [asyncio.create_task(_load(running, f"app{number}", accepted)) for number in range(4)]
        await asyncio.sleep(0.7)
        began = time.monotonic()
        running.kill(signal.SIGTERM)
        assert await running.ended() == 0
        assert time.monotonic() - began < 5
        await asyncio.wait(loads)
    async with process():
        deadline = time.monotonic() + PATIENCE
        while wrong := _wrong(place, accepted):
            assert time.monotonic() < deadline, wrong
            await asyncio.sleep(0.05)
    assert _duplicates(place) == 0, "a stop in time knows what it sent"


async def test_a_wait_that_discord_told_is_kept_over_a_kill(place: Place, process: StartProcess) -> None:
    async with process() as running:
        place.standin.fault(Kind.RETRY_AFTER_LONG, match="POST", seconds=600.0)
        await running.fires()
        await _kept(place, lambda c: meta.get_meta(c, WAITS + "11") is not None)
        running.kill()
        await running.ended()
    asked = len(place.standin.requests)
    async with process():
        await asyncio.sleep(1.5)
        assert len(place.standin.requests) == asked, "not even to ask where the webhook posts"


async def test_a_relay_that_waits_for_room_stops_at_once(place: Place, process: StartProcess) -> None:
    async with process() as running:
        place.standin.fault(Kind.RETRY_AFTER_LONG, match="POST", seconds=600.0)
        await running.fires()
        await _kept(place, lambda c: meta.get_meta(c, WAITS + "11") is not None)
        began = time.monotonic()
        running.kill(signal.SIGTERM)
        assert await running.ended() == 0
        assert time.monotonic() - began < 5


async def test_a_request_while_it_stops_is_answered_503_or_not_at_all(place: Place, process: StartProcess) -> None:
    async with process() as running:
        body = b"[" + b"1," * 3000
        kept = asyncio.create_task(_slow_delivery(place.port, body))
        await asyncio.sleep(0.2)
        began = time.monotonic()
        running.kill(signal.SIGTERM)
        assert await kept in (b"503", b"")
        assert await running.ended() == 0
        assert time.monotonic() - began < 5


async def _slow_delivery(port: int, body: bytes) -> bytes:
    """A delivery whose body comes late. Returns the status, empty where the connection was closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        f"POST /flux HTTP/1.1\r\nHost: relay\r\nX-Signature: sha256={'0' * 64}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    try:
        writer.write(head.encode())
        await writer.drain()
        await asyncio.sleep(0.7)
        writer.write(body)
        await writer.drain()
        return (await reader.readline())[9:12]
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_a_second_relay_on_the_same_file_says_so_and_ends(place: Place, process: StartProcess) -> None:
    async with process() as running:
        first = place.env["RELAY_LISTEN"]
        place.free_port()
        with pytest.raises(AssertionError, match="Another relay serves from this database"):
            async with process():
                pass
        place.env["RELAY_LISTEN"] = first
        assert (await running.get("/healthz"))[0] == 200


async def test_a_part_that_dies_ends_the_process_with_an_error(place: Place, process: StartProcess) -> None:
    async with process() as running:
        with sqlite3.connect(place.database) as other:
            other.execute("DROP TABLE attempts")
        await running.fails("apps")
        assert await running.ended() == 1
        assert "a part of the relay died" in running.log.read_text()
        assert "token" not in running.log.read_text().replace("alertmanager-token", "")


async def test_hangup_reloads_and_a_bad_file_is_refused_loudly(place: Place, process: StartProcess) -> None:
    async with process() as running:
        good = place.file.read_text()
        place.write("relay.yaml", good.replace("channels:", "chanels:"))
        running.kill(signal.SIGHUP)
        await _logged(running.log, "configuration refused")
        assert "did you mean" in running.log.read_text() or "chanels" in running.log.read_text()
        await running.fails("apps")
        await until_shown(place.standin, ("❌ ",))
        place.write("flux-hmac", "another-key")
        place.write("relay.yaml", good)
        running.kill(signal.SIGHUP)
        await _logged(running.log, "configuration taken")
        assert await running.post("/flux", b"{}") == 401, "the rotated key is taken"
        place.write("flux-hmac", KEY.decode())
        assert await running.post("/flux", b"{}") == 202


async def _logged(log: Path, words: str, times: int = 1) -> None:
    deadline = time.monotonic() + PATIENCE
    while (text := await asyncio.to_thread(log.read_text)).count(words) < times:
        assert time.monotonic() < deadline, text
        await asyncio.sleep(0.02)


async def _kept(place: Place, seen: Callable[[Connection], bool]) -> None:
    """Wait for what the database of its relay holds, read beside it as a command does."""
    database = Database.open(place.env["RELAY_DATABASE_URL"])
    try:
        deadline = time.monotonic() + PATIENCE
        while not await database.read(seen):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
    finally:
        await database.close()


async def test_the_database_of_a_process_is_taken_over_by_the_next(
    place: Place, process: StartProcess, start: Start
) -> None:
    async with process() as running:
        await running.fires()
        await _kept(place, lambda c: [one.outcome for one in delivery.recent_attempts(c, 0.0)] == ["sent"])
        running.kill()
        await running.ended()
    async with start() as relay:
        await relay.resolves(alert(starts=relay.clock() - 60))
        await relay.skip(121)
        assert [message.content[:1] for message in relay.messages()] == ["✅", "✅"]
