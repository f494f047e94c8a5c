"""What each revision touched, by name: evidence that something changed before it broke, or before it was well. Never proof.

Flux's apply logs and successes are the feed (reference: flux.md §5). It is kept with the objects, one change each: the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import re2

from relay.core.card import Change
from relay.core.event import Effect, Event, Instant, Source, Subject
from relay.core.identity import WORKLOADS, raised
from relay.core.values import replace

if TYPE_CHECKING:
    from relay.core.incident import Incident
    from relay.core.known import Known, KnownObject

BEFORE: Final = 3600.0
"""Seconds before an Incident in which a change is named on its card."""
SKEW: Final = 60.0
"""Seconds by which Flux's report of a change may come after what it broke."""
RECENT: Final = 900.0
"""Seconds in which a release's new version belongs to the commit that touched it."""
MOST: Final = 200
"""Objects of one apply log."""
_APPLIED: Final = re2.compile(
    r"(?m)^(?P<kind>[A-Z]\w+)/(?:(?P<namespace>[a-z0-9.-]+)/)?(?P<name>[a-z0-9.-]+) (?:created|configured|deleted)$"
)
_CHART: Final = re2.compile(r" with chart (?P<chart>[A-Za-z0-9._-]+)@(?P<version>[^\s]+)")
_FOLLOWED: Final = WORKLOADS | {"HelmRelease", "Kustomization"}
"""Kinds that something can be wrong with by name."""


def thing_of(subject: Subject) -> Subject:
    """What a change of `subject` is kept under: any kind of workload is one, as people name it."""
    if subject.kind in WORKLOADS or subject.kind == "Workload":
        return Subject(subject.cluster, "Workload", subject.namespace, raised(subject).name)
    return subject


def things_of(subject: Subject) -> tuple[Subject, ...]:
    """All that a change of `subject` is a change of: a release is also the workload of its name."""
    if subject.kind == "HelmRelease":
        return subject, Subject(subject.cluster, "Workload", subject.namespace, subject.name)
    return (thing_of(subject),)


def keys_of(event: Event) -> tuple[str, ...]:
    """The keys of the objects that must be known before `event` is taken: whose last change it may ask for, or is."""
    if event.source is Source.FLUX:
        named = applied(event)
        if not named:
            return tuple([thing.key for thing in things_of(event.subject)])
        return tuple(thing.key for subject in (event.subject, *named) for thing in things_of(subject))
    if event.effect is Effect.OPENS and event.subject.namespace and event.subject.name:
        return (thing_of(event.subject).key,)
    return ()


def applied(event: Event) -> tuple[Subject, ...]:
    """The objects that an apply log names as changed; of kinds that something can be wrong with."""
    if event.reason != "Progressing" or event.subject.kind != "Kustomization":
        return ()
    return _applied(event.subject.cluster, event.message)


@lru_cache(maxsize=64)
def _applied(cluster: str, message: str) -> tuple[Subject, ...]:
    found = (
        Subject(cluster, line["kind"], line["namespace"] or "", line["name"])
        for line in _APPLIED.finditer(message)
        if line["kind"] in _FOLLOWED
    )
    return tuple(dict.fromkeys(found))[:MOST]


def revision_of(event: Event) -> str:
    """The commit behind an event, where it says so; of an OCI artifact the Git revision that it was made of."""
    return event.attributes.get("originRevision") or event.attributes.get("revision", "")


def note(known: Known, event: Event, before: KnownObject | None) -> None:
    """Take what `event` changed into the objects. `before` is what was known of its own object until now."""
    if event.subject.kind == "Kustomization":
        for subject in applied(event):
            for thing in things_of(subject):
                _changed(known, thing, event.at, revision_of(event), "")
        if before is not None and before.revision and before.revision != event.attributes.get("revision"):
            _changed(known, event.subject, event.at, revision_of(event), "")
    elif event.subject.kind == "HelmRelease":
        _released(known, event, before)


def _released(known: Known, event: Event, before: KnownObject | None) -> None:
    """A release reports another version than the last: which, for people; whose commit it was stays as the apply log said."""
    version = event.attributes.get("revision", "")
    if before is None or not version or not before.revision or version == before.revision:
        return
    chart = _CHART.search(event.message)
    text = f"{chart['chart'] if chart else event.subject.name} {before.revision} → {version}"
    for thing in things_of(event.subject):
        last = known.objects.get(thing.key)
        commit = last.changed_by if last is not None and 0 <= event.at - (last.changed_at or 0.0) <= RECENT else ""
        _changed(known, thing, event.at, commit or version, text)


def _changed(known: Known, thing: Subject, at: Instant, revision: str, text: str) -> None:
    if not revision:
        return
    last = known.object_of(thing, at)
    if last.changed_at is None or at >= last.changed_at:
        known.put_object(replace(last, changed_at=at, changed_by=revision, change=text))


def before(known: Known, subject: Subject, since: Instant) -> KnownObject | None:
    """The thing whose last change came shortly before what began at `since` with `subject`, if one did."""
    things = [known.objects.get(thing.key) for thing in things_of(subject)]
    touched = [one for one in things if one is not None and is_before(one, since)]
    return max(touched, key=lambda one: one.changed_at or 0.0) if touched else None


def is_before(thing: KnownObject, since: Instant) -> bool:
    return thing.changed_at is not None and -SKEW <= since - thing.changed_at <= BEFORE


# --- for a card ---------------------------------------------------------------------------------------------------------


def short(revision: str) -> str:
    """A revision as people quote it: `3ebb95c` of `main@sha1:3ebb95c2d1f0…`, a version as it is."""
    last = revision.rpartition(":")[2] if "@sha" in revision else revision.rpartition("/")[2] or revision
    return last[:7] if _HASH.fullmatch(last) else last


_HASH: Final = re2.compile(r"[0-9a-f]{12,64}")


def before_it(incident: Incident, notes: Mapping[str, str], repository: str = "") -> Change | None:
    """What changed shortly before `incident` opened, as its card tells it. `notes` are the words of commits by revision."""
    if incident.change_at is None:
        return None
    words = notes.get(incident.change_revision, "") or incident.change
    return Change(incident.change_at, short(incident.change_revision), words, repository)


def that_fixed(
    incident: Incident, things: Iterable[KnownObject], notes: Mapping[str, str], repository: str = ""
) -> Change | None:
    """The last change between opening and end of what is over: what fixed it, as far as anybody can tell."""
    if incident.closed_at is None:
        return None
    since, until = max(incident.since, incident.change_at or 0.0), incident.closed_at + SKEW
    found = [one for one in things if one.changed_at is not None and since < one.changed_at <= until]
    last = max(found, key=lambda one: one.changed_at or 0.0, default=None)
    if last is None or last.changed_at is None or last.changed_by == incident.change_revision:
        return None
    return Change(last.changed_at, short(last.changed_by), notes.get(last.changed_by, "") or last.change, repository)
