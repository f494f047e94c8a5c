import pytest

from relay.config.trees import load_trees
from relay.core.facts import derive
from relay.core.tree import Certainty, Example
from relay.tools import trees as tools

LIBRARY = load_trees()
TESTED = {(one.tree, one.example.line): one for one in tools.test(LIBRARY)}
EXAMPLES = [(tree.name, example) for tree in LIBRARY.trees for example in tree.examples]


@pytest.mark.parametrize("name, example", EXAMPLES, ids=[f"{name}:{example.line}" for name, example in EXAMPLES])
def test_an_example_leads_where_it_says(name: str, example: Example) -> None:
    assert not TESTED[name, example.line].problem


def test_a_reviewer_has_nothing_to_say_about_the_shipped_trees() -> None:
    assert tools.lint(LIBRARY) == ()


def test_a_leaf_is_likely_and_an_open_question_has_a_checklist_and_never_a_cause() -> None:
    for _, example in EXAMPLES:
        hint = LIBRARY.explain(derive(example.given))
        if hint.question:
            assert hint.certainty is Certainty.OPEN
            assert not hint.cause
            assert tuple(answer for answer, _ in hint.checklist) == hint.open
            assert all(meaning for _, meaning in hint.checklist)
        else:
            assert hint.certainty is (Certainty.LIKELY if hint.cause else Certainty.OPEN)
            assert not hint.open


def test_every_hint_says_the_state_and_begins_with_a_look() -> None:
    for _, example in EXAMPLES:
        hint = LIBRARY.explain(derive(example.given))
        assert hint.says or hint.tree == "yet-unknown", "where no tree knows the alert, its own summary is the headline"
        assert hint.because
        assert "…" not in hint.cause, "a cause names what its branch has seen"
        assert hint.steps[0].act == "look"


def test_what_kube_prometheus_stack_sends_for_a_crash_is_a_question_with_the_commands_that_answer_it() -> None:
    hint = LIBRARY.explain(
        derive(
            {
                "alertname": "KubePodCrashLooping",
                "namespace": "media",
                "pod": "sonarr-66cc5c9fcf-9rccg",
                "container": "app",
                "reason": "CrashLoopBackOff",
                "message": "Pod media/sonarr-66cc5c9fcf-9rccg (app) is in waiting state",
                "changed": "3ebb95c",
            }
        )
    )
    assert hint.question == "How did the last run end?"
    assert hint.says == "is crash-looping"
    assert hint.leaf == "POD-CRASH-000"
    assert hint.steps[0].run == "kubectl -n media logs sonarr-66cc5c9fcf-9rccg -c app --previous --tail=50"
    assert hint.steps[-1].run == "git revert 3ebb95c"
    assert dict(hint.checklist)["exit 137"] == "memory or a probe"


def test_all_clauses_of_the_scheduler_are_told() -> None:
    message = "0/3 nodes are available: 1 node(s) had untolerated taint {example.org/gpu: }, 2 Insufficient memory."
    hint = LIBRARY.explain(
        derive({"alertname": "KubePodNotReady", "namespace": "media", "pod": "a-0", "message": message})
    )
    assert hint.cause.startswith("The pod requests more memory")
    assert hint.also == ("A taint that it does not tolerate",)


def test_without_a_tree_the_hint_is_the_senders_summary_and_a_first_look() -> None:
    alert = {"alertname": "DiskOdd", "summary": "The disk is odd", "namespace": "media"}
    hint = LIBRARY.explain(derive(alert))
    assert (hint.tree, hint.title, hint.cause, hint.certainty) == ("", "The disk is odd", "", Certainty.OPEN)
    assert [step.run for step in hint.steps] == ["kubectl -n media events --types=Warning"]
    flux = {
        "alertname": "FluxReceiverOdd",
        "source": "flux",
        "kind": "Receiver",
        "name": "hook",
        "namespace": "flux-system",
    }
    assert [step.run for step in LIBRARY.explain(derive(flux)).steps] == [
        "flux events --for Receiver/hook -n flux-system"
    ]
    assert [step.run for step in LIBRARY.explain(derive({"alertname": "Odd"})).steps] == [
        "kubectl events -A --types=Warning"
    ]
    assert [step.run for step in LIBRARY.explain({}).steps] == ["kubectl events -A --types=Warning"]
