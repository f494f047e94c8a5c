"""What a person types beside a real relay is done by it within seconds, and gets in nobody's way."""

from __future__ import annotations

import asyncio
import json
import os
import sys

import pytest

from relay.demo.discord import Kind
from relay.reconcile import sender
from relay.storage import lists
from tests.conftest import ROOT
from tests.path.conftest import Start, StartProcess
from tests.path.stage import TOKEN, Place, event, recovery


async def command(place: Place, *arguments: str, code: int = 0) -> str:
    """`relay …` in a process of its own beside the relay; what it says."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "relay", *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT, env={**os.environ, **place.env, "RELAY_CONFIG": str(place.file)},
    )  # fmt: skip
    out, _ = await child.communicate()
    assert child.returncode == code, out.decode()
    return out.decode()


@pytest.fixture
def alert_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender looks often: a command's wake-up is none."""
    monkeypatch.setattr(sender, "LOOK_EVERY", 0.2)


@pytest.mark.usefixtures("alert_sender")
async def test_what_is_parked_is_shown_once_a_person_asks(place: Place, start: Start) -> None:
    async with start() as relay:
        relay.standin.fault(Kind.AUTOMOD, match="POST", times=3)
        await relay.fires()
        await relay.settled()
        (incident,) = await relay.relay.database.read(lambda c: lists.open_incidents(c, 9))
        handle = incident.handle
        said = await command(place, "channels")
        assert "ops  1 parked" in said
        assert f"parked {handle}: 200000" in said
        (ops,) = json.loads(await command(place, "channels", "--json"))
        assert (ops["up"], ops["parked"][0]["handle"]) == (True, handle)
        assert await command(place, "channels", "retry", handle) == f"ops  {handle} is tried once more\n"
        await relay.until(lambda: len(relay.messages()) == 1, "the relay noticed")
        await relay.settled()
        assert relay.messages()[0].now.components, "in its full form"
        assert "ops  shows all it should" in await command(place, "channels")


async def test_a_test_card_goes_out_beside_a_relay_that_posts(place: Place, process: StartProcess) -> None:
    async with process() as relay:
        await relay.fires()
        said = await command(place, "channels", "test")
        assert said.startswith("ops  Discord shows it: message ")
        assert "🛠️ relay reaches this channel" in [message.content for message in place.standin.messages("20")]
        place.standin.remove_webhook("11")
        said = await command(place, "channels", "test", "ops", code=1)
        assert said.startswith("ops  the webhook is gone (10015)")
    place.standin.assert_no_429()


async def test_what_came_to_the_wrong_path_is_taken_back_and_shown(place: Place, process: StartProcess) -> None:
    """Flux's Provider with the address of Alertmanager's source: nothing of it is lost."""
    async with process() as relay:
        beat = {"Authorization": f"Bearer {TOKEN}"}
        for body in (event("apps", at=relay.clock()), recovery("infra", at=relay.clock()), b"{"):
            assert await relay.post("/alertmanager", body, beat) in (202, 400)
        listed = json.loads(await command(place, "rejects", "--json"))
        assert [one["id"] for one in listed] == [3, 2, 1]
        assert json.loads(await command(place, "rejects", "show", "1"))["reason"] == "BuildFailed"
        said = await command(place, "rejects", "replay", "--all", "--as", "flux", code=1)
        assert said.splitlines()[:2] == ["1  accepted: 1 event", "2  accepted: 1 event"]
        assert said.splitlines()[2].startswith("3  stays: ")
        assert [one["id"] for one in json.loads(await command(place, "rejects", "--json"))] == [3]
        assert "apps cannot be built" in await command(place, "list")
        deadline = asyncio.get_running_loop().time() + 20
        while not any("apps" in message.content for message in place.standin.messages("20")):
            assert asyncio.get_running_loop().time() < deadline, "the relay shows it"
            await asyncio.sleep(0.1)
