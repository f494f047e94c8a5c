import json
import re
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from relay.cli import app
from relay.config.trees import load_trees
from relay.core.event import Source
from relay.core.facts import REGISTRY, derive
from relay.core.tree import Act, nodes
from relay.tools.coverage import Reach, as_json, coverage, is_covered, of_rule, reach, report
from relay.tools.trees import changes
from tests.conftest import CORPUS
from tests.tools.payloads import alertmanager

LIBRARY = load_trees()
NOW = 1_772_360_000.0
RULE = {
    "alertname": "KubePodCrashLooping",
    "severity": "warning",
    "labels": ["namespace", "pod", "reason"],
    "summary": "Pod is crash looping.",
}


ALERT = {
    "status": "firing",
    "labels": {"alertname": "NobodyKnowsThis", "instance": "192.0.2.9:80"},
    "annotations": {},
    "startsAt": "2026-03-01T10:00:00Z",
}


def _lines(name: str) -> list[bytes]:
    assert CORPUS
    return (CORPUS / name).read_bytes().splitlines()


@pytest.mark.corpus
def test_every_alertname_reaches_a_leaf_an_open_question_or_something_general() -> None:
    found = coverage(LIBRARY, _lines("alerts.jsonl"), NOW)
    assert len(found.names) == 141
    assert not found.unread
    assert not [name for name, far in found.names.items() if far is Reach.NOWHERE]
    assert sum(far is Reach.GENERAL for far in found.names.values()) <= 3
    assert is_covered(found)


@pytest.mark.corpus
def test_of_a_hundred_error_events_ninety_five_reach_a_leaf_with_its_cause() -> None:
    found = coverage(LIBRARY, _lines("flux-events.jsonl"), NOW)
    assert len(found.errors) > 50
    assert sum(one.reach is Reach.LEAF for one in found.errors) >= 0.95 * len(found.errors)
    assert {one.source for one in found.walked} == {Source.FLUX}


@pytest.mark.corpus
def test_an_open_question_on_the_way_has_a_checklist() -> None:
    for line in _lines("alerts.jsonl"):
        hint = LIBRARY.explain(of_rule(json.loads(line)))
        assert reach(hint) is not Reach.QUESTION or hint.checklist
        assert any(step.run for step in hint.steps), "and something can be pasted"


@pytest.mark.corpus
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_stock_rule_leads_to_a_command_with_a_blank_or_an_odd_value_or_to_a_change_first(
    data: st.DataObject,
) -> None:
    rule = json.loads(data.draw(st.sampled_from(_lines("alerts.jsonl"))))
    names = [name for name in rule["labels"] if name in REGISTRY and name not in {"alertname", "severity"}]
    odd = st.sampled_from(["odd one", "$(id)", "-rf", "x;y", "<pod>", "@everyone"])
    value = odd | st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9.:/-]{0,20}", fullmatch=True)
    said = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(names, value)))
    hint = LIBRARY.explain(derive({"alertname": rule["alertname"], "message": rule["summary"]} | said))
    assert hint.steps[0].act is Act.LOOK
    for step in hint.steps:
        outside = re.sub(r"'[^']*'|\"[^\"]*\"", "", step.run)
        assert not re.search(r"[<>$;`&]|\[-", outside)
        assert not any(one in step.run for one in ("odd one", "$(id)", "x;y", "@everyone"))
        assert step.act is not Act.LOOK or not changes(step.run)


def test_of_a_rule_only_names_are_known_and_no_reason_is_made_up() -> None:
    known = of_rule(RULE)
    assert known["pod"]
    assert "reason" not in known
    assert of_rule({"alertname": "X", "labels": ["exported_namespace"]})["namespace"] == "media"


def test_rules_and_payloads_are_counted_and_what_is_neither_is_said_by_its_line() -> None:
    body = alertmanager(ALERT)
    lines = [
        json.dumps(RULE).encode(),
        b"",
        body,
        json.dumps({"id": 1, "body": json.loads(body)}).encode(),
        b"nonsense",
        b"[1]",
    ]
    found = coverage(LIBRARY, lines, NOW)
    assert [one.line for one in found.walked] == [1, 3, 4]
    assert found.unread == (5, 6)
    assert found.names["KubePodCrashLooping"] is Reach.QUESTION
    assert found.names["NobodyKnowsThis"] is Reach.GENERAL
    assert "POD-CRASH-000" in found.exercised
    told = report(found)
    assert "2 alert names" in told
    assert "a general leaf: NobodyKnowsThis ×2" in told
    assert "not read: 2 lines, the first is 5" in told


def test_the_least_that_an_alert_of_a_name_came_to_counts_for_the_name() -> None:
    lines = [
        json.dumps(one).encode()
        for one in ({"alertname": "Odd", "labels": []}, {"alertname": "Odd", "labels": ["pod"]})
    ]
    found = coverage(LIBRARY, lines, NOW)
    assert found.names == {"Odd": Reach.NOWHERE}
    assert not is_covered(found)
    assert as_json(found)["worst"][0] == {"reach": "nowhere", "name": "Odd", "text": "", "count": 1}


def test_the_command_tells_people_or_programs_and_is_negative_where_the_trees_do_not_reach(tmp_path: Path) -> None:
    file = tmp_path / "alerts.jsonl"
    file.write_text(json.dumps(RULE))
    run = CliRunner()
    assert run.invoke(app, ["trees", "coverage", str(file)]).exit_code == 0
    told = json.loads(run.invoke(app, ["trees", "coverage", str(file), "--json"]).output)
    assert told["alertnames"] == {"KubePodCrashLooping": "question"}
    file.write_text(json.dumps({"alertname": "Odd"}))
    assert run.invoke(app, ["trees", "coverage", str(file)]).exit_code == 1


def test_every_leaf_of_the_library_is_reached_by_an_example() -> None:
    reached = {LIBRARY.explain(derive(one.given)).leaf for tree in LIBRARY.trees for one in tree.examples}
    assert {node.leaf for tree in LIBRARY.trees for node in nodes(tree.root) if node.leaf} <= reached


def test_walking_the_whole_library_costs_little_however_long_the_message_is() -> None:
    """A set of all patterns cost 30 ms for a long message; the bound is far from what is usual, so that a busy machine keeps it."""
    known = [derive(one.given) for tree in LIBRARY.trees for one in tree.examples]
    for one in known:
        LIBRARY.explain(one)
    began = time.process_time()
    for one in known:
        LIBRARY.explain(one)
    assert (time.process_time() - began) / len(known) < 0.001
    long = derive(
        {
            "alertname": "FluxHelmReleaseUpgradeFailed",
            "kind": "HelmRelease",
            "message": "Helm upgrade failed: " + "x y " * 2000,
        }
    )
    LIBRARY.explain(long)
    began = time.process_time()
    LIBRARY.explain(long)
    assert time.process_time() - began < 0.02


def test_loading_all_trees_takes_less_than_a_moment() -> None:
    took = []
    for _ in range(3):
        began = time.process_time()
        load_trees()
        took.append(time.process_time() - began)
    assert min(took) < 0.6, "0.2 s is usual"
