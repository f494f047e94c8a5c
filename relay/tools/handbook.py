"""The handbook is the trees as pages to read: Markdown with a diagram, where the anchor of every leaf is its id in small letters.

Texts of trees stand in it as text: nothing in them is Markdown or Mermaid.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Final

from relay.core.facts import FACTS, RENAMED, Fact, Origin
from relay.core.tree import Act, Branch, DecisionTree, Heals, Library, Node, Phrase, Step, nodes, written
from relay.core.wording import plural

INDEX: Final = "README.md"
MADE: Final = "<!-- Made by `relay trees handbook --to FOLDER` from the trees: change those. -->"
_WIDTH: Final = 34
"""Characters of a line within a diagram's node."""

_HEALS: Final[Mapping[Heals, str]] = MappingProxyType({
    Heals.COMMIT: "by a commit",
    Heals.ITSELF: "by itself, when what it waits for is back",
    Heals.UNKNOWN: "not known",
})  # fmt: skip
_ACTS: Final[Mapping[Act, str]] = MappingProxyType({
    Act.LOOK: "Look",
    Act.CHANGE: "**Changes something:**",
    Act.DESTROY: "**Destroys something:**",
})  # fmt: skip


# --- the whole ----------------------------------------------------------------------------------------------------------


def handbook(library: Library) -> Mapping[str, str]:
    """The content of each file by its name: an index, and a page for each tree."""
    found = {INDEX: index(library)}
    found |= {f"{tree.name}.md": page(tree) for tree in library.trees}
    return MappingProxyType(found)


def write(files: Mapping[str, str], folder: Path) -> None:
    """Make `folder` hold these files, and no other page. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in stray(files, folder):
        (folder / stale).unlink()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def stray(files: Mapping[str, str], folder: Path) -> list[str]:
    """The pages of a tree that is no longer there."""
    others = (path for path in folder.glob("*.md") if path.name not in files)
    return sorted(path.name for path in others if MADE in path.read_text(encoding="utf-8", errors="replace"))


def differing(files: Mapping[str, str], folder: Path) -> list[str]:
    """The names of those in `folder` that are missing, stray, or hold something else."""

    def held(name: str) -> str | None:
        path = folder / name
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None

    return sorted({name for name, text in files.items() if held(name) != text} | set(stray(files, folder)))


# --- the index ----------------------------------------------------------------------------------------------------------


def index(library: Library) -> str:
    """All trees with their sizes, and every leaf with its anchor and the way to its page."""
    return "\n".join(_index(library)).rstrip("\n") + "\n"


def _index(library: Library) -> Iterator[str]:
    trees = library.trees
    leaves = sum(len(_leaves(tree)) for tree in trees)
    examples = sum(len(tree.examples) for tree in trees)
    commands = len(
        {written(step.run) for tree in trees for node in nodes(tree.root) for step in node.steps if step.run}
    )
    yield "# Troubleshooting handbook"
    yield ""
    yield MADE
    yield ""
    yield (
        f"What the relay knows: {len(trees)} decision trees with {leaves} leaves and questions, kept true by {examples}"
        f" examples, and {commands} commands. A card in Discord ends in a leaf's id; it is found here."
    )
    yield ""
    yield (
        "An alert's or event's facts walk through one tree. Where they decide, the walk ends at a leaf whose cause is *likely*: the payload"
        " says so, nobody has looked. Where they do not, the question stays open, and its answers are a checklist. All facts stand in"
        " `docs/facts.md` of the relay, and how to write trees in `docs/writing-trees.md`."
    )
    yield ""
    yield "| tree | asks | leaves | examples |"
    yield "| --- | --- | --- | --- |"
    for tree in trees:
        yield f"| [{tree.name}]({tree.name}.md) | {text(tree.title)} | {len(_leaves(tree))} | {len(tree.examples)} |"
    for tree in trees:
        yield ""
        yield f"## {text(tree.title)}"
        yield ""
        for place in filter(_has_id, _places(_root(tree))):
            anchor = place.node.leaf.lower()
            yield f'- <a id="{anchor}"></a>[{place.node.leaf}]({tree.name}.md#{anchor}) {text(place.about)}'


def _leaves(tree: DecisionTree) -> list[Node]:
    return [node for node in nodes(tree.root) if node.leaf]


# --- a tree's page ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """A node, the way to it, and what holds for it because an ancestor says so."""

    node: Node
    answers: tuple[str, ...] = ()
    branch: Branch | None = None
    says: str = ""
    impact: str = ""
    heals: Heals = Heals.UNKNOWN
    steps: tuple[Step, ...] = ()

    @property
    def about(self) -> str:
        """The cause, the question, or where neither is known the answer that led here."""
        return (
            written(self.node.cause) or self.node.asks or (self.answers[-1] if self.answers else "Known by name only")
        )

    def below(self, node: Node, answer: str, branch: Branch | None = None) -> _Place:
        return _place(node, self, (*self.answers, answer), branch)


def _place(node: Node, above: _Place, answers: tuple[str, ...], branch: Branch | None) -> _Place:
    return _Place(
        node=node,
        answers=answers,
        branch=branch,
        says=node.says or above.says,
        impact=node.impact or above.impact,
        heals=node.heals or above.heals,
        steps=node.steps or above.steps,
    )


def _places(place: _Place) -> Iterator[_Place]:
    yield place
    for branch in place.node.branches:
        yield from _places(place.below(branch.node, branch.answer, branch))
    if place.node.otherwise is not None:
        yield from _places(place.below(place.node.otherwise, "none of these"))


def _root(tree: DecisionTree) -> _Place:
    return _place(tree.root, _Place(tree.root), (), None)


def _has_id(place: _Place) -> bool:
    return bool(place.node.leaf)


def page(tree: DecisionTree) -> str:
    """One tree: what starts it, its diagram, and a section for each leaf and each question that has an id."""
    return "\n".join(_page(tree)).rstrip("\n") + "\n"


def _page(tree: DecisionTree) -> Iterator[str]:
    yield f"# {text(tree.title)}"
    yield ""
    yield MADE
    yield ""
    yield f"The tree `{tree.name}` (`{tree.file}`) with {plural(len(tree.examples), 'example')}. [All trees]({INDEX})"
    yield ""
    yield "It starts on any of:"
    yield ""
    yield from (f"- {code(', '.join(map(str, start.all_of)))}" for start in tree.starts)
    yield ""
    yield "```mermaid"
    yield diagram(tree)
    yield "```"
    for place in filter(_has_id, _places(_root(tree))):
        yield from _section(place)


def _section(place: _Place) -> Iterator[str]:
    node = place.node
    yield ""
    yield f"## {node.leaf}"
    yield ""
    yield f"**{text(place.about)}**" + (f" ({' › '.join(map(text, place.answers))})" if place.answers else "")
    yield ""
    if place.branch is not None:
        yield f"- evidence: {' and '.join(code(str(matcher)) for matcher in place.branch.when)}"
    for name, said in (("says", place.says), ("impact", place.impact), ("heals", _HEALS[place.heals])):
        if said:
            yield f"- {name}: {text(said)}"
    if node.branches:
        yield "- as long as it is open, a checklist:"
        for branch in node.branches:
            means = branch.means or written(branch.node.cause) or branch.node.asks
            yield f"  - {text(branch.answer)}: {text(means)}{_link(branch.node)}"
    yield ""
    for number, step in enumerate(place.steps, 1):
        yield from _step(number, step)


def _link(node: Node) -> str:
    return f" ([{node.leaf}](#{node.leaf.lower()}))" if node.leaf else ""


def _step(number: int, step: Step) -> Iterator[str]:
    yield f"{number}. {_ACTS[step.act]}{':' if step.act is Act.LOOK else ''} {text(written(step.text))}"
    if step.run:
        yield ""
        yield from textwrap.indent(fenced(step.run), "   ").splitlines()
        yield ""


def fenced(run: Phrase) -> str:
    """A command as it is pasted, its blanks still to be filled in."""
    line = written(run)
    fence = "```"
    while fence in line:
        fence += "`"
    return f"{fence}sh\n{line}\n{fence}"


# --- Markdown and Mermaid, where a text is a text -----------------------------------------------------------------------

_MARKS: Final = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]<>|#~"})
_ENTITIES: Final = str.maketrans({
    "#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "`": "#96;", "\\": "#92;", ";": "#59;",
})  # fmt: skip


def text(words: str) -> str:
    """`words` on one line, none of them Markdown."""
    return " ".join(words.split()).translate(_MARKS)


def code(words: str) -> str:
    """`words` between backticks, more of them than `words` holds."""
    line = " ".join(words.split())
    ticks = "`"
    while ticks in line:
        ticks += "`"
    space = " " if "`" in line else ""
    return f"{ticks}{space}{line}{space}{ticks}"


def label(words: str) -> str:
    """`words` as a quoted label of Mermaid, on lines that are not too long."""
    rows = textwrap.wrap(" ".join(words.split()), _WIDTH, break_long_words=True, break_on_hyphens=False) or [" "]
    return '"' + "<br/>".join(row.translate(_ENTITIES) for row in rows) + '"'


def diagram(tree: DecisionTree) -> str:
    """The tree as a Mermaid flowchart: questions are hexagons, leaves are boxes, a dashed edge is `otherwise`."""
    return "\n".join(["flowchart LR", *_drawn(tree.root, "n0", count(1))])


def _drawn(node: Node, name: str, numbers: Iterator[int]) -> Iterator[str]:
    if node.branches:
        yield f"  {name}{{{{{label(node.asks)}}}}}"
    else:
        said = ": ".join(part for part in (node.leaf, written(node.cause)) if part)
        yield f"  {name}[{label(said)}]"
    for branch in node.branches:
        below = f"n{next(numbers)}"
        yield from _drawn(branch.node, below, numbers)
        yield f"  {name} -->|{label(branch.answer)}| {below}"
    if node.stays_open:
        below = f"n{next(numbers)}"
        yield f"  {below}([{label('the question stays open')}])"
        yield f"  {name} -.->|{label('none of these')}| {below}"
    if node.otherwise is not None:
        below = f"n{next(numbers)}"
        yield from _drawn(node.otherwise, below, numbers)
        yield f"  {name} -.->|{label('none of these')}| {below}"


# --- the facts ----------------------------------------------------------------------------------------------------------

_ORIGINS: Final[Mapping[Origin, tuple[str, str]]] = MappingProxyType({
    Origin.PAYLOAD: ("From the payload", "A label of that name, or a field of the event."),
    Origin.DERIVED: ("Derived", "They follow from names, reasons and texts; what the payload says itself is never changed."),
    Origin.HISTORY: ("From history", "What the relay remembers of the same object."),
    Origin.LIVE: ("Live", "Looked up in the cluster."),
})  # fmt: skip


def facts_page() -> str:
    """The registry of facts as a page."""
    return "\n".join(_facts_page()).rstrip("\n") + "\n"


def _facts_page() -> Iterator[str]:
    yield "# Facts"
    yield ""
    yield "<!-- Made by `relay trees facts` from the registry in relay/core/facts.py: change that. -->"
    yield ""
    yield (
        "A fact is a name with a value, known of one alert or event. A tree's `when` may ask these, and a command's blanks, written"
        " `<pod>`, are filled with them; nothing else in a payload is seen. What nobody said is *absent*: neither true nor false, so the"
        " question that asks it stays open. A blank without a value is not guessed: the step before it finds the value, by the first"
        " command in the last column whose own blanks are known. Secrets are never facts."
    )
    for origin, (title, meaning) in _ORIGINS.items():
        kept = [fact for fact in FACTS if fact.origin is origin]
        yield ""
        yield f"## {title}"
        yield ""
        yield meaning if kept else f"{meaning} There are none yet: the relay asks nothing of the cluster."
        yield ""
        if kept:
            yield "| fact | is | found by |"
            yield "| --- | --- | --- |"
            yield from map(_fact_row, kept)
    yield ""
    yield "## Labels of another name"
    yield ""
    yield "Where both labels are there, the first one counts."
    yield ""
    yield "| label | fact |"
    yield "| --- | --- |"
    yield from (f"| `{name}` | `{fact}` |" for name, fact in RENAMED.items() if name != fact)
    yield ""
    yield "A named group in a tree's pattern, `(?P<volume>…)`, is a fact below its branch."


def _fact_row(fact: Fact) -> str:
    found = "<br>".join(code(line).replace("|", "\\|") for line in fact.find)
    return f"| `{fact.name}` | {text(fact.meaning) if '`' not in fact.meaning else fact.meaning} | {found} |"
