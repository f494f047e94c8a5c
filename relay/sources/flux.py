"""One body of Flux's notification-controller is one Event. Its meaning is decided by severity, then reason, then text.

Wire format and meaning: reference flux.md §2 and §4 (event/v1beta1; event/v1 only adds fields).
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import re2
from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError

from relay.core.event import Effect, Event, Instant, NotJson, Severity, Source, Subject, Unreadable, severity_of
from relay.core.identity import digest, flux_key, normalise
from relay.core.policy import Policy, SourcePolicy
from relay.sources.clean import Cleaner, clean, clean_name, one_line
from relay.sources.delivered import Delivered, Parsed
from relay.sources.foreign import wrong_format
from relay.sources.owned import with_own
from relay.sources.structure import read, scalar
from relay.sources.times import instant, not_ahead

# --- the wire -----------------------------------------------------------------------------------------------------------

Text = Annotated[str, PlainValidator(lambda value: scalar(value) or "")]
AnyMap = Annotated[dict[str, Any], PlainValidator(lambda value: value if isinstance(value, dict) else {})]


class ObjectReference(BaseModel):
    """Kubernetes' ObjectReference, each field omitted when empty."""

    model_config = ConfigDict(extra="ignore")

    kind: Text = ""
    namespace: Text = ""
    name: Text = ""
    uid: Text = ""
    api_version: Text = Field(default="", alias="apiVersion")


class Body(BaseModel):
    """event/v1beta1, leniently: unknown fields are ignored, and only the object is needed."""

    model_config = ConfigDict(extra="ignore")

    involved_object: ObjectReference = Field(alias="involvedObject")
    severity: Text = ""
    timestamp: Text = ""
    message: Text = ""
    reason: Text = ""
    metadata: AnyMap = Field(default_factory=dict)
    controller: Text = Field(default="", alias="reportingController")
    instance: Text = Field(default="", alias="reportingInstance")


class ExactReference(ObjectReference):
    """As Flux writes it: read in a third of the time, since no text needs a second look."""

    model_config = ConfigDict(extra="ignore", strict=True)

    kind: str
    namespace: str = ""
    name: str
    uid: str = ""
    api_version: str = Field(default="", alias="apiVersion")


class Exact(Body):
    """The same of the whole event."""

    model_config = ConfigDict(extra="ignore", strict=True)

    involved_object: ExactReference = Field(alias="involvedObject")
    severity: str
    timestamp: str
    message: str
    reason: str
    metadata: dict[str, Any] = Field(default_factory=dict)
    controller: str = Field(default="", alias="reportingController")
    instance: str = Field(default="", alias="reportingInstance")


def _modelled(value: dict[str, Any]) -> Body:
    """`value` as an event: exactly, as Flux writes it, or else leniently, which takes anything."""
    try:
        return Exact.model_validate(value)
    except ValidationError:
        return Body.model_validate(value)


# --- meaning ------------------------------------------------------------------------------------------------------------

_SOURCES: Final = frozenset({"NewArtifact", "Succeeded", "ChartPullSucceeded", "ChartPackageSucceeded"})
_IMAGES: Final = frozenset({"Succeeded"})
_CLOSERS: Final = {
    "HelmRelease": frozenset({"InstallSucceeded", "UpgradeSucceeded", "TestSucceeded", "DriftCorrected"}),
    "GitRepository": _SOURCES,
    "OCIRepository": _SOURCES,
    "HelmRepository": _SOURCES,
    "HelmChart": _SOURCES,
    "Bucket": _SOURCES,
    "ImageRepository": _IMAGES,
    "ImagePolicy": _IMAGES,
    "ImageUpdateAutomation": _IMAGES,
}
"""Reasons that close, by kind. A Kustomization's reason does not: kustomize-controller takes it from the current condition."""
_OTHERS: Final = frozenset({"ReconciliationSucceeded", "Ready", "Succeeded"})
"""Of any other kind: FluxInstance, ResourceSet, ArtifactGenerator, …"""
_DRIFT: Final = frozenset({"DriftDetected", "DriftCorrected", "DriftCorrectionFailed"})
_NEVER_OPENS: Final = frozenset({"InventoryBuildFailed", "NamespaceCheckSkipped"})
_NEVER_CLOSES: Final = frozenset(
    {"Progressing", "DependencyNotReady", "HealthCheckCanceled", "RollbackSucceeded", "UninstallSucceeded"}
)
_FINISHED_REASONS: Final = frozenset({"ReconciliationSucceeded", "info"})
"""`info` is the reason of Flux 0.3x and older."""
_FINISHED: Final = "Reconciliation finished"
"""No more of the text: what follows has changed once, and changed back."""
_NO_PROGRESS: Final = frozenset({"DependencyNotReady", "HealthCheckCanceled"})


def effect_of(kind: str, severity: str, reason: str, message: str, metadata: dict[str, str]) -> tuple[Effect, bool]:
    """What an event does to its Signal, and whether it is a health beat. `severity` is Flux's word, not the operator's."""
    if severity_of(severity) > Severity.INFO:
        return (Effect.NOTES if reason in _NEVER_OPENS else Effect.OPENS), False
    if reason in _NEVER_CLOSES:
        return Effect.NOTES, False
    if kind != "Kustomization":
        return (Effect.CLOSES if reason in _CLOSERS.get(kind, _OTHERS) else Effect.NOTES), False
    if metadata.get("commit_status") == "update":
        return Effect.CLOSES, True
    finished = reason in _FINISHED_REASONS and message.startswith(_FINISHED)
    return (Effect.CLOSES if finished else Effect.NOTES), False


def _type(kind: str, effect: Effect, reason: str, metadata: dict[str, str]) -> str:
    """`rollout` for what says nothing of a problem: apply logs and the like, of a revision on its way."""
    on_its_way = kind == "Kustomization" and effect is Effect.NOTES and reason not in _NO_PROGRESS
    return "rollout" if on_its_way and ("revision" in metadata or "originRevision" in metadata) else "incident"


# --- what a message names -----------------------------------------------------------------------------------------------

MAX_NAMES: Final = 50
_STATUS: Final = re2.compile(
    r"(?P<kind>[A-Z][A-Za-z0-9]{0,62})/(?:(?P<namespace>[a-z0-9.-]{1,253})/)?(?P<name>[A-Za-z0-9.:_-]{1,253})"
    r" status: '(?P<status>[A-Za-z]+)'"
)
_RANK: Final = {"Failed": 0, "InProgress": 1, "NotFound": 2, "Unknown": 3, "Terminating": 4}
_DEPENDENCY: Final = re2.compile(
    r"dependency '(?P<namespace>[a-z0-9.-]{1,253})/(?P<name>[a-z0-9.-]{1,253})' is not ready"
)


def names_in(cluster: str, kind: str, message: str) -> tuple[Subject, ...]:
    """The objects in a health-check list, worst first and in a fixed order (Flux's is random); or a HelmRelease's dependency."""
    if " status: '" in message:
        ranked = {
            (_RANK.get(found["status"], 9), Subject(cluster, found["kind"], found["namespace"] or "", found["name"]))
            for found in _STATUS.finditer(message)
        }
        ordered = sorted(ranked, key=lambda entry: (entry[0], entry[1].key))
        return tuple(dict.fromkeys(subject for _, subject in ordered))[:MAX_NAMES]
    if kind == "HelmRelease" and "dependency '" in message:
        return tuple(
            Subject(cluster, kind, found["namespace"], found["name"]) for found in _DEPENDENCY.finditer(message)
        )[:MAX_NAMES]
    return ()


# --- the parser ---------------------------------------------------------------------------------------------------------

_SHOWN: Final = ("revision", "originRevision", "summary", "app-version", "oci-digest")
"""Metadata that is shown or linked, as the controllers call it."""
_NO_NAME: Final = Unreadable(
    "a Flux event whose involvedObject has no kind or no name",
    "send what notification-controller sends: a Provider of type generic-hmac or generic, and an Alert that refers to it",
)


def parse(body: bytes, source: SourcePolicy, policy: Policy, received_at: Instant) -> Parsed:
    """One Event of `body`; Unreadable, with the cure where the format is a known wrong one; NotJson. Never raises."""
    value = read(body)
    if isinstance(value, NotJson | Unreadable):
        return value
    if not isinstance(value, dict) or not isinstance(value.get("involvedObject"), dict):
        return wrong_format(value, Source.FLUX)
    event = _event(_modelled(value), source, policy, received_at)
    return event if isinstance(event, Unreadable) else Delivered((event,))


def _event(body: Body, source: SourcePolicy, policy: Policy, received_at: Instant) -> Event | Unreadable:
    metadata = _metadata(body.metadata)
    cluster = source.cluster or one_line(metadata.get("cluster", "")) or policy.cluster
    thing = body.involved_object
    subject = Subject(cluster, clean_name(thing.kind), clean_name(thing.namespace), clean_name(thing.name))
    if not subject.kind or not subject.name:
        return _NO_NAME
    reason, message = clean_name(body.reason), clean(body.message)
    effect, beat = effect_of(subject.kind, body.severity, reason, message, metadata)
    labels, severity = with_own(
        metadata | _provider_labels(subject, reason, body),
        policy,
        source=Source.FLUX,
        cluster=cluster,
        severity=severity_of(body.severity, policy.severity_words),
        severity_sent=clean_name(body.severity),
        message=message,
        type_=_type(subject.kind, effect, reason, metadata),
    )
    if severity is Severity.NONE and effect is Effect.OPENS:
        effect = Effect.NOTES
    aspect = "drift" if subject.kind == "HelmRelease" and reason in _DRIFT else "ready"
    said_at = instant(body.timestamp)
    at = not_ahead(said_at, received_at)
    return Event(
        source=Source.FLUX,
        sender=source.name,
        subject=subject,
        aspect=aspect,
        signal_key=flux_key(subject, aspect),
        effect=effect,
        severity=severity,
        reason=reason,
        message=message,
        at=at,
        received_at=received_at,
        labels=labels,
        attributes=_attributes(body, metadata),
        digest=_copy_digest(subject, reason, body.severity, said_at or at, message) if not beat else "",
        beat=beat,
        names=names_in(cluster, subject.kind, message),
    )


def _copy_digest(subject: Subject, reason: str, severity: str, said_at: Instant, message: str) -> str:
    """Equal for a retry, and for the copy that another of Flux's Alerts sends (reference: flux.md §3.5).

    It begins with the time, so that those that are remembered together lie together in the index.
    """
    return f"{int(said_at):08x}{digest(subject.key, reason, severity, str(said_at), normalise(message))}"


def _metadata(raw: dict[str, Any]) -> dict[str, str]:
    """Clean metadata under bare keys: Flux's docs still show `<group>/<key>`, the wire has `<key>`, which wins."""
    clean_ones = Cleaner().labels(raw)
    if not any("/" in key for key in clean_ones):
        return clean_ones
    bare = {key.rsplit("/", 1)[1]: text for key, text in sorted(clean_ones.items()) if _is_grouped(key)}
    return bare | {key: text for key, text in clean_ones.items() if not _is_grouped(key)}


def _is_grouped(key: str) -> bool:
    group, slash, name = key.rpartition("/")
    return bool(slash and name) and "." in group


def _provider_labels(subject: Subject, reason: str, body: Body) -> dict[str, str]:
    """The names that Flux's own alertmanager Provider uses, so that both ways are matched alike; they win over metadata."""
    return {
        "alertname": f"Flux{subject.kind}{reason}",
        "reason": reason,
        "kind": subject.kind,
        "name": subject.name,
        "namespace": subject.namespace,
        "reportingcontroller": clean_name(body.controller),
    }


def _attributes(body: Body, metadata: dict[str, str]) -> dict[str, str]:
    found = {key: metadata.get(key, "") for key in _SHOWN} | {
        "uid": clean_name(body.involved_object.uid),
        "api_version": clean_name(body.involved_object.api_version),
        "controller": clean_name(body.controller),
        "controller_instance": clean_name(body.instance),
    }
    return {key: text for key, text in found.items() if text}
