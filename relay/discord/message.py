"""Cards become one payload within every limit, whatever they hold; it pings only whom it was told to, and clears what it does not say.

Limits and rules: reference/discord.md §2, §3 and §6. The package discord-webhook builds the payload here and does nothing else; it sends
nothing, and nothing of it leaves this file.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from hashlib import blake2b
from typing import Any, Final

from relay.core.attention import Loudness
from relay.core.card import Brief, Card, Form
from relay.core.event import EMPTY
from relay.core.posting import Degraded
from relay.discord import shared
from relay.discord.embeds import Embed, Room, blocks, compact, end, fitted, full, line
from relay.discord.markdown import MAX_BUTTON_URL, mentions, openable, plain, shortened
from relay.observe.lean import without

MAX_EMBEDS: Final = 10
MAX_SUM: Final = 5900
"""Code points of all embeds together; Discord's limit is 6000."""
MAX_BYTES: Final = 9000
"""UTF-8 bytes of all text: an undocumented wall stands at about 10 KB."""
CARD: Final = 900
"""Code points of one full card: more is not read at 3 a.m."""
COMPACT: Final = 420
MAX_BUTTONS: Final = 5
SILENT: Final = 1 << 12
"""SUPPRESS_NOTIFICATIONS, on create only."""
CREATE: Final = frozenset({"content", "username", "avatar_url", "embeds", "allowed_mentions", "flags", "components"})
EDIT: Final = frozenset({"content", "embeds", "allowed_mentions", "components"})


@dataclass(frozen=True, slots=True)
class Payload:
    """The bytes of one request. `digest` is equal for what looks equal, whether new or edited; the mention is no part of it."""

    body: bytes
    digest: str
    shown: int
    """How many of the given parts stand in it; the others, always the last ones, found no room."""


@dataclass(frozen=True, slots=True)
class _Draft:
    content: str
    embeds: tuple[Embed, ...] = ()
    buttons: tuple[tuple[str, str], ...] = ()
    shown: int = 1


def render(
    parts: Sequence[tuple[Card | Brief, Form]],
    *,
    loudness: Loudness,
    mentions: tuple[str, ...] = (),
    editing: bool = False,
    degraded: Degraded = Degraded.NO,
    jump: str | None = None,
    jumps: Mapping[str, str] = EMPTY,
    keep: int = 0,
    gone: str = "recovered",
    arrived_in: str | None = None,
    username: str | None = None,
    avatar: str | None = None,
) -> Payload:
    """One Message of `parts`, in their order; at least one. A `Brief` does for every form but `full`, `compact` and a single `end`.

    `mentions` are `<@&role>` or `<@user>`; of a new Message they stand only in a page, and an edit, which rings nobody, keeps those it
    is given. `jump` is the address of the Message that took the place of a single one (`pointer`) or that shows the card (`end`), `jumps`
    those of several, by Incident. The first `keep` stand there already: they are cut before they are left out. `gone` is what is
    said of those that are over. With `arrived_in`, a cluster's name or "", several are what was there before. A new Message is silent
    unless it notifies or pages.
    """
    links = degraded is Degraded.NO
    if degraded is Degraded.PLAIN:
        draft = _plain(parts, gone)
    else:
        draft = _draft(parts, jump if jump and links else "", jumps if links else EMPTY, keep, gone, links=links)
        if arrived_in is not None and len(parts) > 1:
            told = [card.brief if isinstance(card, Card) else card for card, _ in parts[: draft.shown]]
            draft = replace(draft, content=shared.arrived(told, arrived_in) or draft.content)
    return _built(draft, loudness, mentions, editing=editing, username=username, avatar=avatar)


def notice(content: str, embeds: Sequence[Embed], *, loudness: Loudness, editing: bool = False) -> Payload:
    """One Message that is about no Incident and calls nobody; `content` and `embeds` are markup already, and within the limits."""
    return _built(_Draft(content, tuple(embeds)), loudness, (), editing=editing, username=None, avatar=None)


# --- what it says -------------------------------------------------------------------------------------------------------


def _draft(
    parts: Sequence[tuple[Card | Brief, Form]],
    jump: str,
    jumps: Mapping[str, str],
    keep: int,
    gone: str,
    *,
    links: bool,
) -> _Draft:
    match parts:
        case [(Card() as card, Form.FULL | Form.COMPACT as form)]:
            return _alone(card, form, links=links)
        case [(Card() as card, Form.END)]:
            return _Draft(plain(card.headline.spoken()), (end(card, jump),))
        case [(card, form)]:
            return _Draft(line(card, form, jump or jumps.get(card.incident, "")))
        case _:
            return _several(parts, jumps, keep, gone, links=links)


def _alone(card: Card, form: Form, *, links: bool) -> _Draft:
    content = plain(card.headline.spoken())
    most = CARD if form is Form.FULL else COMPACT
    embed = full(card, Room(most, min(most * 4, MAX_BYTES - len(content.encode()) - 400)), links=links)
    return _Draft(content, (embed,), _buttons([card]) if links and form is Form.FULL else ())


def _buttons(cards: Sequence[Card]) -> tuple[tuple[str, str], ...]:
    """Label and address of what a phone can open, each address once."""
    found: dict[str, str] = {}
    for card in cards:
        for one in card.links:
            label = shortened(one.label, 34)
            if label and openable(one.url, MAX_BUTTON_URL):
                found.setdefault(one.url, label)
    return tuple((label, url) for url, label in found.items())[:MAX_BUTTONS]


def _several(
    parts: Sequence[tuple[Card | Brief, Form]], jumps: Mapping[str, str], keep: int, gone: str, *, links: bool
) -> _Draft:
    """Up to ten cards, then lines, each kind in its order. Cards share the room equally; lines take what they leave."""
    cards = [(card, form) for card, form in parts if isinstance(card, Card) and form in {Form.FULL, Form.COMPACT}]
    lines = [
        (card.brief, form) for card, form in parts if isinstance(card, Brief) or form not in {Form.FULL, Form.COMPACT}
    ]
    room = Room(MAX_SUM, MAX_BYTES - 800)
    most = MAX_EMBEDS - 2 if lines else MAX_EMBEDS
    shown = cards[:most]
    share = len(shown) + (1 if lines else 0)
    embeds = []
    for card, form in shown:
        alone = form is Form.FULL and len(shown) == 1
        chars = min(CARD if alone else COMPACT, room.chars // share)
        make = full if alone else compact
        embeds.append(make(card, Room(chars, min(chars * 4, room.bytes // share)), links=links))
    if len(shown) < len(cards) or not lines:
        return _Draft(shared.summary([card.brief for card, _ in shown], gone), tuple(embeds), (), len(shown))
    left = room.less(*(text for embed in embeds for text in embed.texts))
    if any(form is Form.GROUPED for _, form in lines):
        more, count = shared.grouped([brief for brief, _ in lines], left, keep, gone)
    else:
        more, count = shared.listed(lines, left, keep - len(shown), jumps, ends=gone != "recovered")
    told = [*(card.brief for card, _ in shown), *(brief for brief, _ in lines[:count])]
    content = shared.summary(told, gone)
    return _Draft(content, (*embeds, *more), (), len(shown) + count)


def _plain(parts: Sequence[tuple[Card | Brief, Form]], gone: str) -> _Draft:
    """Content alone, no links: what Discord takes when it refused everything better."""
    if len(parts) != 1:
        text = shared.summary([card.brief for card, _ in parts], gone)
        room, count = Room(1800, 6000).less(text), 0
        for card, form in parts:
            said = "\n" + line(card, form, "")
            if not room.holds(said):
                break
            text, room, count = text + said, room.less(said), count + 1
        return _Draft(text, shown=count)
    card, form = parts[0]
    if form is not Form.FULL or isinstance(card, Brief):
        return _Draft(line(card, form, ""))
    head = plain(card.headline.spoken())
    why = fitted(card.why, Room(300, 900))
    room = Room(1800, 6000).less(head, why, "****\n\n")
    for sparing in range(10):
        body = "\n".join(text for text in blocks(card, sparing, links=False) if text)
        if room.holds(body):
            return _Draft("\n".join(text for text in (head, f"**{why}**" if why else "", body) if text))
    return _Draft(head)


# --- how it is built ----------------------------------------------------------------------------------------------------


@cache
def _package() -> Any:  # noqa: ANN401  # It ships no types.
    """discord-webhook, imported with the first message: it brings an HTTP client, whose tables of all alphabets nobody reads."""
    with without("charset_normalizer", "chardet"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # requests says that it misses them.
        import discord_webhook  # type: ignore[import-untyped]
    return discord_webhook


def _built(
    draft: _Draft,
    loudness: Loudness,
    given: tuple[str, ...],
    *,
    editing: bool,
    username: str | None,
    avatar: str | None,
) -> Payload:
    ping, users, roles = mentions(given) if editing or loudness is Loudness.PAGE else ("", [], [])
    content = f"{draft.content} {ping}".strip()
    hook = _package().DiscordWebhook(
        url="",
        content=content,
        username=username,
        avatar_url=avatar,
        flags=SILENT if loudness <= Loudness.QUIET else None,
        allowed_mentions={"parse": [], "users": users, "roles": roles},
    )
    embeds = [_embed(embed) for embed in draft.embeds]
    components = _components(draft.buttons)
    # The package leaves out what is empty; here an empty list clears what an edited message still shows, and null its content.
    raw: dict[str, Any] = {**hook.json, "embeds": embeds, "components": components}
    if editing:
        raw["content"] = content or None
    wanted = EDIT if editing else CREATE
    kept = {key: raw[key] for key in sorted(wanted & raw.keys()) if editing or raw[key]}
    return Payload(_bytes(kept), _digest(draft.content, embeds, components), draft.shown)


def _embed(embed: Embed) -> dict[str, Any]:
    """An embed as the package builds it, without what it leaves unset, which it would send as null."""
    built = _package().DiscordEmbed(title=embed.title or None, description=embed.description, color=embed.colour)
    if embed.footer:
        built.set_footer(embed.footer)
    return {key: _pruned(value) for key, value in vars(built).items() if value}


def _pruned(value: Any) -> Any:  # noqa: ANN401  # JSON
    return {key: inner for key, inner in value.items() if inner is not None} if isinstance(value, dict) else value


def _components(buttons: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """One row of link buttons: row 1, button 2, style 5 (reference: discord.md §2.3)."""
    row = [{"type": 2, "style": 5, "label": label, "url": url} for label, url in buttons]
    return [{"type": 1, "components": row}] if row else []


def _bytes(value: Any) -> bytes:  # noqa: ANN401  # JSON
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _digest(*said: Any) -> str:  # noqa: ANN401  # JSON
    return blake2b(_bytes(said), digest_size=16).hexdigest()
