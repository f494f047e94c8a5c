"""A Card as markup: each thing once, as lines, within the room it is given; what does not fit is left out whole, least needed first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from relay.core.card import Brief, Card, Change, Form, Row, Sign
from relay.core.event import Severity
from relay.core.tree import Certainty
from relay.core.wording import cut_middle, duration, past
from relay.discord.markdown import code, escape, fence, fenceable, link, moment, plain, prose, shortened

COLOURS: Final = {
    Severity.CRITICAL: 0xB3001B,
    Severity.ERROR: 0xE8590C,
    Severity.WARNING: 0xF2C744,
    Severity.INFO: 0x56B4E9,
    Severity.NONE: 0x56B4E9,
}
"""Apart in lightness too, for eyes that see red and green alike; the sign and the words say the same."""
STATES: Final = {
    Sign.RECOVERED: 0x009E73,
    Sign.NO_NEWS: 0x8A8F98,
    Sign.QUIET: 0x8A8F98,
    Sign.FLAPPING: 0xCC79A7,
    Sign.RELAY: 0x0072B2,
    Sign.POINTER: 0x8A8F98,
}
MARKS: Final = {
    Severity.CRITICAL: Sign.PAGE,
    Severity.ERROR: Sign.BROKEN,
    Severity.WARNING: Sign.WARNING,
    Severity.INFO: Sign.INFO,
    Severity.NONE: Sign.RECOVERED,
}


TWO_LINES: Final = 90
"""Code points that a phone shows in about two lines of an embed."""
NOTHING: Final = "…"
"""In the place of a body that had no room: an embed without text is no embed."""


@dataclass(frozen=True, slots=True)
class Room:
    """How much may be said, in code points and in UTF-8 bytes."""

    chars: int
    bytes: int

    def holds(self, text: str) -> bool:
        return len(text) <= self.chars and len(text.encode()) <= self.bytes

    def less(self, *texts: str) -> Room:
        return Room(self.chars - sum(map(len, texts)), self.bytes - sum(len(text.encode()) for text in texts))

    def part(self, share: int, most: int) -> Room:
        """One of `share` equal parts, and at most `most` code points."""
        return Room(min(most, self.chars // share), self.bytes // share)


@dataclass(frozen=True, slots=True)
class Embed:
    """One embed's text and colour, ready to send."""

    description: str
    colour: int
    title: str = ""
    footer: str = ""

    @property
    def texts(self) -> tuple[str, str, str]:
        return self.title, self.description, self.footer


def fitted(text: str, room: Room, markup: Callable[[str], str] = escape) -> str:
    """`text` as markup, cut before it is escaped, so that no escape and no code is cut in two."""
    limit = min(len(text), max(0, room.chars))
    while limit > 0:
        marked = markup(shortened(text, limit))
        if room.holds(marked):
            return marked
        limit = limit * 3 // 4
    return ""


def colour_of(card: Card) -> int:
    return STATES.get(card.headline.sign, COLOURS[card.severity])


def _parts(*parts: str) -> str:
    return " · ".join(part for part in parts if part)


# --- lines of a card ----------------------------------------------------------------------------------------------------


def _when(card: Card) -> str:
    if card.heard is not None and card.until is None:
        return f"no news since {moment(card.heard, 'f')} ({moment(card.heard, 'R')})"
    if card.until is None:
        return f"since {moment(card.since, 't')} ({moment(card.since, 'R')})"
    return f"{moment(card.since, 'f')} – {moment(card.until, 't')}"


def _facts(card: Card, *, companions: bool = True, notes: bool = True) -> str:
    together = (
        f"with it: {escape(shortened(card.companions, 90))}"
        if card.companions and card.headline.sign is not Sign.RECOVERED
        else ""
    )
    if card.rows:
        together = escape(shortened(card.companions, 90))
    return _parts(
        escape(shortened(card.place, 120)),
        _when(card),
        together if companions else "",
        *(escape(shortened(note, 60)) for note in card.notes[:4] if notes),
    )


def _impact(card: Card) -> str:
    return f"**Users:** {prose(shortened(card.impact, 120))}" if card.impact else ""


def commit(change: Change, *, links: bool) -> str:
    """`3ebb95c sonarr 4.0.15 → 4.0.16`, linked where its page is known."""
    revision = code(shortened(change.revision, 40))
    return f"{link(revision, change.url) if links and change.url and revision else revision} {escape(shortened(change.text, 100))}".strip()


def _changed(card: Card, *, links: bool) -> str:
    if card.change is None:
        return ""
    before = card.since - card.change.at
    when = f"{duration(before)} before" if before >= 0 else "since"
    return f"**Changed {when}:** {commit(card.change, links=links)}"


def _evidence(card: Card, each: int | None) -> str:
    """The sender's words in a fence; with `each` only its last lines, so long at most; None leaves it out."""
    if not card.evidence or each is None:
        return ""
    lines = [cut_middle(text, each) for text in card.evidence[-2:]] if each else card.evidence
    return fence("\n".join(lines))


def _row(row: Row, *, marked: bool) -> str:
    counted = f"{row.firing} alerts" if row.firing > 1 else ""
    over = (
        f"{row.resolved} over"
        if row.resolved and row.firing
        else "recovered"
        if row.resolved and not row.firing
        else ""
    )
    name = f"**{escape(shortened(row.name, 60))}**"
    says = f" {escape(shortened(row.says, 50))}" if row.says else ""
    return _parts(f"{MARKS[row.severity] if marked else '-'} {name}{says}", counted, over)


def _rows(card: Card, most: int) -> str:
    """Worst first; a sign stands before each only where they differ."""
    if not card.rows:
        return ""
    marked = len({row.severity for row in card.rows}) > 1
    more = card.more_rows + max(0, len(card.rows) - most)
    return "\n".join([*(_row(row, marked=marked) for row in card.rows[:most]), *([f"-# +{more} more"] if more else [])])


def _look(card: Card, most: int, *, words: bool) -> str:
    """What to look for in words, and one fence of commands that only read, pasteable whole."""
    runs = [run for run in card.look if fenceable(run) and len(run) <= 200][:most]
    said = _parts(*(prose(shortened(text, 80)) for text in card.look_at[:3])) if words or not runs else ""
    if not runs and not said:
        return ""
    label = f"Look at {escape(shortened(card.look_of, 48))}" if card.look_of else "Look"
    head = f"**{label}:** {said}" if said else f"**{label}**"
    return f"{head}\n{fence(chr(10).join(runs))}" if runs else head


def _checklist(card: Card) -> str:
    """`exit 1 → its log · 137 → memory or a probe` where a phone shows it in two lines, else one line for each."""
    pairs = [f"{prose(shortened(seen, 40))} → {prose(shortened(means, 60))}" for seen, means in card.checklist[:5]]
    one_line = _parts(*pairs)
    return one_line if len(one_line) <= TWO_LINES else "\n".join(f"- {pair}" for pair in pairs)


def _fix(card: Card) -> str:
    if not card.fix and not card.fix_run:
        return ""
    run = code(card.fix_run) if len(card.fix_run) <= 160 else ""
    label = "Fix in Git" if card.fix_in_git else "Fix, changes the cluster" if card.fix_run else "Fix"
    words = prose(shortened(card.fix, 200))
    return f"**{label}:** {f'{words}: {run}' if words and run else words or run}" if words or run else ""


def _ended(card: Card, *, links: bool) -> str:
    if not card.ended:
        return ""
    if card.fixed_by is not None:
        return f"**Fixed by:** {commit(card.fixed_by, links=links)}"
    return f"**Over:** {escape(shortened(card.ended, 80))}"


def _timeline(card: Card, most: int) -> str:
    if len(card.timeline) < 2:
        return ""
    shown = card.timeline[-most:]
    return "\n".join(f"{moment(step.at, 't')} {escape(shortened(step.text, 70))}" for step in shown)


def _path(card: Card, *, links: bool) -> str:
    """The small print: how the tree came here, its leaf, and the alert."""
    way = " › ".join(escape(shortened(step, 48)) for step in card.path)
    leaf = escape(shortened(card.leaf, 40))
    if links and card.leaf_url and leaf:
        leaf = link(leaf, card.leaf_url)
    alertname = "" if card.alertname in card.path else escape(shortened(card.alertname, 60))
    print_ = _parts(way, leaf, alertname)
    return f"-# {print_}" if print_ else ""


def footer(card: Card, room: Room) -> str:
    """`homelab · alertmanager, flux · k7f3`: what never changes."""
    return fitted(_parts(card.cluster, ", ".join(card.sources), card.handle), room, plain)


# --- a card -------------------------------------------------------------------------------------------------------------


def blocks(card: Card, sparing: int, *, links: bool) -> list[str]:
    """The lines of a card's body. `sparing` 0 says all; each step leaves out more, least needed first."""
    evidence = _evidence(card, (0, 0, 0, 140, 90)[sparing] if sparing < 5 else None)
    return [
        _facts(card, companions=sparing < 7, notes=sparing < 2),
        _impact(card) if sparing < 7 else "",
        _changed(card, links=links) if sparing < 8 else "",
        evidence,
        _rows(card, 5 if sparing < 4 else 3 if sparing < 8 else 0),
        _look(card, 3 if sparing < 6 else 1, words=sparing < 1) if sparing < 9 else "",
        _checklist(card) if sparing < 5 and card.certainty is Certainty.OPEN else "",
        _fix(card) if sparing < 9 else "",
        _ended(card, links=links) if sparing < 9 else "",
        _timeline(card, 5 if sparing < 4 else 3) if sparing < 6 else "",
        _path(card, links=links) if sparing < 6 else "",
    ]


SPARING: Final = 10


def _body(lines: Callable[[int], Iterable[str]], room: Room) -> str:
    """The fullest body that fits; an empty one if none does."""
    for sparing in range(SPARING):
        text = "\n".join(line for line in lines(sparing) if line)
        if room.holds(text):
            return text
    return ""


def full(card: Card, room: Room, *, links: bool) -> Embed:
    """The whole card."""
    title = fitted(card.why, room.part(3, 256), plain)
    foot = footer(card, room.part(6, 160))
    body = _body(lambda sparing: blocks(card, sparing, links=links), room.less(title, foot))
    return Embed(body or NOTHING, colour_of(card), title, foot)


def compact(card: Card, room: Room, *, links: bool) -> Embed:
    """Headline, why, since and fix: one of several in a Message."""
    # Where the body says why, the headline need not.
    headline = replace(card.headline, cause="") if card.why and card.headline.state else card.headline
    title = fitted(headline.spoken(100), room.part(3, 256), plain)
    foot = footer(card, room.part(6, 160))

    def lines(sparing: int) -> list[str]:
        why = f"**{prose(shortened(card.why, 120))}**" if card.why and sparing < 8 else ""
        return [
            why,
            _facts(card, companions=sparing < 1, notes=sparing < 1),
            _fix(card) if sparing < 2 else "",
            _ended(card, links=links),
        ]

    return Embed(_body(lines, room.less(title, foot)) or NOTHING, colour_of(card), title, foot)


def end(card: Card, jump: str) -> Embed:
    """What was wrong and where it stands, under the line that says it is over."""
    fixed = commit(card.fixed_by, links=bool(jump)) if card.fixed_by is not None else ""
    how = f"fixed by {fixed}" if fixed else escape(shortened(card.ended, 80))
    text = _parts(escape(shortened(card.why, 160)), how, link("the card", jump) if jump else "")
    return Embed(text or NOTHING, colour_of(card))


LINE = 75
"""Code points that a reader sees of one line among many."""


def line(card: Card | Brief, form: Form, jump: str, width: int = LINE, *, ends: bool = True) -> str:
    """A Posting in one line: what came and went with both its ends, what goes on with its start, what moved with the way to it.

    Without `ends` it is one of many: times are so short that a phone shows it in one line, where a phone can.

    `width` code points are seen of it; a time, which each reader sees in their own zone, counts as some ten.
    """
    said = card.headline
    if form is Form.POINTER:
        where = link("moved below", jump) if jump else "moved below"
        return f"{Sign.POINTER} {plain(shortened(said.object, min(48, width - 14)))}: {where}"
    if card.until is None:
        return f"{plain(said.spoken(width - 17))} · {moment(card.since, 'R' if ends else 't')}"
    if form is Form.END or not card.state or said.sign is not Sign.RECOVERED:
        return plain(said.spoken(width))
    lasted = f"({duration(card.lasted)})"
    was = f"{cut_middle(said.object, min(48, width - 28))} {past(card.state)}"
    if not ends:
        return f"{said.sign} {plain(shortened(was, width - 12))} {lasted}"
    return f"{said.sign} {plain(shortened(was, width - 28))} · {moment(card.since, 't')}–{moment(card.until, 't')} {lasted}"
