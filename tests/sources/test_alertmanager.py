"""Every alert of a body is one Event (reference: alertmanager.md §2, §4, §5)."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.event import Effect, Event, NotJson, Severity, Source, Subject, Unreadable
from relay.core.identity import alert_key
from relay.core.labels import Matchers
from relay.core.policy import Policy, SeverityRule
from relay.sources import Delivered
from relay.sources.alertmanager import subject_of
from relay.sources.clean import MAX_LABELS
from tests.sources.make import NOW, events, parse, payload


def webhook(*alerts: object, **envelope: Any) -> dict[str, Any]:  # noqa: ANN401  # any JSON a sender may write
    return {"receiver": "relay", "groupKey": "{}:{}", "alerts": list(alerts)} | envelope


def alert(labels: object = None, **fields: Any) -> dict[str, Any]:  # noqa: ANN401  # as above
    return {"status": "firing", "labels": labels or {"alertname": "A"}, "startsAt": "2026-03-01T10:00:00Z"} | fields


def one(labels: object = None, envelope: dict[str, Any] | None = None, **fields: Any) -> Event:  # noqa: ANN401  # as above
    how = {key: fields.pop(key) for key in ("policy", "cluster") if key in fields}
    (found,) = events(Source.ALERTMANAGER, webhook(alert(labels, **fields), **(envelope or {})), **how)
    return found


def test_a_body_of_two_alerts_is_two_events_and_the_groups_status_is_neithers() -> None:
    found = parse(Source.ALERTMANAGER, payload("alertmanager-v4"))
    assert isinstance(found, Delivered)
    firing, over = found.events
    assert found.truncated == 3
    assert (firing.effect, firing.severity, firing.at) == (Effect.OPENS, Severity.WARNING, 1_772_359_200.123)
    assert (over.effect, over.severity, over.at) == (Effect.CLOSES, Severity.CRITICAL, 1_772_359_260.0)
    assert firing.subject == Subject("homelab", "Pod", "media", "sonarr-66cc5c9fcf-9rccg")
    assert firing.group_key == over.group_key != ""
    assert (firing.starts_at, firing.ends_at) == (firing.at, None)
    assert over.ends_at == over.at
    assert firing.reason == "CrashLoopBackOff"


def test_labels_are_taken_as_they_are_with_the_relays_on_top() -> None:
    firing, _ = events(Source.ALERTMANAGER, payload("alertmanager-v4"), cluster="prod")
    assert firing.labels == {
        "alertname": "KubePodCrashLooping", "container": "sonarr", "namespace": "media", "pod": "sonarr-66cc5c9fcf-9rccg",
        "reason": "CrashLoopBackOff", "severity": "warning", "uid": "1", "source": "alertmanager", "cluster": "prod", "type": "incident",
        "severity_sent": "warning", "receiver": "monitoring/relay/on.call", "message": "Pod media/sonarr is in waiting state.",
    }  # fmt: skip


def test_the_relays_own_labels_are_no_identity_and_cannot_be_forged() -> None:
    sent = {
        "alertname": "A",
        "source": "flux",
        "type": "rollout",
        "receiver": "x",
        "message": "y",
        "severity_sent": "z",
    }
    found = one(sent)
    assert found.signal_key == alert_key("homelab", sent.items())
    assert found.labels == {
        "alertname": "A",
        "source": "alertmanager",
        "cluster": "homelab",
        "type": "incident",
        "severity": "warning",
        "receiver": "relay",
    }


def test_attributes_hold_every_link_and_what_is_no_identity() -> None:
    firing, _ = events(Source.ALERTMANAGER, payload("alertmanager-v4"))
    assert firing.attributes == {
        "external_url": "https://alertmanager.example.org",
        "group_labels": 'alertname="KubePodCrashLooping", namespace="media"',
        "notification_reason": "some alerts resolved",
        "truncated": "3",
        "generator_url": "https://prometheus.example.org/graph?g0.expr=up&g0.tab=1",
        "fingerprint": "00000000000000a1",
        "runbook_url": "https://runbooks.example.org/crash",
        "summary": "Pod is crash looping.",
        "description": "Pod media/sonarr is in waiting state.",
    }


def test_grafanas_superset_keeps_its_links_and_the_rules_real_name() -> None:
    (found,) = events(Source.ALERTMANAGER, payload("alertmanager-grafana"))
    assert found.labels["receiver"] == "[HOME] relay"
    assert found.attributes["rulename"] == "Disk is filling"
    assert [found.attributes[name] for name in ("silence_url", "dashboard_url", "panel_url")] == [
        "https://grafana.example.org/silence",
        "https://grafana.example.org/d/1",
        "https://grafana.example.org/d/1?viewPanel=2",
    ]


def test_version_3_with_its_integer_group_key_is_read() -> None:
    (found,) = events(Source.ALERTMANAGER, payload("alertmanager-v3"))
    assert (found.severity, found.message, found.at) == (Severity.ERROR, "port 3 is down", 1_462_093_200.008)
    assert found.group_key


def test_a_hostile_body_costs_only_what_is_no_alert() -> None:
    found = parse(Source.ALERTMANAGER, payload("alertmanager-hostile"))
    assert isinstance(found, Delivered)
    assert (found.truncated, found.refused) == (0, 2)
    assert found.notices == ("alerts[3] is no object", "alerts[4] is no object")
    unknown, typed, zero, late = found.events
    assert (unknown.effect, unknown.severity, unknown.at) == (Effect.OPENS, Severity.WARNING, NOW)
    assert (unknown.starts_at, unknown.group_key) == (None, "")
    assert (typed.effect, typed.ends_at, typed.at) == (Effect.CLOSES, None, NOW)
    assert (typed.labels["severity_sent"], typed.labels["on"]) == ("3", "true")
    assert not {"nested", "list", "nothing", "empty"} & set(typed.labels)
    assert (zero.effect, zero.severity) == (Effect.NOTES, Severity.NONE)
    assert (late.ends_at, late.at) == (NOW, NOW)


@pytest.mark.parametrize("status", ["firing", None, "data", 3, [], "FIRING"])
def test_only_resolved_is_over_everything_else_fires(status: object) -> None:
    assert one(status=status).effect is Effect.OPENS


def test_a_resolve_without_an_end_ends_now() -> None:
    found = one(status="resolved", endsAt="0001-01-01T00:00:00Z")
    assert (found.effect, found.ends_at, found.at) == (Effect.CLOSES, None, NOW)


def test_a_firing_alert_has_no_end_whatever_it_says() -> None:
    assert one(endsAt="2026-03-01T10:05:00Z").ends_at is None


def test_a_start_far_ahead_stays_the_episodes_and_does_not_order_events() -> None:
    found = one(startsAt="2999-01-01T00:00:00Z")
    assert found.at == NOW
    assert found.starts_at is not None
    assert found.starts_at > NOW


def test_what_has_severity_none_only_notes_and_its_end_is_no_beat() -> None:
    watchdog = {"alertname": "Watchdog", "severity": "none"}
    assert one(watchdog).effect is Effect.NOTES
    assert one(watchdog, status="resolved").effect is Effect.CLOSES


@pytest.mark.parametrize(
    "annotations, message",
    [
        ({"description": "d", "message": "m", "summary": "s"}, "d"),
        ({"message": "m", "summary": "s"}, "m"),
        ({"description": "", "summary": "s"}, "s"),
        ({}, ""),
        (None, ""),
        ([1], ""),
    ],
)
def test_the_message_is_the_description_else_the_message_else_the_summary(annotations: object, message: str) -> None:
    found = one(annotations=annotations)
    assert (found.message, found.labels.get("message", "")) == (message, message)


def test_severity_is_ours_by_words_and_then_by_rules() -> None:
    rule = SeverityRule(Matchers.of(['severity="critical"', 'cluster="lab"', 'receiver="relay"']), Severity.INFO)
    policy = Policy(cluster="homelab", severity_words={"p1": Severity.CRITICAL}, severity_rules=(rule,))
    found = one({"alertname": "A", "severity": "P1"}, policy=policy)
    assert (found.severity, found.labels["severity_sent"]) == (Severity.CRITICAL, "P1")
    lowered = one({"alertname": "A", "severity": "P1", "cluster": "lab"}, policy=policy)
    assert (lowered.severity, lowered.labels["severity"]) == (Severity.INFO, "info")
    assert one({"alertname": "A"}, policy=policy).severity is Severity.WARNING


@pytest.mark.parametrize(
    "credential, label, cluster", [("proven", "said", "proven"), (None, "said", "said"), (None, None, "homelab")]
)
def test_the_cluster_is_proven_else_said_else_the_default(
    credential: str | None, label: str | None, cluster: str
) -> None:
    found = one({"alertname": "A", "cluster": label}, cluster=credential)
    assert (found.subject.cluster, found.labels["cluster"]) == (cluster, cluster)


def test_severities_of_one_alert_are_two_signals_that_know_each_other() -> None:
    warning, critical, without = (
        one({"alertname": "A", "pod": "p"} | more) for more in ({"severity": "warning"}, {"severity": "critical"}, {})
    )
    assert len({warning.signal_key, critical.signal_key, without.signal_key}) == 3
    assert warning.semantic_key == critical.semantic_key != ""
    assert without.semantic_key == ""
    assert without.signal_key != warning.semantic_key


def test_the_senders_fingerprint_is_no_identity() -> None:
    assert one(fingerprint="a").signal_key == one(fingerprint="b").signal_key


def test_peers_that_differ_in_address_and_reason_tell_of_one_signal_and_group() -> None:
    one_peer = one(envelope={"externalURL": "http://a.example.org", "notification_reason": "unknown"})
    other = one(envelope={"externalURL": "http://b.example.org"})
    assert (one_peer.signal_key, one_peer.group_key) == (other.signal_key, other.group_key)


def test_a_group_is_of_its_receiver_and_key() -> None:
    assert one(envelope={"receiver": "a"}).group_key != one(envelope={"receiver": "b"}).group_key
    assert one(envelope={"receiver": "", "groupKey": ""}).group_key == ""
    assert one(envelope={"groupKey": 7}).group_key == one(envelope={"groupKey": "7"}).group_key


MEDIA = {"namespace": "media"}
OURS = {"namespace": "monitoring"}
KSM = OURS | {"job": "kube-state-metrics", "instance": "192.0.2.1:8080"}
NODES = OURS | {"job": "node-exporter", "instance": "192.0.2.1:9100"}


@pytest.mark.parametrize(
    "labels, kind, namespace, name",
    [
        (MEDIA | {"deployment": "web", "pod": "ksm-0"}, "Deployment", "media", "web"),
        (MEDIA | {"statefulset": "db"}, "StatefulSet", "media", "db"),
        (MEDIA | {"daemonset": "log"}, "DaemonSet", "media", "log"),
        (MEDIA | {"cronjob": "nightly", "job_name": "nightly-1"}, "CronJob", "media", "nightly"),
        (MEDIA | {"job_name": "load", "job": "kube-state-metrics"}, "Job", "media", "load"),
        (MEDIA | {"horizontalpodautoscaler": "web"}, "HorizontalPodAutoscaler", "media", "web"),
        (MEDIA | {"poddisruptionbudget": "web"}, "PodDisruptionBudget", "media", "web"),
        (MEDIA | {"persistentvolumeclaim": "config", "node": "pve2"}, "PersistentVolumeClaim", "media", "config"),
        (OURS | {"pod": "ksm-0", "exported_namespace": "media", "exported_pod": "web-0"}, "Pod", "media", "web-0"),
        (OURS | {"exported_namespace": "media", "deployment": "web"}, "Deployment", "media", "web"),
        (MEDIA | {"pod": "web-0", "node": "pve2"}, "Pod", "media", "web-0"),
        (MEDIA | {"pod": "web-0", "container": "web", "job": "kube-state-metrics", "instance": "x"}, "Pod", "media", "web-0"),
        (MEDIA | {"pod": "web-0", "container": "web", "job": "kubelet"}, "Pod", "media", "web-0"),
        (MEDIA | {"pod": "db-0", "container": "postgres-exporter", "job": "db"}, "Pod", "media", "db-0"),
        ({"node": "pve2", "instance": "192.0.2.1:9100"}, "Node", "", "pve2"),
        ({"persistentvolume": "pv-1"}, "PersistentVolume", "", "pv-1"),
        (MEDIA | {"instance": "192.0.2.1:80"}, "Namespace", "", "media"),
        ({"instance": "192.0.2.1:80"}, "Instance", "", "192.0.2.1:80"),
        ({"alertname": "A"}, "Cluster", "", ""),
        (
            OURS | {"customresource_kind": "HelmRelease", "exported_namespace": "media", "name": "sonarr", "pod": "ksm-0"},
            "HelmRelease", "media", "sonarr",
        ),
        (MEDIA | {"kind": "Kustomization", "name": "apps", "reportingcontroller": "x"}, "Kustomization", "media", "apps"),
        (MEDIA | {"kind": "Kustomization", "name": "apps"}, "Namespace", "", "media"),
        # An exporter's own pod is not what is wrong, nor is the namespace of a node's exporter.
        (KSM | {"pod": "kps-kube-state-metrics-7d9-x", "container": "kube-state-metrics", "node": "pve2"}, "Node", "", "pve2"),
        (KSM | {"pod": "ksm-7d9-x", "container": "kube-state-metrics"}, "Namespace", "", "monitoring"),
        (KSM | {"pod": "kube-state-metrics-7d9-x", "container": "kube-rbac-proxy-main"}, "Namespace", "", "monitoring"),
        (NODES | {"pod": "node-exporter-abcde", "container": "node-exporter"}, "Instance", "", "192.0.2.1:9100"),
        (NODES | {"pod": "kps-prometheus-node-exporter-abcde"}, "Instance", "", "192.0.2.1:9100"),
        (MEDIA | {"pod": "postgres-exporter-1", "job": "postgres-exporter"}, "Namespace", "", "media"),
        ({"namespace": "kube-system", "job": "kubelet", "instance": "192.0.2.1:10250"}, "Instance", "", "192.0.2.1:10250"),
        # But an exporter that is itself broken is a pod like any other.
        (KSM | {"pod": "node-exporter-abcde", "container": "node-exporter"}, "Pod", "monitoring", "node-exporter-abcde"),
        (KSM | {"pod": "ksm-0", "container": "kube-state-metrics", "uid": "1"}, "Pod", "monitoring", "ksm-0"),
    ],
)  # fmt: skip
def test_the_subject_is_the_most_exact_thing_the_labels_prove(
    labels: dict[str, str], kind: str, namespace: str, name: str
) -> None:
    assert subject_of("homelab", labels) == Subject("homelab", kind, namespace, name)


@pytest.mark.parametrize(
    "body, why, cure",
    [
        (payload("prometheus-raw"), "raw alerts", "webhook_configs"),
        (payload("flux-alertmanager-provider"), "Flux's alertmanager Provider", "generic-hmac"),
        (payload("flux-beat"), "a Flux event", "flux source"),
        (payload("flux-discord"), "made for a chat", "webhook_configs"),
        ({"content": "x", "embeds": []}, "made for a chat", "webhook_configs"),
        ({"evalMatches": [], "ruleName": "x"}, "legacy alerting", "unified alerting"),
        ({}, "without alerts", "webhook_configs"),
        ({"alerts": None}, "without alerts", "webhook_configs"),
        ({"alerts": "x", "groupKey": "k"}, "without alerts", "webhook_configs"),
        (webhook("x", 1, None), "no alert is an object", ""),
        ([], "a list", ""),
        ([1], "a list", ""),
        (None, "null", ""),
    ],
)
def test_another_shape_is_named_with_its_cure(body: object, why: str, cure: str) -> None:
    found = parse(Source.ALERTMANAGER, body)
    assert isinstance(found, Unreadable)
    assert why in found.why
    assert cure in found.cure


@pytest.mark.parametrize("body", [webhook(), {"alerts": None, "groupKey": "k"}, {"alerts": []}])
def test_a_body_without_alerts_is_fine_and_tells_nothing(body: object) -> None:
    assert parse(Source.ALERTMANAGER, body) == Delivered(())


def test_what_is_no_json_is_refused() -> None:
    assert isinstance(parse(Source.ALERTMANAGER, b"{"), NotJson)


def test_identity_rests_on_all_labels_even_on_those_that_are_not_kept() -> None:
    many = {f"l{number:03}": "x" for number in range(300)} | {"alertname": "A"}
    kept, other = one(many), one(many | {"l299": "y"})
    assert kept.signal_key != other.signal_key
    assert len(kept.labels) <= MAX_LABELS + 7


def test_twenty_thousand_alerts_pass() -> None:
    body = webhook(*(alert({"alertname": "A", "pod": f"p-{number}"}) for number in range(20_000)))
    found = events(Source.ALERTMANAGER, body)
    assert len({each.signal_key for each in found}) == 20_000


def test_credentials_in_labels_and_links_are_gone_before_they_are_hashed() -> None:
    sent = {"alertname": "A", "url": "https://user:hidden-word@db.example.org", "password": "hidden-word"}
    found = one(
        sent,
        generatorURL="https://user:hidden-word@prometheus.example.org/graph",
        annotations={"description": "token=hidden-word"},
    )
    assert "hidden-word" not in repr(found)
    assert found.signal_key == one(sent | {"url": "https://other:word@db.example.org"}).signal_key


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=12), max_size=8), st.randoms(use_true_random=False))
def test_a_signal_key_ignores_the_order_of_labels(labels: dict[str, str], dice: random.Random) -> None:
    pairs = list(labels.items())
    dice.shuffle(pairs)
    straight, mixed = (
        one({"alertname": "A"} | labels),
        one(dict(pairs) | ({} if "alertname" in labels else {"alertname": "A"})),
    )
    assert (straight.signal_key, straight.semantic_key, straight.labels) == (
        mixed.signal_key,
        mixed.semantic_key,
        mixed.labels,
    )


def test_a_body_is_its_bytes_and_nothing_else() -> None:
    raw = payload("alertmanager-v4")
    assert parse(Source.ALERTMANAGER, raw) == parse(Source.ALERTMANAGER, json.loads(raw))
