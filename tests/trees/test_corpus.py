"""Captured traffic: every error of a Kustomization reaches a leaf of its own, and stock alerts about pods find their tree."""

from __future__ import annotations

import json

import pytest

from relay.config.trees import load_trees
from relay.core import cards
from relay.core.event import Effect, Event, Severity, Source
from relay.core.joining import take
from relay.core.known import Known
from relay.core.policy import Policy
from relay.core.signal import Signal
from relay.core.tree import Certainty
from relay.sources import Delivered
from tests.conftest import CORPUS
from tests.sources.make import parse

pytestmark = pytest.mark.corpus
LIBRARY = load_trees()
LINES = (CORPUS / "flux-events.jsonl").read_bytes().splitlines() if CORPUS else []
WEBHOOKS = (
    [json.loads(line) for line in (CORPUS / "alertmanager-webhooks.jsonl").read_bytes().splitlines()] if CORPUS else []
)


def _signal(event: Event) -> Signal:
    return Signal(
        key=event.signal_key, source=event.source, subject=event.subject, aspect=event.aspect, severity=event.severity,
        since=event.at, sent_at=event.at, seen_at=event.received_at, reason=event.reason, message=event.message,
        labels=event.labels, attributes=event.attributes, names=event.names,
    )  # fmt: skip


def _events(source: Source, body: object) -> tuple[Event, ...]:
    found = parse(source, body, now=2e9)
    return found.events if isinstance(found, Delivered) else ()


ERRORS = [
    (number, event)
    for number, line in enumerate(LINES, 1)
    for event in _events(Source.FLUX, line)
    if event.subject.kind == "Kustomization" and event.severity >= Severity.ERROR
]


@pytest.mark.parametrize("event", [event for _, event in ERRORS], ids=[str(number) for number, _ in ERRORS])
def test_every_captured_error_of_a_kustomization_reaches_a_leaf_of_its_own(event: Event) -> None:
    hint = LIBRARY.hint(_signal(event))
    assert hint.tree == "flux-kustomization"
    assert hint.certainty is Certainty.LIKELY, (event.reason, event.message[:200], hint.leaf)
    assert "…" not in hint.cause
    assert hint.cause
    assert hint.steps[0].run


def test_every_captured_alert_has_a_hint_that_begins_with_a_look() -> None:
    hints = [
        LIBRARY.hint(_signal(event)) for webhook in WEBHOOKS for event in _events(Source.ALERTMANAGER, webhook["body"])
    ]
    assert len(hints) > 50
    for hint in hints:
        assert hint.title
        assert hint.steps[0].act == "look"


def test_captured_alerts_about_pods_ask_and_claim_nothing() -> None:
    events = [
        event
        for webhook in WEBHOOKS
        for event in _events(Source.ALERTMANAGER, webhook["body"])
        if event.alertname == "KubePodNotReady"
    ]
    assert events
    for event in events:
        hint = LIBRARY.hint(_signal(event))
        assert (hint.tree, hint.leaf, hint.cause) == ("pod-not-starting", "POD-000", "")
        assert f"describe pod {event.labels['pod']}" in hint.steps[0].run


def test_the_gist_of_every_captured_alert_and_event_makes_the_line_that_its_hint_makes() -> None:
    bodies = [(Source.ALERTMANAGER, webhook["body"]) for webhook in WEBHOOKS] + [(Source.FLUX, line) for line in LINES]
    fired = [event for body in bodies for event in _events(*body) if event.effect is Effect.OPENS]
    assert len(fired) > 100
    for event in fired:
        known, policy = Known(), Policy()
        take(known, event, policy)
        (signal,), (incident,) = known.signals.values(), known.incidents.values()
        context = cards.Context(now=event.received_at)
        hint, gist = LIBRARY.hint(signal), LIBRARY.gist(signal)
        assert cards.brief(incident, [signal], gist, context) == cards.brief(incident, [signal], hint, context)
        assert gist.heals is hint.heals
