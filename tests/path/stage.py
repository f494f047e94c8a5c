"""A relay between senders that sign and a Discord that is strict: what a person would do to it, in a word each."""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import Connection

from relay.app import Relay, running
from relay.config.load import load
from relay.config.values import Configuration
from relay.demo.discord import Message, StandIn
from relay.storage import delivery, lists, meta
from relay.storage.engine import Database
from tests.conftest import ROOT

KEY = b"a-key-of-forty-characters-for-these-test"
TOKEN = "a-bearer-token-for-tests"
ROLE = "1234"
PATIENCE = 20.0
"""Real seconds for what the relay owes at once."""
CALM = 300.0
"""Seconds: what is due later is only a count to be refreshed."""

Json = dict[str, Any]

OPS = "{webhook_url_file: discord-ops, mention: ['<@&1234>'], status: false}"
CHANNELS = f"channels: {{ops: {OPS}}}\n"
TWO = f"channels:\n  ops: {OPS}\n  deploys: {{webhook_url_file: discord-deploys, status: false}}\n"
BOTH = "routes: [{channels: [ops, deploys]}]\n"


@dataclass
class Clock:
    """The time of relay and Discord: it runs as everybody's does, and skips forward when told."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def alert(
    alertname: str = "KubePodCrashLooping",
    severity: str = "critical",
    /,
    *,
    pod: str = "sonarr-66cc5c9fcf-9rccg",
    starts: float,
    ends: float | None = None,
    **labels: str,
) -> Json:
    """One alert of Alertmanager's: firing, or resolved where it `ends`."""
    return {
        "status": "firing" if ends is None else "resolved",
        "labels": {
            "alertname": alertname,
            "severity": severity,
            "namespace": "media",
            "pod": pod,
            "uid": "u",
            **labels,
        },
        "annotations": {"summary": "Pod is crash looping.", "description": f"Pod media/{pod} is crash looping."},
        "startsAt": rfc3339(starts),
        "endsAt": rfc3339(ends) if ends is not None else "0001-01-01T00:00:00Z",
        "generatorURL": "https://prometheus.example.org/graph",
        "fingerprint": "0123456789abcdef",
    }


def group(*alerts: Json, key: str = '{}:{alertname="x"}') -> Json:
    return {"version": "4", "receiver": "relay", "status": "firing", "groupKey": key, "alerts": list(alerts)}


def event(
    name: str = "apps",
    *,
    kind: str = "Kustomization",
    reason: str = "BuildFailed",
    message: str = "kustomize build failed: no such file",
    severity: str = "error",
    at: float,
    **metadata: str,
) -> Json:
    """One event of Flux's."""
    return {
        "involvedObject": {"kind": kind, "namespace": "flux-system", "name": name, "uid": "7d1c"},
        "severity": severity,
        "timestamp": rfc3339(at),
        "message": message,
        "reason": reason,
        "metadata": {"revision": "main@sha1:3ebb95c2d1f0a9b8c7d6e5f4a3b2c1d0e9f8a7b6", **metadata},
        "reportingController": "kustomize-controller",
        "reportingInstance": "kustomize-controller-0",
    }


def recovery(name: str = "apps", *, at: float) -> Json:
    """A health beat: closes its Kustomization."""
    return event(
        name,
        reason="ReconciliationSucceeded",
        message="Reconciliation finished",
        severity="info",
        at=at,
        commit_status="update",
    )


@dataclass
class Place:
    """The files of one relay: configuration, secrets, database."""

    folder: Path
    standin: StandIn
    api: str
    clock: Clock
    port: int = 0
    env: dict[str, str] = field(default_factory=dict)
    is_new: bool = False
    """Whether its relay has never heard its senders before, so that what they bring along arrives."""

    def __post_init__(self) -> None:
        self.write("flux-hmac", KEY.decode())
        self.write("token", TOKEN + "\n")
        self.webhook("ops", "11", "token")
        self.webhook("deploys", "12", "other")
        self.configure()
        self.env = {
            "RELAY_DISCORD_API": self.api,
            "RELAY_LISTEN": f"127.0.0.1:{self.port}",
            "RELAY_DATABASE_URL": f"sqlite:///{self.database}",
        }

    @property
    def file(self) -> Path:
        return self.folder / "relay.yaml"

    @property
    def database(self) -> Path:
        return self.folder / "relay.db"

    def write(self, name: str, text: str) -> None:
        """Write a file as Kubernetes does: whoever looks at it meanwhile finds what it held before, or what it holds now."""
        beside = self.folder / f"{name}~"
        beside.write_text(text)
        beside.replace(self.folder / name)

    def webhook(self, channel: str, number: str, token: str) -> None:
        """Write a channel's webhook URL, as a person pastes it."""
        self.write(f"discord-{channel}", f"{self.api}/webhooks/{number}/{token}\n")

    def configure(self, *parts: str, hold: str = "0s") -> None:
        """Write the configuration: the sources, and what is given; one channel without a word."""
        self.write(
            "relay.yaml",
            "cluster: homelab\n"
            f"sources: {{flux: {{hmac_key_file: flux-hmac, hold: {hold}}}, alertmanager: {{bearer_token_file: token}}}}\n"
            + ("".join(parts) or CHANNELS),
        )

    def free_port(self) -> None:
        """Take a port that stays the same over restarts."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.env["RELAY_LISTEN"] = f"127.0.0.1:{self.port}"


@dataclass
class Sender:
    """Flux and Alertmanager, to one relay."""

    url: str
    session: aiohttp.ClientSession
    clock: Clock

    async def post(self, path: str, body: Json | bytes, headers: dict[str, str] | None = None) -> int:
        """One delivery, signed as its source does unless told otherwise. Returns the status."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        proof = (
            {"X-Signature": f"sha256={hmac.digest(KEY, raw, 'sha256').hex()}"}
            if path == "/flux"
            else {"Authorization": f"Bearer {TOKEN}"}
        )
        async with self.session.post(
            self.url + path, data=raw, headers=proof if headers is None else headers
        ) as answer:
            await answer.read()
            return answer.status

    async def get(self, path: str) -> tuple[int, str]:
        async with self.session.get(self.url + path) as answer:
            return answer.status, await answer.text()

    async def alerts(self, *alerts: Json, key: str = '{}:{alertname="x"}') -> None:
        assert await self.post("/alertmanager", group(*alerts, key=key)) == 202

    async def fires(self, name: str = "KubePodCrashLooping", severity: str = "critical", **more: Any) -> Json:  # noqa: ANN401  # an alert's
        """An alert fires now. Returns it, to be resolved."""
        one = alert(name, severity, **({"starts": self.clock()} | more))
        await self.alerts(one)
        return one

    async def resolves(self, *alerts: Json) -> None:
        now = rfc3339(self.clock())
        await self.alerts(*({**one, "status": "resolved", "endsAt": now} for one in alerts))

    async def flux(self, body: Json) -> None:
        assert await self.post("/flux", body) == 202

    async def fails(self, name: str = "apps", **more: Any) -> None:  # noqa: ANN401  # an event's
        await self.flux(event(name, **({"at": self.clock()} | more)))

    async def recovers(self, name: str = "apps") -> None:
        await self.flux(recovery(name, at=self.clock()))


@dataclass
class Running(Sender):
    """One relay in this process, and what its channels show."""

    relay: Relay
    standin: StandIn

    async def settled(self, *, but: Sequence[str] = ()) -> None:
        """Returns once everything due is shown, in every channel `but` these."""
        deadline = time.monotonic() + PATIENCE
        while due := await self.due(but=but):
            if self.relay.ended.done():
                self.relay.ended.result()
            assert time.monotonic() < deadline, f"still due: {due}, shown: {self.shown()}"
            await asyncio.sleep(0.01)

    async def due(self, *, but: Sequence[str] = ()) -> list[str]:
        now = self.clock()
        due = await self.relay.database.read(lambda connection: delivery.channels_due(connection, now))
        return [channel for channel, _ in due if channel not in but]

    async def skip(self, seconds: float) -> None:
        """So much later everything is shown that became due meanwhile."""
        self.clock.ahead += seconds
        self.relay.reconciler.wake()
        await self.settled()

    async def later(self, seconds: float) -> None:
        """As `skip`, and the relay has looked for what time alone brings: deadlines, rules, nights."""
        self.clock.ahead += seconds
        await self.looked()
        await self.settled()

    async def looked(self) -> None:
        """Returns once the writer has looked at the time and at what commands wrote, from the beginning."""
        for _ in range(2):
            looks = self.relay.deadlines.looks
            self.relay.deadlines.look()
            await self.until(lambda looks=looks: self.relay.deadlines.looks > looks, "it looks for what is due")  # type: ignore[misc]
        self.relay.reconciler.wake()

    async def skip_blocked(self, seconds: float) -> None:
        """So much later, where what is due may still not be sent: every Channel has looked again."""
        self.clock.ahead += seconds
        self.relay.reconciler.wake()
        await asyncio.sleep(0.05)

    async def until(self, seen: Callable[[], bool], sentence: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not seen():
            assert time.monotonic() < deadline, f"{sentence}; shown: {self.shown()}"
            await asyncio.sleep(0.01)

    async def until_async(self, seen: Callable[[Connection], bool]) -> None:
        """Wait for what the database holds."""
        deadline = time.monotonic() + PATIENCE
        while not await self.relay.database.read(seen):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)

    def messages(self, channel: str = "20") -> list[Message]:
        return self.standin.messages(channel)

    def shown(self, channel: str | None = None) -> list[str]:
        return [message.content for message in self.standin.messages(channel)]

    def requests(self) -> int:
        """How often Discord was asked to show something."""
        return sum(request.method != "GET" for request in self.standin.requests)

    async def parked(self) -> list[str]:
        """Why, of each Posting that is sent no more."""
        return [posting.parked for posting in await self.relay.database.read(lambda c: lists.parked_postings(c, 100))]

    async def metrics(self) -> dict[str, float]:
        """Every sample by its name and labels, as Prometheus reads it."""
        status, text = await self.get("/metrics")
        assert status == 200
        lines = (line for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def heard_for_long(connection: Connection, names: Sequence[str]) -> None:
    """These senders were first heard long ago: nothing that they tell was there before the relay."""
    for name in names:
        meta.set_meta(connection, meta.FIRST + name, "0.0")


def _senders(configuration: Configuration) -> list[str]:
    return [source.name for source in configuration.sources]


async def _heard_for_long(place: Place) -> None:
    """Beside a relay that runs."""
    names = _senders(load(place.file, place.env))
    database = Database.open(place.env["RELAY_DATABASE_URL"])
    await database.run(partial(heard_for_long, names=names))
    await database.close()


@asynccontextmanager
async def relay_at(place: Place) -> AsyncIterator[Running]:
    """The relay of these files, in this process, until the block ends."""
    async with aiohttp.ClientSession() as session, running(place.file, place.env, clock=place.clock) as relay:
        if not place.is_new:
            await relay.writer.transact(partial(heard_for_long, names=_senders(relay.live.configuration)))
        host, port = relay.addresses[0]
        yield Running(f"http://{host}:{port}", session, place.clock, relay, place.standin)


@dataclass
class Process(Sender):
    """`relay serve`, as an operator starts it."""

    child: asyncio.subprocess.Process
    log: Path

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        self.child.send_signal(number)

    async def ended(self, seconds: float = PATIENCE) -> int:
        async with asyncio.timeout(seconds):
            return await self.child.wait()

    async def ready(self) -> None:
        """Returns once it would take a delivery."""
        async with asyncio.timeout(PATIENCE):
            while True:
                assert self.child.returncode is None, self.log.read_text()[-2000:]
                try:
                    if (await self.get("/readyz"))[0] == 200:
                        return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.02)


@asynccontextmanager
async def process_at(place: Place) -> AsyncIterator[Process]:
    """The real process of these files, ready; killed at the end of the block where it still runs."""
    if not place.port:
        place.free_port()
    log = place.folder / "relay.log"
    with log.open("ab") as out:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "relay", "serve", "--config", str(place.file),
            stdout=out, stderr=out, cwd=ROOT, env={**os.environ, **place.env},
        )  # fmt: skip
    try:
        async with aiohttp.ClientSession() as session:
            process = Process(f"http://127.0.0.1:{place.port}", session, place.clock, child, log)
            await process.ready()
            if not place.is_new:
                await _heard_for_long(place)
            yield process
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()
