"""What editors and readers are told is what the relay does."""

from __future__ import annotations

import json
import re

import jsonschema
import pytest
import yaml

from relay.config.environment import VARIABLES
from relay.config.schema import main, schema
from tests.config.folder import HOOK
from tests.conftest import ROOT

SCHEMA = schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


@pytest.mark.parametrize("file, arguments", [("docs/relay.schema.json", []), ("docs/configuration.md", ["--docs"])])
def test_what_is_made_from_the_models_is_fresh(file: str, arguments: list[str]) -> None:
    assert (ROOT / file).read_text() == main(arguments), f"python -m relay.config.schema {' '.join(arguments)} > {file}"


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_full_example_fits_the_schema() -> None:
    VALIDATOR.validate(yaml.safe_load((ROOT / "docs/relay.yaml").read_text()))


@pytest.mark.parametrize(
    "text",
    [
        "sources: [{source: flux, hmac_key_file: [a, b]}]",
        "severities: [{p1: critical}, {match: [a=b], severity: info}]",
        "channels: {ops: {webhook_url_file: a, mention: <@1>, page: null, notify: never, show: never, thread: 1}}",
        "incidents: {settle: 1h30m}",
    ],
)
def test_the_schema_takes_what_the_relay_takes(text: str) -> None:
    VALIDATOR.validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    "text",
    [
        "cluters: x",
        "channels: {Ops: {webhook_url_file: a}}",
        "channels: {ops: {}}",
        f"channels: {{ops: {{webhook_url: {HOOK}}}}}",
        "channels: {ops: {webhook_url_file: a, page: high}}",
        "channels: {ops: {webhook_url_file: a, mention: ['1']}}",
        "sources: {grafana: {}}",
        "sources: []",
        "severities: [{match: [a=b], severity: high}]",
        "incidents: {settle: 2 minutes}",
        "hours: {zone: UTC}",
        "heartbeats: [{name: a, match: [], every: 5m}]",
    ],
)
def test_the_schema_refuses_what_the_relay_refuses(text: str) -> None:
    assert list(VALIDATOR.iter_errors(yaml.safe_load(text)))


def test_every_setting_says_what_it_is() -> None:
    for model in (SCHEMA, *SCHEMA["$defs"].values()):
        assert model["description"]
        for name, field in model["properties"].items():
            assert field["description"].rstrip()[-1] in ".…", name


def test_every_variable_the_relay_reads_is_documented() -> None:
    documented = {variable.name for variable in VARIABLES}
    named = re.compile(r"\"((?:RELAY|DISCORD)_[A-Z_]+)\"")
    read = {
        name.removesuffix("_FILE")
        for file in (ROOT / "relay").rglob("*.py")
        if "demo" not in file.parts
        for name in named.findall(file.read_text())
    }
    assert read == documented
    reference = (ROOT / "docs/configuration.md").read_text()
    assert all(f"`{variable.name}`" in reference for variable in VARIABLES)
    assert all(f"`{variable.name}_FILE`" in reference for variable in VARIABLES if variable.file)


def test_the_schema_says_what_a_program_can_read() -> None:
    assert json.loads(main([])) == SCHEMA
