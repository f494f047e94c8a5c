"""Text is cut where the eye allows it, times and counts are said as people say them, and a phrase keeps its grammar.

Nothing here escapes anything: what comes out is plain text, and the place where it is shown makes it safe.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

# --- cutting: on code points, and never through what the eye takes for one character -------------------------------------

_JOINER = "\N{ZERO WIDTH JOINER}"
_BACK = 24
"""How far a cut steps back for a whole character; text that needs more is no text."""


def _sticks(text: str, at: int) -> bool:
    """Whether `text[at]` belongs to the character before it: accents, variation and skin of an emoji, joined emoji, flags."""
    here, before = text[at], text[at - 1]
    if _JOINER in {here, before} or unicodedata.combining(here):
        return True
    point = ord(here)
    if 0xFE00 <= point <= 0xFE0F or 0x1F3FB <= point <= 0x1F3FF or 0xE0020 <= point <= 0xE007F or point == 0x20E3:
        return True
    start = at
    while start > 0 and at - start <= _BACK and 0x1F1E6 <= ord(text[start - 1]) <= 0x1F1FF:
        start -= 1
    return 0x1F1E6 <= point <= 0x1F1FF and (at - start) % 2 == 1


def boundary(text: str, at: int) -> int:
    """The last place at or before `at` where `text` may be cut."""
    place = at
    while 0 < place < len(text) and at - place < _BACK and _sticks(text, place):
        place -= 1
    return place if place == 0 or place >= len(text) or not _sticks(text, place) else at


_WORD = 16
"""How far a cut moves for a whole word, where what is kept is longer than twice that; longer words are cut."""


def _head(text: str, limit: int) -> str:
    """The beginning of `text`, which is longer than `limit`: whole words where they are words."""
    end = boundary(text, limit)
    space = text.rfind(" ", end - _WORD, end + 1) if end > 2 * _WORD else -1
    return text[: space if space > 0 else end].rstrip()


def _tail(text: str, limit: int) -> str:
    """The end of `text`, which is longer than `limit`."""
    start = len(text) - limit
    while start < len(text) and _sticks(text, start):
        start += 1
    space = text.find(" ", start - 1, start + _WORD) if limit > 2 * _WORD else -1
    return text[space if space > 0 else start :].lstrip()


def cut(text: str, limit: int) -> str:
    """`text` in at most `limit` code points, with `…` where its end was."""
    if len(text) <= limit:
        return text
    return "" if limit < 1 else _head(text, limit - 1).rstrip(",;:") + "…"


def cut_middle(text: str, limit: int) -> str:
    """`text` in at most `limit` code points, with `…` where its middle was: the cause of a long error stands at its end."""
    if len(text) <= limit:
        return text
    if limit < 8:
        return cut(text, limit)
    head = (limit - 1) * 2 // 5
    left, right = _head(text, head), _tail(text, limit - 1 - head)
    gap = " … " if " " in text and len(left) + len(right) + 3 <= limit else "…"
    return left + gap + right


# --- times and numbers ------------------------------------------------------------------------------------------------


def duration(seconds: float) -> str:
    """`45 s`, `14 min`, `3 h 20 min`, `2 d 4 h`: two units at most, rounded down."""
    total = max(0, int(seconds))
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min"
    large, small, size = ("h", "min", 3600) if total < 86400 else ("d", "h", 86400)
    rest = total % size // (60 if large == "h" else 3600)
    return f"{total // size} {large} {rest} {small}" if rest else f"{total // size} {large}"


def step(count: int) -> int:
    """A count as it is shown: it moves in steps (1, 2, 5, 10, 20, 50 …), so that one more is no news."""
    shown, size = 1, 1
    while size <= count:
        for factor in (1, 2, 5):
            if size * factor <= count:
                shown = size * factor
        size *= 10
    return shown


def plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


# --- grammar ---------------------------------------------------------------------------------------------------------

ADJECTIVES: Final = frozenset(
    """
    absent broken critical degraded down exhausted full idle inactive inconsistent invalid lagging late missing old overloaded paused
    pending readonly saturated slow stale stuck suspended unavailable unbound unhealthy unknown unreachable unready unschedulable
    """.split()  # noqa: SIM905  # words read better than thirty quoted strings
)
"""States that are one word and need an `is`."""
_PAST: Final[Mapping[str, str]] = MappingProxyType(
    {
        "is": "was",
        "are": "were",
        "has": "had",
        "have": "had",
        "cannot": "could not",
        "does": "did",
        "do": "did",
        "waits": "waited",
        "fails": "failed",
        "misses": "missed",
        "needs": "needed",
        "keeps": "kept",
        "flips": "flipped",
        "runs": "ran",
        "lags": "lagged",
        "burns": "burnt",
        "evicts": "evicted",
        "expires": "was about to expire",
        "fires": "fired",
        "reports": "reported",
    }
)
"""The first verb of a phrase, when it is over."""
_PLURAL: Final[Mapping[str, str]] = MappingProxyType(
    {
        "is": "are",
        "was": "were",
        "has": "have",
        "does": "do",
        "waits": "wait",
        "fails": "fail",
        "fires": "fire",
        "runs": "run",
        "needs": "need",
        "cannot": "cannot",
    }
)


def _turned(phrase: str, table: Mapping[str, str]) -> str:
    words = phrase.split(" ")
    for at, word in enumerate(words):
        if word in table:
            words[at] = table[word]
            return " ".join(words)
    return phrase


def past(phrase: str) -> str:
    """The phrase as a record says it: `is not ready` → `was not ready`, `crash-looping` → `was crash-looping`."""
    turned = _turned(phrase, _PAST)
    first = phrase.split(" ", 1)[0].rstrip(",")
    return f"was {phrase}" if turned == phrase and (first.endswith("ing") or first in ADJECTIVES) else turned


def of_many(phrase: str) -> str:
    """The phrase of several: `is not ready` → `are not ready`."""
    return _turned(phrase, _PLURAL)


_NAMES: Final = frozenset(
    """
    Alertmanager Ceph Cilium Discord Docker Flannel Flux Git Gitea Github Grafana Harbor Helm Istio Kubernetes Kustomize Kyverno
    Linux Loki Longhorn Nginx Prometheus Promtail Redis Renovate Restic Rook Slack Talos Thanos Traefik Vault Velero
    """.split()  # noqa: SIM905  # names read better than thirty quoted strings
)
"""What keeps its capital within a sentence and looks like any other word."""


def lowered(sentence: str) -> str:
    """Ready to follow a colon: `The image is gone` → `the image is gone`; names (`Pod Security`, `Helm`) and acronyms stay."""
    first, _, rest = sentence.partition(" ")
    word = (first[1:].islower() or len(first) == 1) and first.rstrip(",;:").removesuffix("'s") not in _NAMES
    follows = rest.partition(" ")[0].rstrip(",;:").removesuffix("'s")
    return sentence[:1].lower() + sentence[1:] if word and (not rest[:1].isupper() or follows in _NAMES) else sentence


def raised_first(sentence: str) -> str:
    """Ready to open a line; a first word that is a host, a path or an object's name stays."""
    first, _, _ = sentence.partition(" ")
    return (
        sentence[:1].upper() + sentence[1:]
        if first.rstrip(":,").replace("-", "").replace("'", "").isalpha()
        else sentence
    )
