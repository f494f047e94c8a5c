"""Text from outside is freed of control characters and credentials and cut to 16 KiB, before it is hashed, matched or stored.

Cleaning depends on nothing but the text, so that equal texts stay equal and identity may rest on it; cleaning twice changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import re2

from relay.sources.structure import scalar

LIMIT: Final = 16 * 1024
"""Bytes of UTF-8 that are kept of one text, the marker included."""
TAIL: Final = 4 * 1024
MARKER: Final = "\n…\n"
REDACTED: Final = "[redacted]"
_REDACTED: Final = REDACTED.encode()
MAX_NAME: Final = 256
"""Characters of a name: a label's, an object's."""
MAX_LABELS: Final = 200
_SHORT: Final = 1024
"""Characters of a text that is remembered."""

_HEAD: Final = LIMIT - TAIL - len(MARKER.encode())
_NEVER_CUT: Final = LIMIT // 4
"""Characters that fit whatever they are: UTF-8 needs at most four bytes for one."""
_FAR_TOO_LONG: Final = 16 * LIMIT
"""Characters that are looked at: cutting comes last, so that no token is cut in two, but not after reading megabytes."""
_SHORTEST_TOKEN: Final = 20
"""Characters of the shortest credential that is known by its shape alone; shorter ones need a `:`, `=` or `@` beside them."""

# --- characters ---------------------------------------------------------------------------------------------------------

_INVISIBLE: Final = (
    (0x00, 0x08), (0x0B, 0x1F), (0x7F, 0x84), (0x86, 0x9F),  # controls, but for tab and line feed
    (0xAD, 0xAD), (0x061C, 0x061C), (0x180E, 0x180E), (0x200B, 0x200F), (0x202A, 0x202E),  # zero width; bidi marks and overrides
    (0x2060, 0x206F), (0xFEFF, 0xFEFF), (0xFFF9, 0xFFFB),  # joiners, bidi isolates, annotations
    (0xE0000, 0xE007F),  # tags, which can hide a text within a text
)  # fmt: skip
_LINES: Final = (0x85, 0x2028, 0x2029)
"""Unicode's other line ends."""
_TABLE: Final[dict[int, str | None]] = (
    {code: None for first, last in _INVISIBLE for code in range(first, last + 1)}
    | dict.fromkeys(_LINES, "\n")
    | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
)


def _visible(text: str) -> str:
    """Without what cannot be seen. All that the table names is unprintable to Python, so most texts pass at one look."""
    if text.isprintable() or text.replace("\n", "").isprintable():
        return text
    return text.translate(_TABLE)


# --- credentials --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rule:
    """A shape that gives a credential away; its groups, at most one before and one after it, say what it was and stay."""

    name: str
    pattern: str


_KEY = r"api[_-]?key|access[_-]?key(?:[_-]?id)?|secret[_-]?(?:access[_-]?)?key|private[_-]?key|client[_-]?secret|access[_-]?token"
_WORD = r"password|passwd|passphrase|pwd"
# An unquoted value never begins with a backslash: that is an escaped quote, and the quoted rules' business.
_BARE = r"""[^\s"'&;,<>\\][^\s"'&;,<>]*"""

RULES: Final[tuple[Rule, ...]] = (
    Rule("private key", r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z)"),
    Rule("age key", r"(?i)age-secret-key-(?:pq-)?1[0-9a-z]{10,}"),
    Rule("userinfo with password", r"""(://)[^\s/?#"'<>@:]*:[^\s/?#"'<>]*(@)"""),
    # A token may stand alone before the @; of ssh it is a user name (git@), which Git's messages are recognised by.
    Rule("userinfo", r"""((?:^|[^h]|(?:^|[^s])h|(?:^|[^s])sh)://)[^\s/?#"'<>:]+(@)"""),
    Rule("header", r"""(?i)(authorization\\?["']?[ \t]*[:=][ \t]*\\?["']?)(?:(?:basic|bearer|token|digest|apikey)[ \t]+)?"""
                   r"""[^\s"',;\\][^\s"',;]*"""),
    Rule("scheme", r"(?i)((?:bearer|basic)[ \t]+)[a-z0-9+/_.~=-]{16,}"),
    Rule("Discord webhook", r"(/webhooks/\d{5,25}/)[A-Za-z0-9_.-]{16,}"),
    # Of any first letter and length: counting from each M, N or O would make the set's automaton explode.
    Rule("Discord bot", r"[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}"),
    Rule("Slack webhook", r"(hooks\.slack\.com/[a-z]+/)[A-Za-z0-9_/-]+"),
    Rule("Slack", r"xox[a-z]-[A-Za-z0-9-]{15,}|xapp-[A-Za-z0-9-]{15,}"),
    Rule("GitHub", r"gh[opusr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,}"),
    Rule("GitLab", r"gl(?:pat|ptt|dt|rt|cbt|soat|imt|ft|agent|oas)-[A-Za-z0-9_.-]{16,}"),
    Rule("AWS", r"(?:AKIA|ASIA)[A-Z0-9]{16,}"),
    Rule("JWT", r"eyJ[A-Za-z0-9_-]{12,}\.[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*)?"),
    Rule("other tokens", r"npm_[A-Za-z0-9]{30,}|AIza[A-Za-z0-9_-]{30,}|pypi-[A-Za-z0-9_-]{30,}|dckr_pat_[A-Za-z0-9_-]{16,}"
                         r"|hvs\.[A-Za-z0-9_-]{16,}|[sr]k_(?:live|test)_[A-Za-z0-9]{16,}|\d{8,10}:AA[A-Za-z0-9_-]{30,}"),
    # A lone `secret="…"` is a selector with the name of a Kubernetes Secret, not a secret.
    Rule("double-quoted assignment", rf"""(?i)((?:{_WORD}|{_KEY}|token)\\?["']?[ \t]*[:=][ \t]*\\?")[^"\n]+"""),
    Rule("single-quoted assignment", rf"""(?i)((?:{_WORD}|{_KEY}|token)\\?["']?[ \t]*[:=][ \t]*')[^'\n]+"""),
    Rule("assignment", rf"(?i)((?:{_WORD}|{_KEY}|token|secret)[ \t]*=[ \t]*){_BARE}"),
    # After a colon errors go on (`token: not found`); only what names nothing but credentials is taken for one.
    Rule("colon", rf"(?i)((?:{_WORD}|{_KEY})[ \t]*:[ \t]*){_BARE}"),
)  # fmt: skip

_SECRET_NAMES: Final = frozenset({
    "password", "passwd", "passphrase", "token", "access_token", "api_key", "apikey", "authorization", "client_secret", "private_key",
})  # fmt: skip
"""Labels whose whole value is a credential, when somebody made one of it."""


def _compiled() -> tuple[Any, tuple[Any, ...]]:
    """The rules as one set, which answers in a microsecond that nothing is there, and one by one."""
    options = re2.Options()
    options.max_mem = 64 << 20
    shapes = re2.Set.SearchSet(options)
    for rule in RULES:
        shapes.Add(rule.pattern)
    shapes.Add("")
    shapes.Compile()
    return shapes, tuple(re2.compile(rule.pattern.encode()) for rule in RULES)


_SHAPES, _PATTERNS = _compiled()


def _kept(found: Any) -> bytes:  # noqa: ANN401  # re2 ships no types
    before, after = (*found.groups(), b"", b"")[:2]
    return bytes(before + _REDACTED + after)


def _redacted(text: str) -> str:
    """Without credentials. What one rule leaves may show another its shape, so it looks again until nothing changes."""
    whole = raw = text.encode()
    for _ in range(4):
        # The last shape matches everything, so nothing at all means that RE2 ran out of memory: then all rules look.
        found = _SHAPES.Match(raw) or range(len(RULES))
        if len(found) == 1:
            break
        before = raw
        for index in sorted(found):
            if index < len(RULES):
                raw = _PATTERNS[index].sub(_kept, raw)
        if raw == before:
            break
    return text if raw is whole else raw.decode()


# --- the door -----------------------------------------------------------------------------------------------------------


def clean(text: str) -> str:
    """`text` without control characters and credentials, at most `LIMIT` bytes: its beginning, `MARKER`, its end."""
    return _clean_short(text) if len(text) <= _SHORT else _clean(text)


def _clean(text: str) -> str:
    if len(text) > _FAR_TOO_LONG:
        text = text[: _FAR_TOO_LONG // 2] + MARKER + text[-_FAR_TOO_LONG // 2 :]
    text = _visible(text)
    if len(text) < _SHORTEST_TOKEN and "=" not in text and ":" not in text and "@" not in text:
        return text
    text = _redacted(text)
    if len(text) <= _NEVER_CUT:
        return text
    raw = text.encode()
    if len(raw) <= LIMIT:
        return text
    return raw[:_HEAD].decode("utf-8", "ignore") + MARKER + raw[-TAIL:].decode("utf-8", "ignore")


_clean_short: Final = lru_cache(maxsize=4096)(_clean)
"""Short texts repeat from body to body: kinds, names, labels, what is wrong. Remembered they cost a tenth."""


def clean_name(text: str) -> str:
    """`text` cleaned, and as `one_line` makes it."""
    return _clean_short_name(text) if len(text) <= MAX_NAME else one_line(clean(text))


def one_line(text: str) -> str:
    """Clean `text` on one line, at most `MAX_NAME` characters: a newline in a name could forge another object's key."""
    return " ".join(text.split())[:MAX_NAME].rstrip()


_clean_short_name: Final = lru_cache(maxsize=4096)(lambda text: one_line(_clean(text)))


class Cleaner(dict[str, str]):
    """`clean` that remembers, for the life of one body: the alerts of a group repeat their labels."""

    def __init__(self) -> None:
        super().__init__()
        self._names: dict[str, str] = {}

    def __missing__(self, raw: str) -> str:
        self[raw] = text = clean(raw)
        return text

    def name(self, raw: str) -> str:
        name = self._names.get(raw)
        if name is None:
            name = self._names[raw] = clean_name(raw)
        return name

    def text(self, raw: object) -> str:
        """A scalar, cleaned; empty for anything else."""
        text = scalar(raw)
        return self[text] if text else ""

    def labels(self, raw: object) -> dict[str, str]:
        """A map of names to texts, cleaned. What is no scalar or is empty is dropped: a missing label is the empty string."""
        if not isinstance(raw, dict):
            return {}
        out = self._labels(raw)
        # Names that became equal: the first in order wins, not the first in the body.
        return out if len(out) == len(raw) else self._labels(dict(sorted(raw.items(), reverse=True)))

    def _labels(self, raw: dict[str, object]) -> dict[str, str]:
        out = {}
        for key, value in raw.items():
            text = self[value] if type(value) is str else self.text(value)
            if text and (name := self._names.get(key) or self.name(key)):
                out[name] = REDACTED if name in _SECRET_NAMES else text
        return out


_FIRST: Final = frozenset({"alertname", "severity", "cluster", "namespace", "reason"})


def bounded(labels: dict[str, str]) -> dict[str, str]:
    """At most `MAX_LABELS` of them, the same ones whatever their order, and those first that everything asks for."""
    if len(labels) <= MAX_LABELS:
        return labels
    return {name: labels[name] for name in sorted(labels, key=lambda name: (name not in _FIRST, name))[:MAX_LABELS]}
