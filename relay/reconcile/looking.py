"""What waits in one Channel, as far as the next request depends on it: a fixed number of look-ups by index, whatever a storm holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from relay.core import due, packing
from relay.core.attention import ChannelPolicy
from relay.core.card import Form
from relay.core.due import Step, Why
from relay.core.event import Instant
from relay.core.packing import Choice, Kind, Mention, Room, Waiting, kind_of
from relay.core.posting import Message, Posting
from relay.core.values import replace
from relay.reconcile.line import Line
from relay.storage import delivery, meta
from relay.storage.delivery import DuePosting

HEADS: Final = 12
"""Of what needs a new Message, so many are looked at to know whose turn it is; the others are only counted."""
COUNTED: Final = 700
"""Where counting stops: more than stands in any Message."""
RANKS: Final[Mapping[Kind, range]] = {
    Kind.PAGE: delivery.PAGES,
    Kind.ARRIVAL: delivery.OPENS,
    Kind.NOTIFY: delivery.OPENS,
    Kind.QUIET: delivery.OPENS,
    Kind.OVER: delivery.ENDS,
    Kind.END: delivery.ENDS,
}


@dataclass(frozen=True, slots=True)
class Found:
    """A due Posting with what it needs; as if it had no Message, where the one it has cannot be edited."""

    due: DuePosting
    posting: Posting
    step: Step

    @property
    def kind(self) -> Kind:
        return kind_of(self.step)

    @property
    def is_stale(self) -> bool:
        """Whether it waits for something else than it is queued for: what it needs has changed since it was."""
        rank = due.rank(self.step, self.due.incident.severity)
        return not self.step.sends or rank // 10 != self.due.posting.rank // 10


@dataclass(frozen=True, slots=True)
class Look:
    """What is due in a Channel at one instant."""

    waiting: tuple[Waiting, ...]
    first: Mapping[Kind, Found]
    edit: Found | None
    moved: Message | None
    rooms: Mapping[Kind, Message]
    mention: Mention | None
    arrival: Instant | None
    """When what arrived last made its sound, if something arrives."""
    stale: tuple[Found, ...]

    def choose(self, line: Line, now: Instant) -> Choice:
        return packing.choose(
            self.waiting, self.edit is not None, self.moved is not None, line.budget(now), line.made, now
        )


def found(line: Line, one: DuePosting, policy: ChannelPolicy, now: Instant) -> Found:
    posting = as_editable(one.posting, one.message, line.webhook.id)
    return Found(one, posting, due.next_step(posting, one.incident, policy, now))


def as_editable(posting: Posting, message: Message | None, webhook: str) -> Posting:
    """`posting` as if it had no message, where the one it has cannot be edited: gone, without an id, or another webhook's."""
    if message is None or message.gone or message.discord_id is None or message.webhook != webhook:
        return replace(posting, message=None)
    return posting


def look(c: Connection, line: Line, policy: ChannelPolicy, now: Instant) -> Look:
    """All that `packing.choose` asks of a Channel."""
    queued = [
        (ranks, [found(line, one, policy, now) for one in delivery.due_postings(c, line.name, now, HEADS, ranks)])
        for ranks in (delivery.PAGES, delivery.OPENS, delivery.ENDS)
    ]
    stale = [one for _, heads in queued for one in heads if one.is_stale]
    edit = delivery.oldest_edit(c, line.name, now)
    first_edit = found(line, edit, policy, now) if edit is not None else None
    if first_edit is not None and first_edit.is_stale:
        stale.append(first_edit)
        first_edit = None
    first = {one.kind: one for _, heads in queued for one in reversed(heads) if not one.is_stale}
    rooms = delivery.taking(c, line.name, line.webhook.id) if any(kind.grows for kind in first) else []
    mention = delivery.last_mention(c, line.name) if Kind.PAGE in first else None
    arrival = _last_arrival(c, line) if Kind.ARRIVAL in first else None
    counts = {kind: count for ranks, heads in queued for kind, count in _counted(c, line, heads, ranks, now).items()}
    space = {Kind(room.message.takes): room for room in rooms if room.message.discord_id is not None}
    waiting = tuple(
        _waiting(line, kind, counts[kind], first[kind], space, mention, arrival, now) for kind in Kind if kind in first
    )
    return Look(
        waiting,
        first,
        first_edit,
        delivery.next_message(c, line.name, now),
        {kind: room.message for kind, room in space.items()},
        mention,
        arrival,
        tuple(stale),
    )


def _last_arrival(c: Connection, line: Line) -> Instant | None:
    at = meta.get_meta(c, meta.ARRIVED + line.name)
    return float(at) if at is not None else None


def _counted(c: Connection, line: Line, heads: Sequence[Found], ranks: range, now: Instant) -> dict[Kind, int]:
    """How many wait of each kind: what is beyond the heads is taken to be like the last of them."""
    counts: dict[Kind, int] = {}
    fresh = [one for one in heads if not one.is_stale]
    for one in fresh:
        counts[one.kind] = counts.get(one.kind, 0) + 1
    if len(heads) == HEADS and fresh:
        counts[fresh[-1].kind] += delivery.due_of(c, line.name, now, COUNTED, ranks) - HEADS
    return counts


def _waiting(
    line: Line,
    kind: Kind,
    count: int,
    first: Found,
    space: Mapping[Kind, delivery.Taking],
    mention: Mention | None,
    arrival: Instant | None,
    now: Instant,
) -> Waiting:
    rings = first.step.why is Why.LEFT and kind is Kind.NOTIFY
    if kind is Kind.PAGE:
        rings = packing.mentions(mention, first.due.incident.severity, now)
    if kind is Kind.ARRIVAL:
        rings = packing.announces(first.step.loudness, arrival, now)
    if (taking := space.get(kind)) is None:
        return Waiting(kind, count, None, rings)
    message, form = taking.message, Form.COMPACT if taking.form is Form.FULL else taking.form
    return Waiting(kind, count, Room(form, taking.standing, message.created_at, line.edited_at(message)), rings)
