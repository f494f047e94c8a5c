"""One problem, one card: which Signals share an Incident, and what each Channel owes it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.attention import ChannelPolicy
from relay.core.event import Effect, Event, Severity, Subject
from relay.core.identity import flux_key
from relay.core.incident import Incident, Reason
from relay.core.joining import take
from relay.core.known import Known
from relay.core.labels import Matchers
from relay.core.policy import Grouping, IncidentPolicy, Policy
from relay.core.routing import Route
from relay.sources.alertmanager import subject_of
from tests.core.make import NOW, POLICY, alert, beat, flux, pod, taken


def incidents(*events: Event, policy: Policy = POLICY) -> list[Incident]:
    known, _ = taken(*events, policy=policy)
    return list(known.incidents.values())


DEPLOYMENT = Subject("homelab", "Deployment", "media", "sonarr")

TOGETHER: list[tuple[str, list[Event]]] = [
    (
        "two pods of one workload",
        [
            alert(subject=pod("sonarr-66cc5c9fcf-9rccg"), labels={"pod": "a"}, group="1"),
            alert(subject=pod("sonarr-66cc5c9fcf-x7k2p"), labels={"pod": "b"}, group="2"),
        ],
    ),
    (
        "a pod and its Deployment, whatever the alertname",
        [
            alert(subject=pod("sonarr-66cc5c9fcf-9rccg"), group="1"),
            alert("KubeDeploymentReplicasMismatch", subject=DEPLOYMENT, group="2"),
        ],
    ),
    (
        "the same alertname within one group",
        [alert(labels={"pod": "a"}, subject=pod("a-0")), alert(labels={"pod": "b"}, subject=pod("b-0"))],
    ),
    (
        "two severities of one alert",
        [
            alert("NodeFilesystemAlmostOutOfSpace", severity=Severity.WARNING, group="w"),
            alert("NodeFilesystemAlmostOutOfSpace", severity=Severity.CRITICAL, group="c"),
        ],
    ),
    (
        "the same Flux object through both sources",
        [
            flux("apps"),
            alert("FluxKustomizationNotReady", subject=Subject("homelab", "Kustomization", "flux-system", "apps")),
        ],
    ),
    (
        "a HelmRelease and the workload of its name",
        [
            flux("sonarr", kind="HelmRelease", namespace="media", reason="UpgradeFailed"),
            alert("KubeDeploymentReplicasMismatch", subject=DEPLOYMENT),
        ],
    ),
    (
        "a Flux event and its double from Flux's own alertmanager Provider",
        [
            flux("sonarr", kind="HelmRelease", namespace="media", reason="UpgradeFailed"),
            alert(
                "FluxHelmReleaseUpgradeFailed",
                subject=subject_of(
                    "homelab",
                    {
                        "alertname": "FluxHelmReleaseUpgradeFailed",
                        "reportingcontroller": "helm-controller",
                        "kind": "HelmRelease",
                        "name": "sonarr",
                        "namespace": "media",
                    },
                ),
            ),
        ],
    ),
    (
        "two conditions of one release",
        [
            flux("sonarr", kind="HelmRelease", reason="UpgradeFailed"),
            flux("sonarr", kind="HelmRelease", reason="DriftDetected", aspect="drift"),
        ],
    ),
]

APART: list[tuple[str, list[Event]]] = [
    ("two objects", [flux("apps"), flux("infra")]),
    ("two alertnames in one group", [alert("A"), alert("B")]),
    ("one alertname in two groups", [alert(labels={"x": "1"}, group="1"), alert(labels={"x": "2"}, group="2")]),
    (
        "two workloads in one namespace",
        [
            alert(subject=pod("a-0"), labels={"pod": "a"}, group="1"),
            alert(subject=pod("b-0"), labels={"pod": "b"}, group="2"),
        ],
    ),
    (
        "two alerts of one node",
        [
            alert("A", subject=Subject("homelab", "Node", "", "pve2"), group="1"),
            alert("B", subject=Subject("homelab", "Node", "", "pve2"), group="2"),
        ],
    ),
    (
        "one name in two namespaces",
        [
            alert(subject=pod("a-0", "x"), labels={"namespace": "x"}, group="1"),
            alert(subject=pod("a-0", "y"), labels={"namespace": "y"}, group="2"),
        ],
    ),
]


@pytest.mark.parametrize("sentence, events", TOGETHER, ids=[sentence for sentence, _ in TOGETHER])
def test_these_are_one_problem(sentence: str, events: list[Event]) -> None:
    assert len(incidents(*events)) == 1, sentence
    assert len(incidents(*reversed(events))) == 1, sentence


@pytest.mark.parametrize("sentence, events", APART, ids=[sentence for sentence, _ in APART])
def test_these_are_two_problems(sentence: str, events: list[Event]) -> None:
    assert len(incidents(*events)) == 2, sentence


def test_a_whole_group_is_one_problem_where_the_operator_says_so() -> None:
    whole = replace(POLICY, incidents=IncidentPolicy(group=Grouping.WHOLE))
    assert len(incidents(alert("A"), alert("B"), policy=whole)) == 1


def test_the_weaker_severity_last_seen_before_the_stronger_does_not_keep_it_open() -> None:
    known, reasons = taken(
        alert("Full", severity=Severity.WARNING, group="w"),
        alert("Full", severity=Severity.CRITICAL, group="c", at=NOW + 60, starts_at=NOW + 60),
        alert(
            "Full",
            severity=Severity.CRITICAL,
            group="c",
            firing=False,
            at=NOW + 600,
            starts_at=NOW + 60,
            ends_at=NOW + 590,
        ),
    )
    assert reasons == [Reason.OPENED, Reason.ESCALATED, Reason.RESOLVED]
    assert not next(iter(known.incidents.values())).is_open


def test_a_stronger_severity_leads_from_then_on() -> None:
    worse = alert("Full", severity=Severity.CRITICAL, group="c", at=NOW + 60, starts_at=NOW + 60)
    known, _ = taken(alert("Full", severity=Severity.WARNING, group="w"), worse)
    (incident,) = known.incidents.values()
    assert incident.lead == worse.signal_key


def test_the_weaker_severity_seen_again_does() -> None:
    known, reasons = taken(
        alert("Full", severity=Severity.WARNING, group="w"),
        alert("Full", severity=Severity.CRITICAL, group="c", at=NOW + 60, starts_at=NOW + 60),
        alert("Full", severity=Severity.WARNING, group="w", at=NOW + 90),
        alert(
            "Full",
            severity=Severity.CRITICAL,
            group="c",
            firing=False,
            at=NOW + 600,
            starts_at=NOW + 60,
            ends_at=NOW + 590,
        ),
    )
    assert reasons[-1] is Reason.EASED
    (incident,) = known.incidents.values()
    assert incident.severity is Severity.WARNING


def test_the_weaker_severity_opens_it_again_when_it_speaks_after_the_end() -> None:
    known, reasons = taken(
        alert("Full", severity=Severity.WARNING, group="w"),
        alert("Full", severity=Severity.CRITICAL, group="c", at=NOW + 60, starts_at=NOW + 60),
        alert(
            "Full",
            severity=Severity.CRITICAL,
            group="c",
            firing=False,
            at=NOW + 600,
            starts_at=NOW + 60,
            ends_at=NOW + 590,
        ),
        alert("Full", severity=Severity.WARNING, group="w", at=NOW + 660),
    )
    assert reasons[-1] is Reason.REOPENED
    assert next(iter(known.incidents.values())).is_open


def test_a_group_that_grows_and_shrinks_is_counted_by_severity() -> None:
    pods = [alert(labels={"pod": f"p{index}"}, subject=pod(f"p{index}-0")) for index in range(5)]
    known, _ = taken(*pods)
    (incident,) = known.incidents.values()
    assert (incident.firing.warning, incident.members) == (5, 5)
    for index, event in enumerate(pods):
        over = replace(event, effect=Effect.CLOSES, at=NOW + 60, ends_at=NOW + 60, received_at=NOW + 60)
        reason = take(known, over, POLICY)
        assert reason is (Reason.RESOLVED if index == 4 else Reason.MEMBER_RESOLVED)


TWO_CHANNELS = replace(
    POLICY,
    channels={"ops": ChannelPolicy("ops"), "media": ChannelPolicy("media", page=None)},
    routes=(Route(Matchers.of(['namespace="media"']), ("media",), carry_on=True), Route(channels=("ops",))),
)


def test_a_signal_is_shown_where_its_own_labels_lead() -> None:
    known, _ = taken(
        alert(labels={"namespace": "media"}, severity=Severity.CRITICAL),
        alert(labels={"namespace": "other"}, severity=Severity.CRITICAL),
        policy=TWO_CHANNELS,
    )
    assert {posting.channel for posting in known.postings.values()} == {"ops", "media"}
    owed = {posting.channel: posting.pages_owed for posting in known.postings.values()}
    assert owed == {"ops": 1, "media": 0}


def test_what_a_channel_does_not_show_owes_it_nothing() -> None:
    known, _ = taken(alert(severity=Severity.INFO))
    assert not known.postings
    assert len(known.incidents) == 1


def test_what_heals_within_its_hold_is_counted_and_never_due() -> None:
    held = replace(POLICY, holds={"flux": 30.0})
    known, reasons = taken(flux(), beat(at=NOW + 10), policy=held)
    assert reasons == [Reason.OPENED, Reason.HEALED]
    assert [posting.due_at for posting in known.postings.values()] == [None]
    assert next(iter(known.objects.values())).healed == 1


def test_a_hold_is_over_at_once_when_alertmanager_says_the_same() -> None:
    held = replace(POLICY, holds={"flux": 30.0})
    release = flux("sonarr", kind="HelmRelease", namespace="media", reason="UpgradeFailed")
    known, _ = taken(release, alert(subject=pod("sonarr-0")), policy=held)
    (incident,) = known.incidents.values()
    assert incident.visible_at == NOW


EVENTS = st.lists(
    st.one_of(
        st.builds(
            flux,
            st.sampled_from(["apps", "infra"]),
            message=st.sampled_from(["build failed", "health check failed"]),
            at=st.integers(0, 8).map(lambda step: NOW + 60 * step),
        ),
        st.builds(beat, st.sampled_from(["apps", "infra"]), at=st.integers(0, 8).map(lambda step: NOW + 60 * step)),
        st.builds(
            alert,
            st.sampled_from(["A", "B"]),
            severity=st.sampled_from([Severity.WARNING, Severity.CRITICAL]),
            firing=st.booleans(),
            at=st.integers(0, 8).map(lambda step: NOW + 60 * step),
            starts_at=st.integers(0, 4).map(lambda step: NOW + 60 * step),
            ends_at=st.integers(0, 8).map(lambda step: NOW + 60 * step),
            group=st.sampled_from(["1", "2"]),
            subject=st.sampled_from([pod("sonarr-0"), pod("radarr-0"), Subject("homelab", "", "", "")]),
            labels=st.sampled_from([{"pod": "a"}, {"pod": "b"}]),
        ),
    ),
    max_size=14,
)


@settings(max_examples=300, deadline=None)
@given(EVENTS)
def test_whatever_happens_counts_and_states_agree(events: list[Event]) -> None:
    known, _ = taken(*events)
    for incident in known.incidents.values():
        firing = [signal for signal in known.signals.values() if signal.incident == incident.id and signal.keeps_open]
        if incident.is_open:
            assert incident.firing.total == len(firing)
            assert incident.severity is max(signal.severity for signal in firing)
        else:
            assert incident.firing.total == 0
            assert not firing
        assert incident.peak >= incident.severity
    for posting in known.postings.values():
        assert posting.pages_made <= posting.pages_owed
        assert (posting.due_at is None) or posting.wanted > posting.shown or posting.pages_owed > posting.pages_made


@settings(max_examples=200, deadline=None)
@given(EVENTS)
def test_a_replay_gives_the_same_incidents_ids_included(events: list[Event]) -> None:
    first, second = taken(*events)[0], taken(*events)[0]
    assert first.incidents == second.incidents
    assert first.postings == second.postings
    assert first.signals == second.signals


@settings(max_examples=200, deadline=None)
@given(EVENTS)
def test_an_event_redelivered_at_once_is_never_news(events: list[Event]) -> None:
    known = Known()
    for event in events:
        take(known, event, POLICY)
        versions = {incident.id: incident.version for incident in known.incidents.values()}
        take(known, event, POLICY)
        assert {incident.id: incident.version for incident in known.incidents.values()} == versions


def _elsewhere(event: Event, cluster: str) -> Event:
    subject = event.subject._replace(cluster=cluster)
    return replace(event, subject=subject, signal_key=flux_key(subject, event.aspect), digest=event.digest + cluster)


def test_the_same_failure_in_several_clusters_is_one_problem_and_ends_in_each() -> None:
    several = replace(POLICY, several_clusters=True)
    known, reasons = taken(flux(), _elsewhere(flux(), "edge"), policy=several)
    assert reasons == [Reason.OPENED, Reason.MEMBER]
    assert take(known, _elsewhere(beat(at=NOW + 60), "edge"), several) is Reason.MEMBER_RESOLVED
    assert take(known, beat(at=NOW + 90), several) is Reason.RESOLVED


def test_another_failure_elsewhere_is_another_problem() -> None:
    several = replace(POLICY, several_clusters=True)
    other = _elsewhere(flux(message="kustomize build failed: another thing"), "edge")
    assert len(incidents(flux(), other, policy=several)) == 2
    assert len(incidents(flux(), _elsewhere(flux(), "edge"))) == 2, "one cluster is never asked for others"
