"""The stand-in's limits: what a burst gets, what the headers say, and how long no means no."""

import pytest

from relay.demo.discord import Limits, Rate, StandIn
from tests.demo.conftest import Clock, Talk


async def test_the_sixth_post_in_two_seconds_waits_as_told_and_then_passes(
    talk: Talk, standin: StandIn, clock: Clock
) -> None:
    answers = [await talk.post() for _ in range(6)]
    assert [one.headers["X-RateLimit-Remaining"] for one in answers] == ["4", "3", "2", "1", "0", "0"]
    refused = answers[-1]
    assert (refused.status, refused.headers["X-RateLimit-Scope"], refused.headers["Retry-After"]) == (429, "user", "2")
    assert refused.json == {"message": "You are being rate limited.", "retry_after": 2.0, "global": False}
    clock.now += 1.9
    assert (await talk.post()).status == 429
    clock.now += 0.1
    assert (await talk.post()).status == 200
    with pytest.raises(AssertionError, match="1 request sent while told to wait"):
        standin.assert_no_request_while_blocked()
    with pytest.raises(AssertionError, match="2 requests throttled"):
        standin.assert_no_429()


async def test_every_answer_of_discords_own_carries_the_buckets_headers(talk: Talk, clock: Clock) -> None:
    clock.now = 1_750_000_000.25
    for answer in (await talk.post(), await talk.post({"content": ""}), await talk.ask("GET", "/webhooks/99/x")):
        assert answer.headers["X-RateLimit-Limit"] == "5"
        assert float(answer.headers["X-RateLimit-Reset"]) == pytest.approx(clock.now + 2)
        assert answer.headers["X-RateLimit-Reset-After"] == "2.000"
        assert answer.headers["X-RateLimit-Bucket"]
        assert answer.headers["Via"]


async def test_refused_posts_cost_tokens_and_edits_have_their_own(talk: Talk) -> None:
    message = (await talk.post()).json["id"]
    refused = [(await talk.post({"content": ""})).status for _ in range(5)]
    assert refused == [400, 400, 400, 400, 429]
    assert (await talk.edit(message, {"content": "x"})).status == 200


async def test_the_channels_limit_is_hidden_shared_and_long(talk: Talk, standin: StandIn, clock: Clock) -> None:
    message = ""
    for number in range(30):
        talk.webhook = ("11/token", "12/other")[number % 2]
        message = str((await talk.post()).json["id"])
        clock.now += 0.5
    refused = await talk.post()
    assert (refused.status, refused.headers["X-RateLimit-Scope"]) == (429, "shared")
    assert int(refused.headers["X-RateLimit-Remaining"]) > 0
    assert refused.headers["Retry-After"] == "45"
    talk.webhook = "11/token"
    assert (await talk.post()).status == 429
    talk.webhook = "12/other"
    assert (await talk.edit(message, {"content": "edits go on"})).status == 200
    clock.now += 45
    assert (await talk.post()).status == 200
    assert sum(one.violation is not None for one in standin.requests) == 1


async def test_a_shared_refusal_never_counts_towards_a_ban(talk: Talk, standin: StandIn, clock: Clock) -> None:
    standin.limiter.limits = Limits(channel=Rate(1, 60.0), ban_after=2)
    await talk.post()
    for _ in range(4):
        clock.now += 1
        assert (await talk.post()).headers["X-RateLimit-Scope"] == "shared"


async def test_old_messages_take_three_edits_in_six_seconds(talk: Talk, clock: Clock) -> None:
    message = (await talk.post()).json["id"]
    clock.now += 3601
    answers = [await talk.edit(message, {"content": str(number)}) for number in range(4)]
    assert [one.status for one in answers] == [200, 200, 200, 429]
    assert (answers[-1].code, answers[-1].headers["Retry-After"]) == (30046, "6")
    young = (await talk.post()).json["id"]
    clock.now += 3
    assert (await talk.edit(young, {"content": "young"})).status == 200
    clock.now += 3
    assert (await talk.edit(message, {"content": "waited"})).status == 200


async def test_the_global_limit_is_one_for_everything_from_an_address(talk: Talk, standin: StandIn) -> None:
    standin.limiter.limits = Limits(everything=Rate(3, 1.0))
    for path in ("/webhooks/11/token", "/webhooks/12/other", "/webhooks/13/forum"):
        await talk.ask("GET", path)
    refused = await talk.ask("GET", "/webhooks/13/forum")
    assert (refused.json["global"], refused.headers["X-RateLimit-Global"]) == (True, "true")
    assert refused.headers["X-RateLimit-Scope"] == "global"


async def test_too_many_invalid_requests_ban_the_address_at_the_edge(
    talk: Talk, standin: StandIn, clock: Clock
) -> None:
    standin.limiter.limits = Limits(ban_after=3, ban_for=60.0)
    for _ in range(3):
        assert (await talk.ask("GET", "/webhooks/11/wrong")).status == 401
    banned = await talk.ask("GET", "/webhooks/12/other")
    assert banned.status == 429
    assert "error code: 1015" in banned.text
    assert "Via" not in banned.headers
    assert "X-RateLimit-Limit" not in banned.headers
    with pytest.raises(AssertionError, match="sent while banned"):
        standin.assert_no_request_while_blocked()
    clock.now += 60
    assert (await talk.ask("GET", "/webhooks/12/other")).status == 200


async def test_limits_can_be_off_or_faster(talk: Talk, standin: StandIn) -> None:
    standin.limiter.limits = Limits.off()
    assert {(await talk.post()).status for _ in range(60)} == {200}
    assert Limits().scaled(10).channel == Rate(30, 6.0)
    standin.assert_no_429()
