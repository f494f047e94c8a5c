import asyncio
import gzip
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from io import BytesIO

import pytest
from aiohttp import ClientSession

from relay.web.door import IN_FLIGHT, MIB
from tests.web.conftest import Serve
from tests.web.make import BODY, OPEN, SIGNATURE, TOKEN, Pages, configuration, request, say, signed, statuses

BEARER = f"Authorization: Bearer {TOKEN}"
CLOSE = "Connection: close"


async def until(seen: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not seen():  # noqa: ASYNC110  # It is counted, no event.
            await asyncio.sleep(0.01)


async def gone(pages: Pages, serve: Serve, *parts: bytes, pause: float = 0.0) -> bytes:
    """What a front with a deadline of 0.4 s says before it hangs up, which it does in time."""
    front = await serve(pages, deadline=0.4)
    began = asyncio.get_running_loop().time()
    heard = await say(front.port, *parts, pause=pause)
    assert asyncio.get_running_loop().time() - began < 3
    return heard


async def test_headers_that_trickle_are_cut_off_at_the_deadline(pages: Pages, serve: Serve) -> None:
    assert await gone(pages, serve, *[bytes([byte]) for byte in request()], pause=0.05) == b""
    assert pages.events == []


async def test_a_connection_that_says_nothing_is_closed(pages: Pages, serve: Serve) -> None:
    assert await gone(pages, serve) == b""


async def test_headers_without_an_end_are_cut_off_after_an_answered_request_too(pages: Pages, serve: Serve) -> None:
    endless = [b"X-Filler: 1\r\n"] * 60
    heard = await gone(pages, serve, request(), b"POST /flux HTTP/1.1\r\n", *endless, pause=0.05)
    assert statuses(heard) == [202]


async def test_a_body_that_trickles_is_cut_off_without_an_answer(pages: Pages, serve: Serve) -> None:
    whole = request()
    parts = [whole[: -len(BODY)], *[bytes([byte]) for byte in BODY]]
    assert await gone(pages, serve, *parts, pause=0.05) == b""
    assert pages.events == []


async def test_a_body_that_stops_is_cut_off_without_an_answer(pages: Pages, serve: Serve) -> None:
    assert await gone(pages, serve, request()[:-1]) == b""


async def test_a_slow_body_within_the_deadline_is_taken(pages: Pages, serve: Serve) -> None:
    front = await serve(pages, deadline=2.0)
    whole = request("/flux", BODY, f"X-Signature: {SIGNATURE}", CLOSE)
    assert statuses(await say(front.port, whole[:-200], whole[-200:-100], whole[-100:], pause=0.1)) == [202]
    assert len(pages.events) == 1


@pytest.mark.parametrize(
    "path, limit, header", [("/flux", 4 * MIB, f"X-Signature: {SIGNATURE}"), ("/alertmanager", 10 * MIB, BEARER)]
)
async def test_a_longer_body_is_refused_by_its_length_alone(
    pages: Pages, serve: Serve, path: str, limit: int, header: str
) -> None:
    front = await serve(pages)
    heard = await say(front.port, request(path, b"", header, CLOSE, length=limit + 1), settles=0.3)
    assert statuses(heard) == [413]
    assert f"at most {limit // MIB} MiB".encode() in heard


async def test_a_body_of_exactly_the_limit_is_read(pages: Pages, serve: Serve, client: ClientSession) -> None:
    front = await serve(pages)
    body = BODY + b" " * (4 * MIB - len(BODY))
    async with client.post(f"{front.url}/flux", data=BytesIO(body), headers={"X-Signature": signed(body)}) as response:
        assert response.status == 202


async def test_a_chunked_body_is_refused_once_it_is_longer(pages: Pages, serve: Serve) -> None:
    front = await serve(pages)
    head = f"POST /flux HTTP/1.1\r\nHost: relay\r\nTransfer-Encoding: chunked\r\nX-Signature: {SIGNATURE}\r\n{CLOSE}\r\n\r\n"
    chunk = b"100000\r\n" + b" " * MIB + b"\r\n"
    heard = await say(front.port, head.encode(), *[chunk] * 6, b"0\r\n\r\n")
    assert statuses(heard) == [413]
    assert front.count("relay_body_bytes") == 0


async def test_a_chunked_body_within_the_limit_is_taken(pages: Pages, serve: Serve) -> None:
    front = await serve(pages)
    head = f"POST /flux HTTP/1.1\r\nHost: relay\r\nTransfer-Encoding: chunked\r\nX-Signature: {SIGNATURE}\r\n{CLOSE}\r\n\r\n"
    parts = [b"%x\r\n%b\r\n" % (len(part), part) for part in (BODY[:50], BODY[50:])]
    assert statuses(await say(front.port, head.encode(), *parts, b"0\r\n\r\n", pause=0.02)) == [202]


async def test_bodies_in_memory_never_pass_the_bound_and_the_rest_is_told_to_come_again(
    pages: Pages, serve: Serve
) -> None:
    front = await serve(pages, deadline=1.0)
    open_ended = request("/alertmanager", b" " * (8 * MIB), BEARER, length=9 * MIB)
    heard = asyncio.gather(*[say(front.port, open_ended, patience=2.5) for _ in range(6)])
    most = 0.0
    while not heard.done():
        most = max(most, front.count("relay_body_bytes"))
        await asyncio.sleep(0.005)
    answers = [statuses(one) for one in await heard]
    assert answers.count([503]) >= 2
    assert answers.count([]) >= 3
    assert 24 * MIB < most <= IN_FLIGHT + MIB
    assert front.count("relay_body_bytes") == 0


async def test_a_full_door_turns_away_before_the_body_and_before_it_asks_who_is_there(
    pages: Pages, serve: Serve, client: ClientSession
) -> None:
    front = await serve(pages)
    front.door._held = IN_FLIGHT + 1
    heard = await say(front.port, request("/flux", b"", "X-Nobody: 1", CLOSE, length=100), settles=0.3)
    assert statuses(heard) == [503]
    assert b"Retry-After: 2\r\n" in heard
    async with client.get(f"{front.url}/readyz") as response:
        assert (response.status, await response.text()) == (503, "not ready: too many bodies in flight\n")
    front.door._held = 0


NO_SIGNATURE = ("X-Nobody: 1", "Content-Encoding: gzip")


@pytest.mark.parametrize(
    "ready, lines, length, status",
    [
        (False, NO_SIGNATURE, 99 * MIB, 503),
        (True, NO_SIGNATURE, 99 * MIB, 401),
        (True, (f"X-Signature: {SIGNATURE}", "Content-Encoding: gzip"), 99 * MIB, 415),
        (True, (f"X-Signature: {SIGNATURE}", "Content-Encoding: identity"), 10, 415),
        (True, (f"X-Signature: {SIGNATURE}",), 99 * MIB, 413),
    ],
)
async def test_the_rows_are_decided_in_their_order_before_the_body(
    pages: Pages, serve: Serve, ready: bool, lines: tuple[str, ...], length: int, status: int
) -> None:
    pages.ready = ready
    front = await serve(pages)
    heard = await say(front.port, request("/flux", b"", *lines, CLOSE, length=length), settles=0.3)
    assert statuses(heard) == [status]


async def test_a_compressed_body_is_never_unpacked(pages: Pages, serve: Serve, client: ClientSession) -> None:
    front = await serve(pages)
    body = gzip.compress(b" " * (64 * MIB))
    headers = {"X-Signature": signed(body), "Content-Encoding": "gzip"}
    async with client.post(f"{front.url}/flux", data=body, headers=headers) as response:
        assert response.status == 415


LINE = f"X-Signature: {SIGNATURE}\r\n".encode()
HOSTILE = {
    "two lengths": b"POST /flux HTTP/1.1\r\nHost: relay\r\nContent-Length: 5\r\nContent-Length: 6\r\n%b\r\nhello!"
    % LINE,
    "a length beside chunks": b"POST /flux HTTP/1.1\r\nHost: relay\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"
    b"%b\r\n0\r\n\r\nPOST /flux HTTP/1.1\r\n\r\n" % LINE,
    "a negative length": b"POST /flux HTTP/1.1\r\nHost: relay\r\nContent-Length: -5\r\n%b\r\nhello" % LINE,
    "a length with a sign": b"POST /flux HTTP/1.1\r\nHost: relay\r\nContent-Length: +5\r\n%b\r\nhello" % LINE,
    "a length that is none": b"POST /flux HTTP/1.1\r\nHost: relay\r\nContent-Length: 0x5\r\n%b\r\nhello" % LINE,
    "a lone carriage return": b"POST /flux HTTP/1.1\r\nHost: relay\rX: zanzibar\r\nContent-Length: 5\r\n%b\r\nhello"
    % LINE,
    "a folded header": b"POST /flux HTTP/1.1\r\nHost: relay\r\nContent-Length: 5\r\n X: zanzibar\r\n%b\r\nhello" % LINE,
    "a space before the colon": b"POST /flux HTTP/1.1\r\nHost: relay\r\nContent-Length : 5\r\n%b\r\nhello" % LINE,
    "a NUL in a header": b"POST /flux HTTP/1.1\r\nHost: relay\r\nX: zan\0zibar\r\nContent-Length: 5\r\n%b\r\nhello"
    % LINE,
    "an unknown coding of the transfer": b"POST /flux HTTP/1.1\r\nHost: relay\r\nTransfer-Encoding: gzip\r\n%b\r\nhello"
    % LINE,
    "a chunk of no size": b"POST /flux HTTP/1.1\r\nHost: relay\r\nTransfer-Encoding: chunked\r\n%b\r\nzz\r\nhello\r\n0\r\n\r\n"
    % LINE,
    "a chunk of a huge size": b"POST /flux HTTP/1.1\r\nHost: relay\r\nTransfer-Encoding: chunked\r\n%b\r\n" % LINE
    + b"f" * 40
    + b"\r\nhello\r\n0\r\n\r\n",
    "a header longer than 8 KiB": b"POST /flux HTTP/1.1\r\nHost: relay\r\nX: " + b"zanzibar" * 2000 + b"\r\n\r\n",
    "a path longer than 8 KiB": b"POST /flux" + b"x" * 20000 + b" HTTP/1.1\r\nHost: relay\r\n\r\n",
    "too many headers": b"POST /flux HTTP/1.1\r\nHost: relay\r\n" + b"X: 1\r\n" * 3000 + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03zanzibar" + bytes(500),
    "an upgrade": b"POST /flux HTTP/1.1\r\nHost: relay\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n"
    b"%b\r\nhello" % LINE,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "another protocol": b"GET / HTTP/9.9\r\n\r\n",
    "nonsense": b"\xff\xfe\xfd\r\n\r\n",
}


@pytest.mark.parametrize("what", HOSTILE)
async def test_what_is_no_clean_request_gets_nothing_in_and_nothing_out(
    pages: Pages, serve: Serve, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    front = await serve(pages, deadline=0.5)
    heard = await say(front.port, HOSTILE[what], patience=2)
    assert pages.events == []
    assert len(statuses(heard)) <= 1, "only one request was sent"
    assert set(statuses(heard)) <= {400, 401, 413, 431}
    assert b"zan" not in heard
    assert b"aiohttp" not in heard
    assert b"Python" not in heard
    assert "zan" not in caplog.text
    assert front.count("relay_body_bytes") == 0


@pytest.mark.parametrize(
    "ask", [b"OPTIONS * HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n", request("/nowhere", b"", "A: b", CLOSE)]
)
async def test_no_answer_says_what_serves(pages: Pages, serve: Serve, ask: bytes) -> None:
    front = await serve(pages)
    heard = await say(front.port, ask, patience=1)
    assert statuses(heard)
    assert b"Server: relay\r\n" in heard
    assert b"aiohttp" not in heard


async def test_a_client_that_asks_first_sends_its_body_only_when_it_is_wanted(pages: Pages, serve: Serve) -> None:
    front = await serve(pages)
    expect = "Expect: 100-continue"
    head = request("/flux", BODY, f"X-Signature: {SIGNATURE}", expect, CLOSE)[: -len(BODY)]
    assert statuses(await say(front.port, head, BODY, pause=0.1)) == [100, 202]
    refused = await say(front.port, request("/flux", b"", "A: b", expect, CLOSE, length=100), settles=0.3)
    assert statuses(refused) == [401]


async def test_a_client_that_leaves_within_its_body_changes_nothing(pages: Pages, serve: Serve) -> None:
    front = await serve(pages, configuration(OPEN))
    _, writer = await asyncio.open_connection("127.0.0.1", front.port)
    writer.write(request()[:-1])
    await writer.drain()
    await until(lambda: front.count("relay_body_bytes") > 0)
    writer.transport.abort()
    await until(lambda: front.count("relay_requests_total", sender="flux", code="none") == 1)
    assert pages.events == []
    assert front.count("relay_body_bytes") == 0


async def test_a_client_that_leaves_after_its_body_is_taken_at_its_word(pages: Pages, serve: Serve) -> None:
    front = await serve(pages)
    _, writer = await asyncio.open_connection("127.0.0.1", front.port)
    writer.write(request())
    await writer.drain()
    writer.close()
    await until(lambda: len(pages.events) == 1 and front.count("relay_body_bytes") == 0)


async def test_requests_in_one_go_are_answered_one_by_one(pages: Pages, serve: Serve) -> None:
    front = await serve(pages)
    heard = await say(front.port, request() * 3 + request("/flux", BODY, "A: b", CLOSE))
    assert statuses(heard) == [202, 202, 202, 401]
    assert len(pages.events) == 3


async def test_what_is_stored_is_answered_alike_on_a_kept_connection_and_on_one_that_ends(
    pages: Pages, serve: Serve
) -> None:
    front = await serve(pages)
    kept = request()
    ends = request("/flux", BODY, f"X-Signature: {signed(BODY)}", "Connection: close")
    older = kept.replace(b"HTTP/1.1", b"HTTP/1.0")
    answers = [
        (await say(front.port, kept, kept, ends, pause=0.05)).decode().split("HTTP/1.1 202 Accepted\r\n"),
        (await say(front.port, older)).decode().split("HTTP/1.0 202 Accepted\r\n"),
    ]
    assert [len(one) for one in answers] == [4, 2]
    first, second, last = (headers(one) for one in answers[0][1:])
    assert first.keys() == {"Content-Type", "Server", "Content-Length", "Date"}
    assert first.items() - second.items() <= {("Date", first["Date"])}
    assert last == second | {"Connection": "close", "Date": last["Date"]}
    assert headers(answers[1][1]).keys() == first.keys(), "HTTP/1.0 closes unless it was asked not to"
    for one in (first, second, last):
        assert parsedate_to_datetime(one["Date"]).tzinfo is not None
        assert abs(parsedate_to_datetime(one["Date"]).timestamp() - time.time()) < 5
        assert one["Server"] == "relay"
    assert all(one.partition("\r\n\r\n")[2] == "stored\n" for one in (*answers[0][1:], answers[1][1]))


def headers(said: str) -> dict[str, str]:
    """Those of an answer without its first line."""
    lines = said.partition("\r\n\r\n")[0].split("\r\n")
    return {name: text for name, _, text in (line.partition(": ") for line in lines)}
