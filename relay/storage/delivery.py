"""What the one sender reads and records: the best thing due, found by an index, and what came of each request.

A Posting is read and settled in one exclusive transaction, so that what the writer wants meanwhile is not lost.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Double,
    Integer,
    Select,
    Text,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)

from relay.core.card import Form
from relay.core.due import EDITS
from relay.core.event import Instant, Severity
from relay.core.incident import Incident
from relay.core.packing import Mention
from relay.core.posting import Message, Placement, Posting
from relay.core.signal import Signal, State
from relay.core.values import value
from relay.storage.engine import Lookup, Query, Row, Rows, find_all, in_list
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


@value(frozen=True, slots=True)
class DuePosting:
    """A Posting to be shown, with its Incident and the Message that shows it now, if any."""

    posting: Posting
    incident: Incident
    message: Message | None


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
_INCIDENT_FROM: Final = len(postings.columns)
_MESSAGE_FROM: Final = _INCIDENT_FROM + len(incidents.columns)
PAGES: Final = range(10)
"""The ranks (core/due.py) of what needs a new Message at once, worst first."""
OPENS: Final = range(10, EDITS.start)
ENDS: Final = range(EDITS.stop, 100)
"""Of what is over: came and went, or owes the sound of its end."""


_CHANNEL: Final = bindparam("channel", type_=Text())
_NOW: Final[BindParameter[float]] = bindparam("now", type_=Double())
_MOST: Final = bindparam("most", type_=Integer())
_DUE: Final = (
    (postings.c.channel == _CHANNEL)
    & _POSTING_WAITS
    & (postings.c.due_at + 0.0 <= _NOW)
    & postings.c.rank.between(bindparam("first", type_=Integer()), bindparam("last", type_=Integer()))
)
"""The index gives them by rank; the sum keeps the planner from looking them up by time, and sorting a whole storm for one."""


def _due_first() -> Select[Any]:
    first = select(postings).where(_DUE).order_by(postings.c.rank, postings.c.due_at).limit(_MOST).subquery()
    return (
        select(first, incidents, messages)
        .join(incidents, incidents.c.id == first.c.incident)
        .outerjoin(messages, messages.c.id == first.c.message)
        .order_by(first.c.rank, first.c.due_at)
    )


_DUE_FIRST: Final = Query(_due_first())


def due_postings(
    connection: Connection, channel: str, now: Instant, limit: int, ranks: range = range(100)
) -> list[DuePosting]:
    """The next `limit` due Postings of `channel` with one of these ranks: smallest first, then longest due."""
    rows = _DUE_FIRST.ask(connection, channel=channel, now=now, most=limit, first=ranks.start, last=ranks.stop - 1)
    return list(map(_due_posting, rows))


def _due_posting(row: Row) -> DuePosting:
    message = row[_MESSAGE_FROM:]
    return DuePosting(
        to_posting(row[:_INCIDENT_FROM]),
        to_incident(row[_INCIDENT_FROM:_MESSAGE_FROM]),
        to_message(message) if message[0] is not None else None,
    )


_EDIT_RANKS: Final = EDITS[: Severity.CRITICAL + 1]
_WAITS_NOW: Final = (postings.c.channel == _CHANNEL) & _POSTING_WAITS & (postings.c.due_at <= _NOW)
_FIRST_EDITS: Final = Query(
    select(
        *[
            select(func.min(postings.c.due_at)).where(_WAITS_NOW, postings.c.rank == rank).scalar_subquery()
            for rank in _EDIT_RANKS
        ]
    )
)


def oldest_edit(connection: Connection, channel: str, now: Instant) -> DuePosting | None:
    """What is shown already and has waited longest for its edit: one look-up for each rank, whatever waits."""
    (waits,) = _FIRST_EDITS.ask(connection, channel=channel, now=now)
    first = min(
        ((due_at, rank) for rank, due_at in zip(_EDIT_RANKS, waits, strict=True) if due_at is not None), default=None
    )
    if first is None:
        return None
    found = due_postings(connection, channel, first[0], 1, range(first[1], first[1] + 1))
    return found[0] if found else None


_NEXT: Final = Query(
    select(messages)
    .where(messages.c.channel == _CHANNEL, _MESSAGE_WAITS, messages.c.due_at <= _NOW)
    .order_by(messages.c.due_at)
    .limit(1)
)
_DUE_COUNT: Final = Query(
    select(func.count()).select_from(select(postings.c.due_at).where(_DUE).limit(_MOST).subquery())
)


def next_message(connection: Connection, channel: str, now: Instant) -> Message | None:
    """The Message that has waited longest to be edited for its own sake."""
    found = _NEXT.ask(connection, channel=channel, now=now)
    return to_message(found[0]) if found else None


def due_of(connection: Connection, channel: str, now: Instant, limit: int, ranks: range) -> int:
    """How many Postings of these ranks are due, counted up to `limit`."""
    ((count,),) = _DUE_COUNT.ask(
        connection, channel=channel, now=now, most=limit, first=ranks.start, last=ranks.stop - 1
    )
    return int(count)


@value(frozen=True, slots=True)
class Taking:
    """A Message that has room for more: in which form, and how many stand in it."""

    message: Message
    form: Form
    standing: int


_EMPTY: Final[ColumnElement[str]] = literal_column("''")
_ZERO: Final[ColumnElement[int]] = literal_column("0")
"""Written out, as in the index's own condition: a prepared statement with bound values would not find it."""


def _taking() -> Select[Any]:
    mine = placements.c.message == messages.c.id
    standing = select(func.count()).select_from(placements).where(mine).scalar_subquery()
    form = select(placements.c.form).where(mine, placements.c.form != Form.POINTER.value).limit(1).scalar_subquery()
    of_webhook = messages.c.webhook == bindparam("webhook", type_=Text())
    return (
        select(messages, form, standing)
        .where(messages.c.channel == _CHANNEL, messages.c.takes != _EMPTY, of_webhook)
        .order_by(messages.c.id)
    )


_TAKING: Final = Query(_taking())


def taking(connection: Connection, channel: str, webhook: str) -> list[Taking]:
    """The Messages of `webhook` that have room for more, oldest first."""
    rows = _TAKING.ask(connection, channel=channel, webhook=webhook)
    return [Taking(to_message(row[:-2]), Form(row[-2]), row[-1]) for row in rows if row[-2] is not None]


def take_no_more(connection: Connection, message_ids: Iterable[int]) -> None:
    """These Messages have no room any more."""
    connection.execute(update(messages).where(messages.c.id.in_(list(message_ids))).values(takes=""))


_LAST_MENTION: Final = Query(
    select(messages.c.created_at, messages.c.mentioned)
    .where(messages.c.channel == _CHANNEL, messages.c.mentioned > _ZERO)
    .order_by(messages.c.created_at.desc())
    .limit(1)
)


def last_mention(connection: Connection, channel: str) -> Mention | None:
    """When `channel` last called people, and for how bad a thing."""
    found = _LAST_MENTION.ask(connection, channel=channel)
    return Mention(found[0][0], Severity(found[0][1])) if found else None


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands in a Message: where, how, and what it is by now."""

    placement: Placement
    posting: Posting
    incident: Incident


def how_many_stand_in(connection: Connection, message_id: int) -> int:
    """How many share a Message."""
    return connection.execute(select(func.count()).where(placements.c.message == message_id)).scalar_one()


def standing_in(connection: Connection, message_id: int) -> list[Standing]:
    """What stands in a Message, in order."""
    mine = (postings.c.incident == placements.c.incident) & (postings.c.channel == placements.c.channel)
    statement = (
        select(postings, incidents, placements)
        .select_from(placements)
        .join(postings, mine)
        .join(incidents, incidents.c.id == placements.c.incident)
        .where(placements.c.message == message_id)
        .order_by(placements.c.position, placements.c.incident)
    )
    return [
        Standing(
            to_placement(row[_MESSAGE_FROM:]),
            to_posting(row[:_INCIDENT_FROM]),
            to_incident(row[_INCIDENT_FROM:_MESSAGE_FROM]),
        )
        for row in map(tuple, connection.execute(statement))
    ]


def due_count(connection: Connection, channel: str, now: Instant, limit: int) -> int:
    """How many Postings of `channel` are due at `now`, counted up to `limit`."""
    due = (postings.c.channel == channel) & _POSTING_WAITS & (postings.c.due_at <= now)
    some = select(postings.c.due_at).where(due).limit(limit).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()


def channels_waiting(connection: Connection) -> list[tuple[str, Instant]]:
    """Every Channel with something to send, now or later, and when the first is due; earliest first."""
    waiting: dict[str, Instant] = {}
    for channel, due_at in (*_WAITING_POSTINGS.ask(connection), *_WAITING_MESSAGES.ask(connection)):
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


_WAITING_POSTINGS: Final = Query(_waiting(postings))
_WAITING_MESSAGES: Final = Query(_waiting(messages))


# --- what is shown ------------------------------------------------------------------------------------------------------


_SIGNALS: Final = Lookup(signals.c.key)


def leads(connection: Connection, keys: Collection[str]) -> dict[str, Signal]:
    """The Signals with these keys, by one statement."""
    (rows,) = find_all(connection, (_SIGNALS, keys))
    return {row[0]: to_signal(row) for row in rows}


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


# --- Postings -----------------------------------------------------------------------------------------------------------

_posting_rows: Final = Rows(postings)


def load_postings(
    connection: Connection, channel: str, incident_ids: Iterable[str]
) -> dict[str, tuple[Posting, Incident]]:
    """The Postings of these Incidents in `channel` as they are now, with the Incidents, by one statement."""
    statement = (
        select(postings, incidents)
        .join(incidents, incidents.c.id == postings.c.incident)
        .where(in_list(postings.c.incident, "ids"), postings.c.channel == channel)
    )
    found = map(tuple, connection.execute(statement, {"ids": list(incident_ids)}))
    return {row[0]: (to_posting(row[:_INCIDENT_FROM]), to_incident(row[_INCIDENT_FROM:])) for row in found}


def put_off(connection: Connection, channel: str, message_id: int, until: Instant) -> None:
    """What stands in a Message and is due for an edit is so at `until`, not before."""
    mine = (
        (postings.c.channel == channel)
        & (postings.c.message == message_id)
        & _POSTING_WAITS
        & postings.c.rank.between(EDITS.start, EDITS.stop - 1)
        & (postings.c.due_at < until)
    )
    connection.execute(update(postings).where(mine).values(due_at=until))


def pages_not_in(connection: Connection, channel: str, other: str, limit: int) -> list[tuple[Posting, Incident]]:
    """What `channel` owes a page for, and `other` knows nothing of: worst first."""
    theirs = postings.alias("theirs")
    known = select(theirs.c.incident).where(theirs.c.incident == postings.c.incident, theirs.c.channel == other)
    statement = (
        select(postings, incidents)
        .join(incidents, incidents.c.id == postings.c.incident)
        .where(postings.c.channel == channel, _POSTING_WAITS, postings.c.rank < PAGES.stop, ~known.exists())
        .order_by(postings.c.rank, postings.c.due_at)
        .limit(limit)
    )
    rows = [tuple(row) for row in connection.execute(statement)]
    return [(to_posting(row[:_INCIDENT_FROM]), to_incident(row[_INCIDENT_FROM:])) for row in rows]


def standing_elsewhere(
    connection: Connection, channel: str, webhook: str, thread: str | None
) -> list[tuple[Posting, Incident]]:
    """The Postings of open Incidents in `channel` whose Message another webhook posted, or that one in another thread."""
    elsewhere = (messages.c.webhook != webhook) | (func.coalesce(messages.c.thread, "") != (thread or ""))
    statement = (
        select(postings, incidents)
        .join(incidents, incidents.c.id == postings.c.incident)
        .join(messages, messages.c.id == postings.c.message)
        .where(incidents.c.closed_at.is_(None), postings.c.channel == channel, elsewhere)
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
        "takes": "",
        "mentioned": 0,
    }
    statement = insert(messages).returning(messages)
    return to_message(connection.execute(statement, fresh).one())


def messages_by_id(connection: Connection, message_ids: Iterable[int | None]) -> dict[int, Message]:
    """Those of the given Messages that there are."""
    wanted = [message for message in message_ids if message is not None]
    rows = connection.execute(select(messages).where(messages.c.id.in_(wanted))) if wanted else ()
    return {row[0]: to_message(tuple(row)) for row in rows}


def update_message(connection: Connection, message: Message) -> None:
    """Write all of `message`, by its id."""
    values = {column.name: getattr(message, column.name) for column in messages.columns if not column.primary_key}
    values["mentioned"] = int(message.mentioned)
    connection.execute(update(messages).where(messages.c.id == message.id), values)


def forget_message(connection: Connection, message_id: int) -> list[Placement]:
    """It is gone from Discord, and nothing stands in it any more. Returns what stood there."""
    stood = placements_of(connection, message_id)
    connection.execute(update(messages).where(messages.c.id == message_id), {"gone": True, "due_at": None, "takes": ""})
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


def next_position(connection: Connection, message_id: int) -> int:
    """Where the next one stands that joins a Message."""
    last = connection.execute(
        select(func.max(placements.c.position)).where(placements.c.message == message_id)
    ).scalar_one()
    return 0 if last is None else last + 1


def add_to(connection: Connection, message_id: int, more: Sequence[Placement]) -> None:
    """`more` stands in the Message too; what stood there already stands as it says now."""
    _placement_rows.write(connection, [from_placement(message_id, placement) for placement in more])


def take_from(connection: Connection, message_id: int, incident_ids: Iterable[str]) -> None:
    """These stand in the Message no more."""
    mine = (placements.c.message == message_id) & in_list(placements.c.incident, "ids")
    connection.execute(delete(placements).where(mine), {"ids": list(incident_ids)})


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
