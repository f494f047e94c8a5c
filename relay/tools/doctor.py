"""`relay doctor` says what the status message says: who was heard when, and what the relay cannot see, each with its cure."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from relay.core import status
from relay.core.event import Instant
from relay.core.status import Seen, Spot
from relay.core.wording import duration, plural
from relay.reconcile.bulletins import seen_by
from relay.storage import bulletins, lists
from relay.tools.listing import configured, looked_up
from relay.tools.terminal import Line, clean, table

CAP: Final = 1000


@dataclass(frozen=True, slots=True)
class Found:
    """What the doctor found: `seen` decides about the `spots`."""

    seen: Seen
    open: int
    spots: tuple[Spot, ...]


def look(env: Mapping[str, str], config: Path | None, now: Instant | None = None) -> Found:
    """Look at the database beside a relay. Raises ConfigError or UnusableDatabaseError."""
    now, configuration = time.time() if now is None else now, configured(config, env)
    names = tuple(source.name for source in configuration.sources)
    facts, sights, opened = looked_up(
        env,
        lambda c: (
            bulletins.facts(c, now, names),
            bulletins.sights(c, now, status.MOST),
            len(lists.open_incidents(c, CAP)),
        ),
    )
    seen = seen_by(configuration, facts, sights, (), now)
    return Found(seen, opened, status.blind_spots(seen))


def told(found: Found) -> Iterator[Line | str]:
    """For a terminal."""
    yield (
        f"{plural(found.open, 'open problem')}: relay list"
        if found.open
        else "nothing is wrong that the relay knows of"
    )
    yield ""
    rows = [
        (clean(source.name), "locked" if source.locked else _heard(source.at, found.seen.now))
        for source in found.seen.sources
    ]
    yield from ("".join(row) for row in table(rows))
    yield ""
    if not found.spots:
        yield "There is nothing that the relay knows it cannot see."
        return
    yield "Cannot see:"
    for spot in found.spots:
        yield f"- {clean(spot.what)}{f': {_words(spot)}' if spot.cure else ''}"


def _words(spot: Spot) -> str:
    return clean(spot.cure.replace("`", ""))


def _heard(at: Instant | None, now: Instant) -> str:
    return "not heard yet" if at is None else f"heard {duration(now - at)} ago"


def as_json(found: Found) -> dict[str, Any]:
    return {
        "open": found.open,
        "sources": [
            {"name": source.name, "kind": source.kind.value, "heard_at": source.at, "locked": source.locked}
            for source in found.seen.sources
        ],
        "blind_spots": [{"what": spot.what, "cure": _words(spot)} for spot in found.spots],
    }
