"""What a Posting owes next: pure decisions from what is wanted and what was shown, each with a named Reason.

The writer asks what a change makes of it, the sender what to do next and what an outcome makes of it. Only `due_at` makes work;
nothing is found by rendering.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from relay.core.attention import ChannelPolicy, Loudness, Resolved
from relay.core.card import Form
from relay.core.event import Instant, Severity
from relay.core.incident import Incident, Reason
from relay.core.posting import Degraded, Posting
from relay.core.quiet import NIGHT, Rule
from relay.core.values import replace, value

DAY: Final = 86400.0
REFRESH_EVERY: Final = 1800.0
"""Seconds between two edits that only move a count."""
GATHERS: Final = 5.0
"""Seconds in which what was there before the relay gathers: a sender tells it all at once, and it is no news."""
MAX_TRIES: Final = 8
"""Failures that Discord may recover from, before a Posting is degraded or parked."""


class Why(StrEnum):
    """Why the sender does what it does next with a Posting."""

    PAGE = "page"
    REMIND = "remind"
    """It goes on: a page that takes the place of the one before."""
    ARRIVED = "arrived"
    """It was there before the relay was, or before the Channel had this webhook."""
    OPEN = "open"
    SHOW_AGAIN = "show_again"
    """A person deleted the message of a problem that is still there."""
    CAME_AND_WENT = "came_and_went"
    LEFT = "left"
    """Quiet is over, and it goes on."""
    EDIT = "edit"
    END = "end"
    NOTHING = "nothing"
    PARKED = "parked"
    FOLDED = "folded"
    LATER = "later"


@value(frozen=True, slots=True)
class Step:
    """What to do: a new message or an edit of the current one, in which form and how loud; or nothing until `at`."""

    why: Why
    form: Form = Form.FULL
    loudness: Loudness = Loudness.QUIET
    at: Instant | None = None
    quiet: str = ""
    """What takes the sound that it would make: a rule's key, or `NIGHT`."""
    quiet_until: Instant | None = None

    @property
    def sends(self) -> bool:
        return self.why not in (Why.NOTHING, Why.PARKED, Why.FOLDED, Why.LATER)

    @property
    def posts(self) -> bool:
        """A new message, not an edit."""
        return self.sends and self.why is not Why.EDIT

    @property
    def replaces(self) -> bool:
        """A new message in which the Posting stands from then on; what it stood in becomes a pointer."""
        return self.why in (Why.PAGE, Why.REMIND, Why.LEFT, Why.ARRIVED)


def owes_page(posting: Posting) -> bool:
    return posting.pages_owed > posting.pages_made


def level(posting: Posting, incident: Incident, policy: ChannelPolicy) -> Loudness:
    """How loud it would open as it is now: what has eased below a page is none any more."""
    return policy.loudness(min(posting.severity, incident.severity))


def is_quiet(posting: Posting) -> bool:
    """Whether a rule takes every sound of it. A night does not: it leaves pages alone."""
    return posting.quiet not in ("", NIGHT)


def next_step(posting: Posting, incident: Incident, policy: ChannelPolicy, now: Instant) -> Step:
    """What this Posting needs from Discord at `now`. The first that fits."""
    if posting.closed:
        return Step(Why.NOTHING)
    if posting.parked:
        return Step(Why.PARKED)
    if incident.folded_into is not None:
        return _folded(posting)
    if incident.is_open and now < incident.visible_at:
        return Step(Why.LATER, at=incident.visible_at)
    pages = _may_page(posting, incident, policy)
    if pages and owes_page(posting):
        return Step(Why.PAGE, Form.FULL, Loudness.PAGE)
    remind_at = _remind_at(posting, incident, policy) if pages else None
    if remind_at is not None and remind_at <= now:
        return Step(Why.REMIND, Form.FULL, Loudness.PAGE)
    arrives = posting.arrived and posting.shown == 0 and incident.is_open
    if arrives or (posting.message is None and (incident.is_open or posting.end_due_at is None)):
        return _first(posting, incident, policy, now)
    if incident.is_open and posting.tell is not Loudness.COUNT:
        return _muted(Step(Why.LEFT, Form.FULL, posting.tell), posting, policy, now)
    if posting.message is not None and posting.wanted > posting.shown:
        return Step(Why.EDIT, Form.FULL)
    if posting.end_due_at is not None and not incident.is_open:
        if now < posting.end_due_at:
            return Step(Why.LATER, at=posting.end_due_at)
        return _muted(Step(Why.END, Form.END, Loudness.NOTIFY), posting, policy, now)
    return Step(Why.NOTHING) if remind_at is None else Step(Why.LATER, at=remind_at)


def _folded(posting: Posting) -> Step:
    """What is part of another problem makes no sound: its card, if it was shown, leads there, and at its end becomes its record."""
    if posting.message is None or posting.wanted <= posting.shown:
        return Step(Why.FOLDED)
    return Step(Why.EDIT, Form.FULL)


def _may_page(posting: Posting, incident: Incident, policy: ChannelPolicy) -> bool:
    """Whether a page would be true now: it goes on, stands for itself, is as bad as that, and nobody asked for quiet."""
    return (
        incident.is_open
        and incident.folded_into is None
        and not is_quiet(posting)
        and level(posting, incident, policy) is Loudness.PAGE
    )


def _remind_at(posting: Posting, incident: Incident, policy: ChannelPolicy) -> Instant | None:
    """When somebody is paged again for what goes on; never for what flaps, or of which there is no news."""
    if policy.remind is None or posting.paged_at is None or posting.message is None:
        return None
    if incident.flapping or incident.silent_since is not None:
        return None
    return posting.paged_at + policy.remind


def _muted(step: Step, posting: Posting, policy: ChannelPolicy, now: Instant) -> Step:
    """Without its sound, where a rule or the night takes it. For what is no page."""
    if step.loudness <= Loudness.QUIET:
        return step
    if is_quiet(posting):
        return replace(step, loudness=Loudness.QUIET, quiet=posting.quiet, quiet_until=posting.quiet_until)
    if (until := policy.night_until(now)) is not None:
        return replace(step, loudness=Loudness.QUIET, quiet=NIGHT, quiet_until=until)
    return step


def _first(posting: Posting, incident: Incident, policy: ChannelPolicy, now: Instant) -> Step:
    if not incident.is_open:
        if posting.wanted > posting.shown and policy.loudness(posting.severity) > Loudness.COUNT:
            return Step(Why.CAME_AND_WENT, Form.LINE, Loudness.QUIET)
        return Step(Why.NOTHING)
    loudness = min(level(posting, incident, policy), Loudness.NOTIFY)
    if loudness is Loudness.COUNT:
        return Step(Why.NOTHING)
    if posting.shown > 0:
        return Step(Why.SHOW_AGAIN, Form.FULL, Loudness.QUIET)
    if posting.arrived:  # What is no news gathers, and shares one sound.
        if now < incident.opened_at + GATHERS:
            return Step(Why.LATER, at=incident.opened_at + GATHERS)
        return _muted(Step(Why.ARRIVED, Form.FULL, loudness), posting, policy, now)
    if posting.tell is Loudness.QUIET:  # Another of its Channel sounds for all that is left.
        loudness = Loudness.QUIET
    return _muted(Step(Why.OPEN, Form.FULL, loudness), posting, policy, now)


EDITS: Final = range(20, 30)
"""The ranks of what is shown by an edit; all others need a new message, which Discord counts apart."""
_RANK: Final = {
    Why.PAGE: 0,
    Why.REMIND: 0,
    Why.ARRIVED: 10,
    Why.OPEN: 10,
    Why.SHOW_AGAIN: 10,
    Why.LEFT: 10,
    Why.EDIT: EDITS.start,
    Why.CAME_AND_WENT: 30,
    Why.END: 30,
}


def rank(step: Step, severity: Severity) -> int:
    """What goes first, smaller first: pages, opens, edits, ends; worst first within each."""
    return _RANK.get(step.why, 40) + int(Severity.CRITICAL - severity)


def scheduled(posting: Posting, incident: Incident, policy: ChannelPolicy, now: Instant) -> Posting:
    """`posting` with `due_at` and `rank` as its next step asks: due since it first waited for that, or when a failure's wait is over."""
    step = next_step(posting, incident, policy, now)
    if step.at is not None:
        then = next_step(posting, incident, policy, step.at)
        return replace(posting, due_at=step.at, rank=rank(then, incident.severity))
    if not step.sends:
        return replace(posting, due_at=None, rank=0)
    order = rank(step, incident.severity)
    since = posting.due_at
    if since is None or not (posting.tries or (since <= now and order // 10 == posting.rank // 10)):
        since = now
    return replace(posting, due_at=since, rank=order)


# --- what the writer changes --------------------------------------------------------------------------------------------


def opened(
    incident: Incident,
    policy: ChannelPolicy,
    severity: Severity,
    name: str,
    now: Instant,
    *,
    hush: Rule | None = None,
    old: bool = False,
) -> Posting | None:
    """The Posting that a Channel owes an Incident that becomes visible in it; None where it is only counted.

    Here and below, `hush` is the rule that holds for the Signal of which it is told, and an `old` one was there before the relay.
    """
    if policy.loudness(severity) is Loudness.COUNT:
        return None
    blank = Posting(incident=incident.id, channel=policy.name, severity=severity, arrived=old)
    fresh = _page_owed(blank, incident, policy, severity, name, old=old)
    return scheduled(_under(fresh, hush), incident, policy, now)


def changed(
    posting: Posting,
    incident: Incident,
    policy: ChannelPolicy,
    now: Instant,
    *,
    severity: Severity,
    name: str,
    hush: Rule | None = None,
    old: bool = False,
) -> Posting:
    """After a visible change that a Signal of `severity` and alertname (or cause) `name` made: one more version is wanted.

    What was parked is tried once more: the plainest rendering was refused as it was, and it is another one now.
    """
    after = replace(posting, wanted=posting.wanted + 1, severity=max(posting.severity, severity), parked="")
    if incident.is_open:
        after = replace(after, end_due_at=None)
        owing = _page_owed(after, incident, policy, severity, name, old=old)
        after = _heard(after, owing, incident, policy, hush)
    return scheduled(after, incident, policy, now)


def reopened(
    posting: Posting,
    incident: Incident,
    policy: ChannelPolicy,
    now: Instant,
    *,
    severity: Severity,
    name: str,
    hush: Rule | None = None,
    old: bool = False,
) -> Posting:
    """The same Incident again: as loud as an opening if its end was announced, else an edit. That it flaps is said once."""
    if incident.flapping and incident.reason is not Reason.FLAPPING:
        posting = replace(posting, end_shown_at=None)
    if posting.end_shown_at is None:
        return changed(posting, incident, policy, now, severity=severity, name=name, hush=hush, old=old)
    goes_on = min(posting.severity, incident.effects.worst)  # Of what is folded into it, as far as it was routed here.
    heard = replace(
        posting,
        severity=max(severity, goes_on),
        paged_severity=Severity.NONE,
        paged_for=(),
        paged_at=None,
        pages_made=posting.pages_owed,
        end_shown_at=None,
        arrived=old,
    )
    if policy.loudness(severity) is Loudness.NOTIFY and hush is None:
        heard = replace(heard, shown=0, message=None)  # An edit would not sound; the record of the last time stays one.
    return changed(_under(heard, hush), incident, policy, now, severity=severity, name=name, hush=hush, old=old)


def over(posting: Posting, incident: Incident, policy: ChannelPolicy, settle: float, now: Instant) -> Posting:
    """The Incident ended: the card becomes a record at once, a page no longer true is not sent, what paged gets its end later."""
    after = replace(posting, wanted=posting.wanted + 1, pages_owed=posting.pages_made, parked="", tell=Loudness.COUNT)
    if posting.quiet == NIGHT:
        after = replace(after, quiet="", quiet_until=None)
    if posting.paged_at is None:
        after = replace(after, paged_severity=Severity.NONE, paged_for=())
    else:
        after = _end_owed(after, policy, _settled_at(incident, settle, now))
    return scheduled(after, incident, policy, now)


def _settled_at(incident: Incident, settle: float, now: Instant) -> Instant:
    """When an end has held long enough to make a sound: what flaps must have been calm first."""
    return max(now + settle, incident.calm_at or now) if incident.flapping else now + settle


def _end_owed(posting: Posting, policy: ChannelPolicy, at: Instant) -> Posting:
    """What paged says its end, if it is to be posted and was not yet."""
    if policy.resolved is Resolved.POST and posting.end_shown_at is None:
        return replace(posting, end_due_at=at)
    return posting


_STEPS: Final = frozenset({2, 5, 10, 20, 50})


def repeated(posting: Posting, incident: Incident, count: int, now: Instant) -> Posting:
    """A repeat is no difference: counts move in steps, and ride on one refresh in half an hour."""
    if posting.shown == 0 or posting.closed or posting.parked or posting.wanted > posting.shown or not _is_step(count):
        return posting
    due = max(now, (posting.shown_at or now) + REFRESH_EVERY)
    if posting.due_at is not None and posting.due_at <= due:
        return replace(posting, wanted=posting.wanted + 1)  # What comes anyway will say it.
    edit = Step(Why.EDIT)
    return replace(posting, wanted=posting.wanted + 1, due_at=due, rank=rank(edit, incident.severity))


def _is_step(count: int) -> bool:
    return count in _STEPS or (count >= 100 and str(count).rstrip("0") in ("1", "2", "5"))


def _page_owed(
    posting: Posting, incident: Incident, policy: ChannelPolicy, severity: Severity, name: str, *, old: bool
) -> Posting:
    """One page more, if this is at page severity and worse than, or other than, what was paged; of what flaps only if it is worse.

    What is `old` counts as paged, so that only what is worse or another problem pages later.
    """
    if policy.loudness(severity) is not Loudness.PAGE:
        return posting
    if severity <= posting.paged_severity and (incident.flapping or name in posting.paged_for):
        return posting
    names = (*posting.paged_for, name)[-20:] if name not in posting.paged_for else posting.paged_for
    return replace(
        posting,
        pages_owed=posting.pages_owed + (not old),
        paged_severity=max(severity, posting.paged_severity),
        paged_for=names,
    )


# --- quiet --------------------------------------------------------------------------------------------------------------


def _under(posting: Posting, hush: Rule | None) -> Posting:
    """As `hush` finds it, all of it."""
    if hush is None:
        return posting
    return replace(posting, quiet=hush.key, quiet_until=hush.until, tell=Loudness.COUNT)


def falls(posting: Posting, owing: Posting, incident: Incident, hush: Rule | None) -> bool:
    """Whether a change ends the quiet of an Incident: it is worse, another problem, or has a new one that nobody spoke of.

    `owing` is `posting` with the page that the change asks for, if it asks for one.
    """
    if incident.reason in (Reason.ESCALATED, Reason.CAUSE):
        return True
    names_another = incident.reason is Reason.MEMBER and owing.pages_owed > posting.pages_owed
    return names_another and (hush is None or bool(hush.incident))


def _heard(posting: Posting, owing: Posting, incident: Incident, policy: ChannelPolicy, hush: Rule | None) -> Posting:
    """What becomes of the page that a change asks for: it is owed, and made once nothing takes its sound any more."""
    if not is_quiet(posting):
        return owing if hush is None else posting
    if not falls(posting, owing, incident, hush):
        return owing
    return _told(owing, incident, policy, Loudness.NOTIFY)


def _told(posting: Posting, incident: Incident, policy: ChannelPolicy, aloud: Loudness) -> Posting:
    """Nothing takes its sound any more: what goes on and would have sounded says so once, a page that is owed by itself."""
    after = replace(posting, quiet="", quiet_until=None)
    if not incident.is_open or posting.closed or incident.folded_into is not None:
        return after
    loud = level(posting, incident, policy)
    if loud < Loudness.NOTIFY or (loud is Loudness.PAGE and owes_page(posting)):
        return after
    return replace(after, tell=aloud)


def quieted(posting: Posting, incident: Incident, policy: ChannelPolicy, rule: Rule, now: Instant) -> Posting:
    """`rule` takes every sound of it from now on, and its card says so."""
    if (posting.quiet, posting.quiet_until) == (rule.key, rule.until):
        return posting
    after = _under(posting, rule)
    if incident.is_open and not posting.closed:
        after = replace(after, wanted=posting.wanted + 1)
    return scheduled(after, incident, policy, now)


def quiet_over(posting: Posting, incident: Incident, policy: ChannelPolicy, now: Instant, aloud: Loudness) -> Posting:
    """No rule and no night holds for it any more. `aloud` is how loud it tells that it is left, if it is: once for a Channel."""
    after = _told(posting, incident, policy, aloud)
    if is_quiet(posting) and incident.is_open and not posting.closed:
        after = replace(after, wanted=posting.wanted + 1)
    night = policy.night_until(now)
    if night is not None and after.tell is not Loudness.COUNT:
        after = replace(after, tell=Loudness.COUNT, quiet=NIGHT, quiet_until=night)
    return scheduled(after, incident, policy, now)


# --- what the sender changes --------------------------------------------------------------------------------------------


def moved(posting: Posting, incident: Incident, policy: ChannelPolicy, now: Instant) -> Posting:
    """Its Channel has another webhook, or thread: it arrives there, and a page that it owes is made there."""
    if incident.folded_into is not None or posting.shown == 0:
        return scheduled(replace(posting, message=None), incident, policy, now)
    return scheduled(replace(posting, shown=0, arrived=True), incident, policy, now)


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
    if step.why in (Why.PAGE, Why.REMIND):
        after = _paged(after, asked, now)
        if step.why is Why.REMIND:
            after = replace(after, pages_owed=after.pages_owed + 1, pages_made=after.pages_made + 1)
        if not incident.is_open:  # It ended while the page was on its way: who heard the one is told the other.
            after = _end_owed(after, policy, _settled_at(incident, settle, now))
    if step.posts and step.why is not Why.ARRIVED:
        after = replace(after, arrived=False)
    if step.posts and incident.is_open:
        after = _sounded(after, asked, step)
    return scheduled(after, incident, policy, now)


def _sounded(posting: Posting, asked: Posting, step: Step) -> Posting:
    """A new message stands: what was to be told is told, and a sound that the night took is owed in the morning."""
    after = replace(posting, tell=Loudness.COUNT) if posting.tell is asked.tell else posting
    if step.quiet == NIGHT and not after.quiet:
        return replace(after, quiet=NIGHT, quiet_until=step.quiet_until)
    if step.loudness >= Loudness.NOTIFY and after.quiet == NIGHT:
        return replace(after, quiet="", quiet_until=None)
    return after


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


def retried(posting: Posting, incident: Incident, policy: ChannelPolicy, now: Instant) -> Posting:
    """A person asks for what was parked to be tried once more, and may have mended what kept it from being shown."""
    fresh = replace(posting, parked="", degraded=Degraded.NO, tries=0, due_at=None)
    return scheduled(fresh, incident, policy, now)
