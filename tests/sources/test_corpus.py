"""Captured bodies of real senders all become Events, with the effect that the reference gives them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from relay.core.event import Effect, Source
from relay.sources import Delivered
from relay.sources.clean import clean
from tests.conftest import CORPUS
from tests.sources.make import events, parse

pytestmark = pytest.mark.corpus

CLOSES = {2, 3, 6, 10, 12, 46, 50, 64, 69, 75, 81, 82, 85, 88, 90, 91}
NOTES = {1, 4, 9, 11, 14, 31, 42, 44, 45, 47, 49, 54, 60, 65, 89}
BEATS = {2, 3, 6, 46}
DRIFT = {15, 63, 64}
ROLLOUT = {1, 9, 42, 44, 45, 49, 89}


def _lines(name: str) -> list[bytes]:
    return (CORPUS / name).read_bytes().splitlines() if CORPUS else []


FLUX = list(enumerate(_lines("flux-events.jsonl"), 1))
ALERTMANAGER: list[dict[str, Any]] = [json.loads(line) for line in _lines("alertmanager-webhooks.jsonl")]


@pytest.mark.parametrize("number, body", FLUX, ids=[str(number) for number, _ in FLUX])
def test_every_flux_event_has_its_effect(number: int, body: bytes) -> None:
    (event,) = events(Source.FLUX, body, now=2e9)
    effect = Effect.CLOSES if number in CLOSES else Effect.NOTES if number in NOTES else Effect.OPENS
    assert event.effect is effect
    assert event.beat is (number in BEATS)
    assert event.aspect == ("drift" if number in DRIFT else "ready")
    assert event.labels["type"] == ("rollout" if number in ROLLOUT else "incident")
    assert event.message == clean(json.loads(body)["message"])


@pytest.mark.parametrize("one, two", [(18, 19), (51, 86), (78, 79)])
def test_flux_events_that_differ_only_in_noise_are_copies_but_for_their_time(one: int, two: int) -> None:
    same_time = {**json.loads(dict(FLUX)[two]), "timestamp": json.loads(dict(FLUX)[one])["timestamp"]}
    (first,), (second,) = events(Source.FLUX, dict(FLUX)[one], now=2e9), events(Source.FLUX, same_time, now=2e9)
    assert first.digest == second.digest
    assert first.signal_key == second.signal_key


@pytest.mark.parametrize("entry", ALERTMANAGER, ids=[entry["id"] for entry in ALERTMANAGER])
def test_every_alert_of_every_sender_becomes_an_event(entry: dict[str, Any]) -> None:
    body = entry["raw"].encode() if "raw" in entry else entry["body"]
    found = parse(Source.ALERTMANAGER, body, now=2e9)
    assert isinstance(found, Delivered)
    assert found.refused == 0
    alerts = entry["body"]["alerts"]
    assert [event.effect is Effect.CLOSES for event in found.events] == [
        alert.get("status") == "resolved" for alert in alerts
    ]


def test_nothing_in_real_messages_is_taken_for_a_credential() -> None:
    bodies = [json.loads(body) for _, body in FLUX] + [entry["body"] for entry in ALERTMANAGER]
    changed = [text for body in bodies for text in _texts(body) if clean(text) != text]
    assert changed == []


def _texts(value: object) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            return [text for inner in value.values() for text in _texts(inner)]
        case list():
            return [text for inner in value for text in _texts(inner)]
        case _:
            return []
