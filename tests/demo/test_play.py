"""The demo: the story it tells, the figures it reads, what it says of a channel that shows something else, and how it ends."""

import asyncio
import os
import re
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from relay.demo import traffic
from relay.demo.discord import Message
from relay.demo.play import ROLE, NotShownError, Stage, staged, tell, verdict
from relay.demo.tally import is_status
from relay.demo.traffic import Keys, Scene, Sent, post, scenes, seconds
from tests.conftest import ROOT

KEYS = Keys("key", "token")


def silent(_: str) -> None:
    """Say nothing."""


def cards(stage: Stage) -> list[Message]:
    """What the channel shows but for its status message."""
    return [message for message in stage.standin.messages() if not is_status(message)]


def first(scene: Scene, steps: int) -> list[Scene]:
    """The beginning of a scene as a story of its own."""
    return [scene.model_copy(update={"steps": scene.steps[:steps]})]


# ── the story ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_story_leaves_the_channel_as_it_must_and_its_figures_are_those_of_relay_and_discord() -> None:
    story = scenes()
    async with staged(story) as stage:
        await tell(stage, story, silent)
        counted, wrong = await verdict(stage, story)
        assert wrong == []
        sent = [one for scene in story for step in scene.steps for one in step.send]
        assert counted.deliveries == counted.accepted == len(sent)
        alerts = sum(len(one.alertmanager.alerts) for one in sent if one.alertmanager)
        assert counted.events == alerts + sum(one.flux is not None for one in sent)
        assert counted.posts == len(cards(stage))
        assert counted.edits == sum(len(message.history) - 1 for message in cards(stage))
        assert counted.posts + counted.edits < counted.deliveries
        assert (counted.rings, counted.pages, counted.throttled) == (len(stage.standin.pushes), 1, 0)
        stage.standin.assert_never_two_in_flight_per_webhook()


async def test_the_channel_has_a_pinned_message_that_says_how_all_is() -> None:
    story = first(scenes()[2], 2)
    async with staged(story) as stage:
        (hello,) = stage.standin.messages()
        assert hello.pinned
        assert hello.silent
        assert hello.content == "🛠️ homelab: the relay is connected, and has heard nothing yet"
        await tell(stage, story, silent)
        stage.skip(60)
        async with asyncio.timeout(20):
            while "open problem" not in hello.content:
                stage.skip(10)
                await asyncio.sleep(0.05)
        assert hello.content == "🚨 homelab: 1 open problem, worst: PVC media/photos is filling up"
        assert sum(is_status(message) for message in stage.standin.messages()) == 1


async def test_five_failures_are_one_message_and_one_sound() -> None:
    story = first(scenes()[0], 2)
    async with staged(story) as stage:
        await tell(stage, story, silent)
        assert [len(message.history) for message in cards(stage)] == [1]
        assert len(stage.standin.pushes) == 1


async def test_the_page_is_a_new_message_that_calls_the_role_and_no_other() -> None:
    story = first(scenes()[2], 2)
    async with staged(story) as stage:
        await tell(stage, story, silent)
        pointer, page = cards(stage)
        assert page.content.startswith("🚨")
        assert page.id in pointer.content
        assert [push.mentioned.roles for push in stage.standin.pushes] == [(ROLE,)]


async def test_the_hostile_message_rings_nobody_and_gives_nothing_away() -> None:
    story = [scenes()[4]]
    async with staged(story) as stage:
        await tell(stage, story, silent)
        (message,) = cards(stage)
        assert stage.standin.pushes == []
        assert not message.now.mentioned
        assert "not-a-real-one" not in message.text
        assert "NotAReal" not in message.text
        assert "[redacted]" in message.text
        assert message.now.components == [], "its link was javascript"


async def test_a_story_is_told_in_the_past_and_ends_now() -> None:
    story = scenes()
    told = sum(seconds(step.after) for scene in story for step in scene.steps)
    async with staged(story) as stage:
        assert stage.clock.behind > told
        await tell(stage, story, silent)
        assert stage.clock.behind == pytest.approx(0, abs=1)
        posted = [message.created_at for message in cards(stage)]
        assert posted == sorted(posted)
        assert posted[-1] - posted[0] > 3600


# ── what it says of a channel that shows something else ──────────────────────────────────────────────────────────────


async def wrong_after(stage: Stage, story: list[Scene]) -> str:
    """All differences in one text."""
    return "; ".join((await verdict(stage, story))[1])


async def test_a_channel_that_shows_something_else_is_told_apart_in_sentences() -> None:
    told = scenes()
    story = [told[2], told[4]]
    async with staged(story) as stage:
        await tell(stage, story, silent)
        assert await wrong_after(stage, story) == ""
        assert "no message begins with ✅ and names apps" in await wrong_after(stage, [told[0], *story])
        assert "one message too many: ⚠️ guestbook" in await wrong_after(stage, story[:1])
        assert "1 pages, not 0" in await wrong_after(stage, story[1:])
        loose = story[1].model_copy(update={"never": ("guestbook",)})
        assert "'guestbook' stands where" in await wrong_after(stage, [story[0], loose])
        stage.standin.delete_message(cards(stage)[0].id)
        assert "no message begins with ↪ and names media/photos" in await wrong_after(stage, story)


async def test_a_sender_with_a_wrong_key_is_told() -> None:
    story = first(scenes()[0], 1)
    async with staged(story) as stage:
        await tell(replace(stage, keys=KEYS), story, silent)
        assert "2 deliveries were not answered 202" in await wrong_after(stage, story)


async def test_a_discord_that_is_away_is_told_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    story = [scenes()[5]]
    async with staged(story) as stage:
        monkeypatch.setattr("relay.demo.play._PATIENCE", 0.3)
        stage.standin.ban(3600)
        with pytest.raises(NotShownError, match="the channel does not show within"):
            await tell(stage, story, silent)


# ── the traffic ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_flux_body_is_signed_as_in_fluxs_own_test() -> None:
    event = {
        "involvedObject": {"kind": "GitRepository", "namespace": "gitops-system", "name": "webapp"},
        "severity": "info",
        "timestamp": "0s",
        "message": "message",
        "reason": "reason",
        "metadata": {"test": "metadata"},
        "reportingController": "source-controller",
        "reportingInstance": "source-controller-xyz",
    }
    made = post(Sent(flux=event), Keys("7152fed34dd6149a7c75a276c510da27cb6f82b0", ""), 1664520029.5)
    assert made.headers["X-Signature"] == "sha256=65b018549b1254e7226d1c08f9567ee45bc9de0fc4e7b1a40253f9a018b08be7"
    assert made.headers["Gotk-Component"] == "source-controller"


def test_bodies_are_written_as_go_writes_them() -> None:
    bodies = [post(one, KEYS, 0.0).body for scene in scenes() for step in scene.steps for one in step.send]
    for body in bodies:
        assert not re.search(rb"[<>&]", body)
        assert b'", "' not in body.split(b'"groupKey"')[0]
    assert any(b"\\u003c@\\u00261\\u003e" in body for body in bodies)


@pytest.mark.parametrize("offset, is_", [("-4m", -240), ("+90s", 90), ("0s", 0), ("1h", 3600)])
def test_an_offset_is_so_many_seconds(offset: str, is_: int) -> None:
    assert seconds(offset) == is_


@pytest.mark.parametrize("offset", ["", "4", "m", "1.5m", "4 m", "2026-01-01T00:00:00Z"])
def test_what_is_no_offset_is_refused(offset: str) -> None:
    with pytest.raises(ValueError, match="is no offset: write -4m"):
        seconds(offset)


def test_one_request_has_one_sender() -> None:
    for wrong in ("{}", '{"flux": {}, "prometheus": []}'):
        with pytest.raises(ValueError, match="one request has one sender"):
            Sent.model_validate_json(wrong)


def test_names_and_addresses_in_the_traffic_are_nobodys() -> None:
    folder = Path(traffic.__file__).parent / "traffic"
    text = "".join(path.read_text() for path in folder.iterdir())
    hosts = set(re.findall(r"https?://([^/\s'\"?)]+)", text))
    assert hosts
    assert all(host.endswith(".example.org") for host in hosts)


# ── in a terminal ────────────────────────────────────────────────────────────────────────────────────────────────────


class Terminal:
    """`relay demo` in a process of its own, without a tty, in an empty folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temporary = folder / "tmp"
        self.temporary.mkdir()

    async def start(self, *how: str, stdout: int = asyncio.subprocess.PIPE, **env: str) -> asyncio.subprocess.Process:
        """The demo, which has begun."""
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "relay", "demo", "--pace", "0.01", *how, cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.temporary), **env},
            stdout=stdout, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    def assert_nothing_is_left(self) -> None:
        """No database, no secret, no file at all."""
        assert list(self.folder.rglob("*")) == [self.temporary]


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


async def test_once_it_tells_the_story_sums_it_up_and_ends_well(terminal: Terminal) -> None:
    process = await terminal.start("--once", "--port", "0")
    out, err = await process.communicate()
    said = out.decode()
    assert (process.returncode, err.decode()) == (0, "")
    assert re.search(r"http://127\.0\.0\.1:\d+/\?phone=1", said)
    for scene in scenes():
        assert scene.title in said
        assert all(step.says in said and step.look in said for step in scene.steps)
    assert re.search(r"^in   \d+ deliveries with \d+ events, \d+ answered 202$", said, re.MULTILINE)
    assert re.search(
        r"^out  \d+ messages, \d+ edits; phones rang \d times, 1 of them a page; .* \(429\): 0$", said, re.MULTILINE
    )
    assert "✗" not in said
    terminal.assert_nothing_is_left()


async def test_a_taken_port_is_said_and_the_next_free_one_is_used(terminal: Terminal) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = await terminal.start("--once", "--port", str(port))
        out, err = await process.communicate()
    assert (process.returncode, err.decode()) == (0, "")
    assert out.decode().startswith(f"Port {port} is taken; this one is free.\n")


@pytest.mark.parametrize(
    "moment, number",
    [
        ("The lock screen", signal.SIGINT),
        ("1  A commit breaks", signal.SIGINT),
        ("Look around", signal.SIGINT),
        ("Look around", signal.SIGTERM),
    ],
)
async def test_it_runs_until_interrupted_and_leaves_nothing(
    terminal: Terminal, moment: str, number: signal.Signals
) -> None:
    process = await terminal.start("--port", "0")
    assert process.stdout is not None
    while not (line := (await process.stdout.readline()).decode()).startswith(moment):
        assert line, "it ended before"
    process.send_signal(number)
    out, err = await process.communicate()
    assert (process.returncode, err.decode()) == (0, "")
    assert out.decode().endswith("\nStopped; nothing is left behind.\n")
    terminal.assert_nothing_is_left()


async def test_a_reader_that_leaves_does_not_disturb_it(terminal: Terminal) -> None:
    read, write = os.pipe()
    process = await terminal.start("--once", "--port", "0", stdout=write)
    os.close(write)
    os.close(read)
    _, err = await process.communicate()
    assert (process.returncode, err.decode()) == (0, "")


async def test_a_terminal_that_knows_no_signs_gets_question_marks(terminal: Terminal) -> None:
    process = await terminal.start("--once", "--port", "0", PYTHONIOENCODING="ascii")
    out, err = await process.communicate()
    assert (process.returncode, err.decode()) == (0, "")
    assert "one ? with a sound" in out.decode("ascii")
