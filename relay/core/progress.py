"""While a revision is on its way, failures are order, not fault: they are one message as long as something becomes ready.

A bootstrap, a power cut or a large refactoring fails in many places until what comes first is there. When nothing moves any more, what
still fails stands for itself, and folds under its causes. What Alertmanager says is never taken in.
"""

from __future__ import annotations

from typing import Final

from relay.core import folding
from relay.core.edges import Edge, RootCause, Text
from relay.core.event import Effect, Event, Instant, Severity, Source, Subject
from relay.core.identity import incident_id
from relay.core.incident import Incident, Reason
from relay.core.known import Known, KnownObject, cluster_of, moves, progress_key
from relay.core.labels import Matchers
from relay.core.policy import Hold, Policy
from relay.core.values import replace

ROOT: Final = folding.PROGRESS
MANY: Final = 5
"""Failing objects that make it one."""
STALLED: Final = 600.0
"""Seconds without one after which what still fails is stuck."""
_SPARE: Final = 30.0
"""Seconds between two times that a movement is written down."""
KINDS: Final = frozenset(
    {"Kustomization", "HelmRelease", "GitRepository", "OCIRepository", "HelmRepository", "HelmChart", "Bucket"}
)
EDGE: Final = Edge(ROOT, "What fails while its cluster is on its way", Matchers(), RootCause(Text(ROOT), MANY))


def concerns(event: Event) -> bool:
    return event.source is Source.FLUX and event.subject.kind in KINDS and event.aspect == "ready"


def moved(known: Known, event: Event, thing: KnownObject | None) -> None:
    """Take note where `event` says that an object became ready: it failed, was never ready, or was not on this revision.

    `thing` is what was known of it until now. That one is well which was never heard of before is no movement.
    """
    if event.effect is not Effect.CLOSES or not concerns(event) or not _became_ready(known, event, thing):
        return
    here = known.object_of(cluster_of(event), event.received_at)
    if here.succeeded_at is None or event.received_at - here.succeeded_at >= _SPARE:
        known.put_object(replace(here, seen_at=event.received_at, succeeded_at=event.received_at))
    root = known.incidents.get(known.keys.get(progress_key(event.subject.cluster), ""))
    if root is not None and root.is_open:
        known.put_incident(replace(root, expires_at=event.received_at + STALLED))


def _became_ready(known: Known, event: Event, thing: KnownObject | None) -> bool:
    signal = known.signals.get(event.signal_key)
    if signal is not None and signal.keeps_open:
        return True
    if thing is None:
        return not event.beat
    if thing.succeeded_at is None:
        return True
    revision = event.attributes.get("revision", "")
    return bool(revision) and revision != thing.revision


def opened(known: Known, incident: str, event: Event, policy: Policy) -> None:
    """A failure opened `incident`: it is part of what is on its way, if its cluster is."""
    current = known.incidents[incident]
    if not concerns(event) or not current.is_open or not _is_order(known, current, event, policy):
        return
    key, now = progress_key(event.subject.cluster), event.received_at
    known.wait(key, incident, ROOT)
    root = known.incidents.get(known.keys.get(key, ""))
    if root is None or not root.is_open:
        if not moves(known.objects.get(cluster_of(event).key), now):
            return
        waiting = [one for name in known.waiting.get(key, ()) if (one := known.incidents.get(name)) and one.is_open]
        if len(waiting) < MANY:
            return
        root = _begun(waiting, key, event.subject.cluster, now)
        known.put_incident(root)
        known.claim(key, root.id)
        names = [one.id for one in sorted(waiting, key=lambda one: (one.opened_at, one.id))]
    else:
        names = [incident]
    for name in names:
        _take_in(known, name, root.id, now, policy)


def _is_order(known: Known, incident: Incident, event: Event, policy: Policy) -> bool:
    """Whether its failure may be for no other reason than that something else is not there yet."""
    thing = known.objects.get(event.subject.key)
    never = thing is None or thing.succeeded_at is None
    return never or incident.hold is Hold.ITSELF or bool(known.links_of(event, policy).causes)


def _begun(waiting: list[Incident], key: str, cluster: str, now: Instant) -> Incident:
    return Incident(
        id=incident_id(key, now, 1),
        subject=Subject(cluster, "Cluster", "", cluster),
        source=Source.RELAY,
        lead=waiting[0].lead,
        since=min(one.since for one in waiting),
        opened_at=now,
        visible_at=now,
        changed_at=now,
        severity=Severity.WARNING,
        peak=Severity.WARNING,
        members=0,
        root=ROOT,
        reason=Reason.OPENED,
        expires_at=now + STALLED,
    )


def _take_in(known: Known, incident: str, root: str, now: Instant, policy: Policy) -> None:
    """Fold `incident`, or the cause that it is folded into, under what is on its way."""
    current = known.incidents[incident]
    top = known.incidents.get(current.folded_into or "", current)
    if top.id != root and top.is_open and top.folded_into is None:
        folding.fold(known, top, known.incidents[root], EDGE, now, policy)
