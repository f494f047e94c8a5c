"""A sender's time is an instant or None: year 1, empty, null and nonsense are no time, and never an error."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from relay.core.event import Instant

AHEAD: Final = 300.0
"""Seconds by which a sender's clock may be ahead; a later time is taken for ours (design: Opening and closing)."""


def instant(text: str) -> Instant | None:
    """RFC 3339 as an Instant in whole milliseconds; a time without offset is UTC. None for what is none, or lies before 1970."""
    try:
        time = datetime.fromisoformat(text)
        seconds = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return round(seconds, 3) if seconds > 0 else None


def not_ahead(at: Instant | None, received_at: Instant) -> Instant:
    """`at`, or ours where it is missing or too far ahead of it."""
    return at if at is not None and at <= received_at + AHEAD else received_at
