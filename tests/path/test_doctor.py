"""`relay doctor` beside a relay: what is connected, what is missing, and the cure in a command or a setting."""

import asyncio
import json

from typer.testing import CliRunner, Result

from relay.cli import app
from relay.storage import bulletins, meta
from tests.path.stage import Place, relay_at


async def doctor(place: Place, *more: str) -> Result:
    command = ["doctor", "--config", str(place.file), *more]
    return await asyncio.to_thread(CliRunner().invoke, app, command, env=place.env)


async def test_the_doctor_says_what_is_missing_and_exits_with_1(place: Place) -> None:
    async with relay_at(place) as relay:
        await relay.fires(pod="sonarr-0")
        await relay.settled()
        relay.relay.deadlines.look()
        await relay.until_async(lambda c: meta.get_meta(c, bulletins.HEARD + "alertmanager") is not None)
        said = await doctor(place)
        assert said.exit_code == 1
        assert "1 open problem: relay list" in said.output
        assert "nothing was ever heard from flux: relay init FOLDER" in said.output
        assert "nothing was ever heard from alertmanager" not in said.output
        known = json.loads((await doctor(place, "--json")).output)
        assert known["open"] == 1
        assert {source["name"] for source in known["sources"]} == {"flux", "alertmanager"}
