"""An hour without Discord, by a clock that skips: afterwards what is still true comes first, what came and went once, quietly."""

import asyncio
import random
import time
from dataclasses import dataclass

import pytest

from relay.demo.discord import Kind, Message
from tests.path.conftest import Start
from tests.path.stage import Json, Place, Running, alert, group, rfc3339
from tests.soak.verdict import OPEN, OVER, signs_of

HOUR = 3600.0
STEP = 10.0
"""Seconds of the outage that pass at once."""
PAGES, WARNINGS = 25, 375
"""Those that still go on at its end; each is one event."""
OVER_BY_THEN = 2300
"""Those that came and went meanwhile; each is two events."""
WITHIN = 60.0
"""Seconds after its end in which all is shown: for one minute, the channel's budget is some thirty messages."""


@dataclass(frozen=True)
class Trouble:
    """One problem of the hour: when it begins and ends, in seconds from its beginning; None where it goes on."""

    name: str
    severity: str
    begins: float
    ends: float | None = None


def hour(dice: random.Random) -> list[Trouble]:
    """5,000 events: pages and warnings that go on, and many more that are over in the end, pages among them."""
    lasting = [Trouble(f"p{n:04}x", "critical", dice.uniform(0, HOUR)) for n in range(PAGES)]
    lasting += [Trouble(f"w{n:04}x", "warning", dice.uniform(0, HOUR)) for n in range(WARNINGS)]
    passing = []
    for n in range(OVER_BY_THEN):
        begins, ends = sorted((dice.uniform(0, HOUR), dice.uniform(0, HOUR)))
        passing.append(Trouble(f"o{n:04}x", "critical" if n % 10 == 0 else "warning", begins, ends))
    return [*lasting, *passing]


async def tell(relay: Running, troubles: list[tuple[Trouble, bool]], began: float) -> None:
    """Each delivery as Alertmanager sends it: again until it is accepted."""

    def body(one: Trouble, fires: bool) -> Json:
        said = alert("SoakFails", one.severity, pod=f"{one.name}-0", starts=began + one.begins)
        over = {"status": "resolved", "endsAt": rfc3339(began + (one.ends or 0.0))}
        return group(said if fires else said | over, key=one.name)

    answers = await asyncio.gather(*(relay.post("/alertmanager", body(one, fires)) for one, fires in troubles))
    assert set(answers) <= {202}


async def pass_the_hour(relay: Running, troubles: list[Trouble]) -> None:
    """Everything happens at its time, and nothing reaches Discord."""
    began = relay.clock()
    happens = sorted(
        [(one.begins, one, True) for one in troubles]
        + [(one.ends, one, False) for one in troubles if one.ends is not None],
        key=lambda each: each[0],
    )
    position = 0
    for step in range(1, int(HOUR / STEP) + 1):
        relay.clock.ahead += max(0.0, began + step * STEP - relay.clock())
        now: list[tuple[Trouble, bool]] = []
        while position < len(happens) and happens[position][0] <= step * STEP:
            now.append(happens[position][1:])
            position += 1
        await tell(relay, now, began)
        relay.relay.reconciler.wake()
        await asyncio.sleep(0)
    assert position == len(happens) == 5000


async def converge(relay: Running) -> float:
    """Time goes on as fast as there is nothing to do. Returns the seconds until nothing was due any more."""
    began, done, still = relay.clock(), -1, time.monotonic()
    deadline = time.monotonic() + 120
    while await relay.due():
        assert time.monotonic() < deadline, f"{relay.clock() - began:.0f} s later is still due: {await relay.due()}"
        if len(relay.standin.requests) != done:
            done, still = len(relay.standin.requests), time.monotonic()
        elif time.monotonic() - still > 0.05:
            relay.clock.ahead += 0.2
            relay.relay.reconciler.wake()
        await asyncio.sleep(0.005)
    return relay.clock() - began


def about(name: str, messages: list[Message]) -> list[Message]:
    return [message for message in messages if signs_of(name, message)]


@pytest.fixture
def troubles() -> list[Trouble]:
    return hour(random.Random(3))


async def test_after_an_hour_without_discord_the_channel_converges_worst_first_and_what_is_over_is_a_quiet_line(
    place: Place, start: Start, troubles: list[Trouble]
) -> None:
    async with start() as relay:
        known = await relay.fires("Known", "warning", pod="known-0")
        await relay.settled()
        await relay.skip(2 * HOUR)
        before = len(relay.messages())
        relay.standin.chance(Kind.STATUS, 1.0, status=503)
        await relay.resolves(known)
        await pass_the_hour(relay, troubles)
        assert len(relay.messages()) == before
        tried = len(relay.standin.requests)
        assert tried < HOUR / 10, "who is away is asked now and then"
        relay.standin.faults.clear()
        relay.standin.pushes.clear()
        took = await converge(relay)
        assert took < WITHIN
        fresh = relay.messages()[before:]
        going = [one for one in troubles if one.ends is None]
        over = [one for one in troubles if one.ends is not None]
        for one in going:
            assert [signs_of(one.name, m) <= set(OPEN) for m in about(one.name, fresh)] == [True], one
        for one in over:
            shown = about(one.name, fresh)
            assert len(shown) == 1, f"{one} is shown {len(shown)} times"
            assert signs_of(one.name, shown[0]) == {OVER}
        loud = [one for one in over if not about(one.name, fresh)[0].silent]
        assert len(loud) <= 10, "but what ended while a page for several was on its way"
        pages = [one for one in going if one.severity == "critical"]
        first = max(fresh.index(about(one.name, fresh)[0]) for one in pages)
        rest = [one for one in troubles if one not in pages and one not in loud]
        others = min(fresh.index(about(one.name, fresh)[0]) for one in rest)
        assert first < others, "pages that still matter first"
        assert len([push for push in relay.standin.pushes if push.mentioned]) == 1, "one call for all of them"
        assert relay.messages()[0].content.startswith(OVER), "what was shown before is edited"
        assert await relay.parked() == []
    place.standin.assert_no_429()
    place.standin.assert_no_request_while_blocked()
