"""Some labels are the relay's: they always win, an empty one is absent, and the operator's severity rules have the last word."""

from __future__ import annotations

from relay.core.event import Severity, Source
from relay.core.policy import Policy
from relay.core.severities import LOWERED, RAISED, judged
from relay.sources.clean import bounded


def with_own(
    labels: dict[str, str],
    policy: Policy,
    *,
    source: Source,
    cluster: str,
    severity: Severity,
    severity_sent: str,
    message: str,
    type_: str = "incident",
    receiver: str = "",
) -> tuple[dict[str, str], Severity]:
    """The sender's clean `labels`, at most `MAX_LABELS`, under the relay's own; and the severity that knowledge and rules make of it."""
    out = bounded(labels) | {
        "source": source._value_,
        "cluster": cluster,
        "type": type_,
        "severity": severity.word,
        "severity_sent": severity_sent,
        "receiver": receiver,
        "message": message,
    }
    severity, raised, lowered = judged(out, severity, policy.distribution)
    out |= {"severity": severity.word, RAISED: raised, LOWERED: lowered}
    for rule in policy.severity_rules:
        if rule.match.matches(out):
            severity = rule.severity
            out |= {"severity": severity.word, RAISED: "", LOWERED: ""}
            break
    return {name: text for name, text in out.items() if text}, severity
