import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.config.trees import load_trees
from relay.core.event import Severity, Source, Subject
from relay.core.facts import FACTS, facts
from relay.core.signal import Signal
from relay.core.tree import MAX_LOOKS, Act, Hint, PhraseError, advise, command, fill, phrase, tell, usable, written
from relay.core.tree import Step as TreeStep
from relay.tools.trees import changes

LIBRARY = load_trees()
GIVEN = [dict(example.given) for tree in LIBRARY.trees for example in tree.examples]
PIECES = tuple(text for given in GIVEN for name, text in given.items() if name == "message")
NASTY = (
    "$(reboot)",
    "`id`",
    "a;b",
    "a b",
    "-rf",
    "--all",
    "'",
    '"',
    "a\nb",
    "<pod>",
    "{pod}",
    "%s",
    "@everyone",
    "ø",
    "x" * 300,
    "",
    "../..",
    "|",
    "&",
)


def signal(labels: dict[str, str], message: str) -> Signal:
    return Signal(
        key="k", source=Source.ALERTMANAGER, subject=Subject("c", "", "", ""), aspect="", severity=Severity.ERROR,
        since=0, sent_at=0, seen_at=0, labels=labels, message=message,
    )  # fmt: skip


values = st.sampled_from(NASTY) | st.text(max_size=30) | st.from_regex(r"[a-z0-9.-]{1,20}", fullmatch=True)
labels = st.builds(
    lambda base, extra: base | extra,
    st.sampled_from([{name: text for name, text in given.items() if name != "message"} for given in GIVEN]),
    st.dictionaries(
        st.sampled_from([fact.name for fact in FACTS if fact.name not in {"alertname", "reason", "kind"}]),
        values,
        max_size=6,
    ),
)
messages = st.builds(
    lambda piece, old, new: piece.replace(old, new),
    st.sampled_from(PIECES),
    st.sampled_from(["web", "media", "sonarr", "apps"]),
    values,
)


def hint_of(alert: dict[str, str], message: str) -> Hint:
    return LIBRARY.hint(signal(alert, message))


@settings(max_examples=300)
@given(labels, messages)
def test_no_rendered_command_has_a_blank_an_odd_value_or_changes_first(alert: dict[str, str], message: str) -> None:
    hint = hint_of(alert, message)
    assert hint.steps
    assert hint.steps[0].act is Act.LOOK
    for step in hint.steps:
        assert "<" not in step.run
        assert "\n" not in step.run
        outside = "".join(shlex.split(step.run)[:1]) if not step.run else step.run
        assert not {"$", "`", ";", "&"} & set(_unquoted(outside))
        if step.act is Act.LOOK:
            assert not changes(step.run)
    assert sum(1 for step in hint.steps if step.act is Act.LOOK and step.run) <= MAX_LOOKS


def _unquoted(line: str) -> str:
    out, mark = [], ""
    for char in line:
        if mark:
            mark = "" if char == mark else mark
        elif char in "'\"":
            mark = char
        else:
            out.append(char)
    return "".join(out)


@settings(max_examples=200)
@given(labels, messages)
def test_no_outside_text_reaches_a_hint_but_as_a_short_name(alert: dict[str, str], message: str) -> None:
    hint = hint_of(alert, message)
    for text in (hint.cause, hint.says, hint.impact, hint.question, *(step.text for step in hint.steps)):
        assert "\n" not in text
        assert "$(" not in text
        assert len(text) <= 500


@pytest.mark.parametrize(
    "value",
    ["", "-n", "--all", "@file", "a b", "a;b", "$(x)", "'", '"', "a\nb", "ø", "x" * 254, "a|b", "a>b", "`x`", "\\"],
)
def test_what_is_no_name_fills_no_blank(value: str) -> None:
    assert not usable(value)
    assert fill(command("kubectl get pod <pod>"), {"pod": value}) is None


@given(st.text(max_size=40))
def test_a_filled_command_has_exactly_the_words_of_its_author_and_one_for_each_name(value: str) -> None:
    line = fill(command("kubectl get pod <pod> -o yaml"), {"pod": value})
    assert line is None or shlex.split(line) == ["kubectl", "get", "pod", value, "-o", "yaml"]


@pytest.mark.parametrize(
    "known, line",
    [
        ({"pod": "a", "container": "app"}, "kubectl logs a -c app --previous"),
        ({"pod": "a"}, "kubectl logs a --previous"),
        ({"pod": "a", "container": "$(x)"}, "kubectl logs a --previous"),
        ({}, None),
    ],
)
def test_an_optional_part_stands_only_with_its_value(known: dict[str, str], line: str | None) -> None:
    assert fill(command("kubectl logs <pod> [-c <container>] --previous"), known) == line


def test_an_optional_part_at_the_end_leaves_no_space() -> None:
    assert (
        fill(command("flux events --for HelmRelease/<name> [-n <namespace>]"), {"name": "a"})
        == "flux events --for HelmRelease/a"
    )


def test_brackets_within_quotes_belong_to_the_command() -> None:
    text = "kubectl get pod <pod> -o jsonpath='{.items[*].x[?(@.a==\"b\")]}'"
    assert written(command(text)) == text


@pytest.mark.parametrize(
    "text", ["a ; b", "a && b", "a > b", "a $(b)", "a `b`", "a 'b", "a <b", "a ] b", "a [b] c", "a\nb", "a '<pod>'"]
)
def test_a_command_that_does_more_than_look_through_pipes_is_refused(text: str) -> None:
    with pytest.raises(PhraseError):
        command(text)


def test_a_missing_name_is_found_first_and_the_step_keeps_its_words() -> None:
    steps = [
        TreeStep(Act.LOOK, phrase("Its state"), command("kubectl -n <namespace> get pod <pod>")),
        TreeStep(Act.LOOK, phrase("Its log"), command("kubectl -n <namespace> logs <pod>")),
    ]
    advice = advise(steps, {"namespace": "media", "workload": "sonarr"})
    assert [(one.text, one.run) for one in advice] == [
        ("Find the pod", "kubectl -n media get pods | grep sonarr"),
        ("Its state", ""),
        ("Its log", ""),
    ]
    assert advise(steps[:1], {})[0].run == "kubectl get namespaces"


def test_a_sentence_calls_a_missing_or_odd_name_by_what_it_is() -> None:
    assert tell(phrase("<object> is refused"), {"object": "@everyone **x**"}) == "The object is refused"
    assert tell(phrase("The <what> is gone"), {"what": "moon"}) == "The moon is gone"
    assert tell(phrase("The <what> is gone"), {"what": "**moon** @everyone"}) == "The … is gone"


def test_history_reaches_a_hint_only_by_registered_names() -> None:
    known = facts(signal({"alertname": "X"}, "m"), {"changed": "3ebb95c", "pod": "evil"})
    assert known["changed"] == "3ebb95c"
    assert "pod" not in known
