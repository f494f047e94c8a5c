"""The stand-in's misbehaviour: each fault as a client meets it, and only where it was scripted."""

import asyncio
import json
import time

import aiohttp
import pytest

from relay.demo.discord import Kind, StandIn
from tests.demo.conftest import Clock, Talk


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 521, 522, 523, 524])
@pytest.mark.parametrize("html", [True, False])
async def test_a_gateway_error_is_no_json_and_stores_nothing(
    talk: Talk, standin: StandIn, status: int, html: bool
) -> None:
    standin.fault("status", status=status, html=html)
    answer = await talk.post()
    assert (answer.status, answer.headers["Content-Type"].split(";")[0]) == (
        status,
        "text/html" if html else "text/plain",
    )
    assert standin.messages() == []
    assert (await talk.post()).status == 200


async def test_an_error_may_hide_a_stored_message(talk: Talk, standin: StandIn) -> None:
    standin.fault("status", status=502, stored=True)
    assert (await talk.post()).status == 502
    assert len(standin.messages()) == 1


@pytest.mark.parametrize(
    "kind,stored",
    [("stored_then_dropped", 1), ("dropped_before", 0), ("reset", 0)],
)
async def test_a_lost_answer_looks_the_same_whether_or_not_the_message_was_stored(
    talk: Talk, standin: StandIn, kind: str, stored: int
) -> None:
    standin.fault(kind)
    with pytest.raises((aiohttp.ClientConnectionError, ConnectionError)):
        await talk.post()
    assert len(standin.messages()) == stored
    assert (standin.requests[0].status, standin.requests[0].fault) == (None, kind)
    assert (await talk.post()).status == 200


async def test_a_webhook_deleted_or_rotated_midway_stays_so(talk: Talk, standin: StandIn) -> None:
    standin.fault("token_rotated")
    assert [(await talk.post()).code for _ in range(2)] == [50027, 50027]
    talk.webhook = "12/other"
    standin.fault("webhook_deleted")
    assert [(await talk.post()).code for _ in range(2)] == [10015, 10015]
    with pytest.raises(AssertionError, match="2 requests sent to a dead webhook"):
        standin.assert_dead_webhooks_are_called_once()


@pytest.mark.parametrize(
    "kind,status", [("ban_html", 429), ("cloudflare_1015", 429), ("forbidden_html", 403), ("edge_404_html", 404)]
)
async def test_the_edge_speaks_no_json_and_wears_no_headers(
    talk: Talk, standin: StandIn, kind: str, status: int
) -> None:
    standin.fault(kind, retry_after=7)
    answer = await talk.post()
    assert (answer.status, answer.headers["Retry-After"]) == (status, "7")
    assert not {"Via", "X-RateLimit-Limit"} & set(answer.headers)
    with pytest.raises(ValueError):  # noqa: PT011 - any parser's error will do
        json.loads(answer.text)
    assert standin.messages() == []


async def test_the_static_ban_is_json_without_a_time(talk: Talk, standin: StandIn) -> None:
    standin.fault(Kind.BAN_JSON)
    answer = await talk.post()
    assert (answer.status, answer.code) == (429, 0)
    assert "retry_after" not in answer.json
    assert "Retry-After" not in answer.headers


async def test_a_ban_lasts_as_long_as_it_was_set(talk: Talk, standin: StandIn, clock: Clock) -> None:
    standin.ban(900, kind=Kind.CLOUDFLARE_1015)
    assert (await talk.post()).text == "error code: 1015"
    clock.now += 900
    assert (await talk.post()).status == 200


async def test_damaged_answers_hide_stored_messages(talk: Talk, standin: StandIn) -> None:
    standin.fault("truncated_json")
    with pytest.raises(json.JSONDecodeError):
        json.loads((await talk.post()).text)
    standin.fault("wrong_content_type")
    assert (await talk.post()).headers["Content-Type"] == "text/html"
    standin.fault("missing_headers")
    assert not {"Via", "X-RateLimit-Limit"} & set((await talk.post()).headers)
    standin.fault("empty_body")
    assert (await talk.post()).text == ""
    standin.fault("gzip")
    assert (await talk.post()).headers["Content-Encoding"] == "gzip"
    assert len(standin.messages()) == 5


async def test_a_clock_may_be_wrong_in_reset_alone(talk: Talk, standin: StandIn, clock: Clock) -> None:
    standin.fault("reset_skew", seconds=-300)
    answer = await talk.post()
    assert float(answer.headers["X-RateLimit-Reset"]) == pytest.approx(clock.now + 2 - 300)
    assert answer.headers["X-RateLimit-Reset-After"] == "2.000"


async def test_retry_after_may_be_nothing_or_an_hour(talk: Talk, standin: StandIn, clock: Clock) -> None:
    standin.fault("retry_after_zero")
    nothing = await talk.post()
    assert (nothing.status, nothing.headers["Retry-After"], nothing.json["retry_after"]) == (429, "0", 0.0)
    assert (await talk.post()).status == 200
    standin.fault("retry_after_long")
    hour = await talk.post()
    assert (hour.headers["Retry-After"], hour.json["retry_after"]) == ("3600", 3600.0)
    assert (await talk.post()).status == 429
    clock.now += 3600
    assert (await talk.post()).status == 200
    assert len([one for one in standin.requests if one.violation]) == 1


@pytest.mark.parametrize("kind", ["slow_headers", "slow_body", "trickle"])
async def test_a_slow_answer_is_whole_in_the_end(talk: Talk, standin: StandIn, kind: str) -> None:
    standin.fault(kind, seconds=0.2)
    began = time.monotonic()
    answer = await talk.post()
    assert answer.json["content"] == "hello"
    assert time.monotonic() - began >= 0.19


async def test_a_client_that_hung_up_is_not_in_flight(talk: Talk, standin: StandIn) -> None:
    standin.fault("slow_headers", seconds=5)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(talk.post(), 0.1)
    await asyncio.sleep(0.05)
    await talk.post()
    standin.assert_never_two_in_flight_per_webhook()


async def test_automod_refuses_a_waiting_post_and_swallows_another(talk: Talk, standin: StandIn) -> None:
    standin.fault("automod", times=2)
    assert (await talk.post()).code == 200000
    assert (await talk.post(wait="false")).status == 204
    assert standin.messages() == []


async def test_a_fault_meets_only_what_it_was_scripted_for(talk: Talk, standin: StandIn) -> None:
    standin.fault("status", match="PATCH")
    standin.fault("status", match=lambda request: "boom" in str(request.body), status=503)
    message = (await talk.post()).json["id"]
    assert (await talk.post({"content": "boom"})).status == 503
    assert standin.faults.waiting == 1
    assert (await talk.edit(message, {"content": "x"})).status == 502
    assert (await talk.edit(message, {"content": "x"})).status == 200


async def test_chances_are_the_same_for_the_same_seed(clock: Clock) -> None:
    def fallen(seed: int) -> list[bool]:
        standin = StandIn(clock=clock, seed=seed)
        standin.chance("status", 0.5)
        from relay.demo.discord import Request

        asked = Request(0.0, "POST", "/", {}, None, None, None, 1)
        return [standin.faults.pick(asked) is not None for _ in range(50)]

    assert fallen(1) == fallen(1)
    assert fallen(1) != fallen(2)
    assert 10 < sum(fallen(1)) < 40
