"""The writer's two steps: load all that a batch may touch, write all that it changed; a fixed number of statements for any batch.

Both happen in one exclusive transaction, so that what another writes between them is not lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection, delete, func, select

from relay.core.event import Instant
from relay.core.incident import Incident
from relay.core.known import Known, Wanted
from relay.core.signal import Signal
from relay.storage.engine import Lookup, Rows, Touches, in_list
from relay.storage.rows import (
    from_entry,
    from_incident,
    from_object,
    from_posting,
    from_signal,
    to_incident,
    to_object,
    to_posting,
    to_signal,
)
from relay.storage.tables import incident_keys, incidents, journal, objects, postings, recent, signals

_SIGNALS: Final = Lookup(signals.c.key)
_SIBLINGS: Final = Lookup(signals.c.semantic_key)
_KEYS: Final = Lookup(incident_keys.c.key)
_INCIDENTS: Final = Lookup(incidents.c.id)
_OBJECTS: Final = Lookup(objects.c.key)
_RECENT: Final = Lookup(recent.c.digest)
_POSTINGS: Final = Lookup(postings.c.incident)
_RELEASE: Final = delete(incident_keys).where(in_list(incident_keys.c.incident, "keys"))

_signal_rows: Final = Rows(signals)
_signal_touches: Final = Touches(signals.c.key, signals.c.seen_at, signals.c.sent_at, signals.c.count)
_incident_rows: Final = Rows(incidents)
_key_rows: Final = Rows(incident_keys, replace=False)
_posting_rows: Final = Rows(postings)
_object_rows: Final = Rows(objects)
_recent_rows: Final = Rows(recent)
_journal_rows: Final = Rows(journal)


def load(connection: Connection, wanted: Wanted, *, incidents: Iterable[str] = (), since: Instant = 0.0) -> Known:
    """All that `wanted` names, the Incidents it leads to (and those named), and their Postings; digests received after `since`."""
    known = Known()
    for row in (*_SIGNALS.find(connection, wanted.signals), *_SIBLINGS.find(connection, wanted.semantic)):
        if row[0] in known.signals:
            continue
        signal = known.signals[row[0]] = to_signal(row)
        if signal.semantic_key:
            known.siblings.setdefault(signal.semantic_key, set()).add(signal.key)
    known.keys = {row[0]: row[1] for row in _KEYS.find(connection, wanted.keys)}
    ids = {*incidents, *known.keys.values(), *(s.incident for s in known.signals.values() if s.incident is not None)}
    known.incidents = {row[0]: to_incident(row) for row in _INCIDENTS.find(connection, ids)}
    known.postings = {(row[0], row[1]): to_posting(row) for row in _POSTINGS.find(connection, ids)}
    known.objects = {row[0]: to_object(row) for row in _OBJECTS.find(connection, wanted.objects)}
    known.recent = {digest: at for digest, at in _RECENT.find(connection, wanted.digests) if at >= since}
    return known


def save(connection: Connection, known: Known) -> None:
    """Write what changed. An Incident's keys are given up before others are claimed; a key that is held stays with its holder."""
    if known.released:
        connection.execute(_RELEASE, {"keys": list(known.released)})
    _signal_rows.write(connection, [from_signal(known.signals[key]) for key in known.changed_signals])
    _signal_touches.write(
        connection,
        [
            (key, signal.seen_at, signal.sent_at, signal.count)
            for key in known.touched_signals - known.changed_signals
            for signal in (known.signals[key],)
        ],
    )
    _incident_rows.write(connection, [from_incident(known.incidents[key]) for key in known.changed_incidents])
    _key_rows.write(connection, list(known.new_keys.items()))
    _posting_rows.write(connection, [from_posting(known.postings[key]) for key in known.changed_postings])
    _object_rows.write(connection, [from_object(known.objects[key]) for key in known.changed_objects])
    _recent_rows.write(connection, list(known.new_digests.items()))
    _journal_rows.write(connection, [from_entry(entry) for entry in known.journal])


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


def next_deadline(connection: Connection) -> Instant | None:
    """When the next held Signal or Incident must be looked at; None while nothing waits."""
    held = select(func.min(signals.c.held_until)).where(_HELD).scalar_subquery()
    expiring = select(func.min(incidents.c.expires_at)).where(_EXPIRING).scalar_subquery()
    return min((at for at in connection.execute(select(held, expiring)).one() if at is not None), default=None)
