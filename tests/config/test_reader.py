"""Any text is a configuration or refused, in bounded time and with its places."""

from __future__ import annotations

import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, settings
from hypothesis import given as examples
from hypothesis import strategies as st

from relay.config.load import load
from relay.config.model import Settings, seconds, window
from relay.config.problems import ConfigError
from relay.config.reader import MAX_VALUES, Place, read, write
from relay.config.values import Configuration
from tests.config.folder import HOOK
from tests.conftest import ROOT

ENV = {"DISCORD_WEBHOOK_URL": HOOK}


def attempt(text: str, env: Mapping[str, str]) -> Configuration | ConfigError:
    try:
        return load(Path("relay.yaml"), env, text=text)
    except ConfigError as error:
        return error


def taken_or_refused(text: str, env: Mapping[str, str] = ENV) -> None:
    """What must hold for any text and environment."""
    found = attempt(text, env)
    if isinstance(found, ConfigError):
        assert found.problems
        for line in map(str, found.problems):
            assert line.isprintable()
            assert len(line) <= 500
        return
    assert found.channels
    assert not found.policy.routes[-1].match.all_of
    assert load(Path("relay.yaml"), env, text=found.text) == found


@examples(st.text(max_size=200))
def test_any_text_is_taken_or_refused(text: str) -> None:
    taken_or_refused(text)


@examples(st.text("{}[]:,&*!<>|-?#%@'\"\\ \n\tax01~.", max_size=60))
def test_any_text_of_yaml_signs_is_taken_or_refused(text: str) -> None:
    taken_or_refused(text)


@examples(st.data())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_the_example_with_a_wound_is_taken_or_refused(data: st.DataObject) -> None:
    example = (ROOT / "docs/relay.yaml").read_text()
    begin = data.draw(st.integers(0, len(example)))
    end = data.draw(st.integers(begin, min(len(example), begin + 40)))
    taken_or_refused(example[:begin] + data.draw(st.text(string.printable, max_size=10)) + example[end:], {})


KEYS = st.sampled_from(
    sorted(
        {
            *Settings.model_fields,
            *(
                "flux",
                "alertmanager",
                "path",
                "source",
                "match",
                "channels",
                "continue",
                "hold",
                "ops",
                "severity",
                "every",
            ),
            *(
                "name",
                "folder",
                "quiet",
                "zone",
                "page",
                "mention",
                "thread",
                "fallback",
                "webhook_url_file",
                "flapping",
            ),
        }
    )
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["flux", "5m", "ops", "critical", "never", "a=b", "UTC", "22:00-07:30", "/x", "k3s", "<@1>"])
)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


@examples(st.dictionaries(KEYS, TREES, max_size=4))
def test_any_tree_of_our_words_is_taken_or_refused(tree: dict[str, Any]) -> None:
    taken_or_refused(yaml.safe_dump(tree, allow_unicode=True))


@examples(
    st.dictionaries(
        st.sampled_from(["RELAY_LISTEN", "RELAY_DISCORD_API", "RELAY_DATABASE_URL", "RELAY_FLUX_HMAC_KEY"]), st.text()
    )
)
def test_any_environment_is_taken_or_refused(env: dict[str, str]) -> None:
    taken_or_refused("", ENV | env)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000,
        "a: " + "{a: " * 200 + "1" + "}" * 200,
        "- " * 3000,
        "&a [*a]",
        "a: &a {b: *a}",
        '"\\UFFFFFFFF"',
        "a: !!int x",
        "a: !!float ''",
        "a: !!binary '*'",
        "a: 2020-13-45",
        "a: 0b",
        "a: 1:99",
        "? [a]\n: b",
        "? {a: b}\n: c",
        "%YAML 9.9\n---\na",
        "%TAG ! tag:x\n---\n!y a",
        "\x00",
        "a\x85b: \u2028",
        "*a",
        "cluster: " + "1" * 10000,
        "=: =",
    ],
)
def test_hostile_yaml_is_refused_shortly(text: str) -> None:
    with pytest.raises(ConfigError):
        load(Path("relay.yaml"), ENV, text=text)
    taken_or_refused(text)


def test_aliases_do_not_multiply_without_end() -> None:
    laughs = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    laughs += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 12)]
    found = read("\n".join(laughs))
    assert len(found.values) == MAX_VALUES
    assert [why for _, _, why in found.wrong] == [f"more than {MAX_VALUES} values"]


def test_each_value_knows_its_place() -> None:
    found = read("a:\n  - b: 1\n    c: [x,  y]\n")
    assert found.value == {"a": [{"b": 1, "c": ["x", "y"]}]}
    assert found.keys["a", 0, "c"] == Place(3, 5)
    assert found.values["a", 0, "c", 1] == Place(3, 13)


@pytest.mark.parametrize(
    "text, value",
    [
        ("yes", True),
        ("Off", False),
        ("12", 12),
        ("012", "012"),
        ("0x10", "0x10"),
        ("22:00", "22:00"),
        ("2026-01-01", "2026-01-01"),
        ("1.5", 1.5),
        (".inf", ".inf"),
        ("~", None),
        ("'no'", "no"),
    ],
)
def test_a_scalar_is_what_people_mean(text: str, value: object) -> None:
    assert read(text).value == value


@examples(TREES)
def test_what_was_read_can_be_written_and_read_again(tree: Any) -> None:  # noqa: ANN401
    value = read(yaml.safe_dump({"a": tree}, allow_unicode=True)).value
    assert read(write(value)).value == value


@pytest.mark.parametrize(
    "text, value",
    [
        ("0", 0.0),
        ("0s", 0.0),
        ("30s", 30.0),
        ("5m", 300.0),
        ("2h", 7200.0),
        ("7d", 604800.0),
        ("1h30m", 5400.0),
        ("1d12h", 129600.0),
    ],
)
def test_a_duration_is_read(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "5min", "-5m", "1.5h", "30m1h", "5M", "٣m", "5m\n"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        seconds(text)


@pytest.mark.parametrize("text", ["24:00-07:00", "22:00", "22:00-7:00", "22:00–07:00", "22:60-07:00", " 22:00-07:00"])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no window"):
        window(text)
