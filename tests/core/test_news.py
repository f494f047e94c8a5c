"""How long silence may last, what it turns a card into, and what tells a sender's rhythm."""

from dataclasses import replace

import pytest

from relay.core import news
from relay.core.event import Event, Instant, Severity, Subject
from relay.core.incident import Incident, Reason
from relay.core.joining import expire, take
from relay.core.known import Known, KnownObject
from relay.core.signal import Signal
from tests.core.make import NOW, POLICY, alert, beat, flux, pod

HOUR, DAY = 3600.0, 86400.0
TWELVE = 12 * HOUR


def heard(known: Known, *events: Event) -> list[Reason]:
    """One delivery."""
    known.said_before.clear()
    reasons = [take(known, event, POLICY) for event in events]
    news.learn(known, list(zip(events, reasons, strict=True)))
    return reasons


def only(known: Known) -> Incident:
    (incident,) = known.incidents.values()
    return incident


def looked(known: Known, now: Instant) -> Incident:
    """Its deadline is looked at."""
    expire(known, list(known.incidents.values()), now, POLICY)
    return only(known)


def of_kind(kind: str, gap: float, gaps: int) -> Signal:
    known = Known()
    take(known, flux(kind=kind), POLICY)
    (signal,) = known.signals.values()
    return replace(signal, longest_gap=gap, gaps=gaps)


def thing(kind: str, beats: int, gap: float) -> KnownObject:
    return KnownObject(Subject("homelab", kind, "flux-system", "apps"), NOW, beats=beats, beat_at=NOW, longest_gap=gap)


PATIENCE = [
    ("a Kustomization waits three of its own beats", of_kind("Kustomization", 0, 0), 3, 600.0, 1800.0),
    ("a Kustomization that beats every minute is given ten", of_kind("Kustomization", 0, 0), 3, 60.0, 600.0),
    ("a Kustomization whose failures come slower than its beats", of_kind("Kustomization", 900, 2), 3, 60.0, 2700.0),
    ("a Kustomization that never beat", of_kind("Kustomization", 0, 0), 0, 0.0, 25 * HOUR),
    ("a source waits three gaps", of_kind("GitRepository", 1800, 2), 0, 0.0, 5400.0),
    ("a source waits at least an hour", of_kind("GitRepository", 300, 2), 0, 0.0, HOUR),
    ("one gap is no rhythm", of_kind("GitRepository", 300, 1), 0, 0.0, 25 * HOUR),
    ("Flux has given up on a HelmRelease, and says nothing more", of_kind("HelmRelease", 300, 9), 9, 60.0, None),
]


@pytest.mark.parametrize("sentence,signal,beats,gap,seconds", PATIENCE, ids=[row[0] for row in PATIENCE])
def test_how_long_silence_may_last_depends_on_who_spoke(
    sentence: str, signal: Signal, beats: int, gap: float, seconds: float | None
) -> None:
    assert news.patience(signal, thing(signal.subject.kind, beats, gap), POLICY.incidents) == seconds


def test_an_alert_waits_25_hours_until_its_rhythm_is_learnt_and_then_two_gaps_and_ten_minutes() -> None:
    known = Known()
    heard(known, alert(at=NOW))
    assert only(known).expires_at == NOW + 25 * HOUR
    for repeat in (1, 2, 3):
        heard(known, alert(at=NOW + repeat * HOUR))
    assert only(known).expires_at == NOW + 3 * HOUR + 2 * HOUR + 600


def test_a_group_that_is_sent_again_because_it_changed_tells_no_rhythm() -> None:
    known = Known()
    heard(known, alert(at=NOW))
    for step in range(1, 6):
        news_of = alert(at=NOW + step * 300, labels={"pod": f"b{step}"}, subject=pod("sonarr-0"))
        assert Reason.REPEATED in heard(known, alert(at=NOW + step * 300), news_of)
    assert {signal.gaps for signal in known.signals.values()} == {0}


def test_twelve_hours_between_repeats_turn_nothing_grey() -> None:
    known = Known()
    for repeat in range(5):
        heard(known, alert(at=NOW + repeat * TWELVE))
        grey = looked(known, NOW + repeat * TWELVE + TWELVE - 1)
        assert grey.silent_since is None


def test_two_replicas_that_are_cut_off_do_not_make_the_rhythm_shorter() -> None:
    known = Known()
    for repeat in range(4):
        heard(known, alert(at=NOW + repeat * TWELVE))
        heard(known, alert(at=NOW + repeat * TWELVE + 1800))
    assert looked(known, NOW + 3 * TWELVE + 1800 + TWELVE).silent_since is None


def test_without_news_it_turns_grey_once_and_is_given_up_a_week_later_and_is_never_green() -> None:
    known = Known()
    heard(known, alert(at=NOW))
    grey = looked(known, NOW + 25 * HOUR)
    assert (grey.reason, grey.silent_since, grey.is_open) == (Reason.NO_NEWS, NOW, True)
    assert looked(known, NOW + 26 * HOUR) is grey
    over = looked(known, NOW + 25 * HOUR + 7 * DAY)
    assert (over.reason, over.is_open) == (Reason.EXPIRED, False)


def test_what_is_grey_pages_nobody_by_being_grey() -> None:
    known = Known()
    heard(known, alert(severity=Severity.CRITICAL, at=NOW))
    before = [posting.pages_owed for posting in known.postings.values()]
    looked(known, NOW + 25 * HOUR)
    assert [posting.pages_owed for posting in known.postings.values()] == before
    assert [posting.wanted for posting in known.postings.values()] == [2]


def test_what_is_heard_of_again_is_no_longer_grey() -> None:
    known = Known()
    heard(known, alert(at=NOW))
    looked(known, NOW + 25 * HOUR)
    assert heard(known, alert(at=NOW + 26 * HOUR)) == [Reason.HEARD_AGAIN]
    assert only(known).silent_since is None


def test_one_member_that_is_heard_of_keeps_the_whole_from_turning_grey() -> None:
    known = Known()
    one, other = alert(at=NOW, labels={"pod": "a"}), alert(at=NOW, labels={"pod": "b"})
    heard(known, one, other)
    heard(known, alert(at=NOW + 20 * HOUR, labels={"pod": "b"}))
    incident = looked(known, NOW + 25 * HOUR)
    assert (incident.silent_since, incident.expires_at) == (None, NOW + 45 * HOUR)


def test_time_in_which_nobody_listened_is_no_silence_and_no_gap() -> None:
    known = Known()
    heard(known, alert(at=NOW))
    known.awake_since = NOW + 24 * HOUR
    incident = looked(known, NOW + 25 * HOUR)
    assert (incident.silent_since, incident.expires_at) == (None, NOW + 49 * HOUR)
    heard(known, alert(at=NOW + 25 * HOUR))
    assert {signal.gaps for signal in known.signals.values()} == {0}


def test_a_release_that_flux_has_given_up_is_never_grey() -> None:
    known = Known()
    take(known, flux("sonarr", kind="HelmRelease", reason="UpgradeFailed", namespace="media"), POLICY)
    assert only(known).expires_at is None


def test_a_success_ends_what_was_grey() -> None:
    known = Known()
    take(known, flux(), POLICY)
    looked(known, NOW + 25 * HOUR)
    assert take(known, beat(at=NOW + 26 * HOUR), POLICY) is Reason.RESOLVED


def test_what_was_given_up_and_is_heard_of_again_counts_it_once() -> None:
    known = Known()
    heard(known, alert(at=NOW))
    looked(known, NOW + 25 * HOUR)
    looked(known, NOW + 25 * HOUR + 7 * DAY)
    again = NOW + 26 * HOUR + 7 * DAY
    heard(known, alert(at=again))
    opened = [incident for incident in known.incidents.values() if incident.is_open]
    assert [incident.firing.total for incident in opened] == [1]
    heard(known, alert(firing=False, at=again + 60, ends_at=again + 60))
    assert not [incident for incident in known.incidents.values() if incident.is_open]
