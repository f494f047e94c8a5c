"""`relay health` asks the relay that listens, wherever that is, and says what it answers."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from relay.tools import health
from relay.tools.terminal import RefusedError
from tests.path.conftest import Start
from tests.path.stage import Place


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """Somebody who says the same to all; yields where."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"


async def asked(variables: Mapping[str, str]) -> tuple[bool, str]:
    return await asyncio.to_thread(health.health, variables)


async def test_a_relay_that_would_take_a_delivery_is_well(place: Place, start: Start) -> None:
    place.free_port()
    async with start():
        assert await asked(place.env) == (True, "ready")
        assert await asked({"RELAY_LISTEN": f"0.0.0.0:{place.port}"}) == (True, "ready"), "each address is one of every"
    with pytest.raises(RefusedError, match=f"^no answer from 127.0.0.1 port {place.port}: connection refused$"):
        await asked(place.env)


@pytest.mark.parametrize(
    "answer, said",
    [
        (
            b"HTTP/1.1 503 Service Unavailable\r\n\r\nnot ready: the database is away\n",
            "not ready: the database is away",
        ),
        (b"HTTP/1.1 404 Not Found\r\n\r\n" + b"x" * 10_000, "x" * health.ANSWER),
    ],
)
async def test_what_answers_otherwise_is_not_well_and_quoted_in_short(answer: bytes, said: str) -> None:
    async with answering(answer) as listen:
        assert await asked({"RELAY_LISTEN": listen}) == (False, said)


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.2\r\n", b""])
async def test_what_is_no_relay_is_no_answer(answer: bytes) -> None:
    async with answering(answer) as listen:
        with pytest.raises(RefusedError, match=r"^no answer from 127\.0\.0\.1 port \d+: .{5,}"):
            await asked({"RELAY_LISTEN": listen})


async def test_an_address_nobody_can_listen_on_is_refused_by_its_variable() -> None:
    with pytest.raises(RefusedError, match=r"^RELAY_LISTEN: write host:port"):
        await asked({"RELAY_LISTEN": "8080"})
