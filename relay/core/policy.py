"""The configuration as the core sees it: one frozen value, so that a decision depends on nothing but its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from relay.core.attention import ChannelPolicy
from relay.core.edges import NO_EDGES, Edges
from relay.core.event import SEVERITY_WORDS, Severity
from relay.core.labels import Matchers
from relay.core.quiet import Rule
from relay.core.routing import Route

if TYPE_CHECKING:
    from relay.core.signal import Signal


class Grouping(StrEnum):
    """What one Alertmanager group means: `ALERTNAME` joins one alertname within it, `WHOLE` all of it."""

    ALERTNAME = "alertname"
    WHOLE = "whole"


class Hold(StrEnum):
    """What an opening waits for before it is shown."""

    NONE = ""
    PLAIN = "plain"
    """So many seconds, as the configuration says."""
    ITSELF = "itself"
    """It can heal by itself: until the second time."""
    HELM = "helm"
    """Until Helm's remediation is known."""
    UNKNOWN = "unknown"
    """The trees do not tell."""


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
    flap_calm: float = 7200.0
    """How long it must not have come and gone before it flaps no more."""


@dataclass(frozen=True, slots=True)
class SeverityRule:
    """`severities:` with matchers: what matches gets this severity, whatever the sender said."""

    match: Matchers
    severity: Severity


@dataclass(frozen=True, slots=True)
class Expected:
    """A declared heartbeat: what matches comes `every` so many seconds."""

    name: str
    match: Matchers
    every: float


@dataclass(frozen=True, slots=True)
class SourcePolicy:
    """One configured source, as parsing sees it. `cluster` is proven by the credential or path, if set; `hold` in seconds."""

    name: str
    cluster: str | None = None
    hold: float | None = None


def _nobody_knows(_: Signal) -> Hold:
    """Without trees."""
    return Hold.UNKNOWN


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
    holds: Mapping[str, float] = field(default_factory=dict)
    """Seconds by the name of the source, where the configuration says so; else what can heal it decides (`core/holding.py`)."""
    heals: Callable[[Signal], Hold] = _nobody_knows
    """What the trees say that an opening of Flux waits for."""
    heartbeats: tuple[Expected, ...] = ()
    """What the configuration declares beside what is learnt."""
    repositories: Mapping[str, str] = field(default_factory=dict)
    """`namespace/name` of a source object → its web address, for commit links."""
    owners: Mapping[str, str] = field(default_factory=dict)
    """The owner that a sender names, in small letters → whom a page mentions besides."""
    quiet: tuple[Rule, ...] = ()
    """Quiet that the file asks for."""
    edges: Edges = NO_EDGES
    """Which problem is another's effect."""
    several_clusters: bool = False
    """More than one is told apart: the same failure in several of them is one problem."""
