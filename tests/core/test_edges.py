"""An edge holds where every fact that joins is there on both sides, and is found by key alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relay.config.edges import load_edges, parse_edges
from relay.core.edges import NO_LINKS, Edges, Text, began_too_early, root_key
from relay.core.event import Event, Source, Subject
from relay.core.identity import subject_key
from tests.core.make import alert, flux, pod

OWN = Edges.of(
    parse_edges(
        """\
- edge: full-volume
  title: What writes to a full volume
  effect: [alertname="PodFailing"]
  cause: {signal: [alertname="VolumeFull"], equal: [namespace, claim]}
  window: 10m
  examples: [{given: {source: alertmanager, alertname: PodFailing, namespace: media, claim: data}, under: 'namespace=media, claim=data'}]
- edge: weak-first
  title: Perhaps
  effect: [alertname="PodFailing"]
  cause: {object: Workload/<namespace>/<app>}
  weak: true
  examples: [{given: {source: alertmanager, alertname: PodFailing, namespace: media, app: db}, under: Workload/media/db}]
""",
        "own.yaml",
    )
)


def failing(**labels: str) -> Event:
    return alert("PodFailing", labels=labels, subject=pod("sonarr-0"))


def full(**labels: str) -> Event:
    return alert("VolumeFull", labels=labels, subject=Subject("homelab", "PersistentVolumeClaim", "media", "data"))


def test_cause_and_effect_meet_under_one_key() -> None:
    labels = {"namespace": "media", "claim": "data"}
    (cause,) = OWN.links(failing(**labels)).causes
    assert OWN.links(full(**labels)).claims == (cause.key,)
    assert cause.under == "namespace=media, claim=data"


MISSING = [{"namespace": "media"}, {"claim": "data"}, {"namespace": "media", "claim": ""}, {}]


@pytest.mark.parametrize("labels", MISSING, ids=str)
def test_missing_is_not_equal(labels: dict[str, str]) -> None:
    bare = Subject("homelab", "", "", "")
    assert OWN.links(replace(failing(**labels), subject=bare)).causes == ()
    assert OWN.links(replace(full(**labels), subject=bare)).claims == ()


def test_another_cluster_is_another_cause() -> None:
    labels = {"namespace": "media", "claim": "data"}
    elsewhere = replace(full(**labels), subject=Subject("edge", "PersistentVolumeClaim", "media", "data"))
    (cause,) = OWN.links(failing(**labels)).causes
    assert OWN.links(elsewhere).claims != (cause.key,)
    assert root_key("homelab", "dns") != root_key("edge", "dns")


def test_strong_edges_go_before_weak_ones_wherever_they_stand() -> None:
    links = OWN.links(failing(namespace="media", claim="data", app="db"))
    assert [cause.edge.name for cause in links.causes] == ["full-volume", "weak-first"]
    shipped = [edge.rank for edge in load_edges().all]
    assert shipped == sorted(shipped)


def test_nothing_is_an_effect_of_itself() -> None:
    links = OWN.links(failing(namespace="media", app="sonarr"))
    assert links.causes == (), "its own workload"
    release = flux("sonarr", kind="HelmRelease", namespace="media")
    named = replace(release, names=(Subject("homelab", "Deployment", "media", "sonarr"),))
    assert load_edges().links(named).causes == (), "a release and the workload of its name are one thing"


def test_what_is_named_folds_under_the_key_that_its_incident_holds() -> None:
    thing = Subject("homelab", "Deployment", "media", "sonarr")
    (cause,) = load_edges().links(flux(reason="HealthCheckFailed", names=(thing,))).causes[:1]
    assert cause.key == subject_key(pod("sonarr-66cc5c9fcf-9rccg")), "the workload, whoever speaks of it"


def test_the_relay_itself_is_nobodys_effect() -> None:
    assert load_edges().links(replace(failing(namespace="media"), source=Source.RELAY)) is NO_LINKS


def test_what_began_long_before_is_no_effect() -> None:
    edge = OWN.by_name["full-volume"]
    assert began_too_early(edge, 1000.0, 1601.0)
    assert not began_too_early(edge, 1000.0, 1600.0)
    assert not began_too_early(OWN.by_name["weak-first"], 0.0, 1e9)


@pytest.mark.parametrize(
    "facts, says", [({"a": "1", "b": "2"}, "x:1/2"), ({"a": "1"}, ""), ({"a": "1", "b": ""}, ""), ({}, "")], ids=str
)
def test_a_blank_that_nothing_fills_makes_no_key(facts: dict[str, str], says: str) -> None:
    assert Text("x:<a>/<b>").filled(facts) == says


HOSTILE = ["<name>", "a\nb", "x" * 5000, "webhook:y", "\u202e"]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_text_from_outside_is_a_value_and_never_a_template(text: str) -> None:
    (cause,) = OWN.links(failing(namespace="media", claim=text)).causes
    assert cause.under == f"namespace=media, claim={text}"
