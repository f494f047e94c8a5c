"""`relay explain` takes a payload through all that the relay would do with it, and says each decision and why; it sends and keeps nothing.

Bodies are taken one after the other, each as if all that came before had been shown; nothing else is known.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from relay.config.live import composed
from relay.config.load import load
from relay.config.values import Configuration
from relay.core import cards, due, joining
from relay.core.attention import ChannelPolicy, Loudness
from relay.core.due import Step, Why
from relay.core.event import Event, Instant, NotJson, Severity, Source, Unreadable
from relay.core.identity import handle_of
from relay.core.incident import Incident, Reason
from relay.core.known import Known
from relay.core.policy import Policy, SourcePolicy
from relay.core.posting import Posting
from relay.core.quiet import NIGHT
from relay.core.routing import Route, channels_of
from relay.core.saying import called
from relay.core.signal import Signal
from relay.core.tree import Hint, Library
from relay.discord.message import render
from relay.sources import PARSERS
from relay.sources.structure import read
from relay.tools.check import edges_of, library_of
from relay.tools.terminal import RefusedError
from relay.web.door import LIMITS, MIB

T = TypeVar("T")

MAX_FILE: Final = 16 * MIB
"""Bytes that are read of a file: more than any source takes at once."""
MAX_BODIES: Final = 1000
MEMBERS: Final = 200
"""Signals that a card is made of, as where it is sent."""
STEPS: Final = 3
"""Messages that one Channel owes for one body at most: a page, its edit, its end."""


# --- what was found -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """A route that was asked for a Signal, in its order."""

    place: int
    route: Route
    matches: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """An Event, what it did, and to which Incident; the routes that its Signal was asked, if it opened."""

    event: Event
    reason: Reason
    incident: str | None
    routes: tuple[Asked, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """One request that a Channel would get: when, as seconds after the body came, how loud and why, and its exact JSON."""

    step: Step
    after: float
    because: str
    sounds: bool
    payload: Mapping[str, Any]
    digest: str


@dataclass(frozen=True, slots=True)
class Place:
    """One Channel and what it would show; where nothing, `because` says why."""

    channel: str
    loudness: Loudness
    because: str
    shown: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """An Incident after a body, the Hint of the Signal that titles it, and its Channels."""

    incident: Incident
    hint: Hint | None
    places: tuple[Place, ...]
    hold: float
    """Seconds for which it is held back first."""


@dataclass(frozen=True, slots=True)
class Explained:
    """One body: who would have sent it, what it holds, and what comes of it."""

    source: SourcePolicy
    kind: Source
    guessed: bool
    events: tuple[Taken, ...]
    problems: tuple[Problem, ...]
    notices: tuple[str, ...]
    now: Instant


# --- reading ------------------------------------------------------------------------------------------------------------


def read_input(path: Path) -> bytes:
    """The content of a file, or of standard input for `-`. Raises RefusedError or OSError."""
    if str(path) == "-":
        content = sys.stdin.buffer.read(MAX_FILE + 1)
    else:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    if len(content) > MAX_FILE:
        raise RefusedError(f"{path}: longer than {MAX_FILE // MIB} MiB; no source takes that much at once")
    return content


def given(
    path: Path, config: Path | None, folder: Path | None, env: Mapping[str, str]
) -> tuple[bytes, Configuration, Library]:
    """The content of `path`, and what decides about it; no secret is needed.

    Raises RefusedError, ConfigError, TreeError or OSError.
    """
    content = read_input(path)
    return content, load(config, env, mounted=False), library_of(config, env, folder)


def bodies(content: bytes) -> list[bytes]:
    """One JSON body, or one on each line. Raises RefusedError for more than `MAX_BODIES`."""
    lines = [line for line in content.splitlines() if line.strip()]
    if len(lines) < 2 or not isinstance(read(content), NotJson) or isinstance(read(lines[0]), NotJson):
        return [content]
    if len(lines) > MAX_BODIES:
        raise RefusedError(f"more than {MAX_BODIES} bodies: explain a part of them")
    return lines


def guess(body: bytes) -> Source:
    """Who sends bodies of this shape. One that nobody sends is taken for Flux's, whose refusals name the most wrong formats."""
    value = read(body)
    if isinstance(value, list) or (isinstance(value, dict) and "alerts" in value and "involvedObject" not in value):
        return Source.ALERTMANAGER
    return Source.FLUX


def chosen(configuration: Configuration, word: str | None, body: bytes) -> tuple[Source, SourcePolicy]:
    """The source that `word` names (its name or its kind), else the first configured one of the body's kind. Raises RefusedError."""
    sources = configuration.sources
    if word is None:
        kind = guess(body)
    else:
        named = next((one for one in sources if one.name == word), None)
        if named is not None:
            return named.kind, named.policy
        if word not in (Source.FLUX, Source.ALERTMANAGER):
            names = sorted({Source.FLUX.value, Source.ALERTMANAGER.value, *(one.name for one in sources)})
            raise RefusedError(f"there is no source {word!r}: it is one of {', '.join(names)}")
        kind = Source(word)
    found = next((one for one in sources if one.kind is kind), None)
    return kind, found.policy if found else SourcePolicy(kind.value)


# --- deciding -----------------------------------------------------------------------------------------------------------


def explain(
    content: bytes, configuration: Configuration, library: Library, now: Instant, word: str | None = None
) -> list[Explained]:
    """What each body in `content` becomes, received at `now`. Raises RefusedError where one cannot be read, with the cure."""
    given = bodies(content)
    known = Known()
    found: list[Explained] = []
    for number, body in enumerate(given, 1):
        where = f"line {number}: " if len(given) > 1 else ""
        one = _explained(body, configuration, library, known, now, word, where)
        found.append(one)
        now += max(
            (shown.after for problem in one.problems for place in problem.places for shown in place.shown), default=0.0
        )
    return found


def _explained(
    body: bytes,
    configuration: Configuration,
    library: Library,
    known: Known,
    now: Instant,
    word: str | None,
    where: str,
) -> Explained:
    policy = composed(configuration.policy, library, edges_of(configuration))
    kind, source = chosen(configuration, word, body)
    if len(body) > LIMITS[kind]:
        raise RefusedError(f"{where}longer than the {LIMITS[kind] // MIB} MiB that a {kind} source takes: answered 413")
    parsed = PARSERS[kind](body, source, policy, now)
    if isinstance(parsed, NotJson):
        raise RefusedError(f"{where}{parsed.why}\nThe relay answers 400 and keeps it: relay rejects shows it.")
    if isinstance(parsed, Unreadable):
        raise RefusedError(_unreadable(parsed, kind, where, guessed=word is None))
    events = tuple(_taken(known, event, policy) for event in parsed.events)
    ids = dict.fromkeys(one.incident for one in events if one.incident is not None)
    ids |= dict.fromkeys(root for one in ids if (root := known.incidents[one].folded_into) is not None)
    members: dict[str, list[Signal]] = {}
    for signal in known.signals.values():
        owner = known.incidents.get(signal.incident or "")
        for one in (owner.id, owner.folded_into) if owner is not None else ():
            if one in ids and (one == signal.incident or known.incidents[one].root):
                members.setdefault(one, []).append(signal)
    clusters = len({incident.subject.cluster for incident in known.incidents.values()})
    context = cards.Context(
        now=now, clusters=clusters, repositories=policy.repositories, handbook=configuration.handbook
    )
    problems = tuple(
        _problem(
            known,
            known.incidents[one],
            policy,
            _scene(members[one], known.incidents[one], library, _with_folds(known, one, context)),
        )
        for one in ids
    )
    notices = list(parsed.notices)
    if parsed.truncated:
        notices.append(f"{parsed.truncated} more alerts were cut off by the sender (max_alerts)")
    return Explained(source, kind, word is None, events, problems, tuple(notices), now)


def _with_folds(known: Known, incident: str, context: cards.Context) -> cards.Context:
    """What its card says of what it is folded into, or of what is folded into it."""
    root = known.incidents.get(known.incidents[incident].folded_into or "")
    effects = [one for one in known.incidents.values() if one.folded_into == incident and one.is_open]
    return replace(
        context,
        effects=tuple(one.subject for one in effects),
        kinds=Counter(one.subject.kind for one in effects),
        probably=any(one.probably for one in effects),
        part_of=called(root.subject) if root is not None else "",
    )


def _unreadable(found: Unreadable, kind: Source, where: str, *, guessed: bool) -> str:
    cure = f"\nTo cure it, {found.cure}." if found.cure else ""
    other = (
        "\nIts shape names no source, so it was taken for Flux's; --source says otherwise."
        if guessed and kind is Source.FLUX
        else ""
    )
    return f"{where}this is {found.why}.{cure}{other}\nThe relay answers 202, keeps it, and shows it as unreadable."


def _taken(known: Known, event: Event, policy: Policy) -> Taken:
    reason = joining.take(known, event, policy)
    signal = known.signals.get(event.signal_key)
    opens = signal is not None and signal.keeps_open
    return Taken(
        event, reason, signal.incident if signal else None, asked(policy.routes, event.labels) if opens else ()
    )


def asked(routes: Sequence[Route], labels: Mapping[str, str]) -> tuple[Asked, ...]:
    """The routes that are asked for a Signal with these labels, up to the one that ends it."""
    found = []
    for place, route in enumerate(routes):
        found.append(Asked(place, route, route.match.matches(labels)))
        if found[-1].matches and not route.carry_on:
            break
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Scene:
    """What a card is made of besides its Incident."""

    members: Sequence[Signal]
    """Firing first, worst first, as the database gives them."""
    hint: Hint | None
    context: cards.Context
    """At the time when the body came."""


def _scene(signals: Sequence[Signal], incident: Incident, library: Library, context: cards.Context) -> _Scene:
    members = sorted(signals, key=lambda one: (not one.keeps_open, -one.severity, one.since, one.key))[:MEMBERS]
    lead = cards.leading(incident, members)
    return _Scene(members, library.hint(lead) if lead is not None else None, context)


def _problem(known: Known, incident: Incident, policy: Policy, scene: _Scene) -> Problem:
    postings = {posting.channel: posting for posting in known.postings_of(incident.id)}
    # A Channel that a member is routed to and that shows nothing of it is told too.
    routed = [name for signal in scene.members for name in channels_of(policy.routes, signal.labels)]
    places = tuple(
        _place(known, incident, policy, name, postings.get(name), scene)
        for name in dict.fromkeys([*postings, *routed])
        if name in policy.channels
    )
    stands = incident.is_open and incident.folded_into is None
    hold = max(0.0, incident.visible_at - scene.context.now) if stands else 0.0
    return Problem(incident, scene.hint, places, hold)


def _place(
    known: Known, incident: Incident, policy: Policy, name: str, posting: Posting | None, scene: _Scene
) -> Place:
    """All that one Channel would get, each request taken as shown before the next is decided."""
    channel = policy.channels[name]
    if posting is None:
        return Place(
            name,
            Loudness.COUNT,
            f"no message: {incident.severity.word} is below {threshold('show', channel.show)}",
            (),
        )
    shown: list[Shown] = []
    at = scene.context.now
    while len(shown) < STEPS:
        step = due.next_step(posting, incident, channel, at)
        if step.at is not None and step.at > at:
            at = step.at
            continue
        if not step.sends or _rides(posting, step, at) or step.why is Why.REMIND:
            break
        shown.append(_shown(incident, channel, posting, step, at, scene))
        posting = due.shown(
            posting, incident, channel, step, at, asked=posting, message=1, settle=policy.incidents.settle
        )
    known.put_posting(posting)
    because = "" if shown else f"nothing: {_why_nothing(posting, incident, at)}"
    return Place(
        name, max((one.step.loudness for one in shown if one.step.posts), default=Loudness.COUNT), because, tuple(shown)
    )


def _rides(posting: Posting, step: Step, at: Instant) -> bool:
    """Whether all that is new is a count."""
    return step.why is Why.EDIT and posting.due_at is not None and posting.due_at > at


def _why_nothing(posting: Posting, incident: Incident, at: Instant) -> str:
    if incident.reason is Reason.HEALED:
        return "it ended within its hold, so it is counted and never shown"
    if incident.folded_into is not None:
        return (
            f"it is {'probably ' if incident.probably else ''}part of {handle_of(incident.folded_into)}, which is shown"
        )
    if posting.due_at is not None and posting.due_at > at:
        return f"only a count moved, which waits for one edit in {due.REFRESH_EVERY / 60:.0f} min"
    return "what it shows is up to date"


def _shown(
    incident: Incident,
    channel: ChannelPolicy,
    posting: Posting,
    step: Step,
    at: Instant,
    scene: _Scene,
) -> Shown:
    card = cards.build(incident, scene.members, scene.hint, replace(scene.context, now=at))
    payload = render(
        [(card, step.form)],
        loudness=step.loudness,
        mentions=channel.mentions if step.loudness is Loudness.PAGE else (),
        editing=step.why is Why.EDIT,
        degraded=posting.degraded,
    )
    sounds, because = why_loud(step, posting.severity, channel)
    return Shown(step, at - scene.context.now, because, sounds, json.loads(payload.body), payload.digest)


def why_loud(step: Step, severity: Severity, channel: ChannelPolicy) -> tuple[bool, str]:
    """Whether a request makes a sound, and why."""
    if step.quiet == NIGHT:
        return (
            False,
            "a new message without a sound: at night only a page sounds, and what is left is told in the morning",
        )
    if step.quiet:
        return (
            False,
            f"a new message without a sound: {step.quiet} in the file asks for quiet, and what is left is told at its end",
        )
    match step.why:
        case Why.PAGE:
            ping = "with its mention" if channel.mentions else "but no mention is configured here, so it pings nobody"
            return True, f"a new message, {ping}: {severity.word} reaches {threshold('page', channel.page)}"
        case Why.ARRIVED:
            return (
                step.loudness >= Loudness.NOTIFY,
                "among what was there before, which shares one message and one sound",
            )
        case Why.OPEN | Why.SHOW_AGAIN if step.loudness >= Loudness.NOTIFY:
            return True, f"a new message: {severity.word} reaches {threshold('notify', channel.notify)}"
        case Why.OPEN | Why.SHOW_AGAIN:
            return (
                False,
                f"a new message without a sound: {severity.word} reaches only {threshold('show', channel.show)}",
            )
        case Why.EDIT:
            return False, "the message is edited: edits never sound"
        case Why.END:
            return True, "a short new message, if it is still over then: it had paged"
        case Why.LEFT:
            return step.loudness >= Loudness.NOTIFY, "a new message: quiet is over, and it goes on"
        case Why.CAME_AND_WENT:
            return False, "one line without a sound: it was over before it could be shown"
        case _:
            return False, step.why.value


def threshold(word: Literal["page", "notify", "show"], least: Severity | None) -> str:
    """`notify: error`, as it stands in the configuration."""
    return f"{word}: {'never' if least is None else least.word}"


# --- for programs -------------------------------------------------------------------------------------------------------


def as_json(one: Explained) -> dict[str, Any]:
    """All of it; each `payload` is exactly what Discord would get. Instants are seconds since the epoch."""
    return {
        "source": {"name": one.source.name, "kind": one.kind.value, "guessed": one.guessed},
        "notices": list(one.notices),
        "events": [_event_json(taken) for taken in one.events],
        "incidents": [_problem_json(problem) for problem in one.problems],
    }


def _event_json(taken: Taken) -> dict[str, Any]:
    event = taken.event
    subject = event.subject
    return {
        "source": event.source.value,
        "subject": {
            "cluster": subject.cluster,
            "kind": subject.kind,
            "namespace": subject.namespace,
            "name": subject.name,
        },
        "aspect": event.aspect,
        "effect": event.effect.value,
        "severity": event.severity.word,
        "reason": event.reason,
        "message": event.message,
        "at": event.at,
        "beat": event.beat,
        "labels": dict(event.labels),
        "attributes": dict(event.attributes),
        "signal": event.signal_key,
        "became": taken.reason.value,
        "incident": taken.incident,
        "routes": [
            {
                "route": one.place,
                "match": [str(matcher) for matcher in one.route.match.all_of],
                "matches": one.matches,
                "channels": list(one.route.channels),
            }
            for one in taken.routes
        ],
    }


def _problem_json(problem: Problem) -> dict[str, Any]:
    incident, hint = problem.incident, problem.hint
    return {
        "id": incident.id,
        "handle": incident.handle,
        "open": incident.is_open,
        "severity": incident.severity.word,
        "reason": incident.reason.value,
        "hold": problem.hold,
        "tree": _hint_json(hint) if hint is not None else None,
        "channels": [
            {
                "channel": place.channel,
                "loudness": place.loudness.name.lower(),
                "because": place.because or None,
                "messages": [
                    {
                        "why": shown.step.why.value,
                        "edits": not shown.step.posts,
                        "after": shown.after,
                        "sounds": shown.sounds,
                        "because": shown.because,
                        "payload": shown.payload,
                    }
                    for shown in place.shown
                ],
            }
            for place in problem.places
        ],
    }


def _hint_json(hint: Hint) -> dict[str, Any]:
    return {
        "tree": hint.tree,
        "because": hint.because,
        "path": [{"question": one.question, "answer": one.answer, "because": one.because} for one in hint.path],
        "open": {"question": hint.question, "answers": list(hint.open)} if hint.question else None,
        "leaf": hint.leaf,
        "certainty": hint.certainty.value,
        "cause": hint.cause,
        "heals": hint.heals.value,
    }
