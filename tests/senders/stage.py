"""Real senders around a real relay: Prometheus scrapes a switch, Alertmanager tells the relay, and the stand-in is Discord."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web

from relay.app import running
from relay.demo.discord import StandIn
from tests.conftest import ROOT

TOKEN = "a-bearer-token-for-tests"  # made for this test
PATIENCE = 45.0
"""Seconds for what takes the senders a few of their own ticks."""

PROMETHEUS = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["127.0.0.1:{alertmanager}"]}}]}}]}}
scrape_configs: [{{job_name: switch, static_configs: [{{targets: ["127.0.0.1:{switch}"]}}]}}]
"""

RULES = """
groups:
- name: switch
  rules:
  - alert: KubePodCrashLooping
    expr: crash_looping == 1
    labels: {severity: critical}
    annotations: {summary: Pod is crash looping., description: 'Pod {{ $labels.namespace }}/{{ $labels.pod }} is crash looping.'}
  - alert: KubePersistentVolumeFillingUp
    expr: filling_up == 1
    labels: {severity: critical}
    annotations: {summary: PersistentVolume is filling up.}
  - alert: Watchdog
    expr: watchdog == 1
    labels: {severity: none}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Switch:
    """What Prometheus scrapes: each series is one line, set by the test."""

    series: dict[str, int] = field(default_factory=dict)

    async def metrics(self, _: web.Request) -> web.Response:
        return web.Response(text="".join(f"{name} {value}\n" for name, value in self.series.items()))


@dataclass
class Stage:
    """The test's hands and eyes."""

    switch: Switch
    discord: StandIn
    relay: str
    """Where it listens."""

    async def until_told(self, times: int) -> None:
        """Wait until the relay has taken so many deliveries from Alertmanager."""
        deadline = time.monotonic() + PATIENCE
        async with aiohttp.ClientSession() as session:
            while (told := await self._told(session)) < times:
                assert time.monotonic() < deadline, f"told {told} times"
                await asyncio.sleep(0.2)

    async def _told(self, session: aiohttp.ClientSession) -> int:
        counted = r'^relay_requests_total\{code="202",sender="alertmanager"\} (\d+)'
        async with session.get(f"{self.relay}/metrics") as answer:
            found = re.search(counted, await answer.text(), re.MULTILINE)
        return int(found[1]) if found else 0

    async def until(self, sentence: str, seen: Callable[[], bool]) -> None:
        """Wait for what the channel shows; the sentence is the failure's text."""
        deadline = time.monotonic() + PATIENCE
        while not seen():
            shown = [message.text for message in self.discord.messages()]
            assert time.monotonic() < deadline, f"{sentence}; the channel shows {shown}"
            await asyncio.sleep(0.05)


@asynccontextmanager
async def program(*command: str, log: Path, ready: str) -> AsyncIterator[None]:
    """A real program, until the block ends. It is ready when `ready` answers 200."""
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(*command, stdout=out, stderr=out)
    try:
        async with aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE):
            while True:
                assert process.returncode is None, f"{command[0]} ended: see {log.name}"
                try:
                    async with session.get(ready) as answer:
                        if answer.status == 200:
                            break
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.1)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@asynccontextmanager
async def stage(folder: Path, *, group_by: str) -> AsyncIterator[Stage]:
    """Switch, Prometheus, Alertmanager, relay and Discord, each waiting for what it needs."""
    ports = {name: free_port() for name in ("switch", "prometheus", "alertmanager", "relay")}
    switch, discord = Switch(), StandIn()
    discord.add_webhook("11", "token", "20", "1", name="relay")
    discord.add_role("1234", "oncall")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(_serving(switch, ports["switch"]))
        api = await stack.enter_async_context(discord.running())
        await stack.enter_async_context(running(_relay_file(folder, api), _relay_env(folder, api, ports["relay"])))
        await stack.enter_async_context(_alertmanager(folder, ports, group_by))
        await stack.enter_async_context(_prometheus(folder, ports))
        yield Stage(switch, discord, f"http://127.0.0.1:{ports['relay']}")


@asynccontextmanager
async def _serving(switch: Switch, port: int) -> AsyncIterator[None]:
    application = web.Application()
    application.router.add_get("/metrics", switch.metrics)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield
    finally:
        await runner.cleanup()


def _relay_file(folder: Path, api: str) -> Path:
    (folder / "token").write_text(TOKEN + "\n")
    (folder / "webhook").write_text(f"{api}/webhooks/11/token\n")
    file = folder / "relay.yaml"
    file.write_text(
        "cluster: homelab\n"
        f"sources: {{alertmanager: {{bearer_token_file: {folder / 'token'}}}}}\n"
        f"channels: {{ops: {{webhook_url_file: {folder / 'webhook'}, mention: ['<@&1234>'], status: false}}}}\n"
        "incidents: {settle: 2s}\n"
    )
    return file


def _relay_env(folder: Path, api: str, port: int) -> dict[str, str]:
    return {
        "RELAY_DISCORD_API": api,
        "RELAY_LISTEN": f"127.0.0.1:{port}",
        "RELAY_DATABASE_URL": f"sqlite:///{folder / 'relay.db'}",
    }


def alertmanager_yml(group_by: str, relay: str, token: Path) -> str:
    """The snippet that operators take, with the relay and its token where they are here, and in a test's hurry."""
    told = yaml.safe_load((ROOT / "deploy/alertmanager/alertmanager.yml").read_text())
    told["route"] |= {"group_by": [group_by], "group_wait": "1s", "group_interval": "1s"}
    for route in told["route"]["routes"]:
        route |= {"group_interval": "1s", "repeat_interval": "1s"}
    text: str = yaml.safe_dump(told)
    address, place = "http://relay.relay.svc:8080/", "/etc/alertmanager/relay-token"
    assert text.count(address) == text.count(place) == len(told["receivers"])
    return text.replace(address, f"{relay}/").replace(place, str(token))


@asynccontextmanager
async def _alertmanager(folder: Path, ports: dict[str, int], group_by: str) -> AsyncIterator[None]:
    file = folder / "alertmanager.yaml"
    file.write_text(alertmanager_yml(group_by, f"http://127.0.0.1:{ports['relay']}", folder / "token"))
    binary = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager") or "prometheus-alertmanager"
    async with program(
        binary,
        f"--config.file={file}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{ports['alertmanager']}",
        "--cluster.listen-address=",
        log=folder / "alertmanager.log",
        ready=f"http://127.0.0.1:{ports['alertmanager']}/-/ready",
    ):
        yield


@asynccontextmanager
async def _prometheus(folder: Path, ports: dict[str, int]) -> AsyncIterator[None]:
    (folder / "rules.yaml").write_text(RULES)
    file = folder / "prometheus.yaml"
    file.write_text(
        PROMETHEUS.format(rules=folder / "rules.yaml", alertmanager=ports["alertmanager"], switch=ports["switch"])
    )
    async with program(
        "prometheus",
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{ports['prometheus']}",
        log=folder / "prometheus.log",
        ready=f"http://127.0.0.1:{ports['prometheus']}/-/ready",
    ):
        yield
