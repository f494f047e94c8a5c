"""No body is longer than its source's limit, none takes longer than its deadline, and all together never hold more than 32 MiB.

Nothing here sends a redirect, names a version, or repeats to a client what it sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from enum import Enum
from time import time
from types import MappingProxyType
from typing import Any, Final, cast

import structlog
from aiohttp import HttpVersion11, web
from multidict import CIMultiDict

from relay.core.event import Source
from relay.observe.logs import fault
from relay.observe.metrics import Metrics

log = structlog.get_logger(__name__)

MIB: Final = 1024 * 1024
LIMITS: Final[Mapping[Source, int]] = MappingProxyType({Source.FLUX: 4 * MIB, Source.ALERTMANAGER: 10 * MIB})
"""Bytes of one body. Flux's own limit is 3 MiB; Alertmanager's groups have none (reference/alertmanager.md §3.6)."""
IN_FLIGHT: Final = 32 * MIB
"""Bytes of all bodies in memory. Only what has come is counted: a claimed length is cheap and would shut the door for others."""
DEADLINE: Final = 10.0
"""Seconds for a request's headers, counted from the connection's start or its last answer; and seconds for its body after them."""
LINGER: Final = 5.0
"""Seconds in which the rest of a refused body is thrown away, so that its sender gets to read the answer."""


NAMELESS: Final[Mapping[str, str]] = MappingProxyType({"Server": "relay"})
"""No answer says which server of which version gave it."""


_PLAIN: Final[Mapping[str, str]] = MappingProxyType({"Content-Type": "text/plain; charset=utf-8", **NAMELESS})

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Refusal(Enum):
    """Why a body was not read to its end."""

    TOO_LONG = "too long"
    TOO_MUCH = "too much in flight"
    TOO_SLOW = "too slow"
    BROKEN = "broken"
    GONE = "gone"


def answer(status: int, line: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """One line of plain text: senders copy it into their own logs and events."""
    kept = CIMultiDict(_PLAIN)
    if headers is not None:
        kept.update(headers)
    return web.Response(status=status, body=f"{line}\n".encode(), headers=kept)


class _Stored(web.StreamResponse):
    """What a sender is told whose delivery is stored, made once for all of them: only the date in it changes.

    aiohttp makes an answer and its headers anew each time, which costs as much as to read the request.
    """

    def __init__(self) -> None:
        super().__init__(status=202)
        self._at = 0
        self._bytes = b""

    @property
    def keep_alive(self) -> bool:
        return True

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write all of it: nothing is left for `write_eof`."""
        if (now := int(time())) != self._at:
            self._at, self._bytes = now, _written(answer(202, "stored"), now)
        await request.writer.write(self._bytes)
        await request.writer.drain()

    async def write_eof(self, data: bytes = b"") -> None: ...


def _written(response: web.Response, now: int) -> bytes:
    """`response` as it goes over a connection that is kept, by HTTP/1.1."""
    body = cast("bytes", response.body)
    headers = {**response.headers, "Content-Length": str(len(body)), "Date": formatdate(now, usegmt=True)}
    lines = (f"HTTP/1.1 {response.status} {response.reason}", *(f"{name}: {text}" for name, text in headers.items()))
    return "\r\n".join((*lines, "", "")).encode() + body


_STORED: Final = _Stored()


def stored(request: web.BaseRequest) -> web.StreamResponse:
    """202: what was sent survives whatever comes."""
    kept = request.keep_alive and request.version == HttpVersion11
    return _STORED if kept else answer(202, "stored")


class Door:
    """Reads bodies and counts them. Whoever reads one releases it."""

    def __init__(self, metrics: Metrics, deadline: float = DEADLINE) -> None:
        self._deadline = deadline
        self._held = 0
        metrics.body_bytes.set_function(lambda: self._held)

    @property
    def full(self) -> bool:
        return self._held > IN_FLIGHT

    async def read(self, request: web.BaseRequest, limit: int) -> bytes | Refusal:
        """The whole body, of at most `limit` bytes, to be released; or why not, and then nothing is held."""
        try:
            if not request.content.is_eof():
                async with asyncio.timeout(self._deadline):
                    return await self._read(request, limit)
            body = request.content.read_nowait()
        except TimeoutError:
            return Refusal.TOO_SLOW
        except ConnectionError:
            return Refusal.GONE
        except web.RequestPayloadError:
            return Refusal.BROKEN
        if len(body) > limit:
            return Refusal.TOO_LONG
        self._held += len(body)
        return body

    async def _read(self, request: web.BaseRequest, limit: int) -> bytes | Refusal:
        await _continue(request)
        parts: list[bytes] = []
        size = 0
        try:
            while not request.content.at_eof():
                part = await request.content.readany()
                parts.append(part)
                size += len(part)
                self._held += len(part)
                if size > limit:
                    return Refusal.TOO_LONG
                if self.full:
                    return Refusal.TOO_MUCH
            self._held += size  # Handed to the caller; what follows lets go of what was refused.
            return b"".join(parts)
        finally:
            self._held -= size

    def release(self, body: bytes) -> None:
        self._held -= len(body)


async def _continue(request: web.BaseRequest) -> None:
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # The answer proper has not begun: aiohttp's own handler does the same.


# --- connections --------------------------------------------------------------------------------------------------------


class _Connection(web.RequestHandler):
    """aiohttp's connection, but for what it would say of a request that is none: it would repeat and log the client's bytes."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  # Holds the client's bytes.
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun") from exc
        if status == 400:
            response = answer(400, "this is no HTTP request")
        else:
            log.error("request failed", **(fault(exc) if exc is not None else {}))
            response = answer(500, "the relay failed: its log says where")
        response.force_close()
        return response


class _Server(web.Server):
    """aiohttp's server without its router: the door looks a path up in a table of its own, once."""

    def __init__(self, handler: Handler, deadline: float) -> None:
        super().__init__(handler)
        self._options: Mapping[str, Any] = {
            "access_log": None,
            "auto_decompress": False,
            "keepalive_timeout": deadline,  # aiohttp counts it from the start of a connection too, so that slow headers end it.
            "lingering_time": LINGER,
        }

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._options)


async def serve_on(
    handler: Handler, host: str, port: int, *, deadline: float = DEADLINE, shutdown_timeout: float = 5.0
) -> web.ServerRunner:
    """Bind and serve, with the relay's deadlines and without an access log; times in seconds. Raises OSError.

    `runner.addresses` says where (port 0 picks one), `await runner.cleanup()` ends it.
    """
    runner = web.ServerRunner(_Server(handler, deadline), shutdown_timeout=shutdown_timeout)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner
