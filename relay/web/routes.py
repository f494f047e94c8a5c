"""Every answer is one row of a table, decided in the table's order; nothing is promised before the commit.

503 → 401 → 415 → 413 by headers, then the body by its deadline, then 401 by its HMAC, 400 for no JSON, and 202 for what is stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from hashlib import sha256
from time import perf_counter
from types import MappingProxyType
from typing import Final, assert_never

import structlog
from aiohttp import web

from relay.config.values import Configuration, SourceSettings
from relay.core import own
from relay.core.event import Instant, NotJson, Source, Unreadable
from relay.observe.logs import fault
from relay.observe.metrics import Metrics
from relay.sources import PARSERS, Delivered, Parsed, Parser
from relay.storage.promise import NotWritten, Poison, Stopping, StorageAway
from relay.storage.rejects import add_reject
from relay.web import Accepts, auth, health, quiet
from relay.web.auth import Proof, Signature
from relay.web.door import LIMITS, MIB, Door, Handler, Refusal, answer

log = structlog.get_logger(__name__)

LARGE: Final = 256 * 1024
"""Bytes from which a body is verified and parsed off the loop, one at a time."""
RETRY_AFTER: Final[Mapping[str, str]] = MappingProxyType({"Retry-After": "2"})
"""Flux's 15 s must hold it several times (reference/flux.md §3.5)."""
QUIET: Final = 60.0
"""Seconds between two log lines about the same refusal."""

_HOW: Final[Mapping[Source, str]] = MappingProxyType(
    {
        Source.FLUX: "POST only: name this address in a Flux Provider of type generic-hmac",
        Source.ALERTMANAGER: "POST only: name this address in webhook_configs of an Alertmanager receiver",
    }
)
_STRAY: Final = MappingProxyType({Source.FLUX: ("/slack",), Source.ALERTMANAGER: ("/api/v2/alerts", "/api/v1/alerts")})
"""What a sender of the wrong type appends to the address that it was given: Flux's discord Provider (reference: flux.md §9), Prometheus.

It is let in and proven like any other, so that the notice can say how to cure it.
"""
_KINDS: Final = ("not_json", "unreadable", "poison")
"""Why a payload is kept, in a word each: the label of `relay_rejects`."""
_NOT_APPLICABLE: Final = "a payload that the relay cannot apply"
_NOT_READABLE: Final = "a payload at which the relay's parser failed"
_OUR_BUG: Final = "this is a bug of the relay: please report it with the payload that `relay rejects` shows"


class _Entrance:
    """One configured source, with all that a request needs looked up once."""

    __slots__ = ("accepted", "limit", "locked", "parse", "policy", "seconds", "settings", "source")

    def __init__(self, settings: SourceSettings, configuration: Configuration, metrics: Metrics, parse: Parser) -> None:
        self.settings = settings
        self.source = settings.policy
        self.policy = configuration.policy
        self.parse = parse
        self.limit = LIMITS[settings.kind]
        self.locked = not settings.served(configuration.listen)
        self.accepted = metrics.requests.labels(settings.name, "202")
        for code in ("400", "401"):  # From 0: the first of them is an increase.
            metrics.requests.labels(settings.name, code)
        for kind in _KINDS:
            metrics.rejects.labels(settings.name, kind)
        self.seconds = metrics.request_seconds.labels(settings.name)

    def prove(self, request: web.BaseRequest) -> Proof | Signature:
        """What the headers prove. Without credentials everybody is who they say, where such a source is served at all.

        A browser is not: any page that somebody on this machine opens can make it post to the loopback, and it says so in `Origin`.
        """
        if self.settings.credentials:
            return auth.by_headers(self.settings.kind, self.settings.credentials, request.headers)
        return Proof.REFUSED if self.locked or "Origin" in request.headers else Proof.GIVEN

    def examine(self, proof: Proof | Signature, body: bytes, now: Instant) -> Parsed | Proof:
        """The body's Events, once it proved what its headers claimed. Runs on the loop or in a thread; touches nothing."""
        if isinstance(proof, Signature) and not proof.signs(body, self.settings.credentials):
            return Proof.REFUSED
        try:
            return self.parse(body, self.source, self.policy, now)
        except Exception as error:  # noqa: BLE001  # No body ends the relay, and none is answered with a retry for ever.
            log.error("parser raised", sender=self.settings.name, **fault(error))  # noqa: TRY400  # Its text may hold the body's.
            return Unreadable(_NOT_READABLE, _OUR_BUG)


class Front:
    """Everything that is served. A new configuration takes effect with the next request."""

    def __init__(
        self,
        writer: Accepts,
        live: Callable[[], Configuration],
        clock: Callable[[], Instant],
        metrics: Metrics,
        alive: Callable[[], bool],
        door: Door,
        parsers: Mapping[Source, Parser],
    ) -> None:
        self._writer = writer
        self._live = live
        self._clock = clock
        self._metrics = metrics
        self._alive = alive
        self._door = door
        self._parsers = parsers
        self._seen: Configuration | None = None
        self._entrances: Mapping[str, _Entrance] = {}
        self._large = asyncio.Semaphore(1)
        self._said: dict[tuple[str, str], Instant] = {}
        metrics.ready.set_function(lambda: not health.unready(writer, door))

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer any request. A trailing slash is served: Go would turn a redirected POST into a GET without a body."""
        path = request.path.removesuffix("/")
        entrance = self._current().get(path)
        if path == quiet.PATH:
            return await self._quiet(request)
        if entrance is None:
            return self._elsewhere(request, path)
        began = perf_counter()
        code = "none"
        try:
            response = await self._deliver(request, entrance)
            if response is not None:
                code = str(response.status)
                return response
        except (StorageAway, Stopping):
            code = "503"
            return _busy()
        except Exception as error:  # noqa: BLE001  # The last boundary: aiohttp would log the exception's text.
            log.error("delivery failed", sender=entrance.settings.name, **fault(error))  # noqa: TRY400  # As above.
            code = "500"
            return answer(500, "the relay failed: its log says where")
        finally:
            entrance.seconds.observe(perf_counter() - began)
            if code == "202":
                entrance.accepted.inc()
                self._metrics.last_received.labels(entrance.settings.name).set(self._clock())
            else:
                self._metrics.requests.labels(entrance.settings.name, code).inc()
        return _hang_up(request)

    def _current(self) -> Mapping[str, _Entrance]:
        """The entrances by path, made anew when the configuration is another."""
        configuration = self._live()
        if configuration is not self._seen:
            proper = {
                settings.path.removesuffix("/"): _Entrance(
                    settings, configuration, self._metrics, self._parsers[settings.kind]
                )
                for settings in configuration.sources
            }
            strayed = {path + more: one for path, one in proper.items() for more in _STRAY[one.settings.kind]}
            self._entrances = {**strayed, **proper}
            self._said.clear()
            self._seen = configuration
        return self._entrances

    async def _quiet(self, request: web.BaseRequest) -> web.Response:
        try:
            if health.unready(self._writer, self._door):
                return _busy()
            return await quiet.handle(request, self._live(), self._writer, self._door, self._clock)
        except NotWritten:
            return _busy()
        except Exception as error:  # noqa: BLE001  # As below.
            log.error("quiet failed", **fault(error))  # noqa: TRY400  # As below.
            return answer(500, "the relay failed: its log says where")

    def _elsewhere(self, request: web.BaseRequest, path: str) -> web.Response:
        if path not in {"/healthz", "/readyz", "/metrics"}:
            return answer(404, "not found: each source has its path, /flux and /alertmanager by default")
        if request.method not in {"GET", "HEAD"}:
            return answer(405, "GET only", {"Allow": "GET, HEAD"})
        if path == "/healthz":
            return health.healthz(self._alive)
        if path == "/readyz":
            return health.readyz(self._writer, self._door)
        return health.exposition(self._metrics)

    async def _deliver(self, request: web.BaseRequest, entrance: _Entrance) -> web.Response | None:
        """The rows by headers, then the body. None where nothing is answered: the connection is closed."""
        settings = entrance.settings
        if request.method != "POST":
            return answer(405, _HOW[settings.kind], {"Allow": "POST"})
        if health.unready(self._writer, self._door):
            return _busy()
        proof = entrance.prove(request)
        if proof is Proof.REFUSED:
            return self._unauthorized(entrance, settings.locked_because if entrance.locked else "by its headers")
        if "Content-Encoding" in request.headers:
            return answer(415, "no Content-Encoding: send the body as it is")
        if (request.content_length or 0) > entrance.limit:
            return _too_long(entrance)
        body = await self._door.read(request, entrance.limit)
        match body:
            case Refusal.TOO_LONG:
                return _too_long(entrance)
            case Refusal.TOO_MUCH:
                return _busy()
            case Refusal.BROKEN:
                return answer(400, "the body's chunks cannot be read")
            case Refusal.TOO_SLOW | Refusal.GONE:
                return None
            case bytes():
                try:
                    # A writer that ended while the body came would never answer.
                    return await self._take(entrance, proof, body) if self._writer.ready else _busy()
                finally:
                    self._door.release(body)
            case _:
                assert_never(body)

    async def _take(self, entrance: _Entrance, proof: Proof | Signature, body: bytes) -> web.Response:
        """The rows by body. Raises StorageAway or Stopping where nothing is promised."""
        now = self._clock()
        if len(body) > LARGE:
            async with self._large:
                found = await asyncio.to_thread(entrance.examine, proof, body, now)
        else:
            found = entrance.examine(proof, body, now)
        match found:
            case Delivered():
                return await self._accept(entrance, found, body, now)
            case Unreadable(why, cure):
                await self._keep(entrance, "unreadable", why, cure, body, now)
                return answer(202, f"kept, but unreadable: {why}")
            case NotJson(why):
                await self._reject(entrance, "not_json", why, "", body, now)
                return answer(400, why)
            case Proof():
                return self._unauthorized(entrance, "by its signature")
            case _:
                assert_never(found)

    async def _accept(self, entrance: _Entrance, found: Delivered, body: bytes, now: Instant) -> web.Response:
        name = entrance.settings.name
        try:
            await self._writer.submit(found.events)
        except Poison:
            await self._keep(entrance, "poison", _NOT_APPLICABLE, _OUR_BUG, body, now)
            return answer(202, f"kept, but it is {_NOT_APPLICABLE}")
        if found.truncated:
            self._metrics.truncated.labels(name).inc(found.truncated)
        if found.refused:
            self._metrics.refused.labels(name).inc(found.refused)
            log.warning("alerts refused", sender=name, count=found.refused, why=found.notices)
        return answer(202, "stored")

    async def _keep(self, entrance: _Entrance, kind: str, why: str, cure: str, body: bytes, now: Instant) -> None:
        """Keep a payload that is no good, and show that it came."""
        await self._reject(entrance, kind, why, cure, body, now)
        settings, policy = entrance.settings, entrance.policy
        try:
            await self._writer.submit([own.unreadable(settings.name, settings.kind, why, cure, now, policy)])
        except Poison as error:
            log.error("own event cannot be applied", sender=settings.name, **fault(error))  # noqa: TRY400  # As above.

    async def _reject(self, entrance: _Entrance, kind: str, why: str, cure: str, body: bytes, now: Instant) -> None:
        source, sender = entrance.settings.kind.value, entrance.settings.name
        number = await self._writer.transact(
            lambda connection: add_reject(
                connection, at=now, source=source, sender=sender, why=why, cure=cure, body=body
            )
        )
        self._metrics.rejects.labels(sender, kind).inc()
        digest = sha256(body).hexdigest()[:12]
        log.warning("payload rejected", sender=sender, why=why, reject=number, size=len(body), digest=digest)

    def _unauthorized(self, entrance: _Entrance, why: str) -> web.Response:
        """The same for every cause, to the sender; the operator's log says which, at most once a minute."""
        now = self._clock()
        key = (entrance.settings.name, why)
        if now - self._said.get(key, -QUIET) >= QUIET:
            self._said[key] = now
            log.warning("delivery refused", sender=entrance.settings.name, why=why)
        return answer(
            401, "unauthorized: the sender's secret is not the one the relay has", {"WWW-Authenticate": "Bearer"}
        )


def _busy() -> web.Response:
    return answer(503, "not now: try again", RETRY_AFTER)


def _too_long(entrance: _Entrance) -> web.Response:
    return answer(413, f"too long: at most {entrance.limit // MIB} MiB")


def _hang_up(request: web.BaseRequest) -> web.Response:
    """Close the connection at once; the response goes nowhere."""
    request.protocol.force_close()
    return answer(400, "closed")


def make_handler(
    writer: Accepts,
    live: Callable[[], Configuration],
    clock: Callable[[], Instant],
    metrics: Metrics,
    *,
    alive: Callable[[], bool] = lambda: True,
    door: Door | None = None,
    parsers: Mapping[Source, Parser] = PARSERS,
) -> Handler:
    """What answers every request: sources, `/healthz`, `/readyz`, `/metrics`. To be made within the loop and served by `door.serve_on`.

    `live` gives the current configuration: another one takes effect with the next request. `alive` is whether the process's tasks live.
    """
    return Front(writer, live, clock, metrics, alive, door if door is not None else Door(metrics), parsers).handle
