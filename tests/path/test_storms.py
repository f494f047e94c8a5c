"""A storm is shown within seconds in few messages, each of its members to its end; what one of them does harms no other."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from relay.demo.discord import Kind, Message, Scope
from relay.demo.discord.recorder import Request
from tests.bench.storm import named, posts, seen, states
from tests.path.conftest import Start
from tests.path.stage import BOTH, TWO, Json, Place, Running, alert


async def storm(relay: Running, count: int, seconds: float, of: Callable[[int], Json]) -> dict[int, float]:
    """`count` deliveries spread over `seconds`. Returns when each was answered."""
    answered: dict[int, float] = {}
    turns = asyncio.Semaphore(16)

    async def one(number: int) -> None:
        async with turns:
            await relay.alerts(of(number), key=f"g{number}")
        answered[number] = relay.clock()

    await relay.until(lambda: len(relay.standin.requests) > 0, "the relay has begun to send")
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            await asyncio.sleep(began + number * seconds / count - time.monotonic())
            group.create_task(one(number))
    return answered


def opening(relay: Running, severity: str = "critical") -> Callable[[int], Json]:
    return lambda number: alert("KubePodCrashLooping", severity, pod=named(number), starts=relay.clock())


def ending(relay: Running, severity: str = "critical") -> Callable[[int], Json]:
    return lambda number: alert(
        "KubePodCrashLooping", severity, pod=named(number), starts=relay.clock() - 1, ends=relay.clock()
    )


async def opened(relay: Running, count: int, severity: str = "critical") -> None:
    """So many at once, shown."""
    now = relay.clock()
    for number in range(count):
        one = alert("KubePodCrashLooping", severity, pod=named(number), starts=now)
        await relay.alerts(one, key=f"g{number}")
    await relay.settled()


async def ended(relay: Running, *numbers: int, severity: str = "critical") -> None:
    for number in numbers:
        await relay.alerts(ending(relay, severity)(number), key=f"g{number}")


def shared(relay: Running, channel: str = "20") -> Message:
    """The message in which most stand."""
    return max(relay.messages(channel), key=lambda message: len(states(message.now)))


def standing(messages: Sequence[Message]) -> dict[int, bool]:
    """Who stands in the channel as it is now, and whether it is over there; a pointer is not where one stands."""
    found: dict[int, bool] = {}
    for message in messages:
        for line in message.now.text.split("\n"):
            if not line.startswith("↪"):
                found |= states(_only(message, line))
    return found


def _only(message: Message, line: str) -> Any:  # noqa: ANN401  # a version of one line
    from dataclasses import replace

    return replace(message.now, content=line, embeds=[])


# --- within seconds -----------------------------------------------------------------------------------------------------


async def test_a_storm_is_shown_within_seconds_in_few_messages_and_so_is_its_end(relay: Running) -> None:
    count, began = 200, relay.clock()
    answered = await storm(relay, count, 2.0, opening(relay))
    await relay.until(lambda: len(seen(relay.messages()).shown) == count, "each is shown")
    shown = seen(relay.messages()).shown
    late = [round(shown[number] - answered[number], 2) for number in answered if shown[number] > answered[number] + 3.0]
    assert late == []
    assert len(relay.messages()) <= 8
    assert [bool(push.mentioned) for push in relay.standin.pushes].count(True) == 1, "called once"
    assert 25 - posts(relay.standin, began, began + 60) >= 8, "posts are left for pages"
    began = relay.clock()
    await storm(relay, count, 2.0, ending(relay))
    await relay.until(lambda: len(seen(relay.messages()).over) == count, "each is shown to be over")
    assert max(seen(relay.messages()).over.values()) < began + 7.0
    before = len(relay.messages())
    await relay.skip(125)
    said = relay.messages()[before:]
    assert len(said) <= 5, "their ends share a sound"
    assert sum(len(states(message.now)) for message in said) == count
    relay.standin.assert_no_429()
    relay.standin.assert_never_two_in_flight_per_webhook()


async def test_between_calm_and_storm_each_is_shown_at_once_and_then_as_a_line(relay: Running) -> None:
    count = 40
    answered = await storm(relay, count, 10.0, opening(relay, "error"))
    await relay.until(lambda: len(seen(relay.messages()).shown) == count, "each is shown")
    shown = seen(relay.messages()).shown
    assert max(shown[number] - answered[number] for number in answered) < 3.0
    assert 8 <= len(relay.messages()) <= 17
    relay.standin.assert_no_429()


async def test_what_comes_in_a_storm_of_others_as_a_page_is_a_card_of_its_own(relay: Running) -> None:
    await opened(relay, 120, "warning")
    await relay.fires("KubeNodeNotReady", pod="etcd-0")
    await relay.settled()
    page = relay.messages()[-1]
    assert page.content.startswith("🚨 etcd is")
    assert len(relay.standin.pushes) == 1
    assert relay.standin.pushes[0].mentioned


# --- forms --------------------------------------------------------------------------------------------------------------


async def test_members_resolve_in_place_and_causes_are_counted_above(relay: Running) -> None:
    relay.standin.fault(Kind.RETRY_AFTER_LONG, match="POST", seconds=5.0)
    await relay.fires("Blocks", "warning", pod="other-0")
    await relay.until(lambda: relay.requests() == 1, "posts wait")
    for number in range(30):
        await relay.alerts(opening(relay)(number), key=f"g{number}")
    await relay.skip(6)
    message = shared(relay)
    assert "**30** are crash-looping" in message.now.text
    await ended(relay, 3, 17)
    await relay.settled()
    assert {number for number, over in states(message.now).items() if over} == {3, 17}
    assert "**28** are crash-looping · **2** over" in message.now.text
    assert len(relay.messages()) == 1 + 1


async def test_one_that_pages_leaves_its_line_for_a_message_of_its_own(relay: Running) -> None:
    await opened(relay, 20, "warning")
    line = shared(relay)
    before = len(relay.messages())
    worse = alert("KubeDeploymentRolloutStuck", "critical", pod=named(7), starts=relay.clock())
    await relay.alerts(worse, key="g7")
    await relay.settled()
    page = relay.messages()[-1]
    assert len(relay.messages()) == before + 1
    assert page.content.startswith("🚨 app7x")
    if 7 in states(line.now):
        assert "↪ app7x" in line.now.text
        assert page.id in line.now.text, "with the way to it"


async def test_a_channel_is_called_once_in_five_minutes_and_a_restart_does_not_forget_it(
    place: Place, start: Start
) -> None:
    async with start() as relay:
        await relay.fires("First", pod="a-0")
        await relay.settled()
        await relay.fires("Second", pod="b-0")
        await relay.settled()
    async with start() as relay:
        await relay.skip(60)
        await relay.fires("Third", pod="c-0")
        await relay.settled()
        await relay.skip(300)
        await relay.fires("Fourth", pod="d-0")
        await relay.settled()
        assert [bool(push.mentioned) for push in relay.standin.pushes] == [True, False, False, True]


async def test_a_restart_goes_on_in_the_message_that_has_room(place: Place, start: Start) -> None:
    async with start() as relay:
        await opened(relay, 30)
        before = len(relay.messages())
    async with start() as relay:
        place.clock.ahead += 5
        for number in range(30, 50):
            await relay.alerts(opening(relay)(number), key=f"g{number}")
        await relay.settled()
        assert len(standing(relay.messages())) == 50
        assert len(relay.messages()) <= before + 2
        relay.standin.assert_no_429()


# --- what Discord answers -----------------------------------------------------------------------------------------------


def holds(word: str, method: str = "") -> Callable[[Request], bool]:
    return lambda request: word in json.dumps(request.body) and request.method.startswith(method)


async def blocked(relay: Running, seconds: float = 5.0) -> None:
    """New messages wait so long, so that what comes meanwhile shares one."""
    await relay.until(lambda: len(relay.standin.requests) >= 1, "the webhook was looked at")
    relay.standin.fault(Kind.RETRY_AFTER_LONG, match="POST", seconds=seconds)
    await relay.fires("Blocks", pod="other-0", severity="warning")
    await relay.until(lambda: relay.requests() == 1, "posts wait")


@pytest.mark.parametrize("count", [6, 30, 160])
async def test_of_many_that_share_a_message_the_one_that_discord_refuses_is_parked_alone(
    relay: Running, count: int
) -> None:
    await blocked(relay)
    relay.standin.fault(Kind.AUTOMOD, match=holds("app4x"), times=100)
    for number in range(count):
        await relay.alerts(opening(relay)(number), key=f"g{number}")
    await relay.skip(6)
    for _ in range(8):
        await relay.skip(5)
    assert await relay.parked() == ["200000"]
    assert set(standing(relay.messages())) == set(range(count)) - {4}
    relay.standin.assert_no_request_while_blocked()


async def test_a_line_that_discord_refuses_when_it_changes_says_no_word_and_the_others_go_on(relay: Running) -> None:
    await blocked(relay)
    for number in range(20):
        await relay.alerts(opening(relay)(number), key=f"g{number}")
    await relay.skip(6)
    message = shared(relay)
    relay.standin.fault(Kind.AUTOMOD, match=holds("app4x was"), times=100)
    await ended(relay, 2, 4, 6)
    for _ in range(6):
        await relay.skip(5)
    over = states(message.now)
    assert over[2]
    assert over[6]
    assert 4 not in over
    assert "is over" in message.now.text
    assert await relay.parked() == []


async def test_a_shared_message_that_a_person_deleted_is_shown_again_once_quietly_and_together(relay: Running) -> None:
    await blocked(relay)
    for number in range(20):
        await relay.alerts(opening(relay, "error")(number), key=f"g{number}")
    await relay.skip(6)
    sounds = len(relay.standin.pushes)
    for number, expected in ((5, 19), (6, 0)):
        relay.standin.delete_message(shared(relay).id)
        await ended(relay, number, severity="error")
        await relay.settled()
        assert len(standing(relay.messages())) == expected, "the second time within a day is an answer"
    assert len(relay.standin.pushes) == sounds
    assert len(relay.messages()) <= 3


async def test_a_bot_that_cleans_the_channel_makes_no_loop(relay: Running) -> None:
    await opened(relay, 20, "error")
    for turn in range(6):
        for message in relay.messages():
            relay.standin.delete_message(message.id)
        await ended(relay, turn, 19 - turn, severity="error")
        await relay.skip(30)
    made = relay.standin.messages("20", deleted=True)
    assert sum(len(states(message.now)) for message in made) <= 40, "each once more, then never again"
    assert relay.messages() == []


async def test_members_of_an_archived_thread_are_edited_again_once_a_new_message_has_opened_it(
    place: Place, start: Start
) -> None:
    place.standin.add_thread("77", "20")
    place.configure("channels: {ops: {webhook_url_file: discord-ops, thread: '77', status: false}}\n")
    async with start() as relay:
        await blocked(relay)
        for number in range(20):
            await relay.alerts(opening(relay, "error")(number), key=f"g{number}")
        await relay.skip(6)
        message = shared(relay, "77")
        relay.standin.store.channels["77"].archived = True
        await ended(relay, 3, 5, 8, severity="error")
        await relay.skip(5)
        await relay.skip(5)
        assert {number for number, over in standing(relay.messages("77")).items() if over} == {3, 5, 8}
        assert {5, 8} <= {number for number, over in states(message.now).items() if over}
        assert not relay.standin.store.channels["77"].archived


async def test_a_locked_thread_parks_what_is_due_and_asks_once(place: Place, start: Start) -> None:
    place.standin.add_thread("77", "20")
    place.standin.store.channels["77"].locked = True
    place.configure("channels: {ops: {webhook_url_file: discord-ops, thread: '77', status: false}}\n")
    async with start() as relay:
        await relay.fires()
        await relay.settled()
        assert relay.requests() == 1
        assert await relay.parked() == ["160005"]


async def test_a_new_webhook_shows_what_is_open_together_with_one_sound_at_most(place: Place, start: Start) -> None:
    async with start() as relay:
        await opened(relay, 40)
        sounds = len(relay.standin.pushes)
        relay.standin.add_webhook("13", "fresh", "22", "30")
        place.webhook("ops", "13", "fresh")
        assert await relay.relay.reload()
        await relay.until(lambda: len(standing(relay.messages("22"))) == 40, "all are there")
        await relay.settled()
        assert len(relay.messages("22")) <= 2
        assert len(relay.standin.pushes) <= sounds + 1
        await ended(relay, 9)
        await relay.settled()
        assert [number for number, over in standing(relay.messages("22")).items() if over] == [9]


async def test_edits_count_among_new_messages_once_discord_has_said_so(place: Place, start: Start) -> None:
    async with start() as relay:
        crash = await relay.fires(severity="error")
        await relay.settled()
        relay.standin.fault(Kind.RETRY_AFTER_LONG, match="PATCH", seconds=3.0, scope=Scope.SHARED)
        await relay.resolves(crash)
        await relay.skip(4)
    place.standin.limiter.limits = place.standin.limiter.limits.__class__(channel_counts_edits=True)
    async with start() as relay:
        for number in range(45):
            await relay.fires(f"A{number}", "error", pod=f"web{number}-0")
            await relay.resolves(alert(f"A{number}", "error", pod=f"web{number}-0", starts=relay.clock() - 1))
            relay.clock.ahead += 0.5
            relay.relay.reconciler.wake()
        await asyncio.sleep(0.3)
        for _ in range(8):
            relay.clock.ahead += 30
            relay.relay.reconciler.wake()
            await asyncio.sleep(0.2)
        await relay.settled()
        assert sum(request.status == 429 for request in relay.standin.requests) == 1


async def test_two_channels_of_one_webhook_speak_one_at_a_time(place: Place, start: Start) -> None:
    for thread in ("77", "78"):
        place.standin.add_thread(thread, "20")
    place.webhook("deploys", "11", "token")
    place.configure(
        "channels:\n"
        "  ops: {webhook_url_file: discord-ops, thread: '77', status: false}\n"
        "  deploys: {webhook_url_file: discord-deploys, thread: '78', status: false}\n",
        BOTH,
    )
    async with start() as relay:
        for number in range(6):
            relay.standin.fault(Kind.SLOW_HEADERS, match="POST", seconds=0.1)
            await relay.fires(pod=f"web{number}-0")
        await relay.settled()
        relay.standin.assert_no_429()
        relay.standin.assert_never_two_in_flight_per_webhook()
        assert len(relay.messages("77")) == len(relay.messages("78"))


# --- late truth ---------------------------------------------------------------------------------------------------------


async def test_what_came_and_went_while_discord_was_away_is_said_once_quietly_in_lines(relay: Running) -> None:
    await blocked(relay, 3600.0)
    for number in range(30):
        await relay.alerts(opening(relay)(number), key=f"g{number}")
    await ended(relay, *range(25))
    await relay.skip(3605)
    lines = [message for message in relay.messages() if "came and went" in message.content]
    assert len(lines) == 1
    assert lines[0].silent
    assert states(lines[0].now) == dict.fromkeys(range(25), True)
    sounding = [push.text for push in relay.standin.pushes]
    assert len(sounding) == 1, "what still goes on is one page"
    assert relay.messages()[0].content.startswith("🚨"), "and first"


async def test_a_card_that_comes_late_says_so(relay: Running) -> None:
    await blocked(relay, 3000.0)
    await relay.fires("Late", pod="late-0")
    await relay.skip(3005)
    first = relay.messages()[0]
    assert first.content.startswith("🚨 late is")
    assert "told 50 min late" in first.content
    await relay.fires("Fresh", pod="fresh-0")
    await relay.settled()
    assert "told" not in relay.messages()[-1].content


async def test_after_an_outage_the_worst_is_shown_first_and_there_is_no_flood(relay: Running) -> None:
    await relay.until(lambda: len(relay.standin.requests) >= 1, "the webhook was looked at")
    relay.standin.fault(Kind.STATUS, status=503, match=lambda request: request.method != "GET", times=100_000)
    for number in range(150):
        severity = "critical" if number % 10 == 9 else "warning"
        await relay.alerts(opening(relay, severity)(number), key=f"g{number}")
    for _ in range(6):
        await relay.skip_blocked(600)
    tried = relay.requests()
    assert tried <= 20, "one request tells whether Discord is back"
    relay.standin.faults.clear()
    began = len(relay.standin.requests)
    await relay.skip(61)
    await relay.settled()
    assert len(standing(relay.messages())) == 150
    assert relay.messages()[0].content.startswith("🚨")
    made = [request for request in relay.standin.requests[began:] if request.method == "POST"]
    assert len(made) <= 10
    relay.standin.assert_no_429()


# --- another road -------------------------------------------------------------------------------------------------------


async def test_the_pages_of_a_dead_webhook_go_to_its_fallback_and_so_do_their_ends(place: Place, start: Start) -> None:
    channels = TWO.replace("{webhook_url_file: discord-ops,", "{webhook_url_file: discord-ops, fallback: deploys,")
    place.configure(channels, "routes: [{channels: [ops]}]\n")
    async with start() as relay:
        await relay.settled()
        relay.standin.remove_webhook("11")
        crash = await relay.fires("Crash", pod="a-0")
        await relay.fires("Mere", "warning", pod="b-0")
        await relay.until(lambda: any("🚨 a" in text for text in relay.shown("21")), "the page is there")
        assert not any("b-0" in text or "⚠️ b" in text for text in relay.shown("21")), "what is no page waits"
        await relay.resolves(crash)
        await relay.until(lambda: any("✅ a" in text for text in relay.shown("21")), "and its end")
        again = await relay.fires("Later", pod="c-0")
        await relay.until(lambda: any("🚨 c" in text for text in relay.shown("21")), "the next one too")
        relay.standin.add_webhook("13", "fresh", "22", "30")
        place.webhook("ops", "13", "fresh")
        assert await relay.relay.reload()
        await relay.until(lambda: any("🚨 c" in text for text in relay.shown("22")), "and in its own place, once there")
        await relay.resolves(again)
        await relay.settled()
