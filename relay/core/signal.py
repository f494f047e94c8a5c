"""A Signal is one condition that is true or not, over all its Events; the sender's time orders them, ours drives the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from functools import lru_cache
from typing import Any, assert_never

from relay.core.event import EMPTY, Effect, Event, Instant, Severity, Source, Subject
from relay.core.identity import SHORT, digest, normalise
from relay.core.incident import Reason
from relay.core.policy import IncidentPolicy
from relay.core.values import replace, value


class State(StrEnum):
    """Whether the condition holds. `HELD` is a firing of a closed episode that waits for its resolve."""

    FIRING = "firing"
    HELD = "held"
    RESOLVED = "resolved"


@value(frozen=True, slots=True)
class Signal:
    """The record of one condition. `key` is its identity; it keeps the words of its newest Event.

    `since` and `sent_at` are the sender's times; `seen_at`, `resolved_at`, `held_until` are ours.
    """

    key: str
    source: Source
    subject: Subject
    aspect: str
    severity: Severity
    since: Instant
    sent_at: Instant
    """The sender's time of the newest Event that opened or closed it."""
    seen_at: Instant
    state: State = State.FIRING
    semantic_key: str = ""
    group_key: str = ""
    reason: str = ""
    message: str = ""
    cause: str = ""
    """Digest of the normalised message: the same cause is a count, another one is a visible change."""
    labels: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    attributes: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    names: tuple[Subject, ...] = ()
    episode: int = 1
    count: int = 1
    """How often it was said in this episode."""
    resolved_at: Instant | None = None
    closed_since: Instant | None = None
    """`since` of the last closed episode: a firing that is not later than it is held."""
    held_until: Instant | None = None
    superseded: bool = False
    """A stronger severity of the same alert opened after it was last seen: it does not keep the Incident open."""
    incident: str | None = None
    longest_gap: float = 0.0
    """Seconds between two times it was said, at most; what passed while the relay did not run is no gap."""
    gaps: int = 0
    """How many were seen: before the first one nothing is learnt."""
    remediated: str = ""
    """`RollbackSucceeded` or `UninstallSucceeded`: Helm undid the change, and it is still broken."""

    @property
    def alertname(self) -> str:
        return self.labels.get("alertname", "")

    @property
    def keeps_open(self) -> bool:
        return self.state is State.FIRING and not self.superseded


@value(frozen=True, slots=True)
class Applied:
    """A Signal after an Event, and what that was. `signal` is None where the Event made none."""

    signal: Signal | None
    reason: Reason
    opened: bool = False
    """It keeps its Incident open now and did not before."""
    closed: bool = False
    """It does not any more."""
    touched: bool = False
    """Only when it was said, and how often, has changed."""


def apply(signal: Signal | None, event: Event, policy: IncidentPolicy) -> Applied:
    """Take `event` into `signal` (reference: flux.md §4, alertmanager.md §4). Equal arguments give equal results."""
    match event.effect:
        case Effect.OPENS:
            return _fires(signal, event, policy)
        case Effect.CLOSES:
            return _ends(signal, event)
        case Effect.NOTES:
            return _noted(signal, event)
        case _:
            assert_never(event.effect)


def release(signal: Signal, now: Instant) -> Applied:
    """A held firing whose resolve did not follow is real: it opens."""
    opened = replace(
        signal, state=State.FIRING, held_until=None, episode=signal.episode + 1, count=1, resolved_at=None, seen_at=now
    )
    return Applied(opened, Reason.OPENED, opened=True)


def _fires(signal: Signal | None, event: Event, policy: IncidentPolicy) -> Applied:
    if signal is None:
        return Applied(_opened(event), Reason.OPENED, opened=True)
    if event.source is Source.ALERTMANAGER:
        return _alert_fires(signal, event, policy)
    if signal.state is State.RESOLVED:
        if event.at < signal.sent_at:
            return Applied(replace(signal, seen_at=event.received_at), Reason.OLDER_THAN_SUCCESS)
        return _again(signal, event)
    if event.at < signal.sent_at:
        return Applied(replace(signal, seen_at=event.received_at, count=signal.count + 1), Reason.REPEATED)
    return _repeated(signal, event)


def _alert_fires(signal: Signal, event: Event, policy: IncidentPolicy) -> Applied:
    # A sender that tells no start cannot say that it is another episode: what is open goes on.
    starts = (
        event.starts_at if event.starts_at is not None else (signal.since if signal.state is State.FIRING else event.at)
    )
    match signal.state:
        case State.FIRING if starts > signal.since:
            # Resolved and fired again between two flushes: one change, so that nobody hears an end that was none.
            again = _again(replace(signal, closed_since=signal.since), event)
            return replace(again, reason=Reason.REOPENED, opened=signal.superseded, closed=False)
        case State.FIRING:
            return _repeated(replace(signal, since=min(signal.since, starts)), event)
        case State.RESOLVED | State.HELD if signal.closed_since is None or starts > signal.closed_since:
            return _again(signal, event)
        case State.RESOLVED:
            held = _worded(
                signal,
                event,
                state=State.HELD,
                since=starts,
                held_until=event.received_at + policy.refire_hold,
                seen_at=event.received_at,
            )
            return Applied(held, Reason.HELD)
        case _:
            return Applied(replace(signal, seen_at=event.received_at), Reason.HELD)


def _opened(event: Event) -> Signal:
    return Signal(
        key=event.signal_key,
        source=event.source,
        subject=event.subject,
        aspect=event.aspect,
        severity=event.severity,
        since=event.starts_at if event.starts_at is not None else event.at,
        sent_at=event.at,
        seen_at=event.received_at,
        semantic_key=event.semantic_key,
        group_key=event.group_key,
        reason=event.reason,
        message=event.message,
        cause=cause_of(event),
        labels=event.labels,
        attributes=event.attributes,
        names=event.names,
    )


def _again(signal: Signal, event: Event) -> Applied:
    """A new episode of a Signal that was over."""
    opened = replace(
        _opened(event), episode=signal.episode + 1, incident=signal.incident, closed_since=signal.closed_since
    )
    return Applied(opened, Reason.OPENED, opened=True)


def _worded(signal: Signal, event: Event, **more: Any) -> Signal:  # noqa: ANN401  # any field of the value
    """With the newest words, the sender's as they are now, and whatever else changes with them."""
    return replace(
        signal,
        severity=event.severity,
        reason=event.reason,
        message=event.message,
        cause=cause_of(event),
        labels=event.labels,
        attributes=event.attributes,
        names=event.names,
        group_key=event.group_key or signal.group_key,
        sent_at=max(signal.sent_at, event.at),
        **more,
    )


def _repeated(signal: Signal, event: Event) -> Applied:
    """The same condition said again: a count, unless its severity or cause changed."""
    if _is_only_again(signal, event):
        again = replace(
            signal, seen_at=event.received_at, sent_at=max(signal.sent_at, event.at), count=signal.count + 1
        )
        return Applied(again, Reason.REPEATED, touched=True)
    after = _worded(
        signal,
        event,
        seen_at=event.received_at,
        count=signal.count + 1,
        superseded=False,
        remediated="" if event.source is Source.FLUX else signal.remediated,
    )
    if after.severity > signal.severity:
        reason = Reason.ESCALATED
    elif after.severity < signal.severity:
        reason = Reason.EASED
    elif after.cause != signal.cause:
        reason = Reason.CAUSE
    else:
        reason = Reason.REPEATED
    return Applied(after, reason, opened=signal.superseded)


def _is_only_again(signal: Signal, event: Event) -> bool:
    """Flux's message differs per attempt in noise alone: the words that stand are as good. An alert's numbers are newer."""
    return (
        event.source is Source.FLUX
        and not signal.superseded
        and not signal.remediated
        and event.severity is signal.severity
        and event.reason == signal.reason
        and event.attributes == signal.attributes
        and (event.message == signal.message or cause_of(event) == signal.cause)
    )


def _ends(signal: Signal | None, event: Event) -> Applied:
    if signal is None or signal.state is State.RESOLVED:
        return Applied(signal, Reason.UNKNOWN_RESOLVE)
    if signal.state is State.HELD:
        over = replace(signal, state=State.RESOLVED, held_until=None, seen_at=event.received_at)
        return Applied(over, Reason.NOT_SHOWN)
    late = event.ends_at is not None and event.ends_at < signal.since
    if late or (event.source is Source.FLUX and event.at < signal.sent_at):
        return Applied(signal, Reason.LATE_RESOLVE)
    over = replace(
        signal,
        state=State.RESOLVED,
        resolved_at=event.received_at,
        seen_at=event.received_at,
        sent_at=max(signal.sent_at, event.at),
        closed_since=signal.since,
        superseded=False,
        attributes={
            **signal.attributes,
            **{key: event.attributes[key] for key in _OF_THE_END if key in event.attributes},
        },
    )
    return Applied(over, Reason.RESOLVED, closed=signal.keeps_open)


_OF_THE_END = ("revision",)
"""Attributes that a success brings and a record wants: which revision was in place when it ended."""

_UNDONE = frozenset({"RollbackSucceeded", "UninstallSucceeded"})


def _noted(signal: Signal | None, event: Event) -> Applied:
    if signal is None or signal.state is not State.FIRING or event.reason not in _UNDONE or event.at < signal.sent_at:
        return Applied(signal, Reason.NOTED)
    if signal.remediated == event.reason:
        return Applied(signal, Reason.NOTED)
    return Applied(replace(signal, remediated=event.reason, seen_at=event.received_at), Reason.REMEDIATED)


def cause_of(event: Event) -> str:
    """Digest of why: Flux's normalised message; of an alert only its name and reason, since its text holds moving numbers."""
    if event.source is Source.FLUX:
        return (_flux_cause_short if len(event.message) <= SHORT else _flux_cause)(event.reason, event.message)
    return digest("cause", event.alertname, event.reason)


def _flux_cause(reason: str, message: str) -> str:
    return digest("cause", reason, normalise(message))


_flux_cause_short = lru_cache(maxsize=2048)(_flux_cause)
"""Each Event asks several times."""
