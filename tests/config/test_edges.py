"""Edges are refused whole, with file and line; those that ship prove themselves, and an operator's go before them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config.edges import MAX_BYTES, EdgeError, disproved, load_edges, parse_edges
from relay.core.edges import RootCause
from tests.conftest import ROOT

GOOD = """\
- edge: small
  title: Small
  effect:
    - source="flux"
    - 'message=~".*mirror (?P<mirror>[a-z]+) is away.*"'
  cause: {root: "mirror:<mirror>", threshold: 3, within: 5m}
  window: 20m
  examples:
    - given: {kind: Kustomization, message: the mirror alpha is away}
      under: mirror:alpha
    - given: {kind: Kustomization, message: all is well}
      never: true
"""

WRONG = [
    ("title:", "titel:", 2, "unknown key 'titel' (did you mean 'title'?)"),
    ("  title: Small\n", "", 1, "'title' is missing"),
    ('source="flux"', "source", 4, "cannot read matcher 'source'"),
    ("[a-z]+)", "[a-z+)", 5, "bad regular expression"),
    ("mirror:<mirror>", "mirror:<Mirror>", 6, "cannot read 'mirror:<Mirror>' (a blank is <name>)"),
    ("mirror:<mirror>", "mirror:<miror>", 9, "the example folds under nothing"),
    ("threshold: 3", "threshold: 1", 6, "threshold: String should match pattern"),
    ("within: 5m", "within: soon", 6, "within: String should match pattern"),
    ("{root: ", "{object: a/b/c, root: ", 6, "a cause is one of object, named, signal and root"),
    ('{root: "mirror:<mirror>", threshold: 3, within: 5m}', "{named: true, threshold: 3}", 6, "belong to a root"),
    ("under: mirror:alpha", "under: mirror:beta", 9, "the example folds under mirror:alpha"),
    ("under: mirror:alpha", "never: true", 9, "the example folds under mirror:alpha"),
    ("      never: true", "      never: true\n      under: x", 11, "an example says under what it folds, never"),
    ("      never: true", "      cause: true", 11, "the example is none of its causes"),
    (GOOD, "", 1, "empty"),
    (GOOD, "a: 1", 1, "list"),
    (GOOD, "- &a 1", 1, "anchors and aliases are not taken"),
    (GOOD, GOOD + GOOD, 1, "edge 'small' is in small.yaml already"),
    (GOOD, "#" * (MAX_BYTES + 1), 1, "longer than 256 KiB"),
]


def test_a_good_file_becomes_edges() -> None:
    (edge,) = parse_edges(GOOD, "small.yaml")
    assert (edge.name, edge.window, edge.weak) == ("small", 1200.0, False)
    assert isinstance(edge.cause, RootCause)
    assert (edge.cause.threshold, edge.cause.within) == (3, 300.0)


@pytest.mark.parametrize("old, new, line, says", WRONG, ids=[says for *_, says in WRONG])
def test_a_wrong_file_is_refused_with_its_line(old: str, new: str, line: int, says: str) -> None:
    with pytest.raises(EdgeError) as caught:
        parse_edges(GOOD.replace(old, new), "small.yaml")
    assert says in str(caught.value)
    assert (caught.value.file, caught.value.line) == ("small.yaml", line)


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200)))
def test_any_file_is_taken_or_refused(text: str | bytes) -> None:
    refused = "any.yaml:"
    try:
        parse_edges(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"), "any.yaml")
    except EdgeError as error:
        refused = str(error)
    assert refused.startswith("any.yaml:")


SHIPPED = load_edges()


@pytest.mark.parametrize("edge", SHIPPED.all, ids=[edge.name for edge in SHIPPED.all])
def test_every_edge_that_ships_proves_itself_and_says_when_it_does_not_hold(edge: object) -> None:
    assert edge in SHIPPED.all
    (found,) = [one for one in SHIPPED.all if one is edge]
    assert not any(disproved(found, example) for example in found.examples)
    assert any(example.under for example in found.examples)


def test_the_handbook_names_every_edge_and_its_example_is_one() -> None:
    text = (ROOT / "docs" / "folding.md").read_text()
    assert set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)) == set(SHIPPED.by_name)
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert [edge.name for edge in parse_edges(example, "folding.md")] == ["database-of-app"]


def test_an_operators_edge_adds_or_replaces_by_name(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(GOOD + GOOD.replace("edge: small", "edge: dns"))
    edges = load_edges(tmp_path)
    assert {edge.name for edge in edges.all} == {"small", *(edge.name for edge in SHIPPED.all)}
    assert edges.by_name["dns"].file == "own.yaml"
    assert edges.by_name["webhook"].file == "shared.yaml"


def test_a_name_that_stands_in_two_files_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(GOOD)
    with pytest.raises(EdgeError, match=r"b\.yaml:1: edge 'small' is in a.yaml already"):
        load_edges(tmp_path)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(EdgeError, match=r"folder\.yaml:1: cannot be read"):
        load_edges(tmp_path)
