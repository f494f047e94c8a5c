"""What the relay knows about severities itself: it raises what is worse than its sender says, and lowers only what is known to be false.

Lowered is what `distribution:` names; the operator's own rules (`severities:`) have the last word over both. It looks at labels alone, on
the way in: no tree is walked there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import re2

from relay.core.event import Severity, Source

RAISED: Final = "severity_raised"
"""The relay's own label: why it is more severe than its sender says."""
LOWERED: Final = "severity_lowered"
"""The relay's own label: why it is less severe than its sender says."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Of alerts of these names (of Flux's events by their message): how severe they are, and why, in a few words for a card."""

    severity: Severity
    why: str
    names: frozenset[str] = frozenset()
    jobs: str = ""
    """A pattern for the label `job`; empty for any."""
    says: tuple[str, ...] = ()
    """Of which any is in the message of an event of Flux's, in lower case."""


WORSE: Final = (
    Knowledge(
        Severity.CRITICAL,
        "a node is down",
        names=frozenset({"KubeNodeNotReady", "KubeNodeUnreachable", "KubernetesNodeNotReady"}),
    ),
    Knowledge(Severity.CRITICAL, "Helm could not go back either", names=frozenset({"FluxHelmReleaseRollbackFailed"})),
    Knowledge(Severity.CRITICAL, "a volume is full", says=("no space left on device", "disk quota exceeded")),
)
"""None of a name that fires with two severities (reference: enrichment.md §5.2): as severe as the other, the weaker would be kept open
by an alert that Alertmanager inhibits and never resolves."""

FALSE: Final[Mapping[str, tuple[Knowledge, ...]]] = MappingProxyType(
    {
        "k3s": (
            Knowledge(
                Severity.INFO,
                "k3s runs it inside its one process, and has no such target",
                names=frozenset(
                    {
                        "KubeControllerManagerDown",
                        "KubeControllerManagerInstanceUnreachable",
                        "KubeProxyDown",
                        "KubeProxyInstanceUnreachable",
                        "KubeSchedulerDown",
                        "KubeSchedulerInstanceUnreachable",
                        "etcdInsufficientMembers",
                        "etcdMembersDown",
                    }
                ),
            ),
            Knowledge(
                Severity.INFO,
                "k3s runs it inside its one process, and has no such target",
                names=frozenset({"TargetDown"}),
                jobs="(?:kube-)?(?:controller-manager|etcd|proxy|scheduler)",
            ),
        )
    }
)
"""By distribution, the alarms that are false there (reference: enrichment.md §5.1): of targets that do not exist. What measures something,
such as a slow disk of etcd, can only fire where there is a target, and stays."""


def _by_name(known: tuple[Knowledge, ...]) -> Mapping[str, Knowledge]:
    return MappingProxyType({name: one for one in known for name in one.names})


_WORSE: Final = _by_name(WORSE)
_FALSE: Final = MappingProxyType({name: _by_name(known) for name, known in FALSE.items()})
_SAYING: Final = tuple((words, one) for one in WORSE for words in one.says)
_JOBS: Final = {one.jobs: re2.compile(f"^(?:{one.jobs})$") for known in FALSE.values() for one in known if one.jobs}


def judged(labels: Mapping[str, str], severity: Severity, distribution: str) -> tuple[Severity, str, str]:
    """The severity of what carries `labels`, of which its sender says `severity`; why it is raised, and why it is lowered, if it is."""
    name = labels.get("alertname", "")
    false = _FALSE[distribution].get(name) if distribution in _FALSE else None
    if false is not None and (not false.jobs or _JOBS[false.jobs].search(labels.get("job", ""))):
        return (false.severity, "", false.why) if severity > false.severity else (severity, "", "")
    worse = _WORSE.get(name)
    if worse is None and labels.get("source") == Source.FLUX and severity >= Severity.WARNING:
        message = labels.get("message", "").lower()
        worse = next((one for words, one in _SAYING if words in message), None)
    if worse is None or not Severity.NONE < severity < worse.severity:
        return severity, "", ""
    return worse.severity, worse.why, ""
