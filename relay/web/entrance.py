"""One configured source at the door: what proves a request to it, what its bodies turn out to be, and what is counted of them."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from aiohttp import web

from relay.config.values import Configuration, SourceSettings
from relay.core.event import Instant, Unreadable
from relay.observe.logs import fault
from relay.observe.metrics import Metrics
from relay.sources import Parser
from relay.web import auth
from relay.web.auth import Proof, Signature
from relay.web.door import LIMITS
from relay.web.examining import Examined

log = structlog.get_logger(__name__)

REJECTS: Final = ("not_json", "unreadable", "poison")
"""Why a payload is kept, in a word each: the label of `relay_rejects`."""
_NOT_READABLE: Final = "a payload at which the relay's parser failed"
OUR_BUG: Final = "this is a bug of the relay: please report it with the payload that `relay rejects` shows"


class Entrance:
    """All that a request to one source needs, looked up once."""

    __slots__ = (
        "_accepted",
        "_last",
        "_metrics",
        "_seconds",
        "_taken",
        "limit",
        "locked",
        "parse",
        "policy",
        "settings",
        "source",
    )

    def __init__(self, settings: SourceSettings, configuration: Configuration, metrics: Metrics, parse: Parser) -> None:
        self.settings = settings
        self.source = settings.policy
        self.policy = configuration.policy
        self.parse = parse
        self.limit = LIMITS[settings.kind]
        self.locked = not settings.served(configuration.listen)
        self._metrics = metrics
        self._accepted = metrics.requests.labels(settings.name, "202")
        self._seconds = metrics.request_seconds.labels(settings.name)
        self._taken: list[float] = []
        self._last: Instant = 0.0
        for code in ("400", "401"):  # From 0: the first of them is an increase.
            metrics.requests.labels(settings.name, code)
        for kind in REJECTS:
            metrics.rejects.labels(settings.name, kind)

    def prove(self, request: web.BaseRequest) -> Proof | Signature:
        """What the headers prove. Without credentials everybody is who they say, where such a source is served at all.

        A browser is not: any page that somebody on this machine opens can make it post to the loopback, and it says so in `Origin`.
        """
        if self.settings.credentials:
            return auth.by_headers(self.settings.kind, self.settings.credentials, request.headers)
        return Proof.REFUSED if self.locked or "Origin" in request.headers else Proof.GIVEN

    def examine(self, proof: Proof | Signature, now: Instant, body: bytes) -> Examined:
        """The body's Events, once it proved what its headers claimed. Runs on the loop or in a thread; touches nothing."""
        if isinstance(proof, Signature) and not proof.signs(body, self.settings.credentials):
            return Proof.REFUSED
        try:
            return self.parse(body, self.source, self.policy, now)
        except Exception as error:  # noqa: BLE001  # No body ends the relay, and none is answered with a retry for ever.
            log.error("parser raised", sender=self.settings.name, **fault(error))  # noqa: TRY400  # Its text may hold the body's.
            return Unreadable(_NOT_READABLE, OUR_BUG)

    def count(self, code: str, seconds: float, now: Instant) -> None:
        """One more answer, so many `seconds` after its headers. Those of one commit are counted together, once all are written."""
        if code != "202":
            self._seconds.observe(seconds)
            self._metrics.requests.labels(self.settings.name, code).inc()
            return
        if not self._taken:
            asyncio.get_running_loop().call_soon(self._count_stored)
        self._taken.append(seconds)
        self._last = now

    def _count_stored(self) -> None:
        taken, self._taken = self._taken, []
        for seconds in taken:
            self._seconds.observe(seconds)
        self._accepted.inc(len(taken))
        self._metrics.last_received.labels(self.settings.name).set(self._last)
