"""What the pages name is there: commands parse, links lead somewhere, and metrics, alerts, leaves and log lines are the relay's own."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from relay import __version__
from relay.cli import app
from relay.config.trees import load_trees
from relay.observe.metrics import Metrics
from tests.conftest import ROOT
from tests.deploy.test_how_to import parses

PAGES = [ROOT / name for name in ("README.md", "docs/tutorial.md", "docs/operations.md", "docs/security.md")]
OPERATIONS = " ".join((ROOT / "docs/operations.md").read_text().split())
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def slug(heading: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)}


@every_page
def test_links_lead_somewhere_and_so_do_their_anchors(page: Path) -> None:
    for path, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]+))?\)", page.read_text()):
        target = page.parent / path if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), anchor


@every_page
def test_every_command_is_one_that_there_is(page: Path) -> None:
    text = page.read_text()
    inline = re.findall(r"`(?:[^`\n]*-- )?relay ([a-z][^`\n]*)`", text)
    typed = re.findall(r"^(?:\$ )?(?:[^\n]*-- )?relay ([a-z].*)$", text, re.MULTILINE)
    for line in [*inline, *typed]:
        words = shlex.split(re.split(r" [<>|]", line)[0])
        parses(["quiet", "for", *words[1:]] if words[0] == "quiet" and words[1:2] == ["k7f3"] else words)


@every_page
def test_a_version_that_is_named_is_this_one(page: Path) -> None:
    assert set(re.findall(r"\bv\d+\.\d+\.\d+\b", page.read_text())) <= {f"v{__version__}"}


@every_page
def test_metrics_are_those_that_are_served(page: Path) -> None:
    served = {family.name for family in Metrics(version=__version__).registry.collect()}
    for name in re.findall(r"\brelay_[a-z_]+", page.read_text()):
        assert name.removesuffix("_total") in served, name


def test_the_readme_names_every_command() -> None:
    named = re.findall(r"(?:relay|make) ([a-z]+)", (ROOT / "README.md").read_text())
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    assert {*commands, *(group.name for group in app.registered_groups)} <= set(named)


@pytest.mark.parametrize(
    "line",
    [
        "delivery refused",
        "by its headers",
        "by its signature",
        "has no credentials",
        "not sent",
        "database away",
        "configuration refused",
        "another replica sends",
        "this replica sends",
        "Another relay serves from this database",
        "The database was written by a newer relay",
        "the webhook is gone",
        "does not answer",
        "not Discord answers but its edge",
        "asks to wait",
        "has sent no news",
        "hears two clusters by one name",
    ],
)
def test_what_the_troubleshooting_quotes_is_what_the_relay_says(line: str) -> None:
    assert line in OPERATIONS
    assert any(line in source.read_text() for source in (ROOT / "relay").rglob("*.py"))


def test_every_alert_about_the_relay_has_a_leaf_and_is_told_what_to_do() -> None:
    rules = yaml.safe_load((ROOT / "deploy/components/monitoring/prometheusrule.yaml").read_text())
    alerts = {rule["alert"] for group in rules["spec"]["groups"] for rule in group["rules"]}
    own = re.findall(r'"(Relay[A-Z]\w+)"', (ROOT / "relay/core/own.py").read_text())
    examples = [one for tree in load_trees().trees for one in tree.examples]
    reached = {one.given.get("alertname") for one in examples if one.leaf != "RELAY-090"}
    assert {*alerts, *own} <= reached
