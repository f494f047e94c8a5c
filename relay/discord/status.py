"""The status message as Discord shows it: open problems first, then who was heard, and what cannot be seen; one embed in small lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from relay.core.attention import Loudness
from relay.core.card import Sign
from relay.core.status import Heard, Spot, Status, Trouble
from relay.discord.embeds import STATES, Embed
from relay.discord.markdown import code, escape, link, moment, plain, shortened
from relay.discord.message import Payload, notice

WELL: Final = 0x3BA55D
TROUBLED: Final = 0xE0A030
BLIND: Final = 6
"""Blind spots that are named."""
LINE: Final = 90
"""Code points of what an outside word may take of a line."""


def render(status: Status, *, editing: bool) -> Payload:
    """The Message of `status`; it never sounds and calls nobody."""
    parts = [
        _notes(status),
        _open(status),
        _last(status),
        _heard(status),
        _quiet(status),
        _rolling(status),
        _blind(status),
        _foot(status),
    ]
    embed = Embed("\n".join(part for part in parts if part), _colour(status))
    return notice(plain(shortened(status.mood, 120)), (embed,), loudness=Loudness.QUIET, editing=editing)


def _colour(status: Status) -> int:
    if status.count:
        return TROUBLED
    return STATES[Sign.RELAY] if status.is_new or status.blind else WELL


def _notes(status: Status) -> str:
    return "\n".join(f"The relay {escape(shortened(note, LINE))}." for note in status.notes)


def _open(status: Status) -> str:
    if not status.count:
        return ""
    lines = [_trouble(one) for one in status.open]
    if status.more:
        lines.append(f"and {status.more} more: {code('relay list')}")
    return "\n".join(lines)


def _trouble(one: Trouble) -> str:
    headline, since = one.brief.headline, moment(one.brief.since, "R")
    said = shortened(f"{headline.object} {headline.state}", LINE)
    return f"{headline.sign.value} {link(escape(said), one.jump)} · {since}"


def _last(status: Status) -> str:
    last = status.last
    if last is None:
        return ""
    said = escape(shortened(f"{last.headline.object} {last.headline.state}", LINE))
    return f"**Last:** {last.headline.sign.value} {said} · {moment(last.until or last.since, 'R')}"


def _heard(status: Status) -> str:
    return "**Heard:** " + " · ".join(_source(one) for one in status.heard) if status.heard else ""


def _source(one: Heard) -> str:
    name = escape(shortened(one.name, 30))
    if one.locked:
        return f"{name} is locked"
    return f"{name} {moment(one.at, 'R')}" if one.at is not None else f"{name} not yet"


def _quiet(status: Status) -> str:
    return "**Quiet:** " + " · ".join(escape(shortened(one, LINE)) for one in status.quiet) if status.quiet else ""


def _rolling(status: Status) -> str:
    lines = "\n".join(escape(shortened(one, LINE)) for one in status.rolling)
    return f"**Rolled out today:**\n{lines}" if lines else ""


def _blind(status: Status) -> str:
    if not status.blind:
        return ""
    title = "**To do:**" if status.is_new else "**Cannot see:**"
    more = len(status.blind) - BLIND
    lines = [title, *(f"- {_spot(one)}" for one in status.blind[:BLIND])]
    return "\n".join([*lines, f"- {more} more: {code('relay doctor')}"] if more > 0 else lines)


def _spot(one: Spot) -> str:
    what = escape(shortened(one.what, 160))
    parts = enumerate(one.cure.split("`"))
    cure = " ".join(code(part) if place % 2 else escape(part) for place, part in parts if part.strip())
    return f"{what}: {cure}" if cure else what


def _foot(status: Status) -> str:
    return f"-# checked {moment(status.now, 'R')} · relay {status.version}, listening since {moment(status.since, 'f')}"


ROLLING: Final = 0x5865A6


def log(head: str, lines: Sequence[str], *, editing: bool) -> Payload:
    """The Message of a day's rollouts: a line for each revision, newest last; it never sounds."""
    text = "\n".join(escape(shortened(line, LINE)) for line in lines)
    content = plain(shortened(f"🔄 {head}", LINE))
    return notice(content, (Embed(text, ROLLING),), loudness=Loudness.QUIET, editing=editing)


def week(said: str, *, editing: bool) -> Payload:
    """The Message that says what a week came to: one line, without a sound."""
    return notice(plain(shortened(f"🟢 {said}", 120)), (), loudness=Loudness.QUIET, editing=editing)
