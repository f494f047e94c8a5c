"""A configuration, a writer that keeps in memory, and a raw connection, for tests that knock at the door."""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, StaticPool, create_engine

from relay.config.secrets import Secret, SecretValue
from relay.config.values import BasicPair, Configuration, Credentials, Listen, SourceSettings
from relay.core.event import Event, Source
from relay.core.policy import Policy
from relay.storage.promise import Memory
from relay.storage.tables import metadata
from tests.core.make import POLICY

T = TypeVar("T")

NOW = 1_760_000_000.0
KEY = b"7152fed34dd6149a7c75a276c510da27cb6f82b0"
BODY = (
    b'{"involvedObject":{"kind":"GitRepository","namespace":"gitops-system","name":"webapp"},"severity":"info",'
    b'"timestamp":"2022-09-30T06:40:29Z","message":"message","reason":"reason","metadata":{"test":"metadata"},'
    b'"reportingController":"source-controller","reportingInstance":"source-controller-xyz"}'
)
SIGNATURE = "sha256=65b018549b1254e7226d1c08f9567ee45bc9de0fc4e7b1a40253f9a018b08be7"
"""Flux's own test vector (reference/flux.md §2.4)."""
TOKEN = "correct-horse"


def value(secret: str | bytes) -> SecretValue:
    return SecretValue(Secret(secret))


def signed(body: bytes, key: bytes = KEY) -> str:
    return f"sha256={hmac.digest(key, body, 'sha256').hex()}"


LOCKED = (
    SourceSettings("flux", Source.FLUX, "/flux", credentials=Credentials(hmac_keys=(value(KEY),))),
    SourceSettings(
        "alertmanager",
        Source.ALERTMANAGER,
        "/alertmanager",
        credentials=Credentials(
            bearer_tokens=(value(TOKEN),), basic=(BasicPair("relay", (value("hunter2"), value("hunter3"))),)
        ),
    ),
)
OPEN = (
    SourceSettings("flux", Source.FLUX, "/flux"),
    SourceSettings("alertmanager", Source.ALERTMANAGER, "/alertmanager"),
)


def configuration(
    sources: Sequence[SourceSettings] = LOCKED, *, host: str = "127.0.0.1", policy: Policy = POLICY
) -> Configuration:
    return Configuration(
        policy=policy,
        sources=tuple(sources),
        channels=(),
        listen=Listen(host, 8080),
        database_url=Secret("sqlite:///relay.db"),
        discord_api="https://discord.com/api/v10",
        trees_folder=None,
        edges_folder=None,
        hours=None,
        ping=None,
        history_keep=86400.0,
        file=Path("relay.yaml"),
        text="",
    )


class Pages:
    """A writer that keeps everything in memory and fails as it is told."""

    def __init__(self) -> None:
        self.ready = True
        self.stopping = False
        self.memory = Memory()
        self.changed: Callable[[], None] = lambda: None
        self.fails: Exception | None = None
        self.events: list[Event] = []
        self._engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
        metadata.create_all(self._engine)

    async def submit(self, events: Sequence[Event]) -> None:
        told = asyncio.get_running_loop().create_future()
        self.offer(events, told, None)
        await told

    def offer(self, events: Sequence[Event], told: asyncio.Future[T], answer: T) -> None:
        asyncio.get_running_loop().call_soon(self._keep, events, told, answer)

    def _keep(self, events: Sequence[Event], told: asyncio.Future[T], answer: T) -> None:
        if told.done():
            return
        if self.fails is not None:
            told.set_exception(self.fails)
            return
        self.events += events
        told.set_result(answer)

    async def transact(self, work: Callable[[Connection], T]) -> T:
        with self._engine.begin() as connection:
            return work(connection)

    def close(self) -> None:
        self._engine.dispose()


def request(path: str = "/flux", body: bytes = BODY, *lines: str, length: int | None = None) -> bytes:
    """A whole POST as bytes, signed as Flux does if no header says otherwise."""
    lines = lines or (f"X-Signature: {signed(body)}",)
    size = len(body) if length is None else length
    head = [f"POST {path} HTTP/1.1", "Host: relay", f"Content-Length: {size}", *lines, "", ""]
    return "\r\n".join(head).encode() + body


async def say(
    port: int, *parts: bytes, pause: float = 0.0, patience: float = 5.0, settles: float | None = None
) -> bytes:
    """Send `parts` with pauses between them; what came back until the other side closed, or for `patience` seconds.

    With `settles` it hangs up itself once something came and nothing more for so long: however slow the machine is, something does.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard = bytearray()

    async def listen() -> None:
        with suppress(TimeoutError):
            while True:
                async with asyncio.timeout(settles if heard else None):
                    part = await reader.read(65536)
                if not part:
                    return
                heard.extend(part)

    listening = asyncio.create_task(listen())
    try:
        async with asyncio.timeout(patience):
            for number, part in enumerate(parts):
                if number:
                    await asyncio.sleep(pause)
                if listening.done():
                    break
                writer.write(part)
                await writer.drain()
            await listening
    except (ConnectionError, TimeoutError):
        pass
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        writer.close()
    return bytes(heard)


def statuses(heard: bytes) -> list[int]:
    """The status of each answer."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", heard)]
