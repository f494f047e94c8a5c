"""A recording as a page to read: what joined or folded into what and why, what sounded, and what each channel shows at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from relay.core.event import Instant, Severity
from relay.core.identity import raised
from relay.core.incident import Incident, Reason
from relay.core.policy import Hold
from relay.core.saying import called
from relay.core.wording import cut, duration, plural
from relay.tools.rehearsal import Decision, Happened, Rehearsed, Said, Sheet, why
from relay.tools.telling import BECAME, message_rows
from relay.tools.terminal import Ink, Line, clean, columns, moment, severity, wrapped

AT: Final = 11
"""Columns of the time."""
NAMES: Final = 3
"""Objects that came to the same and are named; more are counted."""
_BY: Final[Mapping[str, str]] = {
    "m": "the same alert at another severity",
    "g": "its Alertmanager group and alertname",
    "w": "its workload",
    "o": "its object",
    "x": "the same failure in another cluster",
}
"""What the prefix of a join key says (`core/identity.py`)."""
_HELD: Final[Mapping[Hold, str]] = {
    Hold.PLAIN: "as configured",
    Hold.ITSELF: "it can heal by itself, so until it is said a second time",
    Hold.HELM: "until it is known whether Helm undoes it",
    Hold.UNKNOWN: "nobody knows what heals it",
}
_DECIDED: Final[Mapping[Reason, str]] = {
    Reason.OPENED: "{} opens",
    Reason.REOPENED: "{} is open again",
    Reason.FOLDED: "{} is folded under {}",
    Reason.SURFACED: "{} surfaces: it outlives {}",
    Reason.RESOLVED: "{} is over",
    Reason.HEALED: "{} is over within its hold: counted, never shown",
    Reason.NO_NEWS: "{} turns grey: there is no news of it",
    Reason.HEARD_AGAIN: "there is news of {} again",
    Reason.EXPIRED: "{} is given up: nobody spoke of it for too long",
    Reason.FLAPPING: "{} flaps",
}


def pages(found: Rehearsed) -> Iterator[Line | str]:
    """All of it, in its order; then each channel."""
    count = sum(1 for one in found.happened if one.to)
    lasted = duration(found.ended - found.began)
    yield [
        (Ink.BOLD, f"{count} {'delivery' if count == 1 else 'deliveries'} from {moment(found.began)} on, in {lasted}")
    ]
    beats: list[Happened] = []
    for one in found.happened:
        if _is_well(one):
            beats.append(one)
            continue
        yield from _beats(beats, found.began)
        beats = []
        yield from _happened(one, found)
    yield from _beats(beats, found.began)
    for name, sheets in found.shows.items():
        yield ""
        yield [(Ink.BOLD, f"{name} shows at the end"), f"  {plural(len(sheets), 'message')}"]
        for sheet in sheets:
            yield from _message(sheet, found.ended)


def _is_well(one: Happened) -> bool:
    """Only health beats that end nothing."""
    return bool(one.said) and not (one.decided or one.sheets or one.note) and all(map(_is_calm, one.said))


def _is_calm(said: Said) -> bool:
    return said.event.beat and said.reason is Reason.UNKNOWN_RESOLVE


def _beats(beats: Sequence[Happened], began: Instant) -> Iterator[Line | str]:
    if beats:
        count = sum(len(one.said) for one in beats)
        yield [(Ink.DIM, f"{_at(beats[0].at - began)}{plural(count, 'health beat')} of what is well: nothing changes")]


# --- one thing at a time --------------------------------------------------------------------------------------------------


def _happened(one: Happened, found: Rehearsed) -> Iterator[Line | str]:
    at = _at(one.at - found.began)
    if one.note:
        yield [(Ink.BOLD, at + clean(one.note))]
        at = " " * AT
    if one.refused:
        yield from _wrapped(at, one.refused, Ink.RED)
        at = " " * AT
    for said in _alike(one.said):
        yield from _said(at, said)
        at = " " * AT
    for decided in one.decided:
        yield from _wrapped(at, _decision(decided))
        at = " " * AT
    for sheet in one.sheets:
        yield from _sheet(at, sheet, found)
        at = " " * AT


def _at(seconds: float) -> str:
    """`+1h05m09s`, as wide as the column."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{f'+{hours}h{minutes:02}m{rest:02}s' if hours else f'+{minutes}m{rest:02}s':<{AT}}"


def _wrapped(at: str, text: str, ink: Ink = Ink.PLAIN) -> Iterator[Line | str]:
    for number, row in enumerate(wrapped(text, columns() - AT, "  ")):
        yield [(Ink.DIM, at if number == 0 else " " * AT), (ink, row)]


def _alike(said: Sequence[Said]) -> list[list[Said]]:
    """Those that came to the same, together."""
    found: dict[tuple[object, ...], list[Said]] = {}
    for one in said:
        found.setdefault((one.event.alertname, one.event.severity, _came_to(one)), []).append(one)
    return list(found.values())


def _said(at: str, alike: Sequence[Said]) -> Iterator[Line | str]:
    one = alike[0]
    names = list(dict.fromkeys(_named(said) for said in alike))
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    ink, word = severity(one.event.severity)
    what = one.event.reason if one.event.source.value == "flux" else one.event.alertname
    head = cut(clean(f"{what} {', '.join(names[:NAMES])}{more}".strip()), columns() - AT - len(word) - 2)
    yield [(Ink.DIM, at), (Ink.BOLD, head), ", ", (ink, word)]
    yield from _wrapped(" " * AT, _came_to(one))


def _named(said: Said) -> str:
    return called(raised(said.event.subject)) or said.event.subject.place


def _came_to(said: Said) -> str:
    """One sentence: what it did, how it was found, under what it is folded, and why nothing is shown yet."""
    incident = said.incident
    word = BECAME.get(said.reason, said.reason.value.replace("_", " ") + " {}").replace("incident ", "")
    text = word.format(incident.handle if incident is not None else "").strip()
    if said.reason is Reason.UNKNOWN_RESOLVE:
        text = "says that all is well, and ends nothing"
    elif said.reason is Reason.NOTED:
        none = said.event.severity is Severity.NONE
        text = "has severity none: never shown" if none else "neither opens nor ends anything"
    parts = [text]
    if said.joined_by:
        parts.append(f"by {_BY.get(said.joined_by[:1], 'a key of its own')}")
    if said.fold is not None and said.reason.visible:
        probably = ", probably" if said.fold.weak else ""
        edge = f" (edge {said.fold.edge})" if said.fold.edge else ""
        parts.append(f"part of {_who(said.fold.root)}{edge}{probably}: it owes nobody a sound")
    elif said.fold is None and incident is not None and incident.is_open:
        parts += _why_not_yet(said, incident)
    return "; ".join(parts)


def _why_not_yet(said: Said, incident: Incident) -> Iterator[str]:
    opens = said.reason in (Reason.OPENED, Reason.REOPENED)
    if opens and said.held:
        yield f"held for {duration(said.held)} at most: {_HELD.get(incident.hold, 'it waits')}"
    if opens and said.waits:
        yield "would be part of " + ", or ".join(f"{cause} (edge {edge})" for cause, edge in said.waits[:2])
    if opens and not said.shown_in:
        yield f"no channel that it is routed to shows {said.event.severity.word}: it is only counted"


def _who(incident: Incident | None) -> str:
    """`4mxd sonarr`; a cause that does not report itself by its key."""
    if incident is None:
        return "what history took"
    return f"{incident.handle} {incident.root or called(raised(incident.subject)) or incident.subject.place}".strip()


def _decision(decided: Decision) -> str:
    reason = decided.entry.reason
    text = _DECIDED.get(reason, "{}: " + reason.value.replace("_", " "))
    return text.format(_who(decided.incident), _who(decided.other))


def _sheet(at: str, sheet: Sheet, found: Rehearsed) -> Iterator[Line | str]:
    ink = Ink.BOLD if sheet.sounds else Ink.PLAIN
    because = why(sheet, found.channels.get(sheet.channel))
    yield from _wrapped(at, f"→ {sheet.channel}, message {sheet.message}: {because}", ink)
    line = str(sheet.payload.get("content") or "").partition("\n")[0]
    yield [" " * AT, (Ink.DIM, "  │ "), cut(clean(line), columns() - AT - 4)]


def _message(sheet: Sheet, now: Instant) -> Iterator[Line | str]:
    yield ""
    for row in message_rows(sheet.payload, now):
        yield [(Ink.DIM, "  │ "), *row]
