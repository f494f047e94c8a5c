"""What makes a sound: each rule of attention as a story of one Channel, with every sound it would have made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from relay.core import due
from relay.core.attention import ChannelPolicy, Loudness, Resolved
from relay.core.due import Why
from relay.core.event import Severity
from relay.core.incident import Incident, Reason
from relay.core.posting import Posting
from tests.core.ears import Ears
from tests.core.make import NOW
from tests.storage import samples

MINUTE = 60.0
HOUR = 3600.0
CRITICAL, ERROR, WARNING, INFO = Severity.CRITICAL, Severity.ERROR, Severity.WARNING, Severity.INFO


# --- what owes a page ---------------------------------------------------------------------------------------------------


def _opens(ears: Ears) -> None:
    ears.fires()


def _errs(ears: Ears) -> None:
    ears.fires(severity=ERROR)


def _warns(ears: Ears) -> None:
    ears.fires(severity=WARNING)


def _escalates(ears: Ears) -> None:
    ears.fires(severity=WARNING)
    ears.later(10)
    ears.fires(severity=CRITICAL)


def _gains_an_alertname(ears: Ears) -> None:
    ears.fires("A", subject=None, labels={"x": "1"})
    ears.fires("A", labels={"x": "2"})
    ears.fires("B", group="other", labels={"x": "3"})


STORIES: list[tuple[str, Callable[[Ears], None], list[str]]] = [
    ("a critical pages when it opens", _opens, ["page: page"]),
    ("an escalation above what was shown pages", _escalates, ["page: page"]),
    (
        "another of the same alert does not page again, another alert is another problem",
        _gains_an_alertname,
        ["page: page"] * 2,
    ),
    ("an error notifies", _errs, ["notify: open"]),
    ("a warning only shows", _warns, []),
]


@pytest.mark.parametrize("sentence, story, heard", STORIES, ids=[sentence for sentence, _, _ in STORIES])
def test_what_opens(sentence: str, story: Callable[[Ears], None], heard: list[str]) -> None:
    ears = Ears()
    story(ears)
    assert ears.heard == heard, sentence


def _incident(**more: Any) -> Incident:  # noqa: ANN401  # The value's own fields.
    return samples.incident(
        "a" * 26, **({"severity": CRITICAL, "peak": CRITICAL, "opened_at": NOW, "visible_at": NOW} | more)
    )


def _owing(**more: Any) -> Posting:  # noqa: ANN401  # The value's own fields.
    plain: dict[str, Any] = {
        "severity": CRITICAL,
        "pages_owed": 1,
        "paged_severity": CRITICAL,
        "paged_for": ("A",),
        "due_at": NOW,
    }
    return samples.posting("a" * 26, **(plain | more))


OPS = ChannelPolicy("ops")


def test_ten_reasons_during_an_outage_are_one_page() -> None:
    posting, incident = _owing(pages_owed=10), _incident()
    step = due.next_step(posting, incident, OPS, NOW)
    after = due.shown(posting, incident, OPS, step, NOW, asked=posting, message=1, settle=120)
    assert step.why is Why.PAGE
    assert due.next_step(after, incident, OPS, NOW).why is Why.NOTHING


NO_LONGER_TRUE: list[tuple[str, Incident, Why]] = [
    ("it has eased to a warning", _incident(severity=WARNING), Why.OPEN),
    ("it is over", _incident(closed_at=NOW), Why.CAME_AND_WENT),
    ("it is an effect of something else", _incident(folded_into="b" * 26), Why.FOLDED),
]


@pytest.mark.parametrize("sentence, incident, why", NO_LONGER_TRUE, ids=[one[0] for one in NO_LONGER_TRUE])
def test_a_page_no_longer_true_is_not_sent(sentence: str, incident: Incident, why: Why) -> None:
    assert due.next_step(_owing(), incident, OPS, NOW).why is why, sentence


def test_an_effect_that_is_shown_already_is_not_paged_for_while_it_is_folded_and_is_when_it_surfaces() -> None:
    posting = _owing(message=1, shown=1)
    assert not due.next_step(posting, _incident(folded_into="b" * 26), OPS, NOW).sends
    assert due.next_step(posting, _incident(), OPS, NOW).why is Why.PAGE


# --- what ends it -------------------------------------------------------------------------------------------------------


def test_the_end_of_what_paged_is_said_once_it_has_held() -> None:
    ears = Ears()
    ears.fires()
    ears.resolves()
    ears.later(119)
    assert ears.heard == ["page: page"]
    ears.later(2)
    assert ears.heard == ["page: page", "notify: end"]
    ears.later(HOUR)
    assert ears.heard == ["page: page", "notify: end"]


def test_the_end_of_what_did_not_page_is_only_shown() -> None:
    ears = Ears()
    ears.fires(severity=ERROR)
    ears.resolves(severity=ERROR)
    ears.later(HOUR)
    assert ears.heard == ["notify: open"]
    assert ears.seen == [Why.OPEN, Why.EDIT]


def test_where_the_channel_says_so_the_end_of_a_page_is_only_shown_too() -> None:
    ears = Ears(ChannelPolicy("ops", resolved=Resolved.EDIT))
    ears.fires()
    ears.resolves()
    ears.later(HOUR)
    assert ears.heard == ["page: page"]


def test_reopening_within_settle_is_an_edit() -> None:
    ears = Ears()
    ears.fires()
    ears.resolves()
    ears.later(60)
    ears.fires()
    ears.later(HOUR)
    assert ears.heard == ["page: page"]
    assert ears.incident().is_open


def test_reopening_after_its_end_was_said_is_as_loud_as_an_opening_of_the_same_incident() -> None:
    ears = Ears()
    ears.fires()
    ears.resolves()
    ears.later(10 * MINUTE)
    ears.fires()
    assert ears.heard == ["page: page", "notify: end", "page: page"]
    assert len(ears.known.incidents) == 1


def test_reopening_after_half_an_hour_is_a_new_incident_that_names_the_old() -> None:
    ears = Ears()
    ears.fires()
    ears.resolves()
    ears.later(31 * MINUTE)
    ears.fires()
    assert ears.heard == ["page: page", "notify: end", "page: page"]
    assert ears.incident(1).follows == ears.incident(0).id


# --- flapping -----------------------------------------------------------------------------------------------------------


def _comes_and_goes(ears: Ears, times: int, *, every: float = 10 * MINUTE, severity: Severity = CRITICAL) -> None:
    """It fires already; each time it ends, its end is said, and it fires again."""
    for _ in range(times):
        ears.resolves(severity=severity)
        ears.later(every)
        ears.fires(severity=severity)


def test_three_reopenings_within_an_hour_are_flapping_which_is_said_once() -> None:
    ears = Ears()
    ears.fires()
    _comes_and_goes(ears, 2)
    assert not ears.incident().flapping
    _comes_and_goes(ears, 1)
    assert ears.incident().flapping
    assert ears.incident().reason is Reason.FLAPPING
    assert ears.heard == ["page: page"] + ["notify: end", "page: page"] * 3


def test_what_flaps_makes_no_more_sound_but_its_card_follows() -> None:
    ears = Ears()
    ears.fires()
    _comes_and_goes(ears, 3)
    ears.heard.clear()
    ears.seen.clear()
    _comes_and_goes(ears, 20)
    assert ears.heard == []
    assert set(ears.seen) == {Why.EDIT}
    assert len(ears.known.incidents) == 1


def test_of_what_flaps_an_escalation_sounds() -> None:
    ears = Ears(ChannelPolicy("ops", page=ERROR, notify=ERROR))
    ears.fires(severity=ERROR)
    _comes_and_goes(ears, 5, severity=ERROR)
    ears.heard.clear()
    ears.fires(severity=CRITICAL)
    assert ears.heard == ["page: page"]


def test_of_what_flaps_another_alert_does_not() -> None:
    ears = Ears()
    ears.fires(labels={"x": "1"})
    for _ in range(4):
        ears.resolves(labels={"x": "1"})
        ears.later(10 * MINUTE)
        ears.fires(labels={"x": "1"})
    ears.heard.clear()
    posting = due.changed(ears.posting(), ears.incident(), ears.channel, ears.now, severity=CRITICAL, name="Another")
    assert not due.owes_page(posting)


def test_four_reopenings_that_are_rare_are_no_flapping() -> None:
    ears = Ears()
    ears.fires()
    for _ in range(6):
        ears.later(10 * MINUTE)
        _comes_and_goes(ears, 1, every=25 * MINUTE)
    assert not ears.incident().flapping


def test_after_two_hours_of_calm_what_goes_on_flaps_no_more_and_its_card_says_so() -> None:
    ears = Ears()
    ears.fires()
    _comes_and_goes(ears, 4)
    ears.heard.clear()
    ears.seen.clear()
    ears.later(2 * HOUR - 1)
    assert ears.incident().flapping
    ears.later(2)
    assert not ears.incident().flapping
    assert (ears.heard, ears.seen) == ([], [Why.EDIT])


def test_after_two_hours_of_calm_the_end_of_what_flapped_is_said() -> None:
    ears = Ears()
    ears.fires()
    _comes_and_goes(ears, 4)
    ears.heard.clear()
    ears.later(MINUTE)
    ears.resolves()
    ears.later(HOUR)
    assert ears.heard == []
    ears.later(HOUR)
    assert ears.heard == ["notify: end"]


def test_what_flaps_is_the_same_incident_until_it_was_calm_for_long() -> None:
    ears = Ears()
    ears.fires()
    _comes_and_goes(ears, 4)
    ears.heard.clear()
    ears.resolves()
    ears.later(90 * MINUTE)
    ears.fires()
    assert len(ears.known.incidents) == 1
    assert ears.heard == []


# --- reminders ----------------------------------------------------------------------------------------------------------

REMINDING = ChannelPolicy("ops", remind=4 * HOUR)


def test_what_goes_on_pages_again_and_takes_the_place_of_the_page_before() -> None:
    ears = Ears(REMINDING)
    ears.fires()
    ears.later(9 * HOUR)
    assert ears.heard == ["page: page", "page: remind", "page: remind"]
    assert ears.posting().message == 3
    assert (ears.posting().pages_owed, ears.posting().pages_made) == (3, 3)
    ears.resolves()
    ears.later(9 * HOUR)
    assert ears.heard[3:] == ["notify: end"]


NO_REMINDER: list[tuple[str, Posting, Incident]] = [
    ("over", _owing(pages_made=1, message=1, shown=1, paged_at=NOW), _incident(closed_at=NOW)),
    ("folded", _owing(pages_made=1, message=1, shown=1, paged_at=NOW), _incident(folded_into="b" * 26)),
    ("quiet", _owing(pages_made=1, message=1, shown=1, paged_at=NOW, quiet="1", quiet_until=NOW + 9e9), _incident()),
    ("flapping", _owing(pages_made=1, message=1, shown=1, paged_at=NOW), _incident(flapping=True)),
    ("eased", _owing(pages_made=1, message=1, shown=1, paged_at=NOW), _incident(severity=ERROR)),
    ("without news", _owing(pages_made=1, message=1, shown=1, paged_at=NOW), _incident(silent_since=NOW)),
    ("never paged", _owing(pages_made=1, message=1, shown=1), _incident()),
]


@pytest.mark.parametrize("sentence, posting, incident", NO_REMINDER, ids=[one[0] for one in NO_REMINDER])
def test_nobody_is_reminded_of_what_is(sentence: str, posting: Posting, incident: Incident) -> None:
    step = due.next_step(posting, incident, REMINDING, NOW + 5 * HOUR)
    assert not step.sends, sentence
    assert due.scheduled(posting, incident, REMINDING, NOW).due_at is None


def test_a_reminder_waits_in_the_index_and_a_count_still_moves_before_it() -> None:
    ears = Ears(REMINDING)
    ears.fires()
    assert ears.posting().due_at == NOW + 4 * HOUR
    after = due.repeated(ears.posting(), ears.incident(), 10, NOW + 10)
    assert after.due_at == NOW + due.REFRESH_EVERY
    soon = replace(ears.posting(), due_at=NOW + 20 * MINUTE)
    after = due.repeated(soon, ears.incident(), 10, NOW + 10)
    assert (after.due_at, after.wanted) == (soon.due_at, soon.wanted + 1)


def test_an_edit_does_not_put_off_a_reminder() -> None:
    ears = Ears(REMINDING)
    ears.fires(labels={"x": "1"})
    ears.later(3 * HOUR)
    ears.fires(labels={"x": "2"})
    ears.later(HOUR + 1)
    assert ears.heard == ["page: page", "page: remind"]


def test_the_loudest_are_sent_first() -> None:
    order = [due.rank(due.Step(why), CRITICAL) for why in (Why.PAGE, Why.OPEN, Why.LEFT, Why.EDIT, Why.END)]
    assert order == sorted(order)
    assert due.rank(due.Step(Why.REMIND), CRITICAL) == due.rank(due.Step(Why.PAGE), CRITICAL)
    assert Loudness.PAGE > Loudness.NOTIFY > Loudness.QUIET > Loudness.COUNT
