"""A scenario is two files of one name: what was sent, as a recording, and what is true and must be seen, as YAML.

Where a recording would be too long to keep, a Python file of that name makes its lines, the same ones each time.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from relay.config.model import seconds
from relay.tools.recorded import Recorded, recorded

FOLDER: Final = Path(__file__).parent / "scenarios"
SEEN_WITHIN: Final = 1200.0
"""Seconds after which a problem that nobody sees is hidden, unless the scenario says otherwise."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One real problem: what a person would call one. Times are seconds from the beginning; `until` is None where it goes on."""

    what: str
    since: float
    until: float | None
    named: tuple[str, ...]
    """Any of these words is in every card of it."""
    page: bool
    """Whether somebody must be woken."""
    seen_by: float
    comes_and_goes: bool
    """Between its episodes a card may be closed."""

    def lasts(self, at: float) -> bool:
        return self.since <= at and (self.until is None or at < self.until)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How the channel looks at a time: how many cards are open, and lines that stand in it."""

    at: float
    open: int | None
    shows: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is told, what is true, and what must be seen of it."""

    name: str
    title: str
    ends: float
    configuration: str
    heard: bool
    """Whether both senders were heard half an hour before."""
    problems: tuple[Problem, ...]
    checkpoints: tuple[Checkpoint, ...]
    shows: Mapping[str, tuple[str, ...]]
    """By channel, the first line of each message at the end, in the order in which they came. `…` stands for any words.

    Lines that only lead to another message (`↪`) are left out, here and in `messages`.
    """
    says: tuple[str, ...]
    """Words that stand in some message at the end."""
    never: tuple[str, ...]
    """What no message ever began with."""
    left_open: int
    """Incidents at the end: as many as there are problems that go on, unless it says otherwise."""
    counts: Mapping[str, int]
    """`messages`, `pages` and `sounds` are exact; `edits` are at most."""

    def lines(self) -> Iterator[str]:
        """The recording."""
        path = FOLDER / f"{self.name}.jsonl"
        if path.is_file():
            yield from path.read_text().splitlines()
        else:
            yield from _made(FOLDER / f"{self.name.replace('-', '_')}.py")

    def sent(self) -> Iterator[Recorded]:
        return recorded(self.lines(), 0.0)


def scenarios() -> list[Scenario]:
    """All of them, by name."""
    return [_read(path) for path in sorted(FOLDER.glob("*.yaml"))]


def _made(path: Path) -> Iterator[str]:
    spec = importlib.util.spec_from_file_location(f"tests.replay.scenarios.{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield from module.lines()


def _read(path: Path) -> Scenario:
    told = yaml.safe_load(path.read_text())
    ends, problems = _after(told.pop("ends")), tuple(_problem(one) for one in told.pop("problems"))
    scenario = Scenario(
        name=path.stem,
        title=told.pop("title"),
        ends=ends,
        configuration=told.pop("configuration", ""),
        heard=told.pop("heard", True),
        problems=problems,
        checkpoints=tuple(_checkpoint(at, one) for at, one in told.pop("at", {}).items()),
        shows={channel: tuple(lines or ()) for channel, lines in told.pop("shows").items()},
        says=tuple(told.pop("says", ())),
        never=tuple(told.pop("never", ())),
        left_open=told.pop("left open", sum(one.lasts(ends) for one in problems)),
        counts={word: told.pop(word) for word in ("messages", "edits", "pages", "sounds")},
    )
    assert not told, f"{path.name}: nobody knows {', '.join(told)}"
    return scenario


def _problem(told: dict[str, Any]) -> Problem:
    since = _after(told["from"])
    return Problem(
        what=told["is"],
        since=since,
        until=_after(told["to"]) if "to" in told else None,
        named=tuple(told["named"]),
        page=told.get("page", False),
        seen_by=_after(told["seen by"]) if "seen by" in told else since + SEEN_WITHIN,
        comes_and_goes=told.get("comes and goes", False),
    )


def _checkpoint(at: str, told: dict[str, Any]) -> Checkpoint:
    return Checkpoint(_after(at), told.get("open"), tuple(told.get("shows", ())))


def _after(text: str) -> float:
    """`+1h30m` in seconds from the beginning."""
    assert text.startswith("+"), f"{text!r} must be +1h30m, from the beginning"
    return seconds(text[1:])
