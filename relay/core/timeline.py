"""A record's timeline is what the journal decided, in people's words: oldest first, the most telling lines, each thing once.

It opens with the beginning and does not say the end, which the headline of a record says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from relay.core.card import Moment
from relay.core.event import Instant
from relay.core.identity import raised
from relay.core.incident import Incident, Reason
from relay.core.known import Entry
from relay.core.saying import called, named, state_of
from relay.core.signal import Signal
from relay.core.wording import of_many

LINES: Final = 5
ENTRIES: Final = 50
"""So many of an Incident's newest journal entries are worth reading for a timeline."""
_TOGETHER: Final = 60.0
"""Seconds within which two things are one line: what escalated and paged, or who joined."""
UNDONE: Final[Mapping[str, str]] = {"RollbackSucceeded": "rolled back", "UninstallSucceeded": "uninstalled"}

_TELLING: Final[Mapping[Reason, int]] = {
    Reason.OPENED: 9,
    Reason.ESCALATED: 8,
    Reason.REMEDIATED: 7,
    Reason.REOPENED: 6,
    Reason.FLAPPING: 6,
    Reason.NO_NEWS: 5,
    Reason.CAUSE: 5,
    Reason.RESOLVED: 4,
    Reason.MEMBER: 3,
    Reason.MEMBER_RESOLVED: 2,
    Reason.EASED: 1,
    Reason.FOLDED: 1,
    Reason.SURFACED: 1,
}
"""What is kept where there is no room for all; a Reason that is not here is never told."""
_PAGED: Final = 8
_PAGE: Final = "paged"
_NAMES: Final = 3
_WORDS: Final[Mapping[Reason, str]] = {
    Reason.REOPENED: "began again",
    Reason.FLAPPING: "kept coming and going",
    Reason.NO_NEWS: "no more news of it",
    Reason.CAUSE: "failed for another reason",
    Reason.RESOLVED: "recovered",
    Reason.EASED: "eased",
    Reason.FOLDED: "became part of another problem",
    Reason.SURFACED: "stood for itself again",
}


def moments(
    incident: Incident, members: Sequence[Signal], entries: Sequence[Entry], paged_at: Instant | None = None
) -> tuple[Moment, ...]:
    """At most five lines for the record of `incident`: from its journal, or what its Signals tell where `entries` is empty.

    `entries` are oldest first; `paged_at` is when a Channel last paged for it, which no journal knows.
    """
    known = {signal.key: signal for signal in members}
    told = [_entry(incident, known, entry) for entry in entries] or _of_signals(incident, members)
    end = incident.closed_at if incident.closed_at is not None else math.inf
    lines = [line for line in told if line is not None and line.at < end]
    if not any(line.weight == _TELLING[Reason.OPENED] for line in lines):
        lines.append(_opening(incident, incident.since, known))
    if paged_at is not None:
        lines.append(_Line(paged_at, _PAGED, _PAGE))
    merged = _merged(sorted(lines, key=lambda line: line.at))
    kept = sorted(range(len(merged)), key=lambda number: -merged[number].weight)[:LINES]
    return tuple(Moment(merged[number].at, merged[number].text) for number in sorted(kept))


@dataclass(frozen=True, slots=True)
class _Line:
    at: Instant
    weight: int
    says: str
    who: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """`sonarr, radarr are crash-looping`; without names what is said of the Incident."""
        named_, more = self.who[:_NAMES], len(self.who) - _NAMES
        if more > 0:
            named_ = (*named_, f"{more} more")
        return f"{', '.join(named_)} {of_many(self.says) if len(self.who) > 1 else self.says}".strip()


def _entry(incident: Incident, known: Mapping[str, Signal], entry: Entry) -> _Line | None:
    weight = _TELLING.get(entry.reason)
    signal = known.get(entry.signal)
    if weight is None:
        return None
    match entry.reason:
        case Reason.OPENED:
            return _opening(incident, min(entry.at, incident.since), known)
        case Reason.ESCALATED:
            severity = signal.severity if signal is not None else incident.peak
            return _Line(entry.at, weight, f"became {severity.word}")
        case Reason.REMEDIATED:
            return _Line(entry.at, weight, UNDONE.get(signal.remediated if signal else "", "undone by Helm"))
        case Reason.MEMBER:
            return (
                _Line(entry.at, weight, _state(signal), _who(incident, signal, known)) if signal is not None else None
            )
        case Reason.MEMBER_RESOLVED:
            return _Line(entry.at, weight, _WORDS[Reason.RESOLVED], who) if (who := _alone(signal, known)) else None
        case _:
            return _Line(entry.at, weight, _WORDS[entry.reason])


def _opening(incident: Incident, at: Instant, known: Mapping[str, Signal]) -> _Line:
    """How it began: what its first Signal said where others joined it, else how bad it was where it became worse."""
    first = min(known.values(), key=lambda signal: signal.since, default=None)
    weight = _TELLING[Reason.OPENED]
    if first is None:
        return _Line(at, weight, "began")
    if _others(incident, known.values()):
        return _Line(at, weight, _state(first), (_name(first),))
    return _Line(at, weight, f"began as {_a(first.severity.word)}" if first.severity < incident.peak else "began")


def _a(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def _name(signal: Signal) -> str:
    return called(raised(signal.subject))


def _state(signal: Signal) -> str:
    return state_of(signal.reason, signal.alertname) or named(signal.reason, signal.alertname)


def _others(incident: Incident, signals: Iterable[Signal]) -> tuple[str, ...]:
    """The names of members that are other things than what the Incident began with."""
    own = called(raised(incident.subject))
    return tuple(dict.fromkeys(name for signal in signals if (name := _name(signal)) and name != own))


def _who(incident: Incident, signal: Signal, known: Mapping[str, Signal]) -> tuple[str, ...]:
    """The name of `signal`'s thing, where the Incident is about more than one."""
    return (_name(signal),) if _others(incident, known.values()) else ()


def _alone(signal: Signal | None, known: Mapping[str, Signal]) -> tuple[str, ...]:
    """The name of what has no other member, and so recovered with this one."""
    if signal is None or not (name := _name(signal)):
        return ()
    return (name,) if sum(_name(other) == name for other in known.values()) == 1 < len(known) else ()


def _of_signals(incident: Incident, members: Sequence[Signal]) -> list[_Line | None]:
    """What the Signals themselves tell: who joined when, by the sender's clock."""
    known = {signal.key: signal for signal in members}
    late = [signal for signal in members if signal.key != incident.lead and signal.since > incident.since]
    return [
        _entry(incident, known, Entry(signal.since, Reason.MEMBER, signal.source, signal.key, incident.id))
        for signal in late
    ]


def _merged(lines: Sequence[_Line]) -> list[_Line]:
    """Neighbours within a minute become one line: what several did, and what paged because of it. Nothing is said twice in a row."""
    merged: list[_Line] = []
    for line in lines:
        before = merged[-1] if merged else None
        together = before is not None and line.at - before.at < _TOGETHER
        if before is None or not together:
            merged.append(line)
        elif before.who and line.who and before.says == line.says:
            merged[-1] = replace(before, who=tuple(dict.fromkeys((*before.who, *line.who))))
        elif line.says == _PAGE:
            merged[-1] = replace(before, weight=max(before.weight, _PAGED), says=f"{before.says}, {_PAGE}")
        elif line.text != before.text:
            merged.append(line)
    return merged
