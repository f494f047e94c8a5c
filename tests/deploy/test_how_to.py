"""The how-tos say what is so: `sh` blocks run word by word, commands parse, YAML is what its reader takes, links lead somewhere."""

import asyncio
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import kubernetes_validate
import pytest
import typer.main
import yaml

from relay import __version__
from relay.cli import app
from relay.config.load import load
from relay.storage.engine import Database
from relay.tools.init import COMPONENTS
from tests.conftest import ROOT
from tests.deploy.manifests import NEWEST, built, is_custom, objects, pods, problems_of_custom, run
from tests.deploy.pod_security import broken
from tests.tools.payloads import alert, alertmanager

PAGES = sorted((ROOT / "docs/how-to").glob("*.md"))
NAMES = [page.name for page in PAGES]


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def title(self) -> str:
        """The comment it begins with, which says whose it is."""
        found = re.match(r"# (.+)\n", self.text)
        return found[1] if found else ""


def blocks(page: Path, *languages: str) -> Iterator[Block]:
    text = page.read_text()
    for found in re.finditer(r"^( *)```(\w+)\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL):
        indent, language, body = found.groups()
        if not languages or language in languages:
            body = re.sub(rf"^{indent}", "", body, flags=re.MULTILINE)
            yield Block(page, text.count("\n", 0, found.start()) + 1, language, body)


ALL = [block for page in PAGES for block in blocks(page)]
YAML = [block for block in ALL if block.language == "yaml"]
OBJECTS = [block for block in YAML if re.search(r"^apiVersion: \S+/", block.text, re.MULTILINE) and not block.title]
CONFIGURATIONS = [block for block in YAML if block.title == "relay.yaml"]
PATCHES = [block for block in YAML if block.title.startswith("sync.yaml")]


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    assert {block.language for block in ALL} == {"sh", "console", "yaml", "sql"}
    assert len(OBJECTS) >= 6
    assert len(CONFIGURATIONS) >= 5
    assert len(PATCHES) >= 4
    assert all([*yaml.safe_load_all(block.text)] for block in YAML), "what is no object of Kubernetes is YAML still"


# --- YAML ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", CONFIGURATIONS, ids=lambda block: block.place)
def test_a_configuration_is_taken(tmp_path: Path, block: Block) -> None:
    (tmp_path / "relay.yaml").write_text(block.text)
    assert load(tmp_path / "relay.yaml", {}, mounted=False).channels


@pytest.mark.corpus
@pytest.mark.parametrize("block", OBJECTS, ids=lambda block: block.place)
def test_an_object_is_one_that_is_taken(block: Block) -> None:
    for one in objects(block.text):
        if is_custom(one):
            assert problems_of_custom(one) == []
        else:
            kubernetes_validate.validate(one, NEWEST, strict=True)
    for name, spec in pods(objects(block.text)):
        assert broken(spec) == [], name


@pytest.mark.parametrize("block", PATCHES, ids=lambda block: block.place)
def test_a_change_of_sync_yaml_fits_what_is_there(tmp_path: Path, block: Block) -> None:
    """On all components that stand beside it, or on those that it names."""
    told = yaml.safe_load(block.text)
    assert set(told) <= {"components", "healthChecks", "patches"}
    deployment = "Deployment" in block.text
    own = [Path(one).name for one in told.get("components", [])]
    chosen = own or ["network-policy", *["postgres"] * deployment]
    assert set(chosen) <= set(COMPONENTS)
    before = built(tmp_path, "workload", chosen)
    file = tmp_path / "kustomization.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "patches": told.get("patches", [])}))
    after = objects(run("kubectl", "kustomize", str(tmp_path)))
    assert (before != after) == ("patches" in told)
    for one in after:
        kubernetes_validate.validate(one, NEWEST, strict=True)
    for check in told.get("healthChecks", []):
        assert [one for one in after if one["kind"] == check["kind"] and one["metadata"]["name"] == check["name"]]


def test_the_base_can_be_given_another_configuration(tmp_path: Path) -> None:
    """The block for Kustomize alone, with what it fetches taken from here."""
    (block,) = [block for block in YAML if block.title == "kustomization.yaml"]
    told = yaml.safe_load(block.text)
    for key in ("resources", "components"):
        told[key] = [os.path.relpath(ROOT / re.split(r"//|\?", one)[2], tmp_path) for one in told[key]]
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(told))
    (tmp_path / "relay.yaml").write_text("cluster: mine\n")
    (config,) = [one for one in objects(run("kubectl", "kustomize", str(tmp_path))) if one["kind"] == "ConfigMap"]
    assert config["data"] == {"relay.yaml": "cluster: mine\n"}
    assert config["metadata"]["name"] == "relay"


# --- commands -----------------------------------------------------------------------------------------------------------


def commands(block: Block) -> Iterator[str]:
    text = block.text.replace("\\\n", " ")
    for line in text.splitlines():
        assert block.language == "sh" or line.startswith("$ "), block.place
        yield line.removeprefix("$ ")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_of_the_relays_is_one_that_it_has(page: Path) -> None:
    inline = re.findall(r"`(relay [a-z][^`\n]*)`", page.read_text())
    lines = [line for block in blocks(page, "sh", "console") for line in commands(block)]
    for line in [*lines, *inline]:
        found = re.search(r"(?:^|-- )relay ([a-z].*)", line)
        if found and "KIND" not in line and "…" not in line:
            parses(shlex.split(found[1].split(" >")[0]))


def parses(words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    context = click.Context(command)
    while isinstance(command, click.Group) or hasattr(command, "commands"):
        name = words[0]
        assert name in command.commands, words
        command, words = command.commands[name], words[1:]
        if not words:
            return
    if words and words[0] != "FILE" and "--help" not in words:
        command.make_context(command.name, list(words), parent=context)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An operator's machine: a repository, the programs, a database, and the words of a webhook and an age key."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    run("age-keygen", "-o", str(tmp_path / "keys.txt"))
    programs = tmp_path / "bin"
    programs.mkdir()
    relay = f'#!/bin/sh\nexec "{sys.executable}" -m relay "$@"\n'
    (programs / "relay").write_text(relay)
    (programs / "relay").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("AGE_RECIPIENT", run("age-keygen", "-y", str(tmp_path / "keys.txt")).strip())
    monkeypatch.setenv("DISCORD_WEBHOOK_URL", "https://discord.com/api/webhooks/11/" + "x" * 68)
    monkeypatch.setenv("RELAY_DATABASE_URL", f"sqlite:///{tmp_path / 'relay.db'}")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "operator")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "operator@example.org")
    (tmp_path / ".git/info/exclude").write_text("/*\n!/clusters\n")
    return tmp_path


async def _migrated(url: str) -> None:
    database = Database.open(url)
    await database.migrate()
    await database.close()


@pytest.mark.parametrize("page", [page for page in PAGES if [*blocks(page, "sh")]], ids=lambda page: page.name)
def test_a_page_followed_word_by_word_works(desk: Path, page: Path) -> None:
    asyncio.run(_migrated(os.environ["RELAY_DATABASE_URL"]))
    for block in blocks(page, "yaml"):
        if block.title == "relay.yaml":
            (desk / "relay.yaml").write_text(block.text)
    (desk / "payload.json").write_bytes(alertmanager(alert()))
    script = "".join(block.text for block in blocks(page, "sh"))
    done = subprocess.run(["sh", "-euc", script], cwd=desk, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr or done.stdout
    if page.name == "install-with-flux.md":
        assert not [*desk.rglob("*.sops-me.yaml")]
        committed = run("git", "ls-files", at=desk).split()
        assert {Path(name).name for name in committed} >= {"sync.yaml", "relay.yaml", "relay.sops.yaml", ".sops.yaml"}


# --- words --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs/how-to/README.md").read_text()
    assert {page.name for page in PAGES} == {"README.md", *re.findall(r"\(([a-z-]+\.md)\)", index)}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_version_that_is_named_is_this_one(page: Path) -> None:
    assert set(re.findall(r"\bv\d+\.\d+\.\d+\b", page.read_text())) <= {f"v{__version__}"}


def test_all_components_are_explained() -> None:
    text = (ROOT / "deploy/README.md").read_text()
    assert not [name for name in COMPONENTS if f"`{name}`" not in text]
