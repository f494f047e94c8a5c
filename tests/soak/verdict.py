"""What must be true in the end: each accepted event is in its Signal, each problem is shown once as it is now, nothing waits.

The database says where each problem stands; whether it does is read in what Discord holds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Table, func, select

from relay.core.card import Form
from relay.core.event import Instant
from relay.core.incident import Incident, Reason
from relay.core.posting import Message as Ours
from relay.core.posting import Posting
from relay.core.signal import Signal, State
from relay.demo.discord import Kind, Message, StandIn
from relay.storage.rows import to_incident, to_message, to_posting, to_signal
from relay.storage.tables import incidents, messages, placements, postings, rejects, signals
from tests.soak.senders import Said, Thing

OVER: Final = "✅"
POINTS: Final = "↪"
OPEN: Final = ("🚨", "❌", "⚠", "❔", "🔁", "🔕")
HIDES: Final = frozenset({Kind.STORED_THEN_DROPPED, Kind.RESET, Kind.STATUS, Kind.TRUNCATED_JSON, Kind.EMPTY_BODY})
"""Faults that keep the answer to a stored message from the relay."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the database holds, in one view."""

    signals: Mapping[tuple[str, str], Signal]
    """By object and alertname."""
    incidents: Mapping[str, Incident]
    postings: Mapping[str, list[Posting]]
    """By Incident."""
    messages: Mapping[int, Ours]
    ends: Mapping[str, int]
    """In which Message the end of an Incident is said, beside its card."""
    rejected: int

    @staticmethod
    def read(c: Connection) -> Held:
        found = [to_signal(row) for row in _all(c, signals)]
        by_incident: dict[str, list[Posting]] = {}
        for row in _all(c, postings):
            posting = to_posting(row)
            by_incident.setdefault(posting.incident, []).append(posting)
        return Held(
            {(_thing(one), one.labels.get("alertname", "") if one.source != "flux" else ""): one for one in found},
            {one.id: one for one in map(to_incident, _all(c, incidents))},
            by_incident,
            {one.id: one for one in map(to_message, _all(c, messages))},
            _ends(c),
            c.execute(select(func.count()).select_from(rejects)).scalar_one(),
        )


def _all(c: Connection, table: Table) -> Iterator[tuple[object, ...]]:
    return (tuple(row) for row in c.execute(select(table)))


def _ends(c: Connection) -> dict[str, int]:
    said = select(placements.c.incident, placements.c.message).where(placements.c.form == Form.END.value)
    return {row.incident: row.message for row in c.execute(said.order_by(placements.c.message))}


def _thing(signal: Signal) -> str:
    return signal.subject.name.removesuffix("-0")


# --- what Discord holds -------------------------------------------------------------------------------------------------


def signs_of(name: str, message: Message) -> set[str]:
    """With which signs a message speaks of `name` now: of its lines those that begin with one, and lines that go on from such."""
    found, sign = set(), ""
    for line in message.text.splitlines():
        begins = next((one for one in (*OPEN, OVER, POINTS) if line.startswith(one)), "")
        sign = begins or (sign if line.startswith("…") else "")
        if sign and name in line:
            found.add(sign)
    return found


def orphans(held: Held, standin: StandIn) -> list[Message]:
    """Messages of which the relay knows nothing: Discord stored them, and its answer never reached our record."""
    known = {one.discord_id for one in held.messages.values()}
    return [one for one in standin.messages(deleted=True) if one.id not in known]


# --- what is wrong ------------------------------------------------------------------------------------------------------


def lost(things: Iterable[Thing], held: Held) -> list[str]:
    """Accepted events that are not in their Signal."""
    return [
        f"{thing.name} {name}: {'firing' if said.firing else 'over'} was accepted, {_told(signal)} is kept"
        for thing in things
        for name, said in thing.accepted.items()
        if not _is(signal := held.signals.get((thing.name, name)), said)
    ]


def _is(signal: Signal | None, said: Said) -> bool:
    if signal is None or (signal.state is State.FIRING) is not said.firing:
        return False
    return signal.source == "flux" or abs(signal.since - said.starts) < 0.002


def _told(signal: Signal | None) -> str:
    return "nothing" if signal is None else f"{signal.state} since {signal.since:.3f}"


def wrong(
    things: Iterable[Thing],
    held: Held,
    standin: StandIn,
    deleted: Collection[str],
    now: Instant,
    *,
    may_heal: bool = False,
) -> list[str]:
    """Each thing that the channel does not show as it is: once where it goes on, as over everywhere else; `deleted` by a person.

    With `may_heal` what was over within its hold need not be shown: where the clock was set back, it may end before it began.
    """
    known = {one.discord_id for one in held.messages.values()}
    there = _There(
        {one.id: one for one in standin.messages()},
        [
            one
            for one in standin.messages(deleted=True)
            if one.id not in known and (not one.deleted or one.id in deleted)
        ],
        deleted,
    )
    return [f"{thing.name}: {problem}" for thing in things for problem in _wrong(thing, held, there, now, may_heal)]


@dataclass(frozen=True, slots=True)
class _There:
    """What Discord holds."""

    stand: Mapping[str, Message]
    unknown: Collection[Message]
    """Of which the relay has no id; those too that a person took away, which it cannot learn as it never asks for them."""
    deleted: Collection[str]


def _wrong(thing: Thing, held: Held, there: _There, now: Instant, may_heal: bool) -> Iterator[str]:
    told = [signal for name in thing.accepted if (signal := held.signals.get((thing.name, name))) is not None]
    own = {one.id: one for signal in told if (one := held.incidents.get(signal.incident or "")) is not None}
    if sum(one.is_open for one in own.values()) != thing.firing:
        yield f"{'one' if thing.firing else 'no'} problem is open by what was accepted, not {len(own)}"
    for incident in own.values():
        if may_heal and incident.reason is Reason.HEALED:
            continue
        for posting in held.postings.get(incident.id, ()):
            yield from _unsettled(posting, now)
            yield from _not_shown(thing, posting, held, there)
        if not held.postings.get(incident.id):
            yield "no channel knows of it"
    ours = [there.stand[found] for one in held.messages.values() if (found := one.discord_id or "") in there.stand]
    going = [one for one in ours if signs_of(thing.name, one) & set(OPEN)]
    if len(going) > thing.firing:
        yield f"shown as going on {len(going)} times: {[one.content for one in going]}"


def _unsettled(posting: Posting, now: Instant) -> Iterator[str]:
    if posting.parked:
        yield f"parked: {posting.parked}"
    if posting.due_at is not None and posting.due_at <= now:
        yield f"due since {now - posting.due_at:.1f} s"
    if posting.pages_owed > posting.pages_made and not posting.closed:
        yield "a page is owed"


def _not_shown(thing: Thing, posting: Posting, held: Held, there: _There) -> Iterator[str]:
    ours = held.messages.get(posting.message or 0)
    if (
        ours is None and posting.end_shown_at is not None
    ):  # Its card can no longer be edited: its end is all that says so.
        ours = held.messages.get(held.ends.get(posting.incident, 0))
    if posting.closed or _was_deleted(posting) or (ours is not None and ours.discord_id in there.deleted):
        return
    right = set(OPEN) if thing.firing else {OVER}
    if ours is not None and ours.discord_id is None:  # Discord took it, and did not say under which id.
        shown = [one for one in there.unknown if signs_of(thing.name, one)]
    else:
        found = there.stand.get(ours.discord_id or "") if ours is not None else None
        shown = [found] if found is not None else []
    if not shown:
        yield f"shown nowhere: {thing.kind} {thing.severity} {thing.accepted} {posting}"
    elif not any(signs_of(thing.name, one) & right for one in shown):
        said = [(signs_of(thing.name, one), one.content) for one in shown]
        yield f"{'firing' if thing.firing else 'over'}, shown as {said}"


def _was_deleted(posting: Posting) -> bool:
    """A person took its message away, and that it is over by now needs no new one."""
    return posting.deleted_at is not None and posting.message is None
