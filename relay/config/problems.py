"""What is wrong is said all at once, each with its place, what would be right, and nothing that was secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from relay.config.model import Settings, suggestion
from relay.config.reader import Marked, Path, Place


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `source` is the file as it was named, or a variable; `place` only in a file."""

    source: str
    place: Place | None
    setting: str
    text: str

    def __str__(self) -> str:
        where = f"{self.source}:{self.place.line}:{self.place.column}" if self.place else self.source
        said = ": ".join(part for part in (where, self.setting, self.text) if part)
        return "".join(char if char.isprintable() else "�" for char in said)[:500]


MAX_SHOWN: Final = 100
"""Lines of one refusal."""


class ConfigError(Exception):
    """The configuration is refused whole; `problems` are all that was found, in the order of the file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        more = [f"… and {len(problems) - MAX_SHOWN} more"] if len(problems) > MAX_SHOWN else []
        super().__init__("\n".join([*map(str, problems[:MAX_SHOWN]), *more]))
        self.problems = problems


def dotted(path: Path) -> str:
    """As people write it: `channels.ops.mention[0]`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step[:64]}" for step in path).lstrip(".")


def path_of(steps: tuple[str | int, ...], marked: Marked) -> Path:
    """An error's path in the file: without the steps that pydantic adds for unions and keys."""
    path: Path = ()
    for step in steps:
        if (*path, step) in marked.values:
            path = (*path, step)
    return path


def place_of(path: Path, marked: Marked, *, key: bool = False) -> Place:
    """Where it stands, or where the nearest thing around it does."""
    found = (marked.keys if key else marked.values).get(path)
    while found is None and path:
        found, path = marked.values.get(path), path[:-1]
    return found or marked.values.get(()) or Place(1, 1)


_KINDS: Final[Mapping[str, str]] = {
    "string_type": "is text; put it in quotes",
    "bool_type": "is true or false",
    "int_type": "is a whole number",
    "dict_type": "is a mapping, key: value",
    "model_type": "is a mapping, key: value",
    "model_attributes_type": "is a mapping, key: value",
    "list_type": "is a list, [one, two]",
    "missing": "is missing",
    "string_too_short": "is empty",
}
_BOUNDS: Final[Mapping[str, str]] = {
    "too_long": "has at most {max_length} entries",
    "too_short": "has at least {min_length} entry",
    "string_too_long": "has at most {max_length} characters",
    "greater_than_equal": "is at least {ge}",
    "less_than_equal": "is at most {le}",
}


def explain(error: ErrorDetails) -> str:
    """What pydantic found, in our words, without the input."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in _KINDS:
        return _KINDS[kind]
    if kind in _BOUNDS:
        return _BOUNDS[kind].format(**context)
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        words = [word.strip("'") for word in str(context["expected"]).replace(" or ", ", ").split(", ")]
        near = suggestion(error["input"], words) if isinstance(error["input"], str) else ""
        return f"is {' or '.join(words)}{near}"
    if kind == "extra_forbidden":
        return _unknown(error["loc"])
    return error["msg"]


def _unknown(steps: tuple[int | str, ...]) -> str:
    word = str(steps[-1])
    known = {field.alias or name for model in _models_at(steps[:-1]) for name, field in model.model_fields.items()}
    if f"{word}_file" in known:
        return f"secrets never stand in this file: write {word}_file with the path of a file"
    return "there is no such setting" + suggestion(word, sorted(known))


def _models_at(steps: tuple[int | str, ...]) -> list[type[BaseModel]]:
    """The models whose keys may stand at the end of `steps`. A step that is nobody's key is a name or a position."""
    models: list[type[BaseModel]] = [Settings]
    for step in steps:
        fields = [model.model_fields[str(step)] for model in models if step in model.model_fields]
        inner = [one for field in fields for one in _models_in(field.annotation)]
        models = inner or models
    return models


def _models_in(annotation: Any) -> list[type[BaseModel]]:  # noqa: ANN401  # any type
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
