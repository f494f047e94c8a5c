"""The quiet that people ask for, kept until it is over and as history after it: it always has an end, and ending it is a row's change.

The commands write here beside a relay that runs; it looks every few seconds and does what follows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select, update

from relay.core.event import Instant
from relay.core.identity import handle_of
from relay.core.incident import Incident
from relay.core.labels import MatcherError, Matchers, parse
from relay.core.quiet import LONGEST, NIGHT, Rule, Rules
from relay.core.wording import cut
from relay.storage.engine import Query, Row, in_list
from relay.storage.lists import open_by_handle
from relay.storage.tables import incidents, postings, quiet

_STANDING: Final = quiet.c.ended_at.is_(None)


class NotQuietError(ValueError):
    """What was asked for cannot be; the text says why, in a line."""


MOST: Final = 20
"""Matchers of one rule."""
_NAMED: Final = re.compile(r"""(?:incident\s*=\s*)?(["']?)([2-9b-z]{4,26})\1""")
_INCIDENT: Final = re.compile(r"incident\s*=(?!~)")


def ask(
    connection: Connection, what: Sequence[str], *, now: Instant, until: Instant, by: str = "", why: str = ""
) -> Rule:
    """Quiet for `what`: matchers, or an open Incident by what people call it (`k7f3`). Raises NotQuietError."""
    named = [found[2] for one in what if (found := _NAMED.fullmatch(one.strip()))]
    matchers = [one.strip() for one in what if not _NAMED.fullmatch(one.strip())]
    if not what or len(named) > 1 or len(matchers) > MOST:
        raise NotQuietError('quiet for what? An incident (k7f3), or matchers: namespace="lab"')
    for one in matchers:
        if _INCIDENT.match(one):
            raise NotQuietError(f"{one[:40]!r} names no incident: relay list shows them")
        try:
            parse(one)
        except MatcherError as error:
            raise NotQuietError(str(error)) from None
    if until <= now:
        raise NotQuietError("it would be over already")
    if until - now > LONGEST:
        raise NotQuietError("quiet always ends, after 30 days at most: longer is a severity (severities: in the file)")
    incident = open_one(connection, named[0]).id if named else ""
    return add(
        connection,
        matchers=matchers,
        incident=incident,
        now=now,
        until=until,
        by=one_line(by, 40),
        why=one_line(why, 120),
    )


def one_line(text: str, limit: int) -> str:
    """One line of it, without what a terminal would obey."""
    return cut(" ".join("".join(char if char.isprintable() else " " for char in text).split()), limit)


def open_one(connection: Connection, handle: str) -> Incident:
    """The open Incident that people call so. Raises NotQuietError."""
    match open_by_handle(connection, handle, 2):
        case [incident]:
            return incident
        case []:
            raise NotQuietError(f"no incident is open that is called {handle}: relay list shows them")
        case _:
            raise NotQuietError(f"more than one incident is called {handle}: say more of its id (relay list --json)")


def add(
    connection: Connection,
    *,
    matchers: Sequence[str],
    incident: str = "",
    now: Instant,
    until: Instant,
    by: str,
    why: str,
) -> Rule:
    """Quiet from `now` until `until`, for what fits `matchers` (which can be read) or is the Incident of this id."""
    values = {
        "matchers": json.dumps(list(matchers)),
        "incident": incident or None,
        "began_at": now,
        "until": until,
        "said_by": by,
        "why": why,
    }
    return _rule(connection.execute(insert(quiet).returning(quiet), values).one())


def end(connection: Connection, key: str, now: Instant) -> Rule | None:
    """End the rule of this number before its time. None where none of this number stands."""
    if not (key.isascii() and key.isdigit() and len(key) < 18):
        return None
    mine = _STANDING & (quiet.c.id == int(key))
    row = connection.execute(update(quiet).where(mine).values(ended_at=now).returning(quiet)).first()
    return _rule(row) if row is not None else None


STANDING: Final = Query(select(quiet).where(_STANDING).order_by(quiet.c.until, quiet.c.id))
"""All that are not over, or whose end nobody has written down yet; the first to end first (`to_rules`)."""


def standing(connection: Connection) -> Rules:
    """The rules of `STANDING`."""
    return to_rules(STANDING.ask(connection))


def to_rules(rows: Sequence[Row]) -> Rules:
    return tuple(map(_rule, rows))


def quiet_now(connection: Connection, now: Instant) -> Rules:
    """The rules that people asked for and that hold at `now`, the first to end first."""
    return tuple(rule for rule in standing(connection) if rule.holds(now))


def find(connection: Connection, key: str) -> Rule | None:
    """The rule of this number, over or not; None where there is none."""
    if not (key.isascii() and key.isdigit() and len(key) < 18):
        return None
    row = connection.execute(select(quiet).where(quiet.c.id == int(key))).first()
    return _rule(row) if row is not None else None


@lru_cache(maxsize=512)
def _matchers(text: str) -> Matchers:
    """Read once: the writer asks for all that stands with every batch."""
    return Matchers.of(json.loads(text))


def _rule(row: Sequence[Any]) -> Rule:
    number, matchers, incident, began_at, until, by, why, _ = row
    return Rule(str(number), _matchers(matchers), began_at, until, incident or "", by, why)


def target(rule: Rule) -> str:
    """What a rule is meant for: `incident k7f3`, its matchers."""
    named = [f"incident {handle_of(rule.incident)}"] if rule.incident else []
    return ", ".join([*named, *map(str, rule.match.all_of)])


def plain(rule: Rule) -> dict[str, Any]:
    """For programs: instants are seconds since the epoch."""
    return {
        "id": rule.key,
        "incident": rule.incident or None,
        "match": [str(matcher) for matcher in rule.match.all_of],
        "began_at": rule.began_at,
        "until": rule.until,
        "by": rule.by,
        "why": rule.why,
    }


# --- what follows -------------------------------------------------------------------------------------------------------

_QUIET: Final = postings.c.quiet_until.is_not(None)


def next_end(connection: Connection) -> Instant | None:
    """When the next quiet of a Posting, the next rule or the next flapping ends; None while nothing is to end."""
    ends = connection.execute(_ENDS).one()
    return min((at for at in ends if at is not None), default=None)


_FLAPS: Final = incidents.c.closed_at.is_(None) & incidents.c.calm_at.is_not(None)
_ENDS: Final = select(
    select(func.min(postings.c.quiet_until)).where(_QUIET).scalar_subquery(),
    select(func.min(quiet.c.until)).where(_STANDING).scalar_subquery(),
    select(func.min(incidents.c.calm_at)).where(_FLAPS).scalar_subquery(),
)


def ended(connection: Connection, now: Instant, limit: int) -> list[str]:
    """The Incidents of Postings whose quiet is over, worst first."""
    over = _QUIET & (postings.c.quiet_until <= now)
    statement = (
        select(incidents.c.id)
        .join(postings, postings.c.incident == incidents.c.id)
        .where(over)
        .order_by(incidents.c.severity.desc(), incidents.c.opened_at)
        .limit(limit)
    )
    return list(dict.fromkeys(connection.execute(statement).scalars()))


def calmed(connection: Connection, now: Instant, limit: int) -> list[str]:
    """The open Incidents that have not come and gone for long enough, longest first."""
    due = _FLAPS & (incidents.c.calm_at <= now)
    return list(
        connection.execute(select(incidents.c.id).where(due).order_by(incidents.c.calm_at).limit(limit)).scalars()
    )


def write_down_ends(connection: Connection, now: Instant) -> None:
    """Rules whose time is over are history."""
    connection.execute(update(quiet).where(_STANDING, quiet.c.until <= now).values(ended_at=quiet.c.until))


def lapse(connection: Connection, kept: Collection[str], now: Instant) -> int:
    """The quiet of Postings is over where its rule is not among those `kept`. Returns how many."""
    gone = _QUIET & (postings.c.quiet != NIGHT) & (postings.c.quiet_until > now) & ~in_list(postings.c.quiet, "kept")
    return connection.execute(update(postings).where(gone).values(quiet_until=now), {"kept": list(kept)}).rowcount
