"""What an Event does to its Signal: the tables of the references, a sentence per row."""

from __future__ import annotations

import pytest

from relay.core.event import Effect, Event, Severity
from relay.core.incident import Reason
from relay.core.joining import release_held
from tests.core.make import NOW, POLICY, alert, beat, flux, taken

Row = tuple[str, list[Event], list[Reason], int]

FLUX: list[Row] = [
    ("a failure opens", [flux()], [Reason.OPENED], 1),
    ("the same failure again is a count", [flux(), flux(at=NOW + 60)], [Reason.OPENED, Reason.REPEATED], 1),
    (
        "the same bytes again are a duplicate",
        [flux(), flux(received_at=NOW + 5)],
        [Reason.OPENED, Reason.DUPLICATE],
        1,
    ),
    (
        "another cause on the same object is a visible change",
        [flux(), flux(message="post build failed: variable not set", at=NOW + 60)],
        [Reason.OPENED, Reason.CAUSE],
        1,
    ),
    (
        "another duration in the same message is no other cause",
        [flux(message="failed after 5m0.03s"), flux(message="failed after 5m1.99s", at=NOW + 60)],
        [Reason.OPENED, Reason.REPEATED],
        1,
    ),
    ("a health beat closes", [flux(), beat(at=NOW + 60)], [Reason.OPENED, Reason.RESOLVED], 0),
    ("a health beat alone is nothing", [beat()], [Reason.UNKNOWN_RESOLVE], 0),
    (
        "a failure older than the last success never opens",
        [beat(at=NOW + 60), flux(at=NOW, received_at=NOW + 61)],
        [Reason.UNKNOWN_RESOLVE, Reason.OLDER_THAN_SUCCESS],
        0,
    ),
    (
        "a failure older than the success that closed never reopens",
        [flux(), beat(at=NOW + 60), flux(message="other", at=NOW + 30, received_at=NOW + 61)],
        [Reason.OPENED, Reason.RESOLVED, Reason.OLDER_THAN_SUCCESS],
        0,
    ),
    (
        "a success older than the failure does not close it",
        [flux(at=NOW + 60), beat(at=NOW, received_at=NOW + 61)],
        [Reason.OPENED, Reason.LATE_RESOLVE],
        1,
    ),
    (
        "of two in one second the one that arrives later counts",
        [beat(at=NOW), flux(at=NOW, received_at=NOW + 1), beat(at=NOW, received_at=NOW + 2)],
        [Reason.UNKNOWN_RESOLVE, Reason.OPENED, Reason.RESOLVED],
        0,
    ),
    (
        "a rollback leaves it open and says so",
        [
            flux("sonarr", kind="HelmRelease", reason="UpgradeFailed"),
            flux("sonarr", kind="HelmRelease", reason="RollbackSucceeded", effect=Effect.NOTES, at=NOW + 60),
            flux("sonarr", kind="HelmRelease", reason="RollbackSucceeded", effect=Effect.NOTES, at=NOW + 70),
        ],
        [Reason.OPENED, Reason.REMEDIATED, Reason.NOTED],
        1,
    ),
    (
        "drift is a condition of its own",
        [
            flux("sonarr", kind="HelmRelease", reason="DriftDetected", aspect="drift"),
            flux("sonarr", kind="HelmRelease", reason="UpgradeSucceeded", effect=Effect.CLOSES, at=NOW + 60),
        ],
        [Reason.OPENED, Reason.UNKNOWN_RESOLVE],
        1,
    ),
]

ALERTS: list[Row] = [
    ("a firing opens", [alert()], [Reason.OPENED], 1),
    ("the same firing is a refresh", [alert(), alert(at=NOW + 300)], [Reason.OPENED, Reason.REPEATED], 1),
    (
        "an earlier start keeps the episode",
        [alert(), alert(at=NOW + 300, starts_at=NOW - 60)],
        [Reason.OPENED, Reason.REPEATED],
        1,
    ),
    (
        "a later start was resolved and fired again unseen: one change",
        [alert(), alert(at=NOW + 300, starts_at=NOW + 200)],
        [Reason.OPENED, Reason.REOPENED],
        1,
    ),
    (
        "a resolve closes",
        [alert(), alert(firing=False, at=NOW + 300, ends_at=NOW + 290)],
        [Reason.OPENED, Reason.RESOLVED],
        0,
    ),
    (
        "a resolve that ended before the open episode began is late",
        [alert(starts_at=NOW), alert(firing=False, at=NOW + 300, ends_at=NOW - 10)],
        [Reason.OPENED, Reason.LATE_RESOLVE],
        1,
    ),
    (
        "a resolve of something never seen shows nothing",
        [alert(firing=False, ends_at=NOW)],
        [Reason.UNKNOWN_RESOLVE],
        0,
    ),
    (
        "a firing of a closed episode is held",
        [alert(), alert(firing=False, at=NOW + 300, ends_at=NOW + 290), alert(at=NOW + 310)],
        [Reason.OPENED, Reason.RESOLVED, Reason.HELD],
        0,
    ),
    (
        "a held firing whose resolve follows is never shown",
        [
            alert(),
            alert(firing=False, at=NOW + 300, ends_at=NOW + 290),
            alert(at=NOW + 310),
            alert(firing=False, at=NOW + 325, ends_at=NOW + 290),
        ],
        [Reason.OPENED, Reason.RESOLVED, Reason.HELD, Reason.NOT_SHOWN],
        0,
    ),
    (
        "a later episode after a resolve opens the same Incident again",
        [
            alert(),
            alert(firing=False, at=NOW + 300, ends_at=NOW + 290),
            alert(at=NOW + 600, starts_at=NOW + 590),
        ],
        [Reason.OPENED, Reason.RESOLVED, Reason.REOPENED],
        1,
    ),
    (
        "much later it is a new Incident",
        [
            alert(),
            alert(firing=False, at=NOW + 300, ends_at=NOW + 290),
            alert(at=NOW + 9000, starts_at=NOW + 8990),
        ],
        [Reason.OPENED, Reason.RESOLVED, Reason.OPENED],
        1,
    ),
]


@pytest.mark.parametrize(
    "sentence, events, reasons, still_open",
    [*FLUX, *ALERTS],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_event_does_what_the_references_say(
    sentence: str, events: list[Event], reasons: list[Reason], still_open: int
) -> None:
    known, seen = taken(*events)
    assert seen == reasons, sentence
    assert sum(incident.is_open for incident in known.incidents.values()) == still_open


def test_a_held_firing_opens_when_no_resolve_followed() -> None:
    known, _ = taken(alert(), alert(firing=False, at=NOW + 300, ends_at=NOW + 290), alert(at=NOW + 310))
    held = list(known.signals.values())
    assert release_held(known, held, NOW + 369, POLICY) == 0
    assert release_held(known, held, NOW + 370, POLICY) == 1
    assert [incident.reason for incident in known.incidents.values()] == [Reason.REOPENED]


def test_a_new_incident_after_the_window_names_the_old_one() -> None:
    known, _ = taken(
        alert(), alert(firing=False, at=NOW + 300, ends_at=NOW + 290), alert(at=NOW + 9000, starts_at=NOW + 8990)
    )
    old, new = sorted(known.incidents.values(), key=lambda incident: incident.opened_at)
    assert new.follows == old.id
    assert new.id != old.id


def test_a_severity_that_moves_is_seen_and_changes_no_identity() -> None:
    known, reasons = taken(
        flux(severity=Severity.WARNING),
        flux(severity=Severity.CRITICAL, at=NOW + 60),
        flux(severity=Severity.ERROR, at=NOW + 120),
    )
    assert reasons == [Reason.OPENED, Reason.ESCALATED, Reason.EASED]
    (incident,) = known.incidents.values()
    assert (incident.severity, incident.peak) == (Severity.ERROR, Severity.CRITICAL)
