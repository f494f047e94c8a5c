"""What Discord may answer, and what the channel shows in the end: nothing is lost, nothing is asked while told to wait."""

import pytest

from relay.demo.discord import Kind, Limits, Rate, Scope
from tests.path.conftest import Start
from tests.path.stage import BOTH, TWO, Place, Running, alert


@pytest.mark.parametrize("scope", Scope)
async def test_a_throttled_channel_waits_as_told_and_loses_nothing(relay: Running, scope: Scope) -> None:
    relay.standin.fault(Kind.RETRY_AFTER_LONG, match="POST", seconds=40.0, scope=scope)
    crash = await relay.fires()
    await relay.until(lambda: relay.requests() == 1, "it was asked")
    await relay.fires(pod="radarr-0")
    for _ in range(3):
        await relay.resolves(crash)
        await relay.alerts(crash)
    assert relay.requests() == 1
    await relay.skip(41)
    assert len(relay.messages()) == 1, "one group is one card"
    relay.standin.assert_no_request_while_blocked()
    assert (await relay.metrics())['relay_discord_requests_total{channel="ops",outcome="throttled",route="post"}'] == 1


async def test_a_wait_for_edits_holds_up_no_page(relay: Running) -> None:
    crash = await relay.fires()
    await relay.settled()
    relay.standin.fault(Kind.RETRY_AFTER_LONG, match="PATCH", seconds=600.0)
    await relay.resolves(crash)
    await relay.until(lambda: relay.requests() == 2, "the edit was throttled")
    await relay.fires("Other", pod="radarr-0")
    await relay.until(lambda: len(relay.messages()) == 2, "the page is there, though no edit may go")
    await relay.skip(601)
    assert relay.messages()[0].content.startswith("✅")
    relay.standin.assert_no_request_while_blocked()


async def test_a_wait_for_posts_holds_up_no_edit(relay: Running) -> None:
    crash = await relay.fires()
    await relay.settled()
    relay.standin.fault(Kind.RETRY_AFTER_LONG, match="POST", seconds=600.0)
    await relay.fires("Other", pod="radarr-0")
    await relay.until(lambda: relay.requests() == 2, "the post was throttled")
    await relay.resolves(crash)
    await relay.until(lambda: relay.messages()[0].content.startswith("✅"), "the record is made, though no post may go")
    assert await relay.due() == ["ops"], "what waits for room stays due since when it was"
    await relay.skip(601)
    relay.standin.assert_no_request_while_blocked()


async def test_a_wait_told_to_one_discord_channel_is_kept_by_all_its_webhooks(place: Place, start: Start) -> None:
    place.standin.add_webhook("12", "other", "20", "30")
    place.configure(TWO, "routes: [{match: ['alertname=\"Other\"'], channels: [deploys]}, {channels: [ops]}]\n")
    async with start() as relay:
        relay.standin.fault(Kind.RETRY_AFTER_LONG, match="POST", seconds=40.0, scope=Scope.SHARED)
        await relay.fires()
        await relay.until(lambda: relay.requests() == 1, "it was throttled")
        await relay.fires("Other", pod="radarr-0")
        await relay.skip_blocked(1)
        assert sorted(await relay.due()) == ["deploys", "ops"]
        assert relay.requests() == 1
        await relay.skip(41)
        assert len(relay.messages()) == 2
        relay.standin.assert_no_request_while_blocked()


async def test_webhooks_of_one_discord_channel_share_its_budget_of_posts(place: Place, start: Start) -> None:
    place.standin.add_webhook("12", "other", "20", "30")
    place.configure(TWO, BOTH)
    async with start() as relay:
        for number in range(4):
            await relay.alerts(alert(pod=f"app{number}-0", starts=relay.clock()), key=f"g{number}")
        await relay.until(lambda: len(relay.messages()) >= 4, "four are posted at once")
        await relay.skip_blocked(0.1)
        assert len(relay.messages()) == 4, "four of both together"
        await relay.skip(13)
        assert len(relay.messages()) == 8
        posts = sorted(request.time for request in relay.standin.requests if request.method == "POST")
        assert all(later - earlier >= 2.1 for earlier, later in zip(posts, posts[4:], strict=False))
        relay.standin.assert_no_429()


FAILING = [
    ("a bad gateway", Kind.STATUS, {"status": 502}),
    ("an overload", Kind.STATUS, {"status": 503}),
    ("a server's error", Kind.STATUS, {"status": 500}),
    ("a reset", Kind.RESET, {}),
    ("a connection that is dropped", Kind.DROPPED_BEFORE, {}),
]


@pytest.mark.parametrize("sentence, kind, how", FAILING, ids=[sentence for sentence, _, _ in FAILING])
async def test_what_fails_is_tried_again_and_shown_once(
    relay: Running, sentence: str, kind: Kind, how: dict[str, int]
) -> None:
    relay.standin.fault(kind, match="POST", times=2, **how)  # type: ignore[arg-type]
    await relay.fires()
    for _ in range(3):
        await relay.skip(10)
    assert len(relay.messages()) == 1, sentence
    assert relay.standin.faults.waiting == 0


MAYBE_STORED = [
    ("dropped after it was stored", Kind.STORED_THEN_DROPPED, {}),
    ("reset after it was stored", Kind.RESET, {"stored": True}),
    ("an error after it was stored", Kind.STATUS, {"status": 502, "stored": True}),
]


@pytest.mark.parametrize("sentence, kind, how", MAYBE_STORED, ids=[sentence for sentence, _, _ in MAYBE_STORED])
async def test_what_may_have_been_stored_is_shown_twice_at_most(
    relay: Running, sentence: str, kind: Kind, how: dict[str, int]
) -> None:
    relay.standin.fault(kind, match="POST", **how)  # type: ignore[arg-type]
    crash = await relay.fires()
    await relay.skip(10)
    await relay.skip(10)
    assert len(relay.messages()) == 2, sentence
    await relay.resolves(crash)
    await relay.settled()
    assert relay.messages()[-1].content.startswith("✅")


UNREADABLE = [Kind.TRUNCATED_JSON, Kind.EMPTY_BODY]


@pytest.mark.parametrize("kind", UNREADABLE)
async def test_what_was_stored_under_an_id_nobody_knows_is_told_to_be_over(relay: Running, kind: Kind) -> None:
    relay.standin.fault(kind, match="POST")
    failing = await relay.fires(severity="error")
    await relay.settled()
    assert len(relay.messages()) == 1
    await relay.resolves(failing)
    await relay.settled()
    stuck, over = relay.messages()
    assert stuck.content.startswith("❌"), "it cannot be edited"
    assert over.content.startswith("✅")
    assert over.silent


@pytest.mark.parametrize(
    "kind", [Kind.WRONG_CONTENT_TYPE, Kind.MISSING_HEADERS, Kind.GZIP, Kind.RESET_SKEW, Kind.TRICKLE]
)
async def test_an_answer_in_a_strange_form_is_an_answer(relay: Running, kind: Kind) -> None:
    relay.standin.fault(kind, times=3, **({"seconds": 0.2} if kind is Kind.TRICKLE else {}))  # type: ignore[arg-type]
    crash = await relay.fires()
    await relay.settled()
    await relay.resolves(crash)
    await relay.settled()
    (record,) = relay.messages()
    assert record.content.startswith("✅")


async def test_a_throttle_without_a_time_does_not_become_a_storm(relay: Running) -> None:
    relay.standin.fault(Kind.RETRY_AFTER_ZERO, match="POST", times=2)
    await relay.fires()
    await relay.until(lambda: relay.requests() == 1, "it was asked")
    await relay.due()
    assert relay.requests() == 1
    await relay.skip(6)
    await relay.skip(6)
    assert len(relay.messages()) == 1


async def test_a_payload_at_which_discord_fails_again_and_again_is_rendered_more_plainly(relay: Running) -> None:
    def with_links(request: object) -> bool:
        return "components" in str(getattr(request, "body", "")) and "url" in str(getattr(request, "body", ""))

    relay.standin.fault(Kind.STATUS, status=500, match=with_links, times=50)
    await relay.fires()
    await relay.until(lambda: relay.requests() == 1, "it was tried")
    for _ in range(9):
        await relay.skip(300)
    assert len(relay.messages()) == 1
    assert not relay.messages()[0].now.components
    assert await relay.parked() == []


async def test_what_discord_refuses_in_every_form_is_parked_with_the_reason_and_its_next_change_tries_once_more(
    relay: Running,
) -> None:
    relay.standin.fault(Kind.AUTOMOD, match="POST", times=3)
    crash = await relay.fires()
    await relay.settled()
    assert relay.requests() == 3, "with links, without, and plain"
    (why,) = await relay.parked()
    assert why == "200000"
    await relay.alerts(crash)
    await relay.settled()
    assert relay.requests() == 3, "a repeat changes nothing"
    await relay.fires(pod="sonarr-66cc5c9fcf-x7k2p")
    await relay.settled()
    assert relay.requests() == 4
    assert await relay.parked() == []
    assert len(relay.messages()) == 1


async def test_what_is_refused_once_more_is_parked_again(relay: Running) -> None:
    relay.standin.fault(Kind.AUTOMOD, match="POST", times=4)
    crash = await relay.fires()
    await relay.settled()
    await relay.resolves(crash)
    await relay.settled()
    assert relay.requests() == 4
    assert len(await relay.parked()) == 1


async def test_a_message_that_a_person_deleted_is_shown_again_once_and_quietly(relay: Running) -> None:
    await relay.fires()
    await relay.settled()
    for other, left in (("KubeDeploymentRolloutStuck", 1), ("KubeContainerWaiting", 0)):
        relay.standin.delete_message(relay.messages()[0].id)
        await relay.fires(other, "warning")
        await relay.settled()
        assert len(relay.messages()) == left, "the second time within a day is an answer"
    assert len(relay.standin.pushes) == 1


async def test_a_record_that_a_person_deleted_is_left_and_what_comes_back_pages_again(relay: Running) -> None:
    crash = await relay.fires()
    await relay.settled()
    relay.standin.delete_message(relay.messages()[0].id)
    await relay.resolves(crash)
    await relay.settled()
    await relay.skip(300)
    assert relay.messages() == []
    await relay.fires()
    await relay.settled()
    assert [bool(push.mentioned) for push in relay.standin.pushes] == [True, True]


@pytest.mark.parametrize("kind", [Kind.WEBHOOK_DELETED, Kind.TOKEN_ROTATED])
async def test_a_dead_webhook_is_left_alone_another_channel_is_told_and_a_new_url_resumes(
    place: Place, start: Start, kind: Kind
) -> None:
    other = "routes: [{match: ['alertname=\"RelayWebhookDead\"'], channels: [deploys]}, {channels: [ops]}]\n"
    place.configure(TWO, other)
    async with start() as relay:
        shown = await relay.fires("Shown", pod="a-0")
        gone = await relay.fires("Gone", pod="c-0", severity="warning")
        await relay.settled()
        relay.standin.fault(kind, match="POST")
        await relay.fires("Later", pod="b-0")
        await relay.until(lambda: len(relay.messages("21")) == 1, "the other channel says so")
        assert relay.messages("21")[0].content.startswith("🛠️")
        await relay.resolves(gone)
        await relay.settled(but=["ops"])
        assert relay.relay.reconciler.dead == ("ops",)
        relay.standin.add_webhook("13", "fresh", "22", "30")
        place.webhook("ops", "13", "fresh")
        assert await relay.relay.reload()
        await relay.until(lambda: relay.relay.reconciler.dead == (), "the new URL is taken")
        await relay.skip(15)
        fresh = [message.content for message in relay.messages("22")]
        assert len([one for one in fresh if one.startswith("🚨")]) == 2, "what is open is there, what was late too"
        await relay.until(lambda: relay.messages("21")[0].content.startswith("✅"), "and the other channel says so")
        await relay.resolves(shown)
        await relay.settled()
        assert len([one for one in relay.shown("22") if one.startswith("🚨")]) == 1
    relay.standin.assert_dead_webhooks_are_called_once()


async def test_what_paged_through_a_webhook_that_is_gone_gets_its_end_through_the_next(
    place: Place, start: Start
) -> None:
    async with start() as relay:
        crash = await relay.fires()
        await relay.settled()
        relay.standin.remove_webhook("11")
        await relay.resolves(crash)
        await relay.until(lambda: relay.relay.reconciler.dead == ("ops",), "it found out")
        relay.standin.add_webhook("13", "fresh", "22", "30")
        place.webhook("ops", "13", "fresh")
        assert await relay.relay.reload()
        await relay.until(lambda: relay.relay.reconciler.dead == (), "the new URL is taken")
        await relay.settled()
        await relay.skip(121)
        pushes = [(push.channel_id, push.text[:1]) for push in relay.standin.pushes]
        assert pushes[0] == ("20", "🚨")
        assert ("22", "✅") in pushes[1:]


@pytest.mark.parametrize(
    "kind", [Kind.BAN_HTML, Kind.BAN_JSON, Kind.CLOUDFLARE_1015, Kind.FORBIDDEN_HTML, Kind.EDGE_404_HTML]
)
async def test_an_edge_that_shuts_us_out_is_left_alone_by_every_channel(place: Place, start: Start, kind: Kind) -> None:
    place.configure(TWO, "routes: [{match: ['alertname=\"Other\"'], channels: [deploys]}, {channels: [ops]}]\n")
    async with start() as relay:
        await relay.until(lambda: len(relay.standin.requests) == 2, "both webhooks were looked at")
        relay.standin.fault(kind, match="POST", retry_after=120)
        await relay.fires()
        await relay.until(lambda: relay.requests() == 1, "one was shut out")
        await relay.fires("Other", pod="radarr-0")
        await relay.due()
        assert relay.requests() == 1, "the other waits too"
        await relay.skip(121 if kind is not Kind.BAN_JSON else 901)
        await relay.until(
            lambda: len(relay.messages("20")) == len(relay.messages("21")) == 1, "both are shown after it"
        )


async def test_a_ban_of_minutes_is_waited_out_from_the_first_answer_on(relay: Running) -> None:
    await relay.until(lambda: len(relay.standin.requests) == 1, "the webhook was looked at")
    relay.standin.ban(600.0, retry_after=600)
    for number in range(5):
        await relay.fires(pod=f"app{number}-0")
    await relay.until(lambda: relay.requests() == 1, "one request found it out")
    await relay.skip_blocked(300)
    assert relay.requests() == 1
    await relay.skip(301)
    assert len(relay.messages()) == 1


async def test_old_messages_are_edited_slowly_and_hold_up_nobody(relay: Running) -> None:
    old = [await relay.fires(f"Old{number}", "error", pod=f"old{number}-0") for number in range(3)]
    await relay.settled()
    await relay.skip(3601)
    fresh = await relay.fires("Fresh", "warning", pod="fresh-0")
    await relay.settled()
    await relay.resolves(*old)
    await relay.until(lambda: "✅" in [content[:1] for content in relay.shown()], "the first old one is edited")
    await relay.resolves(fresh)
    await relay.until(lambda: relay.shown()[-1].startswith("✅"), "the fresh one does not wait for the old ones")
    assert [content[:1] for content in relay.shown()].count("❌") == 2
    await relay.skip(3)
    await relay.skip(3)
    assert [content[:1] for content in relay.shown()] == ["✅"] * 4
    relay.standin.assert_no_429()


async def test_a_card_that_cannot_be_made_is_parked_and_holds_up_no_other(relay: Running) -> None:
    from tests.path.hostile import AtOneAlert

    relay.relay.live.library = AtOneAlert("Poison")  # type: ignore[assignment]
    await relay.fires("Poison", pod="a-0")
    await relay.fires("Fine", pod="b-0")
    await relay.settled()
    assert len(relay.messages()) == 1
    assert await relay.parked() == ["cannot be rendered: RuntimeError"]


async def test_a_strict_route_limit_is_kept(place: Place, start: Start) -> None:
    place.standin.limiter.limits = Limits(channel=Rate(30, 60.0))
    async with start() as relay:
        for number in range(9):
            await relay.fires(f"A{number}", "warning", pod=f"app{number}-0")
            await relay.until(lambda so=number: len(relay.messages()) >= min(so + 1, 3), "few at a time stand alone")  # type: ignore[misc]
            relay.clock.ahead += 0.4
            relay.relay.reconciler.wake()
        await relay.settled()
        relay.standin.assert_no_429()
