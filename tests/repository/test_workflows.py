"""CI says the words a person says, with no more rights than it needs, and runs only what is named by its content."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS: dict[str, Any] = {path.name: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))}
RENOVATE = json.loads((ROOT / ".github" / "renovate.json").read_text())


def _steps(name: str) -> list[dict[str, Any]]:
    return [step for job in WORKFLOWS[name]["jobs"].values() for step in job["steps"]]


def test_ci_says_what_a_person_says() -> None:
    said = [step["run"] for step in _steps("ci.yaml") if "run" in step]
    words = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line.startswith("make ")]
    assert said[-len(words) :] == words == ["make check", "make test"]


def test_ci_tries_the_oldest_python_that_is_promised() -> None:
    tried = [one["python"] for one in WORKFLOWS["ci.yaml"]["jobs"]["make"]["strategy"]["matrix"]["include"]]
    promised = re.search(r'^requires-python = ">=(3\.\d+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert promised
    assert tried[0] == promised[1]
    assert len(set(tried)) > 1


@pytest.mark.parametrize("name", WORKFLOWS)
def test_each_job_asks_for_its_rights_and_the_rest_have_none(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {}
    for job in WORKFLOWS[name]["jobs"].values():
        assert job["permissions"]
        assert "write-all" not in str(job["permissions"])
        assert job["timeout-minutes"] <= 60


@pytest.mark.parametrize("name", WORKFLOWS)
def test_actions_are_named_by_commit_with_the_version_beside(name: str) -> None:
    lines = [line for line in (FOLDER / name).read_text().splitlines() if re.search(r"\buses:", line)]
    loose = [
        line.strip() for line in lines if not re.search(r"uses: [\w-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)
    ]
    assert lines
    assert not loose


def test_one_action_has_one_commit_everywhere() -> None:
    pins = {use for path in FOLDER.glob("*.yaml") for use in re.findall(r"uses: (\S+@\S+)", path.read_text())}
    names = [use.split("@")[0] for use in pins]
    assert sorted(names) == sorted(set(names))


def test_only_a_release_may_publish() -> None:
    assert WORKFLOWS["release.yaml"][True] == {"push": {"tags": ["v[0-9]+.[0-9]+.[0-9]+"]}}, "PyYAML reads `on` as true"
    rights = {name: str(workflow["jobs"]) for name, workflow in WORKFLOWS.items()}
    assert [name for name, said in rights.items() if "packages" in said] == ["release.yaml"]


def test_images_are_named_by_digest() -> None:
    pinned = re.compile(r"(?:^FROM|image:) (python:\S+)", re.MULTILINE)
    named = [name for path in (ROOT / "Dockerfile", FOLDER / "ci.yaml") for name in pinned.findall(path.read_text())]
    assert len(named) >= 3
    assert not [name for name in named if not re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64}", name)]


def test_renovate_finds_what_it_is_told_to_move() -> None:
    for manager in RENOVATE["customManagers"]:
        files = [
            path
            for path in sorted(ROOT.rglob(".github/**/*.yaml"))
            if any(
                re.search(pattern.strip("/"), str(path.relative_to(ROOT))) for pattern in manager["managerFilePatterns"]
            )
        ]
        # Its patterns name groups as JavaScript does.
        asked = [re.compile(pattern.replace("(?<", "(?P<")) for pattern in manager["matchStrings"]]
        found = [hit.groupdict() for path in files for one in asked for hit in one.finditer(path.read_text())]
        assert len(found) == 2, manager["description"]
        assert {hit["depName"] for hit in found} == {"python"}


def test_a_change_of_the_image_is_a_change_of_what_reads_it() -> None:
    """What the image needs is let in by .dockerignore, file by file, and nothing else is."""
    let_in = {
        line[1:].rstrip("/") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    words = {Path(word).parts[0] for line in copied for word in line.split()}
    assert let_in == words
