"""What Prometheus reads is so now: gauges follow what waits, what is refused and what is gone, and nothing stands for ever."""

import asyncio
import time

from tests.path.conftest import Start
from tests.path.stage import BOTH, PATIENCE, TWO, Place, Running


async def until(relay: Running, sentence: str, **wanted: float | None) -> None:
    """Wait for gauges, each by its name and the channel in it; None where there is to be no series."""
    deadline = time.monotonic() + PATIENCE
    names = {key: f'relay_{key.rpartition("__")[0]}{{channel="{key.rpartition("__")[2]}"}}' for key in wanted}
    while {key: (await relay.metrics()).get(name) for key, name in names.items()} != wanted:
        assert time.monotonic() < deadline, f"{sentence}: {await relay.metrics()}"
        await asyncio.sleep(0.1)


async def test_what_a_delivery_and_a_page_leave_behind(relay: Running) -> None:
    await relay.fires()
    await relay.settled()
    samples = await relay.metrics()
    assert samples["relay_ready"] == 1
    assert samples['relay_pages_total{channel="ops"}'] == len(relay.standin.pushes) == 1
    assert abs(samples['relay_last_received_timestamp_seconds{sender="alertmanager"}'] - relay.clock()) < 30
    assert 'relay_last_received_timestamp_seconds{sender="flux"}' not in samples, "nothing of Flux was stored"


async def test_what_may_go_wrong_counts_from_zero_so_that_the_first_is_an_increase(relay: Running) -> None:
    samples = await relay.metrics()
    for sender in ("flux", "alertmanager"):
        assert samples[f'relay_requests_total{{code="401",sender="{sender}"}}'] == 0
        for kind in ("not_json", "unreadable", "poison"):
            assert samples[f'relay_rejects_total{{kind="{kind}",sender="{sender}"}}'] == 0


async def test_files_that_are_refused_are_told_until_they_are_corrected(place: Place, start: Start) -> None:
    async with start() as relay:
        assert (await relay.metrics())["relay_configuration_refused"] == 0
        place.write("relay.yaml", place.file.read_text().replace("channels:", "chanels:"))
        assert not await relay.relay.reload()
        assert (await relay.metrics())["relay_configuration_refused"] == 1
        place.configure()
        assert await relay.relay.reload()
        assert (await relay.metrics())["relay_configuration_refused"] == 0


async def test_a_start_with_the_last_good_configuration_is_told(place: Place, start: Start) -> None:
    async with start():
        pass
    place.write("relay.yaml", place.file.read_text().replace("channels:", "chanels:"))
    async with start() as relay:
        assert (await relay.metrics())["relay_configuration_refused"] == 1


async def test_each_channel_tells_how_long_its_oldest_waits_and_one_that_is_no_more_tells_nothing(
    place: Place, start: Start
) -> None:
    place.configure(TWO, BOTH)
    place.standin.remove_webhook("12")
    async with start() as relay:
        await relay.fires()
        await relay.settled(but=["deploys"])
        await until(relay, "its webhook is dead", channel_up__deploys=0, channel_up__ops=1, due__ops=0)
        await relay.skip_blocked(900)
        deadline = time.monotonic() + PATIENCE
        while (await relay.metrics()).get('relay_oldest_due_seconds{channel="deploys"}', 0) < 900:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        assert (await relay.metrics())['relay_oldest_due_seconds{channel="ops"}'] < 900
        place.configure()
        assert await relay.relay.reload()
        await until(relay, "it is gone", due__deploys=None, oldest_due_seconds__deploys=None, channel_up__deploys=None)
