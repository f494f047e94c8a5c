"""The relay raises what is worse than its sender says and lowers what is known to be false, says so, and the operator has the last word."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from relay.core import cards
from relay.core.event import EMPTY, Event, Severity
from relay.core.labels import Matchers
from relay.core.policy import Policy, SeverityRule, SourcePolicy
from relay.core.severities import FALSE, LOWERED, RAISED, WORSE, judged
from relay.core.tree import Library
from relay.sources import PARSERS, Delivered
from tests.core.make import NOW, POLICY, taken

CRITICAL, ERROR, WARNING, INFO, NONE = (
    Severity.CRITICAL,
    Severity.ERROR,
    Severity.WARNING,
    Severity.INFO,
    Severity.NONE,
)
FULL = {"source": "flux", "message": "failed to store artifact: write /data/x: No space left on device"}

JUDGED: list[tuple[str, Mapping[str, str], Severity, str, Severity]] = [
    ("a node that is down", {"alertname": "KubeNodeNotReady"}, WARNING, "", CRITICAL),
    ("a rollback that failed", {"alertname": "FluxHelmReleaseRollbackFailed", "source": "flux"}, ERROR, "", CRITICAL),
    ("a volume that is full", FULL, ERROR, "", CRITICAL),
    ("an alert that quotes the same words", FULL | {"source": "alertmanager"}, ERROR, "", ERROR),
    ("Flux's success that quotes them", FULL, INFO, "", INFO),
    ("what is as bad already", {"alertname": "KubeNodeNotReady"}, CRITICAL, "", CRITICAL),
    ("what is never shown", {"alertname": "KubeNodeNotReady"}, NONE, "", NONE),
    ("any other alert", {"alertname": "KubePodCrashLooping"}, WARNING, "k3s", WARNING),
    ("a scheduler that k3s does not have", {"alertname": "KubeSchedulerDown"}, CRITICAL, "k3s", INFO),
    ("the same elsewhere", {"alertname": "KubeSchedulerDown"}, CRITICAL, "", CRITICAL),
    ("a target that k3s does not have", {"alertname": "TargetDown", "job": "kube-proxy"}, WARNING, "k3s", INFO),
    ("a target that it has", {"alertname": "TargetDown", "job": "traefik"}, WARNING, "k3s", WARNING),
    ("an etcd that is slow, so it is there", {"alertname": "etcdHighFsyncDurations"}, WARNING, "k3s", WARNING),
    ("what is lower already", {"alertname": "KubeSchedulerDown"}, NONE, "k3s", NONE),
]


@pytest.mark.parametrize("sentence, labels, said, distribution, is_", JUDGED, ids=[one[0] for one in JUDGED])
def test_how_severe_is(
    sentence: str, labels: Mapping[str, str], said: Severity, distribution: str, is_: Severity
) -> None:
    severity, raised, lowered = judged(labels, said, distribution)
    assert severity is is_, sentence
    assert (bool(raised), bool(lowered)) == (severity > said, severity < said)


def test_no_name_is_raised_and_lowered_or_judged_twice() -> None:
    known = [*WORSE, *(one for every in FALSE.values() for one in every)]
    names = [name for one in known for name in one.names]
    assert len(names) == len(set(names))
    assert all(0 < len(one.why) < 60 for one in known)


def parsed(body: bytes, policy: Policy = POLICY, kind: str = "alertmanager") -> Event:
    source = next(one for one in PARSERS if one.value == kind)
    found = PARSERS[source](body, SourcePolicy(kind), policy, NOW)
    assert isinstance(found, Delivered)
    return found.events[0]


def alert(name: str = "A", /, says: Mapping[str, str] = EMPTY, **labels: str) -> bytes:
    one = {"labels": {"alertname": name, "severity": "warning", **labels}, "annotations": dict(says)}
    return json.dumps({"version": "4", "groupKey": "g", "receiver": "relay", "alerts": [one]}).encode()


def flux(**metadata: str) -> bytes:
    thing = {"kind": "Kustomization", "namespace": "flux-system", "name": "apps"}
    told = {
        "severity": "error",
        "reason": "BuildFailed",
        "message": "no such file",
        "timestamp": "2025-10-09T08:53:00Z",
    }
    return json.dumps({"involvedObject": thing, "metadata": metadata, **told}).encode()


def down() -> bytes:
    return alert("KubeNodeNotReady", node="pve2")


def test_it_stands_in_the_labels_so_that_routes_see_it_and_no_sender_can_say_it() -> None:
    event = parsed(down())
    assert event.severity is CRITICAL
    assert (event.labels["severity"], event.labels["severity_sent"]) == ("critical", "warning")
    assert event.labels[RAISED] == "a node is down"
    forged = parsed(alert("Any", severity_raised="me", severity_lowered="you"))
    assert (RAISED in forged.labels, LOWERED in forged.labels) == (False, False)


def test_the_operator_has_the_last_word() -> None:
    rule = SeverityRule(Matchers.of(['alertname="KubeNodeNotReady"']), WARNING)
    event = parsed(down(), replace(POLICY, severity_rules=(rule,)))
    assert event.severity is WARNING
    assert RAISED not in event.labels


def test_the_card_says_so() -> None:
    known, _ = taken(parsed(down()))
    (incident,), members = known.incidents.values(), list(known.signals.values())
    card = cards.build(incident, members, Library().hint(members[0]), cards.Context(now=NOW))
    assert "raised: a node is down" in card.notes


# --- owners -------------------------------------------------------------------------------------------------------------

OWNED: list[tuple[str, bytes, str, str]] = [
    ("a label", alert(team="media"), "alertmanager", "media"),
    ("owner before team", alert(team="media", owner="ada"), "alertmanager", "ada"),
    ("an annotation", alert(says={"owner": "ada"}), "alertmanager", "ada"),
    ("Flux's metadata", flux(team="media"), "flux", "media"),
    ("nobody, whatever the text says", alert(says={"summary": "owner: ada, team=media"}), "alertmanager", ""),
]


@pytest.mark.parametrize("sentence, body, kind, owner", OWNED, ids=[one[0] for one in OWNED])
def test_whose_it_is_is_said_by(sentence: str, body: bytes, kind: str, owner: str) -> None:
    known, _ = taken(parsed(body, kind=kind))
    (incident,), members = known.incidents.values(), list(known.signals.values())
    card = cards.build(incident, members, None, cards.Context(now=NOW))
    assert card.owner == owner, sentence
    assert card.headline.who == owner
