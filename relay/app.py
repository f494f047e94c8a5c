"""The composition root: a configuration becomes its parts, started in order and stopped in the reverse, and a part that dies ends all.

Stopping loses nothing: the door closes first, then the sender finishes and records its request, then the writer commits what waits.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import structlog
from aiohttp import web

from relay import __version__, upkeep
from relay.config.load import load
from relay.config.problems import ConfigError
from relay.config.trees import TreeError, load_trees
from relay.config.values import Configuration
from relay.config.watch import Watcher
from relay.core.event import Instant
from relay.core.policy import Policy
from relay.core.tree import Library
from relay.discord.client import DiscordClient
from relay.observe.metrics import Metrics
from relay.reconcile import Reconciler
from relay.storage.engine import Database
from relay.web.door import serve_on
from relay.web.routes import make_handler
from relay.writer import Writer

log = structlog.get_logger(__name__)

WATCH_EVERY: Final = 5.0
"""Seconds between two looks at the files of the configuration."""
CLOSING: Final = 1.5
"""Seconds for deliveries whose body has come to be committed and answered; what is still coming is not read any more."""
GRACE: Final = 3.0
"""Seconds for the sender to finish its request. Both together are within what Kubernetes and Flux's retries leave."""


@dataclass(slots=True)
class Live:
    """What is in force now. Replaced whole by a reload, never changed in part."""

    configuration: Configuration
    library: Library
    watcher: Watcher
    """Of the files it came from, as they were just before they were read."""

    @property
    def policy(self) -> Policy:
        return self.configuration.policy


@dataclass(slots=True)
class Relay:
    """A relay that runs: where it listens, and its parts, for those who embed it (the demo, tests)."""

    live: Live
    database: Database
    writer: Writer
    reconciler: Reconciler
    metrics: Metrics
    addresses: list[tuple[str, int]]
    ended: asyncio.Future[None]
    """Done when a part has died: its exception is the reason."""
    reload: Callable[[], Coroutine[Any, Any, bool]]


@dataclass(slots=True)
class _Tasks:
    """The background tasks: each has an owner, and the first that dies tells."""

    ended: asyncio.Future[None]
    running: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._done)
        self.running[name] = task

    def _done(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not self.ended.done():
            log.critical("a part of the relay died", part=task.get_name(), exc_info=error)
            self.ended.set_exception(error)

    @property
    def alive(self) -> bool:
        return not self.ended.done()


def from_files(path: Path | None, env: Mapping[str, str]) -> Live:
    """Configuration and trees as the files say now. Raises ConfigError or TreeError, each with file and line."""
    first = load(
        path, env
    )  # It says what to watch; what counts is read after the watch began, so that no change is missed.
    watcher = Watcher(*(file for file in (first.file, first.trees_folder) if file is not None))
    configuration = load(path, env)
    return Live(configuration, load_trees(configuration.trees_folder), watcher)


@asynccontextmanager
async def running(
    path: Path | None, env: Mapping[str, str], *, clock: Callable[[], Instant] = time.time
) -> AsyncIterator[Relay]:
    """A relay, from start to a stop that loses nothing. Raises ConfigError, TreeError, UnusableDatabaseError or OSError at start."""
    async with AsyncExitStack() as parts:
        live = from_files(path, env)
        database = Database.open(live.configuration.database_url.reveal(), serving=True)
        parts.push_async_callback(database.close)
        await database.migrate()
        metrics = Metrics(version=__version__)
        ended = asyncio.get_running_loop().create_future()
        tasks = _Tasks(ended)
        session = await parts.enter_async_context(aiohttp.ClientSession(auto_decompress=True))
        client = DiscordClient(session, live.configuration.discord_api, user_agent())
        writer = Writer(database, lambda: live.policy, clock, metrics)
        reconciler = Reconciler(
            database, writer, client, lambda: live.configuration, lambda: live.library, clock, metrics
        )
        writer.changed = reconciler.wake
        parts.push_async_callback(_stopped, tasks, writer, reconciler)
        tasks.start("writer", writer.run())
        tasks.start("deadlines", writer.tick())
        await writer.started()
        handler = make_handler(writer, lambda: live.configuration, clock, metrics, alive=lambda: tasks.alive)
        runner = await serve_on(handler, *live.configuration.listen, shutdown_timeout=CLOSING)
        parts.push_async_callback(_closed, runner, writer)
        tasks.start("sender", reconciler.run())
        tasks.start("history", upkeep.prune_history(writer, lambda: live.configuration, clock))
        tasks.start("gauges", upkeep.measure(database, metrics, lambda: live.policy.channels, clock))

        async def reload() -> bool:
            return await _reload(live, path, env, writer, reconciler)

        tasks.start("configuration", _watch(live, reload))
        _say_what_is_open(live)
        relay = Relay(live, database, writer, reconciler, metrics, _addresses(runner), ended, reload)
        log.info("serving", version=__version__, addresses=[f"{host}:{port}" for host, port in relay.addresses])
        yield relay
        log.info("stopping")


def user_agent() -> str:
    """Discord demands this form (reference: discord.md §2.1)."""
    return f"DiscordBot (https://github.com/flux-relay/flux-relay, {__version__})"


def _addresses(runner: web.ServerRunner) -> list[tuple[str, int]]:
    return [(address[0], address[1]) for address in runner.addresses]


def _say_what_is_open(live: Live) -> None:
    """One line for each source that is locked or open to anybody, so that neither is a surprise."""
    for source in live.configuration.sources:
        if not source.served(live.configuration.listen):
            log.warning("source locked", source=source.name, help=source.locked_because)
        elif not source.credentials:
            log.warning("source open to anybody who reaches it", source=source.name, path=source.path)


async def _closed(runner: web.ServerRunner, writer: Writer) -> None:
    """Close the door: what is being read is answered 503 or after its commit, and no new connection is taken."""
    writer.close()
    await runner.cleanup()


async def _stopped(tasks: _Tasks, writer: Writer, reconciler: Reconciler) -> None:
    """The sender finishes and records its request; the writer commits what waits; then everything else is cancelled."""
    reconciler.stop()
    sender = tasks.running.get("sender")
    if sender is not None:
        await asyncio.wait({sender}, timeout=GRACE)
        sender.cancel()
        await asyncio.wait({sender})
    for name, task in tasks.running.items():
        if name not in ("writer", "sender"):
            task.cancel()
    writer.stop()
    await asyncio.wait(set(tasks.running.values()))


# --- reloading ----------------------------------------------------------------------------------------------------------


async def _reload(
    live: Live, path: Path | None, env: Mapping[str, str], writer: Writer, reconciler: Reconciler
) -> bool:
    """Take the files whole, or refuse them loudly and keep what is in force. Returns whether they were taken."""
    try:
        fresh = await asyncio.to_thread(from_files, path, env)
    except (ConfigError, TreeError) as error:
        log.error("configuration refused, the last good one stays", problems=str(error).splitlines())  # noqa: TRY400  # an operator's mistake
        return False
    if _fixed(fresh.configuration) != _fixed(live.configuration):
        log.warning("listen address, database and Discord's address change with the next start only")
    live.configuration, live.library, live.watcher = fresh.configuration, fresh.library, fresh.watcher
    log.info("configuration taken", channels=len(live.configuration.channels), trees=len(live.library.trees))
    writer.look()
    reconciler.reload()
    return True


def _fixed(configuration: Configuration) -> tuple[object, ...]:
    return (configuration.listen, configuration.database_url, configuration.discord_api)


async def _watch(live: Live, reload: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    """Reload when a file changed. SIGHUP does the same at once."""
    while True:
        await asyncio.sleep(WATCH_EVERY)
        if await asyncio.to_thread(live.watcher.changed):
            await reload()


# --- serving ------------------------------------------------------------------------------------------------------------


async def serve(path: Path | None, env: Mapping[str, str]) -> None:
    """Run until SIGTERM or SIGINT; SIGHUP reloads. Raises what `running` raises, or what killed a part."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(path, env) as relay:
        reloads: set[asyncio.Task[bool]] = set()

        def hang_up() -> None:
            task = asyncio.ensure_future(relay.reload())
            reloads.add(task)
            task.add_done_callback(reloads.discard)

        loop.add_signal_handler(signal.SIGHUP, hang_up)
        relay.ended.add_done_callback(lambda _: stop.set())
        gc.freeze()  # What the start made stays: looking through all of it again and again would make senders wait.
        await stop.wait()
        if relay.ended.done():
            relay.ended.result()
