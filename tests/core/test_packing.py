"""Whatever is waiting, the next thing sent is the right one, in the right form, and its reason has a name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.attention import Loudness
from relay.core.card import Form
from relay.core.due import Step, Why
from relay.core.event import Severity
from relay.core.incident import Reason as IncidentReason
from relay.core.pace import KEPT, POSTS
from relay.core.packing import (
    CAPACITY,
    HALF,
    Budget,
    Choice,
    Kind,
    Made,
    Mention,
    Reason,
    Room,
    Waiting,
    choose,
    form_for,
    halved,
    kind_of,
    mentions,
    settled_at,
    spread_at,
)

NOW = 1_000.0
IDLE = Budget(NOW, NOW, NOW)
PAGE, ARRIVAL, NOTIFY, QUIET, OVER, END = Kind


def budget(**more: Any) -> Budget:  # noqa: ANN401  # the value's own fields
    return Budget(**{"pages_at": NOW, "posts_at": NOW, "edits_at": NOW, **more})


def lines(standing: int = 20, *, made: float = NOW - 30, edited: float = NOW - 5, form: Form = Form.LINE) -> Room:
    return Room(form, standing, made, edited)


def made(kind: Kind, *forms: Form, ago: float = 10.0) -> list[Made]:
    return [Made(NOW - ago, kind, form) for form in forms]


SPENT_HALF = budget(spent=HALF, last_post_at=NOW - 10)
NEXT: list[tuple[str, list[Waiting], tuple[bool, bool], Budget, list[Made], Reason, Kind | None, Form]] = [
    # what waits, whether edits (of what changed, of what moved) do, what may go, what was made; what goes
    ("nothing waits", [], (False, False), IDLE, [], Reason.NOTHING, None, Form.FULL),
    ("one page is a card of its own", [Waiting(PAGE, 1)], (False, False), IDLE, [], Reason.ALONE, PAGE, Form.FULL),
    (
        "a page goes before everything",
        [Waiting(PAGE, 1), Waiting(NOTIFY, 9), Waiting(END, 2)],
        (True, True), IDLE, [], Reason.ALONE, PAGE, Form.FULL,
    ),
    ("an opening goes before an edit", [Waiting(QUIET, 1)], (True, False), IDLE, [], Reason.ALONE, QUIET, Form.FULL),
    ("what is loud opens first", [Waiting(NOTIFY, 1), Waiting(QUIET, 1)], (False, False), IDLE, [], Reason.ALONE, NOTIFY, Form.FULL),
    ("an edit goes before an end", [Waiting(END, 1)], (True, False), IDLE, [], Reason.CHANGES, None, Form.FULL),
    ("what moved goes before an end", [Waiting(END, 1)], (False, True), IDLE, [], Reason.MOVED, None, Form.FULL),
    ("what changed goes before what moved", [], (True, True), IDLE, [], Reason.CHANGES, None, Form.FULL),
    ("a few are compact", [Waiting(NOTIFY, 5)], (False, False), IDLE, [], Reason.TOGETHER, NOTIFY, Form.COMPACT),
    ("many are lines", [Waiting(PAGE, 11)], (False, False), IDLE, [], Reason.TOGETHER, PAGE, Form.LINE),
    ("hundreds are names", [Waiting(PAGE, 200)], (False, False), IDLE, [], Reason.TOGETHER, PAGE, Form.GROUPED),
    ("ends share one sound", [Waiting(END, 40)], (False, False), IDLE, [], Reason.TOGETHER, END, Form.LINE),
    ("one end is a post of its own", [Waiting(END, 1)], (False, False), IDLE, [], Reason.ALONE, END, Form.FULL),
    ("what came and went shares lines", [Waiting(OVER, 7)], (False, False), IDLE, [], Reason.TOGETHER, OVER, Form.LINE),
    (
        "from half the minute on one alone is a line in a Message that will take more",
        [Waiting(NOTIFY, 1)], (False, False), SPENT_HALF, [], Reason.TOGETHER, NOTIFY, Form.LINE,
    ),
    (
        "which grows by edit",
        [Waiting(NOTIFY, 3, lines())], (False, False), SPENT_HALF, [], Reason.GROWS, NOTIFY, Form.LINE,
    ),
    (
        "but not a moment after it did",
        [Waiting(NOTIFY, 3, lines(edited=NOW - 0.2))], (False, False), SPENT_HALF, [], Reason.SETTLES, NOTIFY, Form.LINE,
    ),
    (
        "and meanwhile others are edited",
        [Waiting(NOTIFY, 3, lines(edited=NOW - 0.2))], (True, False), SPENT_HALF, [], Reason.CHANGES, None, Form.FULL,
    ),
    (
        "a Message far above takes nothing new",
        [Waiting(NOTIFY, 3, lines(made=NOW - 301))], (False, False), SPENT_HALF, [], Reason.TOGETHER, NOTIFY, Form.LINE,
    ),
    (
        "in calm nothing grows",
        [Waiting(NOTIFY, 1, lines())], (False, False), IDLE, [], Reason.ALONE, NOTIFY, Form.FULL,
    ),
    (
        "a page that must be heard is a new Message",
        [Waiting(PAGE, 30, lines(), rings=True)], (False, False), IDLE, [], Reason.TOGETHER, PAGE, Form.LINE,
    ),
    (
        "pages that were called for grow silently",
        [Waiting(PAGE, 30, lines())], (False, False), IDLE, [], Reason.GROWS, PAGE, Form.LINE,
    ),
    (
        "more than a Message can hold get a denser one",
        [Waiting(PAGE, 200, lines())], (False, False), IDLE, [], Reason.TOGETHER, PAGE, Form.GROUPED,
    ),
    (
        "or fill the old one while no post may go",
        [Waiting(PAGE, 200, lines())], (False, False), budget(pages_at=NOW + 2), [], Reason.GROWS, PAGE, Form.LINE,
    ),
    (
        "the last posts of a minute are kept for pages",
        [Waiting(NOTIFY, 1)], (False, False),
        budget(posts_at=NOW + 30, spent=POSTS - KEPT, last_post_at=NOW - 9), [], Reason.KEPT, NOTIFY, Form.LINE,
    ),
    (
        "which get them, and a card of their own",
        [Waiting(PAGE, 1), Waiting(NOTIFY, 1)], (False, False),
        budget(posts_at=NOW + 30, spent=POSTS - KEPT, last_post_at=NOW - 9), [], Reason.ALONE, PAGE, Form.FULL,
    ),
    (
        "no opening takes the post that a page waits for",
        [Waiting(PAGE, 1), Waiting(NOTIFY, 1)], (False, False),
        budget(pages_at=NOW + 0.5, posts_at=NOW), [], Reason.THROTTLED, PAGE, Form.FULL,
    ),
    (
        "but an edit goes meanwhile",
        [Waiting(PAGE, 1), Waiting(NOTIFY, 1)], (True, False),
        budget(pages_at=NOW + 0.5, posts_at=NOW + 0.5), [], Reason.CHANGES, None, Form.FULL,
    ),
    (
        "and an opening that needs but an edit",
        [Waiting(PAGE, 1), Waiting(NOTIFY, 20, lines())], (False, False),
        budget(pages_at=NOW + 0.5, posts_at=NOW + 0.5), [], Reason.GROWS, NOTIFY, Form.LINE,
    ),
    (
        "posts are spaced by what is spent",
        [Waiting(NOTIFY, 1)], (False, False), budget(spent=HALF, last_post_at=NOW - 1), [], Reason.SPACED, NOTIFY, Form.LINE,
    ),
    (
        "the first of a minute is not",
        [Waiting(NOTIFY, 1)], (False, False), budget(spent=0, last_post_at=NOW), [], Reason.ALONE, NOTIFY, Form.FULL,
    ),
    (
        "an end is in no hurry",
        [Waiting(END, 1)], (False, False), budget(spent=5, last_post_at=NOW - 1), [], Reason.SPACED, END, Form.FULL,
    ),
    (
        "what is throttled waits as long as that",
        [], (True, False), budget(edits_at=NOW + 7), [], Reason.THROTTLED, None, Form.FULL,
    ),
]  # fmt: skip


@pytest.mark.parametrize("sentence, waiting, edits, may, past, reason, kind, form", NEXT, ids=[row[0] for row in NEXT])
def test_the_next_request_is_the_right_one(
    sentence: str,
    waiting: list[Waiting],
    edits: tuple[bool, bool],
    may: Budget,
    past: list[Made],
    reason: Reason,
    kind: Kind | None,
    form: Form,
) -> None:
    choice = choose(waiting, *edits, may, past, NOW)
    assert (choice.reason, choice.kind, choice.form) == (reason, kind, form), sentence
    assert choice.sends == (
        reason not in {Reason.NOTHING, Reason.SETTLES, Reason.KEPT, Reason.SPACED, Reason.THROTTLED}
    )


FORMS: list[tuple[str, Kind, int, int, list[Made], Form]] = [
    ("at first a card of its own", NOTIFY, 4, 0, [], Form.FULL),
    ("five are compact", NOTIFY, 5, 0, [], Form.COMPACT),
    ("and three are still, after such a one", NOTIFY, 3, 0, made(NOTIFY, Form.COMPACT), Form.COMPACT),
    ("but not a minute later", NOTIFY, 3, 0, made(NOTIFY, Form.COMPACT, ago=61), Form.FULL),
    ("two are not", NOTIFY, 2, 0, made(NOTIFY, Form.COMPACT), Form.FULL),
    ("a third of the minute makes them compact", NOTIFY, 1, 8, [], Form.COMPACT),
    ("half of it makes lines", NOTIFY, 1, HALF, [], Form.LINE),
    ("which stay while a third is spent", NOTIFY, 1, 8, made(NOTIFY, Form.LINE), Form.LINE),
    ("what others made is theirs", NOTIFY, 6, 0, made(QUIET, Form.LINE), Form.COMPACT),
    ("four Messages of lines were not enough", PAGE, 5, 6, made(PAGE, *[Form.LINE] * 4), Form.GROUPED),
    ("names stay while they are many", PAGE, 31, 3, made(PAGE, Form.GROUPED), Form.GROUPED),
    ("and become lines again", PAGE, 20, 3, made(PAGE, Form.GROUPED), Form.LINE),
    ("what others spent leaves pages their cards", PAGE, 1, POSTS - KEPT, [], Form.FULL),
    ("until little is left", PAGE, 1, POSTS - 1, [], Form.LINE),
    ("what is over shares as many lines as there are", END, 100, 0, [], Form.LINE),
    ("or names", OVER, 101, 0, [], Form.GROUPED),
]


@pytest.mark.parametrize("sentence, kind, count, spent, past, form", FORMS, ids=[row[0] for row in FORMS])
def test_the_form_is_as_dense_as_it_must_be(
    sentence: str, kind: Kind, count: int, spent: int, past: list[Made], form: Form
) -> None:
    assert form_for(kind, count, spent, past, NOW) is form, sentence


kinds = st.sampled_from(Kind)
rooms = st.builds(
    Room,
    st.sampled_from([Form.COMPACT, Form.LINE, Form.GROUPED]),
    st.integers(1, 600),
    st.floats(NOW - 600, NOW),
    st.floats(NOW - 600, NOW),
)
queues = st.lists(kinds, unique=True).flatmap(
    lambda some: st.tuples(
        *(
            st.builds(Waiting, st.just(kind), st.integers(1, 700), st.none() | rooms, st.booleans())
            for kind in sorted(some, key=list(Kind).index)
        )
    )
)
budgets = st.builds(
    Budget,
    st.floats(NOW - 5, NOW + 60),
    st.floats(NOW - 5, NOW + 60),
    st.floats(NOW - 5, NOW + 60),
    st.integers(0, 30),
    st.none() | st.floats(NOW - 60, NOW),
)
pasts = st.lists(st.builds(Made, st.floats(NOW - 70, NOW), kinds, st.sampled_from(list(CAPACITY))), max_size=25)


@given(waiting=queues, changes=st.booleans(), moved=st.booleans(), may=budgets, past=pasts)
def test_whatever_waits_something_goes_or_is_waited_for_and_no_limit_is_broken(
    waiting: tuple[Waiting, ...], changes: bool, moved: bool, may: Budget, past: list[Made]
) -> None:
    choice = choose(waiting, changes, moved, may, past, NOW)
    if not (waiting or changes or moved):
        assert choice == Choice(Reason.NOTHING)
    elif not choice.sends:
        assert choice.at is not None
        assert choice.at > NOW
    elif choice.reason in {Reason.ALONE, Reason.TOGETHER}:
        assert (may.pages_at if choice.kind is Kind.PAGE else may.posts_at) <= NOW
    else:
        assert may.edits_at <= NOW
        assert choice.reason is Reason.GROWS or changes or moved


@given(waiting=queues, changes=st.booleans(), moved=st.booleans(), may=budgets, past=pasts)
def test_no_new_message_overtakes_a_more_important_one(
    waiting: tuple[Waiting, ...], changes: bool, moved: bool, may: Budget, past: list[Made]
) -> None:
    choice = choose(waiting, changes, moved, may, past, NOW)
    if choice.reason not in {Reason.ALONE, Reason.TOGETHER}:
        return
    before = [one for one in waiting if list(Kind).index(one.kind) < list(Kind).index(choice.kind or Kind.PAGE)]
    for one in before:  # Each of these only waits for the Message in which it will stand.
        assert choose([one], False, False, may, past, NOW).reason is Reason.SETTLES


STEPS = [
    (Step(Why.PAGE, Form.FULL, Loudness.PAGE), PAGE),
    (Step(Why.OPEN, Form.FULL, Loudness.NOTIFY), NOTIFY),
    (Step(Why.OPEN, Form.FULL, Loudness.QUIET), QUIET),
    (Step(Why.SHOW_AGAIN, Form.FULL, Loudness.QUIET), QUIET),
    (Step(Why.CAME_AND_WENT, Form.LINE, Loudness.QUIET), OVER),
    (Step(Why.END, Form.END, Loudness.NOTIFY), END),
]


@pytest.mark.parametrize("step, kind", STEPS)
def test_what_is_differently_loud_never_shares_a_message(step: Step, kind: Kind) -> None:
    assert kind_of(step) is kind


CALLS = [
    ("nobody was called yet", None, Severity.ERROR, True),
    ("a moment ago", Mention(NOW - 1, Severity.CRITICAL), Severity.CRITICAL, False),
    ("for something less bad", Mention(NOW - 1, Severity.ERROR), Severity.CRITICAL, True),
    ("for something worse", Mention(NOW - 1, Severity.CRITICAL), Severity.ERROR, False),
    ("five minutes ago", Mention(NOW - 300, Severity.CRITICAL), Severity.ERROR, True),
]


@pytest.mark.parametrize("sentence, last, severity, calls", CALLS, ids=[row[0] for row in CALLS])
def test_a_channel_is_called_once_in_five_minutes_unless_it_is_worse(
    sentence: str, last: Mention | None, severity: Severity, calls: bool
) -> None:
    assert mentions(last, severity, NOW) is calls, sentence


def test_a_change_of_state_waits_for_nothing_and_text_only_where_it_moves_again_and_again() -> None:
    often = (NOW - 3, NOW - 2, NOW - 1, NOW - 0.5)
    assert settled_at([IncidentReason.MEMBER], (), NOW) == NOW
    assert settled_at([IncidentReason.MEMBER], often[1:], NOW) == NOW
    assert settled_at([IncidentReason.MEMBER], often, NOW) == NOW + 6.5
    assert settled_at([IncidentReason.MEMBER, IncidentReason.RESOLVED], often, NOW) == NOW


def test_a_message_of_hundreds_is_edited_once_a_second_and_others_whenever_they_change() -> None:
    few, many = CAPACITY[Form.LINE], CAPACITY[Form.LINE] + 1
    assert spread_at(few, NOW - 0.25, NOW) == NOW
    assert spread_at(many, NOW - 0.25, NOW) == NOW + 0.75
    assert spread_at(many, NOW - 1.0, NOW) == NOW


@given(count=st.integers(2, 600))
def test_halving_ends_at_the_one_that_is_refused(count: int) -> None:
    steps = 0
    while count > 1:
        assert halved(count) < count
        count, steps = halved(count), steps + 1
    assert steps < 10
