"""What began before the relay did is not news: when a sender is first heard, what it brings along shares one Message and one sound."""

from __future__ import annotations

from typing import Final

from relay.core.event import Instant, Source
from relay.core.known import Known
from relay.core.signal import Signal

SPAN: Final = 900.0
"""Seconds of an arrival: after a sender was first heard, or a Channel moved to another webhook."""
EARLIER: Final = 60.0
"""Seconds by which a problem began before its sender was first heard, at least, to be an old one.

The sender's clock against ours: less could be the wait of a group, or skew.
"""


def was_here(known: Known, signal: Signal, now: Instant) -> bool:
    """Whether `signal`, heard at `now`, tells of something that began before its sender was first heard.

    Flux says again and again, each time anew, what fails: an object that was never known to succeed may have failed for long.
    """
    first = known.first_heard.get(signal.labels.get("source", ""))
    if signal.source is Source.RELAY or first is None or now - first > SPAN:
        return False
    if signal.source is Source.ALERTMANAGER or signal.since < first - EARLIER:
        return signal.since < first - EARLIER
    thing = known.objects.get(signal.subject.key)
    return thing is None or thing.succeeded_at is None
