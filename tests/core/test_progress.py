"""A cluster on its way: what fails in many places while others become ready is one message, and afterwards its roots."""

from dataclasses import replace

from relay.core import joining, progress
from relay.core.event import Effect, Event, Instant
from relay.core.incident import Incident, Reason
from relay.core.joining import take
from relay.core.known import Known
from tests.core.make import NOW, POLICY, alert, flux, pod


def fails(name: str, at: Instant, message: str = "no matches for kind Certificate") -> Event:
    return flux(name, reason="ReconciliationFailed", message=message, at=at)


def ready(name: str, at: Instant) -> Event:
    return flux(name, reason="ReconciliationSucceeded", message="Reconciliation finished", effect=Effect.CLOSES, at=at)


def heard(*events: Event) -> Known:
    known = Known()
    for event in events:
        take(known, event, POLICY)
    return known


def root(known: Known) -> Incident | None:
    return next((one for one in known.incidents.values() if one.root == progress.ROOT), None)


def alone(known: Known) -> list[str]:
    """What is open and stands for itself."""
    return sorted(one.subject.name for one in known.incidents.values() if one.is_open and one.folded_into is None)


BOOTSTRAP = [ready("first", NOW), *(fails(f"app-{number}", NOW + 10 + number) for number in range(6))]


def test_five_that_were_never_ready_are_one_message_while_something_becomes_ready() -> None:
    known = heard(*BOOTSTRAP)
    assert alone(known) == ["homelab"]
    found = root(known)
    assert found is not None
    assert (found.effects.total, found.severity.word) == (6, "warning")


def test_without_a_movement_they_are_what_they_are() -> None:
    assert root(heard(*BOOTSTRAP[1:])) is None


def test_fewer_than_five_are_not_taken_for_order() -> None:
    assert root(heard(*BOOTSTRAP[:5])) is None


def test_what_was_ready_before_and_waits_for_nothing_is_no_order() -> None:
    known = heard(*(ready(f"app-{number}", NOW - 7200) for number in range(6)), ready("first", NOW), *BOOTSTRAP[1:])
    assert root(known) is None


def test_it_moves_on_with_each_that_becomes_ready_and_is_over_when_all_are() -> None:
    known = heard(*BOOTSTRAP, *(ready(f"app-{number}", NOW + 300 + 60 * number) for number in range(5)))
    moving = root(known)
    assert moving is not None
    assert (moving.expires_at, moving.effects.total) == (NOW + 540 + progress.STALLED, 1)
    take(known, ready("app-5", NOW + 600), POLICY)
    over = root(known)
    assert over is not None
    assert (over.is_open, over.reason) == (False, Reason.RESOLVED)


def test_when_nothing_moves_any_more_it_is_over_and_its_effects_are_to_be_looked_after_at_once() -> None:
    known = heard(*BOOTSTRAP)
    moving = root(known)
    assert moving is not None
    joining.expire(known, [moving], NOW + 5000, POLICY)
    over = root(known)
    assert over is not None
    assert (over.reason, over.tend_at) == (Reason.STALLED, NOW + 5000)


def test_one_that_fails_later_is_taken_in_while_it_is_on_its_way() -> None:
    known = heard(*BOOTSTRAP, fails("late", NOW + 60))
    assert alone(known) == ["homelab"]


def test_a_page_of_alertmanagers_is_never_taken_in() -> None:
    known = heard(*BOOTSTRAP)
    take(known, alert(subject=pod("sonarr-0"), at=NOW + 60), POLICY)
    assert len(alone(known)) == 2


def test_another_cluster_is_not_on_its_way() -> None:
    known = heard(*BOOTSTRAP)
    event = fails("other", NOW + 60)
    elsewhere = replace(event, subject=event.subject._replace(cluster="edge"), signal_key="edge")
    take(known, elsewhere, POLICY)
    assert "other" in alone(known)
