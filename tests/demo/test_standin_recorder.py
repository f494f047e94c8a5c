"""What the stand-in remembers, and the questions a test may ask of it."""

import asyncio

import pytest

from relay.demo.discord import StandIn
from tests.demo.conftest import Talk


async def test_requests_are_kept_in_order_and_without_the_token(talk: Talk, standin: StandIn) -> None:
    await talk.post({"content": "one"})
    await talk.edit("5", {"content": "two"})
    assert [(one.method, one.path, one.status) for one in standin.requests] == [
        ("POST", "/webhooks/11/…", 200),
        ("PATCH", "/webhooks/11/…/messages/5", 404),
    ]
    assert standin.requests[0].body == {"content": "one"}
    assert standin.requests[0].query == {"wait": "true"}
    assert "token" not in repr(standin.requests)


async def test_two_at_once_through_one_webhook_are_seen(talk: Talk, standin: StandIn) -> None:
    standin.fault("slow_headers", seconds=0.2)
    await asyncio.gather(talk.post(), talk.ask("GET", "/webhooks/12/other"))
    standin.assert_never_two_in_flight_per_webhook()
    standin.fault("slow_headers", seconds=0.2)
    await asyncio.gather(talk.post(), talk.post())
    with pytest.raises(AssertionError, match="1 request sent beside another of its webhook"):
        standin.assert_never_two_in_flight_per_webhook()


async def test_duplicates_are_found_by_a_key_among_what_still_stands(talk: Talk, standin: StandIn) -> None:
    twice = [str((await talk.post({"content": f"id=k7f3 {number}"})).json["id"]) for number in range(2)]
    await talk.post({"content": "no key"})

    def key(message: object) -> str | None:
        content = standin.store.messages[str(getattr(message, "id", ""))].content
        return content.split()[0] if content.startswith("id=") else None

    with pytest.raises(AssertionError, match=r"1 shown more than once: id=k7f3 \(2 times\)"):
        standin.assert_no_duplicates(key)
    standin.delete_message(twice[0])
    standin.assert_no_duplicates(key)


async def test_a_clean_run_raises_nothing_and_clearing_forgets(talk: Talk, standin: StandIn) -> None:
    await talk.post()
    standin.assert_no_429()
    standin.assert_no_request_while_blocked()
    standin.assert_dead_webhooks_are_called_once()
    standin.assert_never_two_in_flight_per_webhook()
    standin.recorder.clear()
    assert (standin.requests, standin.pushes) == ([], [])
    assert len(standin.messages()) == 1
