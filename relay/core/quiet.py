"""Quiet takes away sound, never state or cards; it always ends, and no quiet outlasts that its Incident became worse or another problem.

Acknowledging, snoozing and maintenance are one thing, a Rule; nights are the Hours of a Channel, and leave pages alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from typing import Final

from relay.core.event import Instant
from relay.core.labels import Matchers

NIGHT: Final = "night"
"""In the place of a Rule's key, where it is the Channel's hours that took a sound."""
LONGEST: Final = 30 * 86400.0
"""Seconds that quiet lasts at most: longer is a severity, not a quiet."""


@dataclass(frozen=True, slots=True)
class Hours:
    """Nights, by the wall clock of `zone`: from `begin` (included) until `end` (not), over midnight if `end` is earlier."""

    begin: time
    end: time
    zone: tzinfo

    def night_until(self, now: Instant) -> Instant | None:
        """When the night that is at `now` ends; None by day."""
        here = datetime.fromtimestamp(now, self.zone)
        clock = here.time()
        over_midnight = self.end <= self.begin
        evening = clock >= self.begin and (over_midnight or clock < self.end)
        if not evening and not (over_midnight and clock < self.end):
            return None
        day = here.date() + timedelta(days=1) if evening and over_midnight else here.date()
        return datetime.combine(day, self.end, self.zone).timestamp()


@dataclass(frozen=True, slots=True)
class Rule:
    """Quiet for what fits `match` (or is the Incident `incident`, by its id), from `began_at` until `until`; who said so, and why."""

    key: str
    """What people type to end it: its number; of a rule in the configuration `file-1`, which the file alone ends."""
    match: Matchers
    began_at: Instant
    until: Instant
    incident: str = ""
    by: str = ""
    why: str = ""

    def holds(self, now: Instant) -> bool:
        return self.began_at <= now < self.until

    def covers(self, incident: str, labels: Mapping[str, str]) -> bool:
        """Whether it is meant for a Signal with these labels in this Incident. A rule that names nothing is meant for nothing."""
        named = self.incident == incident if self.incident else bool(self.match.all_of)
        return named and self.match.matches(labels)


Rules = tuple[Rule, ...]


def holding(
    rules: Iterable[Rule],
    incident: str,
    loud_since: Instant | None,
    each: Iterable[Mapping[str, str]],
    now: Instant,
) -> Rule | None:
    """The Rule that holds longest for an Incident: it is meant for `each` of its Signals (their labels), one at least.

    What was asked for before the Incident became worse or another problem (`loud_since`) holds for it no more.
    """
    labels = list(each)
    found = [
        rule
        for rule in rules
        if rule.holds(now)
        and (loud_since is None or rule.began_at > loud_since)
        and labels
        and all(rule.covers(incident, one) for one in labels)
    ]
    return max(found, key=lambda rule: (rule.until, rule.key), default=None)


def said(rule: Rule, zone: tzinfo, now: Instant) -> str:
    """For people: `until 07:30, by ada`; with the day where it is not today."""
    return f"until {clock(rule.until, zone, now)}{f', by {rule.by}' if rule.by else ''}"


def clock(at: Instant, zone: tzinfo, now: Instant) -> str:
    """`07:30`, `Tue 07:30`, `24 Dec 07:30`: as much of the date as tells."""
    there, here = datetime.fromtimestamp(at, zone), datetime.fromtimestamp(now, zone)
    days = (there.date() - here.date()).days
    day = (
        ""
        if days == 0
        else f"{_DAYS[there.weekday()]} "
        if 0 < days < 7
        else f"{there.day} {_MONTHS[there.month - 1]} "
    )
    return f"{day}{there:%H:%M}"


_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
