"""The status message: the first thing a new installation posts, and the last thing that every change waits for."""

import asyncio
import time
from datetime import UTC, datetime

import pytest

from relay.demo.discord import Message
from relay.storage import bulletins, meta
from tests.path.stage import Place, Running, event, recovery, relay_at

WITH_STATUS = "channels: {ops: {webhook_url_file: discord-ops, mention: ['<@&1234>']}}\n"


def text(message: Message) -> str:
    return "\n".join([message.content, *(str(embed.get("description", "")) for embed in message.embeds)])


async def status(relay: Running, *words: str) -> Message:
    """The Channel's status message, once it says all these words."""

    def says() -> bool:
        relay.clock.ahead += 1.0
        relay.relay.reconciler.wake()
        return any(
            all(word in text(message) for word in words) and "checked" in text(message) for message in relay.messages()
        )

    await relay.until(says, f"a status that says {words}: {[text(one) for one in relay.messages()]}")
    (found,) = [message for message in relay.messages() if "checked" in text(message)]
    return found


async def test_a_new_installation_says_hello_and_what_is_missing(place: Place) -> None:
    place.configure(WITH_STATUS)
    async with relay_at(place) as relay:
        hello = await status(relay, "is connected, and has heard nothing yet")
        assert hello.silent
        said = text(hello)
        assert (
            "- nothing was ever heard from flux and alertmanager: `relay init FOLDER --cluster homelab` writes" in said
        )
        assert "if the relay dies" in said


async def test_it_names_what_is_open_with_a_link_and_then_that_nothing_is(place: Place) -> None:
    place.configure(WITH_STATUS)
    async with relay_at(place) as relay:
        first = await status(relay, "has heard nothing yet")
        fired = await relay.fires(pod="sonarr-0")
        shown = await status(
            relay, "homelab: 1 open problem, worst: sonarr is crash-looping", "](<https://discord.com/channels/"
        )
        assert shown.id == first.id, "it is edited, never posted again"
        await relay.resolves(fired)
        well = await status(relay, "🟢 homelab: nothing is wrong", "**Last:** ✅ sonarr")
        assert well.id == first.id
        assert "alertmanager <t:" in text(well)


async def test_who_deletes_it_gets_it_once_more_and_then_is_left_alone(place: Place) -> None:
    place.configure(WITH_STATUS)
    async with relay_at(place) as relay:
        for _ in range(2):
            await status(relay, "has heard nothing yet")
            relay.standin.delete_message(relay.messages()[-1].id)
            relay.clock.ahead += 601
            relay.relay.reconciler.wake()
            await asyncio.sleep(0.3)
        relay.clock.ahead += 1300
        relay.relay.reconciler.wake()
        await asyncio.sleep(0.5)
        assert not relay.messages()


async def test_a_restart_edits_it_and_posts_nothing(place: Place) -> None:
    place.configure(WITH_STATUS)
    async with relay_at(place) as relay:
        await relay.fires(pod="sonarr-0")
        before = await status(relay, "1 open problem")
        posts = len(relay.messages())
    place.clock.ahead += 3600
    async with relay_at(place) as relay:
        after = await status(relay, "1 open problem")
        assert after.id == before.id
        assert len(relay.messages()) == posts


async def test_it_says_for_an_hour_that_the_relay_was_away_and_is_another_version(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.configure(WITH_STATUS)
    async with relay_at(place) as relay:
        await relay.fires(pod="sonarr-0")
        assert "The relay" not in text(await status(relay, "1 open problem"))
    place.clock.ahead += 3 * 3600
    monkeypatch.setattr("relay.deadlines.__version__", "0.0.9")
    async with relay_at(place) as relay:
        await status(relay, "The relay did not run for 3 h, and catches up.", "The relay was upgraded from 0.1.0.")
        sounds = len(relay.standin.pushes)
        await relay.later(3601)

        def told_no_more() -> bool:
            relay.clock.ahead += 10.0
            relay.relay.reconciler.wake()
            return not any("The relay " in text(message) for message in relay.messages())

        await relay.until(told_no_more, "an hour is enough")
        assert len(relay.standin.pushes) == sounds


async def test_a_restart_of_a_minute_is_not_worth_a_word(place: Place) -> None:
    place.configure(WITH_STATUS)
    async with relay_at(place) as relay:
        await status(relay, "has heard nothing yet")
    place.clock.ahead += 61
    async with relay_at(place) as relay:
        place.clock.ahead += 601
        assert "The relay did" not in text(await status(relay, "has heard nothing yet"))


async def test_a_channel_without_one_is_left_without_one(place: Place) -> None:
    place.configure(WITH_STATUS.replace("'<@&1234>']", "'<@&1234>'], status: false"))
    async with relay_at(place) as relay:
        await relay.fires(pod="sonarr-0")
        await relay.settled()
        await asyncio.sleep(0.3)
        assert len(relay.messages()) == 1


LOGGED = (
    "channels:\n  ops: {webhook_url_file: discord-ops, status: false}\n  deploys: {webhook_url_file: discord-deploys, status: false}\n"
    "routes: [{match: ['type=\"rollout\"'], channels: [deploys]}, {channels: [ops]}]\n"
)
NEW = "main@sha1:4f5e6d7c8b9a0f1e2d3c4b5a69788796a5b4c3d2"


def at(place: Place, hour: int, minute: int = 0, second: int = 0) -> None:
    """It is that time of a Tuesday."""
    place.clock.ahead = datetime(2030, 1, 8, hour, minute, second, tzinfo=UTC).timestamp() - time.time()


async def begins(relay: Running) -> None:
    """Two Kustomizations, and a new revision for them."""
    for name in ("apps", "infra"):
        await relay.recovers(name)
    said = "stored artifact for commit 'sonarr 4.0.15 → 4.0.16'"
    now = relay.clock()
    new = event("main", kind="GitRepository", reason="NewArtifact", message=said, severity="info", at=now, revision=NEW)
    await relay.flux(new)


async def is_ready(relay: Running, name: str) -> None:
    metadata = {"revision": NEW, "commit_status": "update"}
    await relay.flux({**recovery(name, at=relay.clock()), "metadata": metadata})


async def test_a_channel_of_rollouts_keeps_one_quiet_message_for_a_day(place: Place) -> None:
    place.configure(LOGGED)
    at(place, 12)
    async with relay_at(place) as relay:
        await begins(relay)
        for name in ("apps", "infra"):
            relay.clock.ahead += 30
            await is_ready(relay, name)

        def logged() -> bool:
            relay.clock.ahead += 5
            relay.relay.reconciler.wake()
            return any("4f5e6d7 sonarr 4.0.15 → 4.0.16: 2 ready in" in text(one) for one in relay.messages("21"))

        await relay.until(logged, "both are ready")
        (log,) = relay.messages("21")
        assert log.silent
        assert log.content == "🔄 homelab: 1 revision today"
        assert not relay.messages("20")


async def test_what_is_ready_in_the_last_moment_of_a_day_is_told_in_it(place: Place) -> None:
    place.configure(LOGGED)
    at(place, 23, 59, 45)
    async with relay_at(place) as relay:
        await begins(relay)
        await is_ready(relay, "apps")
        relay.relay.reconciler.wake()
        await relay.until(lambda: bool(relay.messages("21")), "the day has a message")
        at(place, 23, 59, 55)
        await is_ready(relay, "infra")
        at(place, 23, 59, 59)
        place.clock.ahead += 20

        def logged() -> bool:
            relay.relay.reconciler.wake()
            return any("4.0.16: 2 ready in" in text(one) for one in relay.messages("21"))

        await relay.until(logged, "both are ready")
        assert len(relay.messages("21")) == 1


WEEKLY = "channels: {ops: {webhook_url_file: discord-ops, status: false, weekly: true}}\n"
WEEK = 7 * 86400.0


async def test_who_asks_for_it_is_told_on_monday_what_the_last_week_came_to(place: Place) -> None:
    place.configure(WEEKLY)
    monday = datetime(2030, 1, 7, 9, tzinfo=UTC).timestamp()
    place.clock.ahead = monday - 8 * 86400.0 - time.time()
    async with relay_at(place) as relay:
        relay.relay.deadlines.look()
        await relay.until_async(lambda c: meta.get_meta(c, bulletins.BEGUN) is not None)
    place.clock.ahead += 7 * 86400.0
    async with relay_at(place) as relay:
        await relay.resolves(await relay.fires(pod="sonarr-0"))
        await relay.settled()
        await asyncio.sleep(0.3)
        assert not [one for one in relay.messages() if "last week" in one.content], "it is not over"
        relay.clock.ahead += 86400.0

        def told() -> bool:
            relay.clock.ahead += 6
            relay.relay.reconciler.wake()
            return any("homelab, last week: " in one.content for one in relay.messages())

        await relay.until(told, "the week is told")
        (line,) = [one for one in relay.messages() if "last week" in one.content]
        assert line.silent
        assert "1 card, " in line.content
        for _ in range(3):
            told()
            await asyncio.sleep(0.1)
        assert len([one for one in relay.messages() if "last week" in one.content]) == 1
