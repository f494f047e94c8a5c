"""The tutorial, followed word by word: what its `sh` blocks print is what it says, and what it quotes is in the channel then."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from relay import __version__
from relay.demo.discord import StandIn
from tests.conftest import ROOT
from tests.path.stage import Place, event

PAGE = ROOT / "docs/tutorial.md"
PATIENCE = 30.0
"""Seconds for what a person waits for."""
PLACEHOLDER = "https://discord.com/api/webhooks/REPLACE-ME"
LISTENS = "127.0.0.1:8080"
END = "\x1e"


@dataclass(frozen=True)
class Block:
    """What stands at a line of the page: commands (`sh`, `console`), what they print (`text`), or a message (`quote`)."""

    line: int
    kind: str
    text: str


def blocks(text: str) -> Iterator[Block]:
    for found in re.finditer(r"^```(\w+)\n(.*?)^```$|^> ([^\n]+)$", text, re.MULTILINE | re.DOTALL):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(line, "quote", found[3]) if found[3] else Block(line, found[1], found[2])


TEXT = PAGE.read_text()
ALL = [*blocks(TEXT)]
CLUSTER_FROM = TEXT[: TEXT.index("\n## 6.")].count("\n")
HERE = [block for block in ALL if block.line < CLUSTER_FROM]
CLUSTER = [block for block in ALL if block.line > CLUSTER_FROM]


def like(promised: str, said: str) -> bool:
    """Whether it is what was promised, where `…` stands for anything."""
    return re.fullmatch(".*".join(map(re.escape, promised.split("…"))), said, re.DOTALL) is not None


@dataclass
class Desk:
    """A folder, a terminal in it, and the Discord that its relay speaks to."""

    folder: Path
    standin: StandIn
    shell: asyncio.subprocess.Process
    replaced: dict[str, str] = field(default_factory=dict)

    async def run(self, block: Block) -> str:
        """Type the commands; what they print, standard error too. They must go well."""
        assert self.shell.stdin is not None
        assert self.shell.stdout is not None
        text = block.text
        for theirs, ours in self.replaced.items():
            text = text.replace(theirs, ours)
        if serves := text.strip() == "relay serve":
            text = "relay serve 2>serve.log &\n"
        self.shell.stdin.write(f"{text}printf '{END}%s{END}' $?\n".encode())
        async with asyncio.timeout(PATIENCE):
            said = (await self.shell.stdout.readuntil(END.encode())).decode().removesuffix(END)
            code = (await self.shell.stdout.readuntil(END.encode())).decode().removesuffix(END)
        assert code == "0", f"line {block.line}: {said}"
        if serves:
            await self._ready()
        return said

    async def _ready(self) -> None:
        deadline = time.monotonic() + PATIENCE
        async with aiohttp.ClientSession() as session:
            while time.monotonic() < deadline:
                with suppress(aiohttp.ClientError):
                    async with session.get(f"http://{self.replaced[LISTENS]}/readyz") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.05)
        raise AssertionError((self.folder / "serve.log").read_text())

    async def shows(self, block: Block) -> None:
        """Returns once a message of the channel reads as it is quoted."""
        deadline = time.monotonic() + PATIENCE
        while not any(like(block.text, message.content) for message in self.standin.messages()):
            assert time.monotonic() < deadline, (block, [message.content for message in self.standin.messages()])
            await asyncio.sleep(0.05)

    async def follow(self, page: Sequence[Block]) -> None:
        """Do what the page says, and hold it to its word."""
        said = ""
        for block in page:
            match block.kind:
                case "sh":
                    said = await self.run(block)
                case "text":
                    assert like(block.text, said), f"line {block.line}: {said}"
                case "quote":
                    await self.shows(block)
                case "console":
                    assert all(re.match(r"\$ (pip|flux|kubectl|git) ", line) for line in block.text.splitlines())
                case _:
                    raise AssertionError(block)


@asynccontextmanager
async def _desk(folder: Path, place: Place) -> AsyncIterator[Desk]:
    """A person's machine: `relay` is installed, and nothing of the machine's own settings is seen."""
    (folder / "bin").mkdir()
    (folder / "bin/relay").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m relay "$@"\n')
    (folder / "bin/relay").chmod(0o755)
    (home := folder / "home").mkdir()
    place.free_port()
    env = {
        "PATH": f"{folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "RELAY_DISCORD_API": place.api,
        "RELAY_LISTEN": f"127.0.0.1:{place.port}",
        "GIT_AUTHOR_NAME": "ada", "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "ada", "GIT_COMMITTER_EMAIL": "ada@example.org",
    }  # fmt: skip
    (work := folder / "work").mkdir()
    shell = await asyncio.create_subprocess_exec(
        "bash", "--noprofile", "--norc", cwd=work, env=env,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    webhook = f"{place.api}/webhooks/11/token"
    try:
        yield Desk(work, place.standin, shell, {PLACEHOLDER: webhook, LISTENS: f"127.0.0.1:{place.port}"})
    finally:
        assert shell.stdin is not None
        shell.stdin.write(b"kill %1 2>/dev/null; wait; exit\n")
        async with asyncio.timeout(PATIENCE):
            await shell.wait()


@pytest.fixture
async def desk(tmp_path: Path, place: Place) -> AsyncIterator[Desk]:
    async with _desk(tmp_path, place) as made:
        yield made


async def test_followed_word_by_word_without_a_cluster_it_ends_with_what_it_says(desk: Desk) -> None:
    await desk.follow(HERE)
    desk.standin.assert_no_429()
    assert len(desk.standin.messages()) == 4, "the test, the status, and one message for each problem"


async def test_in_the_repository_too_and_a_path_that_is_not_there_is_shown(desk: Desk) -> None:
    """What a cluster would do is left out; what Flux would say of the broken path is said here."""
    first, second, third, *_ = [block for block in HERE if block.kind == "sh"]
    assert (first.text.split()[0], second.text, third.text.split()[0]) == ("export", "relay serve\n", "cat")
    await desk.run(first)
    await desk.run(second)
    await desk.run(Block(0, "sh", "git init --quiet repository && cd repository\n"))
    await desk.shows(next(block for block in HERE if "is connected" in block.text))
    told = event(
        "broken",
        reason="ArtifactFailed",
        message="kustomization path not found: stat /tmp/kustomization-2146302394/no/such/path: no such file or directory",
        at=time.time(),
    )
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://{desk.replaced[LISTENS]}/flux", json=told) as answer,
    ):
        assert answer.status == 202
    await desk.follow(CLUSTER)


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", TEXT):
        assert "://" in target or (PAGE.parent / target).exists(), target


def test_the_version_that_is_named_is_this_one() -> None:
    assert set(re.findall(r"\bv\d+\.\d+\.\d+\b", TEXT)) == {f"v{__version__}"}
