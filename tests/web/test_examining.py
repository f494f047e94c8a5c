"""Bodies that came together are examined together, a bounded number of bytes at a time, and each is answered for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import pytest

from relay.core.event import Event, NotJson
from relay.sources import Delivered
from relay.storage.promise import BATCH, Poison, Stopping
from relay.web.auth import Proof
from relay.web.examining import LARGE, Examined, Examiner
from tests.core.make import flux
from tests.web.make import Pages

REFUSED = NotJson("not JSON")


def said(examined: list[bytes], found: Examined, body: bytes) -> Examined:
    examined.append(body)
    return found


async def test_what_came_together_is_examined_in_one_go(pages: Pages) -> None:
    examiner, examined = Examiner(pages), list[bytes]()
    tasks = [asyncio.create_task(examiner.take(partial(said, examined, REFUSED), b"%d" % n)) for n in range(3)]
    await asyncio.sleep(0)
    assert examined == [], "all are there before the first is examined"
    await asyncio.sleep(0)
    assert examined == [b"0", b"1", b"2"]
    assert await asyncio.gather(*tasks) == [REFUSED] * 3


async def test_others_have_their_turn_after_as_many_bytes_as_a_large_body_has(pages: Pages) -> None:
    examiner, examined = Examiner(pages), list[bytes]()
    half = b" " * (LARGE // 2)
    tasks = [asyncio.create_task(examiner.take(partial(said, examined, REFUSED), half)) for _ in range(5)]
    await asyncio.sleep(0)
    turns = []
    while not all(task.done() for task in tasks):
        before = len(examined)
        await asyncio.sleep(0)
        turns.append(len(examined) - before)
    assert [turn for turn in turns if turn] == [2, 2, 1]


async def test_one_that_raises_harms_no_other(pages: Pages) -> None:
    def raises(_: bytes) -> Examined:
        raise RuntimeError("a bug of ours")

    examiner = Examiner(pages)
    broken, well = await asyncio.gather(
        examiner.take(raises, b""), examiner.take(lambda _: Proof.REFUSED, b""), return_exceptions=True
    )
    assert isinstance(broken, RuntimeError)
    assert well is Proof.REFUSED


async def test_whom_nobody_waits_for_any_more_is_not_examined(pages: Pages) -> None:
    examiner, examined = Examiner(pages), list[bytes]()
    gone, stays = (asyncio.create_task(examiner.take(partial(said, examined, REFUSED), name)) for name in (b"a", b"b"))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == REFUSED
    assert examined == [b"b"]


@pytest.mark.parametrize("size", [10, LARGE + 1])
@pytest.mark.parametrize("count", [1, BATCH, BATCH + 1])
async def test_what_is_delivered_is_stored_before_it_is_told(pages: Pages, count: int, size: int) -> None:
    delivered = Delivered(tuple(flux(name=f"app-{number}") for number in range(count)))
    assert await Examiner(pages).take(lambda _: delivered, b" " * size) is delivered
    assert pages.events == list(delivered.events)


@pytest.mark.parametrize("error", [Poison("by itself"), Stopping("now")])
async def test_what_the_writer_raises_reaches_whoever_sent_it(pages: Pages, error: Exception) -> None:
    pages.fails = error
    with pytest.raises(type(error)):
        await Examiner(pages).take(lambda _: Delivered((flux(),)), b"")


async def test_a_writer_that_takes_nothing_more_is_heard_at_once(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopping(_events: Sequence[Event], _told: object, _answer: object) -> None:
        raise Stopping("now")

    monkeypatch.setattr(pages, "offer", stopping)
    with pytest.raises(Stopping):
        await Examiner(pages).take(lambda _: Delivered((flux(),)), b"")
