"""Facts are a documented registry of names, never whatever a payload holds; a fact that nobody said is absent, not empty.

What trees may ask and what commands may name stands in `FACTS`. A named group in a tree's pattern is a fact too, below its branch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from relay.core.event import EMPTY
from relay.core.identity import workload_of
from relay.core.labels import pattern
from relay.core.patterns import PatternSet
from relay.core.signal import Signal

Facts = Mapping[str, str]


class Origin(StrEnum):
    """Where a fact comes from. `LIVE` ones (a look-up in the cluster) are none yet; Secrets are never a fact."""

    PAYLOAD = "payload"
    DERIVED = "derived"
    HISTORY = "history"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class Fact:
    """One name that trees may use. `find` are read-only commands that find its value, the most exact first."""

    name: str
    meaning: str
    origin: Origin = Origin.PAYLOAD
    find: tuple[str, ...] = ()
    called: str = ""
    """In a sentence, where that is not its name."""


_PODS = ("kubectl -n <namespace> get pods | grep <workload>", "kubectl -n <namespace> get pods", "kubectl get pods -A")
_OWNERS = (
    "kubectl -n <namespace> get deployments,statefulsets,daemonsets,jobs",
    "kubectl get deployments,statefulsets,daemonsets,jobs -A",
)
_COMMITS = ("git log --oneline -10",)
_BROKEN = ("flux get all -A --status-selector ready=false",)
_COPIES = ("kubectl get replicationsources,replicationdestinations -A",)
_SPEC = ("kubectl -n <namespace> describe pod <pod>", *_PODS)

FACTS: Final[tuple[Fact, ...]] = (
    Fact("alertname", "The alert's name; of a Flux event `Flux<Kind><Reason>`"),
    Fact("source", "Who speaks: flux, alertmanager or relay"),
    Fact("severity", "In the relay's words: info, warning, error, critical"),
    Fact("cluster", "The cluster's name"),
    Fact("message", "Flux's text; of an alert its description, else message, else summary"),
    Fact("summary", "The alert's own summary"),
    Fact("reason", "Flux's reason, or the alert's label of that name"),
    Fact("condition", "The condition an alert is about"),
    Fact("phase", "The pod's phase: Pending, Running, Failed, Unknown"),
    Fact("job", "The scrape job, for alerts without an object"),
    Fact("instance", "What was scraped; often the exporter, not the broken thing"),
    Fact("service", "The Service that was scraped; often the exporter's"),
    Fact("endpoint", "The port of it"),
    Fact("namespace", "The object's namespace; an exporter's own gives way to exported_namespace", find=("kubectl get namespaces",)),
    Fact("pod", "The pod's name", find=_PODS),
    Fact("container", "The container in the pod", find=_SPEC),
    Fact("node", "The node's name", find=("kubectl -n <namespace> get pods -o wide", "kubectl get nodes")),
    Fact("deployment", "The Deployment's name", find=_OWNERS),
    Fact("statefulset", "The StatefulSet's name", find=_OWNERS),
    Fact("daemonset", "The DaemonSet's name", find=_OWNERS),
    Fact("job_name", "The Job's name", find=_OWNERS),
    Fact("cronjob", "The CronJob's name", find=("kubectl -n <namespace> get cronjobs", "kubectl get cronjobs -A")),
    Fact("horizontalpodautoscaler", "The HorizontalPodAutoscaler's name", find=("kubectl -n <namespace> get hpa", "kubectl get hpa -A")),
    Fact("poddisruptionbudget", "The PodDisruptionBudget's name", find=("kubectl -n <namespace> get pdb", "kubectl get pdb -A")),
    Fact("persistentvolumeclaim", "The PersistentVolumeClaim's name", find=("kubectl -n <namespace> get pvc", "kubectl get pvc -A")),
    Fact("persistentvolume", "The PersistentVolume's name", find=("kubectl get pv",)),
    Fact("resourcequota", "The ResourceQuota's name", find=("kubectl -n <namespace> get resourcequotas", "kubectl get resourcequotas -A")),
    Fact("resource", "What is counted: cpu, memory, pods, requests.storage"),
    Fact("device", "The block device or network interface, as the node calls it"),
    Fact("mountpoint", "Where the node mounts the file system"),
    Fact("fstype", "The file system's kind: ext4, xfs, tmpfs"),
    Fact("eviction_signal", "What made the kubelet evict: memory.available, nodefs.available, imagefs.inodesFree"),
    Fact("effect", "The taint's effect: NoSchedule, NoExecute", called="taint's effect"),
    Fact("key", "The taint's key", called="taint's key"),
    Fact("state", "The state an alert counts: failed, down, spare"),
    Fact("mode", "Of a CPU's time: user, system, iowait"),
    Fact("controller", "The controller that reconciles, of the Prometheus operator"),
    Fact("integration", "How Alertmanager sends: webhook, slack, email"),
    Fact("url", "The address that is written to or read from"),
    Fact("code", "The answer's HTTP status"),
    Fact("mechanism", "How Prometheus finds what to scrape: kubernetes, dns, file"),
    Fact("obj_namespace", "The namespace of VolSync's object; `namespace` is then that of VolSync", find=_COPIES, called="namespace"),
    Fact("obj_name", "The name of VolSync's object", find=_COPIES, called="VolSync object"),
    Fact("role", "VolSync's side, source or destination; of a node alert the node's role"),
    Fact("method", "VolSync's mover: restic, rclone, rsync, rsync-tls, syncthing"),
    Fact("schedule", "Velero's schedule", find=("kubectl get schedules.velero.io -A",)),
    Fact("kind", "Kind of the Flux object", find=_BROKEN),
    Fact("name", "Name of the Flux object", find=_BROKEN, called="Flux object"),
    Fact("revision", "The revision Flux was working on", find=("flux get sources all -A",)),
    Fact("workload", "What people call it: the workload's name, or the pod's without its hashes", Origin.DERIVED, _OWNERS),
    Fact("host", "What was scraped, without its port", Origin.DERIVED),
    Fact("owner", "The workload as kubectl takes it: deployment/sonarr", Origin.DERIVED, _OWNERS, called="workload"),
    Fact("status", "As `kubectl get pods` shows it: Pending, Evicted, NotReady, …; FailedCreate where there is no pod", Origin.DERIVED),
    Fact("waiting_reason", "Why the container waits: CrashLoopBackOff, ImagePullBackOff, …", Origin.DERIVED),
    Fact("exit_code", "How the container's last run ended, if the payload says it", Origin.DERIVED),
    Fact("terminated", "The reason of that end: OOMKilled, Error, Completed, StartError, …", Origin.DERIVED),
    Fact("image", "The image as the pod names it", Origin.DERIVED, _SPEC),
    Fact("repository", "The image without its tag or digest", Origin.DERIVED, _SPEC),
    Fact("registry", "The registry's host", Origin.DERIVED, _SPEC),
    Fact("object", "The object an apply error is about, as kubectl takes it: Deployment/web", Origin.DERIVED, _BROKEN),
    Fact("object_kind", "Its kind", Origin.DERIVED, _BROKEN),
    Fact("object_namespace", "Its namespace", Origin.DERIVED, _BROKEN),
    Fact("object_name", "Its name", Origin.DERIVED, _BROKEN),
    Fact("child_kind", "Kind of the worst object in a health-check list", Origin.DERIVED, _BROKEN),
    Fact("child_namespace", "Its namespace", Origin.DERIVED, _BROKEN),
    Fact("child_name", "Its name", Origin.DERIVED, _BROKEN),
    Fact("child_status", "Its status: InProgress, Failed, Terminating, NotFound, Unknown", Origin.DERIVED),
    Fact("changed", "Short hash of the commit that touched it shortly before", Origin.HISTORY, _COMMITS, called="commit"),
)  # fmt: skip
"""All there are. `docs/` prints this table, so it cannot differ from it."""

REGISTRY: Final[Mapping[str, Fact]] = MappingProxyType({fact.name: fact for fact in FACTS})

_TAKEN: Final = tuple(
    fact.name for fact in FACTS if fact.origin is Origin.PAYLOAD and fact.name not in {"source", "message", "summary"}
)
_HISTORY: Final = tuple(fact.name for fact in FACTS if fact.origin is Origin.HISTORY)
# kube-state-metrics keeps its own namespace and pod under the plain names unless told to honour labels.
RENAMED: Final = MappingProxyType({
    "exported_namespace": "namespace", "exported_pod": "pod", "exported_container": "container", "customresource_kind": "kind",
    "exitcode": "exit_code", "exit_code": "exit_code", "image": "image",
})  # fmt: skip

WAITING: Final = frozenset({
    "CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError",
    "RegistryUnavailable", "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreCreateHookError",
    "PreStartHookError", "PostStartHookError", "ContainerCreating", "PodInitializing",
})  # fmt: skip
"""What a container may wait for (kubelet's reasons)."""
_ENDS: Final = frozenset({"OOMKilled", "StartError", "ContainerCannotRun"})

# What a text says, as pattern → fact. Each is searched for its named groups only where the set says that it fits.
_SAID: Final[Mapping[str, str]] = MappingProxyType({
    rf".*\b(?P<waiting_reason>{'|'.join(sorted(WAITING))})\b.*": "waiting_reason",
    r".*\b(?P<terminated>OOMKilled|StartError|ContainerCannotRun)\b.*": "terminated",
    r".*\b(?i:reason|terminated)[\"':= ]+(?P<terminated>Error|Completed)\b.*": "terminated",
    r".*\b(?i:exit(?:ed)?(?: with)?[ _-]?(?:code|status))[\"':= ]+(?P<exit_code>[0-9]{1,3})\b.*": "exit_code",
    r".*\b(?i:phase|status|state|is|in|stuck)[\"':= ]+(?P<phase>Pending|Failed|Unknown|Running)\b.*": "phase",
    r".*\b(?:image|image name|resolve reference|image reference)[:=]? [\\\"']+(?P<image>[^\s\\\"',]{1,512}).*": "image",
    r".*\bmethod[\"':= ]+(?P<method>restic|rclone|rsync(?:-tls)?|syncthing)\b.*": "method",
    r".*(?:\blookup |https?://)(?P<registry>[a-z0-9-]+(?:\.[a-z0-9-]+)+).*": "registry",
    r"(?:.*\n)?(?:delete failed, errors: )?(?P<object_kind>[A-Z][A-Za-z0-9]{1,62})/(?:(?P<object_namespace>[a-z0-9.-]{1,253})/)?"
    r"(?P<object_name>[A-Za-z0-9.:_-]{1,253})"
    r"(?: (?:dry-run|apply|delete) failed| not found: | namespace not specified| is SOPS encrypted).*": "object",
})  # fmt: skip

# What `kubectl get pods` would show, where the text of an event or condition gives it away; the first that fits.
_SHOWN: Final[Mapping[str, str]] = MappingProxyType({
    r".*(\bEvicted\b|node was low on resource|exceeds the (total )?limit).*": "Evicted",
    r".*\bTerminating\b.*": "Terminating",
    r".*(\bFailedCreate\b|Error creating: |exceeded quota|violates PodSecurity).*": "FailedCreate",
    r".*(\b[0-9]+/[0-9]+ nodes are available|Unschedulable|FailedScheduling|SchedulingGated).*": "Pending",
    r".*(FailedMount|FailedAttachVolume|Multi-Attach error|MountVolume|FailedCreatePodSandBox|Unable to attach).*": "ContainerCreating",
    r".*([Ff]ailed to pull image|failed to pull and unpack|Back-off pulling image).*": "ImagePullBackOff",
    r".*(Back-off restarting failed|(?i:crash.?loop)).*": "CrashLoopBackOff",
    r".*(Readiness probe failed|ContainersNotReady|ReadinessGatesNotReady).*": "NotReady",
})  # fmt: skip
_BY_REASON: Final[Mapping[str, str]] = MappingProxyType({
    "Evicted": "Evicted", "Terminating": "Terminating", "FailedCreate": "FailedCreate", "Unschedulable": "Pending",
    "SchedulingGated": "Pending", "FailedScheduling": "Pending", "FailedMount": "ContainerCreating",
    "FailedAttachVolume": "ContainerCreating",
    "FailedCreatePodSandBox": "ContainerCreating", "OOMKilled": "OOMKilled", "Error": "Error", "Completed": "Completed",
    "StartError": "StartError", "ContainerCannotRun": "ContainerCannotRun", "ContainersNotReady": "NotReady",
    "ReadinessGatesNotReady": "NotReady",
})  # fmt: skip
_BY_ALERT: Final[Mapping[str, str]] = MappingProxyType({
    r"(?i).*crash.?loop.*": "CrashLoopBackOff",
    r"(?i).*oom.?kill.*": "OOMKilled",
    r"(?i).*image.?pull.*": "ImagePullBackOff",
    r"(?i).*pod.?pending.*": "Pending",
    r"(?i).*evicted.*": "Evicted",
})  # fmt: skip
_TEXTS: Final = PatternSet((*_SAID, *_SHOWN))
_ALERTS: Final = PatternSet(_BY_ALERT)

_WORST: Final = ("Failed", "NotFound", "Terminating", "Unknown", "InProgress")


def facts(signal: Signal, history: Mapping[str, str] = EMPTY) -> Facts:
    """What is known of `signal`: its labels by the registry's names, what its text says, and of `history` the registered names."""
    labels = signal.labels
    base = {name: labels[name] for name in _TAKEN if labels.get(name)}
    base |= {name: labels[label] for label, name in RENAMED.items() if labels.get(label)}
    base |= {name: history[name] for name in _HISTORY if history.get(name)}
    base |= {"source": signal.source.value, "severity": signal.severity.word, "message": signal.message}
    base["reason"] = signal.reason or base.get("reason", "")
    base["summary"] = signal.attributes.get("summary", "")
    if signal.names:
        worst = signal.names[0]
        base |= {"child_kind": worst.kind, "child_namespace": worst.namespace, "child_name": worst.name}
    return derive(base)


def derive(base: Mapping[str, str]) -> Facts:
    """`base` and what follows from it. Nothing that `base` says is changed; empty values are dropped."""
    known = {name: value for name, value in base.items() if value}
    _from_names(known)
    _from_words(known)
    _from_image(known)
    return MappingProxyType({name: value for name, value in known.items() if value})


def _from_names(known: dict[str, str]) -> None:
    for name, kind in (
        ("deployment", "deployment"),
        ("statefulset", "statefulset"),
        ("daemonset", "daemonset"),
        ("job_name", "job"),
    ):
        if value := known.get(name):
            known.setdefault("workload", value)
            known.setdefault("owner", f"{kind}/{value}")
    if pod := known.get("pod"):
        known.setdefault("workload", _workload_of(pod))
    if instance := known.get("instance"):
        known.setdefault("host", _host_of(instance))


_workload_of: Final = lru_cache(maxsize=4096)(workload_of)


def _host_of(instance: str) -> str:
    """`192.0.2.7` of `192.0.2.7:9100`, `2001:db8::7` of `[2001:db8::7]:9100`; a name of its own stays."""
    if instance.startswith("["):
        return instance[1:].partition("]")[0]
    host, _, port = instance.rpartition(":")
    return host if port.isdecimal() and ":" not in host and host else instance


def _from_text(known: dict[str, str], message: str) -> str:
    """What the message says, and the status that it gives away."""
    shown = ""
    for text in _TEXTS.fitting(message):
        if text in _SHOWN:
            shown = shown or _SHOWN[text]
            continue
        for name, value in pattern(text).search(message).groupdict().items():
            if value:
                known.setdefault(name, value)
    if "object_kind" in known and "object_name" in known:
        known.setdefault("object", f"{known['object_kind']}/{known['object_name']}")
    if " status: '" in message:
        _from_health_list(known, message)
    return shown


def _from_words(known: dict[str, str]) -> None:
    """Status, waiting reason and end of a container: the reason knows best, then the alert's name, then the text."""
    reason = known.get("reason", "")
    if reason in WAITING:
        known.setdefault("waiting_reason", reason)
    elif reason in _ENDS:
        known.setdefault("terminated", reason)
    named = next((_BY_ALERT[text] for text in _ALERTS.fitting(known.get("alertname", ""))), "")
    if named == "OOMKilled":
        known.setdefault("terminated", named)
    shown = _from_text(known, known["message"]) if "message" in known else ""
    by_phase = {"Pending": "Pending", "Running": "NotReady"}.get(known.get("phase", ""), "")
    ended = known.get("terminated", "")
    status = known.get("waiting_reason") or _BY_REASON.get(reason) or named or shown or by_phase or ended
    if status:
        known.setdefault("status", status)


def _from_health_list(known: dict[str, str], message: str) -> None:
    """The worst of `Kind/ns/name status: 'Failed'` entries: the Signal's first name if it has names, else by status, then by place."""
    entries = []
    head, *rest = message.split(" status: '")
    for tail in rest:
        place = head.rsplit("[", 1)[-1].rsplit(" ", 1)[-1].split("/")
        status, _, head = tail.partition("'")
        if len(place) in {2, 3} and status in _WORST:
            entries.append((_WORST.index(status), place[0], place[1] if len(place) == 3 else "", place[-1], status))
    if named := known.get("child_name"):
        entries = [entry for entry in entries if (entry[1], entry[3]) == (known.get("child_kind"), named)]
    if not entries:
        return
    _, kind, namespace, name, status = min(entries)
    for fact, value in (
        ("child_kind", kind),
        ("child_namespace", namespace),
        ("child_name", name),
        ("child_status", status),
    ):
        known.setdefault(fact, value)


def _from_image(known: dict[str, str]) -> None:
    image = known.get("image")
    if not image:
        return
    repository = image.split("@", 1)[0]
    head, slash, last = repository.rpartition("/")
    repository = f"{head}{slash}{last.split(':', 1)[0]}"
    known.setdefault("repository", repository)
    host = repository.split("/", 1)[0]
    has_host = "/" in repository and ("." in host or ":" in host or host == "localhost")
    known.setdefault("registry", host if has_host else "docker.io")
