from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config.trees import MAX_BYTES, TreeError, load_trees, parse_tree

GOOD = """\
tree: small
title: Small?
starts:
  - [alertname="Odd"]
ask: Which?
branches:
  - is: one
    when: [exit_code="1"]
    leaf: A-010
    cause: It is one
    steps:
      - look: At it
        run: kubectl -n <namespace> get pod <pod>
      - change: It
otherwise:
  leaf: A-090
  steps: [{look: Around}]
examples:
  - given: {alertname: Odd, exit_code: 1}
    leads-to: A-010
"""


def refused(text: str) -> tuple[int, str]:
    with pytest.raises(TreeError) as caught:
        parse_tree(text, "small.yaml")
    assert str(caught.value).startswith("small.yaml:")
    return caught.value.line, f"{caught.value.what} ({caught.value.suggestion})"


@pytest.mark.parametrize(
    "old, new, line, says",
    [
        ("title:", "titel:", 2, "unknown key 'titel' (did you mean 'title'?)"),
        ("    cause:", "    casue:", 10, "unknown key 'casue' (did you mean 'cause'?)"),
        ("[{look: Around}]", "[{look: Around, and more}]", 17, "(a text with a comma needs quotes within braces)"),
        ("title: Small?\n", "", 1, "'title' is missing"),
        ("otherwise:\n  leaf: A-090\n  steps: [{look: Around}]\n", "", 1, "the root has no otherwise"),
        ('exit_code="1"', 'exit_kode="1"', 8, "unknown fact 'exit_kode' (did you mean 'exit_code'?)"),
        ('exit_code="1"', "exit_code", 8, "cannot read matcher 'exit_code'"),
        ('exit_code="1"', 'exit_code=~"("', 8, "bad regular expression"),
        ("get pod <pod>", "get pod <pot>", 13, "nothing fills the blank <pot> (did you mean 'pod'?)"),
        ("get pod <pod>", "get pod '<pod>'", 13, "a blank stands within quotes"),
        ("get pod <pod>", "get pod 'a", 13, "a quote ' is never closed"),
        ("get pod <pod>", "get pod; rm -rf x", 13, "';' outside of quotes"),
        ("get pod <pod>", "get pod $(x)", 13, "'$' outside of quotes"),
        ("get pod <pod>", "get pod > x", 13, "'>' outside of quotes"),
        ("get pod <pod>", "get pod [-c]", 13, "the optional part '[-c]' has no blank"),
        ("get pod <pod>", "get pod [-c <pod>", 13, "a [ that never ends"),
        (
            "      - look: At it\n        run",
            "      - change: It\n        run",
            12,
            "the first step is a change (look first",
        ),
        ("      - change: It", "      - {change: It, look: It}", 14, "a step is one of look, change and destroy"),
        ("    leaf: A-010\n", "", 7, "a branch ends in a leaf or goes on with ask and branches"),
        ("    leaf: A-010", "    leaf: A-090", 16, "leaf A-090 stands in line 9 already"),
        ("    leaf: A-010", "    leaf: nice", 9, "leaf"),
        ("leads-to: A-010", "leads-to: A-020", 19, "names leaf A-020, which is not there"),
        ("exit_code: 1}", "exit_kode: 1}", 19, "unknown fact 'exit_kode'"),
        ("    leads-to: A-010", "    {}", 21, "no YAML"),
        ("ask: Which?", "ask: Which?\nask: What?", 6, "'ask' stands here twice"),
        ("ask: Which?", "ask: &a Which?", 5, "anchors and aliases are not taken"),
        ("title: Small?", "title: *a", 2, "anchors and aliases are not taken"),
        ("    cause: It is one", "    cause: It is <pot>", 10, "nothing fills the blank <pot>"),
        ("    cause: It is one", "    heals: never", 10, "heals"),
        ("ask: Which?", "ask: Which?\nstays_open: true", 6, "unknown key 'stays_open'"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line_and_what_was_perhaps_meant(
    old: str, new: str, line: int, says: str
) -> None:
    assert old in GOOD
    at, what = refused(GOOD.replace(old, new, 1))
    assert says in what
    assert at == line


def test_a_good_tree_is_taken_whole() -> None:
    tree = parse_tree(GOOD, "small.yaml")
    assert (tree.name, tree.file, len(tree.examples)) == ("small", "small.yaml", 1)
    assert tree.examples[0].given == {"alertname": "Odd", "exit_code": "1"}


@pytest.mark.parametrize(
    "text, says",
    [
        ("", "empty"),
        ("- a list", "valid dictionary"),
        ("\x00", "no YAML"),
        ("a: [" * 2, "no YAML"),
        ("[" * 100_000, "nested deeper than 64"),
        ("a: &x [1]\nb: [*x, *x]", "anchors and aliases"),
        ("x: " + "y" * MAX_BYTES, "longer than 256 KiB"),
        ("? [a]\n: b", "a key is not plain text"),
        ("tree: !!python/object:os.system x", "'title' is missing"),
    ],
)
def test_hostile_files_get_a_short_error_at_once(text: str, says: str) -> None:
    with pytest.raises(TreeError, match=says.replace("(", r"\(")) as caught:
        parse_tree(text, "x.yaml")
    assert len(str(caught.value)) < 500


def taken(content: bytes) -> int:
    """0 for a tree, else the line that was refused."""
    try:
        parse_tree(content, "x.yaml")
    except TreeError as error:
        return error.line
    return 0


@given(st.binary(max_size=400) | st.text(max_size=400).map(lambda text: text.encode(errors="replace")))
def test_whatever_a_file_holds_it_is_a_tree_or_a_tree_error(content: bytes) -> None:
    assert taken(content) >= 1


@given(st.data())
def test_a_tree_with_one_line_lost_or_doubled_is_a_tree_or_is_refused_by_line(data: st.DataObject) -> None:
    lines = GOOD.splitlines()
    index = data.draw(st.integers(0, len(lines) - 1))
    changed = lines[:index] + [lines[index]] * data.draw(st.sampled_from([0, 2])) + lines[index + 1 :]
    assert taken("\n".join(changed).encode()) <= len(changed) + 1


def test_an_operators_folder_adds_trees_and_replaces_one_by_name(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(GOOD)
    (tmp_path / "pod.yaml").write_text(GOOD.replace("tree: small", "tree: pod-not-starting").replace("A-0", "B-0"))
    names = {tree.name: tree.file for tree in load_trees(tmp_path).trees}
    assert names["small"] == "mine.yaml"
    assert names["pod-not-starting"] == "pod.yaml"
    assert "flux-kustomization" in names


def test_a_leaf_id_belongs_to_one_tree_of_the_library(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(GOOD.replace("A-010", "POD-IMAGE-010"))
    with pytest.raises(TreeError, match=r"POD-IMAGE-010 is in mine\.yaml already"):
        load_trees(tmp_path)


def test_two_files_with_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(GOOD)
    with pytest.raises(TreeError, match=r"b.yaml:1: tree 'small' is in a.yaml already"):
        load_trees(tmp_path)


def test_a_folder_or_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "dir.yaml").mkdir()
    with pytest.raises(TreeError, match=r"dir.yaml:1: cannot be read"):
        load_trees(tmp_path)
