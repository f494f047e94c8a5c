"""What went in and what came out, read from the relay's metrics and from what the stand-in recorded; nothing here is counted on the way.

And whether the channel shows what the story must leave behind: every difference is a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from relay.core.event import Source
from relay.demo.discord import Message, StandIn
from relay.demo.traffic import Scene

_CODE = re.compile(r"```.*?```|(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Tally:
    """Deliveries and events of the senders; messages and edits to Discord; how often a phone rang, and of that with a mention.

    The status message is no answer to what the senders tell, and is not among them.
    """

    deliveries: int
    accepted: int
    events: int
    posts: int
    edits: int
    rings: int
    pages: int
    throttled: int

    def __str__(self) -> str:
        return (
            f"in   {_count(self.deliveries, 'delivery', 'deliveries')} with {_count(self.events, 'event')}, "
            f"{self.accepted} answered 202\n"
            f"out  {_count(self.posts, 'message')}, {_count(self.edits, 'edit')}; phones rang {_count(self.rings, 'time')}, "
            f"{self.pages} of them a page; told to slow down (429): {self.throttled}\n"
            f"A relay that posts whatever comes would have posted {_count(self.deliveries, 'message')}, each with a sound."
        )


def _count(number: int, one: str, more: str = "") -> str:
    return f"{number} {one if number == 1 else more or one + 's'}"


def tally(standin: StandIn, metrics: CollectorRegistry) -> Tally:
    """The figures as they are now."""
    requests, kept = standin.requests, {message.id for message in standin.messages() if is_status(message)}
    return Tally(
        deliveries=_sum(metrics, "relay_requests_total"),
        accepted=_sum(metrics, "relay_requests_total", code="202"),
        events=_sum(metrics, "relay_events_total") - _sum(metrics, "relay_events_total", source=Source.RELAY.value),
        posts=sum(one.method == "POST" and one.status == 200 for one in requests) - len(kept),
        edits=sum(one.method == "PATCH" and one.status == 200 and one.message_id not in kept for one in requests),
        rings=len(standin.pushes),
        pages=sum(bool(push.mentioned) for push in standin.pushes),
        throttled=sum(one.status == 429 for one in requests),
    )


def _sum(metrics: CollectorRegistry, name: str, **labels: str) -> int:
    samples = (sample for family in metrics.collect() for sample in family.samples if sample.name == name)
    return int(sum(one.value for one in samples if labels.items() <= one.labels.items()))


def differences(standin: StandIn, counted: Tally, scenes: Iterable[Scene], role: str) -> list[str]:
    """What the channel shows otherwise than the story must leave it; nothing where all is well."""
    found = []
    told = list(scenes)
    left = [message for message in standin.messages() if not is_status(message)]
    for sign, word in (shown for scene in told for shown in scene.shows):
        fits = [message for message in left if message.content.startswith(sign) and word in _first_line(message)]
        if fits:
            left.remove(fits[0])
        else:
            found.append(f"no message begins with {sign} and names {word}")
    found += [f"one message too many: {_first_line(message)}" for message in left]
    pages = sum(scene.pages for scene in told)
    if counted.pages != pages:
        found.append(f"{counted.pages} pages, not {pages}")
    for push in standin.pushes:
        if push.mentioned and (push.mentioned.everyone or push.mentioned.users or push.mentioned.roles != (role,)):
            found.append(f"somebody else was called: {push.text}")
    if counted.accepted != counted.deliveries:
        found.append(f"{counted.deliveries - counted.accepted} deliveries were not answered 202")
    if counted.throttled:
        found.append(f"Discord said 429 {counted.throttled} times")
    for text in dict.fromkeys(text for scene in told for text in scene.never):
        if any(text in _CODE.sub("", version.text) for message in standin.messages() for version in message.history):
            found.append(f"{text!r} stands where Discord reads it as more than text")
    return found


def _first_line(message: Message) -> str:
    return message.content.partition("\n")[0]


def is_status(message: Message) -> bool:
    """Whether it is the one that says how all is, and when that was looked at last."""
    return any("-# checked <t:" in str(embed.get("description", "")) for embed in message.embeds)
