"""What an Outcome means for what is wanted and shown, in one transaction: what changed while the request was on its way is kept.

Every function here is synchronous over a Connection; the sender calls it within the writer's transaction.
"""

from __future__ import annotations

from typing import assert_never

import structlog
from sqlalchemy import Connection

from relay.core import due, pace
from relay.core.attention import ChannelPolicy
from relay.core.card import Form
from relay.core.due import Why
from relay.core.event import Instant
from relay.core.incident import Incident
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
from relay.reconcile.line import Line, Request
from relay.storage import delivery, lists

log = structlog.get_logger(__name__)


def as_it_is(c: Connection, posting: Posting) -> tuple[Posting, Incident] | None:
    """The Posting and its Incident as they are by now; None where history took them."""
    found = delivery.load_posting(c, (posting.incident, posting.channel))
    incident = lists.incident_by_id(c, posting.incident)
    return (found, incident) if found is not None and incident is not None else None


def rescheduled(c: Connection, posting: Posting, policy: ChannelPolicy, now: Instant) -> None:
    """There was nothing to send (any more): it is due when the core says so."""
    if (found := as_it_is(c, posting)) is not None:
        current, incident = found
        delivery.save_posting(c, due.scheduled(replace(current, message=posting.message), incident, policy, now))


def put_off(c: Connection, request: Request, until: Instant) -> None:
    """Its route has no room before `until`, which must hold up nothing else."""
    if request.posting is None:
        if request.message is not None:
            delivery.update_message(c, replace(request.message, due_at=until))
    elif (found := as_it_is(c, request.posting)) is not None and found[0].due_at is not None:
        delivery.save_posting(c, replace(found[0], due_at=max(until, found[0].due_at)))


def shown(
    c: Connection, line: Line, request: Request, sent: Sent | None, policy: ChannelPolicy, settle: float, now: Instant
) -> None:
    """Discord has it: the message, where it stands, and what was rendered. Without `sent` the bytes were there already."""
    if request.message is not None:
        message = replace(request.message, digest=request.payload.digest, due_at=None)
        delivery.update_message(c, message)
    else:
        message = _posted(c, line, request, sent, now)
    if request.posting is None or (found := as_it_is(c, request.posting)) is None:
        return
    posting, incident = found
    if request.step.why is Why.PAGE and posting.message is not None:
        _turn_to_pointer(c, posting.message, message.id, now)
    after = due.shown(
        posting, incident, policy, request.step, now, asked=request.posting, message=message.id, settle=settle
    )
    delivery.save_posting(c, after)


def _posted(c: Connection, line: Line, request: Request, sent: Sent | None, now: Instant) -> Message:
    fresh = delivery.new_message(
        c, channel=line.name, webhook=line.webhook.id, created_at=now, thread=line.webhook.thread
    )
    message = replace(
        fresh,
        discord_id=sent.message_id if sent else None,
        discord_channel=sent.channel_id if sent else None,
        digest=request.payload.digest,
    )
    delivery.update_message(c, message)
    if request.posting is not None:
        delivery.place(c, message.id, [Placement(request.posting.incident, line.name, request.step.form)])
    return message


def _turn_to_pointer(c: Connection, old: int, new: int, now: Instant) -> None:
    """What stood in `old` stands in `new` from now on; `old` is due to become a line that leads there."""
    message = delivery.message_by_id(c, old)
    if message is None or message.gone:
        return
    delivery.place(c, old, [replace(placed, form=Form.POINTER) for placed in delivery.placements_of(c, old)])
    delivery.update_message(c, replace(message, due_at=now, jump_to=new))


def postponed(
    c: Connection, asked: Posting, outcome: Outcome, policy: ChannelPolicy, now: Instant, dice: float
) -> None:
    """It is not shown: when, how, or whether to try again. A wait that Discord told, or a dead webhook, is the Line's; it stays due."""
    if (found := as_it_is(c, asked)) is None:
        return
    posting, incident = found
    match outcome:
        case Sent() | Throttled() | WebhookDead() | Unavailable(host=True):
            return
        case Unavailable(status=500) if posting.tries + 1 >= due.MAX_TRIES:
            after = due.refused(replace(posting, tries=0), outcome.why, now)  # It may be the payload's fault.
        case Unavailable():
            wait = max(pace.backoff(posting.tries + 1, dice), min(outcome.seconds or 0.0, pace.MAX_BACKOFF))
            after = due.delayed(posting, now + wait)
        case Refused(remedy=Remedy.REPOST):
            after = due.scheduled(replace(posting, message=None, tries=0), incident, policy, now)
        case Refused():
            after = due.refused(
                replace(posting, tries=0), outcome.why, now, hopeless=outcome.remedy is Remedy.CONFIGURE
            )
        case MessageDeleted():
            if posting.message is not None:
                delivery.forget_message(c, posting.message)
            after = due.unshown(posting, incident, policy, now)
        case _:
            assert_never(outcome)
    if after.parked:
        log.error("parked", channel=asked.channel, incident=incident.handle, why=after.parked)
    delivery.save_posting(c, after)


def pointer_postponed(c: Connection, message: Message, outcome: Outcome, now: Instant) -> None:
    """A pointer that could not be shown: later if that can help, else it stays the card it was."""
    match outcome:
        case Sent() | Throttled() | WebhookDead() | Unavailable(host=True):
            return
        case Unavailable():
            after = replace(message, due_at=now + pace.MAX_BACKOFF / 10)
        case MessageDeleted():
            after = replace(message, due_at=None, gone=True)
        case Refused():
            after = replace(message, due_at=None)
        case _:
            assert_never(outcome)
    delivery.update_message(c, after)


def moved_in(c: Connection, line: Line, policy: ChannelPolicy, now: Instant) -> int:
    """The Channel has another webhook now: what is open and stands where it cannot be edited is due again. Returns how many."""
    moved = [
        due.scheduled(replace(posting, message=None), incident, policy, now)
        for posting, incident in delivery.standing_elsewhere(c, line.name, line.webhook.id)
    ]
    delivery.save_postings(c, moved)
    return len(moved)
