"""The ping out: while the relay does its work a URL elsewhere hears of it, and where it does not, one line says why at `/fail`.

Whoever waits for it notices what the relay cannot say itself: that it is dead, or that its only channel is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import structlog

from relay.config.secrets import Secret, SecretError
from relay.config.values import Configuration
from relay.core.event import Instant
from relay.observe.metrics import Metrics
from relay.storage import lists
from relay.storage.engine import Database, is_outage

log = structlog.get_logger(__name__)

LATE: Final = 300.0
"""Seconds that a page may wait before it is a failure."""
TIMEOUT: Final = 10.0
LOOK: Final = 5.0
"""Seconds between two looks whether there is a ping URL by now, or whether what is wrong has changed."""


@dataclass(slots=True)
class Ping:
    """Pings as often as configured, and at once when what is wrong changes. `dead` names the Channels whose webhook is gone."""

    session: aiohttp.ClientSession
    database: Database
    configuration: Callable[[], Configuration]
    dead: Callable[[], Sequence[str]]
    clock: Callable[[], Instant]
    metrics: Metrics

    async def run(self) -> None:
        """Runs until cancelled."""
        said, pinged_at = None, float("-inf")
        loop = asyncio.get_running_loop()
        while True:
            settings = self.configuration().ping
            if settings is not None:
                wrong = await self.wrong()
                if wrong != said or loop.time() - pinged_at >= settings.every:
                    said, pinged_at = wrong, loop.time()
                    await self._send(settings.url.current, wrong)
            await asyncio.sleep(min(LOOK, settings.every) if settings is not None else LOOK)

    async def wrong(self) -> str:
        """What keeps the relay from its work, in one line; empty while nothing does."""
        reasons = [f"channel {name}: its webhook is gone" for name in self.dead()]
        try:
            oldest = await self.database.read(lists.oldest_page)
        except Exception as error:
            if not is_outage(error):
                raise
            return "; ".join([*reasons, "the database is away"])
        if oldest is not None and self.clock() - oldest > LATE:
            reasons.append("a page waits for more than five minutes")
        return "; ".join(reasons)

    async def _send(self, url: Callable[[], Secret], wrong: str) -> None:
        try:
            async with self.session.post(
                address(url().reveal(), failing=bool(wrong)),
                data=wrong,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT),
                allow_redirects=False,
            ) as answer:
                well = answer.status < 300
                why = f"answered {answer.status}"
        except (aiohttp.ClientError, TimeoutError, SecretError, ValueError) as error:
            well, why = False, type(error).__name__  # Its text may hold the address, which is a secret.
        self.metrics.pings.labels("fail" if wrong else "ok", "yes" if well else "no").inc()
        if not well:
            log.warning("the ping was not taken", why=why)


def address(url: str, *, failing: bool) -> str:
    """Where to ping: `url`, or what stands `/fail` below it, with its query kept (as healthchecks and its kin take it)."""
    if not failing:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/fail"))
