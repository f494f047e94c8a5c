"""What a Posting owes next: pure decisions from what is wanted and what was shown, each with a named Reason.

The writer asks what a change makes of it, the sender what to do next and what an outcome makes of it. Only `due_at` makes work;
nothing is found by rendering.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from relay.core.attention import ChannelPolicy, Loudness, Resolved
from relay.core.card import Form
from relay.core.event import Instant, Severity
from relay.core.incident import Incident
from relay.core.posting import Degraded, Posting
from relay.core.values import replace

DAY: Final = 86400.0
REFRESH_EVERY: Final = 1800.0
"""Seconds between two edits that only move a count."""
MAX_TRIES: Final = 8
"""Failures that Discord may recover from, before a Posting is degraded or parked."""


class Why(StrEnum):
    """Why the sender does what it does next with a Posting."""

    PAGE = "page"
    OPEN = "open"
    SHOW_AGAIN = "show_again"
    """A person deleted the message of a problem that is still there."""
    CAME_AND_WENT = "came_and_went"
    EDIT = "edit"
    END = "end"
    NOTHING = "nothing"
    PARKED = "parked"
    FOLDED = "folded"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Step:
    """What to do: a new message or an edit of the current one, in which form and how loud; or nothing until `at`."""

    why: Why
    form: Form = Form.FULL
    loudness: Loudness = Loudness.QUIET
    at: Instant | None = None

    @property
    def sends(self) -> bool:
        return self.why not in (Why.NOTHING, Why.PARKED, Why.FOLDED, Why.LATER)

    @property
    def posts(self) -> bool:
        """A new message, not an edit."""
        return self.sends and self.why is not Why.EDIT


def owes_page(posting: Posting) -> bool:
    return posting.pages_owed > posting.pages_made


def next_step(posting: Posting, incident: Incident, policy: ChannelPolicy, now: Instant) -> Step:
    """What this Posting needs from Discord at `now`. The first that fits."""
    if posting.closed:
        return Step(Why.NOTHING)
    if posting.parked:
        return Step(Why.PARKED)
    if incident.folded_into is not None and posting.message is None:
        return Step(Why.FOLDED)
    if incident.is_open and now < incident.visible_at:
        return Step(Why.LATER, at=incident.visible_at)
    if incident.is_open and owes_page(posting):
        return Step(Why.PAGE, Form.FULL, Loudness.PAGE)
    if posting.message is None and (incident.is_open or posting.end_due_at is None):
        return _first(posting, incident, policy)
    if posting.message is not None and posting.wanted > posting.shown:
        return Step(Why.EDIT, Form.FULL)
    if posting.end_due_at is not None and not incident.is_open:
        if now < posting.end_due_at:
            return Step(Why.LATER, at=posting.end_due_at)
        return Step(Why.END, Form.END, Loudness.NOTIFY)
    return Step(Why.NOTHING)


def _first(posting: Posting, incident: Incident, policy: ChannelPolicy) -> Step:
    if not incident.is_open:
        if posting.wanted > posting.shown and policy.loudness(posting.severity) > Loudness.COUNT:
            return Step(Why.CAME_AND_WENT, Form.LINE, Loudness.QUIET)
        return Step(Why.NOTHING)
    loudness = min(policy.loudness(posting.severity), Loudness.NOTIFY)
    if loudness is Loudness.COUNT:
        return Step(Why.NOTHING)
    if posting.shown > 0:
        return Step(Why.SHOW_AGAIN, Form.FULL, Loudness.QUIET)
    return Step(Why.OPEN, Form.FULL, loudness)


EDITS: Final = range(20, 30)
"""The ranks of what is shown by an edit; all others need a new message, which Discord counts apart."""
_RANK: Final = {
    Why.PAGE: 0,
    Why.OPEN: 10,
    Why.SHOW_AGAIN: 10,
    Why.EDIT: EDITS.start,
    Why.CAME_AND_WENT: 30,
    Why.END: 30,
}


def rank(step: Step, severity: Severity) -> int:
    """What goes first, smaller first: pages, opens, edits, ends; worst first within each."""
    return _RANK.get(step.why, 40) + int(Severity.CRITICAL - severity)


def scheduled(posting: Posting, incident: Incident, policy: ChannelPolicy, now: Instant) -> Posting:
    """`posting` with `due_at` and `rank` as its next step asks; never sooner than a wait that Discord imposed (`tries`)."""
    step = next_step(posting, incident, policy, now)
    if step.at is not None:
        then = next_step(posting, incident, policy, step.at)
        return replace(posting, due_at=step.at, rank=rank(then, incident.severity))
    if not step.sends:
        return replace(posting, due_at=None, rank=0)
    due = posting.due_at if posting.due_at is not None and posting.tries else now
    return replace(posting, due_at=due, rank=rank(step, incident.severity))


# --- what the writer changes --------------------------------------------------------------------------------------------


def opened(incident: Incident, policy: ChannelPolicy, severity: Severity, name: str, now: Instant) -> Posting | None:
    """The Posting that a Channel owes an Incident that becomes visible in it; None where it is only counted."""
    if policy.loudness(severity) is Loudness.COUNT:
        return None
    fresh = Posting(incident=incident.id, channel=policy.name, severity=severity)
    return scheduled(_page_owed(fresh, policy, severity, name), incident, policy, now)


def changed(
    posting: Posting, incident: Incident, policy: ChannelPolicy, now: Instant, *, severity: Severity, name: str
) -> Posting:
    """After a visible change that a Signal of `severity` and alertname (or cause) `name` made: one more version is wanted.

    What was parked is tried once more: the plainest rendering was refused as it was, and it is another one now.
    """
    after = replace(posting, wanted=posting.wanted + 1, severity=max(posting.severity, severity), parked="")
    if incident.is_open:
        after = _page_owed(replace(after, end_due_at=None), policy, severity, name)
    return scheduled(after, incident, policy, now)


def reopened(
    posting: Posting, incident: Incident, policy: ChannelPolicy, now: Instant, *, severity: Severity, name: str
) -> Posting:
    """The same Incident again: as loud as an opening if its end was announced, else an edit."""
    if posting.end_shown_at is None:
        return changed(posting, incident, policy, now, severity=severity, name=name)
    heard = replace(
        posting,
        severity=severity,
        paged_severity=Severity.NONE,
        paged_for=(),
        paged_at=None,
        pages_made=posting.pages_owed,
        end_shown_at=None,
    )
    if policy.loudness(severity) is Loudness.NOTIFY:
        heard = replace(heard, shown=0, message=None)  # An edit would not sound; the record of the last time stays one.
    return changed(heard, incident, policy, now, severity=severity, name=name)


def over(posting: Posting, incident: Incident, policy: ChannelPolicy, settle: float, now: Instant) -> Posting:
    """The Incident ended: the card becomes a record at once, a page no longer true is not sent, what paged gets its end later."""
    after = replace(posting, wanted=posting.wanted + 1, pages_owed=posting.pages_made, parked="")
    if posting.paged_at is None:
        after = replace(after, paged_severity=Severity.NONE, paged_for=())
    else:
        after = _end_owed(after, policy, now + settle)
    return scheduled(after, incident, policy, now)


def _end_owed(posting: Posting, policy: ChannelPolicy, at: Instant) -> Posting:
    """What paged says its end, if it is to be posted and was not yet."""
    if policy.resolved is Resolved.POST and posting.end_shown_at is None:
        return replace(posting, end_due_at=at)
    return posting


_STEPS: Final = frozenset({2, 5, 10, 20, 50})


def repeated(posting: Posting, incident: Incident, count: int, now: Instant) -> Posting:
    """A repeat is no difference: counts move in steps, and ride on one refresh in half an hour."""
    if posting.shown == 0 or posting.closed or posting.parked or posting.due_at is not None or not _is_step(count):
        return posting
    due = max(now, (posting.shown_at or now) + REFRESH_EVERY)
    edit = Step(Why.EDIT)
    return replace(posting, wanted=posting.wanted + 1, due_at=due, rank=rank(edit, incident.severity))


def _is_step(count: int) -> bool:
    return count in _STEPS or (count >= 100 and str(count).rstrip("0") in ("1", "2", "5"))


def _page_owed(posting: Posting, policy: ChannelPolicy, severity: Severity, name: str) -> Posting:
    """One page more, if this is at page severity and worse than, or other than, what was paged."""
    if policy.loudness(severity) is not Loudness.PAGE:
        return posting
    if severity <= posting.paged_severity and name in posting.paged_for:
        return posting
    names = (*posting.paged_for, name)[-20:] if name not in posting.paged_for else posting.paged_for
    return replace(
        posting,
        pages_owed=posting.pages_owed + 1,
        paged_severity=max(severity, posting.paged_severity),
        paged_for=names,
    )


# --- what the sender changes --------------------------------------------------------------------------------------------


def shown(
    posting: Posting,
    incident: Incident,
    policy: ChannelPolicy,
    step: Step,
    now: Instant,
    *,
    asked: Posting,
    message: int,
    settle: float,
) -> Posting:
    """Discord has it, as it was `asked` for: what has changed since is still to be shown. `message` is where it stands now."""
    after = replace(posting, shown=max(posting.shown, asked.wanted), shown_at=now, tries=0, due_at=None)
    if step.why is not Why.END:
        after = replace(after, message=message)
    if step.why in (Why.END, Why.CAME_AND_WENT):
        after = replace(after, end_due_at=None, end_shown_at=now)
    if step.why is Why.PAGE:
        after = _paged(after, asked, now)
        if not incident.is_open:  # It ended while the page was on its way: who heard the one is told the other.
            after = _end_owed(after, policy, now + settle)
    return scheduled(after, incident, policy, now)


def _paged(posting: Posting, asked: Posting, now: Instant) -> Posting:
    """It made its sound, for what it was asked for; a page withdrawn meanwhile was made all the same."""
    return replace(
        posting,
        paged_at=now,
        pages_made=max(posting.pages_made, asked.pages_owed),
        pages_owed=max(posting.pages_owed, asked.pages_owed),
        paged_severity=max(posting.paged_severity, asked.paged_severity),
        paged_for=tuple(dict.fromkeys((*asked.paged_for, *posting.paged_for)))[-20:],
    )


def unshown(posting: Posting, incident: Incident, policy: ChannelPolicy, now: Instant) -> Posting:
    """A person deleted its message: an open problem is shown again once, quietly; twice within a day is an answer.

    Whoever deletes a record has seen the end: it is not said again, and what comes back is as loud as an opening.
    """
    after = replace(posting, message=None, deleted_at=now, due_at=None, tries=0)
    if not incident.is_open:
        return replace(after, shown=after.wanted, end_due_at=None, end_shown_at=now, rank=0)
    if posting.deleted_at is not None and now - posting.deleted_at < DAY:
        return replace(after, closed=True, shown=after.wanted, pages_made=after.pages_owed, end_due_at=None, rank=0)
    return scheduled(after, incident, policy, now)


def delayed(posting: Posting, until: Instant) -> Posting:
    """Discord was not there: one try more, not before `until`."""
    return replace(posting, tries=posting.tries + 1, due_at=until)


def refused(posting: Posting, why: str, now: Instant, *, hopeless: bool = False) -> Posting:
    """Discord said 400: the next plainer rendering at once, and after the plainest it is parked with the reason."""
    match posting.degraded:
        case _ if hopeless:
            pass
        case Degraded.NO:
            return replace(posting, degraded=Degraded.NO_LINKS, due_at=now)
        case Degraded.NO_LINKS:
            return replace(posting, degraded=Degraded.PLAIN, due_at=now)
        case Degraded.PLAIN:
            pass
    return replace(posting, parked=why, due_at=None)
