"""A folder as an operator has it: the YAML file and the files its secrets stand in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from relay.config.load import load
from relay.config.problems import ConfigError
from relay.config.values import Configuration

TOKEN = "webhook-token-of-a-test"
HOOK = f"https://discord.com/api/webhooks/123/{TOKEN}"
KEY = "hmac-key-of-a-test"
SECRETS: Mapping[str, str] = {
    "hook": HOOK,
    "hook2": "https://discord.com/api/webhooks/456/another-token?thread_id=789",
    "key": KEY,
    "key2": "the-key-before",
    "bearer": "bearer-token-of-a-test",
    "ping": "https://ping.example.org/uuid-of-a-test",
}


def fill(folder: Path) -> Path:
    """Write the secrets, as editors leave them: with a newline."""
    for name, secret in SECRETS.items():
        (folder / name).write_text(secret + "\n")
    (folder / "blank").write_text(" \n")
    (folder / "trees").mkdir(exist_ok=True)
    return folder


def given(folder: Path, text: str, env: Mapping[str, str] | None = None) -> Configuration:
    """Load `text` as relay.yaml of that folder."""
    file = fill(folder) / "relay.yaml"
    file.write_text(dedent(text))
    return load(file, env or {})


def refused(folder: Path, text: str, env: Mapping[str, str] | None = None) -> list[str]:
    """The lines it is refused with, without the folder."""
    with pytest.raises(ConfigError) as raised:
        given(folder, text, env)
    assert raised.value.__cause__ is None
    return [line.removeprefix(f"{folder}/") for line in str(raised.value).splitlines()]
