"""A Line is one Channel's way to Discord: it has one request in flight at most, and knows when the next may go."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from relay.config.values import Webhook
from relay.core import packing
from relay.core.card import Form
from relay.core.due import Step
from relay.core.event import Instant, Severity
from relay.core.incident import Incident
from relay.core.outcome import Outcome, RateInfo, Refused, Throttled, Unavailable
from relay.core.pace import KEPT, MAX_BACKOFF, Bucket, Pace, PlacePace, Route, WebhookPace, backoff
from relay.core.packing import BURST, CAPACITY, Budget, Kind, Made, halved
from relay.core.posting import Message, Posting
from relay.discord.client import WebhookInfo
from relay.discord.message import Payload
from relay.storage.bulletins import Bulletin
from relay.storage.delivery import Attempt


@dataclass(frozen=True, slots=True)
class Part:
    """One Posting that a request shows as it was read: its step, and how it will stand."""

    posting: Posting
    incident: Incident
    step: Step
    form: Form
    is_new: bool
    """Whether it did not stand in this Message before."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request to Discord, decided and rendered: what is sent, where, and what it will have shown."""

    reason: packing.Reason
    payload: Payload
    route: Route
    form: Form
    parts: tuple[Part, ...]
    """What it shows anew; none where a Message is edited for its own sake."""
    message: Message | None
    """The message that is edited; None for a new one."""
    kind: Kind | None = None
    """Of a new Message, and of one that grows."""
    takes: str = ""
    """The kind for which it has room afterwards."""
    mentioned: Severity = Severity.NONE
    """How bad what a new Message calls people for is."""
    announces: bool = False
    """Whether it makes the one sound of what arrives."""
    among: int = 1
    """How many stand in the Message with it."""
    tail: tuple[str, ...] = ()
    """The Incidents that found no room any more in a Message that is edited."""
    gone: tuple[str, ...] = ()
    """Those that are no longer to stand in it."""
    bulletin: Bulletin | None = None
    """What it shows besides Incidents, as it is once it is shown."""

    @property
    def incident(self) -> Incident | None:
        """The one it is about, where it is about one."""
        return self.parts[0].incident if len(self.parts) == 1 else None

    @property
    def is_shared(self) -> bool:
        return self.among > 1


@dataclass(slots=True)
class Place:
    """What the webhooks of one Discord channel share: its budget, and a wait that is told to all of them."""

    pace: PlacePace = field(default_factory=PlacePace)
    last_post_at: Instant | None = None
    flying: int = 0
    """New messages that are on their way here: their slots are taken, though nobody answered yet."""

    def taken(self, now: Instant) -> PlacePace:
        """Its budget, as if what is on its way were answered now."""
        posts = self.pace.posts
        for _ in range(self.flying):
            posts = posts.after(now)
        return replace(self.pace, posts=posts)

    def remember(self, posts: Iterable[Instant], *, joined: bool) -> None:
        """Posts of a webhook that posts here, from before it was known to do so; and whether Discord counts edits among them."""
        self.pace = replace(self.pace, joined=joined or self.pace.joined)
        for at in posts:
            self.pace = replace(self.pace, posts=self.pace.posts.after(at))
            self.last_post_at = max(at, self.last_post_at or at)


@dataclass(slots=True)
class Own:
    """What all Channels that post through one webhook share: its budget, and the turn to speak, one at a time."""

    pace: WebhookPace = field(default_factory=WebhookPace)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class Host:
    """What all webhooks share."""

    pace: Bucket = field(default_factory=lambda: Pace().host)


MOST: Final = 64
"""From so many on, that share a request, Discord is trusted as before."""
PAUSE: Final = 30.0
"""Seconds between two requests, at most, while Discord is away: one tells when it is back."""
SLOT: Final = 3.0
"""Seconds between two edits of old messages."""
EDITS_KEPT: Final = 200
"""Messages of which it is remembered when they were last edited."""


@dataclass(slots=True)
class Line:
    """Lives as long as the webhook's URL. `leaving` once the configuration no longer has it."""

    name: str
    webhook: Webhook
    host: Host
    own: Own = field(default_factory=Own)
    place: Place = field(default_factory=Place)
    info: WebhookInfo | None = None
    """None until Discord said where the webhook posts."""
    dead: bool = False
    leaving: bool = False
    failures: int = 0
    """In a row, of any request that Discord did not answer."""
    answered_at: Instant | None = None
    """When Discord last took anything."""
    most: int | None = None
    """So many may share a request while Discord refuses one of them; None for as many as there is room for."""
    made: list[Made] = field(default_factory=list)
    """The new Messages of the last minute."""
    edits: dict[int, tuple[Instant, ...]] = field(default_factory=dict)
    """Our ids of the Messages edited last, and when they were."""
    rooms: dict[Form, int] = field(default_factory=dict)
    """How many had room in the last new Message of a form that was full."""
    slots_until: Instant = 0.0
    remembered: tuple[Instant, ...] = ()
    """When messages were posted before this Line began."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def remember(self, attempts: Iterable[Attempt], now: Instant) -> None:
        """What was asked before this Line began, answered or not."""
        posts = []
        for attempt in attempts:
            at = attempt.ended_at or now
            if attempt.route == Route.POST:
                posts.append(at)
            if attempt.webhook == self.webhook.id:
                self.pace = self.pace.after(Route(attempt.route), at)
        self.place = Place()  # Which one it is, Discord has yet to say.
        self.remembered = tuple(posts)

    def recall(self, wait: str | None) -> None:
        """The wait that Discord told this webhook last, if it told one; what is past matters no more."""
        if wait:
            self.pace = self.pace.recalled(wait)

    @property
    def pace(self) -> Pace:
        return Pace(self.own.pace, self.place.pace, self.host.pace)

    @pace.setter
    def pace(self, pace: Pace) -> None:
        self.own.pace, self.place.pace, self.host.pace = pace.webhook, pace.place, pace.host

    def ready_at(self, route: Route, now: Instant) -> Instant:
        """The earliest instant at which one more request of this route breaks no limit; `now` if that is so already."""
        return self._taken(now).ready_at(route, now)

    def _taken(self, now: Instant) -> Pace:
        return Pace(self.own.pace, self.place.taken(now), self.host.pace)

    def budget(self, now: Instant) -> Budget:
        pace = self._taken(now)
        return Budget(
            pages_at=pace.ready_at(Route.POST, now),
            posts_at=pace.ready_at(Route.POST, now, kept=KEPT),
            edits_at=pace.ready_at(Route.EDIT, now),
            spent=pace.place.posts.spent(now),
            last_post_at=self.place.last_post_at,
        )

    def told(self, request: Request, outcome: Outcome, info: RateInfo, now: Instant) -> None:
        """A request was answered, or given up."""
        self.pace = self.pace.after(request.route, now).told(request.route, outcome, info, now)
        if not isinstance(outcome, Unavailable):
            self.failures = 0
        if request.message is not None:
            before = self.edits.pop(request.message.id, ())
            self.edits[request.message.id] = (*before, now)[-BURST:]
            for old in list(self.edits)[:-EDITS_KEPT]:
                del self.edits[old]
        else:
            self.place.last_post_at = now

    def sent(self, request: Request, now: Instant) -> None:
        """Discord took it."""
        self.answered_at = now
        if self.most is not None:  # One was refused a while ago: trust comes back by and by.
            self.most = None if self.most > MOST else 2 * self.most
        if request.message is None and request.kind is not None:
            self.made = [*(one for one in self.made if now - one.at < 60.0), Made(now, request.kind, request.form)]

    def failed(self, request: Request, outcome: Unavailable, now: Instant, dice: float) -> None:
        """Nobody answered for Discord: all that is due waits a little, and stays in its order. A 500 may be this payload's own fault."""
        self.failures += 1
        if outcome.status != 500:
            until = now + max(backoff(self.failures, dice, PAUSE), min(outcome.seconds or 0.0, MAX_BACKOFF))
            self.pace = self.pace.paused(Route.POST, until).paused(Route.EDIT, until)
        elif self.failures > 2 and len(request.parts) > 1:
            self.most = halved(len(request.parts))

    def refused(self, request: Request) -> None:
        """Several share a request that Discord refused: the next holds half of them, down to the one that is at fault."""
        self.most = halved(len(request.parts)) if len(request.parts) > 1 else None

    def works_at(self, now: Instant) -> bool:
        """Whether Discord takes others, so that what it does not take is at fault itself."""
        return self.answered_at is not None and now - self.answered_at < 600.0

    def slot(self, ready: Instant) -> Instant:
        """When what has no room before `ready` is looked at again: many that wait for the same room come one after the other."""
        self.slots_until = max(ready, self.slots_until + SLOT)
        return self.slots_until

    def room(self, form: Form) -> int:
        """How many are worth reading for a new Message of `form`: a few more than had room in the last; all, where it was not full."""
        fitted = self.rooms.get(form)
        return CAPACITY[form] if fitted is None else min(CAPACITY[form], fitted + fitted // 8 + 8)

    def held(self, form: Form, shown: int, asked: int) -> None:
        """A new Message of `form` had room for `shown` of those that were read for it."""
        if shown < asked:
            self.rooms[form] = shown
        else:
            self.rooms.pop(form, None)

    def edited_at(self, message: Message) -> Instant:
        return self.edits.get(message.id, (message.created_at,))[-1]

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
        "why": request.parts[0].step.why.value if request.parts else request.reason.value,
        "how": request.reason.value,
        "form": request.form.value,
        "route": request.route.value,
        "outcome": type(outcome).__name__,
    }
    if request.incident is not None:
        said["incident"] = request.incident.handle
    elif request.parts:
        said["incidents"] = len(request.parts)
    match outcome:
        case Throttled(scope=scope, seconds=seconds):
            said |= {"scope": scope.value, "seconds": seconds}
        case Unavailable(why=why) | Refused(why=why):
            said["because"] = why
        case _:
            pass
    return said
