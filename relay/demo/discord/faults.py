"""A fault happens to exactly the requests it was scripted for, or by a chance that a seed repeats."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import TYPE_CHECKING

from relay.demo.discord.limits import Scope

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from relay.demo.discord.recorder import Request

    Match = str | Callable[[Request], bool] | None


@unique
class Kind(StrEnum):
    """What can go wrong."""

    WEBHOOK_DELETED = "webhook_deleted"
    TOKEN_ROTATED = "token_rotated"  # noqa: S105 - the name of a fault
    STATUS = "status"
    STORED_THEN_DROPPED = "stored_then_dropped"
    DROPPED_BEFORE = "dropped_before"
    RESET = "reset"
    SLOW_HEADERS = "slow_headers"
    SLOW_BODY = "slow_body"
    TRICKLE = "trickle"
    TRUNCATED_JSON = "truncated_json"
    GZIP = "gzip"
    WRONG_CONTENT_TYPE = "wrong_content_type"
    EMPTY_BODY = "empty_body"
    MISSING_HEADERS = "missing_headers"
    RESET_SKEW = "reset_skew"
    RETRY_AFTER_ZERO = "retry_after_zero"
    RETRY_AFTER_LONG = "retry_after_long"
    BAN_HTML = "ban_html"
    BAN_JSON = "ban_json"
    CLOUDFLARE_1015 = "cloudflare_1015"
    FORBIDDEN_HTML = "forbidden_html"
    EDGE_404_HTML = "edge_404_html"
    AUTOMOD = "automod"


SECONDS = {Kind.RETRY_AFTER_LONG: 3600.0, Kind.RESET_SKEW: 120.0}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, and how.

    `seconds` is how long a slow one takes (1), by how much a clock is off (120), or what a long Retry-After says (3600).
    `stored` lets a `status` or a `reset` come after the message was stored. `retry_after` is an edge answer's own header, if it sends one.
    """

    kind: Kind
    status: int = 502
    seconds: float | None = None
    html: bool = True
    stored: bool = False
    scope: Scope = Scope.USER
    retry_after: int | None = None

    @property
    def duration(self) -> float:
        """Its seconds, or what is usual for its kind."""
        return SECONDS.get(self.kind, 1.0) if self.seconds is None else self.seconds


@dataclass(slots=True)
class _Scripted:
    fault: Fault
    match: Match
    times: int


@dataclass(slots=True)
class Faults:
    """The script: a queue, first match first; then chances, each tried in turn."""

    dice: random.Random
    _queue: list[_Scripted] = field(default_factory=list)
    _chances: list[tuple[Fault, Match, float]] = field(default_factory=list)

    def script(self, fault: Fault, match: Match, times: int) -> None:
        """Let it happen to the next `times` requests that match."""
        self._queue.append(_Scripted(fault, match, times))

    def chance(self, fault: Fault, match: Match, probability: float) -> None:
        """Let it happen to every matching request with a probability."""
        self._chances.append((fault, match, probability))

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        self._queue.clear()
        self._chances.clear()

    @property
    def waiting(self) -> int:
        """How many scripted faults have not happened yet."""
        return sum(one.times for one in self._queue)

    def pick(self, request: Request) -> Fault | None:
        """What goes wrong with this request, if anything."""
        for scripted in self._queue:
            if _fits(scripted.match, request):
                scripted.times -= 1
                if scripted.times <= 0:
                    self._queue.remove(scripted)
                return scripted.fault
        for fault, match, probability in self._chances:
            if _fits(match, request) and self.dice.random() < probability:
                return fault
        return None


def _fits(match: Match, request: Request) -> bool:
    if match is None:
        return True
    if isinstance(match, str):
        return request.method == match
    return match(request)
