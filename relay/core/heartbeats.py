"""A heartbeat is an Event that is expected, and whose absence is the problem: learnt from what comes regularly, or declared.

Learnt are Flux's health beats and Alertmanager's Watchdog, each per cluster. One that was never heard is a blind spot, not an alarm.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from relay.core import own
from relay.core.event import Effect, Event, Instant, Source
from relay.core.policy import Expected, Policy
from relay.core.values import replace, value

ARMED: Final = 3
"""Beats after which a learnt one is expected; a declared one is from its first."""
MISSED: Final = 3
"""So many of the longest recent gaps without a beat are silence."""
APART: Final = 60.0
"""Seconds: of beats that come closer together one counts."""
REMEMBERED: Final = 10
WATCHDOG: Final = "Watchdog"
"""The alert that kube-prometheus and its kin let fire always."""


@value(frozen=True, slots=True)
class Heartbeat:
    """What is known of one. Its instants are ours; `gaps` are seconds between its last beats."""

    name: str
    source: Source
    cluster: str
    declared: bool = False
    every: float | None = None
    beats: int = 0
    beat_at: Instant | None = None
    gaps: tuple[float, ...] = ()
    due_at: Instant | None = None
    silent_since: Instant | None = None

    @property
    def rhythm(self) -> float:
        """Seconds from one beat to the next, at most; 0 where that is not known yet."""
        return self.every or max(self.gaps, default=0.0)

    @property
    def armed(self) -> bool:
        return self.rhythm > 0 and self.beats >= (1 if self.declared else ARMED)


def names_of(event: Event, expected: Collection[Expected]) -> dict[str, Expected | None]:
    """The heartbeats that `event` is a beat of, or a sign of life, by name; with what declares each."""
    cluster = event.subject.cluster
    found: dict[str, Expected | None] = {}
    if expected and event.effect is not Effect.CLOSES:
        found = {f"{one.name}/{cluster}": one for one in expected if one.match.matches(event.labels)}
    if event.source is Source.FLUX:
        found.setdefault(f"{Source.FLUX}/{cluster}", None)
    elif event.effect is Effect.NOTES and event.alertname == WATCHDOG:
        found.setdefault(f"{Source.ALERTMANAGER}/{cluster}", None)
    return found


def heard(beat: Heartbeat | None, name: str, event: Event, expected: Expected | None) -> Heartbeat | None:
    """`beat`, or a new one of that name, after `event`; itself where the event comes too soon after the last to count.

    Whatever else Flux says is no beat, but who speaks is not silent: where everything fails, nothing beats.
    """
    now = event.received_at
    if event.source is Source.FLUX and not event.beat and expected is None:
        return _due(beat, now) if beat is not None and beat.armed else beat
    if beat is None:
        beat = Heartbeat(name, event.source, event.subject.cluster)
    declared, every = expected is not None, expected.every if expected else None
    if (beat.declared, beat.every) != (declared, every):
        beat = replace(beat, declared=declared, every=every)
    if beat.beat_at is None:
        return _due(replace(beat, beats=1, beat_at=now), now)
    gap = now - beat.beat_at
    if gap < APART:
        return beat
    # The gap that was a silence is none of its rhythm.
    gaps = beat.gaps if beat.silent_since is not None else (*beat.gaps, gap)[-REMEMBERED:]
    return _due(replace(beat, beats=beat.beats + 1, beat_at=now, gaps=gaps), now)


def _due(beat: Heartbeat, heard_at: Instant) -> Heartbeat:
    """Silent from when so many gaps have passed since then; what moves that by less than a minute is not worth a row."""
    due = heard_at + MISSED * beat.rhythm if beat.armed else None
    near = due is not None and beat.due_at is not None and due - beat.due_at < APART
    return beat if near else replace(beat, due_at=due)


def judged(
    beats: Sequence[Heartbeat], now: Instant, awake_since: Instant, policy: Policy
) -> tuple[list[Heartbeat], list[Event]]:
    """Which of all `beats` fell silent or are heard again, as they are then, and what the relay says about it.

    Silence before `awake_since` is the relay's own.
    """
    changed = [found for beat in beats if (found := _judge(beat, now, awake_since)) is not beat]
    after = {beat.name: beat for beat in (*beats, *changed)}
    back = [beat for beat in changed if beat.silent_since is None]
    said = [own.heard_again(beat.name, beat.source, now, policy) for beat in back]
    for cluster in dict.fromkeys(beat.cluster for beat in changed):
        silent = [beat for beat in after.values() if beat.cluster == cluster and beat.silent_since is not None]
        others = {beat.source for beat in after.values() if beat.cluster == cluster and beat.armed}
        everybody = len(others) > 1 and others == {beat.source for beat in silent}
        said += [_told(beat, now, policy, everybody=everybody) for beat in silent]
    return changed, said


def _judge(beat: Heartbeat, now: Instant, awake_since: Instant) -> Heartbeat:
    if not beat.armed or beat.due_at is None:
        return beat
    due = max(beat.due_at, awake_since + MISSED * beat.rhythm)
    if beat.silent_since is not None:
        return replace(beat, silent_since=None) if now < beat.due_at else beat
    return replace(beat, silent_since=now) if now >= due else beat


def _told(beat: Heartbeat, now: Instant, policy: Policy, *, everybody: bool) -> Event:
    return own.heartbeat_silent(
        beat.name, beat.source, beat.beat_at or now, beat.rhythm, now, policy, everybody=everybody
    )


def forgotten(beats: Iterable[Heartbeat], expected: Iterable[Expected]) -> list[str]:
    """The names of declared ones that nobody declares any more: their silence is no problem."""
    declared = {one.name for one in expected}
    return [beat.name for beat in beats if beat.declared and beat.name.rpartition("/")[0] not in declared]
