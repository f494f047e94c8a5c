"""Data files are YAML of plain text that remembers its lines; nothing in one can grow, nest without end or become an object."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

Place = tuple[str | int, ...]
"""The way to a value: keys and positions."""
_MAX_NESTING: Final = 64
_Loader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class DataError(ValueError):
    """A file that is not taken: `what` is wrong, in which file and line, and what was perhaps meant."""

    def __init__(self, file: str, line: int, what: str, suggestion: str = "") -> None:
        self.file, self.line, self.what, self.suggestion = file, line, what, suggestion
        super().__init__(f"{file}:{line}: {what}{f' ({suggestion})' if suggestion else ''}")


def read_file(path: Path, limit: int, error: type[DataError]) -> bytes:
    """The content of `path`, one byte more than `limit` at most. Raises `error`."""
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as wrong:
        raise error(path.name, 1, f"cannot be read: {wrong.strerror}") from None


def plain(raw: bytes, file: str, error: type[DataError], holds: str) -> tuple[Any, dict[Place, int]]:
    """Dicts, lists and text, and the line of each place, in one pass over a file that `holds` one thing. Raises `error`."""
    reading = _Reading(yaml.parse(raw, Loader=_Loader), file, error)
    try:
        root = reading.document(holds)
    except yaml.MarkedYAMLError as wrong:
        mark = wrong.problem_mark or wrong.context_mark
        raise error(file, mark.line + 1 if mark else 1, f"no YAML: {wrong.problem or wrong.context}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise error(file, 1, "no YAML: not UTF-8 text, or it holds control characters") from None
    return root, reading.lines


class _Reading:
    """Takes events as they come. Aliases, which make a small file huge, and nesting, which exhausts the stack, end it at once."""

    def __init__(self, events: Iterable[Any], file: str, error: type[DataError]) -> None:
        self._events, self._file, self._error = iter(events), file, error
        self.lines: dict[Place, int] = {}

    def document(self, holds: str) -> Any:  # noqa: ANN401  # what YAML held
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise self._error(self._file, 1, "empty")
        root = self._value(next(self._events), ())
        next(self._events)
        if not isinstance(after := next(self._events), yaml.StreamEndEvent):
            line = after.start_mark.line + 1
            raise self._error(self._file, line, f"no YAML: a second document; one file is {holds}")
        return root

    def _value(self, event: Any, path: Place) -> Any:  # noqa: ANN401  # what YAML held
        line = event.start_mark.line + 1
        if event.anchor is not None:
            raise self._error(self._file, line, "anchors and aliases are not taken", "write it out")
        self.lines.setdefault(path, line)
        if isinstance(event, yaml.ScalarEvent):
            return event.value
        if len(path) == _MAX_NESTING:
            raise self._error(self._file, line, f"nested deeper than {_MAX_NESTING}")
        return self._list(path) if isinstance(event, yaml.SequenceStartEvent) else self._dict(path)

    def _list(self, path: Place) -> list[Any]:
        out: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            out.append(self._value(event, (*path, len(out))))
        return out

    def _dict(self, path: Place) -> dict[str, Any]:
        out: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            line = event.start_mark.line + 1
            if not isinstance(event, yaml.ScalarEvent):
                raise self._error(self._file, line, "a key is not plain text")
            key = self._value(event, (*path, event.value))
            if key in out:
                raise self._error(self._file, line, f"{key!r} stands here twice")
            out[key] = self._value(next(self._events), (*path, key))
        return out


def line_of(lines: Mapping[Place, int], path: Place) -> int:
    """The line of `path`, or of the nearest place around it."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def told(
    wrong: ValidationError, file: str, lines: Mapping[Place, int], keys: Iterable[str], error: type[DataError]
) -> DataError:
    """The first thing that is wrong with a file's shape, as `error`; `keys` are those that a file may have."""
    found = wrong.errors(include_url=False)
    # A mistyped key is also a missing one; the typing error is what helps.
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    path: Place = tuple(first["loc"])
    what, suggestion = str(first["msg"]).removeprefix("Value error, "), ""
    key = str(path[-1]) if path else ""
    if first["type"] == "extra_forbidden":
        what, suggestion = f"unknown key {key!r}", near(key, keys).strip(" ;")
        if first["input"] == "":
            suggestion = "a text with a comma needs quotes within braces"
    elif first["type"] == "missing":
        what = f"{key!r} is missing"
    elif key and first["type"] != "value_error":
        what = f"{key}: {what}"
    return error(file, line_of(lines, path), what, suggestion)


def near(word: str, words: Iterable[str]) -> str:
    """`; did you mean 'pod'?` for the nearest of `words`, else nothing."""
    found = difflib.get_close_matches(word, list(words), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""
