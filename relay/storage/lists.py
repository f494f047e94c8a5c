"""What people and metrics ask: lists that end and counts that stop at a cap, so that no question costs more in a storm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, ScalarSelect, case, func, select, true

from relay.core import changes
from relay.core.card import Change
from relay.core.due import DAY
from relay.core.event import Instant, Severity, Source
from relay.core.identity import BEGINS
from relay.core.incident import Incident
from relay.core.known import Entry
from relay.core.posting import Posting
from relay.core.quiet import NIGHT
from relay.core.rollout import key_of
from relay.storage.rows import to_entry, to_incident, to_object, to_posting
from relay.storage.tables import heartbeats, incidents, journal, objects, postings, rollouts

_OPEN: Final = incidents.c.closed_at.is_(None)
_WAITS: Final = postings.c.due_at.is_not(None)
_PARKED: Final = postings.c.parked != ""


@dataclass(frozen=True, slots=True)
class Counts:
    """What metrics show. Each number stops at the cap that was asked for."""

    open: Mapping[Severity, int]
    due: int
    parked: int
    oldest_due: Instant | None
    """When what has waited longest became due; None while nothing is due."""


def counts(connection: Connection, now: Instant, cap: int = 10_000) -> Counts:
    """Open Incidents by severity, Postings due and parked, by one statement."""
    due = _WAITS & (postings.c.due_at <= now)
    row = connection.execute(
        select(
            *(_capped(incidents.c.id, _OPEN & (incidents.c.severity == severity), cap) for severity in Severity),
            _capped(postings.c.channel, due, cap),
            _capped(postings.c.channel, _PARKED, cap),
            select(func.min(postings.c.due_at)).where(due).scalar_subquery(),
        )
    ).one()
    *by_severity, waiting, parked, oldest = row
    return Counts(dict(zip(Severity, by_severity, strict=True)), waiting, parked, oldest)


def _capped(column: ColumnElement[str], condition: ColumnElement[bool], cap: int) -> ScalarSelect[int]:
    some = select(column).where(condition).limit(cap).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


def oldest_page(connection: Connection) -> Instant | None:
    """Since when the Incident that has waited longest for its page has been visible as it is; None while no page is owed."""
    since = case(
        (incidents.c.visible_at > incidents.c.changed_at, incidents.c.visible_at), else_=incidents.c.changed_at
    )
    statement = (
        select(func.min(since))
        .join(postings, postings.c.incident == incidents.c.id)
        .where(_WAITS, postings.c.pages_owed > postings.c.pages_made, postings.c.quiet.in_(("", NIGHT)))
    )
    oldest: Instant | None = connection.execute(statement).scalar_one()
    return oldest


def silent_heartbeats(connection: Connection) -> dict[Source, int]:
    """How many heartbeats of each source are overdue; none for a source whose beats all came."""
    statement = (
        select(heartbeats.c.source, func.count())
        .where(heartbeats.c.silent_since.is_not(None))
        .group_by(heartbeats.c.source)
    )
    return {Source(source): count for source, count in connection.execute(statement)}


def open_incidents(connection: Connection, limit: int) -> list[Incident]:
    """Worst first, oldest first within each severity."""
    statement = select(incidents).where(_OPEN).order_by(incidents.c.severity.desc(), incidents.c.opened_at).limit(limit)
    return [to_incident(row) for row in connection.execute(statement)]


def held_ids(connection: Connection, now: Instant, limit: int) -> list[str]:
    """Open Incidents that are not visible yet."""
    held = incidents.c.closed_at.is_(None) & (incidents.c.visible_at > now)
    return list(connection.scalars(select(incidents.c.id).where(held).limit(limit)))


def open_ids(connection: Connection, after: str, limit: int) -> list[str]:
    """The ids of open Incidents in their order, those after `after`: to walk through all of them in bites."""
    statement = select(incidents.c.id).where(_OPEN, incidents.c.id > after).order_by(incidents.c.id).limit(limit)
    return list(connection.execute(statement).scalars())


def clusters_heard(connection: Connection, cap: int = 2) -> int:
    """How many clusters have a Flux object or an open Incident, counted up to `cap`: with one its name need not be said."""
    heard: set[str] = set()
    for cluster, kept in ((incidents.c.cluster, _OPEN), (objects.c.cluster, true())):
        heard.update(connection.execute(select(cluster).where(kept).distinct().limit(cap)).scalars())
    return min(len(heard), cap)


def open_by_handle(connection: Connection, handle: str, limit: int = 10) -> list[Incident]:
    """The open Incidents whose id begins with what a person typed, oldest first."""
    begins = func.substr(incidents.c.id, BEGINS + 1, len(handle)) == handle
    statement = select(incidents).where(_OPEN, begins).order_by(incidents.c.opened_at).limit(limit)
    return [to_incident(row) for row in connection.execute(statement)]


def parked_postings(connection: Connection, limit: int) -> list[Posting]:
    """What is not sent any more, by Channel; each says why."""
    statement = select(postings).where(_PARKED).order_by(postings.c.channel, postings.c.incident).limit(limit)
    return [to_posting(row) for row in connection.execute(statement)]


def last_shown(connection: Connection) -> dict[str, Instant]:
    """When each Channel was last shown anything; none for one that never was. Reads every Posting."""
    statement = (
        select(postings.c.channel, func.max(postings.c.shown_at))
        .where(postings.c.shown_at.is_not(None))
        .group_by(postings.c.channel)
    )
    return {row[0]: row[1] for row in connection.execute(statement)}


def journal_of(connection: Connection, incident: str, limit: int) -> list[Entry]:
    """The newest decisions about an Incident, oldest of them first."""
    statement = select(journal).where(journal.c.incident == incident).order_by(journal.c.id.desc()).limit(limit)
    return [to_entry(row) for row in reversed(connection.execute(statement).all())]


@dataclass(frozen=True, slots=True)
class Past:
    """What the database knows of an Incident's object besides its Signals."""

    change: Change | None = None
    fixed_by: Change | None = None
    healed: int = 0


def past_of(connection: Connection, incident: Incident, now: Instant, repository: str = "") -> Past:
    """What changed before `incident`, what fixed it, and how often its object healed by itself in the last day.

    `repository` is the `namespace/name` of the source that the commits are from, where there is only one.
    """
    keys = {incident.subject.key, *(thing.key for thing in changes.things_of(incident.subject))}
    things = [to_object(row) for row in connection.execute(select(objects).where(objects.c.key.in_(sorted(keys))))]
    revisions = {incident.change_revision, *(thing.changed_by for thing in things)} - {""}
    sought = sorted(key_of(incident.subject.cluster, revision) for revision in revisions)
    words = select(rollouts.c.revision, rollouts.c.note).where(rollouts.c.key.in_(sought))
    notes = {row[0]: row[1] for row in connection.execute(words)} if sought else {}
    return Past(
        changes.before_it(incident, notes, repository),
        changes.that_fixed(incident, things, notes, repository),
        max((thing.healed for thing in things if now - (thing.healed_at or 0.0) <= DAY), default=0),
    )
