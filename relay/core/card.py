"""A Card is an Incident with its Hint as a person should see it: made when it is sent, never stored, and it knows no Discord."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from relay.core.event import Instant, Severity
from relay.core.tree import Certainty
from relay.core.values import value
from relay.core.wording import cut, cut_middle


class Sign(StrEnum):
    """The state of a Card at a glance; signs differ in shape, not only in colour."""

    PAGE = "🚨"
    BROKEN = "❌"
    WARNING = "⚠️"
    RECOVERED = "✅"
    NO_NEWS = "❔"
    FLAPPING = "🔁"
    QUIET = "🔕"
    ON_ITS_WAY = "🔄"
    RELAY = "🛠️"
    STATUS = "🟢"
    INFO = "ℹ️"
    POINTER = "↪"


class Form(StrEnum):
    """How a Posting stands in its Message."""

    FULL = "full"
    COMPACT = "compact"
    LINE = "line"
    GROUPED = "grouped"
    """By name only, in one line with others of its namespace and cause."""
    POINTER = "pointer"
    END = "end"


LOCK_SCREEN = 120
"""Code points that a phone shows of a notification."""


@value(frozen=True, slots=True)
class Headline:
    """The lock screen: `SIGN [cluster] OBJECT STATE[, AFTER][: CAUSE][ · WHO]`. All outside text, cut and plain; never markup."""

    sign: Sign
    object: str
    state: str
    cause: str = ""
    cluster: str = ""
    """Empty while only one cluster is known."""
    who: str = ""
    after: str = ""
    """What a person must know beside the state: `4 min after a change`, `now critical`, `again`."""

    def spoken(self, limit: int = LOCK_SCREEN) -> str:
        """The line in at most `limit` code points. The cause is cut first; then the middle of a long name, the state last."""
        cluster = f"[{cut_middle(self.cluster, 16)}] " if self.cluster else ""
        state = cut(self.state, 48)
        name = cut_middle(self.object, max(16, min(48, limit - len(f"{self.sign} {cluster} {state}"))))
        line = cut(f"{self.sign} {cluster}{name} {state}".rstrip(), limit)
        room = limit - len(line)
        after = f", {self.after}" if self.after and len(self.after) + 2 <= room else ""
        who = f" · {cut(self.who, 32)}" if self.who and min(len(self.who), 32) + 3 <= room - len(after) else ""
        cause = cut(f": {self.cause}", room - len(after) - len(who)) if self.cause else ""
        return f"{line}{after}{cause if len(cause) > 8 or cause == f': {self.cause}' else ''}{who}"


@dataclass(frozen=True, slots=True)
class Row:
    """One workload of a long group: what it is, how many alerts, in which state."""

    severity: Severity
    name: str
    says: str
    firing: int
    resolved: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """A link button; whether Discord accepts its address and a phone can open it is decided where it is sent."""

    label: str
    url: str


@dataclass(frozen=True, slots=True)
class Change:
    """A commit that touched something: evidence, not proof, so it is told as "before", never as "because"."""

    at: Instant
    revision: str
    """As people quote it: `3ebb95c`, or a chart's or image's version."""
    text: str = ""
    """`sonarr 4.0.15 → 4.0.16 (renovate)`"""
    repository: str = ""
    """`namespace/name` of the source it came from, the key of the configured `repositories`."""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of a closed card's timeline."""

    at: Instant
    text: str


@dataclass(frozen=True, slots=True)
class Card:
    """Everything that may be shown of one Incident; each thing stands in one field only, and text from outside is still raw.

    `look` are read-only commands, pasteable whole; `fix` is the one line that names the durable fix. A closed card has neither.
    """

    incident: str
    handle: str
    headline: Headline
    severity: Severity
    state: str
    """What is (or was) wrong as a verb phrase, in the present: `is not ready`; the headline of a closed card says `recovered`."""
    why: str
    """The leaf's cause, or the open question when the payload cannot decide."""
    certainty: Certainty
    place: str
    since: Instant
    heard: Instant | None = None
    """When it was last said, where nobody has said anything for too long."""
    until: Instant | None = None
    lasted: float = 0.0
    """Seconds, of a closed card."""
    companions: str = ""
    """Who else belongs to it: `Flux apps, 2 alerts`."""
    impact: str = ""
    change: Change | None = None
    """What touched its object before it began."""
    evidence: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    more_rows: int = 0
    look: tuple[str, ...] = ()
    look_at: tuple[str, ...] = ()
    """What to look for, in words."""
    look_of: str = ""
    """Of many, whose commands they are: `sonarr`."""
    checklist: tuple[tuple[str, str], ...] = ()
    fix: str = ""
    fix_run: str = ""
    fix_in_git: bool = True
    """Whether the fix is a commit; a command that changes the cluster is labelled so."""
    path: tuple[str, ...] = ()
    leaf: str = ""
    leaf_url: str = ""
    alertname: str = ""
    timeline: tuple[Moment, ...] = ()
    ended: str = ""
    """How it ended: `fixed by 3ebb95c`, `by itself`, `closed by ada`; empty while it is open."""
    fixed_by: Change | None = None
    links: tuple[Link, ...] = ()
    cluster: str = ""
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """Short remarks: `reopened 3 times`, `said 20+ times`, `after k7f3`."""
    owner: str = ""
    """As its sender says, raw: who is called besides, where the configuration knows them."""

    @property
    def is_open(self) -> bool:
        return self.until is None

    @property
    def brief(self) -> Brief:
        """As one line among many."""
        return Brief(
            incident=self.incident,
            handle=self.handle,
            headline=self.headline,
            severity=self.severity,
            state=self.state,
            namespace="",
            since=self.since,
            until=self.until,
            lasted=self.lasted,
        )


@value(frozen=True, slots=True)
class Brief:
    """What is left of a Card in one line among many: who, in which state, since when."""

    incident: str
    handle: str
    headline: Headline
    severity: Severity
    state: str
    namespace: str
    since: Instant
    until: Instant | None = None
    lasted: float = 0.0

    @property
    def is_open(self) -> bool:
        return self.until is None

    @property
    def brief(self) -> Brief:
        return self
