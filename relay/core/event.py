"""An Event is one thing a source told us, in our words, and never changes after it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from relay.core.values import value

Instant = float
"""Seconds since the epoch, UTC. Durations are plain seconds too."""

EMPTY: Final[Mapping[str, str]] = MappingProxyType({})


class Source(StrEnum):
    """Who speaks. Grafana's webhook is a dialect of Alertmanager's."""

    FLUX = "flux"
    ALERTMANAGER = "alertmanager"
    RELAY = "relay"


class Severity(IntEnum):
    """How bad it is, in our words; ordered, so that the highest of several is `max`. `NONE` is never shown."""

    NONE = 0
    INFO = 1
    WARNING = 2
    ERROR = 3
    CRITICAL = 4

    @property
    def word(self) -> str:
        return self._name_.lower()


SEVERITY_WORDS: Final[Mapping[str, Severity]] = MappingProxyType(
    {severity.word: severity for severity in Severity}
    | {
        "page": Severity.CRITICAL,
        "fatal": Severity.CRITICAL,
        "emergency": Severity.CRITICAL,
        "disaster": Severity.CRITICAL,
        "crit": Severity.CRITICAL,
        "high": Severity.ERROR,
        "major": Severity.ERROR,
        "err": Severity.ERROR,
        "medium": Severity.WARNING,
        "minor": Severity.WARNING,
        "average": Severity.WARNING,
        "warn": Severity.WARNING,
        "low": Severity.INFO,
        "information": Severity.INFO,
        "informational": Severity.INFO,
        "notice": Severity.INFO,
        "debug": Severity.INFO,
    }
)
"""What senders call a severity, lower case, beside our own words; a configuration adds to it."""


def severity_of(word: str, table: Mapping[str, Severity] = SEVERITY_WORDS) -> Severity:
    """Our severity for a sender's `word`; missing or unknown is a warning, since nobody said that it is harmless."""
    return table.get(word.strip().lower(), Severity.WARNING)


class Effect(StrEnum):
    """What an Event does to its Signal."""

    OPENS = "opens"
    """The condition is true: opens the Signal, or says so again."""
    CLOSES = "closes"
    """The condition is over."""
    NOTES = "notes"
    """Neither: progress, a change feed, a rollback, a heartbeat."""


class Subject(NamedTuple):
    """What an Event is about. `namespace` is empty for what has none; `kind` and `name` for what nobody named.

    A tuple, since it is the key of much that is remembered: it is hashed and compared a dozen times for each Event.
    """

    cluster: str
    kind: str
    namespace: str
    name: str

    @property
    def key(self) -> str:
        return f"{self.cluster}\n{self.kind}\n{self.namespace}\n{self.name}"

    @property
    def place(self) -> str:
        """As people write it: `media/sonarr`, `pve2`."""
        return f"{self.namespace}/{self.name}" if self.namespace and self.name else self.name or self.namespace


@value(frozen=True, slots=True)
class Event:
    """One thing a source told us. Text is cut and cleaned already (`sources/clean.py`); labels hold the relay's own too.

    `at` is the sender's time, which orders the Events of one Subject; `received_at` is ours, and drives everything else.
    """

    source: Source
    sender: str
    """The name of the configured source it came through: a bounded metric label."""
    subject: Subject
    aspect: str
    """Tells several conditions of one object apart: `ready`, `drift`; empty for alerts, whose labels do."""
    signal_key: str
    effect: Effect
    severity: Severity
    reason: str
    """Flux's reason; the `reason` label of an alert, else empty."""
    message: str
    at: Instant
    received_at: Instant
    labels: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    attributes: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    """What is shown or linked and is no identity: revision, runbook_url, summary, generator_url, fingerprint, …"""
    semantic_key: str = ""
    """The same alert at another severity has the same one; empty for Flux."""
    group_key: str = ""
    """Alertmanager's receiver and group; empty for Flux."""
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    digest: str = ""
    """Equal for a copy of the same event (Flux: object, reason, severity, time, normalised message); empty where a copy is harmless."""
    beat: bool = False
    """A health beat: it closes, and is never shown."""
    names: tuple[Subject, ...] = field(default=())
    """Objects that the message names as unhealthy (a health-check list), worst first."""

    @property
    def alertname(self) -> str:
        return self.labels.get("alertname", "")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """JSON that is no event of its source. It is kept in the rejects and shown as an Incident of source `relay`.

    `why` is one short line without the body; `cure` says how to configure the sender, where its format is a known wrong one.
    """

    why: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class NotJson:
    """No JSON at all: answered 400 with `why`, one short line without the body."""

    why: str
