from textwrap import dedent, indent

import pytest

from relay.config.trees import parse_tree
from relay.core.facts import FACTS, REGISTRY, derive
from relay.core.labels import parse
from relay.core.tree import NONE_OF_THESE, Certainty, DecisionTree, Heals, Library, fits, walk


def tree(body: str, name: str = "small", starts: str = '[alertname="Odd"]') -> DecisionTree:
    head = f"tree: {name}\ntitle: Small?\nstarts:\n  - {starts}\nexamples:\n  - {{given: {{alertname: Odd}}, leads-to: []}}\n"
    return parse_tree(head + dedent(body), f"{name}.yaml")


TWO = """
    ask: Which?
    leaf: Q-000
    steps: [{look: At it}]
    branches:
      - {is: one, when: [exit_code="1"], leaf: A-010, cause: It is one, heals: commit}
      - {is: two, when: [exit_code="2"], leaf: A-020, cause: It is two, means: the second}
    otherwise: {leaf: A-090, steps: [{look: Somewhere else}]}
"""


def test_a_fact_decides_a_branch() -> None:
    hint = walk(tree(TWO), {"exit_code": "1"})
    assert (hint.leaf, hint.cause, hint.certainty, hint.heals) == ("A-010", "It is one", Certainty.LIKELY, Heals.COMMIT)
    assert [(step.question, step.answer, step.because) for step in hint.path] == [
        ("Which?", "one", "exit_code='1' saw '1'")
    ]


def test_an_absent_fact_leaves_the_question_open_with_its_branches_as_the_checklist() -> None:
    hint = walk(tree(TWO), {})
    assert (hint.question, hint.leaf, hint.open, hint.certainty) == ("Which?", "Q-000", ("one", "two"), Certainty.OPEN)
    assert hint.checklist == (("one", "It is one"), ("two", "the second"))
    assert [advice.text for advice in hint.steps] == ["At it"]


def test_a_fact_that_differs_from_all_branches_leads_to_otherwise_and_claims_no_cause() -> None:
    hint = walk(tree(TWO), {"exit_code": "3"})
    assert (hint.leaf, hint.cause, hint.certainty) == ("A-090", "", Certainty.OPEN)
    assert hint.path[0].answer == NONE_OF_THESE
    assert hint.path[0].because == "exit_code is 3"


NESTED = """
    ask: Outer?
    branches:
      - is: inner
        when: [reason="In"]
        says: is in
        ask: Inner?
        branches:
          - {is: deep, when: ['message=~"(?P<what>[a-z]+) deep"', severity="error"], leaf: B-010, cause: The <what> is deep}
    otherwise: {leaf: B-090, steps: [{look: Around}]}
"""


def test_a_question_without_an_otherwise_falls_to_the_nearest_ancestors() -> None:
    hint = walk(tree(NESTED), {"reason": "In", "message": "shallow", "severity": "error"})
    assert hint.leaf == "B-090"
    assert [step.answer for step in hint.path] == ["inner", NONE_OF_THESE]
    assert hint.says == "is in"


def test_otherwise_open_says_that_silence_is_no_answer() -> None:
    silent = tree(
        NESTED.replace(
            "        branches:\n          - {is: deep",
            "        otherwise: open\n        branches:\n          - {is: deep",
        )
    )
    hint = walk(silent, {"reason": "In", "message": "shallow", "severity": "error"})
    assert (hint.question, hint.open) == ("Inner?", ("deep",))


def test_one_false_condition_denies_a_branch_whatever_is_unknown_about_the_others() -> None:
    assert walk(tree(NESTED), {"reason": "In", "severity": "warning"}).leaf == "B-090"
    assert walk(tree(NESTED), {"reason": "In", "severity": "error"}).question == "Inner?"


def test_a_named_group_is_a_fact_below_its_branch() -> None:
    hint = walk(tree(NESTED), {"reason": "In", "message": "water deep", "severity": "error"})
    assert hint.cause == "The water is deep"


def test_a_branch_that_fits_is_taken_past_one_that_is_unknown() -> None:
    body = """
        ask: Which?
        branches:
          - {is: first, when: [exit_code="1"], leaf: C-010, steps: [{look: A}]}
          - {is: second, when: [reason="R"], leaf: C-020, steps: [{look: B}]}
        otherwise: {leaf: C-090, steps: [{look: C}]}
    """
    assert walk(tree(body), {"reason": "R"}).leaf == "C-020"
    assert walk(tree(body), {"reason": "S"}).open == ("first",)


@pytest.mark.parametrize(
    "matcher, verdict",
    [
        ('pod="x"', None),
        ('pod!="x"', None),
        ('pod=~"x.*"', None),
        ('pod!~"x.*"', None),
        ('pod=""', True),
        ('pod!=""', False),
        ('pod=~"|x"', True),
    ],
)
def test_an_absent_fact_is_unknown_unless_its_absence_is_asked_for(matcher: str, verdict: bool | None) -> None:
    assert fits(parse(matcher), {}) is verdict
    assert fits(parse(matcher), {"pod": ""}) is verdict


def test_a_tree_that_starts_by_alertname_goes_before_one_that_starts_by_anything_else() -> None:
    leaf = """
        leaf: {0}-010
        steps: [{{look: At it}}]
    """
    wide = tree(leaf.format("WIDE"), "wide", '[pod!=""]')
    exact = tree(leaf.format("EXACT"), "exact", '[alertname=~"Odd|Strange"]')
    library = Library.of([wide, exact])
    assert library.explain({"alertname": "Odd", "pod": "a"}).tree == "exact"
    assert library.explain({"alertname": "Other", "pod": "a"}).tree == "wide"
    assert library.choose({"alertname": "Other"}) is None
    choice = library.choose({"alertname": "Odd"})
    assert choice is not None
    assert choice.because == "alertname=~'Odd|Strange' saw 'Odd'"


def test_because_shows_the_piece_of_a_long_text_that_matched_in_one_short_line() -> None:
    long = tree(NESTED.replace('"(?P<what>[a-z]+) deep"', '".*(?P<what>water) deep.*"'))
    hint = walk(long, {"reason": "In", "severity": "error", "message": f"{'x ' * 500}the water deep\n{'y' * 500}"})
    assert "water deep" in hint.path[1].because
    assert "\n" not in hint.path[1].because
    assert len(hint.path[1].because) < 300


def test_the_library_walks_as_its_trees_do_one_by_one() -> None:
    small = tree(NESTED)
    library = Library.of([small])
    for message in ("water deep", "shallow", "", "waterdeep"):
        known = {"alertname": "Odd", "reason": "In", "severity": "error", "message": message}
        alone = walk(small, known)
        assert library.explain(known).path == alone.path
        assert library.explain(known).leaf == alone.leaf


def test_every_fact_is_documented_once_and_its_finders_need_no_luck() -> None:
    assert len(REGISTRY) == len(FACTS)
    for fact in REGISTRY.values():
        assert fact.meaning[0].isupper()
        assert not fact.find or "<" not in fact.find[-1], f"the last way to find {fact.name} names nothing"


def test_derived_facts_never_change_what_was_said() -> None:
    said = {
        "alertname": "KubePodCrashLooping",
        "status": "Sleeping",
        "exit_code": "5",
        "message": "OOMKilled, exit code 137",
    }
    assert derive(said)["status"] == "Sleeping"
    assert derive(said)["exit_code"] == "5"
    assert derive(said)["terminated"] == "OOMKilled"


def test_trees_may_be_as_deep_as_people_can_follow_and_no_deeper() -> None:
    def nested(depth: int) -> str:
        if depth == 0:
            return "leaf: D-010\nsteps: [{look: At it}]\n"
        branch = indent(nested(depth - 1), "    ")
        return f'ask: Q{depth}?\nbranches:\n  - is: yes\n    when: [pod!=""]\n{branch}'

    end = "otherwise: {leaf: D-090, steps: [{look: At it}]}\n"
    assert walk(tree(nested(8) + end), {"pod": "a"}).leaf == "D-010"
    with pytest.raises(ValueError, match="more than 8 questions"):
        tree(nested(9) + end)
