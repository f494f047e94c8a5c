"""What began before the relay did is not news: which Signals that is, what they owe, and in which form they come."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, time

import pytest

from relay.core import due
from relay.core.arrival import EARLIER, SPAN, was_here
from relay.core.attention import Loudness
from relay.core.card import Form
from relay.core.due import GATHERS, Why
from relay.core.event import Event, Severity
from relay.core.joining import take
from relay.core.known import Known
from relay.core.packing import GROWS_FOR, Budget, Kind, Reason, Room, Waiting, announces, choose, form_for, kind_of
from relay.core.posting import Posting
from relay.core.quiet import NIGHT, Hours
from tests.core.ears import OPS, Ears
from tests.core.make import NOW, POLICY, alert, beat, flux

HOUR = 3600.0
OTHER = replace(flux(), sender="flux-b", labels={**flux().labels, "source": "flux-b"})


def known(*events: Event) -> Known:
    """Of a relay that first heard Flux and Alertmanager at `NOW`, and then this."""
    told = Known(first_heard={"flux": NOW, "alertmanager": NOW})
    for event in events:
        take(told, event, POLICY)
    return told


WAS_HERE = [
    ("an alert that began an hour before", [alert(starts_at=NOW - HOUR)], True),
    ("one that began a moment before may have waited for its group", [alert(starts_at=NOW - EARLIER)], False),
    ("one that begins later", [alert(at=NOW + 60, starts_at=NOW + 60)], False),
    ("an old one that is told within the span", [alert(at=NOW + SPAN, starts_at=NOW - HOUR)], True),
    ("an old one that is told after it", [alert(at=NOW + SPAN + 1, starts_at=NOW - HOUR)], False),
    ("an object of Flux's that was never known to succeed", [flux(at=NOW + 60)], True),
    ("one that was", [beat(at=NOW + 10), flux(at=NOW + 60)], False),
    ("another one that was", [beat("infra", at=NOW + 10), flux(at=NOW + 60)], True),
    ("an old event of Flux's", [flux(at=NOW - HOUR, received_at=NOW)], True),
    ("an object that fails after the span", [flux(at=NOW + SPAN + 1)], False),
    ("a sender of which nobody knows when it was first heard", [OTHER], False),
]


@pytest.mark.parametrize("sentence, events, old", WAS_HERE, ids=[row[0] for row in WAS_HERE])
def test_what_was_there_before(sentence: str, events: list[Event], old: bool) -> None:
    told = known(*events)
    signal = told.signals[events[-1].signal_key]
    assert was_here(told, signal, events[-1].received_at) is old
    (posting,) = told.postings.values()
    assert posting.arrived is old, sentence


def arriving(**more: object) -> Ears:
    """A Channel of a relay that hears its senders for the first time."""
    ears = Ears(**more)  # type: ignore[arg-type]
    ears.known.first_heard = {"alertmanager": NOW}
    return ears


def test_it_gathers_and_then_rings_where_it_would_have_paged() -> None:
    ears = arriving()
    ears.take(alert(severity=Severity.CRITICAL, starts_at=NOW - HOUR))
    assert ears.seen == []
    ears.later(GATHERS)
    assert ears.heard == ["notify: arrived"]
    assert not due.owes_page(ears.posting())


def test_its_end_makes_no_sound_and_its_return_pages() -> None:
    ears = arriving()
    ears.take(alert(severity=Severity.CRITICAL, starts_at=NOW - HOUR))
    ears.later(GATHERS)
    ears.resolves()
    ears.later(600)
    ears.fires()
    assert ears.heard == ["notify: arrived", "page: page"]
    assert not ears.posting().arrived, "it stands in a message of its own now"


def test_what_is_over_before_it_has_gathered_is_one_quiet_line() -> None:
    ears = arriving()
    ears.take(alert(severity=Severity.CRITICAL, starts_at=NOW - HOUR))
    ears.resolves()
    assert (ears.heard, ears.seen) == ([], [Why.CAME_AND_WENT])


def test_what_came_and_went_and_is_back_is_news() -> None:
    ears = arriving()
    ears.take(alert(severity=Severity.ERROR, starts_at=NOW - HOUR))
    ears.resolves(severity=Severity.ERROR)
    ears.later(300)
    ears.fires(severity=Severity.ERROR)
    assert (ears.heard, ears.seen) == (["notify: open"], [Why.CAME_AND_WENT, Why.OPEN])


def test_at_night_it_is_silent_and_told_in_the_morning() -> None:
    ears = arriving(channel=replace(OPS, hours=Hours(time(8), time(10), UTC)))  # It is 08:53.
    ears.take(alert(severity=Severity.CRITICAL, starts_at=NOW - HOUR))
    ears.later(GATHERS)
    assert ears.heard == []
    assert ears.posting().quiet == NIGHT
    ears.later(2 * HOUR)
    assert ears.heard == ["notify: left"]


def test_another_old_severity_of_it_asks_for_no_page() -> None:
    ears = arriving()
    ears.take(alert("A", severity=Severity.WARNING, starts_at=NOW - HOUR))
    ears.take(alert("A", severity=Severity.CRITICAL, starts_at=NOW - HOUR))
    ears.later(GATHERS)
    assert ears.heard == ["notify: arrived"]
    ears.fires("A", labels={"x": "1"})
    assert ears.heard == ["notify: arrived"], "it is the same alert, and as bad as that"


def test_a_channel_that_moved_shows_it_anew_but_makes_the_page_that_it_owes() -> None:
    ears = Ears()
    ears.fires()
    shown, incident = ears.posting(), ears.incident()
    there = due.moved(shown, incident, OPS, NOW + HOUR)
    assert due.next_step(there, incident, OPS, NOW + HOUR).why is Why.ARRIVED
    owing = due.moved(replace(shown, pages_owed=2), incident, OPS, NOW + HOUR)
    assert due.next_step(owing, incident, OPS, NOW + HOUR).why is Why.PAGE


def test_what_no_message_shows_is_news_wherever_its_channel_moves() -> None:
    unshown = Posting("a", "ops", Severity.CRITICAL, pages_owed=1, paged_severity=Severity.CRITICAL)
    ears = Ears()
    ears.fires()
    assert not due.moved(unshown, ears.incident(), OPS, NOW).arrived


# --- its Message ----------------------------------------------------------------------------------------------------------

IDLE = Budget(NOW, NOW, NOW)


@pytest.mark.parametrize(
    "count, form",
    [(1, Form.FULL), (2, Form.COMPACT), (4, Form.COMPACT), (5, Form.LINE), (100, Form.LINE), (101, Form.GROUPED)],
)
def test_the_more_arrive_the_less_is_said_of_each(count: int, form: Form) -> None:
    assert form_for(Kind.ARRIVAL, count, 0, (), NOW) is form


@pytest.mark.parametrize("count", [1, 3])
def test_whoever_comes_later_joins_by_an_edit_for_a_quarter_of_an_hour(count: int) -> None:
    def room(age: float) -> Iterable[Waiting]:
        return (Waiting(Kind.ARRIVAL, count, Room(Form.COMPACT, 1, NOW - age, NOW - age)),)

    assert choose(tuple(room(2 * GROWS_FOR)), False, False, IDLE, (), NOW).reason is Reason.GROWS
    assert choose(tuple(room(SPAN + 1)), False, False, IDLE, (), NOW).reason is not Reason.GROWS


ANNOUNCES = [
    ("the first that is loud", Loudness.NOTIFY, None, True),
    ("none that is not", Loudness.QUIET, None, False),
    ("no second one", Loudness.NOTIFY, NOW - SPAN + 1, False),
    ("the first of another arrival", Loudness.NOTIFY, NOW - SPAN, True),
]


@pytest.mark.parametrize("sentence, loudest, last, sounds", ANNOUNCES, ids=[row[0] for row in ANNOUNCES])
def test_one_sound(sentence: str, loudest: Loudness, last: float | None, sounds: bool) -> None:
    assert announces(loudest, last, NOW) is sounds, sentence


def test_it_shares_no_message_with_news() -> None:
    assert kind_of(due.Step(Why.ARRIVED, loudness=Loudness.NOTIFY)) is Kind.ARRIVAL
    assert kind_of(due.Step(Why.ARRIVED, loudness=Loudness.QUIET)) is Kind.ARRIVAL
