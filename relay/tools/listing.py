"""`relay list` reads a relay's database beside it, as every command that asks it does: without a lock, and migrating nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection

from relay.config.environment import Environment
from relay.config.load import load
from relay.config.values import Configuration
from relay.core import cards, due
from relay.core.event import Instant
from relay.core.identity import handle_of
from relay.core.incident import Incident, Reason
from relay.core.known import Wanted
from relay.core.posting import Posting
from relay.core.wording import cut, duration, plural
from relay.storage import delivery, ledger, lists
from relay.storage.engine import SCHEMA, Database, UnusableDatabaseError, Work
from relay.tools.terminal import Ink, Line, RefusedError, clean, columns, severity, table

T = TypeVar("T")

MEMBERS: Final = 20
"""Signals that a headline is made of."""
CAP: Final = 1000


def looked_up(env: Mapping[str, str], work: Work[T]) -> T:
    """What `work` reads in the database that the environment names. Raises UnusableDatabaseError."""
    return asyncio.run(_looked_up(_url(env), work))


def written(env: Mapping[str, str], work: Work[T]) -> T:
    """As `looked_up`, where `work` changes something: in one short transaction beside a relay that runs."""
    return asyncio.run(_looked_up(_url(env), work, writing=True))


async def _looked_up(url: str, work: Work[T], *, writing: bool = False) -> T:
    async with _opened(url) as database:
        return await (database.run(work, exclusive=True) if writing else database.read(work))


def opened(env: Mapping[str, str]) -> AbstractAsyncContextManager[Database]:
    """The database that the environment names, for more than one transaction beside a relay. Raises UnusableDatabaseError."""
    return _opened(_url(env))


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Database]:
    database = Database.open(url, making=False)
    try:
        version = await database.version()
        if version != SCHEMA:
            what = f"was written by an older relay (schema {version})" if version else "holds nothing yet"
            raise UnusableDatabaseError(f"The database {what}: relay serve brings it up to date.")
        yield database
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
    """One word for what a Channel shows of an Incident: parked, held, due, quiet, shown, deleted or waiting."""
    if posting.parked:
        return "parked"
    if posting.closed:
        return "deleted"
    if posting.due_at is not None and now < incident.visible_at:
        return "held"
    if posting.due_at is not None and posting.due_at <= now:
        return "due"
    if due.is_quiet(posting):
        return "quiet"
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
