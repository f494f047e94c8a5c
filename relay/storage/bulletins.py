"""What a Channel shows for its own sake, besides Incidents: its status, the day's rollouts, the last week; and what they are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, exists, func, select

from relay.core import status
from relay.core.event import Instant, Severity, Source
from relay.core.incident import Incident, Reason
from relay.core.posting import Message, Posting
from relay.core.rollout import Rollout
from relay.core.status import Week
from relay.storage import meta, tally
from relay.storage.engine import Rows
from relay.storage.rows import to_incident, to_message, to_posting, to_rollout
from relay.storage.tables import bulletins, heartbeats, incidents, messages, objects, postings, rollouts, signals

STATUS: Final = "status"
_rows: Final = Rows(bulletins)


@dataclass(frozen=True, slots=True)
class Bulletin:
    """One in a Channel. `said` is a digest of what it showed last, without the clock; `message` our id of its Message."""

    channel: str
    kind: str
    message: int | None = None
    shown_at: Instant | None = None
    said: str = ""
    deleted_at: Instant | None = None
    """When a person last deleted it: it comes back once, and stays away after the second time within a day."""


def find(connection: Connection, channel: str, kind: str) -> Bulletin:
    """As it is kept; a new one where it was never shown."""
    mine = (bulletins.c.channel == channel) & (bulletins.c.kind == kind)
    row = connection.execute(select(bulletins).where(mine)).first()
    return Bulletin(*row) if row is not None else Bulletin(channel, kind)


def save(connection: Connection, one: Bulletin) -> None:
    row = (one.channel, one.kind, one.message, one.shown_at, one.said, one.deleted_at)
    _rows.write(connection, [row])


# --- what a status tells ------------------------------------------------------------------------------------------------

HEARD: Final = "heard:"
"""Before a source's name: when it was last heard, written down every minute."""
BEGUN: Final = "begun"
"""When this installation was begun."""
VERSION: Final = "version"
"""As which the relay ran last."""
UPGRADED: Final = "upgraded"
"""When it became another, and from which."""
AWAY: Final = "away"
"""When it was back after it had not run, and for how many seconds that was."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about who is heard, besides the problems themselves."""

    begun_at: Instant
    heard: dict[str, Instant]
    parked: int
    notes: tuple[str, ...] = ()
    """What the relay did of late, in words."""


@dataclass(frozen=True, slots=True)
class Sights:
    """What was ever heard, which decides about blind spots (`core/status.py`)."""

    failures: bool
    successes: bool
    artifacts: bool
    watchdog: bool
    stopped: tuple[str, ...]


def facts(connection: Connection, now: Instant, names: tuple[str, ...]) -> Facts:
    """Of the configured sources with these `names`."""
    heard = {name: float(at) for name in names if (at := meta.get_meta(connection, HEARD + name))}
    parked = select(func.count()).select_from(postings).where(postings.c.parked != "")
    begun = float(meta.get_meta(connection, BEGUN) or now)
    return Facts(begun, heard, connection.execute(parked).scalar_one(), _notes(connection, now))


def sights(connection: Connection, now: Instant, most: int) -> Sights:
    """It may read through all that is stored, so ask now and then; at most so many Kustomizations that stopped."""
    flux = signals.c.source == Source.FLUX.value
    kinds = ("GitRepository", "OCIRepository", "Bucket")
    asked = select(
        exists().where(flux, signals.c.severity >= int(Severity.ERROR)),
        exists().where(objects.c.succeeded_at.is_not(None)),
        exists().where(objects.c.kind.in_(kinds), objects.c.succeeded_at.is_not(None)),
        exists().where((heartbeats.c.source == Source.ALERTMANAGER.value) & (heartbeats.c.beats > 0)),
    )
    failures, successes, artifacts, watchdog = (bool(found) for found in connection.execute(asked).one())
    return Sights(failures, successes, artifacts, watchdog, stopped_beats(connection, now, most))


def _notes(connection: Connection, now: Instant) -> tuple[str, ...]:
    notes = []
    for key, said in ((AWAY, lambda seconds: status.away(float(seconds))), (UPGRADED, status.upgraded)):
        at, _, what = (meta.get_meta(connection, key) or "").partition(" ")
        if at and now - float(at) < status.NOTED:
            notes.append(said(what))
    return tuple(notes)


def note_start(connection: Connection, now: Instant, away: float, version: str) -> None:
    """The relay begins to listen as `version`, after so many seconds in which it did not run."""
    if away >= status.AWAY:
        meta.set_meta(connection, AWAY, f"{now!r} {away!r}")
    before = meta.get_meta(connection, VERSION)
    if before != version:
        meta.set_meta(connection, VERSION, version)
        if before is not None:
            meta.set_meta(connection, UPGRADED, f"{now!r} {before}")


def stopped_beats(connection: Connection, now: Instant, most: int) -> tuple[str, ...]:
    """Kustomizations of which three health beats are missing, while another's came since; by name, longest silent first."""
    due = objects.c.beat_at + 3 * objects.c.longest_gap
    beating = (objects.c.kind == "Kustomization") & (objects.c.beats > 2) & (objects.c.longest_gap > 0)
    latest = select(func.max(objects.c.beat_at)).where(beating).scalar_subquery()
    silent = select(objects.c.namespace, objects.c.name).where(beating, due < now, due < latest)
    rows = connection.execute(silent.order_by(objects.c.beat_at).limit(most))
    return tuple(f"{namespace}/{name}" if namespace else name for namespace, name in rows)


@dataclass(frozen=True, slots=True)
class Standing:
    """An open Incident that a Channel shows, and the Message in which it stands."""

    incident: Incident
    posting: Posting
    message: Message | None


def open_in(connection: Connection, channel: str, now: Instant, most: int) -> tuple[list[Standing], int]:
    """The worst open Incidents that `channel` shows on their own, oldest first of each severity; and how many, counted to 1000."""
    mine = (
        (postings.c.channel == channel)
        & postings.c.closed.is_(False)
        & incidents.c.closed_at.is_(None)
        & incidents.c.folded_into.is_(None)
        & (incidents.c.visible_at <= now)
    )
    joined = incidents.join(postings, postings.c.incident == incidents.c.id)
    order = (incidents.c.severity.desc(), incidents.c.opened_at)
    statement = (
        select(incidents, postings, messages)
        .select_from(joined.outerjoin(messages, messages.c.id == postings.c.message))
        .where(mine)
        .order_by(*order)
        .limit(most)
    )
    rows = [tuple(row) for row in connection.execute(statement)]
    some = select(incidents.c.id).select_from(joined).where(mine).limit(1000).subquery()
    count = connection.execute(select(func.count()).select_from(some)).scalar_one()
    first, second = len(incidents.columns), len(incidents.columns) + len(postings.columns)
    found = [
        Standing(
            to_incident(row[:first]),
            to_posting(row[first:second]),
            to_message(row[second:]) if row[second] is not None else None,
        )
        for row in rows
    ]
    return found, count


def last_over(connection: Connection, channel: str) -> tuple[Incident, Posting] | None:
    """What ended last of what `channel` showed."""
    statement = (
        select(incidents, postings)
        .join(postings, postings.c.incident == incidents.c.id)
        .where(postings.c.channel == channel, incidents.c.closed_at.is_not(None), postings.c.shown > 0)
        .order_by(incidents.c.closed_at.desc())
        .limit(1)
    )
    row = connection.execute(statement).first()
    if row is None:
        return None
    cells = tuple(row)
    return to_incident(cells[: len(incidents.columns)]), to_posting(cells[len(incidents.columns) :])


def week_of(connection: Connection, channel: str, since: Instant) -> Week:
    """What came to pass since then, and what of it `channel` showed."""
    told = tally.told_since(connection, since)
    events = sum(
        count for word, count in told.items() if word != tally.WELL and not word.startswith(Source.RELAY.value)
    )
    recent = incidents.c.closed_at.is_(None) | (incidents.c.closed_at >= since)
    shown = (
        select(func.count(), func.coalesce(func.sum(postings.c.pages_made), 0))
        .join(incidents, incidents.c.id == postings.c.incident)
        .where(postings.c.channel == channel, postings.c.shown > 0, recent)
    )
    cards, pages = connection.execute(shown).one()
    over = (incidents.c.closed_at >= since) & (incidents.c.reason == Reason.HEALED.value)
    healed = connection.execute(select(func.count()).select_from(incidents).where(over)).scalar_one()
    return Week(events, int(cards), int(pages), int(healed))


def rollouts_since(connection: Connection, since: Instant, most: int = 50) -> list[Rollout]:
    """The newest revisions that moved since then, in the order in which they began."""
    moved = (rollouts.c.changed_at >= since) & (rollouts.c.touched != "")
    newest = select(rollouts).where(moved).order_by(rollouts.c.began_at.desc()).limit(most)
    return [to_rollout(row) for row in reversed(connection.execute(newest).all())]
