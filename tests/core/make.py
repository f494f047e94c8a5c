"""Events and policies for tests: each call says only what its test is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from relay.core.attention import ChannelPolicy
from relay.core.event import Effect, Event, Instant, Severity, Source, Subject
from relay.core.identity import alert_key, digest, flux_key, normalise
from relay.core.incident import Reason
from relay.core.joining import take
from relay.core.known import Known
from relay.core.policy import Policy
from relay.core.routing import Route

NOW = 1_760_000_000.0

POLICY = Policy(
    cluster="homelab",
    channels={"ops": ChannelPolicy("ops", mentions=("<@&1234>",))},
    routes=(Route(channels=("ops",)),),
    holds={"flux": 0.0},
)


def flux(  # each argument is a thing a test may be about
    name: str = "apps",
    *,
    kind: str = "Kustomization",
    namespace: str = "flux-system",
    reason: str = "BuildFailed",
    message: str = "kustomize build failed: no such file",
    effect: Effect = Effect.OPENS,
    at: Instant = NOW,
    received_at: Instant | None = None,
    aspect: str = "ready",
    beat: bool = False,
    severity: Severity | None = None,
    names: tuple[Subject, ...] = (),
    revision: str = "main@sha1:3ebb95c",
) -> Event:
    """A Flux event; a failure unless told otherwise."""
    subject = Subject("homelab", kind, namespace, name)
    if severity is None:
        severity = Severity.ERROR if effect is Effect.OPENS else Severity.INFO
    return Event(
        source=Source.FLUX,
        sender="flux",
        subject=subject,
        aspect=aspect,
        signal_key=flux_key(subject, aspect),
        effect=effect,
        severity=severity,
        reason=reason,
        message=message,
        at=at,
        received_at=at if received_at is None else received_at,
        labels={
            "alertname": f"Flux{kind}{reason}",
            "kind": kind,
            "name": name,
            "namespace": namespace,
            "severity": severity.word,
            "source": "flux",
            "type": "incident",
        },
        attributes={"revision": revision},
        digest="" if beat else digest(subject.key, aspect, reason, severity.word, repr(at), normalise(message)),
        beat=beat,
        names=names,
    )


def beat(name: str = "apps", at: Instant = NOW, **rest: Any) -> Event:  # noqa: ANN401  # passed on
    """A health beat: a Kustomization that reconciled."""
    return flux(
        name,
        effect=Effect.CLOSES,
        reason="ReconciliationSucceeded",
        message="Reconciliation finished",
        at=at,
        beat=True,
        **rest,
    )


def alert(  # as above
    alertname: str = "KubePodCrashLooping",
    *,
    severity: Severity = Severity.WARNING,
    firing: bool = True,
    at: Instant = NOW,
    starts_at: Instant = NOW,
    ends_at: Instant | None = None,
    group: str = "g",
    subject: Subject | None = None,
    labels: Mapping[str, str] | None = None,
) -> Event:
    """One alert of Alertmanager's, received at `at`."""
    theirs = {"alertname": alertname, "severity": severity.word, **(labels or {})}
    semantic = {name: value for name, value in theirs.items() if name != "severity"}
    return Event(
        source=Source.ALERTMANAGER,
        sender="alertmanager",
        subject=subject or Subject("homelab", "", "", ""),
        aspect="",
        signal_key=alert_key("homelab", theirs.items()),
        effect=Effect.OPENS if firing else Effect.CLOSES,
        severity=severity,
        reason="",
        message="Pod is crash looping.",
        at=starts_at if firing else (ends_at or at),
        received_at=at,
        labels={**theirs, "source": "alertmanager", "type": "incident"},
        semantic_key=alert_key("homelab", semantic.items()),
        group_key=group,
        starts_at=starts_at,
        ends_at=ends_at if not firing else None,
    )


def pod(name: str, namespace: str = "media") -> Subject:
    return Subject("homelab", "Pod", namespace, name)


def taken(*events: Event, policy: Policy = POLICY) -> tuple[Known, list[Reason]]:
    """All events applied in order to an empty Known, and what each was."""
    known = Known()
    return known, [take(known, event, policy) for event in events]


def with_severity(event: Event, severity: Severity) -> Event:
    return replace(event, severity=severity)
