"""What the one sender reads and records: the best thing due, found by an index, and what came of each request.

A Posting is read and settled in one exclusive transaction, so that what the writer wants meanwhile is not lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, case, delete, func, insert, select, update

from relay.core.card import Form
from relay.core.due import EDITS
from relay.core.event import Instant
from relay.core.incident import Incident
from relay.core.posting import Message, Placement, Posting
from relay.core.signal import Signal, State
from relay.storage.engine import Rows, in_list
from relay.storage.rows import (
    from_placement,
    from_posting,
    to_incident,
    to_message,
    to_placement,
    to_posting,
    to_signal,
)
from relay.storage.tables import attempts, incidents, messages, placements, postings, signals

POINTER_RANK: Final = 24
"""Of a Message that is due for its own sake: among the edits (core/due.py), after those of problems."""


@dataclass(frozen=True, slots=True)
class DuePosting:
    """A Posting to be shown, with its Incident and the Message that shows it now, if any."""

    posting: Posting
    incident: Incident
    message: Message | None


@dataclass(frozen=True, slots=True)
class DueMessage:
    """A Message to be edited for its own sake."""

    message: Message


Due = DuePosting | DueMessage


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request, recorded before it was made. Without `ended_at` nobody knows what came of it."""

    id: int
    webhook: str
    """The webhook's id."""
    route: str
    """`post` or `edit`: each has its own budget."""
    message: int | None
    at: Instant
    ended_at: Instant | None
    outcome: str


# --- what is due --------------------------------------------------------------------------------------------------------

_POSTING_WAITS: Final = postings.c.due_at.is_not(None)
_MESSAGE_WAITS: Final = messages.c.due_at.is_not(None)
_EDITED: Final = postings.c.rank.between(EDITS.start, EDITS.stop - 1)
_INCIDENT_FROM: Final = len(postings.columns)
_MESSAGE_FROM: Final = _INCIDENT_FROM + len(incidents.columns)


def next_due(
    connection: Connection,
    channel: str,
    now: Instant,
    *,
    pointer_rank: int = POINTER_RANK,
    posts: bool = True,
    edits: bool = True,
) -> Due | None:
    """What `channel` should be sent first at `now`: smallest rank, then longest due. None while nothing is due.

    `posts` and `edits` say which of the two may go now: neither waits for the other's budget.
    """
    first = next(iter(due_postings(connection, channel, now, 1, posts=posts, edits=edits)), None)
    pointer = _next_pointer(connection, channel, now) if edits else None
    if pointer is None or pointer.due_at is None:
        return first
    if first is None or (pointer_rank, pointer.due_at) < (first.posting.rank, first.posting.due_at):
        return DueMessage(pointer)
    return first


def due_postings(
    connection: Connection, channel: str, now: Instant, limit: int, *, posts: bool = True, edits: bool = True
) -> list[DuePosting]:
    """The next `limit` due Postings of `channel`, in their order: for one Message that shows many.

    The index gives them by rank; the sum keeps the planner from looking them up by time, and sorting a whole storm for one.
    """
    due = (postings.c.channel == channel) & _POSTING_WAITS & (postings.c.due_at + 0.0 <= now)
    if not (posts and edits):
        due &= _EDITED if edits else ~_EDITED
    first = select(postings).where(due).order_by(postings.c.rank, postings.c.due_at).limit(limit).subquery()
    statement = (
        select(first, incidents, messages)
        .join(incidents, incidents.c.id == first.c.incident)
        .outerjoin(messages, messages.c.id == first.c.message)
        .order_by(first.c.rank, first.c.due_at)
    )
    return [_due_posting(tuple(row)) for row in connection.execute(statement)]


def _due_posting(row: tuple[Any, ...]) -> DuePosting:
    message = row[_MESSAGE_FROM:]
    return DuePosting(
        to_posting(row[:_INCIDENT_FROM]),
        to_incident(row[_INCIDENT_FROM:_MESSAGE_FROM]),
        to_message(message) if message[0] is not None else None,
    )


def _next_pointer(connection: Connection, channel: str, now: Instant) -> Message | None:
    due = (messages.c.channel == channel) & _MESSAGE_WAITS & (messages.c.due_at <= now)
    row = connection.execute(select(messages).where(due).order_by(messages.c.due_at).limit(1)).first()
    return to_message(row) if row is not None else None


def due_count(connection: Connection, channel: str, now: Instant, limit: int) -> int:
    """How many Postings of `channel` are due at `now`, counted up to `limit`."""
    due = (postings.c.channel == channel) & _POSTING_WAITS & (postings.c.due_at <= now)
    some = select(postings.c.due_at).where(due).limit(limit).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()


def channels_waiting(connection: Connection) -> list[tuple[str, Instant]]:
    """Every Channel with something to send, now or later, and when the first is due; earliest first."""
    waiting: dict[str, Instant] = {}
    for channel, due_at in (*connection.execute(_WAITING_POSTINGS), *connection.execute(_WAITING_MESSAGES)):
        waiting[channel] = min(due_at, waiting.get(channel, due_at))
    return sorted(waiting.items(), key=lambda pair: pair[1])


def channels_due(connection: Connection, now: Instant) -> list[tuple[str, Instant]]:
    """The Channels with something to send at `now`, and since when; longest due first."""
    return [(channel, due_at) for channel, due_at in channels_waiting(connection) if due_at <= now]


def earliest_due(connection: Connection) -> Instant | None:
    """When the next thing is due in any Channel; None while nothing waits."""
    return min((due_at for _, due_at in channels_waiting(connection)), default=None)


def _waiting(table: Any) -> Any:  # noqa: ANN401  # Two tables of ours with the same two columns; SQLAlchemy's types tell no more.
    """One look-up for each Channel that has work, instead of one row for each thing that waits: a storm costs nothing here."""
    waits = table.c.due_at.is_not(None)
    first = (
        select(func.min(table.c.channel).label("channel")).where(waits).cte(f"{table.name}_channels", recursive=True)
    )
    following = select(func.min(table.c.channel)).where(waits, table.c.channel > first.c.channel).scalar_subquery()
    channels = first.union_all(select(following).where(first.c.channel.is_not(None)))
    earliest = select(func.min(table.c.due_at)).where(waits, table.c.channel == channels.c.channel).scalar_subquery()
    return select(channels.c.channel, earliest).where(channels.c.channel.is_not(None))


_WAITING_POSTINGS: Final = _waiting(postings)
_WAITING_MESSAGES: Final = _waiting(messages)


# --- what is shown ------------------------------------------------------------------------------------------------------


def members(connection: Connection, incident: str, limit: int = 200) -> list[Signal]:
    """The Signals of an Incident: firing first, worst first, oldest first."""
    order = case({State.FIRING.value: 0, State.HELD.value: 1}, value=signals.c.state, else_=2)
    statement = (
        select(signals)
        .where(signals.c.incident == incident)
        .order_by(order, signals.c.superseded, signals.c.severity.desc(), signals.c.since, signals.c.key)
        .limit(limit)
    )
    return [to_signal(row) for row in connection.execute(statement)]


def member_counts(connection: Connection, incident: str) -> dict[State, int]:
    """How many Signals of an Incident are in each state; none for a state that no one is in."""
    statement = select(signals.c.state, func.count()).where(signals.c.incident == incident).group_by(signals.c.state)
    return {State(state): count for state, count in connection.execute(statement)}


# --- Postings -----------------------------------------------------------------------------------------------------------

_posting_rows: Final = Rows(postings)


def load_posting(connection: Connection, key: tuple[str, str]) -> Posting | None:
    """The Posting of (Incident, Channel) as it is now: read it, in an exclusive transaction, to settle it."""
    incident, channel = key
    mine = (postings.c.incident == incident) & (postings.c.channel == channel)
    row = connection.execute(select(postings).where(mine)).first()
    return to_posting(row) if row is not None else None


def standing_elsewhere(connection: Connection, channel: str, webhook: str) -> list[tuple[Posting, Incident]]:
    """The Postings of open Incidents in `channel` whose Message another webhook posted."""
    statement = (
        select(postings, incidents)
        .join(incidents, incidents.c.id == postings.c.incident)
        .join(messages, messages.c.id == postings.c.message)
        .where(incidents.c.closed_at.is_(None), postings.c.channel == channel, messages.c.webhook != webhook)
    )
    rows = [tuple(row) for row in connection.execute(statement)]
    return [(to_posting(row[:_INCIDENT_FROM]), to_incident(row[_INCIDENT_FROM:])) for row in rows]


def leave_channels(connection: Connection, kept: Iterable[str]) -> None:
    """Of all Channels but those `kept` nothing is due any more."""
    for table, more in ((postings, {"end_due_at": None, "closed": True}), (messages, {})):
        elsewhere = table.c.due_at.is_not(None) & ~in_list(table.c.channel, "kept")
        connection.execute(update(table).where(elsewhere).values(due_at=None, **more), {"kept": list(kept)})


def save_posting(connection: Connection, posting: Posting) -> None:
    save_postings(connection, [posting])


def save_postings(connection: Connection, settled: Iterable[Posting]) -> None:
    """All Postings of one request, by one statement."""
    _posting_rows.write(connection, [from_posting(posting) for posting in settled])


# --- Messages -----------------------------------------------------------------------------------------------------------

_placement_rows: Final = Rows(placements)


def new_message(
    connection: Connection,
    *,
    channel: str,
    webhook: str,
    created_at: Instant,
    thread: str | None = None,
) -> Message:
    """A Message that Discord does not know yet, under an id of ours that is never given again."""
    fresh = {
        "channel": channel,
        "webhook": webhook,
        "created_at": created_at,
        "thread": thread,
        "digest": "",
        "gone": False,
    }
    statement = insert(messages).returning(messages)
    return to_message(connection.execute(statement, fresh).one())


def message_by_id(connection: Connection, message_id: int) -> Message | None:
    row = connection.execute(select(messages).where(messages.c.id == message_id)).first()
    return to_message(row) if row is not None else None


def update_message(connection: Connection, message: Message) -> None:
    """Write all of `message`, by its id."""
    values = {column.name: getattr(message, column.name) for column in messages.columns if not column.primary_key}
    connection.execute(update(messages).where(messages.c.id == message.id), values)


def forget_message(connection: Connection, message_id: int) -> list[Placement]:
    """It is gone from Discord, and nothing stands in it any more. Returns what stood there."""
    stood = placements_of(connection, message_id)
    connection.execute(update(messages).where(messages.c.id == message_id), {"gone": True, "due_at": None})
    connection.execute(delete(placements).where(placements.c.message == message_id))
    return stood


def placements_of(connection: Connection, message_id: int) -> list[Placement]:
    """What stands in a Message, in order."""
    statement = (
        select(placements)
        .where(placements.c.message == message_id)
        .order_by(placements.c.position, placements.c.incident)
    )
    return [to_placement(row) for row in connection.execute(statement)]


def place(connection: Connection, message_id: int, standing: Sequence[Placement]) -> None:
    """From now on exactly `standing` stands in the Message."""
    connection.execute(delete(placements).where(placements.c.message == message_id))
    _placement_rows.write(connection, [from_placement(message_id, placement) for placement in standing])


def messages_of(connection: Connection, key: tuple[str, str]) -> list[tuple[Message, Form]]:
    """Every Message in which the Posting of (Incident, Channel) stands, and how; oldest first."""
    incident, channel = key
    statement = (
        select(placements.c.form, messages)
        .join(messages, messages.c.id == placements.c.message)
        .where(placements.c.incident == incident, placements.c.channel == channel)
        .order_by(messages.c.id)
    )
    return [(to_message(row[1:]), Form(row[0])) for row in connection.execute(statement)]


# --- attempts -----------------------------------------------------------------------------------------------------------


def begin_attempt(connection: Connection, *, webhook: str, route: str, message_id: int | None, at: Instant) -> int:
    """Record a request before it is made. Returns the attempt's id."""
    values = {"webhook": webhook, "route": route, "message": message_id, "at": at, "outcome": ""}
    begun: int = connection.execute(insert(attempts).returning(attempts.c.id), values).scalar_one()
    return begun


def end_attempt(connection: Connection, attempt_id: int, at: Instant, outcome: str) -> None:
    """Record what came of it: one word."""
    connection.execute(update(attempts).where(attempts.c.id == attempt_id), {"ended_at": at, "outcome": outcome})


def recent_attempts(connection: Connection, since: Instant) -> list[Attempt]:
    """The attempts begun after `since`, oldest first: at start they fill the pacer."""
    statement = select(attempts).where(attempts.c.at > since).order_by(attempts.c.at, attempts.c.id)
    return [Attempt(*row) for row in connection.execute(statement)]
