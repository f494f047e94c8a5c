"""What may be sent when: Discord's limits are kept, not hit. Time is an argument; a wait that Discord told is obeyed exactly.

Facts (reference: discord.md §4): about 5 requests per 2 s for a webhook's route, 30 new messages per 60 s for a Discord channel over all
its webhooks, which no header shows, and few edits of messages older than an hour. The prior stays below each.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from relay.core.event import Instant
from relay.core.outcome import Outcome, RateInfo, Scope, Throttled, Unavailable

OLD: Final = 3600.0
"""Seconds after which Discord limits a message's edits hard (30046)."""
EDGE_BAN: Final = 900.0
MAX_BACKOFF: Final = 300.0
MEMORY: Final = 120.0
"""Seconds of past attempts that fill the pacer at start: longer than any window here."""


class Route(StrEnum):
    """What Discord counts apart."""

    POST = "post"
    EDIT = "edit"
    OLD_EDIT = "old_edit"


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` requests in `seconds`, counted from when the last of them was answered."""

    limit: int
    seconds: float


PRIOR: Final[dict[Route, tuple[Window, ...]]] = {
    # 25 a minute with a burst of 4: spaced by the minute, and never 30 in any 60 s.
    Route.POST: (Window(4, 2.1), Window(8, 12.0), Window(16, 35.0), Window(25, 61.0)),
    Route.EDIT: (Window(4, 2.1),),
    Route.OLD_EDIT: (Window(1, 3.0), Window(4, 2.1)),
}


@dataclass(frozen=True, slots=True)
class Pace:
    """The state of one webhook: when its last requests were answered, per route, and until when it is told to wait."""

    answered: dict[Route, tuple[Instant, ...]] = field(default_factory=dict)
    blocked_until: Instant = 0.0
    route_blocked: dict[Route, Instant] = field(default_factory=dict)

    def ready_at(self, route: Route, now: Instant) -> Instant:
        """The earliest instant at which one more request of this route breaks no limit; `now` if that is so already."""
        earliest = max(now, self.blocked_until, self.route_blocked.get(route, 0.0))
        past = self._counted(route)
        for window in PRIOR[route]:
            if len(past) >= window.limit:
                earliest = max(earliest, past[-window.limit] + window.seconds)
        return earliest

    def _counted(self, route: Route) -> tuple[Instant, ...]:
        """Edits of old messages are edits too: they count where those count."""
        if route is Route.POST:
            return self.answered.get(route, ())
        edits = (*self.answered.get(Route.EDIT, ()), *self.answered.get(Route.OLD_EDIT, ()))
        return self.answered.get(route, ()) if route is Route.OLD_EDIT else tuple(sorted(edits))

    def after(self, route: Route, at: Instant) -> Pace:
        """One more request of this route was answered, or given up, at `at`: its slot frees its time from then."""
        kept = tuple(past for past in self.answered.get(route, ()) if at - past < MEMORY)
        return replace(self, answered={**self.answered, route: (*kept, at)})

    def paused(self, route: Route, until: Instant) -> Pace:
        """No request of this route before `until`, for a reason of our own."""
        return replace(
            self, route_blocked={**self.route_blocked, route: max(until, self.route_blocked.get(route, 0.0))}
        )

    def told(self, route: Route, outcome: Outcome, info: RateInfo, at: Instant) -> Pace:
        """What the answer says about waiting. `Retry-After` overrides what the bucket's headers claim."""
        match outcome:
            case Throttled(scope=Scope.USER, seconds=seconds):
                return replace(self, route_blocked={**self.route_blocked, route: at + seconds})
            case Throttled(seconds=seconds):
                return replace(self, blocked_until=max(self.blocked_until, at + seconds))
            case Unavailable(host=True, seconds=seconds):
                return replace(self, blocked_until=max(self.blocked_until, at + (seconds or EDGE_BAN)))
            case _:
                if info.remaining == 0 and info.reset_after is not None:
                    return replace(self, route_blocked={**self.route_blocked, route: at + info.reset_after})
                return self


def reaches_host(outcome: Outcome) -> bool:
    """Whether the wait is the whole host's, for every webhook: a global 429, or an edge that shut us out."""
    return (isinstance(outcome, Throttled) and outcome.scope is Scope.GLOBAL) or (
        isinstance(outcome, Unavailable) and outcome.host
    )


def backoff(tries: int, dice: float) -> float:
    """Seconds to wait after `tries` failures, with full jitter from `dice` in [0, 1): at least half a second, at most five minutes."""
    ceiling = min(MAX_BACKOFF, 2.0**tries)
    return max(0.5, ceiling * dice)
