"""Values to rows and back: what is read equals what was written. A row's columns stand in their table's order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

from pydantic_core import from_json, to_json

from relay.core.attention import Loudness
from relay.core.card import Form
from relay.core.event import EMPTY, Instant, Severity, Source, Subject
from relay.core.heartbeats import Heartbeat
from relay.core.incident import Firing, Incident, Reason
from relay.core.known import Entry, KnownObject
from relay.core.policy import Hold
from relay.core.posting import Degraded, Message, Placement, Posting
from relay.core.rollout import Rollout
from relay.core.signal import Signal, State

Stored = Sequence[Any]
"""A row as the database gives it."""

# By their words: calling an Enum costs as much as the rest of a row.
_SOURCES: Final = {source.value: source for source in Source}
_SEVERITIES: Final = {severity.value: severity for severity in Severity}
_STATES: Final = {state.value: state for state in State}
_REASONS: Final = {reason.value: reason for reason in Reason}
_HOLDS: Final = {hold.value: hold for hold in Hold}
_LOUDNESSES: Final = {loudness.value: loudness for loudness in Loudness}
_DEGRADED: Final = {degraded.value: degraded for degraded in Degraded}


def _encode(value: object) -> str:
    return to_json(value).decode()


def _from_map(pairs: Mapping[str, str]) -> str:
    return _encode(dict(pairs)) if pairs else ""


def _to_map(text: str) -> Mapping[str, str]:
    return cast("dict[str, str]", from_json(text)) if text else EMPTY


def _from_texts(texts: Iterable[str]) -> str:
    return _encode(listed) if (listed := list(texts)) else ""


def _to_texts(text: str) -> tuple[str, ...]:
    return tuple(from_json(text)) if text else ()


def _from_instants(instants: Iterable[Instant]) -> str:
    return _encode(listed) if (listed := list(instants)) else ""


def _to_instants(text: str) -> tuple[Instant, ...]:
    return tuple(from_json(text)) if text else ()


def _from_subjects(subjects: Iterable[Subject]) -> str:
    listed = [(subject.cluster, subject.kind, subject.namespace, subject.name) for subject in subjects]
    return _encode(listed) if listed else ""


def _to_subjects(text: str) -> tuple[Subject, ...]:
    return tuple(Subject(*parts) for parts in from_json(text)) if text else ()


def from_signal(signal: Signal) -> Stored:
    subject = signal.subject
    return (
        signal.key,
        signal.source._value_,
        subject.cluster,
        subject.kind,
        subject.namespace,
        subject.name,
        signal.aspect,
        int(signal.severity),
        signal.since,
        signal.sent_at,
        signal.seen_at,
        signal.state._value_,
        signal.semantic_key or None,
        signal.group_key,
        signal.reason,
        signal.message,
        signal.cause,
        _from_map(signal.labels),
        _from_map(signal.attributes),
        _from_subjects(signal.names),
        signal.episode,
        signal.count,
        signal.resolved_at,
        signal.closed_since,
        signal.held_until,
        signal.superseded,
        signal.incident,
        signal.longest_gap,
        signal.gaps,
        signal.remediated,
    )


def to_signal(row: Stored) -> Signal:
    return Signal(
        key=row[0],
        source=_SOURCES[row[1]],
        subject=Subject(row[2], row[3], row[4], row[5]),
        aspect=row[6],
        severity=_SEVERITIES[row[7]],
        since=row[8],
        sent_at=row[9],
        seen_at=row[10],
        state=_STATES[row[11]],
        semantic_key=row[12] or "",
        group_key=row[13],
        reason=row[14],
        message=row[15],
        cause=row[16],
        labels=_to_map(row[17]),
        attributes=_to_map(row[18]),
        names=_to_subjects(row[19]),
        episode=row[20],
        count=row[21],
        resolved_at=row[22],
        closed_since=row[23],
        held_until=row[24],
        superseded=bool(row[25]),
        incident=row[26],
        longest_gap=row[27],
        gaps=row[28],
        remediated=row[29],
    )


def from_incident(incident: Incident) -> Stored:
    subject, firing, effects = incident.subject, incident.firing, incident.effects
    return (
        incident.id,
        subject.cluster,
        subject.kind,
        subject.namespace,
        subject.name,
        incident.source._value_,
        incident.lead,
        incident.since,
        incident.opened_at,
        incident.visible_at,
        incident.changed_at,
        int(incident.severity),
        int(incident.peak),
        firing.info,
        firing.warning,
        firing.error,
        firing.critical,
        incident.members,
        incident.closed_at,
        incident.reason._value_,
        incident.version,
        incident.reopenings,
        incident.flapping,
        incident.folded_into,
        incident.follows,
        incident.expires_at,
        incident.closed_by,
        incident.root,
        incident.hold._value_,
        incident.probably,
        effects.info,
        effects.warning,
        effects.error,
        effects.critical,
        incident.tend_at,
        incident.silent_since,
        incident.change_revision,
        incident.change_at,
        incident.change,
        _from_instants(incident.reopened_at),
        incident.calm_at,
        incident.loud_since,
    )


def to_incident(row: Stored) -> Incident:
    return Incident(
        id=row[0],
        subject=Subject(row[1], row[2], row[3], row[4]),
        source=_SOURCES[row[5]],
        lead=row[6],
        since=row[7],
        opened_at=row[8],
        visible_at=row[9],
        changed_at=row[10],
        severity=_SEVERITIES[row[11]],
        peak=_SEVERITIES[row[12]],
        firing=Firing(row[13], row[14], row[15], row[16]),
        members=row[17],
        closed_at=row[18],
        reason=_REASONS[row[19]],
        version=row[20],
        reopenings=row[21],
        flapping=bool(row[22]),
        folded_into=row[23],
        follows=row[24],
        expires_at=row[25],
        closed_by=row[26],
        root=row[27],
        hold=_HOLDS[row[28]],
        probably=bool(row[29]),
        effects=Firing(row[30], row[31], row[32], row[33]),
        tend_at=row[34],
        silent_since=row[35],
        change_revision=row[36],
        change_at=row[37],
        change=row[38],
        reopened_at=_to_instants(row[39]),
        calm_at=row[40],
        loud_since=row[41],
    )


def from_posting(posting: Posting) -> Stored:
    return (
        posting.incident,
        posting.channel,
        int(posting.severity),
        posting.wanted,
        posting.shown,
        posting.pages_owed,
        posting.pages_made,
        int(posting.paged_severity),
        _from_texts(posting.paged_for),
        posting.paged_at,
        posting.end_due_at,
        posting.end_shown_at,
        posting.due_at,
        posting.rank,
        posting.message,
        posting.shown_at,
        posting.tries,
        posting.degraded._value_,
        posting.parked,
        posting.deleted_at,
        posting.closed,
        posting.quiet,
        posting.quiet_until,
        int(posting.tell),
        posting.arrived,
    )


def to_posting(row: Stored) -> Posting:
    return Posting(
        incident=row[0],
        channel=row[1],
        severity=_SEVERITIES[row[2]],
        wanted=row[3],
        shown=row[4],
        pages_owed=row[5],
        pages_made=row[6],
        paged_severity=_SEVERITIES[row[7]],
        paged_for=_to_texts(row[8]),
        paged_at=row[9],
        end_due_at=row[10],
        end_shown_at=row[11],
        due_at=row[12],
        rank=row[13],
        message=row[14],
        shown_at=row[15],
        tries=row[16],
        degraded=_DEGRADED[row[17]],
        parked=row[18],
        deleted_at=row[19],
        closed=bool(row[20]),
        quiet=row[21],
        quiet_until=row[22],
        tell=_LOUDNESSES[row[23]],
        arrived=bool(row[24]),
    )


def from_object(thing: KnownObject) -> Stored:
    subject = thing.subject
    return (
        subject.key,
        subject.cluster,
        subject.kind,
        subject.namespace,
        subject.name,
        thing.seen_at,
        thing.revision,
        thing.revision_since,
        thing.succeeded_at,
        thing.beats,
        thing.beat_at,
        thing.longest_gap,
        thing.healed,
        thing.healed_at,
        thing.uid,
        thing.uid_before,
        thing.twin,
        thing.changed_at,
        thing.changed_by,
        thing.change,
    )


def to_object(row: Stored) -> KnownObject:
    return KnownObject(
        subject=Subject(row[1], row[2], row[3], row[4]),
        seen_at=row[5],
        revision=row[6],
        revision_since=row[7],
        succeeded_at=row[8],
        beats=row[9],
        beat_at=row[10],
        longest_gap=row[11],
        healed=row[12],
        healed_at=row[13],
        uid=row[14],
        uid_before=row[15],
        twin=bool(row[16]),
        changed_at=row[17],
        changed_by=row[18],
        change=row[19],
    )


def from_heartbeat(beat: Heartbeat) -> Stored:
    return (
        beat.name,
        beat.source._value_,
        beat.cluster,
        beat.declared,
        beat.every,
        beat.beats,
        beat.beat_at,
        _encode(beat.gaps),
        beat.due_at,
        beat.silent_since,
    )


def to_heartbeat(row: Stored) -> Heartbeat:
    return Heartbeat(
        name=row[0],
        source=_SOURCES[row[1]],
        cluster=row[2],
        declared=bool(row[3]),
        every=row[4],
        beats=row[5],
        beat_at=row[6],
        gaps=tuple(from_json(row[7])),
        due_at=row[8],
        silent_since=row[9],
    )


def from_rollout(rollout: Rollout) -> Stored:
    return (
        rollout.key,
        rollout.cluster,
        rollout.revision,
        rollout.began_at,
        rollout.changed_at,
        rollout.ready,
        _from_texts(rollout.touched),
        _from_texts(rollout.failures),
        rollout.note,
    )


def to_rollout(row: Stored) -> Rollout:
    return Rollout(
        key=row[0],
        cluster=row[1],
        revision=row[2],
        began_at=row[3],
        changed_at=row[4],
        ready=row[5],
        touched=_to_texts(row[6]),
        failures=_to_texts(row[7]),
        note=row[8],
    )


def from_entry(entry: Entry) -> Stored:
    """Without its serial number."""
    return (
        entry.at,
        entry.reason._value_,
        entry.source._value_,
        entry.signal,
        entry.incident or None,
        entry.channel,
        entry.other or None,
    )


def to_entry(row: Stored) -> Entry:
    return Entry(
        at=row[1],
        reason=_REASONS[row[2]],
        source=_SOURCES[row[3]],
        signal=row[4],
        incident=row[5] or "",
        channel=row[6],
        other=row[7] or "",
    )


def to_message(row: Stored) -> Message:
    """A Message's fields are its columns."""
    *others, gone, takes, mentioned = row
    return Message(*[*others, bool(gone), takes, _SEVERITIES[mentioned]])


def to_placement(row: Stored) -> Placement:
    return Placement(incident=row[1], channel=row[2], form=Form(row[3]), position=row[4])


def from_placement(message: int, placement: Placement) -> Stored:
    return (message, placement.incident, placement.channel, placement.form._value_, placement.position)
