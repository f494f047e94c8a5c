"""Whatever arrives becomes Events or a clear refusal, never an exception."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from relay.core.event import Event, NotJson, Source, Unreadable
from relay.core.policy import Policy, SourcePolicy
from relay.sources import PARSERS, Delivered, Parsed

TEXT = st.text(alphabet=st.characters(codec=None, exclude_categories=()), max_size=30)
SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
JSON = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)
KEYS = [
    "alerts", "labels", "annotations", "status", "startsAt", "endsAt", "groupKey", "receiver", "groupLabels", "truncatedAlerts",
    "involvedObject", "kind", "name", "namespace", "severity", "reason", "message", "metadata", "timestamp", "alertname",
]  # fmt: skip
WORDS = st.sampled_from(
    ["firing", "resolved", "error", "info", "Kustomization", "2026-03-01T10:00:00Z", "0001-01-01T00:00:00+23:59"]
)
SHAPED = st.recursive(
    SCALAR | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=30,
)


def parse(source: Source, body: bytes) -> Parsed:
    return PARSERS[source](body, SourcePolicy("any"), Policy(cluster="homelab"), 1_772_360_000.0)


def check(found: Parsed) -> None:
    if isinstance(found, NotJson | Unreadable):
        assert found.why
        assert len(found.why) < 160
        assert "\n" not in found.why
        return
    assert isinstance(found, Delivered)
    for event in found.events:
        check_event(event)


def check_event(event: Event) -> None:
    assert event.signal_key
    texts = [
        event.message,
        event.reason,
        event.subject.key,
        *event.labels,
        *event.labels.values(),
        *event.attributes.values(),
    ]
    for text in texts:
        text.encode()
        assert "\x00" not in text
    assert all(event.labels.values())


@pytest.mark.parametrize("source", PARSERS)
@given(body=st.binary(max_size=200))
def test_any_bytes_are_answered(source: Source, body: bytes) -> None:
    check(parse(source, body))


@pytest.mark.parametrize("source", PARSERS)
@given(value=JSON | SHAPED)
def test_any_json_is_answered(source: Source, value: Any) -> None:  # noqa: ANN401  # any JSON
    check(parse(source, json.dumps(value).encode()))


@given(alerts=st.lists(SHAPED, max_size=3))
def test_any_alerts_are_answered(alerts: list[Any]) -> None:
    assume(_finite(alerts))
    found = parse(Source.ALERTMANAGER, json.dumps({"alerts": alerts}).encode())
    check(found)
    if isinstance(found, Delivered):
        assert len(found.events) + found.refused == len(alerts)


@given(fields=st.dictionaries(st.sampled_from(KEYS), SHAPED, max_size=8))
def test_any_fields_beside_an_object_are_one_event(fields: dict[str, Any]) -> None:
    body = fields | {"involvedObject": {"kind": "Kustomization", "name": "apps"}}
    assume(_finite(body))
    found = parse(Source.FLUX, json.dumps(body).encode())
    assert isinstance(found, Delivered)
    check(found)


def _finite(value: object) -> bool:
    text = json.dumps(value)
    return not any(word in text for word in ("NaN", "Infinity"))
