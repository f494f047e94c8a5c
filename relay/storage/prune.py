"""History ends, in small bites. What is open, held or due is never touched, however old it is."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, exists, func, select, text

from relay.core.event import Instant
from relay.storage.engine import in_list
from relay.storage.rejects import trim_rejects
from relay.storage.tables import (
    attempts,
    incidents,
    journal,
    messages,
    objects,
    placements,
    postings,
    quiet,
    recent,
    rollouts,
    signals,
)

DAY: Final = 86400.0
ATTEMPTS_KEPT: Final = 2 * DAY
JOURNAL_KEPT: Final = 7 * DAY
JOURNAL_ROWS: Final = 100_000
RECENT_KEPT: Final = 600.0


def prune(connection: Connection, now: Instant, keep: float, limit: int = 500) -> int:
    """Delete at most `limit` rows of each kind that are older than their time (`keep` seconds for what people look up).

    Returns how many in all; 0 when there is nothing left to do.
    """
    before = now - keep
    return (
        _prune_incidents(connection, before, limit)
        + _prune_signals(connection, before, limit)
        + _prune_journal(connection, now, limit)
        + _bite(connection, messages, messages.c.id, _gone(before), limit)
        + _bite(connection, objects, objects.c.key, objects.c.seen_at < before, limit)
        + _bite(connection, attempts, attempts.c.id, attempts.c.at < now - ATTEMPTS_KEPT, limit)
        + _bite(connection, recent, recent.c.digest, recent.c.at < now - RECENT_KEPT, limit)
        + _bite(connection, quiet, quiet.c.id, quiet.c.ended_at < before, limit)
        + _bite(connection, rollouts, rollouts.c.key, rollouts.c.changed_at < before, limit)
        + trim_rejects(connection)
    )


def _bite(connection: Connection, table: Table, key: ColumnElement[Any], old: ColumnElement[bool], limit: int) -> int:
    return connection.execute(delete(table).where(old, key.in_(select(key).where(old).limit(limit)))).rowcount


def _gone(before: Instant) -> ColumnElement[bool]:
    return and_(text("messages.gone"), messages.c.created_at < before)


def _prune_incidents(connection: Connection, before: Instant, limit: int) -> int:
    """Closed Incidents that nothing waits for and no Signal spoke of since, with all that belongs to them."""
    spoken = (
        exists()
        .where(signals.c.incident == incidents.c.id)
        .where((signals.c.seen_at >= before) | signals.c.held_until.is_not(None))
    )
    waiting = exists().where(postings.c.incident == incidents.c.id).where(postings.c.due_at.is_not(None))
    old = incidents.c.closed_at.is_not(None) & (incidents.c.closed_at < before) & ~spoken & ~waiting
    ids = list(
        connection.execute(select(incidents.c.id).where(old).order_by(incidents.c.closed_at).limit(limit)).scalars()
    )
    if not ids:
        return 0
    gone = {"ids": ids}
    connection.execute(delete(signals).where(in_list(signals.c.incident, "ids")), gone)
    connection.execute(delete(postings).where(in_list(postings.c.incident, "ids")), gone)
    _unplace(connection, ids)
    return connection.execute(delete(incidents).where(in_list(incidents.c.id, "ids")), gone).rowcount


def _unplace(connection: Connection, ids: list[str]) -> None:
    """Take the Incidents out of their Messages; a Message in which nothing stands any more goes too, unless it is to be edited."""
    stood = select(placements.c.message).where(in_list(placements.c.incident, "ids")).distinct()
    touched = list(connection.execute(stood, {"ids": ids}).scalars())
    connection.execute(delete(placements).where(in_list(placements.c.incident, "ids")), {"ids": ids})
    empty = ~exists().where(placements.c.message == messages.c.id)
    connection.execute(delete(messages).where(messages.c.id.in_(touched), messages.c.due_at.is_(None), empty))


def _prune_signals(connection: Connection, before: Instant, limit: int) -> int:
    """Resolved Signals whose Incident is gone, or that never had one: noted, or healed within their hold."""
    owned = exists().where(incidents.c.id == signals.c.incident)
    old = (signals.c.state == "resolved") & (signals.c.seen_at < before) & ~owned
    return _bite(connection, signals, signals.c.key, old, limit)


def _prune_journal(connection: Connection, now: Instant, limit: int) -> int:
    newest = connection.execute(select(func.max(journal.c.id))).scalar_one() or 0
    old = (journal.c.at < now - JOURNAL_KEPT) | (journal.c.id <= newest - JOURNAL_ROWS)
    first = select(journal.c.id, journal.c.at).order_by(journal.c.id).limit(limit).subquery()
    oldest = select(first.c.id).where((first.c.at < now - JOURNAL_KEPT) | (first.c.id <= newest - JOURNAL_ROWS))
    return connection.execute(delete(journal).where(old, journal.c.id.in_(oldest))).rowcount
