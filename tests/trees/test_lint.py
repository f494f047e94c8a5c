import pytest

from relay.config.trees import parse_tree
from relay.core.tree import Act, Library, Step, command, phrase
from relay.tools import trees as tools

TREE = """\
tree: {name}
title: Small?
starts:
  - [alertname="{start}"]
ask: Which?
branches:
  - is: one
    when: {one}
    leaf: {leaf}-010
    cause: It is one
    steps: [{{look: At it, run: {run}}}]
  - is: two
    when: {two}
    leaf: {leaf}-020
    cause: It is two
otherwise: {{leaf: {leaf}-090, steps: [{{look: Around}}]}}
examples:
  - given: {{alertname: "{start}", exit_code: 1}}
    leads-to: {leaf}-010
  - given: {{alertname: "{start}", exit_code: 2}}
    leads-to: {example}
  - given: {{alertname: "{start}", exit_code: 3}}
    leads-to: {leaf}-090
"""
DEFAULTS = {
    "name": "small",
    "start": "Odd",
    "leaf": "A",
    "one": '[exit_code="1"]',
    "two": '[exit_code="2"]',
    "run": "kubectl get nodes",
    "example": "A-020",
}


def library(*changes: dict[str, str]) -> Library:
    return Library.of(
        parse_tree(TREE.format(**DEFAULTS | change), f"{change.get('name', 'small')}.yaml") for change in changes
    )


def said(*changes: dict[str, str]) -> list[str]:
    return [str(finding) for finding in tools.lint(library(*changes))]


def test_a_sound_tree_is_nothing_to_talk_about() -> None:
    assert said({}) == []
    assert tools.lint_report(()) == "nothing to say"


@pytest.mark.parametrize(
    "one, two",
    [
        ('[exit_code="2"]', '[exit_code="2"]'),
        ('[exit_code="2"]', '[exit_code="2", pod="a"]'),
        ('["exit_code=~\\"1|2\\""]', '[exit_code="2"]'),
        ('[exit_code!=""]', '[exit_code="2"]'),
        ('[exit_code!=""]', '["exit_code=~\\"[0-9]\\""]'),
    ],
)
def test_a_branch_behind_one_that_always_fits_first_is_found(one: str, two: str) -> None:
    assert any("two: is never reached: 'one' fits whenever it does" in line for line in said({"one": one, "two": two}))


def test_a_leaf_without_an_example_is_found() -> None:
    assert said({"example": "A-090"}) == ["small.yaml: A-020: has no example that leads to it"]


def test_two_trees_that_start_on_the_same_are_found() -> None:
    lines = said({}, {"name": "other", "leaf": "B", "example": "B-020"})
    assert any("small starts on this example, before this tree" in line for line in lines)
    assert any("small has the same start" in line for line in lines)


@pytest.mark.parametrize(
    "run, what",
    [
        ("kubectl -n a get endpoints b", "Endpoints are deprecated"),
        ("kubectl get ep", "Endpoints are deprecated"),
        ("kubectl get helmcharts -A", "on k3s this is another kind"),
        ("velero restic repo get", "Velero has no restic"),
        ("flux debug kustomization a --show-vars", "prints values of Secrets"),
        ("kubectl get secret a -o yaml", "prints values of Secrets"),
        ("kubectl -n a delete pod b", "a look that is not read-only: kubectl delete"),
        ("kubectl rollout restart deployment/a", "a look that is not read-only: kubectl rollout"),
        ("kubectl get pods | xargs kubectl delete", "a look that is not read-only: xargs"),
        ("flux reconcile kustomization a", "a look that is not read-only: flux reconcile"),
        ("sudo k3s crictl rmi a", "a look that is not read-only: crictl rmi"),
        ("systemctl restart k3s", "a look that is not read-only: systemctl restart"),
        ("rm -rf a", "a look that is not read-only: rm"),
    ],
)
def test_a_command_that_is_stale_or_no_look_is_found(run: str, what: str) -> None:
    assert any(what in line for line in tools.said_of(Step(Act.LOOK, phrase("x"), command(run))))


@pytest.mark.parametrize(
    "run",
    [
        "kubectl -n a get endpointslices",
        "kubectl get helmcharts.source.toolkit.fluxcd.io -A",
        "kubectl -n a rollout status deployment/b",
        "kubectl auth can-i get pods",
        "sudo k3s crictl images",
        "git log --oneline -5",
        "journalctl -u k3s-agent | grep -E 'a|b'",
        "kubectl -n <namespace> logs <pod> [-c <container>] --previous",
    ],
)
def test_a_command_that_only_looks_is_left_alone(run: str) -> None:
    assert list(tools.said_of(Step(Act.LOOK, phrase("x"), command(run)), crash=True)) == []


def test_the_log_of_a_crash_is_that_of_the_run_that_ended() -> None:
    change = {"one": '[exit_code="1"]', "run": "kubectl logs a"}
    assert any("without --previous" in line for line in said(change))


def test_the_texts_say_which_trees_there_are_what_they_ask_and_which_example_fails() -> None:
    small = library({})
    assert tools.listing(small) == "small  3 leaves, 3 examples  Small?"
    assert tools.test_report(tools.test(small)) == "3 of 3 examples hold"
    broken = library({"example": "A-090"})
    assert tools.test_report(tools.test(broken)) == "small.yaml:20: leads to A-020, not A-090\n2 of 3 examples hold"
