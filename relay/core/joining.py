"""Membership: which Incident a Signal belongs to, and what that does to it. Every Event goes through `take`; nothing else opens or closes.

A batch and its Events one by one give the same state, and a replay gives the same Incidents, ids included.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from relay.core import due, own
from relay.core import signal as signals
from relay.core.attention import ChannelPolicy, Resolved
from relay.core.event import Effect, Event, Instant, Severity, Source
from relay.core.identity import incident_id, join_keys, named_keys, raised
from relay.core.incident import Firing, Incident, Reason
from relay.core.known import Entry, Known, KnownObject
from relay.core.policy import Policy
from relay.core.posting import Posting
from relay.core.routing import channels_of
from relay.core.signal import Applied, Signal, State
from relay.core.values import replace

RECENT: Final = 600.0
"""Seconds in which a copy of a Flux event changes nothing but when it was last seen."""
_PUSH_EXPIRY: Final = 3600.0
"""Seconds by which an expiry must have moved before it is written again: a repeat alone should cost one row."""


_SEEN_ANEW: Final = 3600.0
"""Seconds after which an object's `seen_at` alone is written again: it only keeps history, and history is long."""


def take(known: Known, event: Event, policy: Policy) -> Reason:
    """Apply one Event to what is known: Signal, Incident and Postings. Returns what it was, for the log and the metric."""
    copied = bool(event.digest) and event.received_at - known.recent.get(event.digest, -RECENT) < RECENT
    if event.digest:
        known.remember(event.digest, event.received_at)
    if event.source is Source.FLUX:
        _see_object(known, event)
    before = known.signals.get(event.signal_key)
    if copied:
        return _seen_only(known, before, event)
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


def _older_than_success(known: Known, event: Event) -> bool:
    """A failure of Flux from before the object's last success: it is history, and never opens."""
    if event.source is not Source.FLUX or event.effect is not Effect.OPENS or event.aspect != "ready":
        return False
    thing = known.objects.get(event.subject.key)
    return thing is not None and thing.succeeded_at is not None and event.at < thing.succeeded_at


def _see_object(known: Known, event: Event) -> None:
    """Remember revision, success and beat of a Flux object; that it was seen at all is worth writing once an hour."""
    thing = known.objects.get(event.subject.key) or KnownObject(event.subject, 0.0)
    changes: dict[str, Any] = {}
    uid, revision = event.attributes.get("uid", ""), event.attributes.get("revision", "")
    if uid and uid != thing.uid:
        changes["uid"] = uid
    if revision and revision != thing.revision:
        changes |= {"revision": revision, "revision_since": event.at}
    if event.effect is Effect.CLOSES and event.aspect == "ready" and event.at > (thing.succeeded_at or 0.0):
        changes["succeeded_at"] = event.at
    if event.beat:
        gap = event.received_at - thing.beat_at if thing.beat_at is not None else 0.0
        changes |= {"beats": thing.beats + 1, "beat_at": event.received_at, "longest_gap": max(thing.longest_gap, gap)}
    if changes or event.received_at - thing.seen_at >= _SEEN_ANEW:
        known.put_object(replace(thing, seen_at=event.received_at, **changes))


# --- a Signal that opens ------------------------------------------------------------------------------------------------


def _join(known: Known, fresh: Signal, event: Event, policy: Policy) -> Reason:
    """A Signal opened: into its own open Incident, one that its keys find, its own of a moment ago, or a new one."""
    now = event.received_at
    own = known.incidents.get(fresh.incident) if fresh.incident else None
    if own is not None and own.is_open:
        return _add(known, own, fresh, event, policy, Reason.MEMBER)
    for key in join_keys(event, policy.incidents.group):
        found = known.incidents.get(known.keys.get(key, ""))
        if found is not None and found.is_open:
            return _add(known, found, fresh, event, policy, Reason.MEMBER)
    if own is not None and own.closed_at is not None and now - own.closed_at <= policy.incidents.reopen_within:
        return _add(known, own, fresh, event, policy, Reason.REOPENED)
    return _open(known, fresh, event, policy, follows=own)


def _open(known: Known, fresh: Signal, event: Event, policy: Policy, follows: Incident | None) -> Reason:
    """A new Incident of this one Signal."""
    now = event.received_at
    incident = Incident(
        id=incident_id(fresh.key, fresh.since, fresh.episode),
        subject=raised(fresh.subject),
        source=fresh.source,
        lead=fresh.key,
        since=fresh.since,
        opened_at=now,
        visible_at=now + hold(event, policy),
        changed_at=now,
        severity=fresh.severity,
        peak=fresh.severity,
        firing=Firing().plus(fresh.severity, 1),
        follows=follows.id if follows else None,
        expires_at=now + _patience(fresh, policy),
    )
    known.put_incident(incident)
    _enter(known, replace(fresh, incident=incident.id), incident, event, policy)
    _post(known, incident, fresh, policy, Reason.OPENED, now)
    _note(known, Reason.OPENED, event, incident)
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
    if why is Reason.MEMBER and firing.worst > incident.severity:
        reason = Reason.ESCALATED
    after = replace(
        incident,
        firing=firing,
        severity=firing.worst,
        peak=max(incident.peak, firing.worst),
        members=incident.members + newcomer,
        reason=reason,
        version=incident.version + 1,
        changed_at=now,
        expires_at=now + _patience(fresh, policy),
        visible_at=min(incident.visible_at, now + hold(event, policy)),
    )
    if why is Reason.REOPENED:
        healed = incident.reason is Reason.HEALED
        after = replace(
            after,
            closed_at=None,
            closed_by="",
            reopenings=incident.reopenings + 1,
            lead=fresh.key,
            visible_at=now + hold(event, policy) if healed else incident.visible_at,
        )
    if reason is Reason.ESCALATED:
        after = replace(after, lead=fresh.key)
    known.put_incident(after)
    _enter(known, replace(fresh, incident=incident.id), after, event, policy)
    _post(known, after, fresh, policy, reason, now)
    _note(known, reason, event, after)
    return reason


def _patience(signal: Signal, policy: Policy) -> float:
    """Seconds without news after which its Incident is given up; what the relay says of itself may be over sooner."""
    if signal.source is Source.RELAY and (seconds := signal.attributes.get(own.EXPIRES_AFTER)):
        return float(seconds)
    return policy.incidents.expire_after


def hold(event: Event, policy: Policy) -> float:
    """Seconds for which an opening is held back. Alertmanager has already waited, and the relay speaks of itself at once."""
    default = policy.flux_hold if event.source is Source.FLUX else 0.0
    return policy.holds.get(event.sender, default)


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
    for key in (*join_keys(event, policy.incidents.group), *named_keys(event)):
        known.claim(key, incident.id)


# --- a Signal that moves ------------------------------------------------------------------------------------------------


def _moved(
    known: Known, before: Signal | None, signal: Signal, applied: Applied, event: Event, policy: Policy
) -> Reason:
    """A Signal of a known Incident changed, repeated or ended; or is held, and has none yet."""
    reason = applied.reason
    if applied.touched:
        known.touch_signal(signal)
    else:
        known.put_signal(signal)
    incident = known.incidents.get(signal.incident) if signal.incident else None
    if incident is None or not incident.is_open or reason in _SILENT:
        return reason
    firing = incident.firing
    if before is not None and before.keeps_open:
        firing = firing.plus(before.severity, -1)
    if signal.keeps_open:
        firing = firing.plus(signal.severity, 1)
    return settle(known, incident, signal, firing, reason, event.received_at, policy)


_SILENT: Final = frozenset(
    {Reason.HELD, Reason.NOT_SHOWN, Reason.LATE_RESOLVE, Reason.OLDER_THAN_SUCCESS, Reason.NOTED}
)


def settle(
    known: Known, incident: Incident, signal: Signal, firing: Firing, reason: Reason, now: Instant, policy: Policy
) -> Reason:
    """An open Incident after one of its members changed: still open, worse, better, or over."""
    if firing.total == 0:
        return close(known, replace(incident, firing=firing), Reason.RESOLVED, now, policy, source=signal.source)
    if reason is Reason.REPEATED and firing == incident.firing:
        return _repeat(known, incident, signal, now, policy)
    if reason is Reason.RESOLVED:
        reason = Reason.MEMBER_RESOLVED
    if firing.worst != incident.severity and reason is not Reason.REOPENED:
        reason = Reason.ESCALATED if firing.worst > incident.severity else Reason.EASED
    if not reason.visible:
        known.put_incident(replace(incident, firing=firing))
        return reason
    after = replace(
        incident,
        firing=firing,
        severity=firing.worst,
        peak=max(incident.peak, firing.worst),
        reason=reason,
        version=incident.version + 1,
        changed_at=now,
        expires_at=now + _patience(signal, policy),
    )
    known.put_incident(after)
    _post(known, after, signal, policy, reason, now)
    known.journal.append(Entry(now, reason, signal.source, signal.key, incident.id))
    return reason


def _repeat(known: Known, incident: Incident, signal: Signal, now: Instant, policy: Policy) -> Reason:
    """Said again: nothing to show, at most a count to refresh later."""
    expires = now + _patience(signal, policy)
    if incident.expires_at is None or expires - incident.expires_at > _PUSH_EXPIRY:
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
    if now < incident.visible_at and not any(posting.shown for posting in known.postings_of(incident.id)):
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
    )
    known.put_incident(after)
    known.release(incident.id)
    for posting in known.postings_of(incident.id):
        channel = policy.channels.get(posting.channel)
        if channel is None:
            continue
        announced = channel if reason is not Reason.EXPIRED else replace(channel, resolved=Resolved.EDIT)
        ended = due.over(posting, after, announced, policy.incidents.settle, now)
        if reason is Reason.HEALED:
            ended = replace(ended, due_at=None, end_due_at=None, wanted=posting.shown, rank=0)
        known.put_posting(ended)
    known.journal.append(Entry(now, reason, source, incident=incident.id))
    return reason


def _count_healed(known: Known, incident: Incident, now: Instant) -> None:
    thing = known.objects.get(incident.subject.key)
    if thing is not None:
        known.put_object(replace(thing, healed=thing.healed + 1, healed_at=now))


# --- what Channels owe --------------------------------------------------------------------------------------------------


def _post(known: Known, incident: Incident, signal: Signal, policy: Policy, reason: Reason, now: Instant) -> None:
    """One visible change: every Channel that shows the Incident wants it, and those that the Signal is routed to join them."""
    routed = set(channels_of(policy.routes, signal.labels)) if signal.keeps_open else set()
    name = signal.alertname or signal.cause
    for posting in known.postings_of(incident.id):
        channel = policy.channels.get(posting.channel)
        if channel is None or posting.closed:
            continue
        severity = signal.severity if posting.channel in routed else Severity.NONE
        move = due.reopened if reason is Reason.REOPENED else due.changed
        known.put_posting(move(posting, incident, channel, now, severity=severity, name=name))
    for channel_name in sorted(routed):
        channel = policy.channels.get(channel_name)
        if channel is not None and (incident.id, channel_name) not in known.postings:
            fresh = due.opened(incident, channel, signal.severity, name, now)
            if fresh is not None:
                known.put_posting(fresh)


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


def expire(known: Known, incidents: Iterable[Incident], now: Instant, policy: Policy) -> int:
    """Incidents that nobody spoke of for too long are closed, and never green: we do not know. Returns how many."""
    count = 0
    for incident in incidents:
        current = known.incidents.get(incident.id, incident)
        if current.is_open and current.expires_at is not None and current.expires_at <= now:
            close(known, current, Reason.EXPIRED, now, policy)
            count += 1
    return count


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
    return moved


def _routed_again(
    posting: Posting | None, incident: Incident, channel: ChannelPolicy, signal: Signal, now: Instant
) -> Posting | None:
    """What a Channel owes that has no Posting, or one from before it was removed; None where all is as it was."""
    name = signal.alertname or signal.cause
    if posting is None:
        return due.opened(incident, channel, signal.severity, name, now)
    if posting.closed and posting.deleted_at is None:
        return due.changed(replace(posting, closed=False), incident, channel, now, severity=signal.severity, name=name)
    return None
