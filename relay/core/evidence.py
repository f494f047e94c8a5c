"""Evidence is the sender's own words without what only machines need: no log tails, nanoseconds, temporary paths, long hashes.

The result is plain text from outside, for a fence: few lines, cut in the middle, the same for the same error at every attempt.
"""

from __future__ import annotations

from typing import Any

import re2

from relay.core.wording import cut_middle

MOST_LINES = 5
MOST = 280
"""Code points of all lines together."""

_HELM_LOGS = "Last Helm logs"
_HELM_OPENING = re2.compile(r"^Helm [a-z]+ failed for release \S+(?: with chart \S+?)?: ")
_HELM_REMEDY = re2.compile(r"^Helm (?:rollback|uninstall)[a-z ]* \S+ with chart \S+ failed: ")
_APPLY_LOG = re2.compile(r"^[A-Za-z0-9./_-]+ (?:configured|created|unchanged|deleted|skipped|serverside-applied)$")
_HEALTH_LIST = re2.compile(r"\[([^\[\]]* status: '[^\[\]]*)\]")
_HEALTH_ITEM = re2.compile(r"(\S+) status: '([^']*)'")
_BLANK = re2.compile(r"[ \t\r\f\v]+")

_NOISE = re2.compile(
    r"(?P<time>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)[.,]\d+(?P<zone>Z|[+-]\d\d:?\d\d)?"
    r"|(?P<request>,? ?(?i:request ?id):? ?\"?[0-9A-Za-z/+=_-]{8,}\"?)"
    r"|(?P<address>(?:\d{1,3}\.){3}\d{1,3}:\d+->)"
    r"|(?P<temporary>/tmp/[A-Za-z_.-]*\d+(?:/|\b))"
    r"|(?P<hex>\b[0-9a-f]{64}\b|\b[0-9a-f]{40}\b)"
    r"|(?P<uuid>\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b)"
    r"|(?P<age>\bage1[a-z0-9]{20,}\b)"
    r"|(?P<duration>\b(?:\d+h)?(?:\d+m)?\d+(?:\.\d+)?(?:ms|µs|us|ns|s)\b)"
    r"|(?P<dotted>\b\d+(?:\.\d+){2,}\b)"
    r"|(?P<decimal>\b\d+\.\d{3,}\b)"
)


def _quiet(found: Any) -> str:  # noqa: ANN401  # re2 ships no types; one return for each kind of noise
    text = str(found[0])
    match found.lastgroup:
        case "time" | "zone":
            return str(found["time"]) + str(found["zone"] or "")
        case "request":
            return ""
        case "address":
            return "→ "
        case "temporary":
            return "./" if text.endswith("/") else "."
        case "hex":
            return text[:7]
        case "uuid":
            return text[:8]
        case "age":
            return text[:10] + "…"
        case "duration":
            return go_duration(text)
        case "decimal":
            return f"{float(text):.2f}"
        case _:
            return text


def go_duration(text: str) -> str:
    """A Go duration rounded as a person would: `5m0.035058333s` → `5m`, `69.800845ms` → `70ms`, `1h0m3s` → `1h0m3s`."""
    found = re2.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(\d+(?:\.\d+)?)(ms|µs|us|ns|s)", text)
    if not found or len(text) > 40:
        return text
    hours, minutes, number, unit = found.groups()
    if unit != "s":
        return f"{round(float(number))}{unit}"
    total = int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(number)
    if total < 10 and "." in number:
        return f"{total:.1f}s"
    whole = round(total)
    hours, rest = divmod(whole, 3600)
    minutes, seconds = divmod(rest, 60)
    parts = [f"{hours}h" if hours else "", f"{minutes}m" if minutes else "", f"{seconds}s" if seconds else ""]
    return "".join(parts) or "0s"


def quieted(text: str) -> str:
    """One line of `text` with its noise shortened."""
    return str(_NOISE.sub(_quiet, text))


def _listed(found: Any) -> str:  # noqa: ANN401  # re2 ships no types
    """A health list, one object a line in a fixed order (Flux prints a Go map), four at most."""
    items = sorted({f"{name} {status}" for name, status in _HEALTH_ITEM.findall(found[1])})
    if len(items) > 4:
        items = [*items[:3], f"+{len(items) - 3} more"]
    return "\n" + "\n".join(items) if items else str(found[0])


def evidence(message: str, *, most: int = MOST) -> tuple[str, ...]:
    """At most five lines of `message` and about `most` code points; empty if nothing is worth showing."""
    text = message[:16384].split(_HELM_LOGS, 1)[0]
    text = _HELM_REMEDY.sub("", _HELM_OPENING.sub("", text))
    if " status: '" in text:
        text = _HEALTH_LIST.sub(_listed, text)
    lines = [quieted(_BLANK.sub(" ", line).strip()) for line in text.splitlines()]
    lines = [line for line in lines if line and not _APPLY_LOG.search(line)]
    if len(lines) > MOST_LINES:
        lines = [*lines[:2], "…", *lines[-(MOST_LINES - 3) :]]
    return _fitted(lines, most)


def _fitted(lines: list[str], most: int) -> tuple[str, ...]:
    """`lines` in about `most` code points together: short ones whole, long ones share what is left."""
    share = most // max(1, len(lines))
    long = sum(len(line) > share for line in lines)
    left = most - sum(len(line) for line in lines if len(line) <= share)
    return tuple(cut_middle(line, left // long) if len(line) > share else line for line in lines)


def first_line(message: str, limit: int) -> str:
    """What `message` says first, in at most `limit` code points: for a headline, where nothing better is known."""
    lines = evidence(message)
    return cut_middle(lines[0].rstrip(":"), limit) if lines else ""
