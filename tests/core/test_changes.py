"""The change feed: what each revision touched, and what is said of it when something breaks or is well again."""

import pytest

from relay.core import changes
from relay.core.event import Effect, Event, Instant, Subject
from relay.core.incident import Incident
from relay.core.joining import take
from relay.core.known import Known
from tests.core.make import NOW, POLICY, alert, beat, flux, pod

LOG = """Namespace/media unchanged
Deployment/media/sonarr configured
HelmRelease/media/radarr configured
ConfigMap/media/settings created
Service/media/sonarr configured"""
NEW = "main@sha1:4f5e6d7c8b9a0f1e2d3c4b5a69788796a5b4c3d2"


def applied(at: Instant = NOW, revision: str = NEW) -> Event:
    return flux(reason="Progressing", message=LOG, effect=Effect.NOTES, at=at, revision=revision)


def release(version: str, at: Instant, effect: Effect = Effect.CLOSES) -> Event:
    reason = "UpgradeSucceeded" if effect is Effect.CLOSES else "UpgradeFailed"
    words = "succeeded" if effect is Effect.CLOSES else "failed"
    message = f"Helm upgrade {words} for release media/radarr.v7 with chart app-template@{version}"
    return flux(
        "radarr",
        kind="HelmRelease",
        namespace="media",
        reason=reason,
        message=message,
        effect=effect,
        at=at,
        revision=version,
    )


def opened(known: Known, event: Event) -> Incident:
    take(known, event, POLICY)
    return next(incident for incident in known.incidents.values() if incident.is_open)


def test_an_apply_log_names_what_its_revision_touched() -> None:
    touched = changes.applied(applied())
    assert touched == (
        Subject("homelab", "Deployment", "media", "sonarr"),
        Subject("homelab", "HelmRelease", "media", "radarr"),
    )


def test_an_alert_on_a_touched_workload_names_the_commit() -> None:
    known = Known()
    take(known, applied(), POLICY)
    incident = opened(known, alert(subject=pod("sonarr-66cc5c9fcf-9rccg"), at=NOW + 240, starts_at=NOW + 240))
    assert (incident.change_revision, incident.change_at) == (NEW, NOW)


@pytest.mark.parametrize(
    "sentence,after,named",
    [
        ("a moment later", 60, True),
        ("Flux told it a little after the fact", -30, True),
        ("within the hour", 3600, True),
        ("longer ago than anybody would look", 3700, False),
        ("well before it", -120, False),
    ],
)
def test_only_a_change_shortly_before_is_named(sentence: str, after: float, named: bool) -> None:
    known = Known()
    take(known, applied(), POLICY)
    began = NOW + after
    incident = opened(known, alert(subject=pod("sonarr-66cc5c9fcf-9rccg"), at=NOW + 4000, starts_at=began))
    assert (incident.change_revision == NEW) is named


def test_a_release_says_its_versions_and_keeps_the_commit_that_touched_it() -> None:
    known = Known()
    take(known, release("3.5.0", NOW - 86400), POLICY)
    take(known, applied(), POLICY)
    incident = opened(known, release("3.5.1", NOW + 60, Effect.OPENS))
    assert (incident.change_revision, incident.change) == (NEW, "app-template 3.5.0 → 3.5.1")


def test_a_release_is_also_the_workload_of_its_name() -> None:
    known = Known()
    take(known, release("3.5.0", NOW - 86400), POLICY)
    take(known, release("3.5.1", NOW), POLICY)
    incident = opened(known, alert(subject=pod("radarr-66cc5c9fcf-9rccg"), at=NOW + 60, starts_at=NOW + 60))
    assert (incident.change_revision, incident.change) == ("3.5.1", "app-template 3.5.0 → 3.5.1")


def test_a_kustomization_that_fails_with_a_new_revision_names_it_and_with_an_old_one_does_not() -> None:
    known = Known()
    take(known, beat(at=NOW), POLICY)
    assert opened(known, flux(at=NOW + 60, revision=NEW)).change_revision == NEW
    other = Known()
    take(other, beat(at=NOW), POLICY)
    assert not opened(other, flux(at=NOW + 60)).change_revision


def test_what_is_seen_for_the_first_time_is_no_change() -> None:
    known = Known()
    assert not opened(known, flux(revision=NEW)).change_revision
    assert not opened(Known(), release("3.5.1", NOW, Effect.OPENS)).change_revision


def test_all_that_an_event_may_touch_is_loaded_before_it() -> None:
    keys = changes.keys_of(applied())
    known = Known()
    take(known, applied(), POLICY)
    assert set(known.objects) <= set(keys)
