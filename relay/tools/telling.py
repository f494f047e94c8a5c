"""What `relay explain` found, as a page to read: events, then each incident with its tree, its channels, and the message as it looks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from relay.core.event import Effect, Instant, Severity
from relay.core.identity import handle_of
from relay.core.incident import Reason
from relay.core.severities import LOWERED, RAISED
from relay.core.tree import Heals, Hint
from relay.core.wording import cut, duration, plural
from relay.tools.explain import Asked, Explained, Problem, Shown, Taken
from relay.tools.terminal import Ink, Line, Span, clean, columns, field, moment, severity, table, wrapped

IN_FULL: Final = 3
"""Events that are told in full; of more only a row each is."""
ROWS: Final = 20
PROBLEMS: Final = 10
MESSAGE: Final = 600
"""Characters of a sender's text: `--json` has all of it."""

BECAME: Final[Mapping[Reason, str]] = {
    Reason.OPENED: "opens incident {}",
    Reason.MEMBER: "joins incident {}",
    Reason.ESCALATED: "makes incident {} worse",
    Reason.EASED: "makes incident {} less bad",
    Reason.CAUSE: "gives incident {} another cause",
    Reason.REOPENED: "opens incident {} again",
    Reason.RESOLVED: "ends incident {}",
    Reason.MEMBER_RESOLVED: "ends one signal of incident {}, which goes on",
    Reason.REPEATED: "says incident {} again: a count, no message",
    Reason.HEALED: "ends incident {} within its hold: counted, never shown",
    Reason.REMEDIATED: "says that Helm undid the change; incident {} goes on",
    Reason.DUPLICATE: "is a copy of one in the last 10 minutes: nothing changes",
    Reason.UNKNOWN_RESOLVE: "ends nothing that is open here; beside what it opened, it would",
    Reason.LATE_RESOLVE: "is an end from before it began: too late, ignored",
    Reason.OLDER_THAN_SUCCESS: "is older than its object's last success: history, never opens",
    Reason.HELD: "fires an episode that is over: held, and opens unless its end follows",
    Reason.NOT_SHOWN: "ends what was held: never shown",
}


def pages(found: Sequence[Explained]) -> Iterator[Line | str]:
    """All bodies, in their order."""
    for number, one in enumerate(found, 1):
        if number > 1:
            yield ""
        yield from page(one, number, len(found))


def page(one: Explained, number: int, count: int) -> Iterator[Line | str]:
    """One body, as a person reads it."""
    body = f"Body {number} of {count}: " if count > 1 else ""
    by_shape = ", by its shape" if one.guessed else ""
    yield [(Ink.BOLD, f"{body}{plural(len(one.events), 'event')} from {one.source.name}"), by_shape]
    yield from (f"  {notice}" for notice in one.notices)
    if len(one.events) <= IN_FULL:
        for place, taken in enumerate(one.events, 1):
            yield ""
            yield from _event(taken, place)
    else:
        yield ""
        yield from _events(one.events)
    for problem in one.problems[:PROBLEMS]:
        yield ""
        yield from _problem(problem, one.now)
    if len(one.problems) > PROBLEMS:
        yield ""
        yield f"… and {plural(len(one.problems) - PROBLEMS, 'incident')} more: --json says all"
    if not one.problems:
        yield ""
        yield "No message comes of it."


# --- events -------------------------------------------------------------------------------------------------------------


def _effect(taken: Taken) -> str:
    if taken.event.effect is Effect.NOTES and taken.reason is Reason.NOTED:
        return _noted(taken)
    said = BECAME.get(taken.reason, taken.reason.value.replace("_", " "))
    return said.format(handle_of(taken.incident or ""))


def _noted(taken: Taken) -> str:
    event = taken.event
    if event.labels.get("type") == "rollout":
        return "is news of a rollout: it neither opens nor ends anything"
    if event.severity is Severity.NONE:
        return "has severity none: never shown"
    return "neither opens nor ends anything"


def _event(taken: Taken, place: int) -> Iterator[Line | str]:
    event = taken.event
    subject = event.subject
    named = event.alertname or event.reason or "An event"
    yield [(Ink.BOLD, f"Event {place}"), f"  {named}, ", severity(event.severity), "; ", _effect(taken)]
    where = f" in cluster {subject.cluster}" if subject.cluster else ""
    yield from field("about", f"{subject.kind} {subject.place}{where}{f', {event.aspect}' if event.aspect else ''}")
    yield from field("said", f"{moment(event.at)}{', a health beat' if event.beat else ''}")
    sent = event.labels.get("severity_sent", "")
    if sent and sent != event.severity.word:
        why = event.labels.get(RAISED, "") or event.labels.get(LOWERED, "")
        known = f", but the relay knows: {why}" if why else ""
        yield from field("severity", f"{event.severity.word}; the sender calls it {sent}{known}")
    yield from field("reason", event.reason)
    yield from field("message", cut(clean(event.message), MESSAGE))
    labels = sorted(f'{name}="{cut(text, 80)}"' for name, text in event.labels.items() if name != "message")
    yield from field("labels", "  ".join(labels))
    yield from field("signal", event.signal_key)
    for at, one in enumerate(taken.routes):
        yield from field("" if at else "routes", _route(one))


def _route(one: Asked) -> str:
    match = ", ".join(map(str, one.route.match.all_of)) or "everything"
    if not one.matches:
        return f"[{one.place}] {match}: no"
    channels = ", ".join(one.route.channels) or "no channel: counted, shown nowhere"
    return f"[{one.place}] {match} → {channels}{', and on' if one.route.carry_on else ''}"


def _events(events: Sequence[Taken]) -> Iterator[Line | str]:
    """A row for each, as far as a screen goes."""
    rows = [
        [
            str(place),
            taken.event.severity.word,
            cut(clean(taken.event.alertname or taken.event.reason), 28),
            cut(clean(taken.event.subject.place), 28),
            _effect(taken),
        ]
        for place, taken in islice(enumerate(events, 1), ROWS)
    ]
    for (number, word, name, place, effect), taken in zip(table(rows), events, strict=False):
        ink, _ = severity(taken.event.severity)
        yield [(Ink.DIM, f"  {number}"), (ink, word), name, place, cut(effect, 40)]
    if len(events) > ROWS:
        yield f"  … and {len(events) - ROWS} more: --json says all"


# --- an incident --------------------------------------------------------------------------------------------------------


def _problem(problem: Problem, now: Instant) -> Iterator[Line | str]:
    incident = problem.incident
    count = plural(incident.firing.total, "signal") + (" fires" if incident.firing.total == 1 else " fire")
    if incident.effects.total:
        count = (
            f"{count}, {incident.effects.total} folded into it"
            if incident.members
            else f"{incident.effects.total} folded into it"
        )
    yield [
        (Ink.BOLD, f"Incident {incident.handle}"),
        f"  {incident.subject.place or incident.subject.cluster or incident.subject.kind}, ",
        severity(incident.severity),
        f", {count}" if incident.is_open else ", over",
    ]
    if problem.hold:
        yield from field("held", f"{duration(problem.hold)} first: what ends within is counted and never shown")
    if problem.hint is not None and incident.is_open:
        yield from _walk(problem.hint)
    if not problem.places:
        yield from field("channels", "none: its routes lead nowhere")
    told: dict[str, str] = {}
    for place in problem.places:
        if not place.shown:
            yield from field(place.channel, place.because)
        for shown in place.shown:
            after = f"{duration(shown.after)} later " if shown.after else ""
            yield from field(place.channel, f"{after}{shown.because}", Ink.BOLD if shown.sounds else Ink.PLAIN)
            if shown.digest in told:
                yield from field("", f"the same message as in {told[shown.digest]}", Ink.DIM)
                continue
            told[shown.digest] = place.channel
            yield from _message(shown, now + shown.after)


def _walk(hint: Hint) -> Iterator[Line | str]:
    """The path through the tree in the open: each question, its answer, and the fact that decided it."""
    if not hint.tree:
        yield from field("tree", "none starts on it: only a first look is offered")
        return
    yield from field("tree", f"{hint.tree}: {hint.title}")
    yield from field("", hint.because.replace("\n", "\\n"), Ink.DIM)
    for step in hint.path:
        yield from field("asks", f"{step.question} → {step.answer}")
        yield from field("", step.because.replace("\n", "\\n"), Ink.DIM)
    if hint.also:
        yield from field("also", ", ".join(hint.also))
    if hint.question:
        yield from field("open", f"{hint.question} No fact decides between: {' · '.join(hint.open)}")
    if hint.leaf:
        yield from field("leaf", f"{hint.leaf}, {'an open question' if hint.question else hint.certainty.value}")
    yield from field("cause", hint.cause)
    if hint.heals is not Heals.UNKNOWN:
        yield from field("heals", "by a commit" if hint.heals is Heals.COMMIT else "by itself")


# --- a message as it looks ----------------------------------------------------------------------------------------------


def _message(shown: Shown, now: Instant) -> Iterator[Line | str]:
    edge: Span = (Ink.DIM, "  │ ")
    for row in message_rows(shown.payload, now):
        yield [edge, *row]


def message_rows(payload: Mapping[str, Any], now: Instant) -> Iterator[Line]:
    """The message of one payload, as it looks at `now`."""
    yield from _prose(payload.get("content") or "", now, Ink.BOLD)
    for embed in payload.get("embeds", ()):
        yield from _prose(embed.get("title", ""), now, Ink.BOLD)
        yield from _body(embed.get("description", ""), now)
        yield from _prose(embed.get("footer", {}).get("text", ""), now, Ink.DIM)
    for row in payload.get("components", ()):
        for button in row.get("components", ()):
            yield [(Ink.DIM, f"[{button.get('label', '')}] {button.get('url', '')}")]


def _body(text: str, now: Instant) -> Iterator[Line]:
    """Commands and quoted words as they stand, so that they can be pasted; prose as it reads."""
    fenced = False
    for row in text.split("\n"):
        if row.startswith("```"):
            fenced = not fenced
        elif fenced:
            yield [f"    {row}"]
        elif row.startswith("-# "):
            yield from _prose(row[3:], now, Ink.DIM)
        else:
            yield from _prose(row, now)


def _prose(markup: str, now: Instant, ink: Ink = Ink.PLAIN) -> Iterator[Line]:
    """Markup as it reads, in rows; what stands between `**` is bold, also over the end of a row."""
    bold = False
    for row in wrapped(_read(markup, now), columns() - 4):
        spans: list[Span] = []
        for at, part in enumerate(_STARS.split(row)):
            bold = bold is not (at > 0)
            spans.append((Ink.BOLD if bold else ink, _ESCAPED.sub(r"\1", part)))
        yield spans


_TIME: Final = re.compile(r"<t:(\d{1,14}):([a-zA-Z])>")
_LINK: Final = re.compile(r"\[([^\]]*)\]\(<([^>]*)>\)")
_ESCAPED: Final = re.compile(r"\\([^\w\s])")
_STARS: Final = re.compile(r"(?<!\\)\*\*")


def _read(markup: str, now: Instant) -> str:
    """Discord's markup with its times said and its links spelled out."""
    text = _TIME.sub(lambda found: _said(float(found[1]), found[2], now), markup)
    return _LINK.sub(r"\1 (\2)", text)


def _said(at: Instant, style: str, now: Instant) -> str:
    if style == "R":
        return f"{duration(now - at)} ago" if at <= now else f"in {duration(at - now)}"
    return moment(at)[11:] if style == "t" else moment(at)
