"""Everything that was asked and everything that would have sounded is kept in order, and each promise has one question here.

No token is kept: paths and bodies are recorded without it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from relay.demo.discord.store import Mentioned, Message


class Violation(StrEnum):
    """What a request did that its sender had been told not to do."""

    WHILE_BLOCKED = "sent while blocked by an earlier 429"
    WHILE_BANNED = "sent while banned"
    TO_A_DEAD_WEBHOOK = "sent to a webhook already reported dead"


@dataclass(slots=True, eq=False)
class Request:
    """One request. `status` is None while it runs and where no answer left; times are seconds since the epoch.

    `in_flight` counts the requests of the same webhook that were running when this one came, with this one.
    """

    time: float
    method: str
    path: str
    query: dict[str, str]
    webhook_id: str | None
    message_id: str | None
    body: object
    in_flight: int
    status: int | None = None
    answered: float | None = None
    violation: Violation | None = None
    fault: str | None = None

    def __str__(self) -> str:
        about = f" ({self.violation})" if self.violation else ""
        return f"{self.time:.3f} {self.method} {self.path} → {self.status or 'no answer'}{about}"


@dataclass(frozen=True, slots=True)
class Push:
    """One sound a phone would have made: where, the line it shows, and whom a mention called."""

    time: float
    channel_id: str
    message_id: str
    name: str
    text: str
    mentioned: Mentioned


@dataclass(slots=True)
class Recorder:
    """The log of one stand-in."""

    requests: list[Request] = field(default_factory=list)
    pushes: list[Push] = field(default_factory=list)
    _running: dict[str, dict[Request, Callable[[], bool]]] = field(default_factory=dict)

    def begin(self, request: Request, connected: Callable[[], bool]) -> None:
        """A request came. `connected` says whether its sender still waits: one that hung up is not in flight."""
        self.requests.append(request)
        if request.webhook_id is not None:
            running = self._running.setdefault(request.webhook_id, {})
            running[request] = connected
            request.in_flight = sum(alive() for alive in running.values())

    def end(self, request: Request, now: float) -> None:
        """Its answer left, or never will."""
        request.answered = now
        if request.webhook_id is not None:
            self._running[request.webhook_id].pop(request, None)

    def clear(self) -> None:
        """Forget what was asked and what sounded; requests in flight stay in flight."""
        self.requests.clear()
        self.pushes.clear()

    def assert_no_429(self) -> None:
        """No request was throttled."""
        _none_of("throttled", (one for one in self.requests if one.status == 429))

    def assert_no_request_while_blocked(self) -> None:
        """Nobody spoke who had been told to wait, by a 429 or a ban."""
        waiting = (Violation.WHILE_BLOCKED, Violation.WHILE_BANNED)
        _none_of("sent while told to wait", (one for one in self.requests if one.violation in waiting))

    def assert_dead_webhooks_are_called_once(self) -> None:
        """After its 404 or 401 a webhook was left alone."""
        dead = Violation.TO_A_DEAD_WEBHOOK
        _none_of("sent to a dead webhook", (one for one in self.requests if one.violation is dead))

    def assert_never_two_in_flight_per_webhook(self) -> None:
        """Each webhook had one request at a time."""
        _none_of("sent beside another of its webhook", (one for one in self.requests if one.in_flight > 1))


def assert_no_duplicates(messages: Iterable[Message], key: Callable[[Message], Hashable | None]) -> None:
    """No two living messages have the same key. A key of None is not counted."""
    keys = Counter(key(one) for one in messages if not one.deleted)
    twice = {str(what): count for what, count in keys.items() if what is not None and count > 1}
    if twice:
        listed = ", ".join(f"{what} ({count} times)" for what, count in sorted(twice.items())[:10])
        raise AssertionError(f"{len(twice)} shown more than once: {listed}")


def _none_of(what: str, found: Iterable[Request]) -> None:
    offenders = list(found)
    if offenders:
        shown = "\n  ".join(str(one) for one in offenders[:10])
        raise AssertionError(f"{len(offenders)} {'request' if len(offenders) == 1 else 'requests'} {what}:\n  {shown}")
