"""What may be sent when: Discord's limits are kept, not hit. Time is an argument; a wait that Discord told is obeyed exactly.

Facts (reference: discord.md §4): about 5 requests per 2 s for each route of a webhook, 30 new messages per 60 s for a Discord channel over
all its webhooks, which no header shows, few edits of messages older than an hour, and 50 requests a second for everything. What is assumed
stays below each; no header raises it.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from relay.core.event import Instant
from relay.core.outcome import Outcome, RateInfo, Scope, Throttled, Unavailable

OLD: Final = 3600.0
"""Seconds after which Discord limits a message's edits hard (30046)."""
OLD_EDITS: Final = 30046
EDGE_BAN: Final = 900.0
MAX_BACKOFF: Final = 300.0
MEMORY: Final = 120.0
"""Seconds of past attempts that fill the pacer at start: longer than any window here."""
MINUTE: Final = 61.0
"""Seconds in which a Discord channel's new messages are counted, a little more than Discord's own minute."""
POSTS: Final = 25
"""New messages a minute in one Discord channel; Discord's limit is 30."""
KEPT: Final = 8
"""So many of them go to nothing but pages."""


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


@dataclass(frozen=True, slots=True)
class Bucket:
    """What some requests share: windows that all hold, when the last requests were answered, and until when all are to wait."""

    windows: tuple[Window, ...]
    past: tuple[Instant, ...] = ()
    """Oldest first."""
    closed_until: Instant = 0.0

    def ready_at(self, now: Instant, kept: int = 0) -> Instant:
        """The earliest instant at which one more request breaks no limit and leaves `kept` of each window; `now` if it is so already."""
        earliest = max(now, self.closed_until)
        for window in self.windows:
            limit = window.limit - kept if window.limit > kept else window.limit  # Of a burst nothing can be kept.
            if len(self.past) >= limit:
                earliest = max(earliest, self.past[-limit] + window.seconds)
        return earliest

    def after(self, at: Instant) -> Bucket:
        """One more request was answered, or given up, at `at`: its slot frees its time from then."""
        kept = [past for past in self.past if at - past < MEMORY]
        insort(kept, at)
        return replace(self, past=tuple(kept))

    def closed(self, until: Instant) -> Bucket:
        """Nothing before `until`; a later end that was told already stays."""
        return replace(self, closed_until=max(until, self.closed_until))

    def spent(self, now: Instant, seconds: float = MINUTE) -> int:
        """How many were answered within the last `seconds`."""
        return sum(1 for past in self.past if now - past < seconds)


@dataclass(frozen=True, slots=True)
class WebhookPace:
    """What one webhook shares with nobody: each route has a budget of its own."""

    posts: Bucket = Bucket((Window(4, 2.1),))
    edits: Bucket = Bucket((Window(5, 2.2),))


@dataclass(frozen=True, slots=True)
class PlacePace:
    """What all webhooks of one Discord channel share. `joined`: Discord counts edits among the new messages here, and said so."""

    posts: Bucket = Bucket((Window(4, 2.1), Window(POSTS, MINUTE)))
    old_edits: Bucket = Bucket((Window(1, 3.0),))
    joined: bool = False


@dataclass(frozen=True, slots=True)
class Pace:
    """All that says when one webhook may send: its own, its Discord channel's and the host's. The last two have other owners too."""

    webhook: WebhookPace = WebhookPace()
    place: PlacePace = PlacePace()
    host: Bucket = Bucket((Window(40, 1.1),))

    def _covering(self, route: Route) -> tuple[Bucket, ...]:
        """The buckets from which a request of `route` takes."""
        if route is Route.POST:
            return self.webhook.posts, self.place.posts, self.host
        shared = (self.place.posts,) if self.place.joined else ()
        old = (self.place.old_edits,) if route is Route.OLD_EDIT else ()
        return self.webhook.edits, *shared, *old, self.host

    def ready_at(self, route: Route, now: Instant, *, kept: int = 0) -> Instant:
        """The earliest instant at which one more request of `route` breaks no limit; `now` if that is so already.

        `kept` of the Discord channel's new messages are left to what is more important.
        """
        earliest = max(now, self.place.posts.closed_until)
        for bucket in self._covering(route):
            earliest = max(earliest, bucket.ready_at(now, kept if bucket is self.place.posts else 0))
        return earliest

    def after(self, route: Route, at: Instant) -> Pace:
        """One more request of `route` was answered, or given up, at `at`."""
        webhook, place = self.webhook, self.place
        if route is Route.POST:
            webhook = replace(webhook, posts=webhook.posts.after(at))
        else:
            webhook = replace(webhook, edits=webhook.edits.after(at))
        if route is Route.POST or place.joined:
            place = replace(place, posts=place.posts.after(at))
        if route is Route.OLD_EDIT:
            place = replace(place, old_edits=place.old_edits.after(at))
        return Pace(webhook, place, self.host.after(at))

    def paused(self, route: Route, until: Instant) -> Pace:
        """No request of this route of the webhook before `until`."""
        webhook = self.webhook
        if route is Route.POST:
            return replace(self, webhook=replace(webhook, posts=webhook.posts.closed(until)))
        return replace(self, webhook=replace(webhook, edits=webhook.edits.closed(until)))

    def recalled(self, wait: str) -> Pace:
        """With the wait of `told_wait`, that was told before a crash: whatever it was meant for, this webhook keeps still."""
        until, _, whose = wait.partition(" ")
        if whose == "host":
            return replace(self, host=self.host.closed(float(until)))
        return self.paused(Route.POST, float(until)).paused(Route.EDIT, float(until))

    def told(self, route: Route, outcome: Outcome, info: RateInfo, at: Instant) -> Pace:
        """What the answer says about waiting. `Retry-After` overrides what the bucket's headers claim."""
        match outcome:
            case Throttled(scope=Scope.GLOBAL, seconds=seconds):
                return replace(self, host=self.host.closed(at + seconds))
            case Throttled(seconds=seconds, code=code) if code == OLD_EDITS:
                place = replace(self.place, old_edits=self.place.old_edits.closed(at + seconds))
                return replace(self, place=place)
            case Throttled(scope=Scope.SHARED, seconds=seconds):
                joined = self.place.joined or route is not Route.POST
                place = replace(self.place, posts=self.place.posts.closed(at + seconds), joined=joined)
                return replace(self, place=place)
            case Throttled(seconds=seconds):
                return self.paused(route, at + seconds)
            case Unavailable(host=True, seconds=seconds):
                return replace(self, host=self.host.closed(at + (seconds or EDGE_BAN)))
            case _:
                if info.remaining == 0 and info.reset_after is not None:
                    return self.paused(route, at + info.reset_after)
                return self


def edit_route(created_at: Instant, now: Instant) -> Route:
    """How an edit of a message that was made then counts: those of old ones are limited apart."""
    return Route.OLD_EDIT if now - created_at >= OLD else Route.EDIT


def told_wait(outcome: Outcome, at: Instant) -> str | None:
    """The wait that `outcome` tells, to be written down: until when, and whether it is the host's; None where it tells none."""
    match outcome:
        case Throttled(seconds=seconds, scope=scope):
            return f"{at + seconds!r} {'host' if scope is Scope.GLOBAL else 'webhook'}"
        case Unavailable(host=True, seconds=seconds):
            return f"{at + (seconds or EDGE_BAN)!r} host"
        case _:
            return None


def backoff(tries: int, dice: float, most: float = MAX_BACKOFF) -> float:
    """Seconds to wait after `tries` failures, with full jitter from `dice` in [0, 1): at least half a second, at most `most`."""
    ceiling = min(most, 2.0 ** min(tries, 30))
    return max(0.5, ceiling * dice)
