"""A Posting is what one Channel owes one Incident and what it has shown of it: spec and status, never a queue."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from relay.core.attention import Loudness
from relay.core.card import Form
from relay.core.event import Instant, Severity
from relay.core.values import value


class Degraded(StrEnum):
    """How plainly a Posting must be rendered because Discord refused it otherwise."""

    NO = "no"
    NO_LINKS = "no_links"
    PLAIN = "plain"


@value(frozen=True, slots=True)
class Posting:
    """One Incident in one Channel. It is due while `due_at` is set; `rank` says what goes first (smaller is sooner)."""

    incident: str
    channel: str
    severity: Severity
    """The highest routed here since it opened."""
    wanted: int = 1
    shown: int = 0
    pages_owed: int = 0
    pages_made: int = 0
    paged_severity: Severity = Severity.NONE
    paged_for: tuple[str, ...] = ()
    """The alertnames or causes that were paged, so that a new one is known as new."""
    paged_at: Instant | None = None
    end_due_at: Instant | None = None
    """When the end of what paged makes its sound, if it still holds."""
    end_shown_at: Instant | None = None
    due_at: Instant | None = None
    rank: int = 0
    message: int | None = None
    """Our id of the Message that shows it now."""
    shown_at: Instant | None = None
    """When a request last showed it: counts alone refresh it once in half an hour."""
    tries: int = 0
    degraded: Degraded = Degraded.NO
    parked: str = ""
    """Why nothing is sent any more; empty while it is well."""
    deleted_at: Instant | None = None
    """When a person last deleted its message: a second time within a day is taken as an answer."""
    closed: bool = False
    """Its Channel was removed, or a person deleted it twice: it owes nothing any more."""
    quiet: str = ""
    """The key of the rule that takes its sound, or `NIGHT`; empty while nothing does."""
    quiet_until: Instant | None = None
    """When that ends, and what is left is told."""
    tell: Loudness = Loudness.COUNT
    """Quiet has ended and it goes on: how loud it says so; `COUNT` once it has, or where there is nothing to say."""
    arrived: bool = False
    """It was there before the relay was, or before its Channel had this webhook: it is shown among its like, and is no news."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a Posting stands in a Message."""

    incident: str
    channel: str
    form: Form
    position: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """One Discord message of ours. `discord_id` is None until Discord's answer was recorded."""

    id: int
    channel: str
    webhook: str
    """The webhook's id: a Message belongs to the webhook that posted it."""
    created_at: Instant
    discord_id: str | None = None
    discord_channel: str | None = None
    thread: str | None = None
    digest: str = ""
    """Of the payload last sent: a request whose bytes would be equal is not made."""
    due_at: Instant | None = None
    """Set while it must be edited for its own sake: it became a pointer."""
    jump_to: int | None = None
    """Our id of the Message that took its place."""
    gone: bool = False
    takes: str = ""
    """The kind of new Postings it has room for (`packing.Kind`); empty once it is full, or was never to be shared."""
    mentioned: Severity = Severity.NONE
    """How bad what it called people for was; `NONE` where it called nobody."""
