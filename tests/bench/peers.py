"""What the relay is measured against, and with: handlers that do less, and a Discord without limits. `… -m tests.bench.peers NAME PORT`."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Final

import uvloop
from aiohttp import web
from pydantic import ValidationError

from relay.config.secrets import Secret, SecretValue
from relay.config.values import Credentials
from relay.core.event import Source
from relay.core.policy import Policy, SourcePolicy
from relay.demo.discord import Limits, StandIn
from relay.sources.delivered import Delivered
from relay.sources.flux import Exact, parse
from relay.web.auth import Signature, by_headers
from tests.bench.bodies import KEY

WEBHOOK: Final = ("1", "opens-nothing")
_SOURCE: Final = SourcePolicy("flux")
_POLICY: Final = Policy()
_CREDENTIALS: Final = Credentials(hmac_keys=(SecretValue(Secret(KEY)),))


async def bare(request: web.Request) -> web.Response:
    """Reads the body, and sees that it is an event."""
    try:
        Exact.model_validate_json(await request.read())
    except ValidationError:
        return web.Response(status=400)
    return web.Response(status=202, text="stored\n")


async def parsing(request: web.Request) -> web.Response:
    """All that the relay does with a delivery before it stores it."""
    body = await request.read()
    proof = by_headers(Source.FLUX, _CREDENTIALS, request.headers)
    if not isinstance(proof, Signature) or not proof.signs(body, _CREDENTIALS):
        return web.Response(status=401)
    found = parse(body, _SOURCE, _POLICY, time.time())
    return web.Response(status=202 if isinstance(found, Delivered) else 400, text="stored\n")


async def healthy(_: web.Request) -> web.Response:
    return web.Response()


async def serve(name: str, port: int) -> None:
    if name == "discord":
        await _discord(port)
        return
    application = web.Application()
    application.router.add_post("/flux", {"bare": bare, "parsing": parsing}[name])
    application.router.add_get("/readyz", healthy)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


async def _discord(port: int) -> None:
    standin = StandIn(limits=Limits.off())
    standin.add_webhook(*WEBHOOK, channel_id="2", guild_id="3")
    async with standin.running(port=port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], int(sys.argv[2])))
