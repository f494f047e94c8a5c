"""Every alert of an Alertmanager body is one Event, whatever the others are; a body with none is fine.

Versions 3 and 4, Grafana's superset, vmalert and imitators: nearly nothing is required (reference: alertmanager.md §2, §4, §5).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import re2
from pydantic import BaseModel, ConfigDict, Field, PlainValidator

from relay.core.event import Effect, Event, Instant, NotJson, Severity, Source, Subject, Unreadable, severity_of
from relay.core.identity import alert_key, digest
from relay.core.policy import Policy, SourcePolicy
from relay.sources.clean import Cleaner, clean, clean_name, one_line
from relay.sources.delivered import MAX_NOTICES, Delivered, Parsed
from relay.sources.foreign import wrong_format
from relay.sources.owned import with_own
from relay.sources.structure import read, scalar
from relay.sources.times import instant, not_ahead

# --- the wire -----------------------------------------------------------------------------------------------------------

Text = Annotated[str, PlainValidator(lambda value: scalar(value) or "")]
Count = Annotated[int, PlainValidator(lambda value: value if type(value) is int and value > 0 else 0)]
AnyMap = Annotated[dict[str, Any], PlainValidator(lambda value: value if isinstance(value, dict) else {})]
AnyList = Annotated[list[Any], PlainValidator(lambda value: value if isinstance(value, list) else [])]


class Envelope(BaseModel):
    """Around the alerts. Its `status` and `common…` say nothing about a single alert and are not read."""

    model_config = ConfigDict(extra="ignore")

    alerts: AnyList
    receiver: Text = ""
    group_key: Text = Field(default="", alias="groupKey")
    group_labels: AnyMap = Field(default_factory=dict, alias="groupLabels")
    external_url: Text = Field(default="", alias="externalURL")
    notification_reason: Text = ""
    truncated: Count = Field(default=0, alias="truncatedAlerts")


_LINKS: Final = (
    ("generatorURL", "generator_url"),
    ("silenceURL", "silence_url"),
    ("dashboardURL", "dashboard_url"),
    ("panelURL", "panel_url"),
    ("fingerprint", "fingerprint"),
)
"""What an alert itself carries beside its labels; the last four are Grafana's or lie."""
_ANNOTATIONS: Final = (
    ("runbook_url", "runbook_url"),
    ("runbook", "runbook_url"),
    ("dashboard_url", "dashboard_url"),
    ("summary", "summary"),
    ("description", "description"),
    ("owner", "owner"),
    ("team", "team"),
)
_QUOTED: Final = re2.compile(r"\\([\\.+*?()|\[\]{}^$])")
"""What Go's regexp.QuoteMeta made of a receiver's name."""
_ALERTMANAGERS: Final = ("groupKey", "groupLabels", "receiver", "version")
_GRAFANA_STATES: Final = frozenset({"DatasourceNoData", "DatasourceError"})

# --- what an alert is about ---------------------------------------------------------------------------------------------

_OBJECTS: Final = (
    ("deployment", "Deployment"),
    ("statefulset", "StatefulSet"),
    ("daemonset", "DaemonSet"),
    ("cronjob", "CronJob"),
    ("job_name", "Job"),
    ("horizontalpodautoscaler", "HorizontalPodAutoscaler"),
    ("poddisruptionbudget", "PodDisruptionBudget"),
    ("persistentvolumeclaim", "PersistentVolumeClaim"),
)
"""Labels that name a namespaced object of their own. `job` is no Job: it is Prometheus's scrape job."""
_CLUSTER_WIDE: Final = (("node", "Node"), ("persistentvolume", "PersistentVolume"))
_EXPORTERS: Final = ("kube-state-metrics", "exporter", "kubelet")
_OF_NODES: Final = ("node-exporter", "kubelet")
"""How the scrape jobs and containers end that report what others do."""


def subject_of(cluster: str, labels: dict[str, str]) -> Subject:
    """The most exact thing that `labels` prove, never the exporter that reported it. Kind `Cluster` when they name none."""
    namespace = labels.get("exported_namespace") or labels.get("namespace", "")
    if (named := labels.get("name")) and (custom := labels.get("customresource_kind")):
        return _subject(cluster, custom, namespace, named)
    if named and "reportingcontroller" in labels and (involved := labels.get("kind")):
        return _subject(cluster, involved, labels.get("namespace", ""), named)
    for label, kind in _OBJECTS:
        if name := labels.get("exported_" + label):
            return _subject(cluster, kind, namespace, name)
    if name := labels.get("exported_pod"):
        return _subject(cluster, "Pod", namespace, name)
    for label, kind in _OBJECTS:
        if name := labels.get(label):
            return _subject(cluster, kind, namespace, name)
    if (name := labels.get("pod")) and not _is_exporters_own(name, labels):
        return _subject(cluster, "Pod", namespace, name)
    return _wider(cluster, namespace, labels)


def _wider(cluster: str, namespace: str, labels: dict[str, str]) -> Subject:
    """A node, a volume, a namespace, or what was scraped. The namespace of a node's exporter is not what is wrong."""
    for label, kind in _CLUSTER_WIDE:
        if name := labels.get("exported_" + label) or labels.get(label):
            return _subject(cluster, kind, "", name)
    of_a_node = _said(labels, "job").endswith(_OF_NODES) or _said(labels, "container").endswith(_OF_NODES)
    if namespace and ("exported_namespace" in labels or not of_a_node):
        return _subject(cluster, "Namespace", "", namespace)
    if name := labels.get("instance"):
        return _subject(cluster, "Instance", "", name)
    return _subject(cluster, "Cluster", "", "")


def _is_exporters_own(pod: str, labels: dict[str, str]) -> bool:
    """Whether `pod` is where the metric was scraped. A `uid` says that the metric is about this very pod, whoever reports it."""
    if "uid" in labels:
        return False
    job, container = _said(labels, "job"), _said(labels, "container")
    if job.endswith(_EXPORTERS) and job.rsplit("/", 1)[-1] in pod:
        return True
    return container.endswith(_EXPORTERS) and (not job or container in job or job in container)


def _said(labels: dict[str, str], name: str) -> str:
    return labels.get(name, "").lower().replace("_", "-")


def _subject(cluster: str, kind: str, namespace: str, name: str) -> Subject:
    return Subject(cluster, one_line(kind), one_line(namespace), one_line(name))


# --- the parser ---------------------------------------------------------------------------------------------------------


def parse(body: bytes, source: SourcePolicy, policy: Policy, received_at: Instant) -> Parsed:
    """The Events of `body`; Unreadable, with the cure where the format is a known wrong one; NotJson. Never raises."""
    value = read(body)
    if isinstance(value, NotJson | Unreadable):
        return value
    if not _is_webhook(value):
        return wrong_format(value, Source.ALERTMANAGER)
    envelope = Envelope.model_validate(value)
    reader = _Reader.of(envelope, source, policy, received_at)
    events, notices, refused = [], [], 0
    for place, alert in enumerate(envelope.alerts):
        if isinstance(alert, dict):
            events.append(reader.event(alert))
            continue
        refused += 1
        if refused <= MAX_NOTICES:
            notices.append(f"alerts[{place}] is no object")
    if refused and not events:
        return Unreadable("an Alertmanager webhook in which no alert is an object")
    return Delivered(tuple(events), envelope.truncated, refused, tuple(notices))


def _is_webhook(value: object) -> bool:
    """An object with a list of alerts, or with null for an empty one."""
    if not isinstance(value, dict) or "involvedObject" in value:
        return False
    alerts = value.get("alerts", False)
    return isinstance(alerts, list) or (alerts is None and any(key in value for key in _ALERTMANAGERS))


@dataclass(frozen=True, slots=True)
class _Reader:
    """What the alerts of one body share."""

    source: SourcePolicy
    policy: Policy
    received_at: Instant
    receiver: str
    group_key: str
    shared: dict[str, str]
    """Attributes of the group, which every Event of it carries."""
    cleaner: Cleaner
    group_keys: dict[str, str] = field(default_factory=dict)
    """By cluster, which differs only where labels say so."""

    @classmethod
    def of(cls, envelope: Envelope, source: SourcePolicy, policy: Policy, received_at: Instant) -> _Reader:
        cleaner = Cleaner()
        receiver = clean_name(_QUOTED.sub(r"\1", envelope.receiver) if "\\" in envelope.receiver else envelope.receiver)
        group = sorted(cleaner.labels(envelope.group_labels).items())
        shared = {
            "external_url": clean(envelope.external_url),
            "group_labels": clean(", ".join(f'{name}="{text}"' for name, text in group)),
            "notification_reason": clean_name(envelope.notification_reason),
            "truncated": str(envelope.truncated) if envelope.truncated else "",
        }
        return cls(source, policy, received_at, receiver, envelope.group_key, _filled(shared), cleaner)

    def event(self, alert: dict[str, Any]) -> Event:
        """One alert. Identity is of the sender's own labels, all of them; what is kept is bounded, and has ours on top."""
        cleaner = self.cleaner
        sent = cleaner.labels(alert.get("labels"))
        annotations = cleaner.labels(alert.get("annotations"))
        cluster = self.source.cluster or one_line(sent.get("cluster", "")) or self.policy.cluster
        word = sent.get("severity", "")
        message = annotations.get("description") or annotations.get("message") or annotations.get("summary", "")
        labels, severity = with_own(
            sent,
            self.policy,
            source=Source.ALERTMANAGER,
            cluster=cluster,
            severity=severity_of(word, self.policy.severity_words),
            severity_sent=word,
            message=message,
            receiver=self.receiver,
        )
        resolved = alert.get("status") == "resolved"
        starts_at = instant(cleaner.text(alert.get("startsAt")))
        ends_at = instant(cleaner.text(alert.get("endsAt"))) if resolved else None
        return Event(
            source=Source.ALERTMANAGER,
            sender=self.source.name,
            subject=subject_of(cluster, sent),
            aspect="",
            signal_key=alert_key(cluster, sent.items()),
            effect=_effect(resolved, severity),
            severity=severity,
            reason=sent.get("reason", ""),
            message=message,
            at=not_ahead(ends_at if resolved else starts_at, self.received_at),
            received_at=self.received_at,
            labels=labels,
            attributes=self._attributes(alert, sent, annotations),
            semantic_key=self._semantic_key(cluster, sent),
            group_key=self._group_key(cluster),
            starts_at=starts_at,
            ends_at=ends_at if ends_at is None else not_ahead(ends_at, self.received_at),
        )

    def _semantic_key(self, cluster: str, sent: dict[str, str]) -> str:
        """Of the labels without severity; marked, since an alert without one may have just these labels."""
        if "severity" not in sent:
            return ""
        return "semantic:" + alert_key(cluster, [pair for pair in sent.items() if pair[0] != "severity"])

    def _group_key(self, cluster: str) -> str:
        """Of receiver and groupKey, which is not unique alone; empty where the sender has neither."""
        if not (self.receiver or self.group_key):
            return ""
        key = self.group_keys.get(cluster)
        if key is None:
            key = self.group_keys[cluster] = digest("group", cluster, self.receiver, self.group_key)
        return key

    def _attributes(self, alert: dict[str, Any], sent: dict[str, str], annotations: dict[str, str]) -> dict[str, str]:
        found = dict(self.shared)
        for key, name in _LINKS:
            if text := self.cleaner.text(alert.get(key)):
                found[name] = text
        for key, name in _ANNOTATIONS:
            if key in annotations:
                found.setdefault(name, annotations[key])
        if sent.get("alertname") in _GRAFANA_STATES and (rule := sent.get("rulename")):
            found["rulename"] = rule
        return found


def _effect(resolved: bool, severity: Severity) -> Effect:
    """Status missing or unknown is firing. What has severity none is a heartbeat or a helper; its end is no beat."""
    if resolved:
        return Effect.CLOSES
    return Effect.NOTES if severity is Severity.NONE else Effect.OPENS


def _filled(texts: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in texts.items() if text}
