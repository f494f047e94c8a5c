"""What is promised while the relay's own parts fail: a database that is away, a restart in any state, a channel that goes and comes."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy import event as sa_event

from relay.config.load import load
from relay.demo.discord import Kind
from relay.storage.engine import Database, UnusableDatabaseError
from tests.path.conftest import Start
from tests.path.stage import BOTH, CHANNELS, TWO, Place, Running, alert, event, group


@asynccontextmanager
async def _full(relay: Running) -> AsyncIterator[None]:
    """Within it there is no room for one more page, for the connection that is open and for each that is opened."""
    pages = [
        await relay.relay.database.run(lambda connection: connection.execute(text("PRAGMA page_count")).scalar_one())
    ]

    def limit(connection: sqlite3.Connection, _: object = None) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages[0]}")

    def limit_the_open_one(connection: Connection) -> None:
        limit(cast("sqlite3.Connection", connection.connection.driver_connection))

    sa_event.listen(Engine, "connect", limit)
    await relay.relay.database.run(limit_the_open_one)
    try:
        yield
    finally:
        sa_event.remove(Engine, "connect", limit)
        pages[0] = 1_000_000
        await relay.relay.database.run(limit_the_open_one)


async def test_a_full_disk_is_503_and_over_without_a_restart(relay: Running) -> None:
    await relay.settled()
    async with _full(relay):
        bodies = [event(f"{'x' * 200}{n}", message="m" * 9000, at=relay.clock()) for n in range(20)]
        answers = [await relay.post("/flux", body) for body in bodies]
        assert answers == sorted(answers), "what fitted, then nothing more"
        assert set(answers) <= {202, 503}
        assert answers[-1] == 503
        async with relay.session.post(relay.url + "/flux", data=b"{}") as answer:
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) > 0
        assert (await relay.get("/readyz"))[0] == 503
        assert (await relay.get("/healthz"))[0] == 200, "a restart would not help"
    relay.relay.deadlines.look()
    await relay.until(lambda: relay.relay.writer.ready, "it is ready again")
    assert (await relay.get("/readyz"))[0] == 200
    await relay.fails("apps")
    await relay.until(lambda: any("Flux apps" in content for content in relay.shown()), "it goes on")


async def test_what_discord_answered_is_recorded_once_the_disk_has_room_and_not_asked_again(relay: Running) -> None:
    relay.standin.fault(Kind.SLOW_HEADERS, match="POST", seconds=1.0)
    await relay.fires()
    await relay.until(lambda: relay.requests() == 1, "the page is on its way")
    await relay.relay.database.run(lambda c: c.execute(text("PRAGMA query_only = ON")))
    await relay.until(lambda: relay.standin.requests[-1].answered is not None, "Discord has it")
    await asyncio.sleep(0.1)
    assert await relay.due() == ["ops"]
    await relay.settled()
    assert relay.requests() == 1
    assert len(relay.messages()) == 1


async def test_a_second_relay_on_the_same_file_is_kept_out(place: Place, relay: Running) -> None:
    assert relay.relay.writer.ready
    with pytest.raises(UnusableDatabaseError, match="Another relay serves from this database"):
        Database.open(load(place.file, place.env).database_url.reveal(), serving=True)


STATES = ["held", "due", "paged", "ended", "pointing"]


@pytest.mark.parametrize("state", STATES)
async def test_a_restart_goes_on_in_any_state(place: Place, start: Start, state: str) -> None:
    place.configure(hold="60s" if state == "held" else "0s")
    async with start() as relay:
        await relay.until(lambda: len(relay.standin.requests) == 1, "the webhook was looked at")
        match state:
            case "held":
                await relay.fails("apps")
            case "due":
                relay.standin.fault(Kind.STATUS, match="POST", status=503)
                await relay.fires(severity="error")
                await relay.until(lambda: relay.requests() == 1, "it was tried")
            case "paged":
                relay.standin.fault(Kind.DROPPED_BEFORE, match="POST")
                await relay.fires()
                await relay.until(lambda: relay.requests() == 1, "it was tried")
            case "ended":
                crash = await relay.fires()
                await relay.settled()
                await relay.resolves(crash)
                await relay.settled()
            case _:
                await relay.fires(severity="warning")
                await relay.settled()
                relay.standin.fault(Kind.STATUS, match="PATCH", status=503)
                await relay.fires()
                await relay.until(lambda: relay.requests() == 3, "the pointer was tried")
    async with start() as relay:
        await relay.skip(180)
        signs = [content[:1] for content in relay.shown()]
    assert (
        signs == {"held": ["❌"], "due": ["❌"], "paged": ["🚨"], "ended": ["✅", "✅"], "pointing": ["↪", "🚨"]}[state]
    )


async def test_after_a_restart_the_attempts_of_before_fill_the_pacer(place: Place, start: Start) -> None:
    async with start() as relay:
        now = relay.clock()
        for number in range(4):
            await relay.alerts(alert(f"A{number}", "warning", pod=f"app{number}-0", starts=now), key=f"g{number}")
        await relay.settled()
    async with start() as relay:
        await relay.alerts(alert("A5", "warning", pod="app5-0", starts=now), key="g5")
        await relay.settled()
    posts = [request.time for request in place.standin.requests if request.method == "POST"]
    assert posts[4] - posts[0] >= 2.1
    place.standin.assert_no_429()


async def test_a_removed_channel_is_left_and_one_that_comes_back_shows_what_is_open(place: Place, start: Start) -> None:
    place.configure(TWO, BOTH)
    async with start() as relay:
        crash = await relay.fires()
        await relay.fires("Over", pod="over-0")
        await relay.settled()
        place.configure(CHANNELS)
        assert await relay.relay.reload()
        await relay.until_async(
            lambda c: c.execute(text("SELECT count(*) FROM postings WHERE closed")).scalar_one() == 2
        )
        await relay.fires("Meanwhile", pod="new-0")
        await relay.settled()
        assert len(relay.messages("21")) == 2
        place.configure(TWO, BOTH)
        assert await relay.relay.reload()
        await relay.until(lambda: len(relay.messages("21")) == 3, "what opened meanwhile is shown there too")
        await relay.resolves(crash)
        await relay.settled()
        assert relay.shown("21")[0].startswith("✅")


async def test_a_new_channel_gets_what_is_open_at_a_reload(place: Place, start: Start) -> None:
    async with start() as relay:
        await relay.fires()
        await relay.settled()
        place.configure(TWO, BOTH)
        assert await relay.relay.reload()
        await relay.until(lambda: len(relay.messages("21")) == 1, "it is routed there")


async def test_a_new_channel_gets_what_is_open_at_a_restart(place: Place, start: Start) -> None:
    async with start() as relay:
        await relay.fires()
        await relay.settled()
    place.configure(TWO, BOTH)
    async with start() as relay:
        await relay.until(lambda: len(relay.messages("21")) == 1, "it is routed there")


async def test_of_a_channel_that_is_gone_nothing_stays_due(place: Place, start: Start) -> None:
    place.configure(TWO, BOTH)
    async with start() as relay:
        crash = await relay.fires()
        await relay.settled()
        await relay.resolves(crash)
        await relay.settled()
    place.configure(CHANNELS)
    async with start() as relay:
        await relay.skip(200)
        await relay.until_async(
            lambda c: c.execute(text("SELECT count(*) FROM postings WHERE due_at > 0")).scalar_one() == 0
        )
    assert [len(place.standin.messages(channel)) for channel in ("20", "21")] == [2, 1]


async def test_a_bad_file_is_refused_and_the_last_good_one_stays(place: Place, start: Start) -> None:
    async with start() as relay:
        configuration = relay.relay.live.configuration
        place.write("relay.yaml", "channels: {ops: {webhook_url_file: nowhere}}\n")
        assert not await relay.relay.reload()
        assert relay.relay.live.configuration is configuration
        await relay.fires()
        await relay.settled()
        assert len(relay.messages()) == 1


async def test_a_changed_file_is_taken_without_being_told(place: Place, start: Start) -> None:
    async with start() as relay:
        place.configure(CHANNELS, "incidents: {settle: 0s}\n")
        await relay.until(lambda: relay.relay.live.policy.incidents.settle == 0, "it was taken")


async def test_secrets_rotated_in_their_files_are_taken(place: Place, start: Start) -> None:
    async with start() as relay:
        place.write("token", "another-token\n")
        place.webhook("ops", "11", place.standin.rotate_token("11"))
        assert await relay.post("/alertmanager", group()) == 401
        bearer = {"Authorization": "Bearer another-token"}
        body = group(alert(starts=relay.clock()))
        assert await relay.post("/alertmanager", body, bearer) == 202
        await relay.until(lambda: relay.relay.reconciler.dead == ("ops",) or len(relay.messages()) == 1, "it found out")
        assert await relay.relay.reload()
        await relay.until(lambda: len(relay.messages()) >= 1, "the new URL is taken")


async def test_the_folder_of_a_database_must_be_there(place: Place, start: Start, tmp_path: Path) -> None:
    place.env["RELAY_DATABASE_URL"] = f"sqlite:///{tmp_path}/nowhere/relay.db"
    with pytest.raises(UnusableDatabaseError, match="does not exist"):
        async with start():
            pass
