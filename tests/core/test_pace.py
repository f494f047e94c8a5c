"""The pacer keeps every limit for any schedule and any headers, and obeys what Discord tells, in its scope and no further."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.outcome import MessageDeleted, Outcome, RateInfo, Scope, Sent, Throttled, Unavailable
from relay.core.pace import KEPT, MEMORY, OLD_EDITS, POSTS, Bucket, Pace, Route, Window, backoff

QUIET = RateInfo()
NOW = 1_000.0


# --- what Discord counts ------------------------------------------------------------------------------------------------

LIMITS = (
    ("a webhook's posts", 5, 2.0, {Route.POST}),
    ("a webhook's edits", 5, 2.0, {Route.EDIT, Route.OLD_EDIT}),
    ("a Discord channel's posts", 30, 60.0, {Route.POST}),
    ("edits of old messages", 3, 6.0, {Route.OLD_EDIT}),
    ("everything", 50, 1.0, set(Route)),
)
infos = st.builds(
    RateInfo,
    limit=st.none() | st.integers(1, 1000),
    remaining=st.none() | st.integers(0, 1000),
    reset_after=st.none() | st.floats(0, 5),
    bucket=st.text(max_size=3),
)
moves = st.tuples(st.sampled_from(Route), st.floats(0, 3), st.floats(0, 1), infos)


@settings(max_examples=60)
@given(schedule=st.lists(moves, min_size=1, max_size=150))
def test_no_schedule_and_no_headers_make_more_requests_than_discord_allows(
    schedule: list[tuple[Route, float, float, RateInfo]],
) -> None:
    pace, now = Pace(), NOW
    made: list[tuple[float, Route]] = []
    for route, pause, latency, info in schedule:
        now = pace.ready_at(route, now + pause)
        made.append((now, route))
        now += latency
        pace = pace.after(route, now).told(route, Sent("1"), info, now)
    for name, limit, seconds, routes in LIMITS:
        starts = [at for at, route in made if route in routes]
        for index, start in enumerate(starts):
            assert sum(1 for other in starts[index:] if other < start + seconds) <= limit, name


@settings(max_examples=40)
@given(
    schedule=st.lists(moves, min_size=1, max_size=80), webhooks=st.lists(st.integers(0, 2), min_size=80, max_size=80)
)
def test_webhooks_of_one_discord_channel_share_what_it_allows(
    schedule: list[tuple[Route, float, float, RateInfo]], webhooks: list[int]
) -> None:
    shared, own, now = Pace(), [Pace().webhook for _ in range(3)], NOW
    posts: list[float] = []
    for (route, pause, latency, info), webhook in zip(schedule, webhooks, strict=False):
        pace = Pace(own[webhook], shared.place, shared.host)
        now = pace.ready_at(route, now + pause / 10)
        if route is Route.POST:
            posts.append(now)
        now += latency / 10
        shared = pace.after(route, now).told(route, Sent("1"), info, now)
        own[webhook] = shared.webhook
    for index, start in enumerate(posts):
        assert sum(1 for other in posts[index:] if other < start + 60.0) <= 30


def after(pace: Pace, route: Route, count: int, at: float = NOW) -> Pace:
    for _ in range(count):
        pace = pace.after(route, at)
    return pace


def test_a_burst_of_four_goes_at_once_and_the_fifth_waits() -> None:
    pace = after(Pace(), Route.POST, 3)
    assert pace.ready_at(Route.POST, NOW) == NOW
    pace = pace.after(Route.POST, NOW)
    assert pace.ready_at(Route.POST, NOW) > NOW + 2.0
    assert pace.ready_at(Route.EDIT, NOW) == NOW


def test_some_of_the_minutes_posts_are_kept_for_pages() -> None:
    pace = Pace()
    for number in range(POSTS - KEPT):
        pace = pace.after(Route.POST, NOW + number)
    now = NOW + POSTS - KEPT
    assert pace.ready_at(Route.POST, now, kept=KEPT) > now + 40.0
    assert pace.ready_at(Route.POST, now) < now + 2.0


def test_headers_that_promise_more_raise_nothing() -> None:
    rich = RateInfo(limit=1000, remaining=999, reset_after=0.1)
    pace = Pace()
    for number in range(POSTS):
        pace = pace.after(Route.POST, NOW + number).told(Route.POST, Sent("1"), rich, NOW + number)
    assert pace.ready_at(Route.POST, NOW + POSTS) >= NOW + 60.0


def test_a_drained_bucket_waits_for_its_reset() -> None:
    pace = Pace().told(Route.POST, Sent("1"), RateInfo(limit=5, remaining=0, reset_after=1.7), NOW)
    assert pace.ready_at(Route.POST, NOW) == NOW + 1.7
    assert pace.ready_at(Route.EDIT, NOW) == NOW


# --- what Discord tells -------------------------------------------------------------------------------------------------

WAIT = 42.5
TOLD: list[tuple[str, Route, Outcome, set[Route], set[Route], set[Route]]] = [
    # sentence, told to, by, closed for this webhook, for another of its Discord channel, for one elsewhere
    ("the route of a webhook", Route.POST, Throttled(Scope.USER, WAIT), {Route.POST}, set(), set()),
    ("edits of a webhook", Route.EDIT, Throttled(Scope.USER, WAIT), {Route.EDIT, Route.OLD_EDIT}, set(), set()),
    ("a Discord channel", Route.POST, Throttled(Scope.SHARED, WAIT), set(Route), set(Route), set()),
    ("everything", Route.EDIT, Throttled(Scope.GLOBAL, WAIT), set(Route), set(Route), set(Route)),
    (
        "old messages of a Discord channel",
        Route.OLD_EDIT,
        Throttled(Scope.USER, WAIT, OLD_EDITS),
        {Route.OLD_EDIT},
        {Route.OLD_EDIT},
        set(),
    ),
    (
        "an edge that shut us out",
        Route.POST,
        Unavailable("1015", host=True, seconds=WAIT),
        set(Route),
        set(Route),
        set(Route),
    ),
    ("nothing", Route.POST, Unavailable("HTTP 502"), set(), set(), set()),
    ("nothing either", Route.EDIT, MessageDeleted(), set(), set(), set()),
]


@pytest.mark.parametrize("sentence, route, outcome, here, beside, elsewhere", TOLD, ids=[row[0] for row in TOLD])
def test_a_wait_is_kept_in_its_scope_exactly_and_no_further(
    sentence: str, route: Route, outcome: Outcome, here: set[Route], beside: set[Route], elsewhere: set[Route]
) -> None:
    told = Pace().told(route, outcome, QUIET, NOW)
    for name, pace, closed in (
        ("here", told, here),
        ("beside", Pace(place=told.place, host=told.host), beside),
        ("elsewhere", Pace(host=told.host), elsewhere),
    ):
        for each in Route:
            expected = NOW + WAIT if each in closed else NOW
            assert pace.ready_at(each, NOW) == expected, f"{sentence}, {name}, {each}"


def test_a_shorter_wait_never_shortens_one_that_was_told_before() -> None:
    pace = Pace().told(Route.POST, Throttled(Scope.SHARED, 40.0), QUIET, NOW)
    pace = pace.told(Route.POST, Throttled(Scope.SHARED, 1.0), QUIET, NOW + 1.0)
    assert pace.ready_at(Route.POST, NOW) == NOW + 40.0


def test_an_edge_that_names_no_time_is_left_alone_for_a_quarter_of_an_hour() -> None:
    pace = Pace().told(Route.POST, Unavailable("1015", host=True), QUIET, NOW)
    assert pace.ready_at(Route.EDIT, NOW) == NOW + 900.0


def test_edits_count_among_the_posts_of_a_discord_channel_from_when_it_said_so_on() -> None:
    pace = after(Pace(), Route.EDIT, 4)
    assert pace.place.posts.spent(NOW) == 0
    pace = pace.told(Route.EDIT, Throttled(Scope.SHARED, 1.0), QUIET, NOW)
    now = NOW + 1.0
    for number in range(POSTS):
        pace = pace.after(Route.EDIT, now + number)
    assert pace.ready_at(Route.POST, now + POSTS) >= now + 60.0
    assert pace.ready_at(Route.EDIT, now + POSTS) >= now + 60.0
    alone = Pace(place=pace.place)
    assert alone.ready_at(Route.EDIT, now + POSTS) >= now + 60.0, "for every webhook there"


# --- buckets ------------------------------------------------------------------------------------------------------------


@given(answers=st.lists(st.floats(0, 10_000), max_size=200))
def test_a_bucket_forgets_what_no_window_counts_and_keeps_its_order(answers: list[float]) -> None:
    bucket = Bucket((Window(4, 2.0),))
    for at in answers:
        bucket = bucket.after(at)
    assert list(bucket.past) == sorted(bucket.past)
    rising = Bucket((Window(4, 2.0),))
    for at in sorted(answers):
        rising = rising.after(at)
    assert not rising.past or rising.past[-1] - rising.past[0] < MEMORY


@given(tries=st.integers(0, 1000), dice=st.floats(0, 0.999))
def test_a_backoff_is_never_nothing_and_never_longer_than_five_minutes(tries: int, dice: float) -> None:
    assert 0.5 <= backoff(tries, dice) <= 300.0
    assert backoff(tries, dice, 30.0) <= 30.0
