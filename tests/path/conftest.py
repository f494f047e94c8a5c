"""A Discord with two webhooks, the files of a relay that speaks to it, and the relay itself: in this process, or in one of its own."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest

from relay.demo.discord import StandIn
from tests.path.stage import ROLE, Clock, Place, Process, Running, process_at, relay_at

Start = Callable[[], AbstractAsyncContextManager[Running]]
StartProcess = Callable[[], AbstractAsyncContextManager[Process]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def standin(clock: Clock) -> StandIn:
    """Two webhooks in two Discord channels, and a role to mention."""
    made = StandIn(clock=clock)
    made.add_webhook("11", "token", "20", "30", name="relay")
    made.add_webhook("12", "other", "21", "30", name="relay")
    made.add_role(ROLE, "oncall")
    return made


@pytest.fixture
async def place(standin: StandIn, clock: Clock, tmp_path: Path) -> AsyncIterator[Place]:
    """The files of one relay, with one channel unless the test configures more before it starts."""
    async with standin.running() as api:
        yield Place(tmp_path, standin, api, clock)
    standin.assert_never_two_in_flight_per_webhook()


@pytest.fixture
def start(place: Place) -> Start:
    """Starts the relay of `place`, and does so again for whoever asks again."""
    return partial(relay_at, place)


@pytest.fixture
async def relay(start: Start) -> AsyncIterator[Running]:
    """The relay of `place` as it stands, running."""
    async with start() as running:
        yield running


@pytest.fixture
def process(place: Place) -> StartProcess:
    """Starts `relay serve` of `place`; on the same database each time."""
    return partial(process_at, place)
