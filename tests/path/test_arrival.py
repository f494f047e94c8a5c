"""What began before the relay did is not news: it comes in one Message with one sound, and what begins now is heard as ever."""

import pytest

from relay.demo.discord import Message
from tests.path.conftest import Start
from tests.path.stage import Json, Place, Running, alert, recovery
from tests.path.test_attention import sounds

HOUR = 3600.0
GATHERED = 15.0


@pytest.fixture(autouse=True)
def new(place: Place) -> None:
    """It is installed on a cluster that has run for long."""
    place.is_new = True


def text(message: Message) -> str:
    return "\n".join([message.content, *(str(embed.get("description", "")) for embed in message.embeds)])


async def was_firing(
    relay: Running, name: str, severity: str = "critical", *, since: float = HOUR, pod: str = ""
) -> Json:
    """Alertmanager tells of an alert that has fired for so long, as its new receiver hears of every group. Returns it."""
    one = alert(name, severity, starts=relay.clock() - since, pod=pod or f"{name.lower()}-0")
    await relay.alerts(one, key=name)
    return one


async def nine(relay: Running) -> list[Json]:
    """Six alerts at once, and what Flux retries in the next minutes."""
    firing = [await was_firing(relay, name) for name in ("Sonarr", "Radarr", "Jellyfin")]
    firing += [await was_firing(relay, name, "warning") for name in ("Ntfy", "Loki", "Minio")]
    await relay.fails("apps")
    await relay.skip(GATHERED)
    await relay.fails("infra", message="kustomize build failed: another file")
    await relay.later(5 * 60)
    await relay.fails("monitoring", message="kustomize build failed: a third file")
    await relay.skip(GATHERED)
    return firing


async def test_nine_old_problems_are_one_message_and_one_sound(place: Place, start: Start) -> None:
    async with start() as relay:
        firing = await nine(relay)
        (message,) = relay.messages()
        assert message.content.startswith("🛠️ homelab: 9 problems were here already, worst: "), message.content
        assert sounds(relay) == ["🛠 rings"]
        assert relay.standin.pushes[0].text.startswith("🛠️ homelab: 7 problems were here already")
        await relay.resolves(*firing[:3])
        await relay.later(HOUR)
        assert relay.messages()[0].content.startswith("🛠️ homelab: 6 problems were here already, 3 over, worst: ")
        assert sounds(relay) == ["🛠 rings"], "nobody was called, so nobody is told that it is over"


async def test_what_begins_after_the_relay_is_heard_as_ever(place: Place, start: Start) -> None:
    async with start() as relay:
        await nine(relay)
        await relay.fires("New", pod="new-0")
        await relay.settled()
        assert sounds(relay) == ["🛠 rings", "🚨 calls"]
        assert "new" in relay.standin.pushes[-1].text


async def test_what_was_there_and_becomes_worse_pages_and_leaves_the_others(place: Place, start: Start) -> None:
    async with start() as relay:
        await nine(relay)
        await relay.later(HOUR)
        await relay.fires("Ntfy", "critical", pod="ntfy-0")
        await relay.settled()
        assert sounds(relay) == ["🛠 rings", "🚨 calls"]
        first, page = relay.messages()
        assert "ntfy" in page.content
        assert first.content.startswith("🛠️ homelab: 9 problems were here already")
        assert "↪" in text(first)


async def test_what_was_there_and_comes_back_is_news(place: Place, start: Start) -> None:
    async with start() as relay:
        (sonarr, *_) = await nine(relay)
        await relay.resolves(sonarr)
        await relay.later(5 * 60)
        await relay.fires("Sonarr", pod="sonarr-0")
        await relay.settled()
        assert sounds(relay) == ["🛠 rings", "🚨 calls"]


async def test_one_old_problem_is_a_card_like_any_other_until_others_join_it(place: Place, start: Start) -> None:
    async with start() as relay:
        await was_firing(relay, "Sonarr")
        await relay.skip(GATHERED)
        (message,) = relay.messages()
        assert message.content.startswith("🚨 sonarr")
        assert not message.silent
        await was_firing(relay, "Radarr")
        await relay.skip(GATHERED)
        (message,) = relay.messages()
        assert message.content.startswith("🛠️ homelab: 2 problems were here already")
        assert len(message.embeds) == 2
        assert sounds(relay) == ["🚨 rings"], "it rings as what is new, and calls nobody"


async def test_old_warnings_make_no_sound_and_leave_it_to_what_is_worse(place: Place, start: Start) -> None:
    async with start() as relay:
        await was_firing(relay, "Ntfy", "warning")
        await relay.skip(GATHERED)
        assert sounds(relay) == []
        await was_firing(relay, "Sonarr", "error")
        await relay.skip(GATHERED)
        await was_firing(relay, "Radarr", "error")
        await relay.skip(GATHERED)
        assert sounds(relay) == ["❌ rings"]
        assert len(relay.messages()) == 2


async def test_another_old_alert_of_the_same_thing_pages_nobody(place: Place, start: Start) -> None:
    async with start() as relay:
        await was_firing(relay, "KubePodNotReady", "warning", pod="sonarr-66cc5c9fcf-9rccg")
        await relay.skip(GATHERED)
        await was_firing(relay, "KubePodCrashLooping", "critical", pod="sonarr-66cc5c9fcf-9rccg")
        await relay.skip(GATHERED)
        assert sounds(relay) == []
        assert len(relay.messages()) == 1


async def test_flux_failing_on_what_it_was_known_to_reconcile_is_news_at_once(place: Place, start: Start) -> None:
    async with start() as relay:
        await relay.flux(recovery(at=relay.clock()))
        await relay.fails()
        await relay.settled()
        assert sounds(relay) == ["❌ rings"]


async def test_a_restart_within_the_quarter_of_an_hour_sounds_no_second_time(place: Place, start: Start) -> None:
    async with start() as relay:
        await was_firing(relay, "Sonarr")
        await relay.skip(GATHERED)
    async with start() as relay:
        await was_firing(relay, "Radarr")
        await relay.skip(GATHERED)
        assert len(relay.messages()) == 1
        assert sounds(relay) == ["🚨 rings"]


async def test_after_a_quarter_of_an_hour_what_is_old_is_late_and_pages(place: Place, start: Start) -> None:
    async with start() as relay:
        await relay.flux(recovery(at=relay.clock()))
        await was_firing(relay, "Sonarr", "warning")
        await relay.later(HOUR)
        await was_firing(relay, "Radarr", since=2 * HOUR)
        await relay.settled()
        assert sounds(relay) == ["🚨 calls"]


async def test_a_channel_with_another_webhook_gets_all_that_goes_on_in_one_message(place: Place, start: Start) -> None:
    place.is_new = False
    async with start() as relay:
        for number in range(12):
            await relay.alerts(
                alert(f"A{number}", "critical" if number % 2 else "error", pod=f"web{number}-0", starts=relay.clock()),
                key=str(number),
            )
        await relay.settled()
        await relay.later(HOUR)
        heard = len(sounds(relay))
        relay.standin.remove_webhook("11")
        relay.standin.add_webhook("13", "fresh", "22", "30")
        place.webhook("ops", "13", "fresh")
        assert await relay.relay.reload()
        await relay.until(lambda: bool(relay.messages("22")), "it is there")
        await relay.later(HOUR)
        (message,) = relay.messages("22")
        assert message.content.startswith("🛠️ homelab: 12 problems were here already, worst: ")
        assert sounds(relay)[heard:] == ["🛠 rings"]


async def test_a_channel_that_moves_into_a_thread_leaves_lines_that_lead_there(place: Place, start: Start) -> None:
    place.is_new = False
    place.standin.add_thread("77", "20")
    async with start() as relay:
        crash = await relay.fires()
        await relay.later(HOUR)
        place.configure("channels: {ops: {webhook_url_file: discord-ops, thread: '77', status: false}}\n")
        assert await relay.relay.reload()
        await relay.until(lambda: bool(relay.messages("77")), "it is there")
        await relay.later(60)
        (old,), (new,) = relay.messages("20"), relay.messages("77")
        assert old.content.startswith("↪")
        assert new.id in old.content
        assert new.content.startswith("🚨")
        assert sounds(relay) == ["🚨 calls", "🚨 rings"]
        await relay.resolves(crash)
        await relay.later(60)
        assert relay.messages("77")[0].content.startswith("✅")
