"""The load generator, a process of its own: a bounded number of requests over kept connections, as fast as they are answered or at a rate.

It reads a `Plan` as JSON from its standard input and writes a `Result` as JSON; it talks to the loopback only.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Final, cast

import uvloop

from tests.bench import bodies
from tests.bench.machine import cpu_seconds

PATIENCE: Final = 60.0
"""Seconds that a run takes at most."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send, and to whom. With a `rate` (requests a second) a request is sent at its time, whether others were answered or not."""

    port: int
    pid: int
    """Of the process whose CPU time is measured meanwhile."""
    kind: str
    count: int
    began: float
    """Where the senders' clocks start."""
    objects: int = 500
    start: int = 0
    connections: int = 64
    warm: int = 0
    """Answers before the clock starts."""
    rate: float = 0.0


@dataclass(slots=True)
class Result:
    """`seconds` on the wall, `cpu` seconds of the server; `latencies` in seconds, only of a run at a rate."""

    count: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    refused: int = 0
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return self.count / self.seconds


class _Connection(asyncio.Protocol):
    """One request in flight at most."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._heard = b""
        self._sent_at = 0.0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's does not say that it is one.

    def send(self, request: bytes, at: float) -> None:
        self._sent_at = at
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._heard += data
        head, separator, body = self._heard.partition(b"\r\n\r\n")
        if separator and len(body) >= int(head.partition(b"ength: ")[2].partition(b"\r\n")[0]):
            self._heard = b""
            self._run.answered(self, head.startswith(b"HTTP/1.1 202"), self._sent_at)

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.lost(exc)


class _Run:
    """Hands out the requests, and counts the answers."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._loop = asyncio.get_running_loop()
        self._requests: Iterator[bytes] = iter(
            list(bodies.requests(plan.kind, plan.count, plan.objects, plan.start, plan.began))
        )
        self._free: deque[_Connection] = deque()
        self._late: deque[tuple[bytes, float]] = deque()
        self._answers = 0
        self._began = self._cpu = 0.0
        self._over: asyncio.Future[None] = self._loop.create_future()
        self.result = Result()

    async def play(self) -> Result:
        connect = (
            self._loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._plan.port)
            for _ in range(self._plan.connections)
        )
        connections = [protocol for _, protocol in await asyncio.gather(*connect)]
        self._start_clock()
        async with asyncio.timeout(PATIENCE):
            if self._plan.rate:
                self._free.extend(connections)
                await self._at_rate()
            else:
                for connection in connections:
                    self._next(connection)
            await self._over
        for connection in connections:
            connection.transport.abort()
        return self.result

    def _start_clock(self) -> None:
        self._began, self._cpu = perf_counter(), cpu_seconds(self._plan.pid)

    async def _at_rate(self) -> None:
        for number, request in enumerate(self._requests):
            due = self._began + number / self._plan.rate
            if (wait := due - perf_counter()) > 0.0005:
                await asyncio.sleep(wait)
            if self._free:
                self._free.popleft().send(request, perf_counter())
            else:
                self._late.append((request, perf_counter()))

    def _next(self, connection: _Connection) -> None:
        if request := next(self._requests, None):
            connection.send(request, 0.0)

    def answered(self, connection: _Connection, accepted: bool, sent_at: float) -> None:
        self._answers += 1
        self.result.refused += not accepted
        if self._plan.rate:
            self.result.latencies.append(perf_counter() - sent_at)
            if self._late:
                connection.send(*self._late.popleft())
            else:
                self._free.append(connection)
        else:
            self._next(connection)
        if self._answers == self._plan.warm:
            self._start_clock()
        if self._answers == self._plan.count and not self._over.done():
            self.result.count = self._plan.count - self._plan.warm
            self.result.seconds = perf_counter() - self._began
            self.result.cpu = cpu_seconds(self._plan.pid) - self._cpu
            self._over.set_result(None)

    def lost(self, error: Exception | None) -> None:
        if not self._over.done():
            self._over.set_exception(error or ConnectionError("the server closed a connection"))


async def _play(plan: Plan) -> Result:
    return await _Run(plan).play()


def main() -> None:
    plan = Plan(**json.load(sys.stdin))
    json.dump(asdict(uvloop.run(_play(plan))), sys.stdout)


if __name__ == "__main__":
    main()
