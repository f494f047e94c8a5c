"""Every command that a tree can show exists as written: kubectl is asked itself, and Flux's words stand in a table."""

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from relay.config.trees import load_trees
from relay.core.facts import FACTS
from relay.core.tree import nodes, written
from relay.tools.trees import commands, verbs

KUBECTL = Path(sys.executable).parent / "kubectl"
GROUPS = {"auth", "config", "rollout", "top"}
"""Words of kubectl that take a second one."""

FLUX = {
    "get": {"-A", "-n", "--status-selector"},
    "events": {"--for", "-n", "-A", "--types"},
    "logs": {"--kind", "--name", "-n", "--since", "--level", "-A"},
    "tree": {"-n"},
    "trace": {"-n", "--kind", "--api-version"},
    "export": {"-n"},
    "debug": {"-n", "--show-status"},
    "build": {"-n", "--path"},
    "check": set(),
    "reconcile": {"-n", "--with-source", "--force", "--reset"},
    "suspend": {"-n"},
    "resume": {"-n"},
}
FLUX_KINDS = {
    "kustomization", "kustomizations", "helmrelease", "helmreleases", "sources", "all", "source", "images", "image", "pod", "deployment",
}  # fmt: skip


def _lines() -> Iterator[str]:
    for tree in load_trees().trees:
        for node in nodes(tree.root):
            yield from (written(step.run) for step in node.steps)
    for fact in FACTS:
        yield from fact.find


def _of(program: str) -> list[tuple[str, ...]]:
    return sorted({tuple(words) for line in _lines() if line for words in commands(line) if words[0] == program})


@cache
def _help(*words: str) -> str:
    return subprocess.run([KUBECTL, *words], capture_output=True, text=True, check=True).stdout


@cache
def _flags(*words: str) -> frozenset[str]:
    text = _help(*words, "--help") + _help("options")
    return frozenset(re.findall(r"(?<![\w-])(--?[a-zA-Z][\w-]*)(?==|,)", text))


def _said_flags(words: tuple[str, ...]) -> set[str]:
    return {word.split("=", 1)[0] for word in words[1:] if word.startswith("-") and word != "-"}


@pytest.mark.parametrize("words", _of("kubectl"), ids=" ".join)
def test_kubectl_knows_the_command_and_its_flags(words: tuple[str, ...]) -> None:
    spoken = verbs(list(words))
    verb = spoken[:2] if spoken[0] in GROUPS else spoken[:1]
    called = " ".join(verb).removesuffix("s")
    assert f"kubectl {called}" in _help(*verb, "--help"), "an unknown word gets the help of its parent"
    assert not _said_flags(words) - _flags(*verb)


@pytest.mark.parametrize("words", _of("flux"), ids=" ".join)
def test_flux_knows_the_command_and_its_flags(words: tuple[str, ...]) -> None:
    verb, *rest = verbs(list(words))
    assert verb in FLUX
    assert not _said_flags(words) - FLUX[verb]
    if rest and verb not in {"events", "logs", "check"}:
        assert rest[0] in FLUX_KINDS
