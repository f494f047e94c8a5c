"""The road of an event: from a sender's request to what a person sees and hears in Discord."""

import pytest

from relay.demo.discord import Kind
from tests.path.conftest import Start
from tests.path.stage import BOTH, CHANNELS, OPS, Place, Running, alert, event


async def test_a_failure_of_flux_is_one_card_and_its_recovery_makes_it_a_record(relay: Running) -> None:
    await relay.fails("apps")
    await relay.settled()
    (card,) = relay.messages()
    assert card.content.startswith("❌ Flux apps cannot be built")
    await relay.recovers("apps")
    await relay.settled()
    (record,) = relay.messages()
    assert record.id == card.id
    assert record.content.startswith("✅ Flux apps recovered")
    assert len(relay.standin.pushes) == 1, "an edit never sounds"


async def test_repeats_change_nothing(relay: Running) -> None:
    await relay.fails("apps")
    crash = await relay.fires()
    await relay.settled()
    before = relay.requests()
    for _ in range(30):
        await relay.fails("apps")
        await relay.alerts(crash)
    await relay.settled()
    assert relay.requests() == before


async def test_a_group_grows_by_edits_of_one_card(relay: Running) -> None:
    now = relay.clock()
    alerts = [alert(pod=f"sonarr-66cc5c9fcf-9rcc{digit}", starts=now) for digit in "2456"]
    for count in range(1, 5):
        await relay.alerts(*alerts[:count])
        await relay.settled()
    assert len(relay.messages()) == 1
    assert len(relay.standin.pushes) == 1
    await relay.resolves(*alerts)
    await relay.settled()
    assert relay.messages()[0].content.startswith("✅")


async def test_what_escalates_to_a_page_is_a_new_message_with_the_mention_and_the_old_one_leads_to_it(
    relay: Running,
) -> None:
    await relay.fires(severity="warning")
    await relay.settled()
    (quiet,) = relay.messages()
    assert quiet.silent
    await relay.fires(severity="critical")
    await relay.settled()
    old, new = relay.messages()
    assert old.id == quiet.id
    assert f"https://discord.com/channels/30/20/{new.id}" in old.text
    assert old.content.startswith("↪")
    assert new.content.startswith("🚨")
    assert [push.mentioned.roles for push in relay.standin.pushes] == [("1234",)]


async def test_what_paged_gets_its_end_after_it_has_settled_as_a_post_without_a_mention(relay: Running) -> None:
    crash = await relay.fires()
    await relay.settled()
    await relay.resolves(crash)
    await relay.settled()
    assert len(relay.messages()) == 1, "sound waits"
    await relay.skip(121)
    card, end = relay.messages()
    assert end.content.startswith("✅")
    assert card.id in end.text, "the end leads to the card"
    page, said = relay.standin.pushes
    assert page.mentioned.roles == ("1234",)
    assert said.message_id == end.id
    assert not said.mentioned
    await relay.skip(3600)
    assert len(relay.messages()) == 2


async def test_what_comes_back_before_it_settled_is_an_edit_and_no_end_is_said(relay: Running) -> None:
    crash = await relay.fires()
    await relay.settled()
    await relay.resolves(crash)
    await relay.settled()
    await relay.skip(30)
    await relay.fires()
    await relay.settled()
    await relay.skip(200)
    (card,) = relay.messages()
    assert card.content.startswith("🚨")
    assert len(relay.standin.pushes) == 1


async def test_what_comes_back_after_its_end_was_said_pages_again(relay: Running) -> None:
    crash = await relay.fires()
    await relay.settled()
    await relay.resolves(crash)
    await relay.skip(301)
    await relay.fires()
    await relay.settled()
    old, end, again = relay.messages()
    assert old.content.startswith("↪")
    assert end.content.startswith("✅")
    assert again.content.startswith("🚨")
    assert [bool(push.mentioned) for push in relay.standin.pushes] == [True, False, True]


async def test_what_came_and_went_while_discord_was_away_appears_once_quietly_as_one_line(relay: Running) -> None:
    relay.standin.fault(Kind.STATUS, match="POST", status=503)
    crash = await relay.fires()
    await relay.until(lambda: relay.requests() == 1, "it was tried")
    await relay.resolves(crash)
    await relay.skip(10)
    (line,) = relay.messages()
    assert line.silent
    assert "\n" not in line.text
    assert line.content.startswith("✅")
    assert line.content.count("<t:") == 2, "both its ends"
    await relay.skip(600)
    assert len(relay.messages()) == 1
    assert relay.standin.pushes == []


async def test_what_came_and_went_and_comes_back_is_as_loud_as_an_opening(relay: Running) -> None:
    relay.standin.fault(Kind.STATUS, match="POST", status=503)
    failing = await relay.fires(severity="error")
    await relay.until(lambda: relay.requests() == 1, "it was tried")
    await relay.resolves(failing)
    await relay.skip(10)
    await relay.fires(severity="error")
    await relay.settled()
    assert [push.text[:1] for push in relay.standin.pushes] == ["❌"]


async def test_within_its_hold_nothing_is_shown_and_what_heals_never_is(place: Place, start: Start) -> None:
    place.configure(hold="60s")
    async with start() as relay:
        await relay.fails("heals")
        await relay.fails("stays")
        await relay.settled()
        await relay.recovers("heals")
        await relay.settled()
        assert relay.messages() == []
        await relay.skip(61)
        assert [card.content[:14] for card in relay.messages()] == ["❌ Flux stays c"]


async def test_two_severities_of_one_alert_are_one_card(relay: Running) -> None:
    weak = await relay.fires(severity="warning")
    strong = await relay.fires(severity="critical")
    await relay.settled()
    assert len([card for card in relay.messages() if not card.content.startswith("↪")]) == 1
    await relay.resolves(strong)
    await relay.settled()
    assert relay.messages()[-1].content.startswith("✅"), "the inhibited one is never resolved, and keeps nothing open"
    assert weak["labels"]["severity"] == "warning"


async def test_one_object_through_both_sources_is_one_card(relay: Running) -> None:
    await relay.fails("apps")
    await relay.settled()
    told = alert("FluxKustomizationNotReady", "error", starts=relay.clock())
    told["labels"] |= {"customresource_kind": "Kustomization", "name": "apps", "exported_namespace": "flux-system"}
    await relay.alerts(told)
    await relay.settled()
    assert len(relay.messages()) == 1


async def test_a_route_without_channels_shows_nowhere(place: Place, start: Start) -> None:
    place.configure(CHANNELS, "routes: [{match: ['alertname=\"Noise\"'], channels: []}, {channels: [ops]}]\n")
    async with start() as relay:
        await relay.fires("Noise", pod="noise-0")
        await relay.settled()
        assert relay.messages() == []
        assert relay.requests() == 0
        assert (await relay.metrics())['relay_events_total{reason="opened",source="alertmanager"}'] == 1


async def test_two_channels_show_the_same_problem_each_at_its_own_thresholds(place: Place, start: Start) -> None:
    calm = "{webhook_url_file: discord-deploys, page: never, notify: critical, show: error, status: false}"
    place.configure(f"channels:\n  ops: {OPS}\n  deploys: {calm}\n", BOTH)
    async with start() as relay:
        await relay.fires(severity="warning")
        await relay.settled()
        assert (len(relay.messages("20")), len(relay.messages("21"))) == (1, 0)
        await relay.fires(severity="critical")
        await relay.settled()
        assert (len(relay.messages("20")), len(relay.messages("21"))) == (2, 1)
        assert {push.channel_id: push.mentioned.roles for push in relay.standin.pushes} == {"20": ("1234",), "21": ()}


@pytest.mark.parametrize("severity", ["info", "none"])
async def test_what_is_only_information_is_not_shown(relay: Running, severity: str) -> None:
    await relay.fires("Watchdog", severity)
    await relay.flux(event("apps", severity="info", reason="Progressing", message="applied", at=relay.clock()))
    await relay.settled()
    assert relay.messages() == []


async def test_what_resolves_while_its_page_is_on_its_way_gets_its_end_and_pages_when_it_comes_back(
    relay: Running,
) -> None:
    relay.standin.fault(Kind.SLOW_HEADERS, match="POST", seconds=0.5)
    crash = await relay.fires()
    await relay.until(lambda: relay.requests() == 1, "the page is on its way")
    await relay.resolves(crash)
    await relay.settled()
    assert relay.messages()[0].content.startswith("✅")
    await relay.skip(301)
    assert [push.text[:1] for push in relay.standin.pushes] == ["🚨", "✅"]
    await relay.fires()
    await relay.settled()
    assert [bool(push.mentioned) for push in relay.standin.pushes] == [True, False, True]
