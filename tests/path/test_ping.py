"""The ping out: somebody elsewhere hears that the relay does its work, or in one line why not."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from relay.ping import address
from tests.path.stage import CHANNELS, Place, relay_at


@dataclass
class Listener:
    """What waits for pings, as healthchecks does."""

    url: str = ""
    heard: list[tuple[str, str]] = field(default_factory=list)
    status: int = 200

    async def hear(self, request: web.Request) -> web.Response:
        self.heard.append((request.path, await request.text()))
        return web.Response(status=self.status)


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    listener = Listener()
    app = web.Application()
    app.router.add_post("/{tail:.*}", listener.hear)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    listener.url = f"http://127.0.0.1:{runner.addresses[0][1]}/ping/uuid"
    yield listener
    await runner.cleanup()


def pinging(place: Place, listener: Listener) -> None:
    (place.folder / "ping").write_text(listener.url + "\n")
    place.configure(CHANNELS, "ping: {url_file: ping, every: 1m}\n")


async def test_a_relay_that_works_says_so(place: Place) -> None:
    async with listening() as listener:
        pinging(place, listener)
        async with relay_at(place) as relay:
            await relay.until(lambda: bool(listener.heard), "it pings")
            assert listener.heard == [("/ping/uuid", "")]


async def test_the_ping_says_that_the_only_channel_is_dead(place: Place) -> None:
    async with listening() as listener:
        pinging(place, listener)
        place.standin.remove_webhook("11")
        async with relay_at(place) as relay:
            await relay.until(lambda: any(path.endswith("/fail") for path, _ in listener.heard), "it fails")
            assert ("/ping/uuid/fail", "channel ops: its webhook is gone") in listener.heard


async def test_who_does_not_take_a_ping_is_counted_and_the_address_is_not_logged(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    async with listening() as listener:
        listener.status = 404
        pinging(place, listener)
        async with relay_at(place) as relay:
            await relay.until(lambda: bool(listener.heard), "it pings")
            counted = relay.relay.metrics.pings.labels("ok", "no")
            await relay.until(lambda: counted._value.get() >= 1, "it is counted")
    out, err = capfd.readouterr()
    assert "uuid" not in out + err


@pytest.mark.parametrize(
    "url,failing,called",
    [
        ("https://ping.example.org/uuid", False, "https://ping.example.org/uuid"),
        ("https://ping.example.org/uuid", True, "https://ping.example.org/uuid/fail"),
        ("https://ping.example.org/uuid/", True, "https://ping.example.org/uuid/fail"),
        ("https://ping.example.org/p?key=1", True, "https://ping.example.org/p/fail?key=1"),
    ],
)
def test_a_failure_is_told_below_the_address(url: str, failing: bool, called: str) -> None:
    assert address(url, failing=failing) == called
