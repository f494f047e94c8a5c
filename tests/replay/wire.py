"""What Flux and kube-prometheus-stack put on the wire, as their code and charts write it: bodies, texts, labels, and when each is sent.

Written from the wire format (reference: flux.md §2 and §5, alertmanager.md §2 and §3). Times are seconds from the beginning of the story.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final

Json = dict[str, Any]

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DEDUPE: Final = 300.0
"""Seconds in which notification-controller sends the same text of the same object once."""

_FLUX: Final = {
    "Kustomization": ("kustomize.toolkit.fluxcd.io/v1", "kustomize-controller", "7b9c5d6f8-k2xqv"),
    "HelmRelease": ("helm.toolkit.fluxcd.io/v2", "helm-controller", "5d7f9c8b4-t6nls"),
    "GitRepository": ("source.toolkit.fluxcd.io/v1", "source-controller", "6c8f7d9b5-w4m2z"),
    "OCIRepository": ("source.toolkit.fluxcd.io/v1", "source-controller", "6c8f7d9b5-w4m2z"),
    "HelmRepository": ("source.toolkit.fluxcd.io/v1", "source-controller", "6c8f7d9b5-w4m2z"),
    "HelmChart": ("source.toolkit.fluxcd.io/v1", "source-controller", "6c8f7d9b5-w4m2z"),
    "ImageRepository": ("image.toolkit.fluxcd.io/v1", "image-reflector-controller", "84c6b9d77-5rq8x"),
}


def rfc3339(at: float, timespec: str = "seconds") -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def span(seconds: float) -> str:
    """`1h5m9s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return "".join(f"{count}{unit}" for count, unit in ((hours, "h"), (minutes, "m"), (rest, "s")) if count) or "0s"


def sha(word: str, digits: int = 40) -> str:
    """Hex digits that look like a commit and are the same for the same word."""
    return blake2b(word.encode(), digest_size=32).hexdigest()[:digits]


def commit(word: str) -> str:
    """A revision as Flux writes it."""
    return f"main@sha1:{sha(word)}"


def duration(word: str, least: float, most: float) -> str:
    """A Go duration between the two, the same for the same word: no two attempts take equally long."""
    share = int(sha(word, 8), 16) / 0xFFFFFFFF
    return f"{least + share * (most - least):.9f}s"


@dataclass(slots=True)
class Story:
    """Deliveries in the order of their times; `lines` is the recording."""

    begins: float
    """When it begins, in seconds since the epoch."""
    cluster: str = ""
    """`eventMetadata` of Flux's Alert names it, where it does."""
    _sent: list[tuple[float, int, str, Json, str]] = field(default_factory=list)

    def send(self, at: float, to: str, body: Json, note: str = "") -> None:
        self._sent.append((at, len(self._sent), to, body, note))

    def flux(
        self,
        at: float,
        thing: str,
        reason: str,
        message: str,
        severity: str = "error",
        *,
        note: str = "",
        uid: str = "",
        **metadata: str,
    ) -> None:
        """One event about `Kind/namespace/name`, delivered a moment after it was said."""
        kind, namespace, name = thing.split("/")
        version, controller, instance = _FLUX[kind]
        told = metadata | ({"cluster": self.cluster} if self.cluster else {})
        body: Json = {
            "involvedObject": {
                "kind": kind,
                "namespace": namespace,
                "name": name,
                "uid": uid or str(uuid.uuid5(uuid.NAMESPACE_OID, thing)),
                "apiVersion": version,
                "resourceVersion": str(400_000 + int(at)),
            },
            "severity": severity,
            "timestamp": rfc3339(self.begins + at),
            "message": message,
            "reason": reason,
            **({"metadata": dict(sorted(told.items()))} if told else {}),
            "reportingController": controller,
            "reportingInstance": f"{controller}-{instance}",
        }
        self.send(at + 1, "/flux", body, note)

    def beat(self, at: float, name: str, revision: str, every: str = "10m0s", *, uid: str = "", note: str = "") -> None:
        """The health beat of a Kustomization, `namespace/name` or a name in flux-system."""
        thing = name if "/" in name else f"flux-system/{name}"
        took = duration(f"{name} {at}", 0.09, 0.9)
        self.flux(
            at,
            f"Kustomization/{thing}",
            "ReconciliationSucceeded",
            f"Reconciliation finished in {took}, next run in {every}",
            "info",
            uid=uid,
            note=note,
            revision=revision,
            commit_status="update",
        )

    def lines(self) -> Iterator[str]:
        """What reaches the relay, one line each: notification-controller sends the same text of an object once in five minutes."""
        last: dict[tuple[str, ...], float] = {}
        started: float | None = None
        for at, _, to, body, note in sorted(self._sent, key=lambda one: one[:2]):
            if to == "/flux":
                thing = body["involvedObject"]
                revision = body.get("metadata", {}).get("revision", "")
                key = (thing["kind"], thing["namespace"], thing["name"], thing["uid"], body["message"], revision)
                if at - last.get(key, -DEDUPE) < DEDUPE:
                    continue
                last[key] = at
            when = rfc3339(self.begins + at) if started is None else f"+{span(at - started)}"
            started = at if started is None else started
            yield json.dumps(
                {"at": when, "to": to, "body": body} | ({"note": note} if note else {}), ensure_ascii=False
            )


# --- alerts as kube-prometheus-stack has them ---------------------------------------------------------------------------

_RULES: Final[Mapping[str, tuple[float, str, str]]] = {
    "KubePodCrashLooping": (
        15,
        "Pod is crash looping.",
        'Pod {namespace}/{pod} ({container}) is in waiting state (reason: "CrashLoopBackOff") on cluster .',
    ),
    "KubePodNotReady": (
        15,
        "Pod has been in a non-ready state for more than 15 minutes.",
        "Pod {namespace}/{pod} has been in a non-ready state for longer than 15 minutes on cluster .",
    ),
    "KubeContainerWaiting": (
        60,
        "Pod container waiting longer than 1 hour",
        "pod/{pod} in namespace {namespace} on container {container} has been in waiting state for longer than 1 hour.",
    ),
    "KubeDeploymentReplicasMismatch": (
        15,
        "Deployment has not matched the expected number of replicas.",
        "Deployment {namespace}/{deployment} has not matched the expected number of replicas for longer than 15 minutes on cluster .",
    ),
    "KubeStatefulSetReplicasMismatch": (
        15,
        "StatefulSet has not matched the expected number of replicas.",
        "StatefulSet {namespace}/{statefulset} has not matched the expected number of replicas for longer than 15 minutes on cluster .",
    ),
    "KubeDaemonSetRolloutStuck": (
        15,
        "DaemonSet rollout is stuck.",
        "DaemonSet {namespace}/{daemonset} has not finished or progressed for at least 15m on cluster .",
    ),
    "TargetDown": (
        10,
        "One or more targets are unreachable.",
        "{value}% of the {job}/{service} targets in {namespace} namespace are down.",
    ),
    "KubeNodeNotReady": (
        15,
        "Node is not ready.",
        "{node} has been unready for more than 15 minutes on cluster .",
    ),
    "KubeNodeUnreachable": (
        15,
        "Node is unreachable.",
        "{node} is unreachable and some workloads may be rescheduled on cluster .",
    ),
    "KubeMemoryOvercommit": (
        10,
        "Cluster has overcommitted memory resource requests.",
        "Cluster has overcommitted memory resource requests for Pods by 2.417G bytes and cannot tolerate node failure.",
    ),
    "KubePersistentVolumeFillingUp": (
        1,
        "PersistentVolume is filling up.",
        "The PersistentVolume claimed by {persistentvolumeclaim} in Namespace {namespace} is only 2.31% free.",
    ),
    "KubeSchedulerDown": (
        15,
        "Target disappeared from Prometheus target discovery.",
        "KubeScheduler has disappeared from Prometheus target discovery.",
    ),
}
"""Minutes of `for`, summary, description: `$labels.cluster` is empty where no external label says so."""

_STATE: Final = {
    "container": "kube-state-metrics",
    "endpoint": "http",
    "instance": "192.0.2.40:8080",
    "job": "kube-state-metrics",
    "pod": "kube-prometheus-stack-kube-state-metrics-7d5c8f9b64-p2v8m",
    "service": "kube-prometheus-stack-kube-state-metrics",
}
"""What kube-state-metrics' scrape adds to what its metric says; the metric's own labels win (honorLabels)."""
_AGGREGATED: Final = frozenset(
    {"KubePodNotReady", "KubeContainerWaiting", "TargetDown", "KubeMemoryOvercommit", "KubeSchedulerDown"}
)
"""Rules that sum: of the scrape nothing is left."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert of Prometheus, from when it fires (`since` its condition, plus its `for`) until it does not."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts: float
    ends: float | None

    @property
    def name(self) -> str:
        return self.labels["alertname"]


def alert(
    name: str, since: float, until: float | None = None, *, severity: str = "warning", value: str = "100", **labels: str
) -> Alert:
    """The alert of a condition that holds from `since` to `until`, as the stock rule makes it."""
    minutes, summary, description = _RULES[name]
    scrape = {} if name in _AGGREGATED else _STATE
    told = {"alertname": name, "prometheus": "monitoring/kube-prometheus-stack-prometheus", "severity": severity}
    annotations = {
        "description": description.format(**{**labels, "value": value}),
        "runbook_url": f"https://runbooks.prometheus-operator.dev/runbooks/{_page(name)}/{name.lower()}",
        "summary": summary,
    }
    return Alert(dict(sorted((scrape | told | labels).items())), annotations, since + minutes * MINUTE, until)


def _page(name: str) -> str:
    return "kubernetes" if name.startswith("Kube") else "general"


Silence = Callable[[Alert, float], bool]
"""Whether an alert is muted at a time."""


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """One replica with the chart's defaults: by namespace, 30 s, 5 min, 12 h (reference: enrichment.md §7)."""

    group_wait: float = 30.0
    group_interval: float = 5 * MINUTE
    repeat_interval: float = 12 * HOUR
    name: str = "0"

    def tells(self, story: Story, alerts: list[Alert], until: float, muted: Silence = lambda _, __: False) -> None:
        """Put into `story` all that is sent of `alerts` before `until`."""
        groups: dict[str, list[Alert]] = {}
        for one in alerts:
            groups.setdefault(one.labels.get("namespace", ""), []).append(one)
        for namespace, members in groups.items():
            for at, told in self._flushes(members, until, muted):
                story.send(at, "/alertmanager", self.body(story.begins, namespace, told, at))

    def _flushes(self, members: list[Alert], until: float, muted: Silence) -> Iterator[tuple[float, list[Alert]]]:
        at = min(one.starts for one in members) + self.group_wait
        sent_at = -self.repeat_interval
        fired: set[int] = set()
        over: set[int] = set()
        while at < until:
            here = {place for place, one in enumerate(members) if one.starts <= at and not muted(one, at)}
            firing = {place for place in here if _fires(members[place], at)}
            ended = {place for place in here - firing if place in fired and place not in over}
            again = bool(firing) and at - sent_at >= self.repeat_interval
            if firing - fired or ended or again:
                yield at, [members[place] for place in sorted(firing | ended)]
                sent_at, fired, over = at, fired | firing, (over | ended) - firing
            following = [one.starts for one in members if one.starts > at]
            idle = not firing and not (here - over)
            at = min(following) + self.group_wait if idle and following else at + self.group_interval
            if idle and not following:
                return

    def body(self, begins: float, namespace: str, alerts: list[Alert], at: float) -> Json:
        """One notification, as Alertmanager 0.28 writes it."""
        group = {"namespace": namespace} if namespace else {}
        told = [_wire(one, begins, at) for one in alerts]
        labels = [one["labels"] for one in told]
        return {
            "receiver": "monitoring/relay/relay",
            "status": "firing" if any(_fires(one, at) for one in alerts) else "resolved",
            "alerts": told,
            "groupLabels": group,
            "commonLabels": _common(labels),
            "commonAnnotations": _common([one["annotations"] for one in told]),
            "externalURL": f"http://kube-prometheus-stack-alertmanager-{self.name}.monitoring:9093",
            "version": "4",
            "groupKey": "{}:{" + ", ".join(f'{key}="{text}"' for key, text in group.items()) + "}",
            "truncatedAlerts": 0,
        }


def _fires(one: Alert, at: float) -> bool:
    return one.ends is None or one.ends > at


def _wire(one: Alert, begins: float, at: float) -> Json:
    firing = _fires(one, at)
    return {
        "status": "firing" if firing else "resolved",
        "labels": dict(one.labels),
        "annotations": dict(one.annotations),
        "startsAt": rfc3339(begins + one.starts + 0.427, "milliseconds"),
        "endsAt": "0001-01-01T00:00:00Z" if firing else rfc3339(begins + (one.ends or 0) + 0.427, "milliseconds"),
        "generatorURL": "http://prometheus.example.org/graph?g0.expr=ALERTS&g0.tab=1",
        "fingerprint": sha(repr(sorted(one.labels.items())), 16),
    }


def _common(maps: list[dict[str, str]]) -> dict[str, str]:
    first, *others = maps
    return {key: text for key, text in first.items() if all(one.get(key) == text for one in others)}
