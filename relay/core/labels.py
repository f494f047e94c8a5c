"""Labels and Alertmanager's matcher syntax: the one implementation that routes, trees, edges, quiet and heartbeats share.

A matcher is `name OP value` with OP one of = != =~ !~. Regular expressions are RE2, anchored at both ends, and `.` matches a
newline. A missing label is the empty string. Syntax: prometheus/alertmanager, matcher/parse (the classic parser, and UTF-8 names
when quoted).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any

import re2

MAX_PATTERN = 4096
"""Characters of one value or pattern: more is a mistake, and a cost."""

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_MATCHER = re2.compile(
    rf'\s*(?:(?P<bare>{_NAME})|"(?P<quoted>(?:[^"\\]|\\.)+)")\s*(?P<op>=~|!~|!=|=)\s*(?:"(?P<string>(?:[^"\\]|\\.)*)"|(?P<raw>[^\s"{{}},]*))\s*'
)


class MatcherError(ValueError):
    """A matcher that cannot be read; its text says where and what would be right."""


class Op(StrEnum):
    """Alertmanager's four operators."""

    EQUAL = "="
    NOT_EQUAL = "!="
    MATCHES = "=~"
    NOT_MATCHES = "!~"


@lru_cache(maxsize=4096)
def pattern(text: str) -> Any:  # noqa: ANN401  # re2 ships no types
    """`text` compiled as Alertmanager would: anchored, `.` matches newlines. Raises MatcherError."""
    options = re2.Options()
    options.dot_nl = True
    options.log_errors = False
    options.never_capture = False
    try:
        return re2.compile(f"^(?:{text})$", options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        if isinstance(reason, bytes):
            reason = reason.decode(errors="replace")
        msg = f"bad regular expression {text!r}: {reason}"
        raise MatcherError(msg) from None


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label."""

    name: str
    op: Op
    value: str
    _regex: Any = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.op in (Op.MATCHES, Op.NOT_MATCHES):
            object.__setattr__(self, "_regex", pattern(self.value))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether `labels` fulfil it; a missing label counts as empty."""
        value = labels.get(self.name, "")
        match self.op:
            case Op.EQUAL:
                return value == self.value
            case Op.NOT_EQUAL:
                return value != self.value
            case Op.MATCHES:
                return self._regex.search(value) is not None
            case Op.NOT_MATCHES:
                return self._regex.search(value) is None

    def groups(self, labels: Mapping[str, str]) -> dict[str, str]:
        """The named groups of a matching `=~`, those that took part; else nothing."""
        if self.op is not Op.MATCHES:
            return {}
        found = self._regex.search(labels.get(self.name, ""))
        return {} if found is None else {name: text for name, text in found.groupdict().items() if text}

    def __str__(self) -> str:
        quoted = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.name}{self.op}"{quoted}"'


_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


def _unescape(text: str) -> str:
    """Alertmanager's escapes in a quoted value; an unknown one stays as it is, so that an escaped dot needs no doubling."""
    if "\\" not in text:
        return text
    out, chars = [], iter(text)
    for char in chars:
        if char != "\\":
            out.append(char)
            continue
        following = next(chars, "")
        out.append(_ESCAPES.get(following, f"\\{following}"))
    return "".join(out)


def parse(text: str) -> Matcher:
    """One matcher from `text`, such as `severity="critical"` or `namespace=~"media|apps"`. Raises MatcherError."""
    found = _MATCHER.fullmatch(text)
    if found is None:
        msg = f'cannot read matcher {text[:80]!r}: write it as name="value", with one of = != =~ !~'
        raise MatcherError(msg)
    bare, quoted, op, string, raw = found.groups()
    name = bare or _unescape(quoted)
    value = _unescape(string) if string is not None else (raw or "")
    if len(value) > MAX_PATTERN:
        msg = f"the value of matcher {name!r} is longer than {MAX_PATTERN} characters"
        raise MatcherError(msg)
    return Matcher(name, Op(op), value)


@dataclass(frozen=True, slots=True)
class Matchers:
    """All of several matchers; none at all matches everything."""

    all_of: tuple[Matcher, ...] = ()

    @classmethod
    def of(cls, texts: Iterable[str]) -> Matchers:
        """From their texts. Raises MatcherError for the first that cannot be read."""
        return cls(tuple(parse(text) for text in texts))

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(matcher.matches(labels) for matcher in self.all_of)

    def __str__(self) -> str:
        return "{" + ", ".join(map(str, self.all_of)) + "}"
