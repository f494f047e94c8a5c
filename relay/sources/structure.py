"""The door for JSON: whatever the bytes, a value of bounded shape comes out, or a refusal that does not quote them.

Structure is counted before anything is modelled, so that what follows may walk a body without fear of it. Of a small body the
bytes tell enough: no value in it is deeper than its brackets are many, and none is wider than its commas.
"""

from __future__ import annotations

from typing import Any, Final

import re2
from pydantic_core import from_json

from relay.core.event import NotJson, Unreadable

MAX_BRACKETS: Final = 400_000
"""Counted in the bytes, before parsing, since empty containers cost 30 times their bytes. The largest legal body, 20,000
alerts, has 80,000 as Grafana writes it; the rest is room for brackets in texts."""
MAX_DEPTH: Final = 32
"""Flux needs 3 levels, Alertmanager 4, Grafana's enrichments a few more."""
MAX_NODES: Final = 1_000_000
"""20,000 alerts in 10 MiB have half a kilobyte each, room for some 40 values."""
MAX_KEYS: Final = 1_000
"""In one map. A label set has tens; 200 are kept, and all of them are identity."""
MAX_ITEMS: Final = 20_000
"""In one list: the largest group that is promised to be taken."""

# A pair, a lone one, any other escape: read from the left, so that an escaped backslash begins none.
_ESCAPE = re2.compile(
    rb"(?s)\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
)


def read(body: bytes) -> Any:  # noqa: ANN401  # any JSON value, or the refusal
    """The JSON value of `body`, NotJson, or Unreadable for absurd structure. Invalid UTF-8 and lone surrogates become U+FFFD."""
    brackets = body.count(b"{") + body.count(b"[")
    if brackets > MAX_BRACKETS:
        return _absurd(f"more than {MAX_BRACKETS} brackets")
    if b"\\ud" in body or b"\\uD" in body:
        body = _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], body)
    try:
        value = from_json(body.decode("utf-8", "replace"), allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        return NotJson(f"not JSON: {error}")
    is_small = brackets <= MAX_DEPTH and body.count(b",") < MAX_KEYS
    return value if is_small else _counted(value)


def scalar(value: object) -> str | None:
    """A JSON scalar as text, as lenient senders mean it; None for null, lists and maps (reference: alertmanager.md §5)."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return None


def _counted(value: Any) -> Any:  # noqa: ANN401  # passes any JSON value through
    """`value` itself, or Unreadable. Level by level, so that depth is the number of rounds and no stack grows."""
    level = [value] if isinstance(value, dict | list) else []
    depth = nodes = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            return _absurd(f"more than {MAX_DEPTH} levels")
        below: list[Any] = []
        for container in level:
            size = len(container)
            nodes += size
            if type(container) is dict:
                if size > MAX_KEYS:
                    return _absurd(f"more than {MAX_KEYS} keys in one map")
                below += [child for child in container.values() if type(child) is dict or type(child) is list]
            else:
                if size > MAX_ITEMS:
                    return _absurd(f"more than {MAX_ITEMS} items in one list")
                below += [child for child in container if type(child) is dict or type(child) is list]
        if nodes > MAX_NODES:
            return _absurd(f"more than {MAX_NODES} values")
        level = below
    return value


def _absurd(what: str) -> Unreadable:
    return Unreadable(f"absurd structure: {what}")
