"""A request is admitted only while every limit that covers it has room; what is refused says for how long, and that is kept.

Windows slide, which is stricter than Discord's: no stretch of `per` seconds ever holds more than `count` requests.
`Reset-After` and `Retry-After` name the moment the window is wholly free again, as they do where windows are fixed.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field, replace
from enum import StrEnum

from relay.demo.discord.codes import Code

EPSILON = 1e-6


class Scope(StrEnum):
    """What a 429 closes: this webhook's route, the Discord channel, or everything from this address."""

    USER = "user"
    SHARED = "shared"
    GLOBAL = "global"


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` requests in any `per` seconds."""

    count: int
    per: float


@dataclass(frozen=True, slots=True)
class Limits:
    """The numbers of `discord.md` §4; the ban is scaled down from 10,000 so that a test can reach it. Durations in seconds."""

    enforced: bool = True
    route: Rate = Rate(5, 2.0)
    channel: Rate = Rate(30, 60.0)
    channel_pause: float = 40.0
    channel_counts_edits: bool = False
    old_edits: Rate = Rate(3, 6.0)
    old_after: float = 3600.0
    everything: Rate = Rate(50, 1.0)
    ban_after: int = 50
    ban_after_missing: int = 50
    ban_window: float = 600.0
    ban_for: float = 3600.0

    @classmethod
    def off(cls) -> Limits:
        """No limit at all, for measuring; the headers are still there."""
        return cls(enforced=False)

    def scaled(self, factor: float) -> Limits:
        """The same limits in a world `factor` times faster: every window and pause is divided by it."""
        return replace(
            self,
            route=Rate(self.route.count, self.route.per / factor),
            channel=Rate(self.channel.count, self.channel.per / factor),
            channel_pause=self.channel_pause / factor,
            old_edits=Rate(self.old_edits.count, self.old_edits.per / factor),
            old_after=self.old_after / factor,
            everything=Rate(self.everything.count, self.everything.per / factor),
            ban_window=self.ban_window / factor,
            ban_for=self.ban_for / factor,
        )


@dataclass(slots=True)
class Window:
    """The arrivals of the last `rate.per` seconds."""

    rate: Rate
    arrivals: deque[float] = field(default_factory=deque)

    def remaining(self, now: float) -> int:
        """How many more requests fit at `now`."""
        while self.arrivals and self.arrivals[0] + self.rate.per <= now + EPSILON:
            self.arrivals.popleft()
        return max(0, self.rate.count - len(self.arrivals))

    def take(self, now: float) -> bool:
        """Spend one, or say no."""
        if self.remaining(now) == 0:
            return False
        self.arrivals.append(now)
        return True

    def reset_after(self, now: float) -> float:
        """Seconds until the window is wholly free."""
        return max(0.0, self.arrivals[-1] + self.rate.per - now) if self.arrivals else 0.0


@dataclass(frozen=True, slots=True)
class Throttle:
    """One 429: its scope, how long it lasts, and whether the sender had already been told."""

    scope: Scope
    retry_after: float
    code: Code | None
    already_told: bool


@dataclass(frozen=True, slots=True)
class Demand:
    """What one request asks of the limits. `posts` and `edits` say whether it writes a message; `old` whether that is old."""

    address: str
    webhook_id: str
    route: str
    channel_id: str
    posts: bool
    edits: bool
    old: bool


@dataclass(frozen=True, slots=True)
class BucketState:
    """What the X-RateLimit headers tell."""

    limit: int
    remaining: int
    reset_after: float


Key = tuple[str, ...]


class Limiter:
    """All windows, blocks and bans of one stand-in."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._windows: dict[Key, Window] = {}
        self._blocks: dict[Key, tuple[float, Scope, Code | None]] = {}
        self._invalid: dict[Key, Window] = {}
        self._banned: dict[str, float] = {}

    def admit(self, demand: Demand, now: float) -> Throttle | None:
        """Take a token of every limit that covers the request, or say which one has none."""
        covering = list(self._covering(demand))
        for key, _, _, _ in covering:
            told = self._blocks.get(key)
            if told is not None and told[0] > now + EPSILON:
                return Throttle(told[1], told[0] - now, told[2], already_told=True)
        if not self.limits.enforced:
            return None
        for key, rate, scope, code in covering:
            window = self._window(key, rate)
            if window.take(now):
                continue
            pause = window.reset_after(now)
            if scope is Scope.SHARED:
                pause = max(window.arrivals[0] + rate.per - now, self.limits.channel_pause)
            self._blocks[key] = (now + pause, scope, code)
            return Throttle(scope, pause, code, already_told=False)
        return None

    def _covering(self, demand: Demand) -> list[tuple[Key, Rate, Scope, Code | None]]:
        limits = self.limits
        covering: list[tuple[Key, Rate, Scope, Code | None]] = [
            (("everything", demand.address), limits.everything, Scope.GLOBAL, None),
            (("route", demand.webhook_id, demand.route), limits.route, Scope.USER, None),
        ]
        if demand.posts or (demand.edits and limits.channel_counts_edits):
            covering.append((("channel", demand.channel_id), limits.channel, Scope.SHARED, None))
        if demand.old:
            covering.append((("old", demand.channel_id), limits.old_edits, Scope.USER, Code.OLD_EDITS))
        return covering

    def _window(self, key: Key, rate: Rate) -> Window:
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = Window(rate)
        return window

    def block(self, demand: Demand, scope: Scope, until: float) -> None:
        """Close a scope until an instant, as an injected 429 does."""
        for key, _, own, code in self._covering(demand):
            if own is scope and code is None:
                self._blocks[key] = (until, scope, None)

    def state(self, webhook_id: str, route: str, now: float) -> BucketState:
        """The route's bucket, for the headers. The hidden channel limit is in no header."""
        rate = self.limits.route
        window = self._windows.get(("route", webhook_id, route))
        if window is None:
            return BucketState(rate.count, rate.count, rate.per)
        return BucketState(rate.count, window.remaining(now), window.reset_after(now))

    def count_invalid(self, address: str, status: int, *, shared: bool, now: float) -> None:
        """Count an answer towards the ban: 401, 403, 429 but of a shared scope; 404 on its own account."""
        if not self.limits.enforced or shared:
            return
        if status in (401, 403, 429):
            key, allowed = ("invalid", address), self.limits.ban_after
        elif status == 404:
            key, allowed = ("missing", address), self.limits.ban_after_missing
        else:
            return
        window = self._invalid.setdefault(key, Window(Rate(allowed, self.limits.ban_window)))
        window.take(now)
        if window.remaining(now) == 0:
            window.arrivals.clear()
            self.ban(address, now + self.limits.ban_for)

    def ban(self, address: str, until: float) -> None:
        """Close everything to an address."""
        self._banned[address] = until

    def banned_for(self, address: str, now: float) -> float:
        """Seconds the ban still lasts; 0 without one. A ban of the empty address is a ban of all."""
        return max(0.0, self._banned.get(address, 0.0) - now, self._banned.get("", 0.0) - now)


def whole_seconds(seconds: float) -> int:
    """A Retry-After header: an integer, rounded up."""
    return math.ceil(seconds - EPSILON)


def milliseconds(seconds: float) -> float:
    """Seconds with three decimals, rounded up, so that waiting exactly this long is never too short."""
    return math.ceil(seconds * 1000 - EPSILON) / 1000
