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
from sqlalchemy.exc import SQLAlchemyError

from relay import __version__, upkeep
from relay.config.edges import EdgeError, load_edges
from relay.config.environment import Environment
from relay.config.live import Live, from_files, with_data
from relay.config.plain import DataError
from relay.config.problems import ConfigError
from relay.config.trees import TreeError, load_trees
from relay.config.values import Configuration
from relay.core.edges import Edges
from relay.core.event import Instant
from relay.deadlines import Deadlines
from relay.discord.client import DiscordClient
from relay.observe.metrics import Metrics
from relay.ping import Ping
from relay.reconcile import Reconciler
from relay.storage import meta
from relay.storage.engine import Database, UnusableDatabaseError
from relay.storage.promise import NotWritten
from relay.web.door import serve_on
from relay.web.routes import make_handler
from relay.writer import Writer

log = structlog.get_logger(__name__)

WATCH_EVERY: Final = 5.0
"""Seconds between two looks at the files of the configuration."""
LAST_GOOD: Final = "configuration"
"""Under which the last configuration that was taken is kept in the database, without secrets."""
CLOSING: Final = 1.5
"""Seconds for deliveries whose body has come to be committed and answered; what is still coming is not read any more."""
GRACE: Final = 3.0
"""Seconds for the sender to finish its request. Both together are within what Kubernetes and Flux's retries leave."""
CYCLES: Final = 20_000
"""Values made and not yet freed before cycles among them are looked for: a batch holds some thousands, and leaves none."""


@dataclass(slots=True)
class Relay:
    """A relay that runs: where it listens, and its parts, for those who embed it (the demo, tests)."""

    live: Live
    database: Database
    writer: Writer
    deadlines: Deadlines
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


@asynccontextmanager
async def running(
    path: Path | None, env: Mapping[str, str], *, clock: Callable[[], Instant] = time.time
) -> AsyncIterator[Relay]:
    """A relay, from start to a stop that loses nothing. Raises ConfigError, UnusableDatabaseError or OSError at start."""
    async with AsyncExitStack() as parts:
        metrics = Metrics(version=__version__)
        live = await _first(path, env, metrics)
        database = Database.open(live.configuration.database_url.reveal(), serving=True)
        parts.push_async_callback(database.close)
        await database.migrate()
        ended = asyncio.get_running_loop().create_future()
        tasks = _Tasks(ended)
        session = await parts.enter_async_context(aiohttp.ClientSession(auto_decompress=True))
        client = DiscordClient(session, live.configuration.discord_api, user_agent())
        live.edges = _edges(live, metrics)
        writer = Writer(database, lambda: live.policy, clock, metrics)
        reconciler = Reconciler(
            database, writer, client, lambda: live.configuration, lambda: live.library, clock, metrics
        )
        writer.changed = reconciler.wake
        parts.push_async_callback(_stopped, tasks, writer, reconciler)
        tasks.start("writer", writer.run())
        deadlines = Deadlines(database, writer, lambda: live.policy, clock)
        tasks.start("deadlines", deadlines.run())
        await writer.started()
        handler = make_handler(writer, lambda: live.configuration, clock, metrics, alive=lambda: tasks.alive)
        runner = await serve_on(handler, *live.configuration.listen, shutdown_timeout=CLOSING)
        parts.push_async_callback(_closed, runner, writer)
        tasks.start("sender", _send(live, deadlines, reconciler, metrics))
        tasks.start("history", upkeep.prune_history(writer, lambda: live.configuration, clock))
        ping = Ping(session, database, lambda: live.configuration, lambda: reconciler.dead, clock, metrics)
        tasks.start("ping", ping.run())
        tasks.start("tally", upkeep.keep_tally(writer, metrics, clock))
        tasks.start("gauges", upkeep.measure(database, metrics, lambda: live.policy.channels, clock))

        async def reload(*, again: bool = False) -> bool:
            return await _reload(live, path, env, writer, deadlines, reconciler, metrics, again=again)

        tasks.start("configuration", _watch(live, reload))
        await _remember(live, writer)
        _say_what_is_open(live)
        relay = Relay(live, database, writer, deadlines, reconciler, metrics, _addresses(runner), ended, reload)
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


def _edges(live: Live, metrics: Metrics) -> Edges:
    """The edges, before the first delivery. A broken one of the operator's stops nobody."""
    try:
        return load_edges(live.configuration.edges_folder)
    except EdgeError as error:
        log.error("edges refused, those that ship with the relay are in use", problems=str(error).splitlines())  # noqa: TRY400  # an operator's mistake
        metrics.configuration_refused.set(1)
        return load_edges()


async def _send(live: Live, deadlines: Deadlines, reconciler: Reconciler, metrics: Metrics) -> None:
    """The sender, once the trees are read: deliveries need not wait for them. A broken tree of the operator's stops nobody."""
    before = live.library
    try:
        library = await asyncio.to_thread(load_trees, live.configuration.trees_folder)
    except TreeError as error:
        log.error("trees refused, those that ship with the relay are in use", problems=str(error).splitlines())  # noqa: TRY400  # an operator's mistake
        metrics.configuration_refused.set(live.library is before)
        library = await asyncio.to_thread(load_trees)
    if live.library is before:  # Else a reload was faster.
        live.library = library
    deadlines.look()
    await reconciler.run()


# --- the last good configuration ----------------------------------------------------------------------------------------


async def _first(path: Path | None, env: Mapping[str, str], metrics: Metrics) -> Live:
    """What the files say; where they are refused, what they said when they were last taken. Raises ConfigError."""
    try:
        return from_files(path, env)
    except ConfigError as error:
        kept = await _kept(env)
        if kept is None:
            raise
        try:
            live = from_files(path, env, text=kept)
        except ConfigError:
            raise error from None
        live.refused = str(error)
        metrics.configuration_refused.set(1)
        log.error("configuration refused, the last good one is in use", problems=live.refused.splitlines())  # noqa: TRY400  # as above
        return live


async def _kept(env: Mapping[str, str]) -> str | None:
    """The last configuration that was taken, without secrets; None where there is none, or no database that holds one."""
    wrong: list[str] = []
    url = Environment(env, lambda name, _: wrong.append(name)).database_url()
    if wrong:
        return None
    try:
        database = Database.open(url.reveal(), making=False)
    except UnusableDatabaseError:
        return None
    try:
        return (
            await database.read(lambda connection: meta.get_meta(connection, LAST_GOOD))
            if await database.version()
            else None
        )
    except SQLAlchemyError:
        return None
    finally:
        await database.close()


async def _remember(live: Live, writer: Writer) -> None:
    """Keep what was taken. A database that is away for a while stops no start: the next change is remembered."""
    text = live.configuration.text
    try:
        await writer.transact(lambda connection: meta.set_meta(connection, LAST_GOOD, text))
    except NotWritten as error:
        log.warning("configuration not remembered", why=str(error))


# --- reloading ----------------------------------------------------------------------------------------------------------


async def _reload(
    live: Live,
    path: Path | None,
    env: Mapping[str, str],
    writer: Writer,
    deadlines: Deadlines,
    reconciler: Reconciler,
    metrics: Metrics,
    *,
    again: bool = False,
) -> bool:
    """Take the files whole, or refuse them loudly and keep what is in force. Returns whether they were taken.

    `again`: nobody asked, so that what was said already is not said again.
    """
    try:
        fresh = await asyncio.to_thread(from_files, path, env)
        live.watcher = fresh.watcher  # What may still be wrong is mended in what it names.
        await asyncio.to_thread(with_data, fresh)
    except (ConfigError, DataError) as error:
        why = str(error)
        if not again or why != live.refused:
            log.error("configuration refused, the last good one stays", problems=why.splitlines())  # noqa: TRY400  # as above
        live.refused = why if isinstance(error, ConfigError) else ""
        metrics.configuration_refused.set(1)
        return False
    if _fixed(fresh.configuration) != _fixed(live.configuration):
        log.warning("listen address, database and Discord's address change with the next start only")
    live.take(fresh)
    metrics.configuration_refused.set(0)
    log.info("configuration taken", channels=len(live.configuration.channels), trees=len(live.library.trees))
    deadlines.look()
    reconciler.reload()
    await _remember(live, writer)
    return True


def _fixed(configuration: Configuration) -> tuple[object, ...]:
    return (configuration.listen, configuration.database_url, configuration.discord_api)


async def _watch(live: Live, reload: Callable[..., Coroutine[Any, Any, bool]]) -> None:
    """Reload when a file changed; SIGHUP does the same at once. What was refused is tried each time: a secret may come later."""
    while True:
        await asyncio.sleep(WATCH_EVERY)
        if await asyncio.to_thread(live.watcher.changed) or live.refused:
            await reload(again=True)


# --- serving ------------------------------------------------------------------------------------------------------------


async def serve(path: Path | None, env: Mapping[str, str]) -> None:
    """Run until SIGTERM or SIGINT; SIGHUP reloads. Raises what `running` raises, or what killed a part."""
    loop = asyncio.get_running_loop()
    stop, hung_up = asyncio.Event(), asyncio.Event()
    # All before the door opens: a signal that nobody waits for would end the process on the spot.
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, hung_up.set)
    async with running(path, env) as relay:
        relay.ended.add_done_callback(lambda _: stop.set())
        reloads = asyncio.create_task(_reload_when(hung_up, relay))
        gc.freeze()  # What the start made stays: looking through all of it again and again would make senders wait.
        gc.set_threshold(CYCLES)
        await stop.wait()
        reloads.cancel()
        if relay.ended.done():
            relay.ended.result()


async def _reload_when(hung_up: asyncio.Event, relay: Relay) -> None:
    while True:
        await hung_up.wait()
        hung_up.clear()
        await relay.reload()
