"""A Flux body is one Event, and its meaning follows severity, then reason, then text (reference: flux.md §4)."""

from __future__ import annotations

from typing import Any

import pytest

from relay.core.event import Effect, Event, NotJson, Severity, Source, Subject, Unreadable
from relay.core.labels import Matchers
from relay.core.policy import Policy, SeverityRule
from tests.sources.make import NOW, POLICY, events, parse, payload

FINISHED = "Reconciliation finished in 154.1ms, next run in 10m0s"
UPDATE = {"commit_status": "update"}


def flux(**fields: Any) -> dict[str, Any]:  # noqa: ANN401  # any JSON a sender may write
    thing = {
        "kind": fields.pop("kind", "Kustomization"),
        "namespace": "flux-system",
        "name": "apps",
        **fields.pop("object", {}),
    }
    return {
        "involvedObject": thing,
        "severity": "error",
        "timestamp": "2026-03-01T10:00:00Z",
        "message": "text",
        "reason": "BuildFailed",
        "reportingController": "kustomize-controller",
    } | fields


def event(body: object, **how: Any) -> Event:  # noqa: ANN401  # passed on to parse
    (found,) = events(Source.FLUX, body, **how)
    return found


@pytest.mark.parametrize(
    "sentence, kind, severity, reason, message, metadata, effect",
    [
        ("an error opens", "Kustomization", "error", "BuildFailed", "x", {}, Effect.OPENS),
        ("an error with a success reason opens", "Kustomization", "error", "ReconciliationSucceeded", FINISHED, UPDATE, Effect.OPENS),
        ("a deletion error opens whatever its reason", "Kustomization", "error", "Progressing", "pruning failed", {}, Effect.OPENS),
        ("an unknown severity is a warning and opens", "Kustomization", "odd", "BuildFailed", "x", {}, Effect.OPENS),
        ("an info with a failure reason does not open", "Kustomization", "info", "ArtifactFailed", "HPA/a/b deleted", {}, Effect.NOTES),
        ("a health beat closes", "Kustomization", "info", "ReconciliationSucceeded", FINISHED, UPDATE, Effect.CLOSES),
        ("finished closes without commit status", "Kustomization", "info", "ReconciliationSucceeded", FINISHED, {}, Effect.CLOSES),
        ("finished closes with the legacy reason", "Kustomization", "info", "info", FINISHED, {}, Effect.CLOSES),
        ("a garbage collection list does not close", "Kustomization", "info", "ReconciliationSucceeded", "A/b/c deleted", {}, Effect.NOTES),
        ("an apply log does not close", "Kustomization", "info", "Progressing", "A/b/c created", {}, Effect.NOTES),
        ("progress does not close, even with an annotation", "Kustomization", "info", "Progressing", "A/b/c created", UPDATE, Effect.NOTES),
        ("a passed health check does not close", "Kustomization", "info", "Progressing", "Health check passed in 1s", {}, Effect.NOTES),
        ("waiting for a dependency does nothing", "Kustomization", "info", "DependencyNotReady", "x", {}, Effect.NOTES),
        ("a canceled health check does nothing", "Kustomization", "info", "HealthCheckCanceled", "x", {}, Effect.NOTES),
        ("an installed release closes", "HelmRelease", "info", "InstallSucceeded", "x", {}, Effect.CLOSES),
        ("an upgraded release closes", "HelmRelease", "info", "UpgradeSucceeded", "x", {}, Effect.CLOSES),
        ("a tested release closes", "HelmRelease", "info", "TestSucceeded", "x", {}, Effect.CLOSES),
        ("a failed test opens", "HelmRelease", "error", "TestFailed", "x", {}, Effect.OPENS),
        ("a rollback never closes", "HelmRelease", "info", "RollbackSucceeded", "x", {}, Effect.NOTES),
        ("a rollback never closes, even with an annotation", "HelmRelease", "info", "RollbackSucceeded", "x", UPDATE, Effect.NOTES),
        ("an uninstall never closes", "HelmRelease", "info", "UninstallSucceeded", "x", {}, Effect.NOTES),
        ("an inventory that cannot be built does not open", "HelmRelease", "error", "InventoryBuildFailed", "x", {}, Effect.NOTES),
        ("a skipped namespace check does not open", "HelmRelease", "error", "NamespaceCheckSkipped", "x", {}, Effect.NOTES),
        ("drift opens", "HelmRelease", "error", "DriftDetected", "x", {}, Effect.OPENS),
        ("corrected drift closes", "HelmRelease", "info", "DriftCorrected", "x", {}, Effect.CLOSES),
        ("a reconciled release does not close by another kind's reason", "HelmRelease", "info", "Succeeded", "x", {}, Effect.NOTES),
        ("a new artifact closes its source", "GitRepository", "info", "NewArtifact", "x", {}, Effect.CLOSES),
        ("a recovered source closes", "OCIRepository", "info", "Succeeded", "x", {}, Effect.CLOSES),
        ("a pulled chart closes", "HelmChart", "info", "ChartPullSucceeded", "x", {}, Effect.CLOSES),
        ("a packaged chart closes", "HelmChart", "info", "ChartPackageSucceeded", "x", {}, Effect.CLOSES),
        ("a scanned image closes", "ImageRepository", "info", "Succeeded", "x", {}, Effect.CLOSES),
        ("an image policy without tags opens", "ImagePolicy", "error", "DependencyNotReady", "no tags in database", {}, Effect.OPENS),
        ("Flux itself reconciled closes", "FluxInstance", "info", "ReconciliationSucceeded", "x", {}, Effect.CLOSES),
        ("a ready generator closes", "ArtifactGenerator", "info", "Ready", "x", {}, Effect.CLOSES),
        ("an unknown kind's success closes", "Widget", "info", "Succeeded", "x", {}, Effect.CLOSES),
        ("an unknown kind's other info does nothing", "Widget", "info", "NewArtifact", "x", {}, Effect.NOTES),
    ],
)  # fmt: skip
def test_what_an_event_does(  # one row of a table
    sentence: str, kind: str, severity: str, reason: str, message: str, metadata: dict[str, str], effect: Effect
) -> None:
    found = event(flux(kind=kind, severity=severity, reason=reason, message=message, metadata=metadata))
    assert found.effect is effect, sentence


def test_only_a_health_beat_is_one_and_needs_no_digest() -> None:
    beat = event(payload("flux-beat"))
    assert beat.beat
    assert beat.digest == ""
    plain = event(flux(severity="info", reason="ReconciliationSucceeded", message=FINISHED))
    assert not plain.beat
    assert plain.digest


def test_the_operators_words_colour_an_event_and_do_not_change_what_it_does() -> None:
    policy = Policy(severity_words={"info": Severity.CRITICAL, "error": Severity.INFO})
    beat = event(payload("flux-beat"), policy=policy)
    assert (beat.effect, beat.severity) == (Effect.CLOSES, Severity.CRITICAL)
    failed = event(payload("flux-upgrade-failed"), policy=policy)
    assert (failed.effect, failed.severity) == (Effect.OPENS, Severity.INFO)


def test_a_severity_rule_has_the_last_word_and_none_is_never_opened() -> None:
    rules = (
        SeverityRule(Matchers.of(['kind="HelmRelease"', 'namespace="media"']), Severity.CRITICAL),
        SeverityRule(Matchers.of(['kind="Kustomization"']), Severity.NONE),
    )
    policy = Policy(severity_rules=rules)
    failed = event(payload("flux-upgrade-failed"), policy=policy)
    assert (failed.severity, failed.labels["severity"], failed.labels["severity_sent"]) == (
        Severity.CRITICAL,
        "critical",
        "error",
    )
    assert event(payload("flux-health-check-failed"), policy=policy).effect is Effect.NOTES
    assert event(payload("flux-beat"), policy=policy).effect is Effect.CLOSES


def test_drift_is_a_condition_of_its_own() -> None:
    ready, drift = (event(flux(kind="HelmRelease", reason=reason)) for reason in ("UpgradeFailed", "DriftDetected"))
    corrected = event(flux(kind="HelmRelease", severity="info", reason="DriftCorrected"))
    failed = event(flux(kind="HelmRelease", reason="DriftCorrectionFailed"))
    assert (ready.aspect, drift.aspect) == ("ready", "drift")
    assert drift.signal_key == corrected.signal_key == failed.signal_key != ready.signal_key


def test_labels_are_those_of_fluxs_own_provider_and_the_relays() -> None:
    assert event(payload("flux-upgrade-failed"), cluster="prod").labels == {
        "alertname": "FluxHelmReleaseUpgradeFailed",
        "reason": "UpgradeFailed",
        "kind": "HelmRelease",
        "name": "sonarr",
        "namespace": "media",
        "reportingcontroller": "helm-controller",
        "app-version": "4.0.16",
        "oci-digest": "sha256:" + "2" * 64,
        "revision": "4.0.16",
        "summary": "media server",
        "source": "flux",
        "cluster": "prod",
        "type": "incident",
        "severity": "error",
        "severity_sent": "error",
        "message": "Helm upgrade failed for release media/sonarr with chart sonarr@4.0.16: context deadline exceeded\n\n"
        "Last Helm logs:\n\n2026-03-01T10:05:59.123456789Z: beginning wait for 12 resources",
    }


def test_metadata_never_wins_over_the_object_or_the_relay() -> None:
    metadata = {
        "name": "other",
        "kind": "Other",
        "source": "relay",
        "type": "rollout",
        "severity": "critical",
        "receiver": "x",
        "team": "home",
    }
    labels = event(flux(metadata=metadata)).labels
    assert (labels["name"], labels["kind"], labels["source"], labels["type"]) == (
        "apps",
        "Kustomization",
        "flux",
        "incident",
    )
    assert (labels["severity"], labels.get("receiver"), labels["team"]) == ("error", None, "home")


def test_prefixed_metadata_is_read_under_its_bare_key_and_the_bare_one_wins() -> None:
    metadata = {
        "kustomize.toolkit.fluxcd.io/revision": "main@sha1:1",
        "example.org/team": "b",
        "team": "a",
        "and/or": "stays",
    }
    labels = event(flux(metadata=metadata)).labels
    assert (labels["revision"], labels["team"], labels["and/or"]) == ("main@sha1:1", "a", "stays")


@pytest.mark.parametrize(
    "credential, metadata, cluster",
    [
        ("proven", {"cluster": "said"}, "proven"),
        (None, {"cluster": "said"}, "said"),
        (None, {}, "homelab"),
        (None, {"cluster": ""}, "homelab"),
    ],
)
def test_the_cluster_is_proven_else_said_else_the_default(
    credential: str | None, metadata: dict[str, str], cluster: str
) -> None:
    found = event(flux(metadata=metadata), cluster=credential)
    assert found.subject == Subject(cluster, "Kustomization", "flux-system", "apps")
    assert found.labels["cluster"] == cluster


@pytest.mark.parametrize(
    "fields, word",
    [
        ({"severity": "info", "reason": "Progressing", "metadata": {"revision": "main@sha1:1"}}, "rollout"),
        ({"severity": "info", "reason": "Progressing", "metadata": {"originRevision": "main@sha1:1"}}, "rollout"),
        ({"severity": "info", "reason": "Progressing"}, "incident"),
        ({"severity": "info", "reason": "DependencyNotReady", "metadata": {"revision": "main@sha1:1"}}, "incident"),
        ({"severity": "error", "reason": "Progressing", "metadata": {"revision": "main@sha1:1"}}, "incident"),
        (
            {
                "kind": "HelmRelease",
                "severity": "info",
                "reason": "RollbackSucceeded",
                "metadata": {"revision": "1.2.3"},
            },
            "incident",
        ),
    ],
)
def test_what_only_feeds_a_rollout_says_so(fields: dict[str, Any], word: str) -> None:
    assert event(flux(**fields)).labels["type"] == word


def test_what_is_shown_and_no_identity_is_an_attribute() -> None:
    found = event(payload("flux-upgrade-failed"))
    assert found.attributes == {
        "revision": "4.0.16",
        "app-version": "4.0.16",
        "oci-digest": "sha256:" + "2" * 64,
        "summary": "media server",
        "uid": "0a9f6f0d-7d0c-4b1f-8a0b-6b8c4e0a2d33",
        "api_version": "helm.toolkit.fluxcd.io/v2",
        "controller": "helm-controller",
        "controller_instance": "helm-controller-7c4f9d6b5-8lq2v",
    }


def test_uid_and_revision_and_version_are_no_identity() -> None:
    one = event(flux(object={"uid": "1", "apiVersion": "v1"}, metadata={"revision": "a"}))
    two = event(flux(object={"uid": "2", "apiVersion": "v2"}, metadata={"revision": "b"}))
    assert one.signal_key == two.signal_key


@pytest.mark.parametrize(
    "timestamp, at",
    [
        ("2026-03-01T10:00:00Z", 1_772_359_200.0),
        ("2026-03-01T11:00:00+01:00", 1_772_359_200.0),
        ("2026-03-01T10:18:00Z", 1_772_360_280.0),
        ("2026-03-01T10:19:00Z", NOW),
        (None, NOW),
        ("", NOW),
        ("data", NOW),
        ("0001-01-01T00:00:00Z", NOW),
        ("0001-01-01T00:00:00+14:00", NOW),
        ("9999-12-31T23:59:59-14:00", NOW),
        (7, NOW),
        ({}, NOW),
    ],
)
def test_a_time_that_is_none_or_too_far_ahead_is_ours(timestamp: object, at: float) -> None:
    assert event(flux(timestamp=timestamp)).at == at


def test_a_copy_has_the_same_digest_and_noise_does_not_matter() -> None:
    one = event(
        flux(
            message="health check failed after 5m0.01s: timeout waiting for: [A/b/c status: 'Failed', D/e/f status: 'Failed']"
        )
    )
    two = event(
        flux(
            message="health check failed after 5m0.02s: timeout waiting for: [D/e/f status: 'Failed', A/b/c status: 'Failed']"
        ),
        now=NOW + 5,
    )
    assert one.digest == two.digest


@pytest.mark.parametrize(
    "change",
    [
        {"reason": "ArtifactFailed"},
        {"severity": "info"},
        {"timestamp": "2026-03-01T10:00:01Z"},
        {"message": "other"},
        {"object": {"name": "other"}},
        {"kind": "HelmRelease"},
    ],
)
def test_what_differs_in_more_than_noise_is_no_copy(change: dict[str, Any]) -> None:
    assert event(flux()).digest != event(flux(**change)).digest


def test_a_health_list_names_its_objects_worst_first() -> None:
    assert event(payload("flux-health-check-failed")).names == (
        Subject("prod-eu", "HelmRelease", "media", "sonarr"),
        Subject("prod-eu", "Deployment", "media", "web"),
        Subject("prod-eu", "StatefulSet", "db", "main"),
        Subject("prod-eu", "Job", "db", "load"),
        Subject("prod-eu", "Namespace", "", "old"),
    )


def test_a_long_health_list_is_bounded() -> None:
    message = (
        "timeout waiting for: ["
        + ", ".join(f"Deployment/a/d{number:03} status: 'InProgress'" for number in range(200))
        + "]"
    )
    assert len(event(flux(message=message)).names) == 50


def test_a_helm_release_names_its_dependency() -> None:
    found = event(
        flux(
            kind="HelmRelease",
            severity="info",
            reason="DependencyNotReady",
            message="dependency 'db/postgres' is not ready",
        )
    )
    assert found.names == (Subject("homelab", "HelmRelease", "db", "postgres"),)


def test_a_dry_run_failure_names_nothing() -> None:
    assert event(flux(message="Deployment/a/b dry-run failed (Invalid): no")).names == ()


def test_an_event_of_the_coming_version_is_read_and_its_credentials_are_not() -> None:
    found = event(payload("flux-event-v1"))
    assert found.message.startswith(
        "failed to checkout and determine revision: unable to clone 'https://[redacted]@git.example.org/fleet'"
    )
    assert "not-a-secret" not in repr(found)
    assert found.attributes["revision"].startswith("main/333")
    assert found.labels["retries"] == "3"
    assert "last" not in found.labels


def test_a_name_with_a_line_break_forges_no_other_objects_key() -> None:
    forged = event(flux(object={"namespace": "a\nb", "name": "c"}))
    assert "\n" not in forged.subject.namespace
    assert forged.subject.key.count("\n") == 3


@pytest.mark.parametrize(
    "body, why, cure",
    [
        (payload("flux-discord"), "discord and slack", "generic-hmac"),
        (payload("alertmanager-v4"), "Alertmanager webhook", "alertmanager source"),
        (payload("prometheus-raw"), "raw alerts", "Alertmanager"),
        (payload("flux-alertmanager-provider"), "Flux's alertmanager Provider", "generic-hmac"),
        (flux(object={"kind": ""}), "no kind or no name", "generic-hmac"),
        (flux(object={"name": None}), "no kind or no name", "generic-hmac"),
        (flux(object={"name": "\u200b"}), "no kind or no name", "generic-hmac"),
        ({"involvedObject": "text"}, "without involvedObject", "generic-hmac"),
        ({}, "without involvedObject", "generic-hmac"),
        ([], "a list", ""),
        ("text", "a string", ""),
        (None, "null", ""),
        (True, "a boolean", ""),
        (1, "a number", ""),
    ],
)
def test_another_shape_is_named_with_its_cure(body: object, why: str, cure: str) -> None:
    found = parse(Source.FLUX, body)
    assert isinstance(found, Unreadable)
    assert why in found.why
    assert cure in found.cure


def test_what_is_no_json_is_refused() -> None:
    assert isinstance(parse(Source.FLUX, b"{"), NotJson)


@pytest.mark.parametrize(
    "field", ["severity", "timestamp", "message", "reason", "metadata", "reportingController", "reportingInstance"]
)
@pytest.mark.parametrize("value", [None, 3, True, [], {}, {"a": {"b": 1}}, "x", "\x00"])
def test_a_field_of_a_wrong_type_never_costs_the_event(field: str, value: object) -> None:
    found = event(flux() | {field: value}, policy=POLICY)
    assert found.subject.name == "apps"
