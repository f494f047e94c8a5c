"""Folding hides an effect under its cause, and loses nothing: silence, not state. Every fold ends at one root, and is one deep.

An effect stays an Incident of its own and counts as ever, but owes nobody a sound; what its Channels would have been shown, the root's
are. An Incident that opens looks for its causes by key, and waits under the keys that nobody holds; a cause that opens finds it there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Final

from relay.core import due, flapping, holding
from relay.core.attention import ChannelPolicy, Loudness
from relay.core.edges import Cause, Edge, began_too_early
from relay.core.event import Event, Instant, Severity, Source, Subject
from relay.core.identity import incident_id, object_keys
from relay.core.incident import Firing, Incident, Reason
from relay.core.known import Entry, Known
from relay.core.policy import Policy
from relay.core.posting import Posting
from relay.core.signal import Signal
from relay.core.values import replace

GRACE: Final = 600.0
"""Seconds after the end of a cause until what still fires of its effects is shown on its own. Alertmanager tells that a group has changed
within five minutes, and most of Flux's objects are looked at again within ten: sooner much is told that is over already."""
MANY: Final = 256
"""Effects that wait for one cause, beyond which the others are folded a moment later."""
PROGRESS: Final = "progress"
"""The `root` of the Incident that stands for a cluster on its way (`core/progress.py`)."""
NOTHING: Final = Firing()


# --- what opens -----------------------------------------------------------------------------------------------------------


def opened(known: Known, incident: str, event: Event, policy: Policy, was: Incident | None = None) -> None:
    """A Signal opened in `incident`: it folds under its cause if that is there, and what waits for it folds under it.

    `was` is the root under which it had been folded when it was last over.
    """
    links, now = known.links_of(event, policy), event.received_at
    for key in links.claims:
        known.claim(key, incident)
    _wait(known, incident, links.causes)
    if known.incidents[incident].folded_into is None:
        _find_cause(known, incident, links.causes, now, policy, was)
    _gather(known, incident, (*object_keys(event.subject), *links.claims), now, policy)


def _wait(known: Known, incident: str, causes: Iterable[Cause]) -> None:
    for cause in causes:
        known.wait(cause.key, incident, cause.edge.name)


def _find_cause(
    known: Known, effect: str, causes: Iterable[Cause], now: Instant, policy: Policy, was: Incident | None = None
) -> bool:
    """Fold `effect` under the first of its causes that is there, or that is proven by now. Returns whether it did."""
    for cause in causes:
        holder = known.incidents.get(known.keys.get(cause.key, ""))
        if holder is not None and holder.is_open:
            if _fold_under(known, effect, holder, cause.edge, now, policy):
                return True
        elif _open_root(known, effect, cause, now, policy, was):
            return True
    return False


def _fold_under(known: Known, effect: str, holder: Incident, edge: Edge, now: Instant, policy: Policy) -> bool:
    """Fold `effect` under the root of `holder`, unless that is itself, or came too late to be its cause. Returns whether it did."""
    current = known.incidents[effect]
    root = holder if holder.folded_into is None else known.incidents.get(holder.folded_into)
    if root is None or effect in (root.id, holder.id) or began_too_early(edge, current.since, holder.since):
        return False
    if root.silent_since is not None:  # Nobody knows whether it goes on: it hides nothing.
        return False
    fold(known, current, root, edge, now, policy)
    return True


def _gather(known: Known, cause: str, keys: Iterable[str], now: Instant, policy: Policy) -> None:
    """Fold what waits under `keys`, as far as `cause` holds them, under it."""
    for key in keys:
        if known.keys.get(key) != cause:
            continue
        waiting = known.waiting.get(key, {})
        if len(waiting) >= MANY:
            known.put_incident(replace(known.incidents[cause], tend_at=now))
        for effect, name in sorted(waiting.items()):
            edge, current = policy.edges.by_name.get(name), known.incidents.get(effect)
            if edge is None or current is None or not current.is_open or current.folded_into is not None:
                continue
            _fold_under(known, effect, known.incidents[cause], edge, now, policy)


# --- a fold ---------------------------------------------------------------------------------------------------------------


def fold(known: Known, effect: Incident, root: Incident, edge: Edge, now: Instant, policy: Policy) -> None:
    """`effect` is part of `root` from now on, with all that is folded into it."""
    inherited = effect.effects
    if inherited.total:
        for one, into in known.refolded.items():
            known.refolded[one] = root.id if into == effect.id else into
        known.refolded[effect.id] = root.id
        for other in [one for one in known.incidents.values() if one.folded_into == effect.id and one.is_open]:
            known.put_incident(replace(other, folded_into=root.id))
    folded = replace(
        effect,
        severity=effect.firing.worst,
        effects=NOTHING,
        folded_into=root.id,
        probably=edge.weak,
        reason=Reason.FOLDED,
        version=effect.version + 1,
        changed_at=now,
    )
    if effect.root:  # Its effects were all there was of it.
        folded = replace(folded, severity=effect.severity, closed_at=now, expires_at=None, tend_at=None)
        known.release(effect.id)
    known.put_incident(folded)
    known.journal.append(Entry(now, Reason.FOLDED, effect.source, effect.lead, effect.id, other=root.id))
    counted = _added(root.effects, inherited)
    if folded.is_open:
        counted = counted.plus(folded.severity, 1)
    _told(known, _weighed(root, counted, Reason.FOLDED, now, seen_from=_due_from(folded)), now, policy, folded)
    _show(known, folded, now, policy)


def _added(some: Firing, more: Firing) -> Firing:
    return Firing(
        some.info + more.info, some.warning + more.warning, some.error + more.error, some.critical + more.critical
    )


def _due_from(effect: Incident) -> Instant:
    """When a cause should be visible on behalf of `effect`: an alert has waited already, what heals holds a cause that reports itself."""
    return effect.visible_at if effect.source is Source.ALERTMANAGER else inf


def _weighed(root: Incident, effects: Firing, reason: Reason, now: Instant, seen_from: Instant = inf) -> Incident:
    """`root` with other effects, which are as bad as its members."""
    severity = as_bad(root, max(root.firing.worst, effects.worst)) if root.is_open else root.severity
    return replace(
        root,
        effects=effects,
        severity=severity if severity is not Severity.NONE else root.severity,
        peak=max(root.peak, severity),
        visible_at=min(root.visible_at, seen_from),
        reason=reason if root.is_open and root.silent_since is None else root.reason,
        version=root.version + 1,
        changed_at=now,
    )


def _told(known: Known, root: Incident, now: Instant, policy: Policy, effect: Incident | None = None) -> None:
    """Store `root` after a visible change; its Channels want it, and those that would be shown `effect`, as loud as that."""
    known.put_incident(root)
    if not root.is_open:
        return
    theirs = {one.channel: one for one in known.postings_of(effect.id) if not one.closed} if effect is not None else {}
    for posting in known.postings_of(root.id):
        channel, other = policy.channels.get(posting.channel), theirs.pop(posting.channel, None)
        if other is not None and posting.closed and posting.deleted_at is None:
            posting = replace(posting, closed=False)  # noqa: PLW2901  # Its Channel was removed, and is back.
        if channel is None or posting.closed:
            continue
        severity = Severity.NONE if other is None or due.is_quiet(other) else as_bad(root, other.severity)
        name = posting.paged_for[0] if posting.paged_for else _name(root)
        old = other is not None and other.arrived
        mine = due.changed(posting, root, channel, now, severity=severity, name=name, old=old)
        known.put_posting(mine if other is None else _taken_over(known, mine, other, root, channel, now))
    for name, other in sorted(theirs.items()):
        channel = policy.channels.get(name)
        severity = as_bad(root, other.severity)
        if channel is None:
            continue
        fresh = due.opened(root, channel, severity, _name(root), now, old=other.arrived)
        if fresh is not None:
            if due.is_quiet(other):
                fresh = replace(fresh, quiet=other.quiet, quiet_until=other.quiet_until)
            known.put_posting(_taken_over(known, fresh, other, root, channel, now))


def as_bad(root: Incident, severity: Severity) -> Severity:
    """How bad a root is by an effect of `severity`: what is on its way is order, whatever fails in it."""
    return min(severity, Severity.WARNING) if root.root == PROGRESS else severity


def _name(root: Incident) -> str:
    """Under which its pages are counted, however many effects it has."""
    return root.root or root.lead


def _taken_over(
    known: Known, mine: Posting, theirs: Posting, root: Incident, channel: ChannelPolicy, now: Instant
) -> Posting:
    """`mine`, of a root that nobody has seen, in the Message that showed its effect: a late cause costs an edit, and no second page."""
    if mine.message is not None or mine.shown or theirs.message is None:
        return due.scheduled(mine, root, channel, now)
    worse = channel.loudness(mine.severity) is Loudness.PAGE and mine.severity > theirs.paged_severity
    known.put_posting(
        replace(
            theirs,
            message=None,
            shown=0,
            shown_at=None,
            paged_at=None,
            pages_owed=min(1, theirs.pages_owed),
            pages_made=0,
            end_due_at=None,
            end_shown_at=None,
        )
    )
    known.handed_over.append((theirs.message, theirs.incident, root.id, theirs.channel))
    after = replace(
        mine,
        message=theirs.message,
        shown=1,
        shown_at=theirs.shown_at,
        arrived=theirs.arrived,
        wanted=mine.wanted + 1,
        paged_at=theirs.paged_at,
        paged_severity=max(mine.paged_severity, theirs.paged_severity),
        paged_for=tuple(dict.fromkeys((*mine.paged_for, *theirs.paged_for)))[-20:],
        pages_made=theirs.pages_made,
        pages_owed=theirs.pages_made + 1 if worse else theirs.pages_owed,
    )
    return due.scheduled(after, root, channel, now)


def _show(known: Known, incident: Incident, now: Instant, policy: Policy) -> None:
    """All its Channels want it as it is now."""
    for posting in known.postings_of(incident.id):
        channel = policy.channels.get(posting.channel)
        if channel is not None and not posting.closed:
            known.put_posting(due.scheduled(replace(posting, wanted=posting.wanted + 1), incident, channel, now))


def _show_anew(known: Known, incident: Incident, now: Instant, policy: Policy) -> None:
    """As `_show`; where it stood before it was folded a new Message takes the place: an edit far above would be seen by nobody."""
    for posting in known.postings_of(incident.id):
        channel = policy.channels.get(posting.channel)
        if channel is not None and posting.message is not None:
            loud = due.level(posting, incident, channel)
            pages = loud is Loudness.PAGE and due.owes_page(posting)
            known.put_posting(replace(posting, tell=Loudness.COUNT if pages else min(loud, Loudness.NOTIFY)))
    _show(known, incident, now, policy)


# --- roots without members ------------------------------------------------------------------------------------------------

_KINDS: Final[Mapping[str, str]] = {"webhook": "Webhook", "host": "Host", "dns": "DNS"}


def _root_subject(cluster: str, root: str) -> Subject:
    """`host:ghcr.io/denied` → Host ghcr.io."""
    kind, _, name = root.partition(":")
    return Subject(cluster, _KINDS.get(kind, kind.capitalize()), "", name.rsplit("/", 1)[0])


def _open_root(
    known: Known, effect: str, cause: Cause, now: Instant, policy: Policy, was: Incident | None = None
) -> bool:
    """Open the cause that does not report itself, if enough of its effects are there, or it is back. Returns whether it did."""
    spec = cause.root
    if spec is None:
        return False
    effects = _unfolded(known, cause.key, now, spec.within)
    if was is not None and was.root == cause.under and flapping.comes_back(was, now, policy.incidents):
        root = _opened_again(known, was, now, policy)
    elif len({one.subject.key for one in effects}) >= spec.threshold:
        root = _new_root(known.incidents[effect], effects, cause, now)
        known.put_incident(root)
    else:
        return False
    known.claim(cause.key, root.id)
    known.journal.append(Entry(now, root.reason, Source.RELAY, incident=root.id))
    for one in effects:
        fold(known, known.incidents[one.id], known.incidents[root.id], cause.edge, now, policy)
    return True


def _unfolded(known: Known, key: str, now: Instant, within: float | None) -> list[Incident]:
    """What waits under `key` and stands for itself, and became what it is `within` so many seconds; oldest first."""
    found = (known.incidents.get(one) for one in known.waiting.get(key, ()))
    fitting = (
        one
        for one in found
        if one is not None
        and one.is_open
        and one.folded_into is None
        and (within is None or now - one.changed_at <= within)
    )
    return sorted(fitting, key=lambda one: (one.opened_at, one.id))


def _new_root(effect: Incident, effects: Sequence[Incident], cause: Cause, now: Instant) -> Incident:
    severity = max(one.firing.worst for one in effects)
    return Incident(
        id=incident_id(cause.key, now, 1),
        subject=_root_subject(effect.subject.cluster, cause.under),
        source=Source.RELAY,
        lead=effects[0].lead,
        since=min(one.since for one in effects),
        opened_at=now,
        visible_at=min(one.visible_at for one in effects),
        changed_at=now,
        severity=severity,
        peak=severity,
        members=0,
        root=cause.under,
    )


def _opened_again(known: Known, root: Incident, now: Instant, policy: Policy) -> Incident:
    again = flapping.again(root, now, policy.incidents)
    after = replace(again, closed_at=None, closed_by="", effects=NOTHING, tend_at=None, version=root.version + 1)
    known.put_incident(after)
    for posting in known.postings_of(root.id):
        channel = policy.channels.get(posting.channel)
        if channel is not None and not posting.closed:
            name = posting.paged_for[0] if posting.paged_for else _name(root)
            known.put_posting(due.reopened(posting, after, channel, now, severity=posting.severity, name=name))
    return after


# --- what moves -----------------------------------------------------------------------------------------------------------


def followed(known: Known, before: Incident, now: Instant, policy: Policy) -> None:
    """`before` is worse, better, due sooner or routed to more Channels now: so is the root that it is folded into."""
    after = known.incidents[before.id]
    root = known.incidents.get(after.folded_into or "")
    if root is None or not after.is_open:
        return
    effects = root.effects
    if after.severity is not before.severity:
        effects = effects.plus(before.severity, -1).plus(after.severity, 1)
    seen_from = after.visible_at if root.root else _due_from(after)
    elsewhere = any((root.id, one.channel) not in known.postings for one in known.postings_of(after.id))
    if effects != root.effects or seen_from < root.visible_at or elsewhere:
        reason = Reason.ESCALATED if effects.worst > root.severity else Reason.FOLDED
        _told(known, _weighed(root, effects, reason, now, seen_from), now, policy, after)


def another_cause(known: Known, signal: Signal, incident: str, event: Event, policy: Policy) -> Incident | None:
    """`signal` fails for another reason now: it folds under another cause, or under none. Returns a root that is over by that."""
    links, now = known.links_of(event, policy), event.received_at
    current = known.incidents[incident]
    leads = signal.key == current.lead or current.members == 1
    if leads:
        known.unwait(incident)
    _wait(known, incident, links.causes)
    for key in links.claims:
        known.claim(key, incident)
    over = None
    if current.folded_into is not None:
        if not leads or any(_leads_to(known, cause.key, current.folded_into) for cause in links.causes):
            return None
        _, seconds = holding.held_for(signal, event.sender, policy)
        unseen = not any(posting.shown for posting in known.postings_of(incident))
        over = _unfold(known, current, now, policy, now + seconds if unseen else current.visible_at)
    _find_cause(known, incident, links.causes, now, policy)
    _gather(known, incident, links.claims, now, policy)
    return over


def _leads_to(known: Known, key: str, root: str) -> bool:
    holder = known.incidents.get(known.keys.get(key, ""))
    return holder is not None and root in (holder.id, holder.folded_into)


def _unfold(known: Known, effect: Incident, now: Instant, policy: Policy, visible_at: Instant) -> Incident | None:
    """`effect` stands for itself again. Returns its root, if that is over by that."""
    after = replace(
        effect,
        folded_into=None,
        probably=False,
        reason=Reason.SURFACED,
        version=effect.version + 1,
        changed_at=now,
        visible_at=visible_at,
    )
    known.put_incident(after)
    entry = Entry(now, Reason.SURFACED, effect.source, effect.lead, effect.id, other=effect.folded_into or "")
    known.journal.append(entry)
    _show_anew(known, after, now, policy)
    return left(known, effect, now, policy)


def left(known: Known, effect: Incident, now: Instant, policy: Policy) -> Incident | None:
    """`effect`, as it was, is over or stands for itself: its root has one less. Returns the root, if that is over by that."""
    root = known.incidents.get(effect.folded_into or "")
    if root is None or not effect.is_open:
        return None
    effects = root.effects.plus(effect.severity, -1)
    after = _weighed(root, effects, Reason.MEMBER_RESOLVED, now)
    if root.root and root.is_open and not effects.total:
        known.put_incident(after)
        return after
    _told(known, after, now, policy)
    return None


def tended_from(incident: Incident, now: Instant) -> Instant | None:
    """When the effects of what is over, or silent, at `now` must be looked after; None where it has none."""
    if not incident.effects.total:
        return None
    return now if incident.root == PROGRESS else now + GRACE


# --- time -----------------------------------------------------------------------------------------------------------------


def tend(
    known: Known,
    cause: str,
    effects: Sequence[Incident],
    waits: Mapping[str, Sequence[tuple[str, str]]],
    now: Instant,
    policy: Policy,
    *,
    more: bool,
) -> None:
    """The cause is over, or nobody speaks of it, and these of its effects go on: each folds under another cause of its own, or is shown.

    `waits` are the keys and edges of each, whose first Signals are known; `more` says that others are left to be looked after.
    """
    surfaced = []
    for one in effects:
        current = known.incidents.get(one.id, one)
        if current.is_open and current.folded_into == cause:
            _unfold(known, current, now, policy, min(current.visible_at, now))
            surfaced.append(current.id)
    for effect in surfaced:
        for key, name in waits.get(effect, ()):
            known.waiting.setdefault(key, {})[effect] = name
    for effect in surfaced:
        if not _fold_again(known, effect, waits.get(effect, ()), now, policy):
            _root_again(known, effect, now, policy)
    known.put_incident(replace(known.incidents[cause], tend_at=now if more else None))


def gather(
    known: Known,
    cause: str,
    effects: Sequence[Incident],
    waits: Mapping[str, Sequence[tuple[str, str]]],
    now: Instant,
    policy: Policy,
    *,
    more: bool,
) -> None:
    """More waited for `cause` than were folded when it opened: these are, too. `more` says that others are left."""
    folded = sum([_fold_again(known, one.id, waits.get(one.id, ()), now, policy) for one in effects])
    known.put_incident(replace(known.incidents[cause], tend_at=now if more and folded else None))


def _root_again(known: Known, effect: str, now: Instant, policy: Policy) -> None:
    """What stands for itself again may be one of several with a cause that does not report itself."""
    current = known.incidents[effect]
    signal = known.signals.get(current.lead)
    if signal is None or not signal.keeps_open or current.folded_into is not None:
        return
    for cause in known.links_of(signal, policy).causes:
        if cause.key not in known.keys and _open_root(known, effect, cause, now, policy):
            return


def _fold_again(known: Known, effect: str, waits: Sequence[tuple[str, str]], now: Instant, policy: Policy) -> bool:
    """Fold what stands for itself under the best of the causes that it waits for. Returns whether there was one."""
    current = known.incidents.get(effect)
    if current is None or not current.is_open or current.folded_into is not None:
        return False
    for edge in policy.edges.all:
        for key in [key for key, name in waits if name == edge.name]:
            holder = known.incidents.get(known.keys.get(key, ""))
            if holder is not None and holder.is_open and _fold_under(known, effect, holder, edge, now, policy):
                return True
    return False
