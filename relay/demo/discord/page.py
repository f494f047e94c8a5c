"""The page shows what the channel holds and what phones rang for; nothing from outside ever becomes markup, script or style."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from aiohttp import web

from relay.demo.discord.answers import encode
from relay.demo.discord.store import iso
from relay.demo.discord.validate import Flags

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from relay.demo.discord.form import JsonObject
    from relay.demo.discord.standin import StandIn
    from relay.demo.discord.store import Message, Store

SHOWN = 200
"""How many of the newest messages the page holds."""
ASSETS = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "phone.js": "text/javascript",
    "dom.js": "text/javascript",
    "markdown.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def add_routes(app: web.Application, standin: StandIn) -> None:
    """`/`, `/channels/{id}`, and what they load from `/_/`."""
    folder = files("relay.demo.discord") / "page"
    html = (folder / "page.html").read_bytes()
    app.router.add_get("/", _fixed(html, "text/html"))
    app.router.add_get("/channels/{id}", _fixed(html, "text/html"))
    for name, content_type in ASSETS.items():
        app.router.add_get(f"/_/{name}", _fixed((folder / name).read_bytes(), content_type))

    async def state(request: web.Request) -> web.Response:
        if request.query.get("since") == str(standin.store.changes):
            return web.Response(status=204, headers=HEADERS)
        document = describe(standin, request.query.get("channel"))
        return web.Response(body=encode(document), content_type="application/json", headers=HEADERS)

    app.router.add_get("/_/state.json", state)


def _fixed(body: bytes, content_type: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type=content_type, charset="utf-8", headers=HEADERS)

    return serve


def describe(standin: StandIn, channel_id: str | None = None) -> JsonObject:
    """All the page needs for one channel, by default the first: no tokens, no bodies of requests."""
    store = standin.store
    chosen = channel_id if channel_id in store.channels else next(iter(store.channels), None)
    here = [one for one in store.in_channel(chosen) if not one.deleted][-SHOWN:]
    return {
        "change": store.changes,
        "now": standin.clock(),
        "channel": chosen,
        "channels": [
            {"id": one.id, "name": one.name, "parent": one.parent_id, "forum": one.forum, "archived": one.archived}
            for one in store.channels.values()
        ],
        "roles": store.roles,
        "users": store.users,
        "messages": [_shown(one) for one in here],
        "rung": [_rung(one, store) for one in list(store.messages.values())[-SHOWN:]],
    }


def _shown(message: Message) -> JsonObject:
    now = message.now
    return {
        "id": message.id,
        "number": message.number,
        "webhook": message.webhook_id,
        "author": message.username,
        "time": message.created_at,
        "edited": now.at if message.edited else None,
        "edits": len(message.history) - 1,
        "silent": message.silent,
        "content": now.content,
        "embeds": [] if now.flags & Flags.SUPPRESS_EMBEDS else now.embeds,
        "components": now.components,
        "attachments": [one["filename"] for one in now.attachments],
        "mentions": bool(now.mentioned),
        "pinned": message.pinned,
        "iso": iso(message.created_at),
    }


def _rung(message: Message, store: Store) -> JsonObject:
    """One arrival as a phone had it: edits and deletions never reach it."""
    first = message.history[0]
    return {
        "id": message.id,
        "author": message.username,
        "webhook": message.webhook_id,
        "channel": message.channel_id,
        "channel_name": store.channels[message.channel_id].name,
        "time": message.created_at,
        "text": first.content,
        "silent": message.silent,
        "mentions": bool(first.mentioned),
        "gone": message.deleted,
    }
