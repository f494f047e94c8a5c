"""The pacer keeps every window for any schedule, and obeys what Discord tells."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.core.outcome import MessageDeleted, Outcome, RateInfo, Scope, Sent, Throttled, Unavailable
from relay.core.pace import MEMORY, Pace, Route, backoff, reaches_host

QUIET = RateInfo()


@given(
    routes=st.lists(st.sampled_from(Route), min_size=1, max_size=120),
    pauses=st.lists(st.floats(0, 3), min_size=120, max_size=120),
    latencies=st.lists(st.floats(0, 1), min_size=120, max_size=120),
)
def test_no_schedule_makes_more_requests_than_discord_allows(
    routes: list[Route], pauses: list[float], latencies: list[float]
) -> None:
    pace, now = Pace(), 1_000.0
    starts: dict[str, list[float]] = {"post": [], "edit": [], "old": []}
    for route, pause, latency in zip(routes, pauses, latencies, strict=False):
        now = pace.ready_at(route, now + pause)
        starts["post" if route is Route.POST else "edit"].append(now)
        if route is Route.OLD_EDIT:
            starts["old"].append(now)
        now += latency
        pace = pace.after(route, now)
    for name, limit, seconds in (("post", 5, 2.0), ("post", 30, 60.0), ("edit", 5, 2.0), ("old", 3, 6.0)):
        for index, start in enumerate(starts[name]):
            assert sum(1 for other in starts[name][index:] if other < start + seconds) <= limit


def test_a_burst_of_four_goes_at_once_and_the_fifth_waits() -> None:
    pace = Pace()
    for _ in range(4):
        assert pace.ready_at(Route.POST, 100.0) == 100.0
        pace = pace.after(Route.POST, 100.0)
    assert pace.ready_at(Route.POST, 100.0) > 102.0
    assert pace.ready_at(Route.EDIT, 100.0) == 100.0


def test_a_wait_for_the_route_leaves_the_other_route_open() -> None:
    pace = Pace().told(Route.POST, Throttled(Scope.USER, 7.5), QUIET, 100.0)
    assert pace.ready_at(Route.POST, 100.0) == 107.5
    assert pace.ready_at(Route.EDIT, 100.0) == 100.0


def test_a_shared_wait_closes_both_routes_for_exactly_as_long_as_told() -> None:
    pace = Pace().told(Route.EDIT, Throttled(Scope.SHARED, 42.0), QUIET, 100.0)
    assert pace.ready_at(Route.POST, 100.0) == 142.0
    assert pace.ready_at(Route.EDIT, 100.0) == 142.0


def test_a_drained_bucket_waits_for_its_reset() -> None:
    pace = Pace().told(Route.POST, Sent("1"), RateInfo(limit=5, remaining=0, reset_after=1.7), 100.0)
    assert pace.ready_at(Route.POST, 100.0) == 101.7


def test_an_edge_that_shut_us_out_is_left_alone_for_a_quarter_of_an_hour() -> None:
    pace = Pace().told(Route.POST, Unavailable("1015", host=True), QUIET, 100.0)
    assert pace.ready_at(Route.EDIT, 100.0) == 1_000.0


def test_what_closes_the_host_is_told_apart_from_what_closes_one_webhook() -> None:
    table: list[tuple[Outcome, bool]] = [
        (Throttled(Scope.GLOBAL, 1.0), True),
        (Throttled(Scope.SHARED, 1.0), False),
        (Unavailable("HTTP 502"), False),
        (Unavailable("HTTP 403", host=True), True),
        (MessageDeleted(), False),
    ]
    for outcome, expected in table:
        assert reaches_host(outcome) is expected


@given(answers=st.lists(st.floats(0, 10_000), max_size=200))
def test_the_pacer_forgets_what_no_window_counts(answers: list[float]) -> None:
    pace = Pace()
    for at in sorted(answers):
        pace = pace.after(Route.EDIT, at)
    kept = pace.answered.get(Route.EDIT, ())
    assert not kept or kept[-1] - kept[0] < MEMORY


@given(tries=st.integers(0, 1000), dice=st.floats(0, 0.999))
def test_a_backoff_is_never_nothing_and_never_longer_than_five_minutes(tries: int, dice: float) -> None:
    assert 0.5 <= backoff(tries, dice) <= 300.0
