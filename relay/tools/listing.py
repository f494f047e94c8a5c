"""`relay list`, `channels` and `rejects` read a relay's database beside it: they take no lock, migrate nothing and change nothing."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection

from relay.config.environment import Environment
from relay.config.load import load
from relay.config.values import Configuration
from relay.core import cards, own
from relay.core.event import Instant, Source
from relay.core.identity import handle_of
from relay.core.incident import Incident, Reason
from relay.core.known import Wanted
from relay.core.posting import Posting
from relay.core.wording import cut, duration, plural
from relay.storage import delivery, ledger, lists
from relay.storage.engine import SCHEMA, Database, UnusableDatabaseError, Work
from relay.storage.rejects import Reject, get_reject, list_rejects
from relay.tools.check import thresholds
from relay.tools.terminal import Ink, Line, RefusedError, clean, columns, severity, table, wrapped

T = TypeVar("T")

MEMBERS: Final = 20
"""Signals that a headline is made of."""
CAP: Final = 1000


def looked_up(env: Mapping[str, str], work: Work[T]) -> T:
    """What `work` reads in the database that the environment names. Raises UnusableDatabaseError."""
    return asyncio.run(_looked_up(_url(env), work))


async def _looked_up(url: str, work: Work[T]) -> T:
    database = Database.open(url, making=False)
    try:
        version = await database.version()
        if version != SCHEMA:
            what = f"was written by an older relay (schema {version})" if version else "holds nothing yet"
            raise UnusableDatabaseError(f"The database {what}: relay serve brings it up to date.")
        return await database.read(work)
    finally:
        await database.close()


def _url(env: Mapping[str, str]) -> str:
    wrong: list[str] = []
    url = Environment(env, lambda name, why: wrong.append(f"{name}: {why}")).database_url()
    if wrong:
        raise RefusedError("\n".join(wrong))
    return url.reveal()


def configured(path: Path | None, env: Mapping[str, str]) -> Configuration:
    """The configuration as it decides; no secret is looked for. Raises ConfigError."""
    return load(path, env, mounted=False)


# --- relay list ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Open:
    """An open Incident: its headline's words, and how it stands in each of its Channels."""

    incident: Incident
    says: str
    postings: tuple[Posting, ...]


def open_now(connection: Connection, now: Instant, limit: int) -> tuple[list[Open], int]:
    """Worst first, at most `limit`; and how many are open, counted up to a cap."""
    incidents = lists.open_incidents(connection, limit)
    known = ledger.load(connection, Wanted(), incidents=[incident.id for incident in incidents])
    context = cards.Context(now=now, clusters=lists.clusters_heard(connection))
    found = []
    for incident in incidents:
        members = delivery.members(connection, incident.id, MEMBERS)
        headline = cards.build(incident, members, None, context).headline
        says = f"{headline.object} {headline.state}".rstrip() + (f": {headline.cause}" if headline.cause else "")
        found.append(Open(incident, says, tuple(sorted(known.postings_of(incident.id), key=lambda one: one.channel))))
    return found, sum(lists.counts(connection, now, CAP).open.values())


def standing(posting: Posting, incident: Incident, now: Instant) -> str:
    """One word for what a Channel shows of an Incident: parked, held, due, shown, deleted or waiting."""
    if posting.parked:
        return "parked"
    if posting.closed:
        return "deleted"
    if posting.due_at is not None and now < incident.visible_at:
        return "held"
    if posting.due_at is not None and posting.due_at <= now:
        return "due"
    return "shown" if posting.shown else "waiting"


def told_open(found: Sequence[Open], count: int, now: Instant) -> Iterator[Line | str]:
    """Two lines for each: what is wrong, then where and how it stands."""
    if not found:
        yield "Nothing is wrong: no incident is open."
        return
    ages = table([["" if one.incident.since > now else duration(now - one.incident.since), ""] for one in found])
    for one, (age, _) in zip(found, ages, strict=True):
        incident = one.incident
        head = f"{incident.handle}  {incident.severity.word:<8}  {age}"
        ink, word = severity(incident.severity)
        says = cut(clean(one.says), columns() - len(head))
        yield [(Ink.BOLD, incident.handle), (ink, f"  {word:<8}"), f"  {age}", says]
        yield [(Ink.DIM, " " * 6 + cut(_where(one, now), columns() - 6))]
    if count > len(found):
        yield f"+{count - len(found)}{'' if count < CAP else ' or more'}: --limit {count} shows them"


def _where(one: Open, now: Instant) -> str:
    incident = one.incident
    shown = ", ".join(f"{posting.channel} {standing(posting, incident, now)}" for posting in one.postings)
    last = _LAST.get(incident.reason, incident.reason.value.replace("_", " "))
    parts = [
        incident.subject.place or incident.subject.cluster,
        shown or "in no channel",
        plural(incident.firing.total, "signal"),
        f"{last} {duration(now - incident.changed_at)} ago",
        f"part of {handle_of(incident.folded_into)}" if incident.folded_into else "",
    ]
    return clean(" · ".join(part for part in parts if part))


_LAST: Final[Mapping[Reason, str]] = {
    Reason.MEMBER: "grew",
    Reason.MEMBER_RESOLVED: "partly over",
    Reason.CAUSE: "another cause",
    Reason.REMEDIATED: "undone by Helm",
}
"""Of the last visible change, where its reason is no word for it."""


def open_json(found: Sequence[Open], now: Instant) -> list[dict[str, Any]]:
    """For programs: instants are seconds since the epoch."""
    return [
        {
            "id": one.incident.id,
            "handle": one.incident.handle,
            "severity": one.incident.severity.word,
            "says": one.says,
            "since": one.incident.since,
            "opened_at": one.incident.opened_at,
            "changed_at": one.incident.changed_at,
            "reason": one.incident.reason.value,
            "source": one.incident.source.value,
            "cluster": one.incident.subject.cluster,
            "kind": one.incident.subject.kind,
            "namespace": one.incident.subject.namespace,
            "name": one.incident.subject.name,
            "firing": one.incident.firing.total,
            "folded_into": one.incident.folded_into,
            "channels": {
                posting.channel: {"is": standing(posting, one.incident, now), "parked": posting.parked or None}
                for posting in one.postings
            },
        }
        for one in found
    ]


# --- relay channels -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """One Channel: what waits there. `configured` is its thresholds; empty where it was removed."""

    name: str
    configured: str
    due: int
    oldest_due: Instant | None
    parked: tuple[Posting, ...]
    dead: bool


def channels_now(connection: Connection, configuration: Configuration, now: Instant) -> list[Standing]:
    """Those configured, in their order, then those removed in which something still waits."""
    oldest = dict(delivery.channels_due(connection, now))
    parked = lists.parked_postings(connection, CAP)
    dead = {one.subject.name for one in lists.open_incidents(connection, CAP) if _says_dead(one)}
    policies = configuration.policy.channels
    names = [*policies, *sorted({*oldest, *(one.channel for one in parked)} - policies.keys())]
    return [
        Standing(
            name,
            thresholds(policies[name]) if name in policies else "",
            delivery.due_count(connection, name, now, CAP),
            oldest.get(name),
            tuple(one for one in parked if one.channel == name),
            name in dead,
        )
        for name in names
    ]


def _says_dead(incident: Incident) -> bool:
    return incident.source is Source.RELAY and incident.subject.kind == own.KIND


def told_channels(found: Sequence[Standing], now: Instant) -> Iterator[Line | str]:
    """A few lines for each Channel; what is parked says why."""
    for one in found:
        ink, state = _state(one, now)
        yield [(Ink.BOLD, one.name), "  ", (ink, state)]
        yield [(Ink.DIM, f"  {one.configured or 'no longer configured'}")]
        for posting in one.parked[:10]:
            yield f"  parked {handle_of(posting.incident)}: {posting.parked}"
        if len(one.parked) > 10:
            yield f"  … and {len(one.parked) - 10} more parked"


def _state(one: Standing, now: Instant) -> tuple[Ink, str]:
    said = []
    if one.dead:
        said.append("its webhook is gone: give it a new URL, everything is kept")
    if one.due:
        waits = f", the oldest for {duration(now - one.oldest_due)}" if one.oldest_due is not None else ""
        said.append(f"{_capped(one.due)} due{waits}")
    if one.parked:
        said.append(f"{_capped(len(one.parked))} parked")
    if not said:
        return Ink.GREEN, "shows all it should"
    return (Ink.RED if one.dead or one.parked else Ink.YELLOW), "; ".join(said)


def _capped(count: int) -> str:
    return f"{count}+" if count >= CAP else str(count)


# --- relay rejects ------------------------------------------------------------------------------------------------------


def rejects_now(connection: Connection, limit: int) -> list[Reject]:
    return list_rejects(connection, limit)


def told_rejects(found: Sequence[Reject], now: Instant) -> Iterator[Line | str]:
    """Newest first: when, who, how long, why, and the cure."""
    if not found:
        yield "Nothing was rejected."
        return
    cells = table([[str(one.id), f"{duration(now - one.at)} ago", one.sender, size(one.size)] for one in found])
    for one, (number, ago, sender, length) in zip(found, cells, strict=True):
        yield [(Ink.BOLD, number), (Ink.DIM, ago), sender, length]
        said = f"{one.why}; {one.cure}" if one.cure else one.why
        yield from (f"{'':<{len(number)}}{row}" for row in wrapped(said, columns() - len(number)))
    yield [(Ink.DIM, "relay rejects show ID prints one as it came")]


def size(count: int) -> str:
    """`812 B`, `14 KiB`."""
    return f"{count} B" if count < 1024 else f"{count // 1024} KiB"


def write_reject(env: Mapping[str, str], number: int) -> None:
    """One body to standard output: byte for byte, but to a terminal without what it would obey. Raises RefusedError."""
    found = looked_up(env, lambda connection: get_reject(connection, number))
    if found is None:
        raise RefusedError(f"There is no reject {number}: relay rejects lists them.")
    _, body = found
    if sys.stdout.isatty():
        sys.stdout.write(clean(body.decode("utf-8", "replace")) + "\n")
    else:
        sys.stdout.buffer.write(body)
    sys.stdout.flush()
