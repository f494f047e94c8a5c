"""What the relay says about itself becomes Events like any other's, of source `relay`, so that they are joined, routed and shown alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from relay.core.event import EMPTY, Effect, Event, Instant, Severity, Source, Subject
from relay.core.identity import digest
from relay.core.policy import Policy
from relay.core.values import replace

KIND: Final = "Relay"
UNREADABLE: Final = "RelayUnreadablePayload"
WEBHOOK_DEAD: Final = "RelayWebhookDead"
HEARTBEAT_SILENT: Final = "RelayHeartbeatSilent"
TWINS: Final = "RelayClustersShareName"
EXPIRES_AFTER: Final = "expires_after"
"""Attribute: seconds without a repeat after which such an Event's Incident is over, since nothing will say so."""
SUMMARY: Final = "summary"
"""Attribute: what is wrong, without the cure; where senders put theirs."""
CURE: Final = "cure"
"""Attribute: what to do about it, in one line."""


def says(labels: Mapping[str, str]) -> str:
    """What the relay cannot do, as a verb phrase: `cannot read what flux sends`; empty for what is none of its own Events."""
    name = labels.get("alertname")
    if name == UNREADABLE:
        return f"cannot read what {labels.get('sender') or 'a source'} sends"
    if name == HEARTBEAT_SILENT:
        return f"hears nothing from {_PEOPLE.get(labels.get('from', ''), 'a sender')}"
    if name == TWINS:
        return "hears two clusters by one name"
    return f"cannot post to {labels.get('channel') or 'a channel'}" if name == WEBHOOK_DEAD else ""


_PEOPLE: Final[Mapping[str, str]] = {"flux": "Flux", "alertmanager": "Alertmanager", "": "a sender"}


def unreadable(sender: str, source: Source, why: str, cure: str, now: Instant, policy: Policy) -> Event:
    """The source named `sender` sent what is no event of a `source`. `why` and `cure` are the relay's words and hold nothing of the body.

    One Signal per sender and kind of `why`, which is what stands before its first colon.
    """
    return _event(
        UNREADABLE,
        f"unreadable payload from {sender}",
        Effect.OPENS,
        Severity.WARNING,
        f"{why}. {cure[:1].upper()}{cure[1:]}" if cure else why,
        now,
        policy,
        identity=(sender, why.partition(":")[0]),
        labels={"sender": sender, "format": source.value},
        attributes={EXPIRES_AFTER: "3600", SUMMARY: why, CURE: cure},
    )


def webhook_dead(channel: str, now: Instant, policy: Policy) -> Event:
    """Discord no longer takes anything through `channel`'s webhook: nothing can be shown there until its URL changes."""
    gone = "Discord says that its webhook is gone"
    return _webhook(
        channel,
        Effect.OPENS,
        f"{gone}; what is due waits for a new URL",
        now,
        policy,
        attributes={SUMMARY: gone, CURE: "give the channel a new webhook URL; what is due waits for it"},
    )


def webhook_back(channel: str, now: Instant, policy: Policy) -> Event:
    """`channel` takes messages again: ends what `webhook_dead` opened."""
    return _webhook(channel, Effect.CLOSES, "The webhook takes messages again", now, policy)


def heartbeat_silent(
    name: str, source: Source, beat_at: Instant, rhythm: float, now: Instant, policy: Policy, *, everybody: bool
) -> Event:
    """The heartbeat `name` of a `source` has stopped. `everybody` says that nothing else of its cluster is heard either."""
    who = _PEOPLE.get(source.value, source.value)
    silent = f"no beat of {who} since {_minutes(now - beat_at)}, where one comes every {_minutes(rhythm)}"
    cure = (
        "nobody is heard: look at the network, DNS and the relay's address first"
        if everybody
        else f"look whether {who} runs and reaches the relay"
    )
    severity = Severity.ERROR if source is Source.FLUX and not everybody else Severity.CRITICAL
    return _heartbeat(
        name, source, Effect.OPENS, f"{silent}; {cure}", now, policy, severity, {SUMMARY: silent, CURE: cure}
    )


def heard_again(name: str, source: Source, now: Instant, policy: Policy) -> Event:
    """The heartbeat beats again: ends what `heartbeat_silent` opened."""
    return _heartbeat(name, source, Effect.CLOSES, "It beats again", now, policy, Severity.ERROR, EMPTY)


def _heartbeat(
    name: str,
    source: Source,
    effect: Effect,
    message: str,
    now: Instant,
    policy: Policy,
    severity: Severity,
    attributes: Mapping[str, str],
) -> Event:
    event = _event(
        HEARTBEAT_SILENT,
        name,
        effect,
        severity,
        message,
        now,
        policy,
        identity=(name,),
        labels={"from": source.value},
        attributes=attributes,
    )
    # All that fall silent in one cluster are one problem.
    return replace(event, group_key=f"heartbeats/{name.rpartition('/')[2]}")


def _minutes(seconds: float) -> str:
    """`15 min`, `2 h`: as short as a line of a card wants it."""
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 120 else f"{round(minutes / 60)} h"


def twins(cluster: str, what: str, now: Instant, policy: Policy) -> Event:
    """Two clusters call themselves `cluster`: the object `what` is told of by two of them in turns."""
    summary = f"two clusters call themselves {cluster or 'by no name'}: {what} comes from both in turns"
    cure = "give each its own name: eventMetadata.cluster in Flux's Alert, or cluster on its own source here"
    return _event(
        TWINS,
        cluster or "clusters",
        Effect.OPENS,
        Severity.WARNING,
        f"{summary}; until then no success closes what the other opened; {cure}",
        now,
        policy,
        identity=(cluster,),
        labels={},
        attributes={SUMMARY: summary, CURE: cure, EXPIRES_AFTER: "7200"},
    )


def _webhook(
    channel: str,
    effect: Effect,
    message: str,
    now: Instant,
    policy: Policy,
    attributes: Mapping[str, str] = EMPTY,
) -> Event:
    return _event(
        WEBHOOK_DEAD,
        channel,
        effect,
        Severity.CRITICAL,
        message,
        now,
        policy,
        identity=(channel,),
        labels={"channel": channel},
        attributes=attributes,
    )


def _event(
    alertname: str,
    name: str,
    effect: Effect,
    severity: Severity,
    message: str,
    now: Instant,
    policy: Policy,
    *,
    identity: tuple[str, ...],
    labels: dict[str, str],
    attributes: Mapping[str, str] = EMPTY,
) -> Event:
    """An Event of source `relay`. The operator's severity rules have the last word, as they do for everybody."""
    labels |= {
        "alertname": alertname,
        "source": Source.RELAY.value,
        "cluster": policy.cluster,
        "type": "incident",
        "kind": KIND,
        "name": name,
        "severity": severity.word,
        "message": message,
    }
    labels = {label: text for label, text in labels.items() if text}
    for rule in policy.severity_rules:
        if rule.match.matches(labels):
            severity = rule.severity
            labels["severity"] = severity.word
            break
    return Event(
        source=Source.RELAY,
        sender=Source.RELAY.value,
        subject=Subject(policy.cluster, KIND, "", name),
        aspect="",
        signal_key=digest("relay", policy.cluster, alertname, *identity),
        effect=effect,
        severity=severity,
        reason="",
        message=message,
        at=now,
        received_at=now,
        labels=labels,
        attributes=attributes,
    )
