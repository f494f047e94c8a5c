"""The relay's front served on a real port of the loopback."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest
from aiohttp import ClientSession, web

from relay.config.values import Configuration
from relay.core.event import Source
from relay.observe.metrics import Metrics
from relay.sources import PARSERS, Parser
from relay.web import Accepts
from relay.web.door import Door, serve_on
from relay.web.routes import make_handler
from tests.web.make import NOW, Pages, configuration


@dataclass
class Served:
    """One served front, and what stands behind it."""

    writer: Accepts
    metrics: Metrics
    door: Door
    port: int
    runner: web.ServerRunner
    configuration: Configuration
    now: float = NOW
    alive: bool = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def count(self, metric: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(metric, labels) or 0.0


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
def pages() -> Iterator[Pages]:
    writer = Pages()
    yield writer
    writer.close()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serve a writer until the test ends. `deadline` in seconds."""
    runners: list[web.ServerRunner] = []

    async def start(
        writer: Accepts,
        told: Configuration | None = None,
        *,
        deadline: float = 10.0,
        parsers: Mapping[Source, Parser] = PARSERS,
    ) -> Served:
        metrics = Metrics()
        door = Door(metrics, deadline)
        holder: list[Served] = []
        handler = make_handler(
            writer,
            lambda: holder[0].configuration,
            lambda: holder[0].now,
            metrics,
            alive=lambda: holder[0].alive,
            door=door,
            parsers=parsers,
        )
        runner = await serve_on(handler, "127.0.0.1", 0, deadline=deadline, shutdown_timeout=1.0)
        runners.append(runner)
        holder.append(Served(writer, metrics, door, runner.addresses[0][1], runner, told or configuration()))
        return holder[0]

    yield start
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    async with ClientSession(auto_decompress=False) as session:
        yield session
