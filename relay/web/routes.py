"""Every answer is one row of a table, decided in the table's order; nothing is promised before the commit.

503 → 401 → 415 → 413 by headers, then the body by its deadline, then 401 by its HMAC, 400 for no JSON, and 202 for what is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from hashlib import sha256
from time import perf_counter
from types import MappingProxyType
from typing import Final, assert_never

import structlog
from aiohttp import web

from relay.config.values import Configuration
from relay.core import own
from relay.core.event import Instant, NotJson, Source, Unreadable
from relay.observe.logs import fault
from relay.observe.metrics import Metrics
from relay.sources import PARSERS, Delivered, Parser
from relay.storage.promise import NotWritten, Poison, Stopping, StorageAway
from relay.storage.rejects import add_reject
from relay.web import Accepts, health, quiet
from relay.web.auth import Proof, Signature
from relay.web.door import MIB, Door, Handler, Refusal, answer, stored
from relay.web.entrance import OUR_BUG, Entrance
from relay.web.examining import Examiner

log = structlog.get_logger(__name__)

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
_NOT_APPLICABLE: Final = "a payload that the relay cannot apply"


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
        self._entrances: Mapping[str, Entrance] = {}
        self._examiner = Examiner(writer)
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
            entrance.count(code, perf_counter() - began, self._clock())
        return _hang_up(request)

    def _current(self) -> Mapping[str, Entrance]:
        """The entrances by path, made anew when the configuration is another."""
        configuration = self._live()
        if configuration is not self._seen:
            proper = {
                settings.path.removesuffix("/"): Entrance(
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

    async def _deliver(self, request: web.BaseRequest, entrance: Entrance) -> web.StreamResponse | None:
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
                    return await self._take(request, entrance, proof, body) if self._writer.ready else _busy()
                finally:
                    self._door.release(body)
            case _:
                assert_never(body)

    async def _take(
        self, request: web.BaseRequest, entrance: Entrance, proof: Proof | Signature, body: bytes
    ) -> web.StreamResponse:
        """The rows by body. Raises StorageAway or Stopping where nothing is promised."""
        now = self._clock()
        try:
            found = await self._examiner.take(partial(entrance.examine, proof, now), body)
        except Poison:
            await self._keep(entrance, "poison", _NOT_APPLICABLE, OUR_BUG, body, now)
            return answer(202, f"kept, but it is {_NOT_APPLICABLE}")
        match found:
            case Delivered():
                self._count_lost(entrance, found)
                return stored(request)
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

    def _count_lost(self, entrance: Entrance, found: Delivered) -> None:
        """What of a delivery did not come, or was no alert."""
        name = entrance.settings.name
        if found.truncated:
            self._metrics.truncated.labels(name).inc(found.truncated)
        if found.refused:
            self._metrics.refused.labels(name).inc(found.refused)
            log.warning("alerts refused", sender=name, count=found.refused, why=found.notices)

    async def _keep(self, entrance: Entrance, kind: str, why: str, cure: str, body: bytes, now: Instant) -> None:
        """Keep a payload that is no good, and show that it came."""
        await self._reject(entrance, kind, why, cure, body, now)
        settings, policy = entrance.settings, entrance.policy
        try:
            await self._writer.submit([own.unreadable(settings.name, settings.kind, why, cure, now, policy)])
        except Poison as error:
            log.error("own event cannot be applied", sender=settings.name, **fault(error))  # noqa: TRY400  # As above.

    async def _reject(self, entrance: Entrance, kind: str, why: str, cure: str, body: bytes, now: Instant) -> None:
        source, sender = entrance.settings.kind.value, entrance.settings.name
        number = await self._writer.transact(
            lambda connection: add_reject(
                connection, at=now, source=source, sender=sender, why=why, cure=cure, body=body
            )
        )
        self._metrics.rejects.labels(sender, kind).inc()
        digest = sha256(body).hexdigest()[:12]
        log.warning("payload rejected", sender=sender, why=why, reject=number, size=len(body), digest=digest)

    def _unauthorized(self, entrance: Entrance, why: str) -> web.Response:
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


def _too_long(entrance: Entrance) -> web.Response:
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
