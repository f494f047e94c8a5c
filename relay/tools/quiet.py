"""`relay quiet` and `relay close` change one row or one Incident beside a relay that runs, which follows within seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from relay.config.model import end_of
from relay.config.values import Configuration
from relay.core import joining
from relay.core.event import Instant
from relay.core.incident import Firing, Incident, Reason
from relay.core.known import Wanted
from relay.core.quiet import Rule, Rules, clock, holding
from relay.core.values import replace
from relay.storage import delivery, ledger, lists, quiet
from relay.storage.quiet import NotQuietError
from relay.tools.listing import configured, looked_up, written
from relay.tools.terminal import Ink, Line, RefusedError, clean, table

MEANT: Final = 200
"""Open Incidents that are looked through to say which a new rule is meant for."""


# --- relay quiet --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """A rule that was written down, and the open Incidents that it is meant for."""

    rule: Rule
    meant_for: tuple[Incident, ...]


def ask(
    env: Mapping[str, str],
    config: Path | None,
    what: Sequence[str],
    *,
    lasts: str = "",
    until: str = "",
    by: str = "",
    why: str = "",
    now: Instant | None = None,
) -> Iterator[Line | str]:
    """Write a rule down, and say what it does. Raises RefusedError, ConfigError or UnusableDatabaseError."""
    now, zone = time.time() if now is None else now, configured(config, env).zone
    who = by or env.get("USER", "") or env.get("LOGNAME", "")
    try:
        end = end_of(lasts, until, now, zone)
        asked = written(env, lambda c: _asked(c, what, now, end, who, why))
    except ValueError as error:
        raise RefusedError(str(error)) from None
    return _told_asked(asked, zone, now)


def _asked(connection: Connection, what: Sequence[str], now: Instant, until: Instant, by: str, why: str) -> Asked:
    rule = quiet.ask(connection, what, now=now, until=until, by=by, why=why)
    return Asked(rule, tuple(meant_for(connection, rule, now)))


def meant_for(connection: Connection, rule: Rule, now: Instant) -> Iterator[Incident]:
    """The open Incidents that `rule` holds for, worst first."""
    for incident in lists.open_incidents(connection, MEANT):
        labels = [one.labels for one in delivery.members(connection, incident.id) if one.keeps_open]
        if holding([rule], incident.id, incident.loud_since, labels, now) is not None:
            yield incident


def _told_asked(asked: Asked, zone: tzinfo, now: Instant) -> Iterator[Line | str]:
    rule = asked.rule
    yield [
        (Ink.BOLD, f"Quiet {rule.key}"),
        f" until {clock(rule.until, zone, now)} {zone}: {clean(quiet.target(rule))}",
    ]
    handles = [incident.handle for incident in asked.meant_for]
    if handles:
        more = f" and {len(handles) - 10} more" if len(handles) > 10 else ""
        yield f"It holds for {', '.join(handles[:10])}{more}, until it becomes worse or another problem."
    else:
        yield "Nothing that is open is meant; what opens will be."
    yield [(Ink.DIM, f"relay quiet end {rule.key} ends it before; what is left then is told once")]


def listed(env: Mapping[str, str], config: Path | None, now: Instant) -> Iterator[Line | str]:
    """Every rule in force, the first to end first, planned ones, and nights."""
    configuration = configured(config, env)
    return told(looked_up(env, lambda c: quiet.quiet_now(c, now)), configuration, now)


def told(rules: Rules, configuration: Configuration, now: Instant) -> Iterator[Line | str]:
    """A line for each."""
    zone, planned = configuration.zone, [rule for rule in configuration.policy.quiet if rule.until > now]
    if not rules and not planned and configuration.hours is None:
        yield "Nothing is quiet."
        return
    every = [*rules, *sorted(planned, key=lambda rule: rule.began_at)]
    rows = [[rule.key, _when(rule, zone, now), rule.by or "somebody", clean(quiet.target(rule))] for rule in every]
    for rule, (key, when, by, meant) in zip(every, table(rows), strict=True):
        yield [(Ink.BOLD, key), when, (Ink.DIM, by), f"{meant}{f'  ({clean(rule.why)})' if rule.why else ''}"]
    if (hours := configuration.hours) is not None:
        yield [(Ink.BOLD, "nights"), f"  {hours.begin:%H:%M} to {hours.end:%H:%M} {hours.zone}: only pages sound"]


def _when(rule: Rule, zone: tzinfo, now: Instant) -> str:
    begins = f"from {clock(rule.began_at, zone, now)} " if rule.began_at > now else ""
    return f"{begins}until {clock(rule.until, zone, now)}"


def ended(env: Mapping[str, str], key: str, now: Instant) -> str:
    """End a rule before its time. Raises RefusedError."""
    if key.startswith("file-"):
        raise RefusedError(f"{key} stands in the configuration: take it out there")
    rule = written(env, lambda c: quiet.end(c, key, now))
    if rule is None:
        raise RefusedError(f"no quiet {clean(key)[:20]} is in force: relay quiet list shows them")
    return f"Quiet {rule.key} is over: {clean(quiet.target(rule))}. What is left is told once."


# --- relay close --------------------------------------------------------------------------------------------------------


def close(
    env: Mapping[str, str], config: Path | None, handle: str, *, by: str = "", why: str = "", now: Instant
) -> str:
    """End an open Incident by hand. Raises RefusedError, ConfigError or UnusableDatabaseError."""
    policy = configured(config, env).policy
    who = by or env.get("USER", "") or env.get("LOGNAME", "") or "hand"

    def work(connection: Connection) -> Incident:
        incident = quiet.open_one(connection, handle)
        known = ledger.load(connection, Wanted(), incidents=[incident.id])
        said = quiet.one_line(f"{who}: {why}" if why else who, 80)
        # What it still counts as firing ends with it: it opens again with what fires anew.
        over = replace(known.incidents[incident.id], firing=Firing())
        joining.close(known, over, Reason.CLOSED_BY_HAND, now, policy, by=said)
        ledger.save(connection, known)
        return incident

    try:
        incident = written(env, work)
    except NotQuietError as error:
        raise RefusedError(str(error)) from None
    return f"{incident.handle} is closed. It opens again when its sender says that it ended and began anew."
