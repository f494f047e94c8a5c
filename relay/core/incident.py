"""An Incident is what one person would call one problem; each change of it has a Reason, and visible ones move its cards."""

from __future__ import annotations

from enum import StrEnum

from relay.core.event import Instant, Severity, Source, Subject
from relay.core.identity import handle_of
from relay.core.policy import Hold
from relay.core.values import value


class Reason(StrEnum):
    """Why something changed, or did not. Log field, metric label, journal entry and test name."""

    # Visible: each adds one to what a Posting wants.
    OPENED = "opened"
    REOPENED = "reopened"
    ESCALATED = "escalated"
    EASED = "eased"
    CAUSE = "cause"
    MEMBER = "member"
    MEMBER_RESOLVED = "member_resolved"
    REMEDIATED = "remediated"
    FOLDED = "folded"
    SURFACED = "surfaced"
    FLAPPING = "flapping"
    CALM = "calm"
    """It goes on, and does not come and go any more."""
    NO_NEWS = "no_news"
    HEARD_AGAIN = "heard_again"
    """There is news of what was grey."""
    EXPIRED = "expired"
    STALLED = "stalled"
    """What was on its way does not move any more: what still fails stands for itself."""
    RESOLVED = "resolved"
    CLOSED_BY_HAND = "closed_by_hand"
    QUIET = "quiet"
    """A rule or a night takes its sound from now on."""
    LOUD = "loud"
    """Nothing takes its sound any more: what is left of it is told."""
    REROUTED = "rerouted"
    CHANNEL_REMOVED = "channel_removed"
    # Counted, and shown with the next visible change.
    REPEATED = "repeated"
    MEMBER_REPEATED = "member_repeated"
    # Nothing changed.
    DUPLICATE = "duplicate"
    LATE_RESOLVE = "late_resolve"
    UNKNOWN_RESOLVE = "unknown_resolve"
    OLDER_THAN_SUCCESS = "older_than_success"
    HELD = "held"
    NOTED = "noted"
    NOT_SHOWN = "not_shown"
    OTHER_CLUSTER = "other_cluster"
    """Two clusters share a name, and this one did not open what it would close."""
    HEALED = "healed"
    """It ended within its hold: counted, never shown."""
    RETRIED = "retried"
    """A person asked for what was parked to be tried once more."""

    @property
    def visible(self) -> bool:
        return self in _VISIBLE


_VISIBLE = frozenset(
    {
        Reason.OPENED,
        Reason.REOPENED,
        Reason.ESCALATED,
        Reason.EASED,
        Reason.CAUSE,
        Reason.MEMBER,
        Reason.MEMBER_RESOLVED,
        Reason.REMEDIATED,
        Reason.FOLDED,
        Reason.SURFACED,
        Reason.FLAPPING,
        Reason.CALM,
        Reason.NO_NEWS,
        Reason.HEARD_AGAIN,
        Reason.EXPIRED,
        Reason.STALLED,
        Reason.RESOLVED,
        Reason.CLOSED_BY_HAND,
        Reason.QUIET,
        Reason.LOUD,
        Reason.REROUTED,
        Reason.CHANNEL_REMOVED,
    }
)


@value(frozen=True, slots=True)
class Firing:
    """How many member Signals fire, by severity: enough to know state and severity without loading the members."""

    info: int = 0
    warning: int = 0
    error: int = 0
    critical: int = 0

    @property
    def total(self) -> int:
        return self.info + self.warning + self.error + self.critical

    @property
    def worst(self) -> Severity:
        """The highest severity that fires; `NONE` when nothing does."""
        for severity, count in (
            (Severity.CRITICAL, self.critical),
            (Severity.ERROR, self.error),
            (Severity.WARNING, self.warning),
            (Severity.INFO, self.info),
        ):
            if count > 0:
                return severity
        return Severity.NONE

    def plus(self, severity: Severity, by: int) -> Firing:
        """With `by` more (or fewer) of this severity."""
        match severity:
            case Severity.INFO:
                return Firing(self.info + by, self.warning, self.error, self.critical)
            case Severity.WARNING:
                return Firing(self.info, self.warning + by, self.error, self.critical)
            case Severity.ERROR:
                return Firing(self.info, self.warning, self.error + by, self.critical)
            case Severity.CRITICAL:
                return Firing(self.info, self.warning, self.error, self.critical + by)
            case Severity.NONE:
                return self


@value(frozen=True, slots=True)
class Incident:
    """One problem, from open to over. All instants are ours, but `since`: when the sender says that it began."""

    id: str
    subject: Subject
    """Of its first Signal, raised to what people name."""
    source: Source
    lead: str
    """Key of the Signal whose words title the card."""
    since: Instant
    opened_at: Instant
    visible_at: Instant
    """When its hold is over; before it nothing is shown."""
    changed_at: Instant
    severity: Severity
    """The highest that fires, or that fired last when it is over."""
    peak: Severity
    firing: Firing = Firing()
    members: int = 1
    """How many Signals ever belonged to it."""
    closed_at: Instant | None = None
    reason: Reason = Reason.OPENED
    """Of its last visible change."""
    version: int = 1
    """Grows by one with every visible change."""
    reopenings: int = 0
    flapping: bool = False
    folded_into: str | None = None
    follows: str | None = None
    """The Incident that this one names as its predecessor: the same problem, longer ago than `reopen_within`."""
    expires_at: Instant | None = None
    """When silence has lasted too long: it turns grey then, and once grey it is given up. None where it may last for ever."""
    closed_by: str = ""
    root: str = ""
    """Of a cause that does not report itself, its key: `webhook:kyverno-svc`, `host:ghcr.io/denied`, `dns`; it has no members."""
    hold: Hold = Hold.NONE
    """What it waits for while it is not visible yet."""
    probably: bool = False
    """It is folded by an edge that stock labels cannot prove."""
    effects: Firing = Firing()
    """How many open Incidents are folded into it, by severity."""
    tend_at: Instant | None = None
    """When the Incidents folded into it must be looked after: it is over, or nobody speaks of it; or more wait for it."""
    silent_since: Instant | None = None
    """Since when there is no news of it: its card is grey, we do not know."""
    change_revision: str = ""
    """The last revision that touched its object shortly before it opened; evidence, not proof."""
    change_at: Instant | None = None
    change: str = ""
    reopened_at: tuple[Instant, ...] = ()
    """When it last opened again, oldest first: as many as tell whether it flaps."""
    calm_at: Instant | None = None
    """While it flaps: when it does no more, if it stays as it is until then."""
    loud_since: Instant | None = None
    """When it last became worse or another problem: no quiet that was asked for before then holds for it."""

    @property
    def is_open(self) -> bool:
        return self.closed_at is None

    @property
    def handle(self) -> str:
        """What people type: `k7f3`."""
        return handle_of(self.id)
