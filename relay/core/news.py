"""How long silence may last depends on who spoke; after it nobody knows, so a card turns grey, and is never taken for resolved.

A sender's rhythm is learnt from its repeats (reference: alertmanager.md §3, flux.md §4). What passed while the relay did not run is no
silence: `awake_since` is when it began to listen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from relay.core import own
from relay.core.event import Event, Instant, Source
from relay.core.incident import Reason
from relay.core.known import Known, KnownObject
from relay.core.policy import IncidentPolicy
from relay.core.signal import Signal
from relay.core.values import replace

UNLEARNT: Final = 25 * 3600.0
"""Seconds: kube-prometheus-stack repeats every 12 hours, and one repeat may be lost."""
HOUR: Final = 3600.0
SLACK: Final = 600.0
"""Seconds for a group to be flushed, sent and retried."""
SHORT: Final = 60.0
"""A gap of fewer seconds is a replica's copy or a retry, and no rhythm."""
ENOUGH: Final = 2
"""Gaps that make a rhythm: of two replicas that are cut off from each other one alone tells half of it."""
FORGIVEN: Final = 1.05
"""A gap that is longer by less is the same."""


def patience(signal: Signal, thing: KnownObject | None, policy: IncidentPolicy) -> float | None:
    """Seconds of silence about `signal` after which there is no news of it; None where silence says nothing.

    `thing` is what is known of its object.
    """
    match signal.source:
        case Source.RELAY:
            return float(signal.attributes.get(own.EXPIRES_AFTER) or policy.expire_after)
        case Source.ALERTMANAGER:
            return 2 * signal.longest_gap + SLACK if signal.gaps >= ENOUGH else UNLEARNT
        case Source.FLUX:
            return _of_flux(signal, thing)


def _of_flux(signal: Signal, thing: KnownObject | None) -> float | None:
    if signal.subject.kind == "HelmRelease":
        return None  # Flux has given up once its retries are used up, and says nothing more.
    learnt = signal.longest_gap if signal.gaps >= ENOUGH else 0.0
    if signal.subject.kind == "Kustomization":
        beat = thing.longest_gap if thing is not None and thing.beats > ENOUGH else 0.0
        rhythm = max(learnt, beat)
        return max(3 * rhythm, SLACK) if rhythm else UNLEARNT
    return max(3 * learnt, HOUR) if learnt else UNLEARNT


def due_at(known: Known, signal: Signal, policy: IncidentPolicy, now: Instant) -> Instant | None:
    """When there is no news of `signal` if nothing more is heard from `now` on; None for never."""
    seconds = patience(signal, known.objects.get(signal.subject.key), policy)
    return None if seconds is None else now + seconds


def overdue_at(known: Known, members: Iterable[Signal], policy: IncidentPolicy) -> Instant | None:
    """When there is no news of any of the `members` that fire; None for never, or where none does."""
    latest: Instant | None = None
    for signal in members:
        if not signal.keeps_open:
            continue
        at = due_at(known, signal, policy, max(signal.seen_at, known.awake_since))
        if at is None:
            return None
        latest = at if latest is None else max(latest, at)
    return latest


def with_gap(signal: Signal, said_before: Instant, now: Instant, awake_since: Instant) -> Signal:
    """`signal`, said at `now` and before that at `said_before`, with what this tells of its sender's rhythm; itself where nothing."""
    gap = now - said_before
    if gap < SHORT or said_before < awake_since:
        return signal
    if signal.gaps >= ENOUGH and gap <= signal.longest_gap * FORGIVEN:
        return signal
    return replace(signal, longest_gap=max(gap, signal.longest_gap), gaps=signal.gaps + 1)


def learn(known: Known, taken: Sequence[tuple[Event, Reason]]) -> None:
    """From one delivery of Alertmanager's: only if nothing in it was new is it the group's own repeat, and tells its rhythm.

    A group is sent again whenever it changes, so the gaps before such a delivery tell nothing.
    """
    if any(reason is not Reason.REPEATED for _, reason in taken):
        return
    for event, _ in taken:
        signal, before = known.signals[event.signal_key], known.said_before.get(event.signal_key)
        if event.source is not Source.ALERTMANAGER or before is None:
            continue
        after = with_gap(signal, before, event.received_at, known.awake_since)
        if after is not signal:
            known.put_signal(after)
