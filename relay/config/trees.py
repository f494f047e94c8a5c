"""Trees are refused whole or taken whole: one YAML file is one frozen DecisionTree, or a TreeError with file, line and a suggestion.

A `when` is a list of matchers, all of which must fit; "or" is a pattern's alternation (`reason=~"A|B"`), so there is one way to
write it. Every scalar is text, whatever YAML would make of it; anchors, aliases and merge keys are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from relay.config.plain import DataError, Place, line_of, near, plain, read_file, told
from relay.core.facts import REGISTRY
from relay.core.labels import Matcher, MatcherError, Matchers, Op, parse, pattern
from relay.core.tree import (
    Act,
    Branch,
    DecisionTree,
    Example,
    Heals,
    Library,
    Node,
    Phrase,
    PhraseError,
    Step,
    blanks,
    command,
    nodes,
    phrase,
)

MAX_BYTES: Final = 256 * 1024
MAX_QUESTIONS: Final = 8
"""Questions below one another."""
MAX_LEAVES: Final = 1000


class TreeError(DataError):
    """A tree that is not taken."""


_Text = Annotated[str, StringConstraints(min_length=1, max_length=300)]
_Line = Annotated[str, StringConstraints(min_length=1, max_length=600)]
_LeafId = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9]*(-[A-Z0-9]+)*-[0-9]{3}$", max_length=40)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Step(_Model):
    look: _Text | None = None
    change: _Text | None = None
    destroy: _Text | None = None
    run: _Line | None = None

    @model_validator(mode="after")
    def _one_act(self) -> Self:
        if sum(text is not None for text in (self.look, self.change, self.destroy)) != 1:
            raise ValueError("a step is one of look, change and destroy")
        return self


class _Node(_Model):
    ask: _Text | None = None
    branches: Annotated[list[_Branch], Field(min_length=1)] | None = None
    otherwise: _Otherwise | None = None
    several: bool = False
    leaf: _LeafId | None = None
    cause: _Text | None = None
    says: _Text | None = None
    impact: _Text | None = None
    heals: Heals | None = None
    steps: Annotated[list[_Step], Field(min_length=1, max_length=8)] | None = None

    @model_validator(mode="after")
    def _question_or_leaf(self) -> Self:
        if (self.ask is None) is not (self.branches is None):
            raise ValueError("a question has both ask and branches")
        if self.ask is None and self.leaf is None:
            raise ValueError("a branch ends in a leaf or goes on with ask and branches")
        if self.ask is None and (self.otherwise is not None or self.several):
            raise ValueError("otherwise and several belong to a question")
        return self


class _Otherwise(_Node):
    stays_open: bool = Field(default=False, exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _open(cls, given: Any) -> Any:  # noqa: ANN401  # what YAML held
        if given == "open":
            return {"leaf": "OPEN-000", "stays_open": True}
        if isinstance(given, dict) and "stays_open" in given:
            raise ValueError("write it as `otherwise: open`")
        return given


class _Branch(_Node):
    is_: Annotated[str, StringConstraints(min_length=1, max_length=80), Field(alias="is")]
    when: Annotated[list[_Line], Field(min_length=1, max_length=16)]
    means: _Text | None = None


class _Example(_Model):
    given: Annotated[dict[str, str], Field(min_length=1)]
    leads_to: list[str] | _LeafId | None = Field(default=None, alias="leads-to")
    never: _LeafId | list[_LeafId] | None = None

    @field_validator("given")
    @classmethod
    def _facts(cls, given: dict[str, str]) -> dict[str, str]:
        if unknown := next((name for name in given if name not in REGISTRY), ""):
            raise ValueError(f"unknown fact {unknown!r}{near(unknown, REGISTRY)}")
        return given

    @model_validator(mode="after")
    def _claims(self) -> Self:
        if self.leads_to is None and self.never is None:
            raise ValueError("an example has leads-to, never or both")
        return self


class _Tree(_Node):
    tree: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]
    title: _Text
    starts: Annotated[
        list[Annotated[list[_Line], Field(min_length=1, max_length=16)]], Field(min_length=1, max_length=64)
    ]
    examples: Annotated[list[_Example], Field(min_length=1)]

    @model_validator(mode="after")
    def _has_otherwise(self) -> Self:
        if self.ask is not None and self.otherwise is None:
            raise ValueError("the root has no otherwise: what is to be done when no branch fits?")
        return self


_Node.model_rebuild()
_KEYS: Final = sorted(
    {field.alias or name for model in (_Tree, _Branch, _Step, _Example) for name, field in model.model_fields.items()}
)


def parse_tree(text: bytes | str, file: str) -> DecisionTree:
    """One tree from the content of `file`. Raises TreeError."""
    raw = text if isinstance(text, bytes) else text.encode()
    if len(raw) > MAX_BYTES:
        raise TreeError(file, 1, f"longer than {MAX_BYTES // 1024} KiB")
    given, lines = plain(raw, file, TreeError, "one tree")
    try:
        model = _Tree.model_validate(given)
    except ValidationError as error:
        raise told(error, file, lines, _KEYS, TreeError) from None
    except RecursionError:
        raise TreeError(file, 1, "nested too deep") from None
    return _Reader(file, lines).tree(model)


def load_trees(folder: Path | None = None) -> Library:
    """The trees that ship with the relay, and those of an operator's `folder`, which add to them or replace one by name.

    Raises TreeError for a file that cannot be read, is no tree, or uses a name or leaf id that another tree has.
    """
    given = sorted(folder.glob("*.yaml")) if folder else []
    own = [parse_tree(read_file(path, MAX_BYTES, TreeError), path.name) for path in given]
    shipped = [
        parse_tree(entry.read_bytes(), entry.name)
        for entry in sorted(files("relay").joinpath("trees").iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".yaml")
    ]
    names = {tree.name for tree in own}
    kept = [*own, *(tree for tree in shipped if tree.name not in names)]
    _refuse_twins(kept)
    return Library.of(kept)


def _refuse_twins(trees: Iterable[DecisionTree]) -> None:
    names: dict[str, str] = {}
    leaves: dict[str, str] = {}
    for tree in trees:
        if tree.name in names:
            raise TreeError(tree.file, 1, f"tree {tree.name!r} is in {names[tree.name]} already")
        names[tree.name] = tree.file
        for leaf in (node.leaf for node in nodes(tree.root) if node.leaf):
            if leaf in leaves:
                raise TreeError(tree.file, 1, f"leaf {leaf} is in {leaves[leaf]} already: ids are never reused")
        leaves |= {node.leaf: tree.file for node in nodes(tree.root) if node.leaf}


# --- from the file's shape to core's values -----------------------------------------------------------------------------


class _Reader:
    """Turns a validated file into a tree, and knows the line of each thing that it refuses."""

    def __init__(self, file: str, lines: Mapping[Place, int]) -> None:
        self._file, self._lines = file, lines
        self._leaves: dict[str, int] = {}

    def tree(self, model: _Tree) -> DecisionTree:
        starts = tuple(
            Matchers(tuple(self._matcher(text, ("starts", index), frozenset()) for text in texts))
            for index, texts in enumerate(model.starts)
        )
        root = self._node(model, (), frozenset(), 0)
        examples = tuple(self._example(example, ("examples", index)) for index, example in enumerate(model.examples))
        tree = DecisionTree(model.tree, model.title, starts, root, examples, self._file)
        self._examples_name_what_is_there(tree)
        return tree

    def _refuse(self, path: Place, what: str, suggestion: str = "") -> TreeError:
        return TreeError(self._file, line_of(self._lines, path), what, suggestion)

    def _matcher(self, text: str, path: Place, groups: frozenset[str]) -> Matcher:
        try:
            matcher = parse(text)
        except MatcherError as error:
            raise self._refuse(path, str(error)) from None
        if matcher.name not in REGISTRY and matcher.name not in groups:
            known = [*REGISTRY, *groups]
            raise self._refuse(path, f"unknown fact {matcher.name!r}", near(matcher.name, known).strip(" ;"))
        return matcher

    def _node(self, model: _Node, path: Place, groups: frozenset[str], depth: int) -> Node:
        if depth > MAX_QUESTIONS:
            raise self._refuse(path, f"more than {MAX_QUESTIONS} questions below one another")
        branches = tuple(
            self._branch(branch, (*path, "branches", index), groups, depth + 1)
            for index, branch in enumerate(model.branches or ())
        )
        other = model.otherwise
        stays_open = other is not None and other.stays_open
        if model.leaf:
            self._claim(model.leaf, (*path, "leaf"))
        return Node(
            asks=model.ask or "",
            branches=branches,
            otherwise=None
            if other is None or stays_open
            else self._node(other, (*path, "otherwise"), groups, depth + 1),
            stays_open=stays_open,
            several=model.several,
            leaf=model.leaf or "",
            cause=self._phrase(model.cause or "", (*path, "cause"), groups),
            says=model.says or "",
            impact=model.impact or "",
            heals=model.heals,
            steps=self._steps(model.steps or [], (*path, "steps"), groups),
        )

    def _claim(self, leaf: str, path: Place) -> None:
        if leaf in self._leaves:
            raise self._refuse(path, f"leaf {leaf} stands in line {self._leaves[leaf]} already: ids are never reused")
        if len(self._leaves) == MAX_LEAVES:
            raise self._refuse(path, f"more than {MAX_LEAVES} leaves")
        self._leaves[leaf] = line_of(self._lines, path)

    def _branch(self, model: _Branch, path: Place, groups: frozenset[str], depth: int) -> Branch:
        when: list[Matcher] = []
        for index, text in enumerate(model.when):
            matcher = self._matcher(text, (*path, "when", index), groups)
            when.append(matcher)
            if matcher.op is Op.MATCHES and "(?P<" in matcher.value:
                groups |= frozenset(pattern(matcher.value).groupindex)
        return Branch(model.is_, tuple(when), self._node(model, path, groups, depth), model.means or "")

    def _steps(self, models: list[_Step], path: Place, groups: frozenset[str]) -> tuple[Step, ...]:
        out: list[Step] = []
        for index, model in enumerate(models):
            here = (*path, index)
            act = Act.LOOK if model.look else Act.CHANGE if model.change else Act.DESTROY
            if not out and act is not Act.LOOK:
                raise self._refuse(here, f"the first step is a {act.value}", "look first, whatever is changed later")
            text = self._phrase(model.look or model.change or model.destroy or "", here, groups)
            out.append(Step(act, text, self._command(model.run or "", (*here, "run"), groups)))
        return tuple(out)

    def _phrase(self, text: str, path: Place, groups: frozenset[str]) -> Phrase:
        return self._known_blanks(phrase(text), path, groups)

    def _command(self, text: str, path: Place, groups: frozenset[str]) -> Phrase:
        try:
            return self._known_blanks(command(text), path, groups)
        except PhraseError as error:
            raise self._refuse(path, f"command: {error}") from None

    def _known_blanks(self, text: Phrase, path: Place, groups: frozenset[str]) -> Phrase:
        for name in blanks(text):
            if name not in REGISTRY and name not in groups:
                known = [*REGISTRY, *groups]
                raise self._refuse(path, f"nothing fills the blank <{name}>", near(name, known).strip(" ;"))
        return text

    def _example(self, model: _Example, path: Place) -> Example:
        leads = model.leads_to
        never = model.never if isinstance(model.never, list) else [model.never] if model.never else []
        return Example(
            given=MappingProxyType(dict(model.given)),
            path=tuple(leads) if isinstance(leads, list) else (),
            leaf=leads if isinstance(leads, str) else "",
            never=tuple(never),
            line=line_of(self._lines, path),
        )

    def _examples_name_what_is_there(self, tree: DecisionTree) -> None:
        for example in tree.examples:
            for leaf in (example.leaf, *example.never):
                if leaf and leaf not in self._leaves:
                    suggestion = near(leaf, self._leaves).strip(" ;")
                    raise TreeError(
                        self._file, example.line, f"the example names leaf {leaf}, which is not there", suggestion
                    )
