"""What is sent next, and in which form, is one decision with a named reason: posts are scarce, so many share a Message that grows by edit.

Order: pages first, then openings, edits, ends; each Channel's next request is chosen anew when it may go. New Messages are spaced by how
much of the minute's budget is spent, never by what the next seconds may bring; some are kept for pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Final

from relay.core.arrival import SPAN
from relay.core.attention import Loudness
from relay.core.card import Form
from relay.core.due import Step, Why
from relay.core.event import Instant, Severity
from relay.core.incident import Reason as IncidentReason
from relay.core.pace import POSTS
from relay.core.values import value

HALF: Final = POSTS // 2
"""Of the minute's posts: from here on new Incidents go as lines."""
MENTION_EVERY: Final = 300.0
"""Seconds between two mentions in one Channel, unless the second is for something worse."""
GROWS_FOR: Final = 300.0
"""Seconds after which a Message takes nothing new: what stands far above is not seen, and what is loud should sound again."""
GROW_EVERY: Final = 1.0
"""Seconds between two edits by which one Message grows, or of one of hundreds: others go in between, and more come in at once."""
TEXT_EVERY: Final = 7.0
"""Seconds between two edits of one Message that only move text and counts; a change of state does not wait for these."""
CAPACITY: Final = {Form.COMPACT: 10, Form.LINE: 100, Form.GROUPED: 600}
"""How many may share a Message of each form, if their text has room in it."""


class Kind(StrEnum):
    """What may share a new Message: pages and others never do, and each Message has one loudness. In the order in which they go."""

    PAGE = "page"
    ARRIVAL = "arrival"
    """What was there before the relay was: one Message, one sound."""
    NOTIFY = "notify"
    QUIET = "quiet"
    OVER = "over"
    """What came and went before it was shown."""
    END = "end"
    """The sound that what paged is over."""

    @property
    def grows(self) -> bool:
        """Whether a Message of this kind takes more later; what is over is said once."""
        return self in (Kind.PAGE, Kind.ARRIVAL, Kind.NOTIFY, Kind.QUIET)

    @property
    def grows_for(self) -> float:
        """Seconds in which it does."""
        return SPAN if self is Kind.ARRIVAL else GROWS_FOR


LOUDNESS: Final = {
    Kind.PAGE: Loudness.PAGE,
    Kind.ARRIVAL: Loudness.QUIET,  # But for the first of them: `announces`.
    Kind.NOTIFY: Loudness.NOTIFY,
    Kind.QUIET: Loudness.QUIET,
    Kind.OVER: Loudness.QUIET,
    Kind.END: Loudness.NOTIFY,
}


def kind_of(step: Step) -> Kind:
    """Of a step that needs a new Message."""
    match step.why:
        case Why.END if step.loudness >= Loudness.NOTIFY:
            return Kind.END
        case Why.END:  # Quiet, or the night, takes its sound.
            return Kind.OVER
        case Why.CAME_AND_WENT:
            return Kind.OVER
        case Why.ARRIVED:
            return Kind.ARRIVAL
        case _:
            return {Loudness.PAGE: Kind.PAGE, Loudness.NOTIFY: Kind.NOTIFY}.get(step.loudness, Kind.QUIET)


class Reason(StrEnum):
    """Why this is the next request, or why there is none yet."""

    ALONE = "alone"
    """Few are new: a Message of its own."""
    TOGETHER = "together"
    """Many are new, or half the minute is spent: one Message for several."""
    GROWS = "grows"
    """A Message with room takes them by an edit."""
    CHANGES = "changes"
    """Something changed that is shown already."""
    MOVED = "moved"
    """What stood there stands elsewhere now."""
    KEPT = "kept_for_pages"
    SPACED = "spaced"
    THROTTLED = "throttled"
    SETTLES = "settles"
    """The Message was edited a moment ago."""
    BULLETIN = "bulletin"
    """Nothing else waits: what the Channel shows for its own sake."""
    NOTHING = "nothing"


@value(frozen=True, slots=True)
class Choice:
    """`at` is None for what goes now; else the instant at which it is worth choosing again."""

    reason: Reason
    kind: Kind | None = None
    form: Form = Form.FULL
    at: Instant | None = None

    @property
    def sends(self) -> bool:
        return self.at is None and self.reason is not Reason.NOTHING


@dataclass(frozen=True, slots=True)
class Room:
    """A Message that may take more: so many stand in it, and it was made and last edited then."""

    form: Form
    standing: int
    made_at: Instant
    edited_at: Instant


@value(frozen=True, slots=True)
class Waiting:
    """What waits of one kind: how many, and where they could go. `rings`: they must be heard, so only a new Message will do."""

    kind: Kind
    count: int
    room: Room | None = None
    rings: bool = False


@dataclass(frozen=True, slots=True)
class Budget:
    """What the pacer says at `now`: when the next post of a page, of others, and the next edit may go, and what the minute has cost."""

    pages_at: Instant
    posts_at: Instant
    edits_at: Instant
    spent: int = 0
    """Posts of the last minute in this Discord channel."""
    last_post_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """A new Message of the last minute, so that the next is as dense as it must be."""

    at: Instant
    kind: Kind
    form: Form


def choose(
    waiting: Sequence[Waiting], changes: bool, moved: bool, budget: Budget, made: Sequence[Made], now: Instant
) -> Choice:
    """The next request. `waiting` in the order of kinds, none empty; `changes` and `moved` say whether edits are due.

    A kind that waits for its post lets no later one post before it; edits have a budget of their own, and go meanwhile.
    """
    held: list[Choice] = []
    for one in waiting:
        if not one.kind.grows:
            continue
        choice = _of_new(one, budget, made, now, may_post=not any(_waits_for_post(other) for other in held))
        if choice.sends:
            return choice
        held.append(choice)
    if changes or moved:
        reason = Reason.CHANGES if changes else Reason.MOVED
        if budget.edits_at <= now:
            return Choice(reason)
        held.append(Choice(reason if budget.edits_at <= now else Reason.THROTTLED, at=budget.edits_at))
    for one in waiting:
        if one.kind.grows or any(_waits_for_post(other) for other in held):
            continue
        choice = _of_new(one, budget, made, now, may_post=True)
        if choice.sends:
            return choice
        held.append(choice)
    return min(held, key=lambda choice: choice.at or now, default=Choice(Reason.NOTHING))


def _waits_for_post(choice: Choice) -> bool:
    return choice.kind is not None and choice.reason in (Reason.KEPT, Reason.SPACED, Reason.THROTTLED)


def _of_new(one: Waiting, budget: Budget, made: Sequence[Made], now: Instant, *, may_post: bool) -> Choice:
    form = form_for(one.kind, one.count, budget.spent, made, now)
    ready, why = _post_ready(one.kind, budget, made, now)
    if not may_post:
        ready, why = max(ready, now + GROW_EVERY), Reason.KEPT
    if (room := _taking(one, now)) is not None and (form is not Form.FULL or one.kind is Kind.ARRIVAL):
        fits = room.standing + one.count <= CAPACITY[room.form]
        if fits or ready > now or _DENSITY[room.form] >= _DENSITY[form]:
            grow_at = max(budget.edits_at, room.edited_at + GROW_EVERY)
            if grow_at <= now:
                return Choice(Reason.GROWS, one.kind, room.form)
            return Choice(Reason.SETTLES, one.kind, room.form, at=grow_at)
    if ready > now:
        return Choice(why, one.kind, form, at=ready)
    return Choice(Reason.ALONE if form is Form.FULL else Reason.TOGETHER, one.kind, form)


def _taking(one: Waiting, now: Instant) -> Room | None:
    room = one.room
    if (
        room is None
        or one.rings
        or now - room.made_at > one.kind.grows_for
        or room.standing >= CAPACITY.get(room.form, 0)
    ):
        return None
    return room


# --- the form -----------------------------------------------------------------------------------------------------------

_DENSITY: Final = {Form.FULL: 0, Form.COMPACT: 1, Form.LINE: 2, Form.GROUPED: 3}


@dataclass(frozen=True, slots=True)
class _Level:
    """A form is entered when so many wait or so much is spent (or overflowed, for the densest), and left when less than the second is."""

    form: Form
    waiting: tuple[int, int]
    spent: tuple[int, int] = (POSTS + 1, POSTS + 1)
    dense: tuple[int, int] = (POSTS + 1, POSTS + 1)
    """Messages of lines in the last minute: if several were not enough, names must do."""


_LEVELS: Final = (
    _Level(Form.GROUPED, waiting=(151, 31), dense=(4, 2)),
    _Level(Form.LINE, waiting=(11, 6), spent=(HALF, 8)),
    _Level(Form.COMPACT, waiting=(5, 3), spent=(8, 5)),
)


def form_for(kind: Kind, count: int, spent: int, made: Sequence[Made], now: Instant) -> Form:
    """The form of the next new Message of `kind`, while `count` wait for it. `spent` of the minute's posts are gone."""
    if not kind.grows:
        return Form.GROUPED if count > CAPACITY[Form.LINE] else Form.LINE if count > 1 else Form.FULL
    if kind is Kind.ARRIVAL:  # It must leave room for those who come later; alone it says all that it knows.
        return next(form for form, most in _ARRIVING if count <= most)
    own = [one for one in made if one.kind is kind and now - one.at < 60.0]
    before = _DENSITY[own[-1].form] if own else 0
    dense = sum(1 for one in own if _DENSITY[one.form] >= _DENSITY[Form.LINE])
    if kind is Kind.PAGE:  # Its own budget: what others spent leaves the rest to pages.
        spent = max(len(own), spent - HALF)
    for level in _LEVELS:
        at = 1 if before >= _DENSITY[level.form] else 0
        if count >= level.waiting[at] or spent >= level.spent[at] or dense >= level.dense[at]:
            return level.form
    return Form.FULL


_ARRIVING: Final = ((Form.FULL, 1), (Form.COMPACT, 4), (Form.LINE, CAPACITY[Form.LINE]), (Form.GROUPED, inf))
"""The form in which so many arrive, at most."""

# --- the moment ---------------------------------------------------------------------------------------------------------

_GAPS: Final = ((HALF, 2.0), (1, 0.4))
"""Seconds between two posts, from so many spent of the minute on."""
_END_GAPS: Final = ((8, 10.0), (4, 3.0), (1, 0.4))
"""What is over is in no hurry, and the longer it waits the more of it shares one sound."""


def _post_ready(kind: Kind, budget: Budget, made: Sequence[Made], now: Instant) -> tuple[Instant, Reason]:
    """When a new Message of `kind` may go, and what it waits for."""
    paced, most = (budget.pages_at, Reason.THROTTLED) if kind is Kind.PAGE else (budget.posts_at, Reason.KEPT)
    own = sum(1 for one in made if one.kind is kind and now - one.at < 60.0) if kind is Kind.PAGE else budget.spent
    gap = next((gap for spent, gap in (_GAPS if kind.grows else _END_GAPS) if own >= spent), 0.0)
    spaced = budget.last_post_at + gap if budget.last_post_at is not None else now
    if spaced > max(paced, now):
        return spaced, Reason.SPACED
    return paced, most if budget.pages_at <= now else Reason.THROTTLED


_TEXT: Final = frozenset(
    {
        IncidentReason.CAUSE,
        IncidentReason.MEMBER,
        IncidentReason.MEMBER_RESOLVED,
        IncidentReason.MEMBER_REPEATED,
        IncidentReason.REMEDIATED,
        IncidentReason.REPEATED,
        IncidentReason.REROUTED,
    }
)
BURST: Final = 4
"""Edits of one Message within ten seconds, from which on text and counts wait."""


def settled_at(reasons: Iterable[IncidentReason], edits: Sequence[Instant], now: Instant) -> Instant:
    """When what changed in a Message may be edited: a change of state at once, text and counts in a while if it was edited again and again.

    `reasons` are those of the Incidents that changed, `edits` when the Message was edited last, oldest first.
    """
    if any(reason not in _TEXT for reason in reasons) or sum(1 for at in edits if now - at < 10.0) < BURST:
        return now
    return max(now, edits[-1] + TEXT_EVERY)


def spread_at(standing: int, edited_at: Instant, now: Instant) -> Instant:
    """When a Message may be edited again in which so many stand, whatever changed.

    Each edit of hundreds says all of them anew, and what is worth a burst of edits has a Message of its own.
    """
    return max(now, edited_at + GROW_EVERY) if standing > CAPACITY[Form.LINE] else now


# --- sound --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mention:
    """The last mention in a Channel: when, and how bad what it called for was."""

    at: Instant
    severity: Severity


def mentions(last: Mention | None, severity: Severity, now: Instant) -> bool:
    """Whether a page of `severity` calls by name now: once in five minutes, unless it is worse than what was called for."""
    return last is None or now - last.at >= MENTION_EVERY or severity > last.severity


def announces(loudest: Loudness, last: Instant | None, now: Instant) -> bool:
    """Whether a Message of what arrives sounds, the `loudest` of which would open so: once in an arrival. `last` is when one did."""
    return loudest >= Loudness.NOTIFY and (last is None or now - last >= SPAN)


# --- refusals -----------------------------------------------------------------------------------------------------------


def halved(unproven: int) -> int:
    """So many of `unproven` may share the next request, after Discord refused one with all of them; at 1 it is the offender."""
    return max(1, unproven // 2)
