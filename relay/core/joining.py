"""Membership: which Incident a Signal belongs to, and what that does to it. Every Event goes through `take`; nothing else opens or closes.

A batch and its Events one by one give the same state, and a replay gives the same Incidents, ids included.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any, Final

from relay.core import arrival, changes, due, flapping, folding, heartbeats, holding, news, progress, quiet, rollout
from relay.core import signal as signals
from relay.core.attention import ChannelPolicy, Resolved
from relay.core.event import Effect, Event, Instant, Severity, Source
from relay.core.identity import incident_id, raised
from relay.core.incident import Firing, Incident, Reason
from relay.core.known import Entry, Known, KnownObject, keys_of
from relay.core.policy import Expected, Hold, Policy
from relay.core.posting import Posting
from relay.core.routing import channels_of
from relay.core.signal import Applied, Signal, State
from relay.core.values import replace

RECENT: Final = 600.0
"""Seconds in which a copy of a Flux event changes nothing but when it was last seen."""
_SOONER: Final = 60.0
"""Seconds by which a deadline must come sooner before a repeat writes it. A later one is found when the old one is due."""


_UNTOLD: Final = frozenset({Reason.EXPIRED, Reason.STALLED})
"""Ends that make no sound: nobody knows that it is well."""
_SEEN_ANEW: Final = 3600.0
"""Seconds after which an object's `seen_at` alone is written again: it only keeps history, and history is long."""


def take(known: Known, event: Event, policy: Policy) -> Reason:
    """Apply one Event to what is known: Signal, Incident and Postings. Returns what it was, for the log and the metric."""
    copied = bool(event.digest) and event.received_at - known.recent.get(event.digest, -RECENT) < RECENT
    if event.digest:
        known.remember(event.digest, event.received_at)
    if event.source is Source.FLUX:
        thing = known.objects.get(event.subject.key)
        _see_object(known, event)
        changes.note(known, event, thing)
        _roll_out(known, event, thing)
        progress.moved(known, event, thing)
    for name, expected in heartbeats.names_of(event, policy.heartbeats).items():
        _beat(known, name, expected, event)
    before = known.signals.get(event.signal_key)
    if copied:
        return _seen_only(known, before, event)
    if _closes_anothers(known, before, event):
        return Reason.OTHER_CLUSTER
    if _older_than_success(known, event):
        return Reason.OLDER_THAN_SUCCESS
    applied = signals.apply(before, event, policy.incidents)
    if applied.signal is None or applied.signal is before:
        return applied.reason
    if _needs_incident(known, before, applied):
        return _join(known, applied.signal, event, policy)
    return _moved(known, before, applied.signal, applied, event, policy)


def _needs_incident(known: Known, before: Signal | None, applied: Applied) -> bool:
    """Whether a firing Signal must find its Incident: it opened, or speaks again after the one it had was over without it."""
    signal = applied.signal
    if signal is None or not signal.keeps_open:
        return False
    own = known.incidents.get(signal.incident) if signal.incident else None
    if own is None:
        return True
    if own.is_open:
        return before is not None and before.state is not State.FIRING
    return applied.opened or applied.reason is Reason.REOPENED or own.reason is Reason.EXPIRED


def _seen_only(known: Known, before: Signal | None, event: Event) -> Reason:
    if before is not None and before.seen_at < event.received_at:
        known.touch_signal(replace(before, seen_at=event.received_at))
    return Reason.DUPLICATE


def _beat(known: Known, name: str, expected: Expected | None, event: Event) -> None:
    before = known.heartbeats.get(name)
    after = heartbeats.heard(before, name, event, expected)
    if after is not None and after is not before:
        known.put_heartbeat(after)


def _closes_anothers(known: Known, before: Signal | None, event: Event) -> bool:
    """A success of another object of that name: of another cluster's, if the one that failed goes on to speak, or may.

    An object that was made anew has another uid too; the old one is silent from then on.
    """
    if event.source is not Source.FLUX or event.effect is not Effect.CLOSES or before is None:
        return False
    failed, well = before.attributes.get("uid", ""), event.attributes.get("uid", "")
    if not failed or not well or failed == well or not before.keeps_open:
        return False
    thing = known.objects.get(event.subject.key)
    silent = event.received_at - before.seen_at
    return (thing is not None and thing.twin) or silent < max(news.HOUR, 3 * before.longest_gap)


def _older_than_success(known: Known, event: Event) -> bool:
    """A failure of Flux from before the object's last success: it is history, and never opens."""
    if event.source is not Source.FLUX or event.effect is not Effect.OPENS or event.aspect != "ready":
        return False
    thing = known.objects.get(event.subject.key)
    return thing is not None and thing.succeeded_at is not None and event.at < thing.succeeded_at


def _roll_out(known: Known, event: Event, thing: KnownObject | None) -> None:
    """The revision that `event` tells of goes on its way; `thing` is what was known of the object until now."""
    for key in rollout.keys_of(event):
        before = known.rollouts.get(key)
        revision = thing.revision if thing is not None else ""
        since = thing.revision_since if thing is not None else None
        was_ready = (
            thing is not None
            and revision == event.attributes.get("revision", "")
            and thing.succeeded_at is not None
            and thing.succeeded_at >= (since or 0.0)
        )
        noted = rollout.noted(before, event)
        after = rollout.taken(noted, event, known_revision=revision, was_ready=was_ready)
        if after is not None and after is not before:
            known.put_rollout(after)


def _see_object(known: Known, event: Event) -> None:
    """Remember revision, success and beat of a Flux object; that it was seen at all is worth writing once an hour."""
    thing = known.objects.get(event.subject.key) or KnownObject(event.subject, 0.0)
    fresh: dict[str, Any] = {}
    uid, revision = event.attributes.get("uid", ""), event.attributes.get("revision", "")
    if uid and uid != thing.uid:
        fresh |= {"uid": uid, "uid_before": thing.uid}
        if uid == thing.uid_before:  # It was another one in between: an object that is made anew never comes back.
            fresh["twin"] = True
            known.twins[event.subject.cluster] = f"{event.subject.kind} {event.subject.place}"
    if revision and revision != thing.revision:
        fresh |= {"revision": revision, "revision_since": event.at}
    if event.effect is Effect.CLOSES and event.aspect == "ready" and event.at > (thing.succeeded_at or 0.0):
        fresh["succeeded_at"] = event.at
    if event.beat:
        gap = event.received_at - thing.beat_at if thing.beat_at is not None else 0.0
        fresh |= {"beats": thing.beats + 1, "beat_at": event.received_at, "longest_gap": max(thing.longest_gap, gap)}
    if fresh or event.received_at - thing.seen_at >= _SEEN_ANEW:
        known.put_object(replace(thing, seen_at=event.received_at, **fresh))


# --- a Signal that opens ------------------------------------------------------------------------------------------------


def _join(known: Known, fresh: Signal, event: Event, policy: Policy) -> Reason:
    """A Signal opened: into its own open Incident, one that its keys find, its own of a moment ago, or a new one."""
    now = event.received_at
    own = known.incidents.get(fresh.incident) if fresh.incident else None
    if own is not None and own.is_open:
        return _add(known, own, fresh, event, policy, Reason.MEMBER)
    for key in (*keys_of(event, policy), *known.links_of(event, policy).same):
        found = known.incidents.get(known.keys.get(key, ""))
        if found is not None and found.is_open:
            return _add(known, found, fresh, event, policy, Reason.MEMBER)
    if own is not None and flapping.comes_back(own, now, policy.incidents):
        return _add(known, own, fresh, event, policy, Reason.REOPENED)
    return _open(known, fresh, event, policy, follows=own)


def _open(known: Known, fresh: Signal, event: Event, policy: Policy, follows: Incident | None) -> Reason:
    """A new Incident of this one Signal."""
    now = event.received_at
    hold, seconds = holding.held_for(fresh, event.sender, policy)
    changed = changes.before(known, fresh.subject, fresh.since)
    incident = Incident(
        id=incident_id(fresh.key, fresh.since, fresh.episode),
        subject=raised(fresh.subject),
        source=fresh.source,
        lead=fresh.key,
        since=fresh.since,
        opened_at=now,
        visible_at=now + seconds,
        changed_at=now,
        severity=fresh.severity,
        peak=fresh.severity,
        firing=Firing().plus(fresh.severity, 1),
        follows=follows.id if follows else None,
        hold=hold,
        change_revision=changed.changed_by if changed else "",
        change_at=changed.changed_at if changed else None,
        change=changed.change if changed else "",
        expires_at=news.due_at(known, fresh, policy.incidents, now),
    )
    known.put_incident(incident)
    _enter(known, replace(fresh, incident=incident.id), incident, event, policy)
    _post(known, incident, fresh, policy, Reason.OPENED, now)
    _note(known, Reason.OPENED, event, incident)
    folding.opened(known, incident.id, event, policy)
    progress.opened(known, incident.id, event, policy)
    return Reason.OPENED


def _add(known: Known, incident: Incident, fresh: Signal, event: Event, policy: Policy, why: Reason) -> Reason:
    """A Signal joins an Incident, which is open or opens again."""
    now = event.received_at
    newcomer = fresh.incident != incident.id
    weaker = _supersede(known, fresh, incident.id)
    firing = incident.firing.plus(fresh.severity, 1)
    for sibling in weaker:
        firing = firing.plus(sibling.severity, -1)
    reason = why
    worst = max(firing.worst, incident.effects.worst)
    if why is Reason.MEMBER and worst > incident.severity:
        reason = Reason.ESCALATED
    after = replace(
        incident,
        firing=firing,
        severity=worst,
        peak=max(incident.peak, worst),
        members=incident.members + newcomer,
        reason=reason,
        version=incident.version + 1,
        changed_at=now,
        expires_at=news.due_at(known, fresh, policy.incidents, now),
        silent_since=None,
        tend_at=now if incident.silent_since is not None else incident.tend_at,
    )
    if why is Reason.REOPENED:
        after = replace(
            after,
            closed_at=None,
            closed_by="",
            folded_into=None,
            probably=False,
            tend_at=None,
            lead=fresh.key,
            visible_at=inf if incident.reason is Reason.HEALED else incident.visible_at,
        )
        if incident.reason is not Reason.HEALED:  # Nobody saw that it came and went.
            after = flapping.again(after, now, policy.incidents)
            reason = after.reason
    after = holding.held(after, fresh, event.sender, policy, now)
    if reason is Reason.ESCALATED:
        after = replace(after, lead=fresh.key)
    known.put_incident(after)
    _enter(known, replace(fresh, incident=incident.id), after, event, policy)
    _post(known, after, fresh, policy, reason, now)
    _note(known, reason, event, after)
    folding.followed(known, incident, now, policy)
    folding.opened(known, incident.id, event, policy, was=known.incidents.get(incident.folded_into or ""))
    progress.opened(known, incident.id, event, policy)
    return reason


def _supersede(known: Known, fresh: Signal, incident: str) -> list[Signal]:
    """The weaker severities of the same alert, last seen before this one opened: they do not keep the Incident open any more."""
    weaker = []
    for key in sorted(known.siblings.get(fresh.semantic_key, ())) if fresh.semantic_key else ():
        sibling = known.signals[key]
        if sibling.incident == incident and sibling.keeps_open and sibling.severity < fresh.severity:
            known.put_signal(replace(sibling, superseded=True))
            weaker.append(sibling)
    return weaker


def _enter(known: Known, signal: Signal, incident: Incident, event: Event, policy: Policy) -> None:
    """Store the Signal as a member, with the keys by which later ones find the Incident."""
    known.put_signal(signal)
    for key in keys_of(event, policy):
        known.claim(key, incident.id)


# --- a Signal that moves ------------------------------------------------------------------------------------------------


def _moved(
    known: Known, before: Signal | None, signal: Signal, applied: Applied, event: Event, policy: Policy
) -> Reason:
    """A Signal of a known Incident changed, repeated or ended; or is held, and has none yet."""
    reason = applied.reason
    if reason is Reason.REPEATED and before is not None:
        signal = _heard(known, before, signal, event)
    if applied.touched and signal is applied.signal:
        known.touch_signal(signal)
    else:
        known.put_signal(signal)
    incident = known.incidents.get(signal.incident) if signal.incident else None
    if incident is None or not incident.is_open or reason in _SILENT:
        return reason
    was, incident = incident, _let_go(known, incident, signal, reason, event, policy)
    firing = incident.firing
    if before is None or before.severity is not signal.severity or before.keeps_open is not signal.keeps_open:
        if before is not None and before.keeps_open:
            firing = firing.plus(before.severity, -1)
        if signal.keeps_open:
            firing = firing.plus(signal.severity, 1)
    reason = settle(known, incident, signal, firing, reason, event.received_at, policy)
    folding.followed(known, was, event.received_at, policy)
    if before is not None and signal.keeps_open and signal.cause != before.cause:
        over = folding.another_cause(known, signal, incident.id, event, policy)
        _close_root(known, over, event.received_at, policy)
    return reason


def _heard(known: Known, before: Signal, signal: Signal, event: Event) -> Signal:
    """A repeat tells its sender's rhythm; one of Alertmanager's only where its whole delivery was one (`news.learn`)."""
    if event.source is Source.FLUX:
        return news.with_gap(signal, before.seen_at, event.received_at, known.awake_since)
    known.said_before.setdefault(signal.key, before.seen_at)
    return signal


def _let_go(known: Known, incident: Incident, signal: Signal, reason: Reason, event: Event, policy: Policy) -> Incident:
    """What held it back may be over: then it is due now."""
    now = event.received_at
    after = holding.moved(incident, signal, reason, event.sender, policy, now)
    if after is not incident:
        known.put_incident(after)
        _due(known, after, now, policy)
    return after


def _due(known: Known, incident: Incident, now: Instant, policy: Policy) -> None:
    """Its Channels show it when it is visible."""
    for posting in known.postings_of(incident.id):
        if (channel := policy.channels.get(posting.channel)) is not None:
            known.put_posting(due.scheduled(posting, incident, channel, now))


_SILENT: Final = frozenset(
    {Reason.HELD, Reason.NOT_SHOWN, Reason.LATE_RESOLVE, Reason.OLDER_THAN_SUCCESS, Reason.NOTED}
)


def settle(
    known: Known, incident: Incident, signal: Signal, firing: Firing, reason: Reason, now: Instant, policy: Policy
) -> Reason:
    """An open Incident after one of its members changed: still open, worse, better, or over."""
    if firing.total == 0:
        return close(known, replace(incident, firing=firing), Reason.RESOLVED, now, policy, source=signal.source)
    if incident.silent_since is not None:
        incident = replace(incident, silent_since=None, tend_at=now)
        reason = Reason.HEARD_AGAIN if reason is Reason.REPEATED else reason
    if reason is Reason.REPEATED and firing == incident.firing:
        return _repeat(known, incident, signal, now, policy)
    if reason is Reason.RESOLVED:
        reason = Reason.MEMBER_RESOLVED
    worst = max(firing.worst, incident.effects.worst)
    if worst != incident.severity and reason is not Reason.REOPENED:
        reason = Reason.ESCALATED if worst > incident.severity else Reason.EASED
    if not reason.visible:
        known.put_incident(replace(incident, firing=firing))
        return reason
    after = replace(
        incident,
        firing=firing,
        severity=worst,
        peak=max(incident.peak, worst),
        reason=reason,
        version=incident.version + 1,
        changed_at=now,
        expires_at=news.due_at(known, signal, policy.incidents, now),
    )
    known.put_incident(after)
    _post(known, after, signal, policy, reason, now)
    known.journal.append(Entry(now, reason, signal.source, signal.key, incident.id))
    return reason


def _repeat(known: Known, incident: Incident, signal: Signal, now: Instant, policy: Policy) -> Reason:
    """Said again: nothing to show, at most a count to refresh later."""
    expires = news.due_at(known, signal, policy.incidents, now)
    if expires is not None and incident.expires_at is not None and incident.expires_at - expires > _SOONER:
        known.put_incident(replace(incident, expires_at=expires))
    for posting in known.postings_of(incident.id):
        after = due.repeated(posting, incident, signal.count, now)
        if after is not posting:
            known.put_posting(after)
    return Reason.REPEATED


def close(
    known: Known,
    incident: Incident,
    reason: Reason,
    now: Instant,
    policy: Policy,
    *,
    source: Source = Source.RELAY,
    by: str = "",
) -> Reason:
    """It is over. What ended within its hold is counted and never shown; all else becomes a record in every Channel it was shown in."""
    held = incident.hold is not Hold.NONE and now < incident.visible_at
    if held and not any(posting.shown for posting in known.postings_of(incident.id)):
        reason = Reason.HEALED
        _count_healed(known, incident, now)
    after = replace(
        incident,
        closed_at=now,
        reason=reason,
        version=incident.version + 1,
        changed_at=now,
        expires_at=None,
        closed_by=by,
        firing=Firing() if reason is Reason.EXPIRED else incident.firing,  # Who speaks again is counted anew.
        tend_at=folding.tended_from(incident, now),
    )
    known.put_incident(after)
    known.release(incident.id)
    for posting in known.postings_of(incident.id):
        channel = policy.channels.get(posting.channel)
        if channel is None:
            continue
        announced = channel if reason not in _UNTOLD else replace(channel, resolved=Resolved.EDIT)
        ended = due.over(posting, after, announced, policy.incidents.settle, now)
        if reason is Reason.HEALED:
            ended = replace(ended, due_at=None, end_due_at=None, wanted=posting.shown, rank=0)
        known.put_posting(ended)
    known.journal.append(Entry(now, reason, source, incident=incident.id))
    _close_root(known, folding.left(known, incident, now, policy), now, policy)
    return reason


def _close_root(known: Known, root: Incident | None, now: Instant, policy: Policy) -> None:
    """A cause that does not report itself is over when its effects are."""
    if root is not None:
        close(known, root, Reason.RESOLVED, now, policy)


def _count_healed(known: Known, incident: Incident, now: Instant) -> None:
    thing = known.objects.get(incident.subject.key)
    if thing is not None:
        recent = thing.healed if now - (thing.healed_at or 0.0) <= due.DAY else 0
        known.put_object(replace(thing, healed=recent + 1, healed_at=now))


# --- what Channels owe --------------------------------------------------------------------------------------------------


def _post(known: Known, incident: Incident, signal: Signal, policy: Policy, reason: Reason, now: Instant) -> None:
    """One visible change: every Channel that shows the Incident wants it, and those that the Signal is routed to join them."""
    routed = set(channels_of(policy.routes, signal.labels)) if signal.keeps_open else set()
    name = signal.alertname or signal.cause
    rules = (*known.quiet, *policy.quiet)
    if reason in (Reason.ESCALATED, Reason.CAUSE):
        incident = _loud(known, incident, now)
    hush = quiet.holding(rules, incident.id, incident.loud_since, (signal.labels,), now) if rules else None
    old = arrival.was_here(known, signal, now)
    for posting in known.postings_of(incident.id):
        channel = policy.channels.get(posting.channel)
        if channel is None or posting.closed:
            continue
        severity = signal.severity if posting.channel in routed else Severity.NONE
        move = due.reopened if reason in (Reason.REOPENED, Reason.FLAPPING) else due.changed
        after = move(posting, incident, channel, now, severity=severity, name=name, hush=hush, old=old)
        if due.is_quiet(posting) and not due.is_quiet(after):
            incident = _loud(known, incident, now)
        known.put_posting(after)
    for channel_name in sorted(routed):
        channel = policy.channels.get(channel_name)
        if channel is not None and (incident.id, channel_name) not in known.postings:
            fresh = due.opened(incident, channel, signal.severity, name, now, hush=hush, old=old)
            if fresh is not None:
                known.put_posting(fresh)


def _loud(known: Known, incident: Incident, now: Instant) -> Incident:
    """It is worse, or another problem: no quiet that was asked for until now holds for it."""
    after = replace(incident, loud_since=now)
    known.put_incident(after)
    return after


def _note(known: Known, reason: Reason, event: Event, incident: Incident) -> None:
    known.journal.append(Entry(event.received_at, reason, event.source, event.signal_key, incident.id))


# --- time and configuration ---------------------------------------------------------------------------------------------


def release_held(known: Known, held: Iterable[Signal], now: Instant, policy: Policy) -> int:
    """Held firings whose resolve did not follow open now. Returns how many."""
    count = 0
    for signal in held:
        current = known.signals.get(signal.key, signal)
        if current.state is not State.HELD or current.held_until is None or current.held_until > now:
            continue
        if (opened := signals.release(current, now).signal) is not None:
            _join(known, opened, as_event(opened, now), policy)
            count += 1
    return count


def as_event(signal: Signal, now: Instant) -> Event:
    """The Event that a Signal's record amounts to: for what opens later than it was told."""
    return Event(
        source=signal.source,
        sender=signal.labels.get("source", signal.source.value),
        subject=signal.subject,
        aspect=signal.aspect,
        signal_key=signal.key,
        effect=Effect.OPENS,
        severity=signal.severity,
        reason=signal.reason,
        message=signal.message,
        at=signal.sent_at,
        received_at=now,
        labels=signal.labels,
        attributes=signal.attributes,
        semantic_key=signal.semantic_key,
        group_key=signal.group_key,
        starts_at=signal.since,
        names=signal.names,
    )


def ask_again(known: Known, incident: Incident, members: Iterable[Signal], now: Instant, policy: Policy) -> None:
    """Other trees are there: what was held because nobody knew better may be due sooner, or later."""
    for signal in members:
        if signal.key == incident.lead:
            after = holding.asked_again(incident, signal, policy, now)
            if after != incident:
                known.put_incident(after)
                _due(known, after, now, policy)


def expire(known: Known, incidents: Iterable[Incident], now: Instant, policy: Policy) -> int:
    """Incidents that nobody spoke of for too long turn grey, and later are closed, never green: we do not know. Returns how many were due.

    `known` holds their Signals that fire, and the objects of those.
    """
    members: dict[str, list[Signal]] = {}
    for signal in known.signals.values():
        if signal.incident is not None and signal.keeps_open:
            members.setdefault(signal.incident, []).append(signal)
    count = 0
    for incident in incidents:
        current = known.incidents.get(incident.id, incident)
        if current.is_open and current.expires_at is not None and current.expires_at <= now:
            _silent(known, current, members.get(current.id, []), now, policy)
            count += 1
    return count


def _silent(known: Known, incident: Incident, members: list[Signal], now: Instant, policy: Policy) -> None:
    """Its deadline has come: it is heard of yet, turns grey, or is given up."""
    ends_alone = all(signal.source is Source.RELAY for signal in members)
    if incident.root == progress.ROOT:
        close(known, incident, Reason.STALLED, now, policy)
        return
    if incident.silent_since is not None or ends_alone:
        close(known, incident, Reason.EXPIRED, now, policy)
        return
    overdue = news.overdue_at(known, members, policy.incidents)
    if overdue is None or overdue > now:
        known.put_incident(replace(incident, expires_at=overdue))
        return
    grey = replace(
        incident,
        silent_since=max(signal.seen_at for signal in members),
        expires_at=now + policy.incidents.expire_after,
        reason=Reason.NO_NEWS,
        version=incident.version + 1,
        changed_at=now,
        tend_at=folding.tended_from(incident, now),
    )
    known.put_incident(grey)
    _post(known, grey, members[0], policy, Reason.NO_NEWS, now)
    known.journal.append(Entry(now, Reason.NO_NEWS, members[0].source, members[0].key, incident.id))


def reroute(known: Known, incident: Incident, members: Iterable[Signal], now: Instant, policy: Policy) -> bool:
    """After a reload: a removed Channel closes its Posting, a new one gets one. Returns whether anything changed."""
    moved = False
    for posting in known.postings_of(incident.id):
        if posting.channel not in policy.channels and not posting.closed:
            known.put_posting(replace(posting, closed=True, due_at=None, end_due_at=None))
            known.journal.append(Entry(now, Reason.CHANNEL_REMOVED, Source.RELAY, "", incident.id, posting.channel))
            moved = True
    for signal in members:
        if not signal.keeps_open:
            continue
        for name in channels_of(policy.routes, signal.labels):
            channel = policy.channels.get(name)
            if channel is None:
                continue
            fresh = _routed_again(known.postings.get((incident.id, name)), incident, channel, signal, now)
            if fresh is not None:
                known.put_posting(fresh)
                known.journal.append(Entry(now, Reason.REROUTED, Source.RELAY, signal.key, incident.id, name))
                moved = True
    if moved:
        folding.followed(known, incident, now, policy)
    return moved


def _routed_again(
    posting: Posting | None, incident: Incident, channel: ChannelPolicy, signal: Signal, now: Instant
) -> Posting | None:
    """What a Channel owes that has no Posting, or one from before it was removed; None where all is as it was."""
    name = signal.alertname or signal.cause
    if posting is None:  # It was there before it had this Channel.
        return due.opened(incident, channel, signal.severity, name, now, old=True)
    if posting.closed and posting.deleted_at is None:
        return due.changed(replace(posting, closed=False), incident, channel, now, severity=signal.severity, name=name)
    return None
