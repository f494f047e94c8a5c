"""What people say aloud: an object by the name it is called, its state as a verb phrase; where neither reads right, nothing is said.

A tree's `says:` goes before every default here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import re2

from relay.core.event import Subject
from relay.core.wording import ADJECTIVES

# --- objects ----------------------------------------------------------------------------------------------------------

_CALLED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Workload": "",
        "Pod": "",
        "Deployment": "",
        "StatefulSet": "",
        "DaemonSet": "",
        "ReplicaSet": "",
        "Job": "job",
        "CronJob": "cron job",
        "Kustomization": "Flux",
        "HelmRelease": "Helm",
        "GitRepository": "git",
        "OCIRepository": "OCI",
        "HelmRepository": "Helm repo",
        "HelmChart": "chart",
        "Bucket": "bucket",
        "ImageRepository": "image",
        "ImagePolicy": "image policy",
        "ImageUpdateAutomation": "image updates",
        "FluxInstance": "Flux instance",
        "Node": "node",
        "Namespace": "namespace",
        "Cluster": "cluster",
        "Instance": "",
        "PersistentVolumeClaim": "PVC",
        "PersistentVolume": "PV",
        "Certificate": "certificate",
        "Service": "service",
        "Ingress": "ingress",
        "HorizontalPodAutoscaler": "autoscaler",
        "PodDisruptionBudget": "disruption budget",
        "ResourceQuota": "quota",
        "ReplicationSource": "VolSync",
        "ReplicationDestination": "VolSync restore",
        "Backup": "backup",
        "Restore": "restore",
        "Schedule": "backup schedule",
        "Webhook": "webhook",
        "Host": "",
        "DNS": "DNS",
    }
)
"""Kinds by the word people put before the name; workloads need none."""
_WITH_NAMESPACE = frozenset({"PersistentVolumeClaim"})
"""Kinds whose names are `data` and `config` everywhere."""


_NAMELESS: Final = frozenset({"Instance", "Host"})
"""Kinds that need no word, and are no workloads."""
_MANY: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("GitRepository", "OCIRepository", "HelmRepository", "HelmChart", "Bucket"), ("source", "sources")
        ),
        "ImageRepository": ("image repository", "image repositories"),
        "ImagePolicy": ("image policy", "image policies"),
        "HelmRelease": ("Helm release", "Helm releases"),
        "Namespace": ("alert", "alerts"),
        "Instance": ("alert", "alerts"),
        "Cluster": ("alert", "alerts"),
        "": ("alert", "alerts"),
    }
)
"""Kinds as people count them."""


def counted(kinds: Mapping[str, int], most: int = 9) -> str:
    """How many there are of each kind, most first, and `most` kinds: `20 image repositories, 12 sources`."""
    words: dict[tuple[str, str], int] = {}
    for kind, count in kinds.items():
        workload = is_workload(Subject("", kind, "", ""))
        word = ("workload", "workloads") if workload else _MANY.get(kind, (kind, f"{kind}s"))
        words[word] = words.get(word, 0) + count
    ordered = sorted(words.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{count} {one if count == 1 else many}" for (one, many), count in ordered[:most])


_ROOTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "unreachable": "cannot be reached",
        "denied": "denies access",
        "webhook": "does not answer",
        "dns": "does not answer",
        "progress": "is on its way",
    }
)


def root_says(root: str) -> str:
    """The state of a cause that does not report itself: `host:ghcr.io/denied` → denies access."""
    kind, _, name = root.partition(":")
    return _ROOTS.get(name.rpartition("/")[2] if "/" in name else "", "") or _ROOTS.get(kind, "is a cause of others")


def is_workload(subject: Subject) -> bool:
    """Whether it is one of the kinds that people call by one name, whichever of them it is."""
    return _CALLED.get(subject.kind) == "" and subject.kind not in _NAMELESS


def called(subject: Subject) -> str:
    """The object as people say it: `sonarr`, `node pve2`, `PVC media/config`, `Flux apps`; empty where nobody named one."""
    if subject.kind == "Relay":
        return "relay"
    name = subject.place if subject.kind in _WITH_NAMESPACE else subject.name
    if subject.kind == "Instance":
        name = name.removesuffix(_port(name))
    word = _CALLED.get(subject.kind, subject.kind)
    return f"{word} {name}".strip()


def _port(name: str) -> str:
    found = re2.search(r"[^:](:[0-9]{1,5})$", name)
    return found[1] if found else ""


# --- states -----------------------------------------------------------------------------------------------------------

_REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "AccessDenied": "is denied access",
        "ArtifactFailed": "cannot use its source",
        "AuthenticationFailed": "cannot log in",
        "BucketOperationFailed": "cannot be fetched",
        "BuildFailed": "cannot be built",
        "ChartPullError": "cannot be pulled",
        "DependencyNotReady": "waits for a dependency",
        "DriftDetected": "has drifted",
        "GitOperationFailed": "cannot be fetched",
        "HealthCheckFailed": "is not healthy",
        "InstallFailed": "cannot be installed",
        "InvalidChartReference": "names no chart that exists",
        "OCIArtifactPullFailed": "cannot be pulled",
        "PruneFailed": "cannot remove what left Git",
        "ReadOperationFailed": "cannot be scanned",
        "ReconciliationFailed": "cannot be applied",
        "RollbackFailed": "could not be rolled back",
        "SourceFetchFailed": "cannot be fetched",
        "TestFailed": "fails its tests",
        "UninstallFailed": "cannot be uninstalled",
        "UpgradeFailed": "cannot be upgraded",
        "ValidationFailed": "is not valid",
        "ValuesError": "cannot read its values",
    }
)
"""Flux's reasons as verb phrases (reference: flux.md §5)."""

_ALERTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "AlertmanagerClusterFailedToSendAlerts": "cannot send alerts",
        "AlertmanagerConfigInconsistent": "is configured differently per member",
        "AlertmanagerFailedReload": "cannot load its configuration",
        "AlertmanagerFailedToSendAlerts": "cannot send alerts",
        "AlertmanagerMembersInconsistent": "has lost members",
        "CPUThrottlingHigh": "is throttled",
        "CertManagerCertExpirySoon": "expires soon",
        "CertManagerCertNotReady": "is not ready",
        "FluxImageUpdateAutomationGitOperationFailed": "cannot write to Git",
        "GrafanaRequestsFailing": "fails requests",
        "KubeAPIErrorBudgetBurn": "burns its error budget",
        "KubeCPUOvercommit": "cannot lose a node",
        "KubeClientCertificateExpiration": "has a certificate that expires soon",
        "KubeContainerWaiting": "waits to start",
        "KubeDaemonSetMisScheduled": "runs where it should not",
        "KubeDaemonSetNotScheduled": "is not scheduled everywhere",
        "KubeDaemonSetRolloutStuck": "is stuck in its rollout",
        "KubeDeploymentGenerationMismatch": "lags behind its spec",
        "KubeDeploymentReplicasMismatch": "has too few replicas",
        "KubeDeploymentRolloutStuck": "is stuck in its rollout",
        "KubeHpaMaxedOut": "is at its maximum",
        "KubeHpaReplicasMismatch": "does not reach its replicas",
        "KubeJobNotCompleted": "does not finish",
        "KubeMemoryOvercommit": "cannot lose a node",
        "KubeNodeEviction": "evicts pods",
        "KubeNodePressure": "is under pressure",
        "KubeNodeReadinessFlapping": "flips between ready and not ready",
        "KubePdbNotEnoughHealthyPods": "has too few healthy pods",
        "KubePersistentVolumeErrors": "cannot be provisioned",
        "KubePersistentVolumeInodesFillingUp": "is running out of inodes",
        "KubeQuotaAlmostFull": "is almost full",
        "KubeQuotaExceeded": "is exceeded",
        "KubeQuotaFullyUsed": "is full",
        "KubeStatefulSetGenerationMismatch": "lags behind its spec",
        "KubeStatefulSetReplicasMismatch": "has too few replicas",
        "KubeStatefulSetUpdateNotRolledOut": "is stuck in its rollout",
        "KubeletClientCertificateExpiration": "has a certificate that expires soon",
        "KubeletServerCertificateExpiration": "has a certificate that expires soon",
        "KubeletTooManyPods": "has too many pods",
        "NodeCPUHighUsage": "has high CPU usage",
        "NodeClockNotSynchronising": "does not synchronise its clock",
        "NodeClockSkewDetected": "has a wrong clock",
        "NodeDiskIOSaturation": "has a saturated disk",
        "NodeFilesystemAlmostOutOfFiles": "is almost out of inodes",
        "NodeFilesystemAlmostOutOfSpace": "is almost out of disk",
        "NodeFilesystemFilesFillingUp": "is running out of inodes",
        "NodeFilesystemSpaceFillingUp": "is running out of disk",
        "NodeMemoryHighUtilization": "is running out of memory",
        "NodeNetworkReceiveErrs": "has network errors",
        "NodeNetworkTransmitErrs": "has network errors",
        "NodeRAIDDegraded": "has a degraded RAID",
        "NodeRAIDDiskFailure": "has a failed disk",
        "NodeSystemSaturation": "is overloaded",
        "NodeSystemdServiceCrashlooping": "has a crash-looping service",
        "NodeSystemdServiceFailed": "has a failed service",
        "PrometheusBadConfig": "cannot load its configuration",
        "PrometheusRuleFailures": "fails to evaluate rules",
        "ReconciliationFailure": "cannot be reconciled",
        "TargetDown": "cannot be scraped",
        "VolSyncVolumeOutOfSync": "is out of sync",
        "etcdDatabaseQuotaLowSpace": "is running out of space",
        "etcdInsufficientMembers": "has too few members",
        "etcdMembersDown": "has members down",
        "etcdNoLeader": "has no leader",
    }
)
"""Alerts whose name does not read as a state (kube-prometheus and its neighbours)."""


def words_of(camel: str) -> list[str]:
    """`KubePodNotReady` → Kube, Pod, Not, Ready; capitals that stand together stay together: `PVCFull` → PVC, Full."""
    spaced = re2.sub(r"([a-z0-9])([A-Z])", r"\1 \2", re2.sub(r"([A-Z]+)([A-Z][a-z])", r"\1 \2", camel))
    return [word for word in re2.split(r"[^0-9A-Za-z]+", spaced) if word]


_WHOM = frozenset(
    """
    kube kubernetes k8s k3s kubelet pod container deployment daemonset daemon statefulset stateful set job cronjob node persistent
    volume pvc hpa pdb api alertmanager prometheus operator cluster velero volsync flux metallb traefik certmanager cert manager
    coredns loki host instance target scheduler proxy controller
    """.split()  # noqa: SIM905  # words read better than forty quoted strings
)
"""Words at the head of an alert's name that say whom it is about, which the object says already."""


def named(reason: str, alertname: str) -> str:
    """For what no phrase is known, so that every headline has a state: Flux's reason or the alert by its name."""
    if alertname and not alertname.startswith("Flux"):
        return f"fires {alertname}"
    return f"reports {reason}" if reason else ""


def state_of(reason: str, alertname: str) -> str:
    """A verb phrase for a Flux reason or an alert's name: `is not ready`, `is filling up`; empty where none reads right."""
    if known := _ALERTS.get(alertname) or _REASONS.get(reason):
        return known
    words = [word if word.isupper() and len(word) > 1 else word.lower() for word in words_of(alertname)]
    while len(words) > 1 and words[0].lower() in _WHOM:
        words.pop(0)
    match words:
        case [one] if one in ADJECTIVES:
            return f"is {one}"
        case ["failed"]:
            return "failed"
        case ["not", one]:
            return f"is not {one}"
        case ["crash", "looping"] | ["crashlooping"]:
            return "is crash-looping"
        case ["filling", "up"] | ["running", _] | ["flapping"] | ["restarting"]:
            return f"is {' '.join(words)}"
        case ["high" | "low", *_] if len(words) == 2:
            return f"has {' '.join(words)}"
        case [_, "mismatch"]:
            return f"has a {' '.join(words)}"
        case [_, "errors" | "failures"]:
            return f"has {' '.join(words)}"
        case _:
            return ""
