import pytest

from relay.core.event import Severity, Source, Subject
from relay.core.facts import derive, facts
from relay.core.signal import Signal


@pytest.mark.parametrize(
    "said, fact, value",
    [
        ({"pod": "sonarr-66cc5c9fcf-9rccg"}, "workload", "sonarr"),
        ({"pod": "x-1", "deployment": "web"}, "workload", "web"),
        ({"deployment": "web"}, "owner", "deployment/web"),
        ({"instance": "192.0.2.10:9100"}, "host", "192.0.2.10"),
        ({"instance": "[2001:db8::1]:9100"}, "host", "2001:db8::1"),
        ({"instance": "2001:db8::1"}, "host", "2001:db8::1"),
        ({"instance": "node-1"}, "host", "node-1"),
        ({"instance": "https://example.org/x"}, "host", "https://example.org/x"),
        ({"message": "media/a volume is out of sync. method=syncthing"}, "method", "syncthing"),
        ({"job_name": "migrate"}, "owner", "job/migrate"),
        ({"reason": "ErrImagePull"}, "waiting_reason", "ErrImagePull"),
        ({"message": 'waiting (reason: "ImagePullBackOff")'}, "status", "ImagePullBackOff"),
        ({"message": "Init:CrashLoopBackOff"}, "status", "CrashLoopBackOff"),
        ({"message": "last state: OOMKilled"}, "terminated", "OOMKilled"),
        ({"message": "terminated: Error"}, "terminated", "Error"),
        ({"message": "ended with exit code 137"}, "exit_code", "137"),
        ({"message": "exitCode: 1"}, "exit_code", "1"),
        ({"message": "exited with code 2"}, "exit_code", "2"),
        ({"message": "pod media/a is Pending"}, "phase", "Pending"),
        ({"phase": "Pending"}, "status", "Pending"),
        ({"alertname": "KubernetesContainerOomKiller"}, "terminated", "OOMKilled"),
        ({"message": 'Failed to pull image "ghcr.io/a/b:1": x'}, "image", "ghcr.io/a/b:1"),
        ({"image": "ghcr.io/a/b:1"}, "registry", "ghcr.io"),
        ({"image": "ghcr.io/a/b:1"}, "repository", "ghcr.io/a/b"),
        ({"image": "registry.example.org:5000/b@sha256:00"}, "repository", "registry.example.org:5000/b"),
        ({"image": "nginx:1"}, "registry", "docker.io"),
        ({"image": "library/nginx"}, "registry", "docker.io"),
        ({"message": "dial tcp: lookup registry.example.org: no such host"}, "registry", "registry.example.org"),
        ({"message": "Deployment/web/a dry-run failed (Invalid): x"}, "object", "Deployment/a"),
        ({"message": "Deployment/web/a dry-run failed (Invalid): x"}, "object_namespace", "web"),
        ({"message": "ClusterRole/a dry-run failed: x"}, "object", "ClusterRole/a"),
        ({"message": "ConfigMap/web/b configured\nDeployment/web/a apply failed: x"}, "object", "Deployment/a"),
        ({"message": "delete failed, errors: Role/web/a delete failed: x;"}, "object", "Role/a"),
        ({"message": "waiting for: [Job/a/b status: 'InProgress', Pod/c/d status: 'Failed': x]"}, "child_kind", "Pod"),
        (
            {"message": "waiting for: [Job/a/b status: 'InProgress', Pod/c/d status: 'Failed': x]"},
            "child_status",
            "Failed",
        ),
        ({"message": "waiting for: [ClusterIssuer/le status: 'InProgress']"}, "child_name", "le"),
    ],
)
def test_a_fact_follows_from_what_was_said(said: dict[str, str], fact: str, value: str) -> None:
    assert derive(said).get(fact) == value


@pytest.mark.parametrize(
    "said, fact",
    [
        ({"message": "Pod media/a has been in a non-ready state"}, "status"),
        ({"message": "the exit code is unknown"}, "exit_code"),
        ({"message": "an Error occurred"}, "terminated"),
        ({"message": "FailedCreatePodSandBox"}, "object"),
        ({"message": "waiting for: [ClusterIssuer/le status: 'InProgress']"}, "child_namespace"),
        ({"pod": ""}, "workload"),
    ],
)
def test_a_fact_that_nobody_said_is_absent(said: dict[str, str], fact: str) -> None:
    assert fact not in derive(said)


def test_only_registered_labels_are_facts_and_the_objects_own_go_before_the_exporters() -> None:
    signal = Signal(
        key="k",
        source=Source.ALERTMANAGER,
        subject=Subject("c", "", "", ""),
        aspect="",
        severity=Severity.CRITICAL,
        since=0,
        sent_at=0,
        seen_at=0,
        labels={
            "namespace": "monitoring",
            "exported_namespace": "media",
            "pod": "exporter",
            "exported_pod": "a",
            "password": "x",
            "status": "false",
        },
        attributes={"summary": "It is odd"},
        names=(Subject("c", "HelmRelease", "media", "sonarr"),),
    )
    known = facts(signal)
    assert (known["namespace"], known["pod"], known["severity"], known["summary"]) == (
        "media",
        "a",
        "critical",
        "It is odd",
    )
    assert known["child_name"] == "sonarr"
    assert "password" not in known
    assert "status" not in known, "a label of that name means something else"
