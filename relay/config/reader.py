"""YAML becomes plain values that know their place: no tag makes an object, no key stands twice, no alias multiplies without end."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

MAX_FILE: Final = 1024 * 1024
"""Bytes."""
MAX_VALUES: Final = 50_000
"""Values after every alias is followed."""
MAX_DEPTH: Final = 32

Path = tuple[str | int, ...]
"""The way to a value: keys and positions."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Line and column, counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Marked:
    """What a YAML text says, where each value begins, and what is wrong with the text itself."""

    value: Any
    keys: Mapping[Path, Place]
    values: Mapping[Path, Place]
    wrong: tuple[tuple[Place, Path, str], ...] = ()


_TAG: Final = "tag:yaml.org,2002:"
_TRUE: Final = frozenset({"yes", "true", "on"})
_INT: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,30})")
_FLOAT: Final = re.compile(r"[-+]?[0-9]{1,30}\.[0-9]{0,30}")


def read(text: str) -> Marked:
    """The one document in `text`; None for an empty one. Never raises: what is wrong stands in `wrong`."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        return _unreadable(_place(error.problem_mark or error.context_mark), error.problem or "it cannot be read")
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return _unreadable(Place(line, 1), f"a character that YAML forbids, U+{int(error.character):04X}")
    except RecursionError:
        return _unreadable(Place(1, 1), f"nested more than {MAX_DEPTH} deep")
    except (yaml.YAMLError, ValueError, OverflowError):  # an escape such as "\UFFFFFFFF" names no character
        return _unreadable(Place(1, 1), "an escape that names no character")
    builder = _Builder()
    value = None if node is None else builder.build(node, ())
    return Marked(value, builder.keys, builder.values, tuple(builder.wrong))


def _unreadable(place: Place, why: str) -> Marked:
    return Marked(None, {}, {}, ((place, (), f"not YAML: {why}"),))


def _place(mark: yaml.Mark | None) -> Place:
    return Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)


class _Builder:
    """Walks YAML's nodes once, aliases included, and notes where each value stands."""

    def __init__(self) -> None:
        self.keys: dict[Path, Place] = {}
        self.values: dict[Path, Place] = {}
        self.wrong: list[tuple[Place, Path, str]] = []
        self._full = False

    def build(self, node: yaml.Node, path: Path) -> Any:  # noqa: ANN401  # whatever a YAML holds
        if len(self.values) == MAX_VALUES and not self._full:
            self._full = True
            self._refuse(node, (), f"more than {MAX_VALUES} values")
        if self._full:
            return None
        self.values[path] = _place(node.start_mark)
        if len(path) > MAX_DEPTH:
            return self._refuse(node, path[:4], f"nested more than {MAX_DEPTH} deep")
        match node:
            case yaml.MappingNode():
                return self._mapping(node, path)
            case yaml.SequenceNode() if node.tag == f"{_TAG}seq":
                return [self.build(item, (*path, index)) for index, item in enumerate(node.value[:MAX_VALUES])]
            case yaml.ScalarNode():
                return self._scalar(node, path)
            case _:
                return self._refuse(node, path, "a tag means nothing here")

    def _mapping(self, node: yaml.MappingNode, path: Path) -> Any:  # noqa: ANN401
        if node.tag != f"{_TAG}map":
            return self._refuse(node, path, "a tag means nothing here")
        built: dict[str, Any] = {}
        for key, value in node.value:
            # A key is a word as it is written: `no`, `on` and `1` are names too.
            if not isinstance(key, yaml.ScalarNode):
                self._refuse(key, path, "a key is a word")
            elif key.tag == f"{_TAG}merge":
                self._refuse(key, path, "`<<` is not followed: write the keys out, or give one whole value an anchor")
            elif key.value in built:
                first = self.keys[(*path, key.value)].line
                self._refuse(key, (*path, key.value), f"stands twice, first on line {first}")
            else:
                built[key.value] = None
                self.keys[(*path, key.value)] = _place(key.start_mark)
                built[key.value] = self.build(value, (*path, key.value))
        return built

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:  # noqa: ANN401
        text: str = node.value
        match node.tag.removeprefix(_TAG):
            case "null":
                return None
            case "bool":
                return text.lower() in _TRUE
            case "int" if _INT.fullmatch(text):
                return int(text)
            case "float" if _FLOAT.fullmatch(text):
                return float(text)
            case "str" | "int" | "float" | "timestamp" | "value" | "merge":
                return text
            case _:
                return self._refuse(node, path, "a tag means nothing here")

    def _refuse(self, node: yaml.Node, path: Path, why: str) -> None:
        self.wrong.append((_place(node.start_mark), path, why))


def write(value: Any) -> str:  # noqa: ANN401  # whatever was read
    """A YAML text that says the same as the one `value` was read from, without its comments, anchors and layout."""
    return yaml.safe_dump(value, allow_unicode=True, sort_keys=False) if value else ""
