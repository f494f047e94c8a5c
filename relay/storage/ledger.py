"""The writer's two steps: load all that a batch may touch, write all that it changed; a fixed number of statements for any batch.

Both happen in one exclusive transaction, so that what another writes between them is not lost.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, select, update

from relay.core.event import Instant
from relay.core.folding import MANY
from relay.core.heartbeats import Heartbeat
from relay.core.incident import Incident
from relay.core.known import Known, Wanted
from relay.core.signal import Signal
from relay.storage.engine import Lookup, Removals, Rows, Touches, find_all, write_all
from relay.storage.quiet import STANDING, to_rules
from relay.storage.rows import (
    from_entry,
    from_heartbeat,
    from_incident,
    from_object,
    from_posting,
    from_rollout,
    from_signal,
    to_heartbeat,
    to_incident,
    to_object,
    to_posting,
    to_rollout,
    to_signal,
)
from relay.storage.tables import (
    effect_keys,
    heartbeats,
    incident_keys,
    incidents,
    journal,
    objects,
    placements,
    postings,
    recent,
    rollouts,
    signals,
)

BITE: Final = MANY
"""Effects of one cause that are folded, or looked after, in one transaction."""

_SIGNALS: Final = Lookup(signals.c.key)
_SIBLINGS: Final = Lookup(signals.c.semantic_key)
_MEMBERS: Final = Lookup(signals.c.incident)
_KEYS: Final = Lookup(incident_keys.c.key)
_INCIDENTS: Final = Lookup(incidents.c.id)
_OBJECTS: Final = Lookup(objects.c.key)
_HEARTBEATS: Final = Lookup(heartbeats.c.name)
_ROLLOUTS: Final = Lookup(rollouts.c.key)
_RECENT: Final = Lookup(recent.c.digest)
_POSTINGS: Final = Lookup(postings.c.incident)
_WAITING: Final = Lookup(effect_keys.c.key, most=BITE)
_WAITS: Final = Lookup(effect_keys.c.incident)

_signal_rows: Final = Rows(signals)
_signal_touches: Final = Touches(signals.c.key, signals.c.seen_at, signals.c.sent_at, signals.c.count)
_incident_rows: Final = Rows(incidents)
_given_up: Final = Removals(incident_keys.c.incident)
_key_rows: Final = Rows(incident_keys, replace=False)
_refolds: Final = Touches(incidents.c.folded_into, incidents.c.folded_into)
_waits_over: Final = Removals(effect_keys.c.incident)
_waiting_rows: Final = Rows(effect_keys)
_posting_rows: Final = Rows(postings)
_object_rows: Final = Rows(objects)
_heartbeat_rows: Final = Rows(heartbeats)
_rollout_rows: Final = Rows(rollouts)
_recent_rows: Final = Rows(recent)
_journal_rows: Final = Rows(journal)


def load(connection: Connection, wanted: Wanted, *, incidents: Iterable[str] = (), since: Instant = 0.0) -> Known:
    """All that `wanted` names, the Incidents it leads to (and those named), and their Postings; digests received after `since`."""
    known, named = Known(), set(incidents)
    own, siblings, keys, things, beats, under_way, copies, quiet = find_all(
        connection,
        (_SIGNALS, wanted.signals),
        (_SIBLINGS, wanted.semantic),
        (_KEYS, wanted.keys),
        (_OBJECTS, wanted.objects),
        (_HEARTBEATS, wanted.heartbeats),
        (_ROLLOUTS, wanted.rollouts),
        (_RECENT, wanted.digests),
        (STANDING, bool(wanted.signals or wanted.keys or named)),
    )
    for row in (*own, *siblings):
        if row[0] in known.signals:
            continue
        signal = known.signals[row[0]] = to_signal(row)
        if signal.semantic_key:
            known.siblings.setdefault(signal.semantic_key, set()).add(signal.key)
    known.keys = {row[0]: row[1] for row in keys}
    known.objects = {row[0]: to_object(row) for row in things}
    known.rollouts = {row[0]: to_rollout(row) for row in under_way}
    known.heartbeats = {row[0]: to_heartbeat(row) for row in beats}
    known.recent = {digest: at for digest, at in copies if at >= since}
    known.quiet = to_rules(quiet)
    ids = {*named, *known.keys.values(), *(s.incident for s in known.signals.values() if s.incident is not None)}
    _load_incidents(connection, known, ids)
    if wanted.openings:
        _follow_edges(connection, known, wanted)
    _load_incidents(connection, known, {one.folded_into for one in known.incidents.values() if one.folded_into})
    return known


def _load_incidents(connection: Connection, known: Known, ids: Iterable[str]) -> None:
    """These Incidents with their Postings, as far as they are not there yet."""
    missing = {one for one in ids if one not in known.incidents}
    found, owed = find_all(connection, (_INCIDENTS, missing), (_POSTINGS, missing))
    known.incidents.update((row[0], to_incident(row)) for row in found)
    known.postings.update(((row[0], row[1]), to_posting(row)) for row in owed)


def _follow_edges(connection: Connection, known: Known, wanted: Wanted) -> None:
    """Where the causes of what opens are, and what waits for it; nothing where all is a repeat."""
    causes, effects = known.foresee(wanted)
    (held,) = find_all(connection, (_KEYS, causes))
    known.keys.update((row[0], row[1]) for row in held)
    (waiting,) = find_all(connection, (_WAITING, effects - known.keys.keys()))
    for key, incident, edge in waiting:
        known.waiting.setdefault(key, {})[incident] = edge
    _load_incidents(connection, known, [row[1] for row in (*held, *waiting)])


def save(connection: Connection, known: Known) -> None:
    """Write what changed. An Incident's keys are given up before others are claimed; a key that is held stays with its holder."""
    touched = (known.signals[key] for key in known.touched_signals - known.changed_signals)
    write_all(
        connection,
        (_given_up, [(incident,) for incident in known.released]),
        (_waits_over, [(incident,) for incident in known.unwaited]),
        (_refolds, list(known.refolded.items())),
        (_signal_rows, [from_signal(known.signals[key]) for key in known.changed_signals]),
        (_signal_touches, [(signal.key, signal.seen_at, signal.sent_at, signal.count) for signal in touched]),
        (_incident_rows, [from_incident(known.incidents[key]) for key in known.changed_incidents]),
        (_key_rows, list(known.new_keys.items())),
        (_waiting_rows, [(*waits, edge) for waits, edge in known.new_waiting.items()]),
        (_posting_rows, [from_posting(known.postings[key]) for key in known.changed_postings]),
        (_object_rows, [from_object(known.objects[key]) for key in known.changed_objects]),
        (_heartbeat_rows, [from_heartbeat(known.heartbeats[name]) for name in known.changed_heartbeats]),
        (_rollout_rows, [from_rollout(known.rollouts[key]) for key in known.changed_rollouts]),
        (_recent_rows, list(known.new_digests.items())),
        (_journal_rows, [from_entry(entry) for entry in known.journal]),
    )
    if known.handed_over:
        named = [dict(zip(("m", "e", "r", "c"), moved, strict=True)) for moved in known.handed_over]
        connection.execute(_HANDED_OVER, named)


_HANDED_OVER: Final = (
    update(placements)
    .where(placements.c.message == bindparam("m"), placements.c.incident == bindparam("e"))
    .where(placements.c.channel == bindparam("c"))
    .values(incident=bindparam("r"))
)
"""What showed an effect shows its root from now on."""


# --- deadlines ----------------------------------------------------------------------------------------------------------

_HELD: Final = signals.c.held_until.is_not(None)
_EXPIRING: Final = incidents.c.closed_at.is_(None) & incidents.c.expires_at.is_not(None)


def held_signals(connection: Connection, now: Instant, limit: int) -> list[Signal]:
    """Firings whose wait for a resolve is over, earliest first."""
    due = _HELD & (signals.c.held_until <= now)
    return [
        to_signal(row)
        for row in connection.execute(select(signals).where(due).order_by(signals.c.held_until).limit(limit))
    ]


def expired_incidents(connection: Connection, now: Instant, limit: int) -> list[Incident]:
    """Open Incidents of which nobody spoke for too long, earliest first."""
    due = _EXPIRING & (incidents.c.expires_at <= now)
    statement = select(incidents).where(due).order_by(incidents.c.expires_at).limit(limit)
    return [to_incident(row) for row in connection.execute(statement)]


def firing_of(connection: Connection, ids: Collection[str]) -> list[Signal]:
    """The Signals that keep these Incidents open."""
    (rows,) = find_all(connection, (_MEMBERS, ids))
    return [signal for signal in map(to_signal, rows) if signal.keeps_open]


def all_heartbeats(connection: Connection) -> list[Heartbeat]:
    """Every heartbeat that was ever heard: a few for each cluster."""
    return [to_heartbeat(row) for row in connection.execute(select(heartbeats))]


def forget_heartbeats(connection: Connection, names: Collection[str]) -> None:
    connection.execute(delete(heartbeats).where(heartbeats.c.name.in_(names)))


def slept(connection: Connection, seconds: float) -> None:
    """Nobody listened for so long: what silence is counted from moves on by as much."""
    later = {"expires_at": incidents.c.expires_at + seconds}
    connection.execute(update(incidents).where(_EXPIRING).values(later))


@dataclass(frozen=True, slots=True)
class Tended:
    """A cause whose effects must be looked after, and the first of these: they wait for it, or are left over."""

    cause: Incident
    effects: tuple[Incident, ...]
    waits: Mapping[str, Sequence[tuple[str, str]]]
    """The keys, each with its edge, by which they find causes."""
    more: bool

    @property
    def goes_on(self) -> bool:
        """It goes on, and gathers what waits for it; else its effects must look for themselves."""
        return self.cause.is_open and self.cause.silent_since is None

    @property
    def ids(self) -> tuple[str, ...]:
        return (self.cause.id, *(one.id for one in self.effects))

    @property
    def leads(self) -> set[str]:
        """The Signals by which they would find causes that do not report themselves."""
        return {one.lead for one in self.effects}

    @property
    def keys(self) -> set[str]:
        return {key for waits in self.waits.values() for key, _ in waits}


_TENDED: Final = incidents.c.tend_at.is_not(None)


def tended(connection: Connection, now: Instant, limit: int = BITE) -> Tended | None:
    """The cause whose effects have waited longest to be looked after, and `limit` of them."""
    first = select(incidents).where(_TENDED, incidents.c.tend_at <= now).order_by(incidents.c.tend_at).limit(1)
    row = connection.execute(first).first()
    if row is None:
        return None
    cause = to_incident(row)
    goes_on = cause.is_open and cause.silent_since is None
    mine = _waiting_for(cause.id) if goes_on else incidents.c.folded_into == cause.id
    some = select(incidents).where(mine, incidents.c.closed_at.is_(None)).order_by(incidents.c.id).limit(limit)
    effects = tuple(map(to_incident, connection.execute(some)))
    waits: dict[str, list[tuple[str, str]]] = {}
    (rows,) = find_all(connection, (_WAITS, [one.id for one in effects]))
    for key, effect, edge in rows:
        waits.setdefault(effect, []).append((key, edge))
    return Tended(cause, effects, waits, more=len(effects) == limit)


def _waiting_for(cause: str) -> ColumnElement[bool]:
    """What stands for itself and waits for a key that `cause` holds."""
    held = select(incident_keys.c.key).where(incident_keys.c.incident == cause)
    waiting = select(effect_keys.c.incident).where(effect_keys.c.key.in_(held), effect_keys.c.incident != cause)
    return incidents.c.id.in_(waiting) & incidents.c.folded_into.is_(None)


def next_deadline(connection: Connection) -> Instant | None:
    """When the next held Signal or Incident must be looked at; None while nothing waits."""
    held = select(func.min(signals.c.held_until)).where(_HELD).scalar_subquery()
    expiring = select(func.min(incidents.c.expires_at)).where(_EXPIRING).scalar_subquery()
    tending = select(func.min(incidents.c.tend_at)).where(_TENDED).scalar_subquery()
    return min((at for at in connection.execute(select(held, expiring, tending)).one() if at is not None), default=None)
