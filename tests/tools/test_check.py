from pathlib import Path
from shutil import copy

import pytest

from relay.config.problems import ConfigError
from relay.tools import check as checking
from relay.tools.check import Checked, about_trees, check, refusal, told
from relay.tools.terminal import RefusedError, spelled
from tests.config.folder import fill
from tests.conftest import ROOT

TREE = """\
tree: mine
title: Mine?
starts: [[alertname="MyAlert"]]
ask: What does it say?
branches:
  - is: full
    when: [message=~".*full.*"]
    leaf: MINE-001
    cause: It is full
    steps: [{look: "How full it is", run: "kubectl -n <namespace> get pvc"}]
otherwise: {leaf: MINE-000, steps: [{look: "Its events", run: "kubectl events -A"}]}
examples:
  - {given: {alertname: MyAlert, message: "it is full"}, leads-to: MINE-001}
  - {given: {alertname: MyAlert, message: "nothing"}, leads-to: MINE-000}
"""


def read(checked: Checked) -> str:
    return "\n".join(spelled(line, colour=False) for line in told(checked))


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def test_the_documented_configuration_needs_no_secrets_to_be_checked(tmp_path: Path) -> None:
    file = Path(copy(ROOT / "docs/relay.yaml", tmp_path))
    checked = check(file, {}, folder=None, mounted=False)
    assert not checked.problems
    assert "ops: page: critical, notify: error, show: warning" in read(checked)
    assert "flux at /flux (HMAC)" in read(checked)
    assert "--trees FOLDER" in read(checked)


def test_where_secrets_are_looked_for_each_that_is_missing_is_a_problem_with_its_line(tmp_path: Path) -> None:
    file = Path(copy(ROOT / "docs/relay.yaml", tmp_path))
    checked = check(file, {}, folder=None, mounted=True)
    assert any(f"{file}:10:20: sources.flux.hmac_key_file" in problem for problem in checked.problems)
    assert any("trees.folder: there is no such folder" in problem for problem in checked.problems)


def test_without_secrets_everything_else_is_checked_all_the_same(tmp_path: Path) -> None:
    file = tmp_path / "relay.yaml"
    file.write_text("channels: {ops: {webhook_url_file: hook, page: criticl}}\nroutes: [{channels: [opps]}]\n")
    problems = "\n".join(check(file, {}, folder=None, mounted=False).problems)
    assert "did you mean critical?" in problems
    assert "did you mean ops?" in problems
    assert "cannot be used" not in problems


def test_without_secrets_the_environment_is_not_looked_at_for_them(tmp_path: Path) -> None:
    file = tmp_path / "relay.yaml"
    file.write_text("channels: {ops: {webhook_url_file: hook}}\n")
    env = {"RELAY_FLUX_HMAC_KEY_FILE": "absent", "DISCORD_WEBHOOK_URL": "no address"}
    assert not check(file, env, folder=None, mounted=False).problems


def test_a_relay_without_a_file_is_checked_by_its_environment() -> None:
    assert not check(
        None, {"DISCORD_WEBHOOK_URL": "https://discord.com/api/webhooks/1/t"}, folder=None, mounted=True
    ).problems
    (problem,) = check(None, {}, folder=None, mounted=True).problems
    assert problem.startswith("DISCORD_WEBHOOK_URL: no channel")


def test_trees_of_a_folder_are_counted_as_yours(tmp_path: Path) -> None:
    checked = check(None, {}, folder=write(tmp_path / "trees", mine=TREE), mounted=False)
    assert not checked.problems
    assert "1 of them yours" in read(checked)


def test_each_wrong_file_is_told_with_its_line_and_hides_no_other(tmp_path: Path) -> None:
    folder = write(tmp_path / "trees", a=TREE.replace("title:", "titel:"), b=TREE.replace("MyAlert", "Other"), c="[]")
    problems = check(None, {}, folder=folder, mounted=False).problems
    assert [problem.split(" ", 1)[0] for problem in problems] == [f"{folder}/a.yaml:2:", f"{folder}/c.yaml:1:"]
    assert "did you mean 'title'?" in problems[0]


def test_an_example_that_does_not_hold_is_a_problem_with_its_line(tmp_path: Path) -> None:
    folder = write(tmp_path / "trees", mine=TREE.replace('"it is full"}, leads-to', '"empty"}, leads-to'))
    (problem,) = check(None, {}, folder=folder, mounted=False).problems
    assert problem.startswith(f"{folder}/mine.yaml:13: the example leads to MINE-000, not MINE-001")


def test_a_tree_that_takes_over_a_shipped_ones_alert_is_advised_not_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "trees", mine=TREE.replace("MyAlert", "KubePodCrashLooping"))
    checked = check(None, {}, folder=folder, mounted=False)
    assert not checked.problems
    assert any("pod-not-starting.yaml" in advice and "starts mine" in advice for advice in checked.advice)


def test_a_file_that_is_not_read_is_said(tmp_path: Path) -> None:
    folder = write(tmp_path / "trees")
    (folder / "mine.yml").write_text(TREE)
    assert any("mine.yml: it is not read" in advice for advice in check(None, {}, folder=folder, mounted=False).advice)


def test_an_open_door_is_advised() -> None:
    env = {"DISCORD_WEBHOOK_URL": "https://discord.com/api/webhooks/1/t", "RELAY_LISTEN": "0.0.0.0:8080"}
    checked = check(None, env, folder=None, mounted=True)
    assert not checked.problems
    assert any("RELAY_FLUX_HMAC_KEY" in advice for advice in checked.advice)


def test_no_secret_is_printed(tmp_path: Path) -> None:
    folder = fill(tmp_path)
    file = folder / "relay.yaml"
    file.write_text("channels: {ops: {webhook_url_file: key}}\nsources: {flux: {hmac_key_file: hook}}\n")
    said = read(checked := check(file, {}, folder=None, mounted=True)) + refusal(checked)
    assert "channels.ops.webhook_url_file" in said
    assert "hmac-key-of-a-test" not in said
    assert "webhook-token-of-a-test" not in said


def test_a_refusal_ends_in_its_count() -> None:
    assert refusal(check(None, {}, folder=None, mounted=True)).endswith("refused: 1 problem")
    assert not refusal(check(None, {}, folder=None, mounted=False))


@pytest.mark.parametrize("word", ["listing", "test", "lint"])
def test_the_shipped_trees_are_well(word: str) -> None:
    text, well = about_trees(word, None, None, {})
    assert well, text


def test_an_example_that_fails_and_a_finding_are_negative(tmp_path: Path) -> None:
    folder = write(tmp_path / "trees", mine=TREE.replace('"it is full"}, leads-to', '"empty"}, leads-to'))
    assert not about_trees("test", None, folder, {})[1]
    folder = write(tmp_path / "trees", mine="\n".join(TREE.splitlines()[:-1]) + "\n")
    text, well = about_trees("lint", None, folder, {})
    assert not well
    assert "MINE-000" in text


def test_a_tree_of_another_name_is_suggested() -> None:
    with pytest.raises(RefusedError, match="did you mean pod-not-starting"):
        about_trees("show", None, None, {}, "pod-not-startin")
    assert "Pod not starting?" in about_trees("show", None, None, {}, "pod-not-starting")[0]


def test_trees_of_the_configured_folder_are_read(tmp_path: Path) -> None:
    write(tmp_path / "trees", mine=TREE)
    file = tmp_path / "relay.yaml"
    file.write_text("channels: {ops: {webhook_url_file: hook}}\ntrees: {folder: trees}\n")
    assert "mine" in about_trees("listing", file, None, {})[0]
    file.write_text("channels: {ops: {webhook_url_file: hook}}\ntrees: {folder: elsewhere}\n")
    with pytest.raises(RefusedError, match="--trees FOLDER"):
        checking.library_of(None, {"RELAY_CONFIG": str(file)}, None)
    with pytest.raises(ConfigError):
        checking.library_of(tmp_path / "absent.yaml", {}, None)
