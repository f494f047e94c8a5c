"""Two replicas on one PostgreSQL: any takes deliveries, one sends, and when it dies another goes on without a word lost."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy import select, update

from relay.demo.discord import Kind, StandIn
from relay.storage.engine import Database
from relay.storage.tables import lease, messages
from tests.bench.storm import named, seen
from tests.path.stage import Clock, Place, Process, Running, alert, process_at, relay_at
from tests.postgresql import server

SENDS = "this replica sends"


@pytest.fixture
async def places(
    standin: StandIn,
    clock: Clock,
    tmp_path: Path,
) -> AsyncIterator[tuple[Place, Place]]:
    """The files of two relays with one database and one Discord."""
    with server() as running, running.database() as url:
        async with standin.running() as api:
            made = []
            for name in ("a", "b"):
                (tmp_path / name).mkdir()
                place = Place(tmp_path / name, standin, api, clock)
                place.env["RELAY_DATABASE_URL"] = url
                made.append(place)
            database = Database.open(url)
            await database.migrate()
            await database.close()
            yield made[0], made[1]
    standin.assert_never_two_in_flight_per_webhook()
    standin.assert_no_429()


async def opens(running: Running | Process, number: int) -> None:
    one = alert("KubePodCrashLooping", "error", pod=named(number), starts=running.clock())
    await running.alerts(one, key=f"g{number}")


async def until(seen_now: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not seen_now():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


@pytest.mark.postgres
async def test_any_takes_deliveries_one_sends_and_who_stops_hands_over_at_once(places: tuple[Place, Place]) -> None:
    first, second = places
    standin = first.standin
    async with AsyncExitStack() as stack:
        a = await stack.enter_async_context(relay_at(first))
        await until(lambda: len(standin.requests) == 1, 20)
        async with relay_at(second) as b:
            await opens(a, 1)
            await opens(b, 2)
            await until(lambda: len(seen(standin.messages()).shown) == 2, 20)
            assert len([request for request in standin.requests if request.method == "GET"]) == 1, "one of them sends"
            await stack.aclose()
            await opens(b, 3)
            await until(lambda: len(seen(standin.messages()).shown) == 3, 10)


@pytest.mark.postgres
async def test_when_the_sender_is_killed_another_goes_on_and_nothing_is_lost(places: tuple[Place, Place]) -> None:
    first, second = places
    standin = first.standin
    async with process_at(first) as a, process_at(second) as b:
        await until(lambda: SENDS in a.log.read_text() + b.log.read_text(), 20)
        sender, other = (a, b) if SENDS in a.log.read_text() else (b, a)
        for number in range(10):
            await opens(sender if number % 2 else other, number)
        standin.fault(Kind.SLOW_HEADERS, match=lambda request: request.method != "GET", seconds=3.0)
        began = len(standin.requests)
        await opens(other, 10)
        await until(lambda: len(standin.requests) > began, 20)
        sender.kill()
        for number in range(11, 20):
            await opens(other, number)
        await until(lambda: len(seen(standin.messages()).shown) == 20, 30)
    texts = [message.content for message in standin.messages()]
    assert len(texts) - len(set(texts)) <= 1, "twice only where nobody can know"


async def test_a_holder_that_is_late_writes_nothing_and_the_next_shows_the_same_once_more(relay: Running) -> None:
    relay.standin.fault(Kind.SLOW_HEADERS, match="POST", seconds=2.0)
    await relay.fires()
    await relay.until(lambda: relay.requests() == 1, "its request is under way")
    await relay.relay.writer.transact(lambda c: c.execute(update(lease).values(held_by="another")))
    await relay.until(lambda: len(relay.messages()) == 2, "whoever holds the lease shows it")
    await relay.settled()
    kept = await relay.relay.database.read(lambda c: c.execute(select(messages.c.discord_id)).scalars().all())
    assert kept == [relay.messages()[1].id], "of the first nothing is written down"
