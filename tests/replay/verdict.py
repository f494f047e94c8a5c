"""What a person got of what was true: cards for problems, pages for those that deserve one, ends that were none.

A card is about the first problem whose words stand in its first line, at any time of its life but as a line that leads elsewhere; else in
all that could be read in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import re2

from relay.demo.discord import Message
from tests.replay.stage import Played
from tests.replay.story import Problem
from tests.replay.wire import span

OVER: Final = "✅"
POINTS: Final = "↪"
ASIDE: Final = ("🟢", "🔄")
"""What is on its way: no card of a problem."""
OPEN: Final = ("🚨", "❌", "⚠", "❔", "🔁", "🔕", "🛠")


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one scenario."""

    events: int
    would_post: int
    """Messages of a relay that posts what it is told: each delivery that is no health beat."""
    cards: int
    messages: int
    pointers: int
    """Of these, lines that only lead to another message."""
    edits: int
    sounds: int
    pages: int
    problems: int
    page_worthy: int
    pages_deserved: int
    """Pages of problems that deserve one, while they lasted."""
    pages_missed: int
    wrong_resolves: tuple[str, ...]
    hidden: tuple[str, ...]
    beside: tuple[str, ...]
    """Cards about no real problem."""


def figures(played: Played) -> Figures:
    """Counted from what stands in Discord, and from what is true."""
    problems = played.scenario.problems
    shown = [one for messages in played.messages.values() for one in messages]
    told = [one for one in shown if not _aside(one, played)]
    cards = [one for one in told if _is_card(one, played)]
    about = {one.id: _about(one, problems) for one in told}
    paged = [(push, about.get(push.message_id)) for push in played.pushes if push.mentioned]
    deserved = [problem for push, problem in paged if problem and problem.page and _lasted(problem, push.time, played)]
    return Figures(
        events=played.events,
        would_post=played.deliveries - played.beats,
        cards=len(cards),
        messages=len(told),
        pointers=sum(one.content.startswith(POINTS) for one in told),
        edits=sum(played.edits[one.id] for one in told),
        sounds=len(played.pushes),
        pages=len(paged),
        problems=len(problems),
        page_worthy=sum(one.page for one in problems),
        pages_deserved=len(deserved),
        pages_missed=sum(one.page and one not in deserved for one in problems),
        wrong_resolves=tuple(_wrong(told, about, played)),
        hidden=tuple(
            one.what for one in problems if not any(_shows(card, one, played) for card in told if about[card.id] is one)
        ),
        beside=tuple(_line(one.content) for one in cards if about[one.id] is None),
    )


def _aside(message: Message, played: Played) -> bool:
    """The status message, the day's rollouts, what is on its way: whatever shows no Incident, or says so."""
    return message.id not in played.forms or message.history[0].content.startswith(ASIDE)


def _is_card(message: Message, played: Played) -> bool:
    """Not an end that only says so once more, and not a line that leads to the card, as which what was folded late ends."""
    if message.content.startswith(POINTS):
        return False
    return bool(played.forms[message.id] - {"end", "pointer"})


def _about(message: Message, problems: Iterable[Problem]) -> Problem | None:
    lives = [version for version in message.history if not version.content.startswith(POINTS)]
    lines = [version.content.partition("\n")[0] for version in lives]
    texts = [version.text for version in lives]
    for said in (lines, texts):
        for problem in problems:
            if any(word in text for word in problem.named for text in said):
                return problem
    return None


def _lasted(problem: Problem, at: float, played: Played) -> bool:
    return problem.lasts(at - played.began)


def _wrong(told: Iterable[Message], about: dict[str, Problem | None], played: Played) -> Iterator[str]:
    """Who was told that it is over while it was not."""
    for message in told:
        problem = about[message.id]
        for version in message.history:
            if (
                problem is not None
                and not problem.comes_and_goes
                and version.content.startswith(OVER)
                and _lasted(problem, version.at, played)
            ):
                yield f"{_line(version.content)} at {_after(version.at - played.began)}, while it lasts: {problem.what}"
                break


def _shows(card: Message, problem: Problem, played: Played) -> bool:
    """Whether it was there to be seen in time, while it lasted."""
    by = min(problem.seen_by, problem.until if problem.until is not None else problem.seen_by)
    ends = [version.at - played.began for version in card.history[1:]] + [played.scenario.ends]
    return any(
        version.content.startswith(OPEN) and version.at - played.began <= by and end > problem.since
        for version, end in zip(card.history, ends, strict=True)
    )


def _line(content: str) -> str:
    return content.partition("\n")[0]


def _after(seconds: float) -> str:
    return f"+{span(seconds)}"


# --- what was expected ------------------------------------------------------------------------------------------------


def differences(played: Played) -> list[str]:
    """All that is otherwise than the scenario says, a sentence each; nothing where all is well."""
    scenario, found = played.scenario, figures(played)
    wrong = [f"answered {code}: {count} times" for code, count in sorted(played.answers.items()) if code != 202]
    wrong += [f"parked: {why}" for why in played.parked]
    for checkpoint, said in played.looked:
        contents = list(said.values())
        open_ones = [text for message, text in said.items() if message in played.forms and text.startswith(OPEN)]
        when = _after(checkpoint.at)
        if checkpoint.open is not None and len(open_ones) != checkpoint.open:
            wrong.append(f"{when}: {len(open_ones)} cards are open, not {checkpoint.open}: {_listed(contents)}")
        for line in checkpoint.shows:
            if not any(reads(line, one) for one in contents):
                wrong.append(f"{when}: nothing reads {line!r}: {_listed(contents)}")
    for channel, expected in scenario.shows.items():
        contents = [
            one.content
            for one in played.messages[channel]
            if not (_aside(one, played) or one.content.startswith(POINTS))
        ]
        if len(contents) != len(expected) or not all(map(reads, expected, contents)):
            wrong.append(f"{channel} shows at the end {_listed(contents)}, not {_listed(expected)}")
    everything = [one for messages in played.messages.values() for one in messages]
    wrong += [f"nothing says {word!r}" for word in scenario.says if not any(word in one.text for one in everything)]
    wrong += [
        f"it once read {_line(version.content)!r}, at {_after(version.at - played.began)}"
        for one in everything
        for version in one.history
        if version.content.startswith(scenario.never)
    ]
    counted = {"messages": found.messages - found.pointers, "pages": found.pages, "sounds": found.sounds}
    wrong += [
        f"{counted[word]} {word}, not {scenario.counts[word]}"
        for word in counted
        if counted[word] != scenario.counts[word]
    ]
    if found.edits > scenario.counts["edits"]:
        wrong.append(f"{found.edits} edits, more than {scenario.counts['edits']}")
    if len(played.left_open) != scenario.left_open:
        wrong.append(f"{len(played.left_open)} left open, not {scenario.left_open}: {', '.join(played.left_open)}")
    wrong += [f"wrongly resolved: {one}" for one in found.wrong_resolves]
    wrong += [f"hidden: {one}" for one in found.hidden]
    wrong += [f"about no real problem: {one}" for one in found.beside]
    return wrong


def reads(expected: str, content: str) -> bool:
    """Whether a message's first line is as expected; `…` stands for any words, or none."""
    pattern = ".*".join(re2.escape(part) for part in expected.split("…"))
    return re2.fullmatch(f"(?s){pattern}", _line(content)) is not None


def _listed(lines: Iterable[str]) -> str:
    return "".join(f"\n    {_line(one)}" for one in lines) or " nothing"
