"""The commonest causes as they arrive, and what an expert would say of each: the right leaf, nothing claimed beyond it, steps that work.

Alerts carry the labels of the stock rules of kube-prometheus-stack, VolSync, Velero and cert-manager, and no other.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import pytest

from relay.config.trees import load_trees
from relay.core.event import Source
from relay.core.policy import IncidentPolicy
from relay.core.signal import Signal, apply
from relay.core.tree import MAX_LOOKS, Act, Certainty, Hint, Step, phrase
from relay.tools.trees import changes, said_of
from tests.conftest import CORPUS
from tests.sources.make import events

LIBRARY = load_trees()
SCRAPED = {
    "instance": "192.0.2.21:8443",
    "job": "kube-state-metrics",
    "endpoint": "http",
    "service": "kube-state-metrics",
    "container": "kube-state-metrics",
}
EXPORTER = {
    "instance": "192.0.2.10:9100",
    "job": "node-exporter",
    "endpoint": "metrics",
    "service": "node-exporter",
    "namespace": "monitoring",
    "pod": "node-exporter-x7k2p",
    "container": "node-exporter",
}
POD = {"namespace": "media", "pod": "sonarr-66cc5c9fcf-9rccg"}
REFUSED = 'Post "https://ingress-admission.ingress.svc:443/check?timeout=10s": dial tcp 192.0.2.99:443: connect: connection refused'


@dataclass(frozen=True)
class Cause:
    """What arrives, the leaf, what names the object in a command, what the fix says, and what must not be claimed."""

    body: dict[str, Any]
    leaf: str
    names: str
    fix: str = ""
    never: str = ""
    open: bool = False

    @property
    def signal(self) -> Signal:
        source = Source.ALERTMANAGER if "alerts" in self.body else Source.FLUX
        (event,) = events(source, self.body)
        signal = apply(None, event, IncidentPolicy()).signal
        assert signal is not None
        return signal

    @property
    def hint(self) -> Hint:
        return LIBRARY.hint(self.signal)


def alert(name: str, description: str, severity: str = "warning", **labels: str) -> dict[str, Any]:
    one = {
        "status": "firing",
        "labels": {"alertname": name, "severity": severity, "prometheus": "monitoring/k8s", **labels},
        "annotations": {"description": description, "summary": name},
        "startsAt": "2026-03-01T10:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "",
        "fingerprint": "0123456789abcdef",
    }
    return {
        "version": "4", "groupKey": "{}:{}", "receiver": "relay", "status": "firing", "groupLabels": {}, "commonLabels": {},
        "commonAnnotations": {}, "externalURL": "", "alerts": [one],
    }  # fmt: skip


def waiting(reason: str) -> dict[str, Any]:
    said = f'pod/{POD["pod"]} in namespace media on container app has been in waiting state for longer than 1 hour. (reason: "{reason}")'
    return alert("KubeContainerWaiting", said, **POD, container="app", reason=reason)


def flux(kind: str, name: str, reason: str, message: str, namespace: str = "flux-system") -> dict[str, Any]:
    return {
        "involvedObject": {"kind": kind, "namespace": namespace, "name": name, "apiVersion": "example.org/v1", "uid": "1"},
        "severity": "error",
        "timestamp": "2026-03-01T10:00:00Z",
        "message": message,
        "reason": reason,
        "metadata": {"revision": "main@sha1:3ebb95c0000000000000000000000000000000aa"},
        "reportingController": "controller",
        "reportingInstance": "controller-0",
    }  # fmt: skip


def apps(reason: str, message: str) -> dict[str, Any]:
    return flux("Kustomization", "apps", reason, message)


def release(message: str, reason: str = "UpgradeFailed") -> dict[str, Any]:
    said = f"Helm upgrade failed for release media/sonarr with chart app-template@3.5.1: {message}"
    return flux("HelmRelease", "sonarr", reason, said, "media")


GIT = "failed to checkout and determine revision: unable to clone"
CAUSES = {
    # Pods and workloads: the alert says that, not why.
    "a crash": Cause(
        alert(
            "KubePodCrashLooping",
            f'Pod media/{POD["pod"]} (app) is in waiting state (reason: "CrashLoopBackOff").',
            **POD, container="app", reason="CrashLoopBackOff",
        ),
        "POD-CRASH-000", POD["pod"], "in Git", "memory|OOM|probe", open=True,
    ),
    "an image": Cause(waiting("ImagePullBackOff"), "POD-IMAGE-000", POD["pod"], never="tag|registry|missing", open=True),
    "a container's configuration": Cause(
        waiting("CreateContainerConfigError"), "POD-CONFIG-000", POD["pod"], never="Secret|root", open=True
    ),
    "a pod that is not ready": Cause(
        alert("KubePodNotReady", f"Pod media/{POD['pod']} has been in a non-ready state for longer than 15 minutes.", **POD),
        "POD-000", POD["pod"], never="probe|crash|Pending", open=True,
    ),
    "a deployment without its replicas": Cause(
        alert(
            "KubeDeploymentReplicasMismatch",
            "Deployment media/sonarr has not matched the expected number of replicas for longer than 15 minutes.",
            deployment="sonarr", **SCRAPED | {"namespace": "media"},
        ),
        "POD-000", "grep sonarr", never="kube-state-metrics", open=True,
    ),
    "a job": Cause(
        alert(
            "KubeJobFailed", "Job media/migrate failed to complete. Removing failed job after investigation should clear this alert.",
            job_name="migrate", **SCRAPED | {"namespace": "media"},
        ),
        "JOB-FAIL-000", "migrate", "in Git", "memory|deadline", open=True,
    ),
    "throttling": Cause(
        alert("CPUThrottlingHigh", "37.1% throttling of CPU in namespace media for container app.", "info", **POD, container="app"),
        "NODE-CPU-010", POD["pod"], "in Git", "is down|overloaded",
    ),
    "a quota": Cause(
        alert(
            "KubeQuotaExceeded", "Namespace media is using 110% of its requests.memory quota.",
            resource="requests.memory", **SCRAPED | {"namespace": "media"},
        ),
        "QUOTA-USE-030", "media", "in Git",
    ),
    # Volumes and nodes.
    "a volume": Cause(
        alert(
            "KubePersistentVolumeFillingUp", "The PersistentVolume claimed by config in Namespace media is only 2.5% free.", "critical",
            namespace="media", persistentvolumeclaim="config", instance="192.0.2.10:10250", job="kubelet",
        ),
        "PVC-FULL-060", "config", "in Git", "is full|delete",
    ),
    "a node that is not ready": Cause(
        alert("KubeNodeNotReady", "pve2 has been unready for more than 15 minutes.", node="pve2", condition="Ready", **SCRAPED),
        "NODE-READY-000", "pve2", "k3s", "kubelet stopped|disk", open=True,
    ),
    "a node that cannot be reached": Cause(
        alert(
            "KubeNodeUnreachable", "pve2 is unreachable and some workloads may be rescheduled.",
            node="pve2", key="node.kubernetes.io/unreachable", effect="NoSchedule", **SCRAPED,
        ),
        "NODE-AWAY-000", "pve2", "drain", "power is|kernel", open=True,
    ),
    "a node under pressure": Cause(
        alert("KubeNodePressure", "pve2 has active Condition DiskPressure.", "info", node="pve2", condition="DiskPressure", **SCRAPED),
        "NODE-PRESSURE-030", "pve2", "in Git", "memory|PID",
    ),
    "a filesystem": Cause(
        alert(
            "NodeFilesystemAlmostOutOfSpace", "Filesystem on /dev/sda1, mounted on /, at 192.0.2.10:9100 has only 2.90% left.",
            "critical", device="/dev/sda1", fstype="ext4", mountpoint="/", **EXPORTER,
        ),
        "NODE-DISK-060", "du -xh", "in Git", "node-exporter|inode",
    ),
    "a clock": Cause(
        alert("NodeClockNotSynchronising", "Clock at 192.0.2.10:9100 is not synchronising.", **EXPORTER),
        "NODE-TIME-020", "timedatectl", "ntp", "node-exporter|is wrong",
    ),
    # Known false alarms.
    "a scheduler that k3s does not show": Cause(
        alert("KubeSchedulerDown", "KubeScheduler has disappeared from Prometheus target discovery.", "critical"),
        "K3S-FALSE-020", "kube-scheduler", "kubeScheduler.enabled=false.*in Git", "scheduler is down",
    ),
    "a volume that Syncthing copies": Cause(
        alert(
            "VolSyncVolumeOutOfSync", "media/photos volume is out of sync.", "critical",
            job="volsync-metrics", namespace="volsync-system", obj_namespace="media", obj_name="photos", role="source", method="syncthing",
        ),
        "VOLSYNC-SYNC-010", "photos", "method!=.syncthing.*in Git", "failed|restic|not copied",
    ),
    # Around the cluster.
    "a target": Cause(
        alert("TargetDown", "100% of the sonarr targets are down.", job="sonarr", namespace="media", service="sonarr"),
        "MON-TARGET-005", "media", "in Git", "is down|crash", open=True,
    ),
    "alerts that are not delivered": Cause(
        alert(
            "AlertmanagerFailedToSendAlerts", "Alertmanager monitoring/alertmanager-main-0 failed to send 100% to webhook.",
            namespace="monitoring", pod="alertmanager-main-0", container="alertmanager", integration="webhook", reason="clientError",
            job="alertmanager-main", instance="192.0.2.31:9093",
        ),
        "MON-AM-024", "monitoring", "in Git", "network",
    ),
    "a client's certificate": Cause(
        alert(
            "KubeClientCertificateExpiration", "A client certificate used to authenticate to kubernetes apiserver is expiring.",
            job="apiserver", namespace="default", service="kubernetes", endpoint="https", instance="192.0.2.10:6443",
        ),
        "K3S-CERT-010", "k3s certificate check", "k3s", "kubeadm|has expired",
    ),
    # Flux.
    "a file that cannot be decrypted": Cause(
        apps("BuildFailed", "Secret/media/token is SOPS encrypted, configuring decryption is required for this secret to be reconciled"),
        "FLUX-SOPS-010", "apps", "spec.decryption.*in Git", "wrong key",
    ),
    "a variable": Cause(
        apps("BuildFailed", 'envsubst error: variable substitution failed: variable not set (strict mode): "DOMAIN"'),
        "FLUX-BUILD-010", "DOMAIN", "in Git",
    ),
    "a file that is not in Git": Cause(
        apps(
            "BuildFailed",
            "kustomize build failed: accumulating resources: accumulation err='accumulating resources from 'sonarr.yaml':"
            " open /tmp/kustomization-1/apps/sonarr.yaml: no such file or directory'",
        ),
        "FLUX-BUILD-080", "apps", "in Git", "syntax",
    ),
    "a field that cannot change": Cause(
        apps(
            "ReconciliationFailed",
            'Deployment/media/sonarr dry-run failed (Invalid): Deployment.apps "sonarr" is invalid: spec.selector: field is immutable',
        ),
        "FLUX-APPLY-070", "apps", "force: enabled.*in Git",
    ),
    "a kind that is not known": Cause(
        apps(
            "ReconciliationFailed",
            'Certificate/media/web dry-run failed: no matches for kind "Certificate" in version "cert-manager.io/v1"',
        ),
        "FLUX-APPLY-080", "Certificate", "in Git",
    ),
    "a webhook": Cause(
        apps(
            "ReconciliationFailed",
            f'Ingress/media/web dry-run failed (InternalError): failed calling webhook "check.example.org": {REFUSED}',
        ),
        "FLUX-APPLY-030", "validatingwebhookconfigurations", "by themselves", "Ingress is invalid",
    ),
    "a health check": Cause(
        apps(
            "HealthCheckFailed",
            "health check failed after 5m0.1s: timeout waiting for: [Deployment/media/sonarr status: 'InProgress',"
            " HelmRelease/media/plex status: 'Failed']",
        ),
        "FLUX-HEALTH-030", "plex", "in Git", "sonarr",
    ),
    "a dependency": Cause(
        apps("DependencyNotReady", "dependency 'flux-system/infra' is not ready"), "FLUX-DEP-010", "apps", "by itself", "apps is"
    ),
    "a deploy key": Cause(
        flux(
            "GitRepository", "flux-system", "GitOperationFailed",
            f"{GIT} 'ssh://git@git.example.org/ops/cluster': ssh: handshake failed: ssh: unable to authenticate, attempted methods"
            " [none publickey], no supported methods remain",
        ),
        "FLUX-SRC-240", "flux-system", "deploy key", "known_hosts|DNS",
    ),
    "a name that does not resolve": Cause(
        flux(
            "GitRepository", "flux-system", "GitOperationFailed",
            f"{GIT} 'https://git.example.org/ops/cluster': dial tcp: lookup git.example.org on 192.0.2.53:53: no such host",
        ),
        "FLUX-SRC-140", "git.example.org", "in Git", "credentials|key",
    ),
    "a release whose pods do not come up": Cause(
        release("context deadline exceeded"), "FLUX-HR-HEALTH-080", "sonarr", "in Git", "network|API server"
    ),
    "values that do not fit": Cause(
        release(
            "values don't meet the specifications of the schema(s) in the following chart(s):\napp-template:\n"
            "- at '': additional properties 'foo' not allowed"
        ),
        "FLUX-HR-HELM-010", "sonarr", "in Git",
    ),
    "a version that is not there": Cause(
        flux(
            "HelmChart", "media-sonarr", "ChartPullError",
            "failed to get chart version for remote reference: no 'app-template' chart with version matching '99.*' found",
        ),
        "FLUX-CHART-010", "media-sonarr", "in Git", "credentials",
    ),
}  # fmt: skip

EACH = pytest.mark.parametrize("cause", CAUSES.values(), ids=list(CAUSES))


def test_there_are_at_least_twenty_five() -> None:
    assert len(CAUSES) >= 25


def test_of_a_list_the_worst_has_the_hint_and_the_others_are_named() -> None:
    hint = CAUSES["a health check"].hint
    assert "plex" in hint.cause
    assert hint.also == ("Deployment media/sonarr",)


@EACH
def test_it_is_the_right_leaf(cause: Cause) -> None:
    assert cause.hint.leaf == cause.leaf


@EACH
def test_nothing_is_claimed_that_the_evidence_does_not_prove(cause: Cause) -> None:
    hint = cause.hint
    if cause.open:
        assert (hint.certainty, hint.cause) == (Certainty.OPEN, "")
        assert len(hint.checklist) > 1, "a question with its answers"
    else:
        assert hint.certainty is Certainty.LIKELY, "nobody has looked"
        assert hint.cause
    claimed = f"{hint.cause} {hint.says}"
    assert not (cause.never and re.search(cause.never, claimed)), claimed


@EACH
def test_commands_are_whole_current_and_name_the_object_that_holds_the_evidence(cause: Cause) -> None:
    hint = cause.hint
    runs = [step.run for step in hint.steps if step.run]
    assert runs
    assert any(cause.names in run for run in runs), runs
    for step in hint.steps:
        outside = re.sub(r"'[^']*'|\"[^\"]*\"", "", step.run)
        assert not re.search(r"<[a-z_]+>|\{[a-z]+\}|\[-", outside), step.run
        assert not list(said_of(Step(step.act, phrase(step.text), phrase(step.run)), crash="CRASH" in hint.leaf))
        assert not re.search(r"kubectl\b.* (edit|scale|patch)\b", step.run), "Flux takes it back at the next reconcile"
        assert not re.search(r"delete (pvc|namespace|ns)\b|finalizers", f"{step.text} {step.run}")


@EACH
def test_reading_comes_first_and_what_changes_is_said_to(cause: Cause) -> None:
    acts = [step.act for step in cause.hint.steps]
    assert acts == sorted(acts, key=[Act.LOOK, Act.CHANGE, Act.DESTROY].index)
    assert acts[0] is Act.LOOK
    assert cause.hint.steps[0].run
    assert not any(changes(step.run) for step in cause.hint.steps if step.act is Act.LOOK and step.run)


@EACH
def test_the_fix_is_one_that_lasts(cause: Cause) -> None:
    fixes = " ".join(f"{step.text} {step.run}" for step in cause.hint.steps if step.act is not Act.LOOK)
    assert fixes or (cause.open and not cause.fix)
    assert re.search(cause.fix, fixes, re.DOTALL), fixes


@EACH
def test_it_is_read_in_six_lines(cause: Cause) -> None:
    hint = cause.hint
    looks = [step for step in hint.steps if step.act is Act.LOOK and step.run]
    assert len(looks) <= MAX_LOOKS, "beside them: why, impact and the fix"
    assert len(hint.cause or hint.question) <= 160
    assert len(hint.says) <= 60
    assert all(len(step.text) <= 140 for step in hint.steps)


@EACH
def test_nothing_in_it_pings_or_shows_a_secret(cause: Cause) -> None:
    hint = cause.hint
    for text in (hint.title, hint.cause, hint.question, hint.says, hint.impact, *(step.text for step in hint.steps)):
        assert "@" not in text
        assert "\n" not in text
    for step in hint.steps:
        assert not re.search(r"get secrets? .*-o ?(yaml|json)|--show-(values|vars)", step.run)


@EACH
def test_k3s_is_respected(cause: Cause) -> None:
    for step in cause.hint.steps:
        said = f"{step.text} {step.run}"
        assert not re.search(
            r"\bdocker\b|kubeadm|systemctl \w+ (kubelet|containerd)|-u kubelet|(?<!k3s )crictl|helmcharts?(?![.\w])",
            said,
        )


@pytest.mark.corpus
@EACH
def test_alerts_carry_no_label_that_the_stock_rule_does_not_have(cause: Cause) -> None:
    assert CORPUS
    stock: dict[str, set[str]] = {}
    for line in (CORPUS / "alerts.jsonl").read_text().splitlines():
        rule = json.loads(line)
        stock.setdefault(rule["alertname"], set()).update(rule["labels"])
    for one in cause.body.get("alerts", ()):
        labels = one["labels"]
        if labels["alertname"] not in stock:
            continue
        scraped = {*SCRAPED, *EXPORTER, "alertname", "severity", "prometheus"}
        assert set(labels) - scraped <= stock[labels["alertname"]]
