"""Values never change; that costs nothing here: the type checker forbids what Python would have to watch at every field it sets.

Each Event makes a dozen values with up to thirty fields. dataclasses' own frozen ones take three times as long to make, and their
`replace` looks at every field; a batch is made of little else.
"""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as value
    from dataclasses import replace
else:
    from dataclasses import dataclass

    def value(*, frozen: bool, slots: bool) -> Any:  # noqa: ANN401, ARG001  # its type is the other branch's
        """`dataclass(frozen=True, slots=True)`, where only the type checker sees to `frozen`."""
        return dataclass(slots=slots, unsafe_hash=True)

    def replace(old: Any, /, **changes: Any) -> Any:  # noqa: ANN401  # its type is the other branch's
        """`dataclasses.replace` for values whose fields are all arguments, in half the time. Raises KeyError for an unknown field."""
        kind = type(old)
        read, places = _shape(kind)
        row = [*read(old)]
        for name, new in changes.items():
            row[places[name]] = new
        return kind(*row)


@cache
def _shape(kind: type[Any]) -> tuple[attrgetter[tuple[Any, ...]], dict[str, int]]:
    """How to read all fields of a dataclass at once, and where each of them stands; it has two at least."""
    names = [field.name for field in fields(kind)]
    return attrgetter(*names), {name: place for place, name in enumerate(names)}


__all__ = ["replace", "value"]
