"""Quiet takes away sound, never state or cards; it always ends, and what is left at its end is told once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core import due, quiet
from relay.core.attention import ChannelPolicy
from relay.core.due import Why
from relay.core.event import Severity
from relay.core.incident import Reason
from relay.core.labels import Matchers
from relay.core.quiet import NIGHT, Hours, Rule
from tests.core.ears import Ears
from tests.core.make import NOW

MINUTE = 60.0
HOUR = 3600.0
CRITICAL, ERROR, WARNING = Severity.CRITICAL, Severity.ERROR, Severity.WARNING
PRAGUE = ZoneInfo("Europe/Prague")
LAB = 'namespace="lab"'
IN_LAB = {"namespace": "lab"}


# --- rules --------------------------------------------------------------------------------------------------------------


def rule(*matchers: str, incident: str = "", began: float = NOW, lasts: float = HOUR) -> Rule:
    return Rule("1", Matchers.of(matchers), began, began + lasts, incident=incident)


HOLDS: list[tuple[str, Rule, list[dict[str, str]], float | None, bool]] = [
    ("all its signals fit", rule(LAB), [IN_LAB, IN_LAB], None, True),
    ("one of its signals does not fit", rule(LAB), [IN_LAB, {"namespace": "media"}], None, False),
    ("it is the one it names", rule(incident="i"), [{}, IN_LAB], None, True),
    ("it is the one it names, but does not fit", rule('severity="warning"', incident="i"), [IN_LAB], None, False),
    ("it is another than the one it names", rule(incident="j"), [IN_LAB], None, False),
    ("it became worse after it was asked for", rule(LAB), [IN_LAB], NOW + 1, False),
    ("it became worse before it was asked for", rule(LAB), [IN_LAB], NOW - 1, True),
    ("it is over", rule(LAB, began=NOW - HOUR), [IN_LAB], None, False),
    ("it has not begun", rule(LAB, began=NOW + 1), [IN_LAB], None, False),
    ("it names nothing at all", rule(), [IN_LAB], None, False),
    ("nothing fires", rule(LAB), [], None, False),
]


@pytest.mark.parametrize("sentence, one, labels, loud_since, holds", HOLDS, ids=[row[0] for row in HOLDS])
def test_a_rule_holds_or_not(
    sentence: str, one: Rule, labels: list[dict[str, str]], loud_since: float | None, holds: bool
) -> None:
    assert (quiet.holding([one], "i", loud_since, labels, NOW) is one) == holds, sentence


def test_of_several_the_longest_holds() -> None:
    short, long = rule(LAB, lasts=60), rule(LAB, lasts=600)
    assert quiet.holding([long, short], "i", None, [IN_LAB], NOW) is long


# --- nights -------------------------------------------------------------------------------------------------------------


def at(text: str, zone: ZoneInfo = PRAGUE) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


NIGHT_HOURS = Hours(time(22), time(7, 30), PRAGUE)
NIGHTS = [
    ("in the evening", "2026-03-10T23:00", "2026-03-11T07:30"),
    ("when it begins", "2026-03-10T22:00", "2026-03-11T07:30"),
    ("after midnight", "2026-03-11T03:00", "2026-03-11T07:30"),
    ("when it ends", "2026-03-11T07:30", None),
    ("by day", "2026-03-11T12:00", None),
    ("in the night that is an hour short", "2026-03-28T23:00", "2026-03-29T07:30"),
    ("in the night that is an hour long", "2026-10-24T23:00", "2026-10-25T07:30"),
]


@pytest.mark.parametrize("sentence, now, until", NIGHTS, ids=[row[0] for row in NIGHTS])
def test_a_night_is_by_the_wall_clock(sentence: str, now: str, until: str | None) -> None:
    assert NIGHT_HOURS.night_until(at(now)) == (at(until) if until else None), sentence


def test_a_quiet_noon_does_not_go_over_midnight() -> None:
    noon = Hours(time(12), time(13), PRAGUE)
    assert noon.night_until(at("2026-03-10T12:30")) == at("2026-03-10T13:00")
    assert noon.night_until(at("2026-03-10T23:30")) is None


@given(
    st.times().map(lambda one: one.replace(second=0, microsecond=0, tzinfo=None)),
    st.times().map(lambda one: one.replace(second=0, microsecond=0, tzinfo=None)),
    st.floats(min_value=1e9, max_value=3e9),
    st.sampled_from(["UTC", "Europe/Prague", "America/St_Johns", "Australia/Lord_Howe"]),
)
@settings(max_examples=200)
def test_every_night_ends_within_a_day_and_a_bit(begin: time, end: time, now: float, zone: str) -> None:
    if begin == end:
        return
    until = Hours(begin, end, ZoneInfo(zone)).night_until(now)
    assert until is None or -2 * HOUR <= until - now <= 26 * HOUR


SAID = [
    (NOW, "2025-10-09T10:00", "until 10:00, by ada"),
    (NOW, "2025-10-10T07:30", "until Fri 07:30, by ada"),
    (NOW, "2025-10-24T07:30", "until 24 Oct 07:30, by ada"),
]


@pytest.mark.parametrize("now, until, said", SAID)
def test_its_end_is_said_with_as_much_of_the_date_as_tells(now: float, until: str, said: str) -> None:
    end = datetime.fromisoformat(until).replace(tzinfo=UTC).timestamp()
    assert quiet.said(Rule("1", Matchers(), now, end, by="ada"), UTC, now) == said


# --- what quiet takes and gives back --------------------------------------------------------------------------------------


def test_what_opens_in_quiet_is_shown_without_a_sound_and_pages_at_its_end_if_it_goes_on() -> None:
    ears = Ears()
    ears.quiet(LAB, seconds=HOUR)
    ears.fires(labels=IN_LAB)
    assert (ears.heard, ears.seen) == ([], [Why.OPEN])
    ears.later(HOUR)
    assert ears.heard == ["page: page"]
    ears.later(10 * HOUR)
    assert ears.heard == ["page: page"]


def test_what_heals_in_quiet_is_never_heard() -> None:
    ears = Ears()
    ears.quiet(LAB, seconds=HOUR)
    ears.fires(labels=IN_LAB)
    ears.later(10 * MINUTE)
    ears.resolves(labels=IN_LAB)
    ears.later(10 * HOUR)
    assert ears.heard == []
    assert not ears.incident().is_open


def test_what_is_acknowledged_is_told_once_when_that_ends_and_makes_no_sound_before() -> None:
    ears = Ears(ChannelPolicy("ops", remind=30 * MINUTE))
    ears.fires()
    ears.quiet(seconds=4 * HOUR, incident=ears.incident().id)
    assert ears.seen == [Why.PAGE, Why.EDIT]
    ears.later(4 * HOUR - 1)
    assert ears.heard == ["page: page"]
    ears.later(1)
    assert ears.heard[1:] == ["page: remind"], "it is overdue, and that is the telling"
    ears.later(30 * MINUTE)
    assert ears.heard[2:] == ["page: remind"]


def test_without_reminders_it_is_told_by_one_sound_without_the_mention() -> None:
    ears = Ears()
    ears.fires()
    ears.quiet(seconds=4 * HOUR, incident=ears.incident().id)
    ears.later(10 * HOUR)
    assert ears.heard == ["page: page", "notify: left"]
    assert ears.posting().message == 2, "the old one becomes a pointer"
    assert ears.posting().quiet == ""


def test_the_end_of_what_is_acknowledged_makes_no_sound() -> None:
    ears = Ears()
    ears.fires()
    ears.quiet(seconds=4 * HOUR, incident=ears.incident().id)
    ears.resolves()
    ears.later(10 * HOUR)
    assert ears.heard == ["page: page"]
    assert Why.END in ears.seen


def test_an_acknowledgement_survives_that_it_comes_and_goes() -> None:
    ears = Ears()
    ears.fires()
    ears.quiet(seconds=4 * HOUR, incident=ears.incident().id)
    for _ in range(2):
        ears.resolves()
        ears.later(10 * MINUTE)
        ears.fires()
    assert ears.heard == ["page: page"]
    ears.later(4 * HOUR)
    assert ears.heard == ["page: page", "page: page"], "its end was shown, and it is there again"


def test_what_is_below_a_sound_is_told_by_nothing_but_its_card() -> None:
    ears = Ears()
    ears.quiet(LAB, seconds=HOUR)
    ears.fires(severity=WARNING, labels=IN_LAB)
    ears.later(10 * HOUR)
    assert (ears.heard, ears.seen) == ([], [Why.OPEN, Why.EDIT])


def test_of_all_that_is_left_one_sounds() -> None:
    ears = Ears()
    ears.quiet(LAB, seconds=HOUR)
    for name in "ABCD":
        ears.fires(name, ERROR, labels=IN_LAB, group=name)
    ears.later(10 * HOUR)
    assert ears.heard == ["notify: left"]
    assert ears.seen.count(Why.LEFT) == 4


def test_a_page_that_is_owed_is_the_sound_of_all_that_is_left() -> None:
    ears = Ears()
    ears.quiet(LAB, seconds=HOUR)
    ears.fires("A", ERROR, labels=IN_LAB, group="a")
    ears.fires("B", CRITICAL, labels=IN_LAB, group="b")
    ears.later(10 * HOUR)
    assert ears.heard == ["page: page"]


# --- what it does not hold for --------------------------------------------------------------------------------------------


def test_it_falls_when_the_incident_becomes_worse() -> None:
    ears = Ears()
    ears.quiet(LAB, seconds=HOUR)
    ears.fires(severity=WARNING, labels=IN_LAB)
    assert ears.heard == []
    ears.fires(severity=CRITICAL, labels=IN_LAB, group="critical")
    assert ears.heard == ["page: page"]
    ears.later(10 * HOUR)
    assert ears.heard == ["page: page"]


def test_what_becomes_worse_below_a_page_is_told() -> None:
    ears = Ears()
    ears.quiet(LAB, seconds=HOUR)
    ears.fires(severity=WARNING, labels=IN_LAB)
    ears.fires(severity=ERROR, labels=IN_LAB, group="error")
    ears.later(10 * HOUR)
    assert ears.heard == ["notify: left"]


def test_once_fallen_it_does_not_come_back_but_may_be_asked_for_again() -> None:
    ears = Ears()
    ears.quiet(LAB, seconds=HOUR)
    ears.fires(severity=WARNING, labels=IN_LAB)
    ears.fires(severity=CRITICAL, labels=IN_LAB, group="critical")
    ears._look()
    assert ears.posting().quiet == ""
    ears.later(MINUTE)
    ears.quiet(incident=ears.incident().id, seconds=HOUR, key="2")
    assert ears.posting().quiet == "2"


def test_an_acknowledgement_falls_when_another_alert_joins_that_would_page() -> None:
    ears = Ears()
    ears.fires("A", labels={"pod": "a"})
    ears.quiet(incident=ears.incident().id, seconds=HOUR)
    after = due.changed(
        ears.posting(),
        replace(ears.incident(), reason=Reason.MEMBER),
        ears.channel,
        ears.now,
        severity=CRITICAL,
        name="B",
        hush=ears.known.quiet[0],
    )
    assert after.quiet == ""
    assert due.owes_page(after)


def test_a_window_does_not_fall_when_another_alert_joins_for_which_it_is_meant() -> None:
    ears = Ears()
    ears.quiet(LAB, seconds=HOUR)
    ears.fires("A", labels=IN_LAB)
    after = due.changed(
        ears.posting(),
        replace(ears.incident(), reason=Reason.MEMBER),
        ears.channel,
        ears.now,
        severity=CRITICAL,
        name="B",
        hush=ears.known.quiet[0],
    )
    assert after.quiet == "1"
    assert due.next_step(after, ears.incident(), ears.channel, ears.now).why is Why.EDIT


def test_a_cause_that_does_not_report_itself_stays_quiet_as_long_as_the_rule_stands() -> None:
    ears = Ears()
    ears.quiet(LAB, seconds=HOUR)
    ears.fires(labels=IN_LAB)
    root = replace(ears.incident(), id="z" * 26, root="dns", members=0)
    ears.known.put_incident(root)
    ears.known.put_posting(replace(ears.posting(), incident=root.id))
    ears.later(MINUTE)
    ears.quiet("other=x", seconds=2 * HOUR, key="2")
    assert ears.posting(1).quiet == "1"
    ears.later(HOUR)
    assert ears.posting(1).quiet == ""


def test_a_rule_for_another_does_nothing() -> None:
    ears = Ears()
    ears.quiet(LAB, seconds=HOUR)
    ears.fires(labels={"namespace": "media"})
    assert ears.heard == ["page: page"]


# --- nights in a Channel --------------------------------------------------------------------------------------------------

EVENING = at("2026-03-10T23:00")
SLEEPS = ChannelPolicy("ops", notify=WARNING, hours=NIGHT_HOURS)


def test_at_night_a_page_pages_and_its_end_does_not_sound() -> None:
    ears = Ears(SLEEPS, now=EVENING)
    ears.fires()
    ears.later(10 * MINUTE)
    ears.resolves()
    ears.later(20 * HOUR)
    assert ears.heard == ["page: page"]
    assert Why.END in ears.seen


def test_of_a_night_s_warnings_those_that_are_left_make_one_sound_in_the_morning() -> None:
    ears = Ears(SLEEPS, now=EVENING)
    for name in "ABCDE":
        ears.fires(name, WARNING, group=name)
    ears.later(HOUR)
    for name in "ABC":
        ears.resolves(name, WARNING, group=name)
    ears.later(7 * HOUR)
    assert ears.heard == []
    ears.later(30 * MINUTE)
    assert ears.heard == ["notify: left"]
    assert ears.seen.count(Why.LEFT) == 2
    ears.later(20 * HOUR)
    assert ears.heard == ["notify: left"]


def test_what_was_heard_by_day_is_not_told_in_the_morning() -> None:
    ears = Ears(SLEEPS, now=at("2026-03-10T21:00"))
    ears.fires(severity=WARNING)
    ears.later(20 * HOUR)
    assert ears.heard == ["notify: open"]


def test_what_pages_in_the_night_is_not_told_in_the_morning_again() -> None:
    ears = Ears(SLEEPS, now=EVENING)
    ears.fires(severity=WARNING)
    ears.fires(severity=CRITICAL, group="critical")
    ears.later(20 * HOUR)
    assert ears.heard == ["page: page"]


def test_a_rule_that_ends_in_the_night_is_told_in_the_morning() -> None:
    ears = Ears(SLEEPS, now=EVENING)
    ears.quiet(LAB, seconds=HOUR)
    ears.fires(severity=ERROR, labels=IN_LAB)
    ears.later(2 * HOUR)
    assert ears.heard == []
    assert (ears.posting().quiet, ears.posting().quiet_until) == (NIGHT, at("2026-03-11T07:30"))
    ears.later(10 * HOUR)
    assert ears.heard == ["notify: left"]


# --- for all times ----------------------------------------------------------------------------------------------------------

ACTS = st.lists(
    st.tuples(
        st.sampled_from(["fires", "resolves", "quiet", "later", "later"]),
        st.sampled_from([WARNING, ERROR, CRITICAL]),
        st.sampled_from([30.0, 90.0, 600.0, 3000.0]),
    ),
    max_size=14,
)


@given(ACTS)
@settings(max_examples=150, deadline=None)
def test_quiet_changes_what_is_heard_and_nothing_else(acts: list[tuple[str, Severity, float]]) -> None:
    with_quiet, without = Ears(), Ears()
    for act, severity, seconds in acts:
        for ears in (with_quiet, without):
            firing = any(one.keeps_open and one.severity is severity for one in ears.known.signals.values())
            match act:
                case "fires" if not firing:
                    ears.fires(severity=severity, labels=IN_LAB, group=severity.word)
                case "resolves" if firing:
                    ears.resolves(severity=severity, labels=IN_LAB, group=severity.word)
                case "quiet" if ears is with_quiet:
                    ears.quiet(LAB, seconds=seconds, key=str(len(ears.known.quiet)))
                case "later":
                    ears.later(seconds)
                case _:
                    pass
    for ears in (with_quiet, without):
        ears.later(30 * HOUR)
    states = [
        [(one.severity, one.is_open, one.closed_at, one.members, one.flapping) for one in ears.known.incidents.values()]
        for ears in (with_quiet, without)
    ]
    assert states[0] == states[1]
    assert len(with_quiet.heard) <= len(without.heard) + sum(act == "quiet" for act, _, _ in acts)
    for posting in with_quiet.known.postings.values():
        assert (posting.quiet, posting.quiet_until) == ("", None), "it always ends"
        channel = with_quiet.policy.channels[posting.channel]
        step = due.next_step(posting, with_quiet.known.incidents[posting.incident], channel, with_quiet.now)
        assert not step.sends, "and nothing is left to be told"
        assert posting.shown == posting.wanted


def test_no_quiet_lasts_longer_than_a_month() -> None:
    assert timedelta(days=30).total_seconds() == quiet.LONGEST
