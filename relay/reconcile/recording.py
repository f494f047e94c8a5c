"""What an Outcome means for what is wanted and shown, in one transaction: what changed while the request was on its way is kept.

Every function here is synchronous over a Connection; the sender calls it within the writer's transaction. Each costs a fixed number of
statements, however many share the request.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, assert_never

import structlog
from sqlalchemy import Connection

from relay.core import due, pace
from relay.core.attention import ChannelPolicy
from relay.core.card import Form
from relay.core.event import Instant
from relay.core.outcome import (
    MessageDeleted,
    Outcome,
    Refused,
    Remedy,
    Sent,
    Throttled,
    Unavailable,
    WebhookDead,
)
from relay.core.posting import Message, Placement, Posting
from relay.core.values import replace
from relay.reconcile import bulletins
from relay.reconcile.line import Line, Part, Request
from relay.reconcile.looking import Found
from relay.reconcile.rendering import UnrenderableError
from relay.storage import delivery, meta

log = structlog.get_logger(__name__)

AGAIN: Final = 30.0
"""Seconds until a Message that is edited for its own sake is tried again."""


def rescheduled(c: Connection, line: Line, stale: Iterable[Found], policy: ChannelPolicy, now: Instant) -> None:
    """There was nothing to send (any more), or something else: each is due when the core says so, as what it needs now."""
    asked = {one.posting.incident: one.posting for one in stale}
    current = delivery.load_postings(c, line.name, asked)
    delivery.save_postings(
        c,
        [
            due.scheduled(replace(posting, message=asked[key].message), incident, policy, now)
            for key, (posting, incident) in current.items()
        ],
    )


# --- shown --------------------------------------------------------------------------------------------------------------


def shown(
    c: Connection, line: Line, request: Request, sent: Sent | None, policy: ChannelPolicy, settle: float, now: Instant
) -> None:
    """Discord has it: the message, what stands in it, and what was rendered. Without `sent` the bytes were there already."""
    message = _written(c, line, request, sent, now)
    if request.announces:
        meta.set_meta(c, meta.ARRIVED + line.name, repr(now))
    if request.bulletin is not None:
        bulletins.was_shown(c, request.bulletin, message, now)
        return
    current = delivery.load_postings(c, line.name, (part.posting.incident for part in request.parts))
    moved: list[Posting] = []
    after = []
    for part in request.parts:
        if (read := current.get(part.posting.incident)) is None:
            continue
        posting, incident = read
        if part.step.replaces and posting.message not in (None, message.id):
            moved.append(posting)
        after.append(
            due.shown(posting, incident, policy, part.step, now, asked=part.posting, message=message.id, settle=settle)
        )
    delivery.save_postings(c, after)
    _lead_to(c, moved, message, now)
    _placed(c, line, request, message)
    if request.tail:
        _placed_anew(c, line, request.tail, policy, now)
    if request.tail or request.gone:
        delivery.take_from(c, message.id, (*request.tail, *request.gone))


def _written(c: Connection, line: Line, request: Request, sent: Sent | None, now: Instant) -> Message:
    """The Message as it is now; a new one takes the place of others that had room for its kind."""
    if request.message is not None:
        message = replace(request.message, digest=request.payload.digest, due_at=None, takes=request.takes)
        delivery.update_message(c, message)
        return message
    if request.takes:
        delivery.take_no_more(
            c,
            [
                one.message.id
                for one in delivery.taking(c, line.name, line.webhook.id)
                if one.message.takes == request.takes
            ],
        )
    fresh = delivery.new_message(
        c, channel=line.name, webhook=line.webhook.id, created_at=now, thread=line.webhook.thread
    )
    message = replace(
        fresh,
        discord_id=sent.message_id if sent else None,
        discord_channel=sent.channel_id if sent else None,
        digest=request.payload.digest,
        takes=request.takes if sent and sent.message_id else "",
        mentioned=request.mentioned,
    )
    delivery.update_message(c, message)
    return message


def _placed(c: Connection, line: Line, request: Request, message: Message) -> None:
    first = delivery.next_position(c, message.id)
    delivery.add_to(
        c,
        message.id,
        [
            Placement(part.posting.incident, line.name, part.form, first + number)
            for number, part in enumerate(part for part in request.parts if part.is_new)
        ],
    )


def _lead_to(c: Connection, moved: Sequence[Posting], new: Message, now: Instant) -> None:
    """What stood elsewhere stands in the Message `new` from now on; the others are due to lead there, if they can be edited."""
    old = delivery.messages_by_id(c, {posting.message for posting in moved})
    for message in old.values():
        if message.gone or message.webhook != new.webhook:
            continue
        gone = {posting.incident for posting in moved if posting.message == message.id}
        stood = delivery.placements_of(c, message.id)
        delivery.add_to(
            c, message.id, [replace(placed, form=Form.POINTER) for placed in stood if placed.incident in gone]
        )
        alone = len(stood) == 1
        delivery.update_message(c, replace(message, due_at=now, jump_to=new.id if alone else None, takes=message.takes))


def _placed_anew(c: Connection, line: Line, tail: Iterable[str], policy: ChannelPolicy, now: Instant) -> None:
    """The Message has no room for them any more: they are shown again elsewhere, quietly."""
    current = delivery.load_postings(c, line.name, tail)
    delivery.save_postings(
        c,
        [
            due.scheduled(replace(posting, message=None, due_at=None), incident, policy, now)
            for posting, incident in current.values()
        ],
    )


# --- not shown ----------------------------------------------------------------------------------------------------------


def not_shown(
    c: Connection, line: Line, request: Request, outcome: Outcome, policy: ChannelPolicy, now: Instant, dice: float
) -> None:
    """When, how, or whether to try again. A wait that Discord told, or a dead webhook, is the Line's; all stays due."""
    if request.bulletin is not None:
        bulletins.was_not(c, request.bulletin, request.message, outcome, now)
        return
    match outcome:
        case Sent() | Throttled() | WebhookDead() | Unavailable(host=True):
            return
        case MessageDeleted():
            _deleted(c, line, request, policy, now)
        case Refused(remedy=Remedy.REPOST):
            _reposted(c, line, request, policy, now)
        case Unavailable() | Refused():
            if request.parts:
                _postponed(c, line, request, outcome, now, dice)
            elif request.message is not None:
                again = now + AGAIN if isinstance(outcome, Unavailable) else None
                delivery.update_message(c, replace(request.message, due_at=again))
        case _:
            assert_never(outcome)


def _postponed(
    c: Connection, line: Line, request: Request, outcome: Unavailable | Refused, now: Instant, dice: float
) -> None:
    if isinstance(outcome, Unavailable):
        if not (request.is_shared and outcome.status != 500):
            failed(c, line, request.parts[:1], outcome, now, dice)
    elif outcome.remedy is Remedy.CONFIGURE or len(request.parts) == 1:
        refused(c, line, request.parts, outcome, now)
    # Several share it: the next request holds fewer of them, down to the one that is refused alone.


def refused(c: Connection, line: Line, parts: Iterable[Part], outcome: Refused, now: Instant) -> None:
    """Each is tried more plainly, and after the plainest it is parked; at once where no rendering can help."""
    current = delivery.load_postings(c, line.name, (part.posting.incident for part in parts))
    hopeless = outcome.remedy is Remedy.CONFIGURE
    after = [
        due.refused(replace(posting, tries=0), outcome.why, now, hopeless=hopeless) for posting, _ in current.values()
    ]
    for posting, (_, incident) in zip(after, current.values(), strict=True):
        if posting.parked:
            log.error("parked", channel=line.name, incident=incident.handle, why=posting.parked)
    delivery.save_postings(c, after)


def unrenderable(c: Connection, line: Line, error: UnrenderableError, now: Instant) -> None:
    """A card that cannot be made is as one that Discord refuses."""
    current = delivery.load_postings(c, line.name, [error.incident])
    why = f"cannot be rendered: {type(error.reason).__name__}"
    for posting, incident in current.values():
        after = due.refused(replace(posting, tries=0), why, now)
        if after.parked:
            log.error("parked", channel=line.name, incident=incident.handle, why=why)
        delivery.save_posting(c, after)


def failed(c: Connection, line: Line, parts: Iterable[Part], outcome: Unavailable, now: Instant, dice: float) -> None:
    """Nobody answered for Discord. What fails again and again waits, so that others have their turn; with a 500 it may be its own fault."""
    after = []
    for posting, _ in delivery.load_postings(c, line.name, (part.posting.incident for part in parts)).values():
        tries = posting.tries + 1
        wait = max(pace.backoff(tries, dice), min(outcome.seconds or 0.0, pace.MAX_BACKOFF))
        if outcome.status == 500 and tries >= due.MAX_TRIES:
            plainer = due.refused(replace(posting, tries=0), outcome.why, now)
            after.append(plainer if not plainer.parked or line.works_at(now) else due.delayed(posting, now + wait))
        elif outcome.status == 500 or tries >= due.MAX_TRIES:
            after.append(due.delayed(posting, now + wait))
        else:
            after.append(replace(posting, tries=tries))
    delivery.save_postings(c, after)


def _deleted(c: Connection, line: Line, request: Request, policy: ChannelPolicy, now: Instant) -> None:
    """A person deleted the message: what stood there is shown again once, quietly; who was to join it waits as before."""
    if request.message is None:
        return
    stood = delivery.forget_message(c, request.message.id)
    current = delivery.load_postings(c, line.name, {placed.incident for placed in stood})
    delivery.save_postings(
        c,
        [
            due.unshown(posting, incident, policy, now)
            for posting, incident in current.values()
            if posting.message == request.message.id
        ],
    )


def _reposted(c: Connection, line: Line, request: Request, policy: ChannelPolicy, now: Instant) -> None:
    """The thread is archived, which only a new message undoes: the first is posted anew, and then the others may be edited again."""
    if request.message is not None:
        delivery.update_message(c, replace(request.message, takes="", due_at=None))
        first = [part.posting.incident for part in request.parts if not part.is_new][:1]
        _placed_anew(c, line, first, policy, now)


# --- other roads --------------------------------------------------------------------------------------------------------


def moved_in(c: Connection, line: Line, policy: ChannelPolicy, now: Instant) -> int:
    """The Channel has another webhook or thread now: what is open and stands elsewhere arrives there. Returns how many."""
    moved = [
        due.moved(posting, incident, policy, now)
        for posting, incident in delivery.standing_elsewhere(c, line.name, line.webhook.id, line.webhook.thread)
    ]
    delivery.save_postings(c, moved)
    rooms = delivery.taking(c, line.name, line.webhook.id)
    delivery.take_no_more(c, [one.message.id for one in rooms if one.message.thread != line.webhook.thread])
    return len(moved)


def handed_over(c: Connection, line: Line, to: ChannelPolicy, now: Instant) -> int:
    """The pages that `line`, whose webhook is dead, owes are owed by the Channel `to` as well. Returns how many."""
    handed = []
    for posting, incident in delivery.pages_not_in(c, line.name, to.name, LIMIT):
        owed = due.opened(incident, replace(to, page=posting.severity), posting.severity, _named(posting), now)
        if owed is not None:
            handed.append(owed)
    delivery.save_postings(c, handed)
    return len(handed)


LIMIT: Final = 256
"""Pages handed over in one transaction."""


def _named(posting: Posting) -> str:
    return posting.paged_for[-1] if posting.paged_for else ""
