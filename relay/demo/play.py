"""The demo shows the real relay at work, and touches nothing outside of a temporary folder and loopback.

A stand-in plays Discord and shows its channel as a page; recorded traffic goes through real HTTP with real signatures. The relay runs as
it always does, but by the story's clock, which skips the minutes between two steps: an hour and a half is told in one or two minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import aiohttp
from sqlalchemy import Connection

from relay.app import Relay, running
from relay.demo import tally, traffic
from relay.demo.discord import StandIn
from relay.demo.traffic import Keys, Scene, Sent
from relay.observe import logs
from relay.storage import delivery, lists, meta
from relay.storage.engine import UnusableDatabaseError

ROLE: Final = "1234"
_WEBHOOK: Final = "1100000000000000001"
_CHANNEL, _GUILD = "1200000000000000001", "1300000000000000001"
_PORTS: Final = 20
"""How many ports are tried, from the one that was asked for."""
_CALM: Final = 300.0
"""Seconds: what is due later than that is only a count to be refreshed; before it a hold or an end that must settle."""
_PATIENCE: Final = 30.0
"""Seconds in which what is due must have been shown."""
_BEFORE: Final = 5.0
"""Seconds in which a person opens the page."""
_SKIP: Final = 2.0
"""Seconds in which a person sees that nothing is shown yet."""
_SLACK: Final = 600.0
"""Seconds that holds and settled ends add to the story, at most: it ends now, and never in the future."""

_CONFIGURATION: Final = """\
cluster: homelab
sources:
  flux: {hmac_key_file: flux-hmac}
  alertmanager: {bearer_token_file: alertmanager-token}
channels:
  ops: {webhook_url_file: discord-ops, mention: ["<@&1234>"]}
repositories: {flux-system/homelab: "https://git.example.org/ops/homelab"}
"""

Say = Callable[[str], None]


class NotShownError(Exception):
    """What was due has not been shown in time."""


@dataclass(slots=True)
class Clock:
    """The story's: as fast as any, `behind` by so many seconds, and skipping forward where nothing happens."""

    behind: float

    def __call__(self) -> float:
        return time.time() - self.behind


@dataclass(frozen=True, slots=True)
class Stage:
    """A relay, the Discord it speaks to, the clock of both, and a client for its senders: all that a story needs."""

    clock: Clock
    standin: StandIn
    relay: Relay
    senders: aiohttp.ClientSession
    keys: Keys
    page: str
    """Where a browser sees the channel; with `?phone=1` a lock screen."""

    async def send(self, sent: Sent, begun: float) -> None:
        """One request to the relay, as its sender writes it; its times are offsets from `begun`."""
        post = traffic.post(sent, self.keys, begun)
        host, port = self.relay.addresses[0]
        url = f"http://{host}:{port}{post.path}"
        async with self.senders.post(url, data=post.body, headers=post.headers) as answer:
            await answer.read()

    def skip(self, seconds: float) -> None:
        """So much later: the relay looks again, and the page ages."""
        self.clock.behind -= seconds
        self.relay.reconciler.wake()
        self.standin.store.changes += 1

    async def due(self) -> float | None:
        """Returns once all is shown that is due by now: the seconds until a hold or a settled end asks for more, None without one.

        Raises NotShownError, or what killed a part of the relay.
        """
        deadline = time.monotonic() + _PATIENCE
        while True:
            if self.relay.ended.done():
                self.relay.ended.result()
            due = await self.relay.database.read(delivery.earliest_due)
            ahead = None if due is None else due - self.clock()
            if ahead is None or ahead > _CALM:
                return None
            if ahead > 0:
                return ahead
            if time.monotonic() > deadline:
                raise NotShownError(f"the channel does not show within {_PATIENCE:.0f} s what the relay was told")
            await asyncio.sleep(0.02)


@asynccontextmanager
async def staged(story: list[Scene], *, port: int = 0) -> AsyncIterator[Stage]:
    """A stage for `story` on loopback, with the page at `port` or the next free one. Leaves nothing behind."""
    clock = Clock(_SLACK + sum(traffic.seconds(step.after) for scene in story for step in scene.steps))
    standin, keys = StandIn(clock=clock), Keys(secrets.token_hex(32), secrets.token_hex(32))
    webhook_token = secrets.token_urlsafe(51)
    standin.add_webhook(_WEBHOOK, webhook_token, _CHANNEL, _GUILD, "Flux relay", channel_name="ops")
    standin.add_role(ROLE, "oncall")
    async with AsyncExitStack() as parts:
        folder = Path(parts.enter_context(TemporaryDirectory(prefix="relay-demo-")))
        api = await _at_free_port(parts, standin, port)
        (folder / "flux-hmac").write_text(keys.flux_hmac)
        (folder / "alertmanager-token").write_text(keys.alertmanager_token)
        (folder / "discord-ops").write_text(f"{api}/webhooks/{_WEBHOOK}/{webhook_token}")
        (folder / "relay.yaml").write_text(_CONFIGURATION)
        env = {
            "RELAY_DISCORD_API": api,
            "RELAY_LISTEN": "127.0.0.1:0",
            "RELAY_DATABASE_URL": f"sqlite:///{folder / 'relay.db'}",
        }
        relay = await parts.enter_async_context(running(folder / "relay.yaml", env, clock=clock))
        await relay.writer.transact(_heard_for_long)
        await _pinned(standin)
        senders = await parts.enter_async_context(aiohttp.ClientSession())
        yield Stage(clock, standin, relay, senders, keys, api.removesuffix("api/v10"))


def _heard_for_long(connection: Connection) -> None:
    """The relay of the story knows its senders: what they tell is news, and not what was there before it."""
    for source in ("flux", "alertmanager"):
        meta.set_meta(connection, meta.FIRST + source, "0.0")


async def _pinned(standin: StandIn) -> None:
    """The relay says that it is there, and somebody pins that message, as it is made for. Raises NotShownError."""
    deadline = time.monotonic() + _PATIENCE
    while not (found := standin.messages()):
        if time.monotonic() > deadline:
            raise NotShownError(f"the relay does not say within {_PATIENCE:.0f} s that it is there")
        await asyncio.sleep(0.02)
    standin.pin(found[0].id)


async def _at_free_port(parts: AsyncExitStack, standin: StandIn, port: int) -> str:
    """Serve the stand-in at `port`, at one of the next ones where that is taken, or at any. Returns its API's address."""
    for candidate in range(port, min(port + _PORTS, 65536)) if port else ():
        try:
            return await parts.enter_async_context(standin.running(candidate))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
    return await parts.enter_async_context(standin.running())


async def tell(stage: Stage, story: list[Scene], say: Say, *, pace: float = 0.0) -> None:
    """Play the story. After each step the channel shows what it must; then `pace` times the step's pause lets a person read it."""
    for number, scene in enumerate(story, 1):
        say(f"\n{number}  {scene.title}")
        begun: float | None = None
        for step in scene.steps:
            stage.skip(traffic.seconds(step.after))
            begun = begun or stage.clock()
            say(f"   {step.says}")
            for sent in step.send:
                await stage.send(sent, begun)
            say(f"     → {step.look}")
            while (ahead := await stage.due()) is not None:
                await asyncio.sleep(_SKIP * pace)
                say(f"     … {ahead:.0f} s later")
                stage.skip(ahead)
            await asyncio.sleep(step.pause * pace)
    stage.skip(max(0.0, stage.clock.behind))
    await stage.due()


async def verdict(stage: Stage, story: list[Scene]) -> tuple[tally.Tally, list[str]]:
    """The figures, and what the channel shows otherwise than it must."""
    counted = tally.tally(stage.standin, stage.relay.metrics.registry)
    wrong = tally.differences(stage.standin, counted, story, ROLE)
    state = await stage.relay.database.read(lambda connection: lists.counts(connection, stage.clock()))
    if state.parked:
        wrong.append(f"{state.parked} parked: Discord refused them in every form")
    return counted, wrong


# --- in a terminal ------------------------------------------------------------------------------------------------------


async def play(*, once: bool = False, port: int = 8765, pace: float = 1.0) -> int:
    """Play the story, slowly and until Ctrl-C, or `once` as fast as it can be shown. `pace` times the pauses: 2 is twice as slow.

    Returns the exit code: 0; 1 where the channel does not show what it must, or the demo cannot run; 130 where `once` was interrupted.
    """
    logs.configure("error")
    say = _speaker()
    with _interrupted() as stop:
        performance = asyncio.ensure_future(_perform(say, once=once, port=port, pace=pace))
        stopped = asyncio.ensure_future(stop.wait())
        await asyncio.wait({performance, stopped}, return_when=asyncio.FIRST_COMPLETED)
        for task in (performance, stopped):
            task.cancel()
        await asyncio.wait({performance, stopped})
    if performance.cancelled():
        say("\nStopped; nothing is left behind.")
        return 130 if once else 0
    return performance.result()


async def _perform(say: Say, *, once: bool, port: int, pace: float) -> int:
    try:
        story = traffic.scenes()
        async with staged(story, port=port) as stage:
            return await _performance(stage, story, say, once=once, port=port, pace=pace)
    except (OSError, aiohttp.ClientError, UnusableDatabaseError, NotShownError) as error:
        say(f"\nThe demo cannot go on: {error}")
        return 1


async def _performance(stage: Stage, story: list[Scene], say: Say, *, once: bool, port: int, pace: float) -> int:
    if port and f":{port}/" not in stage.page:
        say(f"Port {port} is taken; this one is free.")
    say(f"The channel, as Discord would show it:  {stage.page}")
    say(f"The lock screen of who is on call:      {stage.page}?phone=1")
    if not once:
        say("Open it beside this terminal. Ctrl-C ends the demo.")
        await asyncio.sleep(_BEFORE * pace)
    await tell(stage, story, say, pace=0.0 if once else pace)
    counted, wrong = await verdict(stage, story)
    say(f"\n{counted}")
    for difference in wrong:
        say(f"✗ {difference}")
    if not once:
        say(f"\nLook around: {stage.page}  Ctrl-C ends the demo.")
        await stage.relay.ended
    return 1 if wrong else 0


def _speaker() -> Say:
    """Lines to standard output, at once; silent once nobody reads them any more."""
    heard = True

    def say(line: str) -> None:
        nonlocal heard
        if heard:
            try:
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
            except BrokenPipeError:
                heard = False

    return say


@contextlib.contextmanager
def _interrupted() -> Iterator[asyncio.Event]:
    """An event that Ctrl-C and SIGTERM set, instead of raising anywhere."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
