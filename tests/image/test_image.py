"""The image is what the Dockerfile says, built from what is committed, and runs read-only as anybody."""

import asyncio
import json
import platform
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from relay.demo.discord import StandIn
from tests.image.stage import (
    Container,
    Image,
    Store,
    as_root,
    base_named,
    committed,
    debian,
    free_port,
    listed,
    said,
    wheels,
)
from tests.path.stage import KEY, PATIENCE, TOKEN

TAG = "localhost/relay"
STOPPING = 5.0
"""Seconds from SIGTERM to the end."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """With the base in it."""
    made = Store(tmp_path_factory.mktemp("images"))
    made.bring(base_named(), debian(base_named()))
    yield made
    made.emptied()


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return committed(tmp_path_factory.mktemp("context"))


@pytest.fixture(scope="module")
def image(store: Store, context: Path) -> Image:
    return store.build(TAG, base_named(), context, wheels(base_named(), platform.machine()))


@pytest.fixture(scope="module")
def root(store: Store, image: Image) -> Path:
    assert image.layers
    return store.unpacked(TAG)


@pytest.fixture
async def standin() -> AsyncIterator[tuple[StandIn, str]]:
    made = StandIn()
    made.add_webhook("11", "token", "20", "30")
    async with made.running() as api:
        yield made, api


@pytest.fixture
def container(image: Image, root: Path, standin: tuple[StandIn, str], tmp_path: Path) -> Iterator[Container]:
    """Configured by its environment alone, and /data is the stranger's group's."""
    data = tmp_path / "data"
    said(as_root("install", "-d", "-o", "0", "-g", "0", "-m", "0770", data))
    yield Container(
        image,
        root,
        data,
        {
            "DISCORD_WEBHOOK_URL": f"{standin[1]}/webhooks/11/token",
            "RELAY_ALERTMANAGER_TOKEN": TOKEN,
            "RELAY_DISCORD_API": standin[1],
            "RELAY_FLUX_HMAC_KEY": KEY.decode(),
            "RELAY_LISTEN": f"127.0.0.1:{free_port()}",
        },
    )
    subprocess.run(as_root("rm", "-rf", data), check=True)


# --- what it is ---------------------------------------------------------------------------------------------------------


def test_what_it_says_of_itself_fits_a_cluster_that_trusts_nobody(image: Image) -> None:
    config = image.config
    assert config["User"] == "65532:65532", "a number, so that runAsNonRoot can be checked"
    assert config["Entrypoint"] == ["relay"], "no shell between"
    assert config["Cmd"] == ["serve"]
    assert config["Healthcheck"]["Test"] == ["CMD", "relay", "health"]
    assert config["Volumes"] == {"/data": {}}
    assert config["WorkingDir"] == "/data"
    assert config["ExposedPorts"] == {"8080/tcp": {}}
    assert image.env["RELAY_LISTEN"] == "0.0.0.0:8080"
    assert image.env["RELAY_DATABASE_URL"] == "sqlite:////data/relay.db"
    labels = {name.removeprefix("org.opencontainers.image.") for name in config["Labels"]}
    assert {"title", "description", "licenses"} <= labels


def test_it_carries_the_relay_and_nothing_of_its_making(root: Path) -> None:
    carried = listed(root, "opt/relay")
    assert carried
    assert sum(one.size for one in carried if one.kind == "f") < 130_000_000, "bytes upon the base"
    assert not [one.path for one in carried if Path(one.path).name in {"pip", "__pycache__"}], (
        "bytecode lies in one place"
    )
    assert not listed(root, "src", "build", "etc/pip.conf")


def test_nobody_but_root_can_change_what_runs(root: Path) -> None:
    others_or_as_somebody = 0o6022
    loose = [one for one in listed(root, "opt") if one.kind != "l" and one.mode & others_or_as_somebody]
    assert not loose
    assert {one.owner for one in listed(root, "opt")} == {(0, 0)}


def test_data_is_open_to_its_user_and_to_group_0(root: Path) -> None:
    assert [(one.kind, one.mode, one.owner) for one in listed(root, "data")] == [("d", 0o770, (65532, 0))]


def test_its_python_is_the_one_the_dockerfile_names(container: Container) -> None:
    asked = container.run("--version", entrypoint=["/opt/relay/bin/python"])
    assert asked.stdout.startswith(f"Python {base_named().python}."), asked.stderr


def test_the_same_sources_make_the_same_image(store: Store, context: Path, image: Image) -> None:
    again = store.build(f"{TAG}:again", base_named(), context, wheels(base_named(), platform.machine()))
    assert again.layers == image.layers


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_package_comes_ready_made_for(machine: str) -> None:
    found = wheels(base_named(), machine)
    assert any(machine in path.name for path in found.iterdir())


# --- what it does -------------------------------------------------------------------------------------------------------


def test_it_can_write_nowhere_but_in_data(container: Container) -> None:
    tried = (
        "import sys\nfor at in sys.argv[1:]:\n try: open(at + '/x', 'w')\n except OSError as e: print(at, e.strerror)"
    )
    asked = container.run("-c", tried, "", "/tmp", "/opt/relay", "/data", entrypoint=["/opt/relay/bin/python"])  # noqa: S108  # in the image
    assert asked.stdout.splitlines() == [f"{at} Read-only file system" for at in ("", "/tmp", "/opt/relay")]  # noqa: S108


def test_a_start_compiles_nothing(container: Container) -> None:
    asked = container.run(
        "-c",
        "import os, sys, relay.cli, relay.app, relay.tools.running\n"
        "specs = [module.__spec__ for module in list(sys.modules.values())]\n"
        "print(*[s.name for s in specs if s and s.has_location and s.cached and not os.path.exists(s.cached)])",
        entrypoint=["/opt/relay/bin/python"],
    )
    assert asked.stdout == "\n", asked.stderr


def test_it_runs_as_its_own_user_too(container: Container) -> None:
    assert container.run("--version", user="65532:65532").stdout.startswith("relay "), (
        "65532 is not in /etc/passwd either"
    )


async def test_a_stranger_serves_stores_and_stops_in_time(container: Container, standin: tuple[StandIn, str]) -> None:
    async with container.serving() as relay:
        assert container.run("health").stdout == "ready\n"
        await relay.fires("KubePodCrashLooping")
        fired = time.monotonic()
        while not any("sonarr" in message.content for message in standin[0].messages("20")):
            assert relay.child.returncode is None, relay.log.read_text()[-2000:]
            assert time.monotonic() - fired < PATIENCE, "an alert is shown"
            await asyncio.sleep(0.05)
        told = time.monotonic()
        relay.kill(signal.SIGTERM)
        assert await relay.ended(STOPPING + 5) == 0
        assert time.monotonic() - told < STOPPING

    asked = container.run("health")
    assert (asked.returncode, asked.stdout) == (1, "")
    assert "connection refused" in asked.stderr
    owners = said(as_root("find", container.data, "-name", "relay.db", "-printf", "%U:%G"))
    assert owners == "4242:0"

    async with container.serving() as relay:
        asked = container.run("list", "--json")
        assert asked.returncode == 0, asked.stderr
        kept = [(one["name"], one["channels"]["discord"]["is"]) for one in json.loads(asked.stdout)]
        assert kept == [("sonarr", "shown")]
        relay.kill(signal.SIGTERM)
        assert await relay.ended(STOPPING) == 0
