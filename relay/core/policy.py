"""The configuration as the core sees it: one frozen value, so that a decision depends on nothing but its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from relay.core.attention import ChannelPolicy
from relay.core.event import SEVERITY_WORDS, Severity
from relay.core.labels import Matchers
from relay.core.routing import Route


class Grouping(StrEnum):
    """What one Alertmanager group means: `ALERTNAME` joins one alertname within it, `WHOLE` all of it."""

    ALERTNAME = "alertname"
    WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class IncidentPolicy:
    """Times in seconds."""

    settle: float = 120.0
    """How long an end must have held before it makes a sound; a reopening within it is an edit."""
    reopen_within: float = 1800.0
    """Within this it is the same Incident again; later a new one."""
    expire_after: float = 7 * 86400.0
    refire_hold: float = 60.0
    """How long a firing of a closed episode waits for its resolve (reference: alertmanager.md §4)."""
    group: Grouping = Grouping.ALERTNAME
    flap_reopenings: int = 3
    flap_within: float = 3600.0


@dataclass(frozen=True, slots=True)
class SeverityRule:
    """`severities:` with matchers: what matches gets this severity, whatever the sender said."""

    match: Matchers
    severity: Severity


@dataclass(frozen=True, slots=True)
class SourcePolicy:
    """One configured source, as parsing sees it. `cluster` is proven by the credential or path, if set; `hold` in seconds."""

    name: str
    cluster: str | None = None
    hold: float | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """All that decides. Made by `relay.config`, taken whole."""

    cluster: str = ""
    """Where nothing proves another."""
    distribution: str = ""
    severity_words: Mapping[str, Severity] = field(default_factory=lambda: SEVERITY_WORDS)
    severity_rules: tuple[SeverityRule, ...] = ()
    channels: Mapping[str, ChannelPolicy] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    incidents: IncidentPolicy = IncidentPolicy()
    flux_hold: float = 30.0
    holds: Mapping[str, float] = field(default_factory=dict)
    """By the name of the source; what is not named waits `flux_hold` if it is Flux, else not at all."""
    repositories: Mapping[str, str] = field(default_factory=dict)
    """`namespace/name` of a source object → its web address, for commit links."""
