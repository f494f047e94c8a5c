"""The JSON door: what comes out, and what is refused with which word."""

from __future__ import annotations

import json

import pytest

from relay.core.event import NotJson, Unreadable
from relay.sources.structure import MAX_DEPTH, MAX_ITEMS, MAX_KEYS, read


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"secret",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b"[" * 5000,
        b"1" * 5000,
        b'{"a":1}{"b":2}',
        b"'a'",
        b'"\\ud8zz"',
        b'"a\nb"',
    ],
)
def test_what_is_no_json_is_refused_with_a_short_line_that_quotes_nothing(body: bytes) -> None:
    found = read(body)
    assert isinstance(found, NotJson)
    assert len(found.why) < 120
    assert "secret" not in found.why
    assert "\n" not in found.why


def test_a_refusal_names_the_position() -> None:
    assert read(b'{"a":1,\n"b" 2}') == NotJson("not JSON: expected `:` at line 2 column 5")


@pytest.mark.parametrize(
    "body, text",
    [
        (rb'"a\ud800b"', "a\ufffdb"),
        (rb'"a\uDC00b"', "a\ufffdb"),
        (rb'"\ud83d\ude80"', "🚀"),
        (rb'"\ud83d\ud83d\ude80"', "\ufffd🚀"),
        (rb'"\\ud800"', r"\ud800"),
        (rb'"\\\ud800"', "\\\ufffd"),
        (b'"a\xed\xa0\x80b"', "a\ufffd\ufffd\ufffdb"),
        (b'"a\xffb"', "a\ufffdb"),
    ],
)
def test_lone_surrogates_and_invalid_bytes_are_replaced_and_pairs_stay(body: bytes, text: str) -> None:
    assert read(body) == text


@pytest.mark.parametrize(
    "value",
    [
        {str(number): 0 for number in range(MAX_KEYS + 1)},
        [0] * (MAX_ITEMS + 1),
        [[0] * 15_000] * 70,
        json.loads("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)),
        [{}, []] * 210_000,
    ],
    ids=["keys", "items", "values", "depth", "brackets"],
)
def test_absurd_structure_is_counted_before_it_is_modelled(value: object) -> None:
    found = read(json.dumps(value).encode())
    assert isinstance(found, Unreadable)
    assert found.why.startswith("absurd structure: more than ")


@pytest.mark.parametrize(
    "value",
    [
        {str(number): 0 for number in range(MAX_KEYS)},
        [0] * MAX_ITEMS,
        json.loads("[" * MAX_DEPTH + "]" * MAX_DEPTH),
        {"a": [1, 2.5, True, None, "x"]},
        "text",
        7,
        None,
    ],
    ids=["keys", "items", "depth", "mixed", "text", "number", "null"],
)
def test_what_is_within_the_bounds_comes_out_as_it_is(value: object) -> None:
    assert read(json.dumps(value).encode()) == value
