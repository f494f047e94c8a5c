"""Many in one Message: each a line, or a name beside others of its kind, with causes counted above; what has no room is left to another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from relay.core.card import Brief, Form, Headline, Sign
from relay.core.event import Severity
from relay.core.wording import cut_middle, of_many, plural
from relay.discord.embeds import COLOURS, MARKS, STATES, Embed, Room, line
from relay.discord.markdown import escape, moment, plain, shortened

DESCRIPTION: Final = 4096
"""Code points of one embed's text."""
SLACK: Final = 0.9
"""Of the room, what may be filled by what is new: the rest is for what changes."""
WIDTHS: Final = (75, 56, 40)
"""Code points of a line: the first unless what stands there already would find no room."""
NAMES: Final = (32, 20, 12)
"""Code points of a name among many, likewise."""
CAUSES: Final = 6
LOCK: Final = 120
"""Code points of the line that a lock screen shows."""


def listed(
    parts: Sequence[tuple[Brief, Form]], room: Room, keep: int, jumps: Mapping[str, str], *, ends: bool
) -> tuple[list[Embed], int]:
    """A line for each of `parts`, in their order, as far as there is room, and how many they are; of the first `keep` none goes uncut.

    `jumps` leads from an Incident to where it stands now. With `ends` what is over says from when to when it was.
    """
    head = _head([brief for brief, _ in parts])
    room = room.less(head, "\n")
    lines: list[str] = []
    for width in WIDTHS:
        lines = _fitting(
            [line(one, form, jumps.get(one.incident, ""), width, ends=ends) for one, form in parts], room, keep
        )
        if len(lines) >= min(keep, len(parts)):
            break
    texts = _in_boxes([text for text in (_head([brief for brief, _ in parts[: len(lines)]]), *lines) if text])
    return [Embed(text, _colour([brief for brief, _ in parts])) for text in texts], len(lines)


def _fitting(lines: Sequence[str], room: Room, keep: int) -> list[str]:
    """The first lines that have room; beyond `keep` some of it is left free."""
    fitting: list[str] = []
    spare = Room(int(room.chars * (1 - SLACK)), int(room.bytes * (1 - SLACK)))
    for number, text in enumerate(lines):
        left = room.less(text, "\n")
        if left.chars < 0 or left.bytes < 0:
            break
        if number >= max(keep, 1) and (left.chars < spare.chars or left.bytes < spare.bytes):
            break
        room = left
        fitting.append(text)
    return fitting


def _in_boxes(lines: Sequence[str]) -> list[str]:
    """The lines in as few texts as an embed's limit allows."""
    boxes: list[list[str]] = [[]]
    size = 0
    for text in lines:
        if boxes[-1] and size + len(text) + 1 > DESCRIPTION:
            boxes.append([])
            size = 0
        boxes[-1].append(text)
        size += len(text) + 1
    return ["\n".join(box) for box in boxes if box]


def _colour(briefs: Sequence[Brief]) -> int:
    worst = max((brief.severity for brief in briefs if brief.is_open), default=Severity.NONE)
    return STATES[Sign.RECOVERED] if worst is Severity.NONE else COLOURS[worst]


# --- causes -------------------------------------------------------------------------------------------------------------


def _said(brief: Brief) -> str:
    """What is wrong, in the words that count together: `is crash-looping: exit 137`."""
    head = brief.headline
    state = head.state if brief.is_open else brief.state
    return f"{state}: {head.cause}" if head.cause and brief.is_open else state


def _head(briefs: Sequence[Brief]) -> str:
    """`**41** are crash-looping · **12** cannot be pulled · **9** over`, and since when: what a reader needs before many lines."""
    going = [brief for brief in briefs if brief.is_open]
    counted = Counter(map(_said, going)).most_common()
    if len(counted) > CAUSES:
        counted = Counter(brief.headline.state for brief in going).most_common()
    if len(briefs) < 4 or not counted or counted[0][1] == 1:
        return ""
    told = [
        f"**{count}** {escape(shortened(of_many(said) if count > 1 else said, 60))}"
        for said, count in counted[:CAUSES]
        if said
    ]
    if more := sum(count for _, count in counted[CAUSES:]):
        told.append(f"**{more}** others")
    if over := len(briefs) - len(going):
        told.append(f"**{over}** over")
    first = min(brief.since for brief in going)
    return f"{' · '.join(told)}\n-# the first {moment(first, 'R')}"


def summary(briefs: Sequence[Brief], gone: str = "recovered") -> str:
    """The lock screen of several: what all have in common, then who; else how many, and of many what: `🚨 58 problems: 41 …, 17 others`."""
    going = [brief for brief in briefs if brief.is_open]
    over = len(briefs) - len(going)
    if not briefs:
        return ""
    worst = max(brief.severity for brief in going or briefs)
    sign = MARKS[worst] if going else Sign.RECOVERED
    states = Counter(of_many(brief.headline.state) for brief in going).most_common()
    names = list(dict.fromkeys(shortened(brief.headline.object, 28) for brief in going or briefs))
    listed = ", ".join(names[:3]) + (f" +{len(names) - 3}" if len(names) > 3 else "")
    if not going:
        noun, cause = f"{over} {gone}", listed
    elif len(states) == 1 and len(going) > 1 and states[0][0]:
        noun, cause = f"{len(going)} {states[0][0]}", listed
    elif len(going) > 5 and states[0][1] > 1:
        told = [f"{count} {said}" for said, count in states[:2] if said]
        more = sum(count for _, count in states[2:])
        noun = plural(len(going), "problem")
        cause = ", ".join([*told, *([f"{more} others"] if more else [])])
    else:
        noun, cause = plural(len(going), "problem"), listed
    after = f"{over} over" if going and over else ""
    return plain(Headline(sign, noun, "", cause=cause, after=after).spoken())


def arrived(briefs: Sequence[Brief], cluster: str) -> str:
    """The lock screen of what was there before: `🛠️ homelab: 9 problems were here already, worst: …`; empty once all of it is over."""
    going = [brief for brief in briefs if brief.is_open]
    if not going:
        return ""
    worst = max(going, key=lambda brief: brief.severity).headline
    where = f"{cluster}: " if cluster else ""
    were = "were" if len(going) > 1 else "was"
    over = f", {len(briefs) - len(going)} over" if len(briefs) > len(going) else ""
    said = f"{where}{plural(len(going), 'problem')} {were} here already{over}, worst: {worst.object} {worst.state}"
    return plain(shortened(f"{Sign.RELAY.value} {said}", LOCK))


# --- grouped lines ------------------------------------------------------------------------------------------------------


NEARLY: Final = 64
"""The part of many that may wait for the next Message, so that not every one of them is tried."""


def grouped(briefs: Sequence[Brief], room: Room, keep: int, gone: str) -> tuple[list[Embed], int]:
    """One line for each severity, namespace and cause, with names only; what is `gone` stands by namespace below. As `listed` otherwise."""
    slack = Room(int(room.chars * SLACK), int(room.bytes * SLACK))
    keep = min(keep, len(briefs))
    for width in NAMES:
        if _fits(briefs[:keep], width, room, gone):
            count = _most(briefs, keep, width, slack, gone)
            break
    else:
        width = NAMES[-1]
        count = _most(briefs, 0, width, room, gone)
    texts = _in_boxes(_grouped(briefs[:count], width, gone))
    return [Embed(text, _colour(briefs)) for text in texts], count


def _fits(briefs: Sequence[Brief], width: int, room: Room, gone: str) -> bool:
    texts = _grouped(briefs, width, gone)
    return room.holds("\n".join(texts)) and len(_in_boxes(texts)) <= 2


def _most(briefs: Sequence[Brief], keep: int, width: int, room: Room, gone: str) -> int:
    """How many of the first have room, or a few less; at least `keep`, and of new ones at least one."""
    if _fits(briefs, width, room, gone):
        return len(briefs)
    low, high = max(keep, 1), len(briefs)
    while high - low > len(briefs) // NEARLY:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _fits(briefs[:middle], width, room, gone) else (low, middle - 1)
    return low


def _grouped(briefs: Sequence[Brief], width: int, gone: str) -> list[str]:
    """The lines: open before over, worst first, most first."""
    groups: dict[tuple[Severity, str, str], list[Brief]] = {}
    for brief in briefs:
        if brief.is_open:
            key = brief.severity, brief.namespace, of_many(_said(brief))
        else:
            key = Severity.NONE, brief.namespace, gone
        groups.setdefault(key, []).append(brief)
    order = sorted(groups.items(), key=lambda pair: (-pair[0][0], -len(pair[1]), pair[0][1:]))
    lines = [text for key, members in order for text in _group(*key, members, width)]
    head = _head(briefs)
    return [head, *lines] if head and len(groups) > 1 else lines


GROUP_LINE: Final = 1000
"""Code points of one line of names, so that no line is longer than a box."""


def _group(severity: Severity, space: str, said: str, members: Sequence[Brief], width: int) -> list[str]:
    """`🚨 **media** 41 crash-looping: app-1, app-2, …`, on as many lines as an embed needs."""
    sign = MARKS[severity]
    place = f" **{_name(space, 40)}**" if space else ""
    text = f"{sign}{place} {len(members)} {escape(shortened(said, 60))}:"
    lines = []
    for number, one in enumerate(members):
        name = _name(one.headline.object, width)
        if len(text) + len(name) > GROUP_LINE:
            lines.append(text)
            text = "…"
        text = f"{text} {name}{',' if number < len(members) - 1 else ''}"
    return [*lines, text]


@lru_cache(maxsize=4096)
def _name(name: str, width: int) -> str:
    """A name, cut in its middle, as markup."""
    return escape(cut_middle(" ".join(name.split()), width))
