"""Who is who: signal keys, Subjects raised to what people name, join keys, cause digests. Equal things get equal keys, always.

Senders' fingerprints, uids, revisions and severities are never identity (reference: flux.md §4, alertmanager.md §5).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b

import re2

from relay.core.event import Event, Instant, Source, Subject

WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod"})
"""Kinds that people call by one name; a key of theirs does not tell the kinds apart, since a pod's name does not."""
CLUSTER_WIDE = frozenset({"Node", "Namespace", "PersistentVolume", "Instance", "Cluster", ""})
"""Kinds that never join Incidents by Subject."""

_HANDLE_ALPHABET = "23456789bcdfghjkmnpqrstvwxz"
_HANDLE_PAIRS = tuple(first + second for first in _HANDLE_ALPHABET for second in _HANDLE_ALPHABET)
"""All pairs, the first character counting faster: half as many divisions of a long number."""


def digest(*parts: str) -> str:
    """32 hex digits for `parts`, which may hold anything: lengths keep them apart."""
    whole = "".join([f"{len(part)}:{part}" for part in parts])
    if whole.isascii():
        return blake2b(whole.encode(), digest_size=16).hexdigest()
    raws = [part.encode("utf-8", "surrogatepass") for part in parts]
    return blake2b(b"".join([b"%d:%b" % (len(raw), raw) for raw in raws]), digest_size=16).hexdigest()


# Remembered, as the same few are asked for again and again: an object's keys with every event about it.
@lru_cache(maxsize=2048)
def flux_key(subject: Subject, aspect: str) -> str:
    """The signal key of a Flux object's aspect."""
    return digest("flux", subject.cluster, subject.kind, subject.namespace, subject.name, aspect)


def alert_key(cluster: str, labels: Iterable[tuple[str, str]]) -> str:
    """The signal key of an alert: of its cluster and sorted labels, whatever their order."""
    return digest("alert", cluster, *(text for pair in sorted(labels) for text in pair))


def incident_id(signal_key: str, since: Instant, episode: int) -> str:
    """26 characters that a replay gives again: of the first Signal, its start and its episode.

    They begin with the start, so that what opens together lies together in every index; the handle follows (`Incident.handle`).
    """
    number = int(digest("incident", signal_key, repr(round(since * 1000)), str(episode)), 16)
    return _begins(max(0, int(since))) + "".join(_pairs(number, 13 - BEGINS // 2))


@lru_cache(maxsize=64)
def _begins(second: int) -> str:
    return "".join(_pairs(second, BEGINS // 2)[::-1])


BEGINS = 8
"""Characters of an Incident's id that say when it began, in seconds and in an order that texts have too."""


def handle_of(incident: str) -> str:
    """What people type for an Incident's id: `k7f3`."""
    return incident[BEGINS : BEGINS + 4]


def _pairs(number: int, count: int) -> list[str]:
    """The lowest `count` pairs of digits of `number`, lowest first."""
    out = []
    for _ in range(count):
        number, rest = divmod(number, len(_HANDLE_PAIRS))
        out.append(_HANDLE_PAIRS[rest])
    return out


# --- what people name -------------------------------------------------------------------------------------------------

_SUFFIX = "[bcdfghjklmnpqrstvwxz2456789]"
"""Kubernetes' alphabet for generated names (apimachinery util/rand): no vowels, so that no word appears."""
_POD_OF = re2.compile(
    rf"^(?P<workload>.+?)(?:-{_SUFFIX}{{6,10}}-{_SUFFIX}{{5}}|-[0-9]{{8,10}}-{_SUFFIX}{{5}}|-{_SUFFIX}{{5}}|-[0-9]{{1,4}})$"
)


def workload_of(pod: str) -> str:
    """The name of the workload that made `pod`: without ReplicaSet hash, random suffix, ordinal or CronJob time."""
    found = _POD_OF.search(pod)
    return found["workload"] if found else pod


@lru_cache(maxsize=2048)
def raised(subject: Subject) -> Subject:
    """`subject` as people name it: a pod or ReplicaSet is its workload (kind `Workload`, since a name does not tell which)."""
    if subject.kind == "Pod":
        return Subject(subject.cluster, "Workload", subject.namespace, workload_of(subject.name))
    if subject.kind == "ReplicaSet":
        return Subject(subject.cluster, "Workload", subject.namespace, subject.name.rsplit("-", 1)[0])
    return subject


# --- join keys: by which a Signal finds the Incident that it belongs to -------------------------------------------------


@lru_cache(maxsize=2048)
def subject_key(subject: Subject) -> str:
    """The join key of a namespaced object; empty for what never joins by Subject."""
    if not subject.namespace or not subject.name or subject.kind in CLUSTER_WIDE:
        return ""
    if subject.kind in WORKLOADS or subject.kind == "Workload":
        return "w:" + digest(subject.cluster, subject.namespace, raised(subject).name)
    return "o:" + digest(subject.cluster, subject.kind, subject.namespace, subject.name)


@lru_cache(maxsize=2048)
def object_keys(subject: Subject) -> tuple[str, ...]:
    """The join keys of what people call by one name: a HelmRelease and the workload of its name are one thing."""
    own = subject_key(subject)
    if subject.kind != "HelmRelease" or not own:
        return (own,) if own else ()
    return own, subject_key(Subject(subject.cluster, "Workload", subject.namespace, subject.name))


def join_keys(event: Event, *, whole: bool = False, across: bool = False) -> tuple[str, ...]:
    """In the order in which they are tried: the same alert at another severity, its group, its workload or object, another cluster's.

    With `whole` a group of Alertmanager's is one problem whatever its alertnames; with `across` the same failure of the same object in
    several clusters is one.
    """
    if not (event.semantic_key or event.group_key or across):
        return object_keys(event.subject)
    keys = []
    if event.semantic_key:
        keys.append("m:" + event.semantic_key)
    if event.group_key:
        keys.append("g:" + digest(event.group_key, "" if whole else event.alertname))
    keys += object_keys(event.subject)
    if across and subject_key(event.subject):
        thing = raised(event.subject)
        why = (event.reason, normalise(event.message)) if event.source is Source.FLUX else (event.alertname,)
        keys.append("x:" + digest(event.source, thing.kind, thing.namespace, thing.name, *why))
    return tuple(keys)


# --- causes -------------------------------------------------------------------------------------------------------------

_HELM_LOGS = "\n\nLast Helm logs:"
_NOISE = re2.compile(
    r"(?P<time>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)"
    r"|(?P<uuid>[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})"
    r"|(?P<request>(?i:request ?id):? ?\"?[0-9A-Za-z/+=_-]+\"?)"
    r"|(?P<address>(?:\d{1,3}\.){3}\d{1,3}:\d+->(?:\d{1,3}\.){3}\d{1,3}:\d+)"
    r"|(?P<temporary>/tmp/[A-Za-z_.-]*\d+)"
    r"|(?P<hex>\b[0-9a-f]{64}\b|\b[0-9a-f]{40}\b)"
    r"|(?P<duration>\b(?:\d+(?:\.\d+)?(?:h|ms|µs|us|ns|m|s))+\b)"
    r"|(?P<counter>\b\d+ (?:attempt\(s\)|secrets\b|errors? occurred))"
    rf"|(?P<pod>-{_SUFFIX}{{8,10}}-{_SUFFIX}{{5}}\b)"
)
_APPLY_ERROR = re2.compile(
    r"^[A-Za-z0-9.]+/[^\s]+ (?:dry-run failed|apply failed|not found|immutable field detected|namespace not specified)"
)
_HEALTH_LIST = re2.compile(r"\[[^\[\]]* status: '[^\[\]]*\]")


def normalise(message: str) -> str:
    """`message` without what differs per attempt (reference: flux.md §6). Only for comparing; what is shown stays whole."""
    return (_normalised_short if len(message) <= SHORT else _normalised_long)(message)


SHORT = 1024
"""Characters of a message of which many are remembered: a failure says the same again, and each is asked for twice."""


def _normalised(message: str) -> str:
    text = message.split(_HELM_LOGS, 1)[0]
    if 0 < text.find("/") < text.find(" ") and _APPLY_ERROR.search(text):
        text = text.split("\n", 1)[0]
    if " status: '" in text:
        text = _HEALTH_LIST.sub(lambda found: _sorted_list(found[0]), text)
    return str(_NOISE.sub(lambda found: f"<{found.lastgroup}>", text)).strip()


_normalised_short = lru_cache(maxsize=2048)(_normalised)
_normalised_long = lru_cache(maxsize=64)(_normalised)


def _sorted_list(text: str) -> str:
    """A health list in a fixed order: Flux prints a Go map, whose order is random per run."""
    return "[" + ", ".join(sorted(text[1:-1].split(", "))) + "]"
