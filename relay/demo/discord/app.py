"""Every request is read, recorded, answered and let go, whatever becomes of it; nothing here decides what Discord would say."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from aiohttp import BodyPartReader, web

from relay.demo.discord import page
from relay.demo.discord.answers import Answer, HangUp, Refusal
from relay.demo.discord.codes import Code, Form
from relay.demo.discord.faults import Fault, Kind
from relay.demo.discord.form import Errors
from relay.demo.discord.recorder import Request
from relay.demo.discord.standin import UNVERSIONED, Call, StandIn, Upload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

MAX_REQUEST = 25 * 1024 * 1024
MAX_FILE = 10 * 1024 * 1024
PATH = re.compile(r"/api(?:/v(\d{1,3}))?/webhooks/(\d{1,20})/([^/]+)(?:/messages/(\d{1,20}))?\Z")
TRICKLED = 20


def application(standin: StandIn) -> web.Application:
    """The API under `/api/`, and the page everywhere else."""
    app = web.Application(client_max_size=MAX_REQUEST)
    app.router.add_route("*", "/api/{rest:.*}", _handler(standin))
    page.add_routes(app, standin)
    return app


def _handler(standin: StandIn) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(incoming: web.Request) -> web.StreamResponse:
        call = await read(incoming)
        request = Request(
            time=standin.clock(),
            method=call.method,
            path=f"/webhooks/{call.webhook_id}/…" + (f"/messages/{call.message_id}" if call.message_id else ""),
            query=call.query,
            webhook_id=call.webhook_id or None,
            message_id=call.message_id,
            body=call.body,
            in_flight=1,
        )
        standin.recorder.begin(request, lambda: _connected(incoming))
        try:
            fault = standin.faults.pick(request)
            request.fault = fault.kind.value if fault else None
            answer = standin.answer(call, request, fault)
            if isinstance(answer, HangUp):
                return _hang_up(incoming, answer)
            request.status = answer.status
            return await _deliver(incoming, answer, fault)
        finally:
            standin.recorder.end(request, standin.clock())

    return handle


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def read(incoming: web.Request) -> Call:
    """The request as the stand-in understands it; a body that cannot be read is a refusal that waits in it."""
    match = PATH.match(incoming.path)
    version, webhook_id, token, message_id = match.groups() if match else (None, "", "", None)
    call = Call(
        version=int(version) if version else UNVERSIONED if match else 10,
        method=incoming.method,
        webhook_id=webhook_id,
        token=token,
        message_id=message_id,
        query=dict(incoming.query),
        user_agent=incoming.headers.get("User-Agent", ""),
        address=incoming.remote or "",
        known_route=match is not None,
    )
    if incoming.method not in {"POST", "PATCH"}:
        return call
    try:
        if incoming.content_type == "multipart/form-data":
            return await _multipart(incoming, call)
        return _with_body(call, await incoming.read(), incoming.content_type)
    except web.HTTPRequestEntityTooLarge:
        return replace(call, unreadable=Refusal(413, Code.REQUEST_TOO_LARGE))


def _with_body(call: Call, raw: bytes, content_type: str) -> Call:
    if content_type != "application/json":
        errors = Errors()
        expected = "Expected \"Content-Type\" header to be one of {'application/json', 'multipart/form-data'}."
        errors.add((), Form.CONTENT_TYPE, expected)
        return replace(call, unreadable=Refusal(400, Code.INVALID_FORM, errors))
    try:
        return replace(call, body=parse(raw))
    except (ValueError, RecursionError):
        return replace(call, unreadable=Refusal(400, Code.INVALID_JSON))


def parse(raw: bytes) -> object:
    """JSON in UTF-8, without NaN, Infinity or lone surrogates; ValueError for anything else."""
    document: object = json.loads(raw.decode(), parse_constant=_no_constant)
    if b"\\u" in raw:
        json.dumps(document, ensure_ascii=False).encode()
    return document


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


async def _multipart(incoming: web.Request, call: Call) -> Call:
    uploads: list[Upload] = []
    raw = b"{}"
    async for part in await incoming.multipart():
        if not isinstance(part, BodyPartReader):
            continue
        content = await part.read(decode=False)
        if part.name == "payload_json":
            raw = bytes(content)
        elif part.filename:
            uploads.append(Upload(part.filename, len(content)))
    if len(uploads) > 10 or any(one.size > MAX_FILE for one in uploads):
        return replace(call, unreadable=Refusal(413, Code.REQUEST_TOO_LARGE))
    return replace(_with_body(call, raw, "application/json"), uploads=tuple(uploads))


# ── answering ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _connected(incoming: web.Request) -> bool:
    return incoming.transport is not None and not incoming.transport.is_closing()


def _hang_up(incoming: web.Request, how: HangUp) -> web.Response:
    """End the connection. What is returned is never sent, as nobody listens any more."""
    transport = incoming.transport
    if transport is not None and how.reset:
        wire: socket.socket | None = transport.get_extra_info("socket")
        if wire is not None:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    elif transport is not None:
        transport.close()
    return web.Response()


async def _deliver(incoming: web.Request, answer: Answer, fault: Fault | None) -> web.StreamResponse:
    headers = answer.headers if answer.status == 204 else {**answer.headers, "Content-Type": answer.content_type}
    if fault is None:
        return web.Response(status=answer.status, body=answer.body, headers=headers)
    if fault.kind is Kind.SLOW_HEADERS:
        await _pause(incoming, fault.duration)
    if fault.kind in (Kind.SLOW_BODY, Kind.TRICKLE) and answer.body:
        return await _slowly(incoming, answer, headers, fault)
    response = web.Response(status=answer.status, body=answer.body, headers=headers)
    if fault.kind is Kind.GZIP:
        response.enable_compression(web.ContentCoding.gzip)
    return response


async def _slowly(incoming: web.Request, answer: Answer, headers: dict[str, str], fault: Fault) -> web.StreamResponse:
    """Headers at once, the body late (`slow_body`) or a bit at a time over the whole while (`trickle`)."""
    response = web.StreamResponse(status=answer.status, headers=headers)
    response.content_length = len(answer.body)
    await response.prepare(incoming)
    size = len(answer.body) if fault.kind is Kind.SLOW_BODY else -(-len(answer.body) // TRICKLED)
    pieces = [answer.body[at : at + size] for at in range(0, len(answer.body), size)]
    with suppress(ConnectionError):  # Its sender may hang up, or be killed, meanwhile.
        for piece in pieces:
            await _pause(incoming, fault.duration / len(pieces))
            await response.write(piece)
        await response.write_eof()
    return response


async def _pause(incoming: web.Request, seconds: float) -> None:
    """Wait, but not for somebody who has hung up."""
    steps = max(1, round(seconds / 0.05))
    for _ in range(steps):
        if _connected(incoming):
            await asyncio.sleep(seconds / steps)
