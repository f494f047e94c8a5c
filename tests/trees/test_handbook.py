import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from relay.cli import app
from relay.config.load import load
from relay.config.trees import load_trees, parse_tree
from relay.core.facts import FACTS
from relay.core.tree import Library, nodes
from relay.tools import handbook
from relay.tools import trees as tools
from relay.tools.explain import explain
from tests.conftest import ROOT
from tests.tools.payloads import flux

LIBRARY = load_trees()
PAGES = handbook.handbook(LIBRARY)
LABEL = r'"[^"`<>\\]*"'
LINE = re.compile(
    rf"  n\d+(?:\{{\{{{LABEL}\}}\}}|\[{LABEL}\]|\(\[{LABEL}\]\))|  n\d+ (?:-->|-\.->)\|{LABEL}\| n\d+".replace("<>", "")
)
TREE = """\
tree: small
title: {title}
starts: [[alertname="Odd"]]
ask: {title}
branches:
  - {{is: {title}, when: [exit_code="1"], leaf: A-010, cause: {title}, steps: [{{look: {title}}}]}}
otherwise: {{leaf: A-090, steps: [{{look: Around}}]}}
examples: [{{given: {{alertname: Odd}}, never: A-090}}]
"""


def test_the_handbook_in_docs_is_what_the_trees_say() -> None:
    stale = handbook.differing(PAGES, ROOT / "docs/trees")
    assert not stale, "make it again: relay trees handbook --to docs/trees"


def test_the_page_of_facts_is_what_the_registry_says() -> None:
    assert (ROOT / "docs/facts.md").read_text() == handbook.facts_page(), "relay trees facts > docs/facts.md"


def test_every_fact_is_on_its_page() -> None:
    page = handbook.facts_page()
    assert all(f"| `{fact.name}` |" in page for fact in FACTS)


@pytest.mark.parametrize("tree", LIBRARY.trees, ids=lambda tree: tree.name)
def test_a_page_has_a_diagram_that_is_sound_and_small_enough_to_be_drawn(tree: object) -> None:
    drawn = handbook.diagram(tree)  # type: ignore[arg-type]  # parametrize knows no types
    first, *lines = drawn.splitlines()
    assert first == "flowchart LR"
    assert len(drawn) < 50_000, "more than Mermaid draws"
    assert sum("|" in line for line in lines) < 500, "more edges than Mermaid draws"
    for line in lines:
        assert LINE.fullmatch(line.replace("<br/>", " ")), line


def test_every_leaf_has_one_heading_of_its_id_on_its_page_and_one_anchor_in_the_index() -> None:
    for tree in LIBRARY.trees:
        page = PAGES[f"{tree.name}.md"].splitlines()
        for leaf in (node.leaf for node in nodes(tree.root) if node.leaf):
            assert page.count(f"## {leaf}") == 1
            assert PAGES["README.md"].count(f'<a id="{leaf.lower()}"></a>[{leaf}]({tree.name}.md#{leaf.lower()})') == 1


def test_every_link_between_pages_leads_somewhere() -> None:
    for name, page in PAGES.items():
        for file, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", page):
            target = (ROOT / "docs/trees" / (file or name)).resolve()
            assert target.is_file(), file
            if anchor:
                assert f"## {anchor.upper()}\n" in target.read_text()


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=60))
def test_no_text_is_markdown_or_mermaid(words: str) -> None:
    assert re.fullmatch(LABEL, handbook.label(words).replace("<br/>", " "))
    assert "\n" not in handbook.text(words)
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_\[\]<>|]", handbook.text(words))
    ticks, inside = re.fullmatch(r"(`+) ?(.*?) ?\1", handbook.code(words)).groups()  # type: ignore[union-attr]
    assert inside.strip() == " ".join(words.split())
    assert ticks not in inside


def test_texts_that_look_like_markup_stay_texts_on_a_page() -> None:
    tree = parse_tree(TREE.format(title="'<pod> \"x\"] --> `y` | *z*'"), "small.yaml")
    page = handbook.page(tree)
    assert '# \\<pod\\> "x"\\] --\\> \\`y\\` \\| \\*z\\*\n' in page
    assert '["A-010: #lt;pod#gt; #quot;x#quot;] --#gt;' in page


def test_pages_are_written_and_those_of_a_tree_that_is_gone_are_removed(tmp_path: Path) -> None:
    (tmp_path / "own.md").write_text("mine")
    small = Library.of([parse_tree(TREE.format(title="Small?"), "small.yaml")])
    handbook.write(PAGES, tmp_path)
    assert handbook.differing(PAGES, tmp_path) == []
    assert "volsync.md" in handbook.differing(handbook.handbook(small), tmp_path)
    handbook.write(handbook.handbook(small), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "own.md", "small.md"]


def test_the_command_writes_and_checks(tmp_path: Path) -> None:
    run = CliRunner()
    assert run.invoke(app, ["trees", "handbook", "--to", str(tmp_path), "--check"]).exit_code == 1
    assert run.invoke(app, ["trees", "handbook", "--to", str(tmp_path)]).exit_code == 0
    assert run.invoke(app, ["trees", "handbook", "--to", str(tmp_path), "--check"]).exit_code == 0
    (tmp_path / "README.md").write_text("old")
    assert run.invoke(app, ["trees", "handbook", "--to", str(tmp_path), "--check"]).exit_code == 1
    assert run.invoke(app, ["trees", "facts"]).output == handbook.facts_page()


def test_the_tree_in_writing_trees_is_one_that_a_reviewer_has_nothing_to_say_about() -> None:
    page = (ROOT / "docs/writing-trees.md").read_text()
    (written,) = re.findall(r"```yaml\n(tree: .*?)```", page, re.DOTALL)
    library = Library.of([parse_tree(written, "printer.yaml"), *LIBRARY.trees])
    assert not [one for one in tools.test(library) if one.problem]
    assert tools.lint(library) == ()


def test_writing_trees_names_every_key_and_limit() -> None:
    from relay.config import trees as loading

    page = (ROOT / "docs/writing-trees.md").read_text()
    assert all(f"`{key}`" in page for key in loading._KEYS)
    assert (
        f"{loading.MAX_BYTES // 1024} KiB a file, {loading.MAX_LEAVES} leaves, {loading.MAX_QUESTIONS} questions"
        in page
    )


@pytest.mark.parametrize(
    "written, leads_to",
    [
        ("https://git.example.org/docs/trees", "https://git.example.org/docs/trees#flux-build-080"),
        (
            "https://git.example.org/docs/trees/{tree}.md",
            "https://git.example.org/docs/trees/flux-kustomization.md#flux-build-080",
        ),
    ],
)
def test_a_card_leads_to_its_leaf_where_the_handbook_is_published(tmp_path: Path, written: str, leads_to: str) -> None:
    (tmp_path / "url").write_text("https://discord.com/api/webhooks/1/token")
    (tmp_path / "relay.yaml").write_text(
        f'channels: {{ops: {{webhook_url_file: url}}}}\ntrees: {{handbook: "{written}"}}\n'
    )
    configuration = load(tmp_path / "relay.yaml", {})
    assert configuration.trees_folder is None
    body = flux(message="kustomize build failed: accumulating resources: open /tmp/x/a.yaml: no such file or directory")
    (found,) = explain(body, configuration, LIBRARY, 1_772_360_000.0)
    shown = found.problems[0].places[0].shown[0].payload
    assert f"[FLUX-BUILD-080](<{leads_to}>)" in json.dumps(shown)
