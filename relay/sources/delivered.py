"""What a parser answers: Events, or why there are none. Every source has one parser, and no body makes it raise."""

from __future__ import annotations

from collections.abc import Callable

from relay.core.event import Event, Instant, NotJson, Unreadable
from relay.core.policy import Policy, SourcePolicy
from relay.core.values import value


@value(frozen=True, slots=True)
class Delivered:
    """The Events of one body. `truncated` alerts were cut by the sender, `refused` ones were no alerts; `notices` say why."""

    events: tuple[Event, ...]
    truncated: int = 0
    refused: int = 0
    notices: tuple[str, ...] = ()
    """One short line each, without text from the body; at most `MAX_NOTICES`."""


MAX_NOTICES = 5

Parsed = Delivered | Unreadable | NotJson
Parser = Callable[[bytes, SourcePolicy, Policy, Instant], Parsed]
"""The body as it came, the source it came through, the configuration, and our time when it was received."""
