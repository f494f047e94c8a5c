"""How many Events were told, by hour, source and what they did: kept so that a report needs no history of each. Never text from outside."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, delete, select

from relay.core.event import Instant, Source
from relay.core.incident import Reason
from relay.storage.meta import get_meta, set_meta
from relay.storage.tables import relay

HOUR: Final = 3600.0
KEPT: Final = 8 * 24
"""Hours; a report looks back a week."""
_PREFIX: Final = "tally:"
WELL: Final = f"{Source.FLUX.value}/{Reason.UNKNOWN_RESOLVE.value}"
"""What only says that all is well: health beats of what was not broken."""


def add(connection: Connection, now: Instant, more: Mapping[str, int]) -> None:
    """Add `more` (`flux/opened` → 3) to this hour's, and forget what no report asks for any more."""
    key = _key(now)
    kept = get_meta(connection, key)
    told = Counter(json.loads(kept)) if kept else Counter()
    told.update(more)
    set_meta(connection, key, json.dumps(told, sort_keys=True, separators=(",", ":")))
    if kept is None:
        old = (relay.c.key >= _PREFIX) & (relay.c.key < _key(now - KEPT * HOUR))
        connection.execute(delete(relay).where(old))


def told_since(connection: Connection, since: Instant) -> Counter[str]:
    """What was told from the hour of `since` on."""
    hours = (relay.c.key >= _key(since)) & (relay.c.key < _PREFIX + "9" * 10)
    total: Counter[str] = Counter()
    for text in connection.execute(select(relay.c.value).where(hours)).scalars():
        total.update(json.loads(text))
    return total


def _key(at: Instant) -> str:
    """Sorts as the hours do."""
    return f"{_PREFIX}{max(0, int(at // HOUR)):09}"
