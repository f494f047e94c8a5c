"""`relay report` reads what the last day or week came to: what was told, what was shown of it, and who was woken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, func, select

from relay.config.model import seconds
from relay.core import cards
from relay.core.event import Instant, Source
from relay.core.incident import Incident, Reason
from relay.core.wording import cut, duration, plural
from relay.storage import delivery, lists, tally
from relay.storage.engine import in_list
from relay.storage.rows import to_incident
from relay.storage.tables import incidents, messages, postings, signals
from relay.tools.terminal import Ink, Line, RefusedError, clean, columns, table

WEEK: Final = 7 * 86400.0
LOUDEST: Final = 5
MEMBERS: Final = 20
"""Signals that a headline is made of."""
CAP: Final = 20_000
"""Incidents that are looked at; of a window with more only the newest."""


@dataclass(frozen=True, slots=True)
class Loud:
    """An Incident of which much was said."""

    incident: Incident
    says: str
    told: int
    """How often its Signals were said, in their last episodes."""


@dataclass(frozen=True, slots=True)
class Report:
    """One window. Durations are in seconds."""

    since: Instant
    now: Instant
    told: Mapping[str, int]
    """Events by source, whatever they did."""
    well: int
    """Of these, how many only said that all is well."""
    cards: int
    """Incidents that a person saw, each once."""
    messages: int
    pages: int
    healed: int
    """Within their hold: never shown."""
    folded: int
    open: int
    average: float | None
    """How long those that are over were open; None where none is."""
    longest: float | None
    reopened: int
    loudest: tuple[Loud, ...]

    @property
    def events(self) -> int:
        return sum(self.told.values())

    @property
    def would_post(self) -> int:
        """Messages of a relay that posts each event, but for health beats, which no chat relay posts."""
        return self.events - self.well


def span(text: str) -> float:
    """`24h` or `7d` in seconds. Raises RefusedError for what is none, and for more than is kept."""
    try:
        window = seconds(text)
    except ValueError as error:
        raise RefusedError(str(error)) from None
    if not 0 < window <= WEEK:
        raise RefusedError(f"{text}: a report looks back at most 7 days, which is how long it is counted what was told")
    return window


def report(connection: Connection, now: Instant, window: float) -> Report:
    """What the last `window` seconds came to. A few statements, each over what is open or ended within it."""
    since = now - window
    told = tally.told_since(connection, since)
    found = _of_window(connection, since)
    ids = [one.id for one in found]
    seen, paged = _shown(connection, ids)
    shown = [one for one in found if one.id in seen]
    over = [one.closed_at - one.opened_at for one in shown if one.closed_at is not None]
    by_source: Counter[str] = Counter()
    for word, count in told.items():
        source = word.partition("/")[0]
        if source != Source.RELAY.value:
            by_source[source] += count
    return Report(
        since=since,
        now=now,
        told=dict(sorted(by_source.items())),
        well=told[tally.WELL],
        cards=len(shown),
        messages=_messages(connection, since),
        pages=paged,
        healed=sum(one.reason is Reason.HEALED for one in found),
        folded=sum(one.folded_into is not None for one in found),
        open=sum(one.is_open and one.folded_into is None for one in shown),
        average=sum(over) / len(over) if over else None,
        longest=max(over, default=None),
        reopened=sum(one.reopenings for one in found),
        loudest=_loudest(connection, now, found),
    )


def _of_window(connection: Connection, since: Instant) -> list[Incident]:
    """All that were open at some time of it, newest first: each half is an index."""
    over = select(incidents).where(incidents.c.closed_at >= since).order_by(incidents.c.closed_at.desc()).limit(CAP)
    going_on = select(incidents).where(incidents.c.closed_at.is_(None)).limit(CAP)
    return [to_incident(row) for statement in (going_on, over) for row in connection.execute(statement)]


def _shown(connection: Connection, ids: Sequence[str]) -> tuple[set[str], int]:
    """Which of them a person saw, and how many pages were made of them all."""
    statement = select(postings.c.incident, postings.c.pages_made).where(
        in_list(postings.c.incident, "ids"), postings.c.shown > 0
    )
    rows = connection.execute(statement, {"ids": list(ids)}).all()
    return {row[0] for row in rows}, sum(row[1] for row in rows)


def _messages(connection: Connection, since: Instant) -> int:
    return connection.execute(
        select(func.count()).select_from(messages).where(messages.c.created_at >= since)
    ).scalar_one()


def _loudest(connection: Connection, now: Instant, found: Sequence[Incident]) -> tuple[Loud, ...]:
    said = func.sum(signals.c.count).label("said")
    statement = (
        select(signals.c.incident, said)
        .where(in_list(signals.c.incident, "ids"))
        .group_by(signals.c.incident)
        .order_by(said.desc(), signals.c.incident)
        .limit(LOUDEST)
    )
    by_id = {one.id: one for one in found}
    context = cards.Context(now=now, clusters=lists.clusters_heard(connection))
    loudest = []
    for incident, count in connection.execute(statement, {"ids": list(by_id)}).all():
        one = by_id[incident]
        headline = cards.build(one, delivery.members(connection, one.id, MEMBERS), None, context).headline
        says = " ".join(part for part in (headline.object, headline.state) if part)
        loudest.append(Loud(one, says, int(count)))
    return tuple(loudest)


# --- telling ------------------------------------------------------------------------------------------------------------


def told(found: Report) -> Iterator[Line | str]:
    """A line for each thing that a person would ask of a day."""
    yield [(Ink.BOLD, f"The last {_window(found.now - found.since)}")]
    by_source = ", ".join(f"{count} of {source}" for source, count in found.told.items())
    well = f"; {found.well} of them only that all is well" if found.well else ""
    rows = [
        ("told", plural(found.events, "event") + (f": {by_source}" if by_source else "") + well),
        ("shown", f"{plural(found.cards, 'card')} in {plural(found.messages, 'message')}"),
        ("woke", plural(found.pages, "page")),
        ("healed", f"{found.healed} by themselves, before they were shown"),
        ("folded", f"{found.folded} under their cause"),
        ("open", f"{found.open} now; {_lasted(found)}"),
    ]
    for (word, text), cells in zip(rows, table([list(row) for row in rows]), strict=True):
        yield [(Ink.DIM, f"  {cells[0]}"), (Ink.BOLD if word == "woke" and found.pages else Ink.PLAIN, text)]
    yield f"One message for each event would have been {plural(found.would_post, 'message')}."
    if found.loudest:
        yield ""
        yield [(Ink.BOLD, "Most was said of")]
        names = table([[one.incident.handle, plural(one.told, "time"), ""] for one in found.loudest])
        for one, (handle, times, _) in zip(found.loudest, names, strict=True):
            again = f", {plural(one.incident.reopenings, 'reopening')}" if one.incident.reopenings else ""
            state = "open" if one.incident.is_open else "over"
            room = columns() - len(handle) - len(times) - len(again) - 8
            yield [(Ink.BOLD, f"  {handle}"), (Ink.DIM, times), cut(clean(one.says), room), f", {state}{again}"]


def _window(seconds: float) -> str:
    """A day is 24 h to people, and two are two."""
    return f"{seconds / 3600:.0f} h" if seconds <= 86400 and seconds % 3600 == 0 else duration(seconds)


def _lasted(found: Report) -> str:
    if found.average is None or found.longest is None:
        return "none ended"
    again = f", {plural(found.reopened, 'reopening')}" if found.reopened else ""
    return f"what ended was open for {duration(found.average)} on average, {duration(found.longest)} at most{again}"


def as_json(found: Report) -> dict[str, Any]:
    """For programs: instants are seconds since the epoch, durations are seconds."""
    return {
        "since": found.since,
        "now": found.now,
        "events": found.events,
        "events_by_source": dict(found.told),
        "events_all_is_well": found.well,
        "cards": found.cards,
        "messages": found.messages,
        "pages": found.pages,
        "healed": found.healed,
        "folded": found.folded,
        "open": found.open,
        "open_average": found.average,
        "open_longest": found.longest,
        "reopenings": found.reopened,
        "one_message_per_event": found.would_post,
        "loudest": [
            {
                "id": one.incident.id,
                "handle": one.incident.handle,
                "says": one.says,
                "told": one.told,
                "open": one.incident.is_open,
            }
            for one in found.loudest
        ],
    }
