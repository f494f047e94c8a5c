"""What the relay says about itself becomes Events like any other's, of source `relay`, so that they are joined, routed and shown alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from relay.core.event import EMPTY, Effect, Event, Instant, Severity, Source, Subject
from relay.core.identity import digest
from relay.core.policy import Policy

KIND: Final = "Relay"
UNREADABLE: Final = "RelayUnreadablePayload"
WEBHOOK_DEAD: Final = "RelayWebhookDead"
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
    return f"cannot post to {labels.get('channel') or 'a channel'}" if name == WEBHOOK_DEAD else ""


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
