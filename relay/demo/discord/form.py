"""A form is refused with every fault it has, each at its path, in the nesting Discord uses; nothing is repaired in silence.

The readers take a raw value and its path, and give the clean value or None; what they refuse is noted in `Errors`.
Lengths are code points after stripping.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from relay.demo.discord.codes import Form

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Path = tuple[str | int, ...]
JsonObject = dict[str, object]

MAX_URL = 2048
HOST = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W_](?:[\w-]{0,61}[^\W_])?\Z")
UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f]")
SNOWFLAKE = re.compile(r"(?:0|[1-9][0-9]{0,19})\Z", re.ASCII)


class Errors:
    """What is wrong with one form."""

    def __init__(self) -> None:
        self._found: list[tuple[Path, Form, str]] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, path: Path, code: Form, message: str) -> None:
        """Note one fault."""
        self._found.append((path, code, message))

    def nested(self) -> JsonObject:
        """`{"embeds": {"0": {"title": {"_errors": [{"code": …, "message": …}]}}}}`, as v8 and newer say it."""
        tree: JsonObject = {}
        for path, code, message in self._found:
            node = tree
            for step in path:
                node = cast("JsonObject", node.setdefault(str(step), {}))
            entries = cast("list[JsonObject]", node.setdefault("_errors", []))
            entries.append({"code": code.value, "message": message})
        return tree

    def flat(self) -> JsonObject:
        """`{"embeds": ["0"]}`, as v6 says it: the first step, then what is below it or what is wrong with it."""
        lists: dict[str, list[str]] = {}
        for path, _, message in self._found:
            said = lists.setdefault(str(path[0]) if path else "_misc", [])
            what = str(path[1]) if len(path) > 1 else message
            if what not in said:
                said.append(what)
        return dict(lists)


def text(value: object, path: Path, errors: Errors, *, most: int, least: int = 0, required: bool = False) -> str | None:
    """A string of `least` to `most` code points after stripping; None where there is none."""
    if value is None:
        if required:
            errors.add(path, Form.REQUIRED, "This field is required")
        return None
    if not isinstance(value, str):
        errors.add(path, Form.STRING, "Could not interpret the value as string.")
        return None
    stripped = value.strip()
    if least and not least <= len(stripped) <= most:
        errors.add(path, Form.BAD_LENGTH, f"Must be between {least} and {most} in length.")
        return None
    if len(stripped) > most:
        errors.add(path, Form.MAX_LENGTH, f"Must be {most} or fewer in length.")
        return None
    return stripped


def integer(value: object, path: Path, errors: Errors, *, most: int, least: int = 0) -> int | None:
    """A whole number between two bounds; a string of digits is not one."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        errors.add(path, Form.NUMBER_COERCE, "The value is not int.")
        return None
    if value > most:
        errors.add(path, Form.NUMBER_MAX, f"int value should be less than or equal to {most}.")
        return None
    if value < least:
        errors.add(path, Form.NUMBER_MIN, f"int value should be greater than or equal to {least}.")
        return None
    return value


def boolean(value: object, path: Path, errors: Errors) -> bool:
    """True or false; null is false."""
    if value is None or isinstance(value, bool):
        return bool(value)
    errors.add(path, Form.BOOLEAN, "Must be either true or false.")
    return False


def choice(value: object, path: Path, errors: Errors, *, among: Iterable[object]) -> bool:
    """Whether the value is one of a set; refused where it is not."""
    allowed = list(among)
    if any(type(value) is type(one) and value == one for one in allowed):
        return True
    errors.add(path, Form.CHOICES, f"Value must be one of {allowed}.")
    return False


def snowflake(value: object, path: Path, errors: Errors) -> str | None:
    """A Discord id: a string of digits."""
    if isinstance(value, str) and SNOWFLAKE.match(value):
        return value
    errors.add(path, Form.NUMBER_COERCE, "The value is not snowflake.")
    return None


def listing(value: object, path: Path, errors: Errors, *, most: int, least: int = 0) -> list[object]:
    """A list of at most `most`; null is empty."""
    if value is None:
        return []
    if not isinstance(value, list):
        errors.add(path, Form.LIST, "Only iterables may be used in a ListType")
        return []
    if least and not least <= len(value) <= most:
        errors.add(path, Form.BAD_LENGTH, f"Must be between {least} and {most} in length.")
    elif len(value) > most:
        errors.add(path, Form.MAX_LENGTH, f"Must be {most} or fewer in length.")
    return value


def model(value: object, path: Path, errors: Errors) -> JsonObject | None:
    """An object; None where there is none."""
    if value is None:
        return None
    if not isinstance(value, dict):
        errors.add(path, Form.MODEL, "Only dictionaries may be used in a ModelType")
        return None
    return value


def timestamp(value: object, path: Path, errors: Errors) -> str | None:
    """An ISO 8601 instant with its offset; one without is refused, as nobody can know what it means."""
    if value is None:
        return None
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is not None:
            return value
    errors.add(path, Form.DATE_TIME, "Could not parse the value. Should be ISO8601 with an offset.")
    return None


def url(
    value: object,
    path: Path,
    errors: Errors,
    *,
    most: int = MAX_URL,
    uploads: Callable[[str], bool] | None = None,
) -> str | None:
    """An absolute http(s) URL whose host has a dot; `attachment://name` where the place takes uploads and `name` is one."""
    stripped = text(value, path, errors, most=most)
    if stripped is None:
        return None
    scheme, separator, rest = stripped.partition("://")
    if uploads is not None and scheme == "attachment" and separator:
        if uploads(rest):
            return stripped
        errors.add(path, Form.INVALID_URL, "No such attachment.")
        return None
    if not separator or UNPRINTABLE.search(stripped):
        errors.add(path, Form.INVALID_URL, "Not a well formed URL.")
        return None
    if scheme.lower() not in {"http", "https"}:
        errors.add(path, Form.INVALID_SCHEME, "Scheme is not supported. Scheme must be one of ('http', 'https').")
        return None
    if not _host_is_public(stripped):
        errors.add(path, Form.INVALID_URL, "Not a well formed URL.")
        return None
    return stripped


def _host_is_public(address: str) -> bool:
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    return bool(HOST.match(host)) and not host.endswith(".localhost")
