"""A few kills at the worst moments in every run of the tests; `make soak` goes on for as long as one likes."""

import asyncio
from pathlib import Path

import aiohttp

from tests.path.stage import CHANNELS
from tests.soak.driver import Moment, room_again, stage

WORST = [Moment.STORED, Moment.ACCEPTED, Moment.FULL, Moment.EDITED]


async def test_kills_at_the_worst_moments_lose_nothing_and_the_channel_converges(tmp_path: Path) -> None:
    async with stage(tmp_path, seed=5, rate=1.5, pace=1.0) as soak:
        soak.plan = list(WORST)
        report = await soak.run(kills=len(WORST), minutes=0.3, patience=45)
    assert not report.violations, f"{report}\n{soak.log.read_text()[-4000:]}"
    assert report.killed >= 3, report
    assert report.converged_in is not None, report
    assert report.events > 20, report


async def test_a_disk_that_is_full_at_the_start_is_503_until_there_is_room_and_no_reason_to_end(tmp_path: Path) -> None:
    async with stage(tmp_path, seed=6, faults=False) as soak, aiohttp.ClientSession() as session:
        async with soak.process(session) as child:
            assert await soak.ready(child)
            for number in range(8):
                await soak.world.say(soak.world.thing(number), firing=True)
            soak.kill()
        soak.place.configure(CHANNELS, "incidents: {settle: 3s}\n")  # It cannot be remembered, and holds all the same.
        async with soak.process(session, full=True) as child:
            async with asyncio.timeout(20):
                while b"configuration not remembered" not in soak.log.read_bytes():
                    assert child.returncode is None, soak.log.read_text()[-2000:]
                    await asyncio.sleep(0.05)
            (sender,) = soak.alive
            assert await sender.post("/flux", b"{}") == 503
            assert (await sender.get("/readyz"))[0] == 503
            assert (await sender.get("/healthz"))[0] == 200
            room_again(child)
            assert await soak.ready(child)
            await soak.world.say(soak.world.thing(8), firing=True)
            assert child.returncode is None
