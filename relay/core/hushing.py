"""Quiet begins and ends at an Incident's Postings by one look at all that fires, whoever asked for it and whenever.

A change that a Signal makes is judged where it is applied (`joining`); this is for rules that come and go, and for nights that end.
"""

from __future__ import annotations

from collections.abc import Iterable

from relay.core import due, flapping, quiet
from relay.core.attention import Loudness
from relay.core.event import Instant, Severity, Source
from relay.core.incident import Incident, Reason
from relay.core.known import Entry, Known
from relay.core.policy import Policy
from relay.core.signal import Signal
from relay.core.values import replace


def look_again(
    known: Known, incident: Incident, members: Iterable[Signal], now: Instant, policy: Policy, sounded: set[str]
) -> bool:
    """What holds for `incident` now, whose Signals are `members`. Returns whether anything changed.

    `sounded` are the Channels in which something that is left has a sound already: one is enough for all that ends together.
    """
    firing = [signal.labels for signal in members if signal.keeps_open] if incident.is_open else []
    rules = (*known.quiet, *policy.quiet)
    meant = quiet.holding(rules, incident.id, incident.loud_since, firing, now)
    standing = {rule.key: rule for rule in rules if rule.holds(now)}
    changed = False
    for posting in known.postings_of(incident.id):
        channel = policy.channels.get(posting.channel)
        if channel is None or posting.closed:
            if posting.quiet:
                known.put_posting(replace(posting, quiet="", quiet_until=None, tell=Loudness.COUNT))
            continue
        # Of what is over, and of a cause that does not report itself, no Signal tells: what held holds.
        rule = meant if firing else standing.get(posting.quiet)
        if rule is not None:
            after = due.quieted(posting, incident, channel, rule, now)
        elif posting.quiet and (due.is_quiet(posting) or (posting.quiet_until or now) <= now):
            aloud = Loudness.QUIET if posting.channel in sounded else Loudness.NOTIFY
            after = due.quiet_over(posting, incident, channel, now, aloud)
            if after.tell is Loudness.NOTIFY or due.next_step(after, incident, channel, now).loudness is Loudness.PAGE:
                sounded.add(posting.channel)
        else:
            continue
        if after is not posting:
            known.put_posting(after)
            why = Reason.QUIET if after.quiet else Reason.LOUD
            known.journal.append(Entry(now, why, Source.RELAY, incident=incident.id, channel=posting.channel))
            changed = True
    return changed


def calm(known: Known, incidents: Iterable[Incident], now: Instant, policy: Policy) -> int:
    """Incidents that go on and have not come and gone for long do not flap any more, and their cards say so. Returns how many."""
    count = 0
    for incident in incidents:
        current = known.incidents.get(incident.id, incident)
        if not current.is_open or current.calm_at is None or current.calm_at > now:
            continue
        after = flapping.calmed(current, now)
        known.put_incident(after)
        for posting in known.postings_of(incident.id):
            if (channel := policy.channels.get(posting.channel)) is not None and not posting.closed:
                known.put_posting(due.changed(posting, after, channel, now, severity=Severity.NONE, name=""))
        known.journal.append(Entry(now, Reason.CALM, Source.RELAY, incident=incident.id))
        count += 1
    return count
