"""A recording is what senders sent, in order: one delivery on each line, with its time, its path and its body.

{"at": "2026-03-02T03:00:00Z", "to": "/flux", "body": {"involvedObject": …}}
{"at": "+15m", "to": "/alertmanager", "body": {"version": "4", …}, "note": "the node is dead"}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from relay.config.model import seconds
from relay.core.event import Instant, NotJson
from relay.sources.structure import read
from relay.tools.terminal import RefusedError

_NEEDED: Final = frozenset({"at", "to", "body"})
_FORM: Final = '{"at": "+15m", "to": "/flux", "body": {…}}'


@dataclass(frozen=True, slots=True)
class Recorded:
    """One delivery: when it came, to which path, and its bytes. `note` is what whoever recorded it says of it."""

    at: Instant
    to: str
    body: bytes
    note: str = ""


def is_recording(content: bytes) -> bool:
    """Whether the first line is a delivery with its time, and no payload as it was sent."""
    first = next((line for line in content.splitlines() if line.strip()), b"")
    value = read(first)
    return isinstance(value, dict) and value.keys() >= _NEEDED


def recorded(lines: Iterable[bytes | str], begins: Instant) -> Iterator[Recorded]:
    """The deliveries on `lines`, in their order. `+15m` counts from `begins`, or from the time that the first one names.

    Raises RefusedError with the line where one is no delivery, or goes back in time.
    """
    last: Instant | None = None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"line {number}"
        value = read(line.encode() if isinstance(line, str) else line)
        if isinstance(value, NotJson):
            raise RefusedError(f"{where}: {value.why}")
        if not isinstance(value, dict) or not _NEEDED <= value.keys() <= _NEEDED | {"note"}:
            raise RefusedError(f"{where}: no delivery with its time: {_FORM}")
        at = _instant(str(value["at"]), begins, where)
        if last is not None and at < last:
            raise RefusedError(f"{where}: {value['at']} is before the line above it")
        if last is None and not str(value["at"]).startswith("+"):
            begins = at
        last = at
        yield Recorded(at, str(value["to"]), _bytes(value["body"]), str(value.get("note", "")))


def _instant(text: str, begins: Instant, where: str) -> Instant:
    try:
        if text.startswith("+"):
            return begins + seconds(text[1:])
        told = datetime.fromisoformat(text)
    except ValueError:
        told = None
    if told is None or told.tzinfo is None:
        raise RefusedError(f"{where}: {text!r} is no time: 2026-03-02T03:00:00Z, or +15m from the first line")
    return told.timestamp()


def _bytes(body: object) -> bytes:
    """As a sender writes it, compact; a text is the raw body, so that what is no JSON can be recorded too."""
    return body.encode() if isinstance(body, str) else json.dumps(body, separators=(",", ":")).encode()
