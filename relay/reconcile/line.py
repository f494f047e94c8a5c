"""A Line is one Channel's way to Discord: it has one request in flight at most, and knows when the next may go."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from relay.config.values import Webhook
from relay.core.due import Step
from relay.core.event import Instant
from relay.core.incident import Incident
from relay.core.outcome import Outcome, RateInfo, Refused, Scope, Throttled, Unavailable
from relay.core.pace import Pace, Route
from relay.core.posting import Message, Posting
from relay.discord.client import WebhookInfo
from relay.discord.message import Payload


@dataclass(frozen=True, slots=True)
class Request:
    """One request to Discord, decided and rendered: what is sent, where, and what it will have shown."""

    step: Step
    payload: Payload
    route: Route
    posting: Posting | None
    """None for a Message that is edited for its own sake."""
    incident: Incident | None
    message: Message | None
    """The message that is edited; None for a new one."""
    since_due: Instant | None = None


@dataclass(slots=True)
class Place:
    """What the webhooks of one Discord channel share: its budget of new messages, and a wait that is told to all of them."""

    pace: Pace = field(default_factory=Pace)

    def joined(self, other: Pace) -> None:
        """A webhook with this past posts here too."""
        posts = sorted((*self.pace.answered.get(Route.POST, ()), *other.answered.get(Route.POST, ())))
        self.pace = replace(self.pace, answered={Route.POST: tuple(posts)})


@dataclass(slots=True)
class Line:
    """Lives as long as the webhook's URL. `leaving` once the configuration no longer has it."""

    name: str
    webhook: Webhook
    pace: Pace = field(default_factory=Pace)
    place: Place = field(default_factory=Place)
    info: WebhookInfo | None = None
    """None until Discord said where the webhook posts."""
    dead: bool = False
    leaving: bool = False
    failures: int = 0
    """Of asking where it posts, in a row."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def closed_until(self) -> Instant:
        return max(self.pace.blocked_until, self.place.pace.blocked_until)

    def ready_at(self, route: Route, now: Instant) -> Instant:
        """The earliest instant at which one more request of this route breaks no limit; `now` if that is so already."""
        ready = self.pace.ready_at(route, now)
        return max(ready, self.place.pace.ready_at(route, now)) if route is Route.POST else ready

    def told(self, route: Route, outcome: Outcome, info: RateInfo, now: Instant) -> None:
        """A request was answered, or given up."""
        self.pace = self.pace.after(route, now).told(route, outcome, info, now)
        if route is Route.POST:
            self.place.pace = self.place.pace.after(route, now)
        if isinstance(outcome, Throttled) and outcome.scope is Scope.SHARED:
            self.place.pace = self.place.pace.told(route, outcome, info, now)

    def jump(self, message: Message | None) -> str | None:
        """The address that opens a message in Discord; None where it is not known."""
        if message is None or message.discord_id is None or self.info is None or not self.info.guild_id:
            return None
        place = message.discord_channel or self.info.channel_id
        return f"https://discord.com/channels/{self.info.guild_id}/{place}/{message.discord_id}"


def report(line: Line, request: Request, outcome: Outcome) -> Mapping[str, object]:
    """One log line for one request: ids and reasons, never text from outside."""
    said: dict[str, object] = {
        "channel": line.name,
        "why": request.step.why.value,
        "form": request.step.form.value,
        "route": request.route.value,
        "outcome": type(outcome).__name__,
    }
    if request.incident is not None:
        said["incident"] = request.incident.handle
    match outcome:
        case Throttled(scope=scope, seconds=seconds):
            said |= {"scope": scope.value, "seconds": seconds}
        case Unavailable(why=why) | Refused(why=why):
            said["because"] = why
        case _:
            pass
    return said
