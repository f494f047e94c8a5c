"""Edges are refused whole or taken whole: a YAML file is a list of them, or an EdgeError with file, line and a suggestion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Self

import re2
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, model_validator

from relay.config.model import seconds
from relay.config.plain import DataError, Place, line_of, plain, read_file, told
from relay.core.edges import (
    CauseOf,
    Edge,
    Edges,
    Example,
    NamedCause,
    ObjectCause,
    RootCause,
    SignalCause,
    Text,
)
from relay.core.event import Effect, Event, Severity, Source, Subject
from relay.core.labels import Matcher, MatcherError, Matchers, parse

MAX_BYTES: Final = 256 * 1024
NAMES: Final = "names"
"""Of an example's facts: the objects that the message names, as `Kind/namespace/name`, parted by blanks."""


class EdgeError(DataError):
    """An edge that is not taken."""


_Text = Annotated[str, StringConstraints(min_length=1, max_length=300)]
_Line = Annotated[str, StringConstraints(min_length=1, max_length=600)]
_Lasting = Annotated[str, StringConstraints(pattern=r"^([0-9]{1,6}[dhms])+$")]
_Flag = Annotated[str, StringConstraints(pattern="^true$")]
_Matchers = Annotated[list[_Line], Field(min_length=1, max_length=16)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Cause(_Model):
    object: Annotated[str, StringConstraints(pattern=r"^[^/]+/[^/]+/[^/]+$", max_length=200)] | None = None
    named: _Flag | None = None
    signal: _Matchers | None = None
    equal: list[Annotated[str, StringConstraints(pattern="^[a-z_][a-z0-9_]*$", max_length=60)]] | None = None
    root: Annotated[str, StringConstraints(pattern=r"^[a-z]+(:[^/:]+(/[a-z]+)?)?$", max_length=100)] | None = None
    threshold: Annotated[str, StringConstraints(pattern="^[2-9]$|^[1-9][0-9]$")] | None = None
    within: _Lasting | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(one is not None for one in (self.object, self.named, self.signal, self.root)) != 1:
            raise ValueError("a cause is one of object, named, signal and root")
        if self.equal is not None and self.signal is None:
            raise ValueError("equal belongs to a signal")
        if (self.threshold or self.within) and self.root is None:
            raise ValueError("threshold and within belong to a root: any other cause reports itself")
        return self


class _Example(_Model):
    given: Annotated[dict[str, str], Field(min_length=1)]
    under: _Text | None = None
    never: _Flag | None = None
    cause: _Flag | None = None

    @model_validator(mode="after")
    def _claims(self) -> Self:
        if sum(one is not None for one in (self.under, self.never, self.cause)) != 1:
            raise ValueError("an example says under what it folds, never, or that it is a cause")
        return self


class _Edge(_Model):
    edge: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]
    title: _Text
    effect: _Matchers
    cause: _Cause
    weak: _Flag | None = None
    window: _Lasting | None = None
    examples: Annotated[list[_Example], Field(min_length=1)]


_FILE: Final = TypeAdapter(list[_Edge])
_KEYS: Final = sorted({name for model in (_Edge, _Cause, _Example) for name in model.model_fields})


def parse_edges(text: bytes | str, file: str) -> tuple[Edge, ...]:
    """The edges in the content of `file`, each proven by its examples. Raises EdgeError."""
    raw = text if isinstance(text, bytes) else text.encode()
    if len(raw) > MAX_BYTES:
        raise EdgeError(file, 1, f"longer than {MAX_BYTES // 1024} KiB")
    given, lines = plain(raw, file, EdgeError, "one list of edges")
    try:
        models = _FILE.validate_python(given)
    except ValidationError as error:
        raise told(error, file, lines, _KEYS, EdgeError) from None
    reader = _Reader(file, lines)
    edges = tuple(reader.edge(model, (index,)) for index, model in enumerate(models))
    _refuse_twins(edges)
    return edges


def load_edges(folder: Path | None = None) -> Edges:
    """The edges that ship with the relay, and those of an operator's `folder`, which add to them or replace one by name.

    Raises EdgeError for a file that cannot be read, holds no edges, or uses a name twice.
    """
    given = sorted(folder.glob("*.yaml")) if folder else []
    own = [edge for path in given for edge in parse_edges(read_file(path, MAX_BYTES, EdgeError), path.name)]
    names = {edge.name for edge in own}
    shipped = [
        edge
        for entry in sorted(files("relay").joinpath("edges").iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".yaml")
        for edge in parse_edges(entry.read_bytes(), entry.name)
        if edge.name not in names
    ]
    kept = [*own, *shipped]
    _refuse_twins(kept)
    return Edges.of(kept)


def _refuse_twins(edges: Iterable[Edge]) -> None:
    seen: dict[str, str] = {}
    for edge in edges:
        if edge.name in seen:
            raise EdgeError(edge.file, 1, f"edge {edge.name!r} is in {seen[edge.name]} already")
        seen[edge.name] = edge.file


class _Reader:
    """Turns a validated file into edges, and knows the line of each thing that it refuses."""

    def __init__(self, file: str, lines: Mapping[Place, int]) -> None:
        self._file, self._lines = file, lines

    def edge(self, model: _Edge, path: Place) -> Edge:
        effect = self._matchers(model.effect, (*path, "effect"))
        edge = Edge(
            name=model.edge,
            title=model.title,
            effect=effect,
            cause=self._cause(model.cause, (*path, "cause")),
            weak=model.weak is not None,
            window=seconds(model.window) if model.window else None,
            examples=tuple(
                Example(
                    MappingProxyType(one.given),
                    one.under or "",
                    line_of(self._lines, (*path, "examples", index)),
                    is_cause=one.cause is not None,
                )
                for index, one in enumerate(model.examples)
            ),
            file=self._file,
        )
        for example in edge.examples:
            if wrong := disproved(edge, example):
                raise EdgeError(self._file, example.line, f"edge {edge.name}: {wrong}")
        return edge

    def _matchers(self, texts: list[str], path: Place) -> Matchers:
        found: list[Matcher] = []
        for index, text in enumerate(texts):
            try:
                found.append(parse(text))
            except MatcherError as error:
                raise EdgeError(self._file, line_of(self._lines, (*path, index)), str(error)) from None
        return Matchers(tuple(found))

    def _cause(self, model: _Cause, path: Place) -> CauseOf:
        if model.named:
            return NamedCause()
        if model.signal is not None:
            return SignalCause(self._matchers(model.signal, (*path, "signal")), tuple(model.equal or ()))
        if model.object is not None:
            kind, namespace, name = (self._text(part, (*path, "object")) for part in model.object.split("/"))
            return ObjectCause(kind, namespace, name)
        return RootCause(
            self._text(model.root or "", (*path, "root")),
            int(model.threshold or 2),
            seconds(model.within) if model.within else None,
        )

    def _text(self, text: str, path: Place) -> Text:
        """Any label may fill a blank; that something does, an example proves."""
        if re2.search(r"[<>]", re2.sub(r"<[a-z_][a-z0-9_]*>", "", text)):
            raise EdgeError(self._file, line_of(self._lines, path), f"cannot read {text!r}", "a blank is <name>")
        return Text(text)


# --- examples -------------------------------------------------------------------------------------------------------------


def disproved(edge: Edge, example: Example) -> str:
    """What `edge` makes of the example where that is not what it says; empty where it is."""
    links = Edges.of([edge]).links(event_of(example.given))
    if example.is_cause:
        return "" if links.claims else "the example is none of its causes"
    found = [cause.under for cause in links.causes]
    if example.under:
        return "" if example.under in found else f"the example folds under {', '.join(found) or 'nothing'}"
    return f"the example folds under {', '.join(found)}" if found else ""


def event_of(given: Mapping[str, str]) -> Event:
    """The Event that an example's facts describe. `source` is Flux's where nothing else is said."""
    facts = {"source": "flux", "cluster": "example", **given}
    names = tuple(Subject(facts["cluster"], *name.split("/")) for name in facts.pop(NAMES, "").split())
    source = Source(facts["source"]) if facts["source"] in set(Source) else Source.ALERTMANAGER
    kind = facts.get("kind", "") if source is Source.FLUX or "name" in facts else ""
    return Event(
        source=source,
        sender="example",
        subject=Subject(facts["cluster"], kind, facts.get("namespace", ""), facts.get("name", "")),
        aspect="",
        signal_key="example",
        effect=Effect.OPENS,
        severity=Severity.ERROR,
        reason=facts.get("reason", ""),
        message=facts.get("message", ""),
        at=0.0,
        received_at=0.0,
        labels={name: text for name, text in facts.items() if name != "message"},
        names=names,
    )
