"""A decision tree is data, finite by construction; walking it takes facts and gives a Hint that claims no more than the evidence.

A fact that is absent makes a condition unknown, not false: where only unknown branches are left the walk stops and the question
stays open. A branch whose facts are there and differ is denied; where all are denied, `otherwise` of this node or the nearest
ancestor answers, and `otherwise: open` says that silence is no answer. The first branch that fits is taken, also past unknown ones.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import chain
from types import MappingProxyType
from typing import Any, Final

import re2

from relay.core.event import EMPTY
from relay.core.facts import REGISTRY, Facts, facts
from relay.core.labels import Matcher, Matchers, Op, pattern
from relay.core.patterns import PatternSet
from relay.core.signal import Signal
from relay.core.values import value

MAX_LOOKS: Final = 3
"""Commands one Hint shows: more is a manual."""
MAX_OTHERS: Final = 10
NONE_OF_THESE: Final = "none of these"

_CUT: Final = 80
_MAX_VALUE: Final = 253
_NAMES: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._/:@-")
_BLANK: Final[Any] = re2.compile(r"<([a-z][a-z0-9_]*)>")


class Certainty(StrEnum):
    """On what a payload says a branch is likely; a live look-up would confirm it; where evidence ends it is open."""

    OPEN = "open"
    LIKELY = "likely"
    CONFIRMED = "confirmed"


class Heals(StrEnum):
    """What can heal a leaf's cause, which decides how long it is held back."""

    COMMIT = "commit"
    ITSELF = "itself"
    UNKNOWN = "unknown"


class Act(StrEnum):
    """What a step does to the cluster: read-only first, the other two are labelled and never lead."""

    LOOK = "look"
    CHANGE = "change"
    DESTROY = "destroy"


@value(frozen=True, slots=True)
class Advice:
    """A step with its names filled in: what to do in a few words, and the command to paste, if there is one."""

    act: Act
    text: str
    run: str = ""


@value(frozen=True, slots=True)
class Answered:
    """One question on the path, as far as it was decided, and what decided it: for `explain` and the card's small print."""

    question: str
    answer: str
    because: str
    """The matcher and the value it saw, in one line. Text from outside."""


@value(frozen=True, slots=True)
class Hint:
    """The path walked through a decision tree and the next steps at its end.

    At a leaf: `leaf` and `cause`. Where the facts do not decide: `question` and the branches still `open`, as the checklist; `leaf`
    is then the id of the open question, if it has one. Names in `cause`, `title` and `because` come from outside: show them as such.
    """

    tree: str
    title: str
    path: tuple[Answered, ...] = ()
    certainty: Certainty = Certainty.OPEN
    leaf: str = ""
    cause: str = ""
    question: str = ""
    open: tuple[str, ...] = ()
    says: str = ""
    """The state as a verb phrase: `is crash-looping`."""
    impact: str = ""
    heals: Heals = Heals.UNKNOWN
    steps: tuple[Advice, ...] = ()
    checklist: tuple[tuple[str, str], ...] = ()
    """For an open question: answer → what it would mean, `exit 1` → `its log`."""
    also: tuple[str, ...] = ()
    """Other answers that hold at the same time (the scheduler's clauses), and the other objects of a list. Text from outside."""
    because: str = ""
    """What chose this tree, in one line. Text from outside."""


@dataclass(frozen=True, slots=True)
class Blank:
    """A name to be filled in, written `<pod>`."""

    name: str


@dataclass(frozen=True, slots=True)
class Maybe:
    """Words that stand only where all their blanks have a value, written `[-c <container>]`."""

    parts: tuple[str | Blank, ...]


Phrase = tuple[str | Blank | Maybe, ...]


class PhraseError(ValueError):
    """A text or command that cannot be taken apart; it says why."""


@dataclass(frozen=True, slots=True)
class Step:
    """What to look at or to change, as the tree's author wrote it, taken apart once."""

    act: Act
    text: Phrase
    run: Phrase = ()


Fits = Callable[[Matcher], "bool | None"]
"""Whether a matcher fits what is known: yes, no, or None for unknown."""


def pattern_sets(asked: Iterable[Matcher]) -> Mapping[str, PatternSet]:
    """For each fact that more than one pattern asks about, those patterns as one."""
    texts: dict[str, dict[str, None]] = {}
    for matcher in asked:
        if matcher.op is Op.MATCHES or matcher.op is Op.NOT_MATCHES:
            texts.setdefault(matcher.name, {})[matcher.value] = None
    return MappingProxyType({name: PatternSet(values) for name, values in texts.items() if len(values) > 1})


def verdicts(sets: Mapping[str, PatternSet], known: Mapping[str, str]) -> Fits:
    """`fits` for matchers of `sets`, with one pass over each fact's value for all patterns that ask about it."""
    seen: dict[str, frozenset[str]] = {}

    def fit(matcher: Matcher) -> bool | None:
        value = known.get(matcher.name)
        if not value:
            return _of_absent(matcher)
        patterns = sets.get(matcher.name)
        if patterns is None or matcher.op is Op.EQUAL or matcher.op is Op.NOT_EQUAL:
            return matcher.matches(known)
        if matcher.name not in seen:
            seen[matcher.name] = frozenset(patterns.fitting(value))
        return (matcher.value in seen[matcher.name]) is (matcher.op is Op.MATCHES)

    return fit


@dataclass(frozen=True, slots=True)
class Branch:
    """One answer to a question, and what follows. `means` says in a few words what it would mean, for the checklist."""

    answer: str
    when: tuple[Matcher, ...]
    node: Node
    means: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """A question with its branches, or a leaf without any. A question's own leaf id and steps serve while it is open."""

    asks: str = ""
    branches: tuple[Branch, ...] = ()
    otherwise: Node | None = None
    stays_open: bool = False
    """`otherwise: open`: that no branch fits is no answer."""
    several: bool = False
    """More than one branch may hold; the first is the path, the others are named."""
    leaf: str = ""
    cause: Phrase = ()
    says: str = ""
    impact: str = ""
    heals: Heals | None = None
    steps: tuple[Step, ...] = ()
    _sets: Mapping[str, PatternSet] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        asked = (matcher for branch in self.branches for matcher in branch.when)
        object.__setattr__(self, "_sets", pattern_sets(asked))

    def verdicts(self, known: Mapping[str, str]) -> Fits:
        """`fits` for the branches."""
        return verdicts(self._sets, known)


@dataclass(frozen=True, slots=True)
class Example:
    """Facts, and where they must or must not lead: a path of answers or a leaf id. `line` is where it stands in its file."""

    given: Mapping[str, str]
    path: tuple[str, ...] = ()
    leaf: str = ""
    never: tuple[str, ...] = ()
    line: int = 0


@dataclass(frozen=True, slots=True)
class DecisionTree:
    """Read whole from one file. `starts`: any of these, each all of its matchers."""

    name: str
    title: str
    starts: tuple[Matchers, ...]
    root: Node
    examples: tuple[Example, ...] = ()
    file: str = ""


def fits(matcher: Matcher, known: Mapping[str, str]) -> bool | None:
    """Three-valued: of an absent fact only a matcher that asks for absence (`pod=""`, `pod!=""`, `=~"|x"`) can tell anything."""
    if known.get(matcher.name):
        return matcher.matches(known)
    return _of_absent(matcher)


def _of_absent(matcher: Matcher) -> bool | None:
    if matcher.op in {Op.EQUAL, Op.MATCHES}:
        return True if matcher.matches(EMPTY) else None
    return False if matcher.op is Op.NOT_EQUAL and not matcher.value else None


def phrase(text: str) -> Phrase:
    """A text with blanks. Anything else in it stands as it is."""
    if "<" not in text:
        return (text,) if text else ()
    parts: list[str | Blank | Maybe] = []
    for index, part in enumerate(_split(text)):
        if index % 2:
            parts.append(Blank(part))
        elif part:
            parts.append(part)
    return tuple(parts)


def command(text: str) -> Phrase:
    """A command line with blanks and optional parts.

    Raises PhraseError where it does not tokenise, has a blank within quotes (a value could end them), or does more than one thing:
    only pipes join, and nothing is written.
    """
    plain, quoted = _unquoted(text)
    if any("<" in piece and _BLANK.search(piece) for piece in quoted):
        raise PhraseError("a blank stands within quotes; leave it outside of them")
    bare = _BLANK.sub("x", plain) if "<" in plain else plain
    if found := next((sign for sign in (";", "&", "`", "$", ">", "<", "\\", "\n") if sign in bare), ""):
        raise PhraseError(f"{found!r} outside of quotes; one command, or several with pipes")
    parts: list[str | Blank | Maybe] = []
    rest = text
    while (start := _optional(rest)) is not None:
        begin, end = start
        inner = phrase(rest[begin + 1 : end])
        if not any(isinstance(part, Blank) for part in inner):
            raise PhraseError(f"the optional part {rest[begin : end + 1]!r} has no blank")
        parts += [*phrase(rest[:begin]), Maybe(tuple(part for part in inner if not isinstance(part, Maybe)))]
        rest = rest[end + 1 :]
    return (*parts, *phrase(rest))


def _split(text: str) -> list[str]:
    """Text, name, text, name, …, text."""
    pieces, at = [], 0
    for found in _BLANK.finditer(text):
        pieces += [text[at : found.start()], found.group(1)]
        at = found.end()
    return [*pieces, text[at:]]


def _unquoted(text: str) -> tuple[str, list[str]]:
    """What stands outside of quotes, and each quoted piece."""
    plain, quoted, rest = [], [], text
    while places := [place for place in (rest.find("'"), rest.find('"')) if place >= 0]:
        begin = min(places)
        end = rest.find(rest[begin], begin + 1)
        if end < 0:
            raise PhraseError(f"a quote {rest[begin]} is never closed")
        plain.append(rest[:begin])
        quoted.append(rest[begin + 1 : end])
        rest = rest[end + 1 :]
    if any(piece.endswith("\\") for piece in quoted):
        raise PhraseError("it does not tokenise: a backslash stands before a closing quote")
    return "".join(plain) + rest, quoted


def _optional(text: str) -> tuple[int, int] | None:
    """Where the first `[…]` outside of quotes begins and ends."""
    if "[" not in text and "]" not in text:
        return None
    mark, begin = "", -1
    for index, char in enumerate(text):
        if mark:
            mark = "" if char == mark else mark
        elif char in "'\"":
            mark = char
        elif char == "[":
            begin = index
        elif char == "]":
            if begin < 0:
                raise PhraseError("a ] without its [; quote it if it belongs to the command")
            return begin, index
    if begin >= 0:
        raise PhraseError("a [ that never ends; quote it if it belongs to the command")
    return None


def blanks(text: Phrase, *, optional: bool = True) -> tuple[str, ...]:
    """The names in `text`, those of optional parts too unless told otherwise."""
    names: list[str] = []
    for part in text:
        if isinstance(part, Blank):
            names.append(part.name)
        elif isinstance(part, Maybe) and optional:
            names += [inner.name for inner in part.parts if isinstance(inner, Blank)]
    return tuple(names)


def written(text: Phrase) -> str:
    """`text` as its author wrote it."""
    out = []
    for part in text:
        match part:
            case Blank(name):
                out.append(f"<{name}>")
            case Maybe(parts):
                out.append(f"[{written(parts)}]")
            case _:
                out.append(part)
    return "".join(out)


def usable(value: str) -> bool:
    """Whether a value from outside may stand in a command: a name, never an option, a file to read, a quote or a second command."""
    return 0 < len(value) <= _MAX_VALUE and value[0] not in "-@" and _NAMES.issuperset(value)


def fill(line: Phrase, known: Mapping[str, str]) -> str | None:
    """The command with its names, each valid and quoted for the shell; None where one is missing or is no name."""
    out: list[str] = []
    for part in line:
        match part:
            case Blank(name):
                value = known.get(name, "")
                if not usable(value):
                    return None
                out.append(shlex.quote(value))
            case Maybe(parts):
                out.append(fill(parts, known) or "")
            case _:
                # An optional part that is left out takes one of its spaces with it.
                out.append(part.removeprefix(" ") if out and not out[-1] else part)
    return "".join(out).rstrip()


def tell(text: Phrase, known: Mapping[str, str]) -> str:
    """A sentence with its names. One that is missing or odd is called by what it is, `the object`, or is an ellipsis."""
    out = []
    for part in text:
        if isinstance(part, Blank):
            value = known.get(part.name, "")
            called = f"the {_called(part.name)}" if part.name in REGISTRY else "…"
            out.append(cut(value) if usable(value) else called)
        elif isinstance(part, str):
            out.append(part)
    said = "".join(out)
    return said[:1].upper() + said[1:]


def cut(text: str, length: int = _CUT) -> str:
    """One line of at most `length` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


_FINDERS: Final[Mapping[str, tuple[Phrase, ...]]] = MappingProxyType(
    {fact.name: tuple(command(line) for line in fact.find) for fact in REGISTRY.values()}
)


def advise(steps: Iterable[Step], known: Mapping[str, str]) -> tuple[Advice, ...]:
    """The steps with their names. One that lacks a name is preceded by the look that finds it, and keeps only its words."""
    out: list[Advice] = []
    for step in steps:
        text = tell(step.text, known)
        run = fill(step.run, known)
        if run is None:
            missing = next(name for name in blanks(step.run, optional=False) if not usable(known.get(name, "")))
            finder = _finder(missing, known)
            if finder and not any(advice.run == finder for advice in out):
                out.append(Advice(Act.LOOK, f"Find the {_called(missing)}", finder))
            run = ""
        out.append(Advice(step.act, text, run))
    surplus = [advice for advice in out if advice.act is Act.LOOK and advice.run][MAX_LOOKS:]
    return tuple(advice for advice in out if advice not in surplus)


def _called(name: str) -> str:
    fact = REGISTRY.get(name)
    return (fact.called if fact else "") or name.replace("_", " ")


def _finder(name: str, known: Mapping[str, str]) -> str:
    for line in _FINDERS.get(name, ()):
        if found := fill(line, known):
            return found
    return ""


@dataclass(slots=True)
class _Walk:
    """Where a walk stands: what it knows, what it answered, and the nodes behind it."""

    tree: DecisionTree
    known: dict[str, str]
    trail: list[Node] = field(default_factory=list)
    path: list[Answered] = field(default_factory=list)
    also: tuple[str, ...] = ()
    in_short: bool = False
    """Neither the path nor the steps are asked for."""

    def end(self) -> Hint:
        node = self.tree.root
        while True:
            self.trail.append(node)
            if not node.branches:
                return self._leaf(node)
            fitting, unknown = self._judge(node)
            if fitting:
                node = self._take(node, fitting)
                continue
            if unknown:
                return self._open(node, list(node.branches) if node.stays_open else unknown)
            after = self._refuge()
            if isinstance(after, Node):
                seen = node.branches[0].when[0]
                self.path.append(
                    Answered(
                        node.asks, NONE_OF_THESE, f"{seen.name} is {cut(self.known.get(seen.name, '')) or 'not said'}"
                    )
                )
                node = after
                continue
            return self._open(*after)

    def _judge(self, node: Node) -> tuple[list[Branch], list[Branch]]:
        """The branches that fit (only the first, unless several may) and those of which nothing is known."""
        fitting: list[Branch] = []
        unknown: list[Branch] = []
        fit = node.verdicts(self.known)
        for branch in node.branches:
            verdict: bool | None = True
            for matcher in branch.when:
                one = fit(matcher)
                if one is False:
                    verdict = False
                    break
                if one is None:
                    verdict = None
            if verdict:
                fitting.append(branch)
                if not node.several:
                    break
            elif verdict is None:
                unknown.append(branch)
        return fitting, unknown

    def _take(self, node: Node, fitting: list[Branch]) -> Node:
        taken, *others = fitting
        self.also += tuple(branch.answer for branch in others)
        if not self.in_short:
            self.path.append(Answered(node.asks, taken.answer, because(taken.when, self.known)))
        for matcher in taken.when:
            if "(?P<" in matcher.value:
                self.known |= matcher.groups(self.known)
        return taken.node

    def _refuge(self) -> Node | tuple[Node, list[Branch]]:
        """What answers where all branches are denied: the nearest `otherwise`; the root has one, so there always is one."""
        for node in reversed(self.trail):
            if node.stays_open:
                return node, list(node.branches)
            if node.otherwise is not None and not any(node.otherwise is behind for behind in self.trail):
                return node.otherwise
        return self.trail[-1], list(self.trail[-1].branches)

    def _hint(self, end: Node, **more: Any) -> Hint:  # noqa: ANN401  # the fields in which an end and a question differ
        steps = next((node.steps for node in [end, *reversed(self.trail)] if node.steps), ())
        return Hint(
            tree=self.tree.name,
            title=self.tree.title,
            path=tuple(self.path),
            leaf=end.leaf,
            says=next((node.says for node in reversed(self.trail) if node.says), ""),
            impact=next((node.impact for node in reversed(self.trail) if node.impact), ""),
            heals=next((node.heals for node in reversed(self.trail) if node.heals), Heals.UNKNOWN),
            steps=advise(steps, self.known) if not self.in_short else (),
            also=self.also,
            **more,
        )

    def _leaf(self, node: Node) -> Hint:
        certainty = Certainty.LIKELY if node.cause else Certainty.OPEN
        return self._hint(node, certainty=certainty, cause=tell(node.cause, self.known))

    def _open(self, node: Node, branches: list[Branch]) -> Hint:
        return self._hint(
            node,
            question=node.asks,
            open=tuple(branch.answer for branch in branches),
            checklist=tuple((branch.answer, _meaning(branch)) for branch in branches),
        )


def _meaning(branch: Branch) -> str:
    return branch.means or cut(tell(branch.node.cause, EMPTY)) or branch.node.asks


def because(matchers: Iterable[Matcher], known: Mapping[str, str]) -> str:
    """What decided, in one line: each matcher and the value it saw; of a long text the piece that matched."""
    return " and ".join(f"{_short(matcher)} saw {_seen(matcher, known.get(matcher.name, ''))}" for matcher in matchers)


def _short(matcher: Matcher) -> str:
    return f"{matcher.name}{matcher.op}{cut(matcher.value)!r}"


def _seen(matcher: Matcher, value: str) -> str:
    if not value:
        return "nothing"
    if len(value) > _CUT and matcher.op is Op.MATCHES:
        regex = pattern(matcher.value)
        found = regex.search(value) if regex.groups else None
        start = found.start(1) if found else -1
        if start > _CUT // 4:
            value = f"…{value[start - _CUT // 4 :]}"
    return f"{cut(value)!r}"


def walk(tree: DecisionTree, known: Facts, *, in_short: bool = False) -> Hint:
    """The Hint for what is known: a leaf where the facts decide, else the question that is open. `in_short` without path and steps."""
    return _Walk(tree, dict(known), in_short=in_short).end()


@dataclass(frozen=True, slots=True)
class Choice:
    """A tree and what chose it, in one line."""

    tree: DecisionTree
    because: str


@dataclass(frozen=True, slots=True)
class _Start:
    tree: DecisionTree
    all_of: tuple[Matcher, ...]


class _Starts:
    """The starts of all trees, in the order in which they are tried; those by alertname are found by it."""

    def __init__(self, trees: Iterable[DecisionTree]) -> None:
        starts = [_Start(tree, start.all_of) for tree in trees for start in tree.starts]
        named = [(start, _name_of(start)) for start in starts]
        self._by_name = [start for start, name in named if name]
        self._others = [start for start, name in named if not name]
        self._exact: dict[str, list[int]] = {}
        self._fitting: dict[str, list[int]] = {}
        for index, name in enumerate(name for _, name in named if name):
            (self._fitting if name.op is Op.MATCHES else self._exact).setdefault(name.value, []).append(index)
        self._names = PatternSet(self._fitting)
        self._sets = pattern_sets(matcher for start in starts for matcher in start.all_of)

    def first(self, known: Facts) -> _Start | None:
        """One that starts by alertname before one that starts by anything else."""
        name = known.get("alertname", "")
        found = {index for text in self._names.fitting(name) for index in self._fitting[text]}
        ordered = sorted(found.union(self._exact.get(name, ())))
        candidates = chain((self._by_name[index] for index in ordered), self._others)
        fit = verdicts(self._sets, known)
        return next((start for start in candidates if all(map(fit, start.all_of))), None)


def _name_of(start: _Start) -> Matcher | None:
    """What it asks of the alertname, if that is all one name or pattern."""
    asked = (one for one in start.all_of if one.name == "alertname" and one.op in {Op.EQUAL, Op.MATCHES})
    return next(asked, None)


@dataclass(frozen=True, slots=True)
class Library:
    """All trees, in the order in which they are asked."""

    trees: tuple[DecisionTree, ...] = ()
    _starts: _Starts = field(default_factory=lambda: _Starts(()), compare=False, repr=False)

    @classmethod
    def of(cls, trees: Iterable[DecisionTree]) -> Library:
        """From trees with distinct names."""
        kept = tuple(trees)
        return cls(kept, _Starts(kept))

    def choose(self, known: Facts) -> Choice | None:
        """The tree for what is known: one that starts by alertname before one that starts by anything else, then by order."""
        start = self._starts.first(known)
        return Choice(start.tree, because(start.all_of, known)) if start else None

    def hint(self, signal: Signal, history: Mapping[str, str] = EMPTY) -> Hint:
        """What is known about `signal`, and what to do next; without a tree for it an honest first look, and no cause."""
        hint = self.explain(facts(signal, history))
        # A health-check list: the walk went by the worst, which is named first.
        others = tuple(f"{one.kind} {one.place}" for one in signal.names[1:MAX_OTHERS])
        return replace(hint, also=(*hint.also, *others)) if others else hint

    def gist(self, signal: Signal) -> Hint:
        """What `hint` says of the state and its cause, at half its cost: all that a line needs."""
        known = facts(signal)
        start = self._starts.first(known)
        return walk(start.tree, known, in_short=True) if start else general(known)

    def explain(self, known: Facts) -> Hint:
        """As `hint`, from facts."""
        choice = self.choose(known)
        return replace(walk(choice.tree, known), because=choice.because) if choice else general(known)


def matchers(tree: DecisionTree) -> Iterable[Matcher]:
    """Every matcher of a tree, its starts first."""
    for start in tree.starts:
        yield from start.all_of
    for node in nodes(tree.root):
        for branch in node.branches:
            yield from branch.when


def nodes(node: Node) -> Iterable[Node]:
    """`node` and all below it, in the order of the file."""
    yield node
    for branch in node.branches:
        yield from nodes(branch.node)
    if node.otherwise is not None:
        yield from nodes(node.otherwise)


_FIRST_LOOKS: Final = tuple(
    Step(Act.LOOK, phrase(text), command(run))
    for text, run in (
        ("What Flux says of it", "flux events --for <kind>/<name> -n <namespace>"),
        ("The pod's state and events", "kubectl -n <namespace> describe pod <pod>"),
        ("The claim's state and events", "kubectl -n <namespace> describe pvc <persistentvolumeclaim>"),
        ("The workload's state and events", "kubectl -n <namespace> describe <owner>"),
        ("The node's conditions", "kubectl describe node <node>"),
        ("Warnings in the namespace", "kubectl -n <namespace> events --types=Warning"),
        ("Warnings in the cluster", "kubectl events -A --types=Warning"),
    )
)


def general(known: Facts) -> Hint:
    """Without a tree: the sender's own summary as the title, and the first look at what it names. Never a cause."""
    named = f"{known.get('kind', '')} {known.get('reason', '')}".strip()
    title = cut(known.get("summary") or known.get("alertname") or named, 120) or "Something is wrong"
    flux = known.get("source") == "flux" or known.get("alertname", "").startswith("Flux")
    looks = _FIRST_LOOKS if flux else _FIRST_LOOKS[1:]
    return Hint(tree="", title=title, steps=advise([next(step for step in looks if fill(step.run, known))], known))
