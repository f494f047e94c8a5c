"""The phone rings only when it should: stories with a clock, against a Discord that writes down every sound."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.conftest import ROOT
from tests.path.conftest import Start
from tests.path.stage import CHANNELS, TOKEN, Json, Place, Running, alert

MINUTE = 60.0
HOUR = 3600.0
DAY = 24 * HOUR
PRAGUE = ZoneInfo("Europe/Prague")
NIGHTS = 'hours: {quiet: "22:00-07:30", zone: Europe/Prague}\n'
LOUD = "channels: {ops: {webhook_url_file: discord-ops, mention: ['<@&1234>'], notify: warning, status: false}}\n"


def sounds(relay: Running) -> list[str]:
    """Every sound so far: how it begins on the lock screen, and whom it calls."""
    return [f"{push.text[:1]} {'calls' if push.mentioned.roles else 'rings'}" for push in relay.standin.pushes]


def until(it: Running | Place, clock: str) -> float:
    """Seconds until it is that time in Prague, in the night of a clock change too."""
    here = datetime.fromtimestamp(it.clock(), PRAGUE)
    hour, minute = map(int, clock.split(":"))
    there = here.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return (there if there > here else there + timedelta(days=1)).timestamp() - here.timestamp()


async def command(place: Place, *arguments: str) -> str:
    """`relay …` in a process of its own beside the relay, which has noticed it when this returns. Its clock is the wall's."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "relay", *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT, env={**os.environ, **place.env, "RELAY_CONFIG": str(place.file)},
    )  # fmt: skip
    out, _ = await child.communicate()
    assert child.returncode == 0, out.decode()
    return out.decode()


async def handle(relay: Running) -> str:
    """What its card calls the first open incident."""
    from relay.storage import lists

    (first, *_) = await relay.relay.database.read(lambda connection: lists.open_incidents(connection, 10))
    return first.handle


async def apart(relay: Running, name: str, severity: str, group: str, **labels: Any) -> Json:  # noqa: ANN401  # an alert's
    """An alert of a group of its own fires. Returns it, to be resolved."""
    one = alert(name, severity, starts=relay.clock(), **labels)
    await relay.alerts(one, key=group)
    return one


# --- nights -------------------------------------------------------------------------------------------------------------


async def test_a_night_with_four_warnings_of_which_three_heal_is_one_sound_in_the_morning(
    place: Place, start: Start
) -> None:
    place.configure(LOUD, NIGHTS)
    async with start() as relay:
        await relay.later(until(relay, "23:00"))
        warnings = [await relay.fires(name, "warning", pod=f"{name.lower()}-0") for name in ("A", "B", "C", "D")]
        await relay.settled()
        assert len(relay.messages()) == 4, "a night takes sound, never cards"
        await relay.later(2 * HOUR)
        for one in warnings[:3]:
            await relay.resolves(one)
            await relay.later(HOUR)
        assert sounds(relay) == []
        await relay.later(until(relay, "07:30") + 1)
        assert sounds(relay) == ["⚠ rings"]
        await relay.later(8 * HOUR)
        assert sounds(relay) == ["⚠ rings"]
        left = relay.messages()[-1]
        assert not left.silent
        assert "d" in left.content.split()[1]


async def test_at_night_a_page_calls_all_the_same_and_its_end_is_silent(place: Place, start: Start) -> None:
    place.configure(LOUD, NIGHTS)
    async with start() as relay:
        await relay.later(until(relay, "02:00"))
        crash = await relay.fires()
        await relay.settled()
        await relay.resolves(crash)
        await relay.later(10 * MINUTE)
        assert relay.messages()[-1].content.startswith("✅")
        await relay.later(DAY)
        assert sounds(relay) == ["🚨 calls"]


# --- coming and going -----------------------------------------------------------------------------------------------------


async def test_a_critical_that_resolves_and_reopens_in_a_minute_and_again_in_ten(relay: Running) -> None:
    crash = await relay.fires()
    await relay.settled()
    await relay.resolves(crash)
    await relay.later(MINUTE)
    crash = await relay.fires()
    await relay.later(5 * MINUTE)
    assert sounds(relay) == ["🚨 calls"], "within settle it is an edit"
    await relay.resolves(crash)
    await relay.later(10 * MINUTE)
    assert sounds(relay) == ["🚨 calls", "✅ rings"]
    await relay.fires()
    await relay.settled()
    assert sounds(relay) == ["🚨 calls", "✅ rings", "🚨 calls"], "who heard its end hears that it is back"


async def test_what_keeps_coming_and_going_is_said_once_and_then_only_shown(relay: Running) -> None:
    crash = await relay.fires()
    for _ in range(8):
        await relay.settled()
        await relay.resolves(crash)
        await relay.later(5 * MINUTE)
        crash = await relay.fires()
    await relay.settled()
    assert sounds(relay) == ["🚨 calls", "✅ rings", "🚨 calls", "✅ rings", "🚨 calls", "✅ rings", "🔁 calls"]
    card = relay.messages()[-1]
    assert card.content.startswith("🔁")
    await relay.later(2 * HOUR + 1)
    assert relay.messages()[-1].content.startswith("🚨"), "it goes on, and is calm"
    assert len(relay.standin.pushes) == 7


async def test_two_criticals_in_one_namespace_are_two_pages(relay: Running) -> None:
    await relay.fires("KubePodCrashLooping", pod="sonarr-66cc5c9fcf-9rccg")
    await relay.settled()
    await relay.later(6 * MINUTE)
    await apart(relay, "KubePodNotReady", "critical", "y", pod="radarr-7d9f8b6c5d-x7k2p")
    await relay.settled()
    assert sounds(relay) == ["🚨 calls", "🚨 calls"]


# --- storms ---------------------------------------------------------------------------------------------------------------


async def storm(relay: Running, count: int, severity: str, first: int = 0) -> None:
    """So many alerts of as many objects, in groups of ten, as a cluster that falls over tells them."""
    now = relay.clock()
    for start in range(first, first + count, 10):
        many = [
            alert(f"App{number}", severity, starts=now, pod=f"app{number}-0", namespace=f"ns{number % 7}")
            for number in range(start, start + 10)
        ]
        await relay.alerts(*many, key=str(start))


async def test_a_storm_of_two_hundred_calls_once_and_then_only_for_what_is_worse(place: Place, start: Start) -> None:
    place.configure(
        "channels: {ops: {webhook_url_file: discord-ops, mention: ['<@&1234>'], page: error, status: false}}\n"
    )
    async with start() as relay:
        await storm(relay, 200, "error")
        await relay.settled()
        await relay.later(MINUTE)
        await storm(relay, 100, "error", first=200)
        await relay.settled()
        called = [push.text for push in relay.standin.pushes if push.mentioned.roles]
        assert len(called) == 1
        assert len(relay.standin.pushes) <= 6, "three hundred problems, and a handful of sounds"
        await relay.later(MINUTE)
        await relay.fires("Database", "critical", pod="postgres-0")
        await relay.settled()
        assert sounds(relay)[-1] == "🚨 calls", "it is worse"
        await relay.fires("Other", "critical", pod="redis-0")
        await relay.settled()
        assert sounds(relay)[-1] != "🚨 calls", "and so was this, a moment ago"


# --- restarts -------------------------------------------------------------------------------------------------------------


TREE = """\
tree: ours
title: One of our apps?
starts: [[alertname=~"App.*"]]
leaf: OURS-000
says: is down, as we know it
steps: [{look: What runs, run: kubectl get pods -A}]
examples:
  - {given: {alertname: App1}, leads-to: OURS-000}
"""


@pytest.mark.parametrize("trees", ["", "another"])
async def test_an_upgrade_with_two_hundred_open_cards_posts_nothing_and_edits_the_status_alone(
    place: Place, start: Start, trees: str
) -> None:
    channels = "channels: {ops: {webhook_url_file: discord-ops, mention: ['<@&1234>']}}\n"
    place.configure(channels)
    async with start() as relay:
        await storm(relay, 200, "critical")
        await relay.settled()
        await relay.later(HOUR)
        shown = {message.id: message.content for message in relay.messages()}
        before = len(relay.standin.requests)
    place.clock.ahead += 10 * MINUTE
    if trees:
        (place.folder / "trees").mkdir()
        (place.folder / "trees" / "ours.yaml").write_text(TREE)
        place.configure(channels, "trees: {folder: trees}\n")
    async with start() as relay:
        await relay.later(MINUTE)
        await relay.until(lambda: len(relay.standin.requests) > before + 1, "it has looked")
        await relay.later(MINUTE)
        after = relay.standin.requests[before:]
        assert {request.method for request in after} == {"GET", "PATCH"}
        now = {message.id: message.content for message in relay.messages()}
        changed = [text for key, text in now.items() if text != shown.get(key)]
        assert now.keys() == shown.keys()
        assert all("open problems" in text for text in changed)
        assert any("is down, as we know it" in text for text in changed) is bool(trees), "the tree is in use"
        assert len({request.message_id for request in after if request.method == "PATCH"}) == 1


# --- reminders ------------------------------------------------------------------------------------------------------------


async def test_a_reminder_takes_the_place_of_the_page_before(place: Place, start: Start) -> None:
    place.configure(
        "channels: {ops: {webhook_url_file: discord-ops, mention: ['<@&1234>'], remind: 4h, status: false}}\n"
    )
    async with start() as relay:
        crash = await relay.fires()
        await relay.settled()
        await relay.later(4 * HOUR + 1)
        await relay.later(4 * HOUR + 1)
        assert sounds(relay) == ["🚨 calls"] * 3
        *old, last = relay.messages()
        assert all(one.content.startswith("↪") for one in old)
        assert last.content.startswith("🚨")
        await relay.resolves(crash)
        await relay.later(DAY)
        assert sounds(relay)[3:] == ["✅ rings"]


# --- quiet ----------------------------------------------------------------------------------------------------------------


async def test_an_escalation_inside_a_quiet_window_is_heard(place: Place, relay: Running) -> None:
    await command(place, "quiet", 'namespace="media"', "--for", "2h", "--by", "ada")
    await relay.looked()
    await relay.fires(severity="warning")
    await relay.settled()
    (card,) = relay.messages()
    assert card.content.startswith("🔕")
    assert "by ada" in card.content
    await relay.later(10 * MINUTE)
    await relay.fires(severity="critical")
    await relay.settled()
    assert sounds(relay) == ["🚨 calls"]
    await relay.later(DAY)
    assert sounds(relay) == ["🚨 calls"], "it has fallen, so its end is none"


async def test_a_planned_drain_is_silent_and_what_is_left_after_it_is_told_once(place: Place, relay: Running) -> None:
    said = await command(place, "quiet", 'node="pve2"', "--for", "1h", "--by", "ada", "--why", "a new disk for pve2")
    assert said.startswith("Quiet 1 until ")
    await relay.looked()
    drained = [
        await apart(relay, "KubePodNotReady", "critical", name, pod=f"{name}-0", node="pve2")
        for name in ("sonarr", "radarr", "jellyfin")
    ]
    failing = await apart(relay, "KubeletDown", "error", "node", pod="", node="pve2")
    await relay.settled()
    assert all(card.silent for card in relay.messages())
    assert relay.messages()[-1].content.startswith("🔕 node pve2")
    await relay.later(20 * MINUTE)
    await relay.resolves(*drained[:2], failing)
    await relay.later(30 * MINUTE)
    assert sounds(relay) == []
    await relay.later(11 * MINUTE)
    assert sounds(relay) == ["🚨 calls"], "one does not come back, and its page was owed"
    assert "jellyfin" in relay.standin.pushes[0].text
    await relay.later(DAY)
    assert sounds(relay) == ["🚨 calls"]


async def test_what_is_acknowledged_is_silent_until_that_ends(place: Place, relay: Running) -> None:
    crash = await relay.fires()
    await relay.settled()
    await command(place, "quiet", await handle(relay), "--for", "4h", "--by", "ada")
    await relay.looked()
    await relay.settled()
    (card,) = relay.messages()
    assert card.content.startswith("🔕")
    assert len(relay.standin.pushes) == 1, "that somebody took it is an edit"
    await relay.resolves(crash)
    await relay.later(10 * MINUTE)
    await relay.fires()
    await relay.later(3 * HOUR)
    assert sounds(relay) == ["🚨 calls"]
    await relay.later(HOUR)
    assert len(sounds(relay)) == 2


async def test_ended_early_it_tells_what_is_left_at_once(place: Place, relay: Running) -> None:
    await command(place, "quiet", 'namespace="media"', "--for", "8h")
    await relay.looked()
    await relay.fires("A", "error", pod="a-0")
    await apart(relay, "B", "error", "b", pod="b-0")
    await relay.settled()
    assert sounds(relay) == []
    assert "in force" not in await command(place, "quiet", "list")
    await command(place, "quiet", "end", "1")
    await relay.looked()
    await relay.settled()
    assert sounds(relay) == ["❌ rings"]


async def test_quiet_may_be_asked_for_by_http(place: Place, start: Start) -> None:
    place.configure(CHANNELS, "quiet: {bearer_token_file: token}\n")
    async with start() as relay:
        await relay.fires()
        await relay.settled()
        wish = f"incident={await handle(relay)}&for=4h&by=ada".encode()
        form = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/x-www-form-urlencoded"}
        assert await relay.post("/quiet", wish, form) == 200
        await relay.looked()
        await relay.until(lambda: relay.messages()[0].content.startswith("🔕"), "its card says so")
        assert sounds(relay) == ["🚨 calls"]


async def test_a_window_in_the_file_begins_and_ends_by_itself(place: Place, start: Start) -> None:
    place.clock.ahead += until(place, "12:00")  # Far from the hours below, and from where the clocks change.
    begins = datetime.fromtimestamp(place.clock() + HOUR, PRAGUE).replace(tzinfo=None).isoformat(" ", "minutes")
    ends = datetime.fromtimestamp(place.clock() + 3 * HOUR, PRAGUE).replace(tzinfo=None).isoformat(" ", "minutes")
    window = f"quiet: {{windows: [{{match: ['namespace=\"media\"'], from: '{begins}', until: '{ends}'}}]}}\n"
    place.configure(LOUD, window, 'hours: {quiet: "04:00-04:01", zone: Europe/Prague}\n')
    async with start() as relay:
        await relay.fires("A", "warning", pod="a-0")
        await relay.settled()
        assert sounds(relay) == ["⚠ rings"]
        await relay.later(HOUR + MINUTE)
        assert relay.messages()[0].content.startswith("🔕")
        await apart(relay, "B", "warning", "b", pod="b-0")
        await relay.settled()
        assert sounds(relay) == ["⚠ rings"]
        await relay.later(2 * HOUR + MINUTE)
        assert sounds(relay) == ["⚠ rings"] * 2


# --- by hand --------------------------------------------------------------------------------------------------------------


async def test_what_is_closed_by_hand_says_who_did_and_stays_closed_until_it_begins_anew(
    place: Place, relay: Running
) -> None:
    crash = await relay.fires(severity="error")
    await relay.settled()
    said = await command(place, "close", await handle(relay), "--by", "ada", "--why", "the alert is gone")
    assert "is closed" in said
    await relay.skip(0)
    await relay.until(lambda: "closed" in relay.messages()[0].content, "its card is a record")
    assert "ada: the alert is gone" in relay.messages()[0].content
    await relay.alerts(crash)
    await relay.settled()
    assert len(relay.messages()) == 1
    await relay.resolves(crash)
    await relay.later(HOUR)
    await relay.fires(severity="error")
    await relay.settled()
    assert [card.content[:1] for card in relay.messages()] == ["✅", "❌"], "it began anew"


# --- owners ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("team, called", [("Media", ("1234", "5678")), ("nobody", ("1234",))])
async def test_a_page_calls_its_owner_too_where_the_configuration_knows_them(
    place: Place, start: Start, team: str, called: tuple[str, ...]
) -> None:
    place.standin.add_role("5678", "media")
    place.configure(CHANNELS, 'owners: {media: "<@&5678>"}\n')
    async with start() as relay:
        await relay.fires(team=team)
        await relay.settled()
        (push,) = relay.standin.pushes
        assert push.mentioned.roles == called
        assert f"· {team}" in push.text
