"""What a storm looks like to who reads the channel: when each Incident was first shown, and when it was shown to be over."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from relay.demo.discord import Message, StandIn
from relay.demo.discord.store import Version

NAME: Final = re.compile(r"\bapp(\d+)x\b")
OVER: Final = "✅"


def named(number: int) -> str:
    """The pod of one Incident, whose workload is `app7x`."""
    return f"app{number}x-66cc5c9fcf-9rccg"


def states(version: Version) -> dict[int, bool]:
    """Who stands in one version of a message, and whether it is over: a line's sign speaks for all its names."""
    found: dict[int, bool] = {}
    over = False
    lines = [version.content] if not version.embeds else []
    for embed in version.embeds:
        lines += [str(embed.get("title", "")), *str(embed.get("description", "")).split("\n")]
    if version.embeds and "app" in version.content:
        lines.insert(0, version.content)
    for line in lines:
        if line.startswith("…"):
            pass
        elif line[:1]:
            over = line.startswith(OVER)
        for number in NAME.findall(line):
            found[int(number)] = found.get(int(number), False) or over
    return found


def marked(version: Version, sign: str) -> dict[int, bool]:
    """Who stands in one version of a message, and whether it stands in a line with this sign."""
    found: dict[int, bool] = {}
    under = False
    lines = version.text.split("\n")
    for line in lines[
        len(version.embeds) and len(NAME.findall(lines[0])) > 1 :
    ]:  # The lock screen of several speaks for none.
        under = under if line.startswith("…") else line.startswith(sign)
        for number in map(int, NAME.findall(line)):
            found[number] = found.get(number, False) or under
    return found


@dataclass
class Seen:
    """When each was first shown, and when it was first shown to be over since."""

    shown: dict[int, float] = field(default_factory=dict)
    over: dict[int, float] = field(default_factory=dict)


def seen(messages: Iterable[Message]) -> Seen:
    """What a reader saw, from all versions of all messages."""
    what = Seen()
    versions = sorted(
        (version.at, number, states(version)) for number, message in enumerate(messages) for version in message.history
    )
    for at, _, stood in versions:
        for number, over in stood.items():
            what.shown.setdefault(number, at)
            if over:
                what.over.setdefault(number, at)
    return what


def posts(standin: StandIn, since: float, until: float) -> int:
    return sum(1 for one in standin.requests if one.method == "POST" and since <= one.time < until)
