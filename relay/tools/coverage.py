"""`relay trees coverage` says honestly how far the trees reach: a leaf with its cause, an open question, something general, or nothing.

A line is an alert rule (`alertname`, `severity`, the *names* of its labels, `summary`), a body as Flux or Alertmanager send it, or an
object that holds such a body as `body`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final

from relay.core.event import Effect, Instant, NotJson, Severity, Source
from relay.core.facts import Facts, derive, facts
from relay.core.policy import IncidentPolicy, Policy, SourcePolicy
from relay.core.signal import apply
from relay.core.tree import Certainty, Hint, Library, cut, nodes
from relay.core.wording import plural
from relay.sources import PARSERS, Delivered
from relay.sources.structure import read
from relay.tools.explain import guess

WORST: Final = 20
"""How many of those that are not reached are named."""
GENERAL: Final = "yet-unknown"
"""The tree for what no other one knows."""


class Reach(IntEnum):
    """How far a walk came, the worst first."""

    NOWHERE = 0
    GENERAL = 1
    QUESTION = 2
    LEAF = 3


WORDS: Final[Mapping[Reach, str]] = MappingProxyType({
    Reach.LEAF: "a leaf with its cause",
    Reach.QUESTION: "an open question with its checklist",
    Reach.GENERAL: "a general leaf",
    Reach.NOWHERE: "no tree",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Walked:
    """One event and where it came."""

    line: int
    source: Source
    name: str
    text: str
    error: bool
    reach: Reach
    tree: str
    leaf: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """All that was walked, the lines that hold nothing to walk, and the leaves of the library."""

    walked: tuple[Walked, ...]
    unread: tuple[int, ...]
    leaves: frozenset[str]

    @property
    def names(self) -> Mapping[str, Reach]:
        """Each alertname of Alertmanager's, and the least that any alert of that name came to."""
        found: dict[str, Reach] = {}
        for one in self.walked:
            if one.source is Source.ALERTMANAGER:
                found[one.name] = min(one.reach, found.get(one.name, Reach.LEAF))
        return found

    @property
    def errors(self) -> tuple[Walked, ...]:
        """Flux's errors."""
        return tuple(one for one in self.walked if one.source is Source.FLUX and one.error)

    @property
    def exercised(self) -> frozenset[str]:
        """The leaves, and ids of open questions, that were come to."""
        return frozenset(one.leaf for one in self.walked) & self.leaves

    @property
    def worst(self) -> tuple[tuple[Reach, str, str, int], ...]:
        """What came to no leaf of its own: how far, name, text and how often; the worst first, then the most frequent."""
        counted = Counter((one.reach, one.name, one.text) for one in self.walked if one.reach < Reach.QUESTION)
        counted += Counter((one.reach, one.name, one.text) for one in self.errors if one.reach is Reach.QUESTION)
        return tuple(
            sorted(((*key, count) for key, count in counted.items()), key=lambda row: (row[0], -row[3], row[1]))
        )


def coverage(library: Library, lines: Iterable[bytes], now: Instant) -> Coverage:
    """Each line's events, walked as if they came at `now`. Blank lines are passed over; events that open nothing too."""
    walked: list[Walked] = []
    unread: list[int] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        found = _line(library, number, line, now)
        if found is None:
            unread.append(number)
        walked += found or ()
    leaves = frozenset(node.leaf for tree in library.trees for node in nodes(tree.root) if node.leaf)
    return Coverage(tuple(walked), tuple(unread), leaves)


def _line(library: Library, number: int, line: bytes, now: Instant) -> list[Walked] | None:
    value = read(line)
    if isinstance(value, NotJson):
        return None
    if isinstance(value, dict) and isinstance(value.get("alertname"), str):
        known = of_rule(value)
        return [_walked(number, Source.ALERTMANAGER, known, Severity.WARNING, library.explain(known))]
    if isinstance(value, dict) and isinstance(value.get("body"), dict | list):
        line = json.dumps(value["body"]).encode()
    source = guess(line)
    delivered = PARSERS[source](line, SourcePolicy(source.value), Policy(), now)
    if not isinstance(delivered, Delivered):
        return None
    signals = (
        apply(None, event, IncidentPolicy()).signal for event in delivered.events if event.effect is Effect.OPENS
    )
    return [
        _walked(number, source, facts(signal), signal.severity, library.hint(signal)) for signal in signals if signal
    ]


def _walked(line: int, source: Source, known: Facts, severity: Severity, hint: Hint) -> Walked:
    text = known.get("message") or known.get("summary", "")
    name = known.get("alertname", "")
    return Walked(line, source, name, cut(text), severity >= Severity.ERROR, reach(hint), hint.tree, hint.leaf)


def reach(hint: Hint) -> Reach:
    """How far `hint` came."""
    if not hint.tree:
        return Reach.NOWHERE
    if hint.question:
        return Reach.QUESTION
    return Reach.GENERAL if hint.tree == GENERAL or hint.certainty is Certainty.OPEN else Reach.LEAF


# Values for labels that only name something. What a label *says* (reason, status, condition) is not known of a rule, and not made up.
_NAMES: Final[Mapping[str, str]] = MappingProxyType({
    "namespace": "media", "pod": "web-66cc5c9fcf-9rccg", "container": "web", "node": "node-1", "deployment": "web", "statefulset": "db",
    "daemonset": "agent", "job_name": "migrate", "cronjob": "nightly", "horizontalpodautoscaler": "web", "poddisruptionbudget": "web",
    "persistentvolumeclaim": "data", "persistentvolume": "pvc-0a1b", "resourcequota": "media", "instance": "192.0.2.10:9100",
    "device": "sda1", "mountpoint": "/", "fstype": "ext4", "service": "web", "name": "web", "exported_namespace": "media",
})  # fmt: skip


def of_rule(rule: Mapping[str, Any]) -> Facts:
    """What an alert of `rule` would certainly say: its name, its summary, and of its labels those that name an object."""
    labels = rule.get("labels")
    said = {name: _NAMES[name] for name in (labels if isinstance(labels, list) else ()) if name in _NAMES}
    summary = str(rule.get("summary") or "")
    if "exported_namespace" in said:
        said["namespace"] = said.pop("exported_namespace")
    return derive(
        said | {"alertname": str(rule["alertname"]), "source": "alertmanager", "summary": summary, "message": summary}
    )


# --- told ---------------------------------------------------------------------------------------------------------------


def report(found: Coverage) -> str:
    """A few lines for people."""
    return "\n".join(_report(found))


def _report(found: Coverage) -> Iterator[str]:
    if found.names:
        yield f"{plural(len(found.names), 'alert name')}"
        yield from _counted(Counter(found.names.values()))
    if found.errors:
        yield f"{plural(len(found.errors), 'error event')} of Flux, {_percent(found)} at a leaf with its cause"
        yield from _counted(Counter(one.reach for one in found.errors))
    yield f"{len(found.exercised)} of {len(found.leaves)} leaves and questions were come to"
    if found.unread:
        yield f"not read: {plural(len(found.unread), 'line')}, the first is {found.unread[0]}"
    if found.worst:
        yield "worst"
        for far, name, text, count in found.worst[:WORST]:
            yield f"  {WORDS[far]}: {name}{f' ×{count}' if count > 1 else ''}  {text}".rstrip()
    if len(found.worst) > WORST:
        yield f"  and {len(found.worst) - WORST} more"


def _counted(counts: Mapping[Reach, int]) -> Iterator[str]:
    yield from (f"  {counts[far]:>5}  {WORDS[far]}" for far in sorted(counts, reverse=True))


def _percent(found: Coverage) -> str:
    # Rounded down: 95 % is said where it is reached.
    return f"{100 * sum(one.reach is Reach.LEAF for one in found.errors) // len(found.errors)} %"


def as_json(found: Coverage) -> dict[str, Any]:
    """For programs."""
    return {
        "alertnames": {name: far.name.lower() for name, far in sorted(found.names.items())},
        "errors": {far.name.lower(): sum(one.reach is far for one in found.errors) for far in reversed(Reach)},
        "leaves": {"all": len(found.leaves), "exercised": sorted(found.exercised)},
        "events": [
            {"line": one.line, "name": one.name, "text": one.text, "reach": one.reach.name.lower(), "tree": one.tree, "leaf": one.leaf}
            for one in found.walked
        ],
        "worst": [
            {"reach": far.name.lower(), "name": name, "text": text, "count": count} for far, name, text, count in found.worst
        ],
        "unread": list(found.unread),
    }  # fmt: skip


def is_covered(found: Coverage) -> bool:
    """Whether every alertname came to a tree, and at least 95 of 100 of Flux's errors to a leaf with its cause."""
    leaves = sum(one.reach is Reach.LEAF for one in found.errors)
    return Reach.NOWHERE not in found.names.values() and 100 * leaves >= 95 * len(found.errors)
