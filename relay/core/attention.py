"""What makes a sound: loudness, pages and their ends. Edits never sound; a page is a new Message; an end waits until it has held."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from relay.core.event import Instant, Severity
from relay.core.quiet import Hours


class Loudness(IntEnum):
    """How loud a post is; ordered."""

    COUNT = 0
    """No message."""
    QUIET = 1
    """A new message with SUPPRESS_NOTIFICATIONS: a badge, no sound."""
    NOTIFY = 2
    """A new message."""
    PAGE = 3
    """A new message with the mention."""


class Resolved(StrEnum):
    """How the end of what paged is shown: `EDIT` only turns the card into a record, `POST` also says so once."""

    EDIT = "edit"
    POST = "post"


@dataclass(frozen=True, slots=True)
class ChannelPolicy:
    """One Channel's thresholds: from which severity it pages, notifies, shows. `None` is never.

    `mentions` are `<@&role>` or `<@user>` (digits only). `remind` is seconds between pages while it goes on, `None` for never.
    """

    name: str
    page: Severity | None = Severity.CRITICAL
    notify: Severity | None = Severity.ERROR
    show: Severity | None = Severity.WARNING
    mentions: tuple[str, ...] = ()
    resolved: Resolved = Resolved.POST
    remind: float | None = None
    fallback: str | None = None
    status: bool = True
    weekly: bool = False
    hours: Hours | None = None
    """Its nights, in which only a page sounds."""

    def night_until(self, now: Instant) -> Instant | None:
        """When the night that is at `now` ends; None by day."""
        return self.hours.night_until(now) if self.hours is not None else None

    def loudness(self, severity: Severity) -> Loudness:
        """How loud something of this severity opens here. `Severity.NONE` is never shown."""
        if severity is Severity.NONE:
            return Loudness.COUNT
        if self.page is not None and severity >= self.page:
            return Loudness.PAGE
        if self.notify is not None and severity >= self.notify:
            return Loudness.NOTIFY
        return Loudness.QUIET if self.show is not None and severity >= self.show else Loudness.COUNT
