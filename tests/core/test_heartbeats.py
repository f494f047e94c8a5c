"""What is expected and does not come: learnt or declared, read together, and never alarmed about before it was heard."""

from dataclasses import replace

import pytest

from relay.core import heartbeats
from relay.core.event import Effect, Event, Instant, Severity, Source
from relay.core.heartbeats import Heartbeat
from relay.core.joining import take
from relay.core.known import Known
from relay.core.labels import Matchers
from relay.core.policy import Expected
from tests.core.make import NOW, POLICY, alert, beat, flux

MINUTE = 60.0
DECLARED = replace(POLICY, heartbeats=(Expected("backup", Matchers.of(['alertname="BackupDone"']), 86400.0),))


def watchdog(at: Instant, name: str = "Watchdog") -> Event:
    return replace(alert(name, at=at, severity=Severity.NONE), effect=Effect.NOTES)


def after(*events: Event, policy=POLICY) -> list[Heartbeat]:  # type: ignore[no-untyped-def]  # noqa: ANN001  # as POLICY
    known = Known()
    for event in events:
        take(known, event, policy)
    return list(known.heartbeats.values())


def every(minutes: float, times: int) -> list[Event]:
    return [beat(at=NOW + minutes * MINUTE * time) for time in range(times)]


def judged(beats: list[Heartbeat], now: Instant, awake_since: Instant = 0.0) -> tuple[list[Heartbeat], list[Event]]:
    return heartbeats.judged(beats, now, awake_since, POLICY)


def test_flux_is_learnt_from_its_health_beats_and_armed_after_the_third() -> None:
    assert [(one.name, one.armed) for one in after(*every(5, 2))] == [("flux/homelab", False)]
    (one,) = after(*every(5, 3))
    assert (one.armed, one.rhythm, one.due_at) == (True, 300.0, NOW + 600 + 900)


def test_thirty_kustomizations_that_beat_together_are_one_beat() -> None:
    (one,) = after(*(beat(f"app-{number}", at=NOW + number) for number in range(30)))
    assert one.beats == 1


def test_the_watchdog_is_learnt_and_no_other_alert_of_no_severity() -> None:
    beats = after(*(watchdog(NOW + 300 * time) for time in range(3)), watchdog(NOW, "InfoInhibitor"))
    assert [(one.name, one.source) for one in beats] == [("alertmanager/homelab", Source.ALERTMANAGER)]


def test_the_end_of_a_watchdog_is_no_beat() -> None:
    assert not after(replace(watchdog(NOW), effect=Effect.CLOSES))


def test_a_declared_one_is_armed_by_its_first_beat() -> None:
    (one,) = after(alert("BackupDone", at=NOW), policy=DECLARED)
    assert (one.name, one.armed, one.due_at) == ("backup/homelab", True, NOW + 3 * 86400)


def test_one_that_was_never_heard_is_no_alarm() -> None:
    assert judged([], NOW + 1e6) == ([], [])
    assert judged(after(*every(5, 2)), NOW + 1e6) == ([], [])


def test_silence_of_three_gaps_is_said_once() -> None:
    beats = after(*every(5, 3))
    assert judged(beats, NOW + 600 + 899) == ([], [])
    changed, (said,) = judged(beats, NOW + 600 + 900)
    assert (said.effect, said.severity) == (Effect.OPENS, Severity.ERROR)
    assert "no beat of Flux since 15 min, where one comes every 5 min" in said.message
    assert judged(changed, NOW + 5000) == ([], [])


def test_while_the_relay_does_not_run_nobody_is_silent() -> None:
    beats, started = after(*every(5, 3)), NOW + 86400
    assert judged(beats, started + 899, started) == ([], [])
    assert judged(beats, started + 900, started)[1]


def test_both_silent_are_one_problem_of_the_network() -> None:
    beats = after(*every(5, 3), *(watchdog(NOW + 300 * time) for time in range(3)))
    _, said = judged(beats, NOW + 7200)
    assert len(said) == 2
    assert all("nobody is heard: look at the network, DNS" in event.message for event in said)
    known = Known()
    for event in said:
        take(known, event, POLICY)
    assert [incident.severity for incident in known.incidents.values()] == [Severity.CRITICAL]


def test_one_silent_while_the_other_beats_is_that_sender() -> None:
    beats = after(*every(5, 30), *(watchdog(NOW + 300 * time) for time in range(3)))
    _, (said,) = judged(beats, NOW + 30 * 300)
    assert "look whether Alertmanager runs and reaches the relay" in said.message


def test_a_beat_ends_the_silence_and_the_silence_is_no_rhythm() -> None:
    changed, (opened,) = judged(after(*every(5, 3)), NOW + 7200)
    back = [one for one in [heartbeats.heard(changed[0], changed[0].name, beat(at=NOW + 9000), None)] if one]
    assert back[0].rhythm == 300
    (heard,), (closed,) = judged(back, NOW + 9001)
    assert (closed.effect, closed.signal_key) == (Effect.CLOSES, opened.signal_key)
    assert heard.silent_since is None


@pytest.mark.parametrize("gap", [10.0, 59.0])
def test_beats_closer_than_a_minute_count_once(gap: float) -> None:
    (one,) = after(beat(at=NOW), beat(at=NOW + gap))
    assert one.beats == 1


def test_where_everything_fails_nothing_beats_and_still_somebody_speaks() -> None:
    failing = (flux(at=NOW + 600 + 300 * time) for time in range(1, 9))
    beats = after(*every(5, 3), *failing)
    assert judged(beats, NOW + 600 + 8 * 300 + 899) == ([], [])
    assert beats[0].rhythm == 300


def test_failures_alone_make_no_heartbeat() -> None:
    assert not after(*(flux(at=NOW + 300 * time) for time in range(9)))


def test_a_watchdog_that_is_declared_keeps_the_learnt_one_beating() -> None:
    policy = replace(POLICY, heartbeats=(Expected("prometheus", Matchers.of(['alertname="Watchdog"']), 300.0),))
    beats = after(*(watchdog(NOW + 300 * time) for time in range(4)), policy=policy)
    assert sorted((one.name, one.beats) for one in beats) == [("alertmanager/homelab", 4), ("prometheus/homelab", 4)]


def test_what_nobody_declares_any_more_is_forgotten_and_what_is_learnt_stays() -> None:
    beats = [*after(alert("BackupDone", at=NOW), policy=DECLARED), *after(*every(5, 3))]
    assert heartbeats.forgotten(beats, DECLARED.heartbeats) == []
    assert heartbeats.forgotten(beats, ()) == ["backup/homelab"]
