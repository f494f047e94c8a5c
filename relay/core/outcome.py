"""An Outcome is what came of one request to Discord: a closed union, in which waiting is no failure and nothing is guessed.

Facts: reference/discord.md §4 and §5. An Outcome holds no text of ours or of the outside, so it may be logged.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a 429 closes: this webhook's route, its Discord channel over all webhooks, or everything."""

    USER = "user"
    SHARED = "shared"
    GLOBAL = "global"


class Remedy(StrEnum):
    """What can help a refused payload; resending it as it is never does."""

    DEGRADE = "degrade"
    """Split a shared Message, then render more plainly, then park."""
    NO_LINKS = "no_links"
    """Once more without links, then park."""
    REPOST = "repost"
    """The thread is archived: an edit cannot, a new message opens it again."""
    CONFIGURE = "configure"
    """The destination is set up wrongly: park, and tell the operator. No rendering helps."""


@dataclass(frozen=True, slots=True)
class Sent:
    """Discord has it. `message_id` is None only where a success came without a readable answer: stored, but not ours to edit."""

    message_id: str | None
    channel_id: str | None = None


@dataclass(frozen=True, slots=True)
class Throttled:
    """Wait `seconds` for everything in `scope`; costs no attempt. `code` is Discord's, 30046 for edits of messages over 1 h old."""

    scope: Scope
    seconds: float
    code: int = 0


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Nobody answered for Discord. `why` is a status or an error's class, never its text.

    `host`: the whole host is closed to us for `seconds` (a ban, or an edge that speaks for itself). Else back off with jitter;
    `seconds` is what was told, or None. `maybe_stored`: a new message may exist, a retry may duplicate it.
    """

    why: str
    host: bool = False
    seconds: float | None = None
    maybe_stored: bool = False
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Discord read it and said no. `why` names code and field: `50035 embeds.0.title BASE_TYPE_MAX_LENGTH`."""

    code: int
    why: str
    remedy: Remedy = Remedy.DEGRADE


@dataclass(frozen=True, slots=True)
class MessageDeleted:
    """A person deleted the message that was to be edited."""


@dataclass(frozen=True, slots=True)
class WebhookDead:
    """Webhook, channel or permission is gone: never call it again until its URL changes."""

    code: int


Outcome = Sent | Throttled | Unavailable | Refused | MessageDeleted | WebhookDead


@dataclass(frozen=True, slots=True)
class RateInfo:
    """What one answer's headers tell of the route's bucket; None where a header is missing or absurd. Seconds.

    It never tells the limit per Discord channel: that one shows only as a 429 of scope `shared`.
    """

    limit: int | None = None
    remaining: int | None = None
    reset_after: float | None = None
    bucket: str = ""
    scope: str = ""
