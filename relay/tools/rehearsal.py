"""A recording is taken through the relay itself: its writer and its sender, a database of its own, and a Discord that is only written down.

Time goes from one thing to the next: a delivery, a deadline, a message that is due. Nothing leaves this process.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any, Final

from sqlalchemy import Connection, select

from relay.config.live import composed
from relay.config.secrets import Secret, SecretValue
from relay.config.values import Configuration
from relay.core.attention import ChannelPolicy, Loudness
from relay.core.card import Form
from relay.core.edges import Cause, Edges
from relay.core.event import Effect, Event, Instant, NotJson, Severity, Subject, Unreadable
from relay.core.incident import Incident, Reason
from relay.core.known import Entry, keys_of
from relay.core.outcome import Outcome, RateInfo, Sent
from relay.core.policy import Policy
from relay.core.signal import Signal
from relay.core.tree import Library
from relay.deadlines import Deadlines
from relay.discord.client import DiscordClient, Token, WebhookInfo
from relay.discord.message import Payload
from relay.observe.metrics import Metrics
from relay.reconcile import Reconciler
from relay.sources import PARSERS
from relay.storage import delivery, ledger
from relay.storage.engine import Database
from relay.storage.rows import to_entry, to_incident, to_signal
from relay.storage.tables import incident_keys, incidents, journal, messages, placements, postings, signals
from relay.tools.explain import threshold
from relay.tools.recorded import Recorded
from relay.tools.terminal import RefusedError
from relay.writer import Writer

BEFORE: Final = 1800.0
"""Seconds for which the relay has listened when the first delivery comes: what it hears of is news then."""
SLICE: Final = 300.0
"""Seconds that pass at once, at most: what the relay looks for without a deadline is found within them."""
AFTERWARDS: Final = 3600.0
"""Seconds for which it goes on after the last delivery, as long as something is still due within a quarter of an hour."""
SOON: Final = 900.0
STALLED: Final = 0.5
"""Real seconds in which nothing was done while something was due: it waits for Discord's budget, which needs time."""
AGAIN: Final = 0.05
"""Real seconds of the same once that is known."""
BUDGET: Final = 1.0
MAX_DELIVERIES: Final = 20_000
PATIENCE: Final = 60.0
"""Real seconds for what is due at one instant."""


# --- what was found -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fold:
    """Under which Incident another was folded, and by which edge; `weak` where it cannot be proven."""

    root: Incident
    edge: str
    weak: bool


@dataclass(frozen=True, slots=True)
class Said:
    """One Event: what it did, to which Incident, by which key it found that, and what it waits for."""

    event: Event
    reason: Reason
    incident: Incident | None
    joined_by: str
    """A join key that others held; empty where it joined nothing."""
    fold: Fold | None
    waits: tuple[tuple[str, str], ...]
    """Causes under which it would fold, each with its edge: as people write them, `webhook:kyverno-svc`."""
    held: float
    """Seconds for which it is not shown yet."""
    shown_in: tuple[str, ...]
    """Channels that owe it something."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What else was decided, with the Incident that it is about, and the one that it was folded under or had been."""

    entry: Entry
    incident: Incident | None
    other: Incident | None


@dataclass(frozen=True, slots=True)
class Sheet:
    """One request that Discord would have got. `message` numbers the Channel's messages from 1; an edit has that of what it edits."""

    at: Instant
    channel: str
    message: int
    edits: bool
    form: str
    severity: Severity | None
    """What is routed there; None where it shows no Incident."""
    payload: dict[str, Any]

    @property
    def silent(self) -> bool:
        return bool(self.payload.get("flags", 0) & 1 << 12)

    @property
    def pages(self) -> bool:
        allowed = self.payload.get("allowed_mentions", {})
        return not self.edits and bool(allowed.get("roles") or allowed.get("users"))

    @property
    def sounds(self) -> bool:
        return not self.edits and not self.silent


@dataclass(frozen=True, slots=True)
class Happened:
    """What came of one delivery, or of time passing (`to` is empty then)."""

    at: Instant
    to: str
    note: str
    refused: str
    said: tuple[Said, ...]
    decided: tuple[Decision, ...]
    sheets: tuple[Sheet, ...]


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """All of it, and what each Channel shows at the end: its messages as they were last written."""

    began: Instant
    ended: Instant
    happened: tuple[Happened, ...]
    shows: Mapping[str, tuple[Sheet, ...]]
    channels: Mapping[str, ChannelPolicy]


# --- for people and programs ----------------------------------------------------------------------------------------------


def why(sheet: Sheet, channel: ChannelPolicy | None) -> str:
    """Whether one request makes a sound, and why."""
    if sheet.edits:
        return "an edit, which never sounds"
    if sheet.severity is None or channel is None:
        return "a new message" + (" without a sound" if sheet.silent else "")
    word = sheet.severity.word
    if sheet.form == Form.END:
        return "a new message that it is over, since it had paged and the end has held"
    if not sheet.silent and channel.loudness(sheet.severity) is Loudness.PAGE:
        nobody = (
            "" if sheet.pages else ", but pings nobody: no mention is configured here, or one was made a moment ago"
        )
        return f"a page: {word} reaches {threshold('page', channel.page)}{nobody}"
    if not sheet.silent:
        return f"a new message with a sound: {word} reaches {threshold('notify', channel.notify)}"
    if channel.loudness(sheet.severity) >= Loudness.NOTIFY:
        return "a new message without a sound: it came and went, or something asked for quiet"
    return f"a new message without a sound: {word} reaches only {threshold('show', channel.show)}"


def as_json(found: Rehearsed) -> dict[str, Any]:
    """All of it; instants are seconds since the epoch, and each `payload` is exactly what Discord would get."""
    return {
        "began": found.began,
        "ended": found.ended,
        "happened": [_happened_json(one, found) for one in found.happened],
        "channels": {
            name: [{"message": one.message, "payload": one.payload} for one in sheets]
            for name, sheets in found.shows.items()
        },
    }


def _happened_json(one: Happened, found: Rehearsed) -> dict[str, Any]:
    return {
        "at": one.at,
        "to": one.to or None,
        "note": one.note or None,
        "refused": one.refused or None,
        "events": [_said_json(said) for said in one.said],
        "decided": [
            {
                "reason": decision.entry.reason.value,
                "incident": decision.entry.incident or None,
                "other": decision.entry.other or None,
                "channel": decision.entry.channel or None,
            }
            for decision in one.decided
        ],
        "requests": [
            {
                "channel": sheet.channel,
                "message": sheet.message,
                "edits": sheet.edits,
                "sounds": sheet.sounds,
                "pages": sheet.pages,
                "because": why(sheet, found.channels.get(sheet.channel)),
                "payload": sheet.payload,
            }
            for sheet in one.sheets
        ],
    }


def _said_json(said: Said) -> dict[str, Any]:
    event, fold = said.event, said.fold
    return {
        "signal": event.signal_key,
        "alertname": event.alertname,
        "object": f"{event.subject.kind} {event.subject.place}",
        "severity": event.severity.word,
        "beat": event.beat,
        "became": said.reason.value,
        "incident": said.incident.id if said.incident else None,
        "joined_by": said.joined_by or None,
        "folded": {
            "under": fold.root.id,
            "root": fold.root.root or None,
            "edge": fold.edge or None,
            "probably": fold.weak,
        }
        if fold
        else None,
        "waits_for": [{"cause": cause, "edge": edge} for cause, edge in said.waits],
        "held": said.held,
        "channels": list(said.shown_in),
    }


# --- a Discord made of paper ----------------------------------------------------------------------------------------------


class _Paper(DiscordClient):
    """Takes everything, and keeps it in order."""

    def __init__(self) -> None:  # Without a session: it asks nobody.
        self.requests: list[tuple[str, str, bool, dict[str, Any]]] = []
        """Webhook, message, whether it is an edit, payload."""
        self._last = 0

    async def send(
        self,
        webhook_id: str,
        token: Token,  # noqa: ARG002  # Paper has no lock.
        payload: Payload,
        *,
        message_id: str | None = None,
        thread: str | None = None,  # noqa: ARG002  # Nor threads.
    ) -> tuple[Outcome, RateInfo]:
        if message_id is None:
            self._last += 1
        message = message_id or str(self._last)
        self.requests.append((webhook_id, message, message_id is not None, json.loads(payload.body)))
        return Sent(message, webhook_id), RateInfo()

    async def look(self, webhook_id: str, token: Token) -> tuple[WebhookInfo | Outcome, RateInfo]:  # noqa: ARG002  # As above.
        return WebhookInfo(webhook_id, webhook_id, "1"), RateInfo()


def _on_paper(configuration: Configuration) -> Configuration:
    """Every Channel with a webhook that nobody reaches, numbered in their order; what it shows besides problems is left out."""
    channels = tuple(
        replace(one, webhook_url=SecretValue(Secret(f"https://discord.com/api/webhooks/{number}/paper")))
        for number, one in enumerate(configuration.channels, 1)
    )
    policies = {
        name: replace(policy, status=False, weekly=False) for name, policy in configuration.policy.channels.items()
    }
    return replace(configuration, channels=channels, policy=replace(configuration.policy, channels=policies))


# --- playing --------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Clock:
    """Stands still until it is told to go on."""

    now: Instant

    def __call__(self) -> Instant:
        return self.now


def rehearse(
    deliveries: Iterable[Recorded],
    configuration: Configuration,
    library: Library,
    edges: Edges,
    word: str | None = None,
) -> Rehearsed:
    """What the relay makes of `deliveries`. Raises RefusedError where a path is no source's, or a line is no delivery."""
    return asyncio.run(_rehearse(deliveries, configuration, library, edges, word))


async def _rehearse(
    deliveries: Iterable[Recorded], configuration: Configuration, library: Library, edges: Edges, word: str | None
) -> Rehearsed:
    given = iter(deliveries)
    first = next(given, None)
    if first is None:
        raise RefusedError("there is no delivery in it")
    async with AsyncExitStack() as parts:
        folder = parts.enter_context(TemporaryDirectory(prefix="relay-explain-"))
        database = Database.open(f"sqlite:///{Path(folder) / 'relay.db'}")
        parts.push_async_callback(database.close)
        await database.migrate()
        stage = _Stage.of(database, _on_paper(configuration), library, edges, _Clock(first.at - BEFORE), word)
        for work in (stage.writer.run(), stage.deadlines.run(), stage.reconciler.run()):
            task = asyncio.create_task(work)
            stage.tasks.append(task)
            parts.push_async_callback(_ended, task)
        await stage.writer.started()
        await stage.greet()
        await stage.take(first)
        for count, one in enumerate(given, 2):
            if count > MAX_DELIVERIES:
                raise RefusedError(f"more than {MAX_DELIVERIES} deliveries: explain a part of them")
            await stage.take(one)
        await stage.afterwards()
        return stage.found(first.at)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


@dataclass(slots=True)
class _Stage:
    """The parts of a relay on its way through a recording."""

    database: Database
    configuration: Configuration
    policy: Policy
    clock: _Clock
    metrics: Metrics
    writer: Writer
    deadlines: Deadlines
    reconciler: Reconciler
    paper: _Paper
    word: str | None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    happened: list[Happened] = field(default_factory=list)
    journaled: int = 0
    taken: int = 0
    """Requests that are told already."""

    @classmethod
    def of(
        cls,
        database: Database,
        configuration: Configuration,
        library: Library,
        edges: Edges,
        clock: _Clock,
        word: str | None,
    ) -> _Stage:
        policy, metrics, paper = composed(configuration.policy, library, edges), Metrics(), _Paper()
        writer = Writer(database, lambda: policy, clock, metrics)
        reconciler = Reconciler(database, writer, paper, lambda: configuration, lambda: library, clock, metrics)
        writer.changed = reconciler.wake
        deadlines = Deadlines(database, writer, lambda: policy, clock)
        return cls(database, configuration, policy, clock, metrics, writer, deadlines, reconciler, paper, word)

    async def greet(self) -> None:
        """Every source was heard before: what is told now has not just been brought along."""
        now = self.clock()
        for source in self.configuration.sources:
            subject = Subject(source.cluster or self.policy.cluster, "", "", "")
            word = Event(
                source.kind,
                source.name,
                subject,
                "",
                f"heard {source.name}",
                Effect.NOTES,
                Severity.NONE,
                "",
                "",
                now,
                now,
            )
            await self.writer.submit([word])

    async def take(self, one: Recorded) -> None:
        """All that happens before it, then the delivery itself."""
        await self._until(one.at)
        parsed = self._parsed(one)
        refused, events = ("", parsed) if isinstance(parsed, tuple) else (parsed, ())
        said = [await self._said(event) for event in events]
        await self._calm()
        await self._told(one.to, one.note, refused, tuple(said), {item.incident.id for item in said if item.incident})

    async def afterwards(self) -> None:
        """What is still due soon, and what comes of that."""
        end = self.clock() + AFTERWARDS
        while (upcoming := await self._calm()) is not None and upcoming <= min(end, self.clock() + SOON):
            await self._until(upcoming)
        await self._told("", "", "", ())

    def found(self, began: Instant) -> Rehearsed:
        last: dict[tuple[str, int], Sheet] = {}
        for happened in self.happened:
            for sheet in happened.sheets:
                last[sheet.channel, sheet.message] = sheet
        names = [channel.name for channel in self.configuration.channels]
        shows = {name: tuple(sheet for (channel, _), sheet in last.items() if channel == name) for name in names}
        return Rehearsed(began, self.clock(), tuple(self.happened), shows, self.policy.channels)

    # --- one delivery -----------------------------------------------------------------------------------------------------

    def _parsed(self, one: Recorded) -> tuple[Event, ...] | str:
        """Its Events, or why the relay refuses it."""
        source = next(
            (
                source
                for source in self.configuration.sources
                if self.word in (None, source.name) and source.path == one.to.rstrip("/")
            ),
            None,
        )
        if source is None:
            paths = ", ".join(sorted({source.path for source in self.configuration.sources}))
            raise RefusedError(f"there is no source at {one.to!r}: it is one of {paths}")
        parsed = PARSERS[source.kind](one.body, source.policy, self.policy, self.clock())
        match parsed:
            case NotJson(why=why):
                return f"{why}: answered 400"
            case Unreadable(why=why):
                return f"{why}: answered 202, kept in the rejects, and shown as unreadable"
            case _:
                return parsed.events

    async def _said(self, event: Event) -> Said:
        keys = keys_of(event, self.policy)
        held = await self.database.read(lambda c: _held(c, keys))
        before = await self.database.read(lambda c: _signal(c, event.signal_key))
        counted = self.metrics.told()
        await self.writer.submit([event])
        told = self.metrics.told()
        mine = (name for name, count in told.items() if count > counted.get(name, 0))
        reason = next(
            Reason(word) for source, _, word in (name.partition("/") for name in mine) if source == event.source
        )
        return await self.database.read(lambda c: self._of(c, event, reason, keys, held, before))

    def _of(
        self,
        c: Connection,
        event: Event,
        reason: Reason,
        keys: Sequence[str],
        held: dict[str, str],
        before: Signal | None,
    ) -> Said:
        """What one Event came to, read after it."""
        signal = _signal(c, event.signal_key)
        incident = _incident(c, signal.incident) if signal is not None and signal.incident else None
        mine = incident.id if incident is not None else ""
        newcomer = before is None or before.incident != mine
        joined_by = next((key for key in keys if held.get(key) == mine), "") if mine and newcomer else ""
        fold: Fold | None = None
        waits: tuple[tuple[str, str], ...] = ()
        if incident is not None and incident.is_open and signal is not None and signal.keeps_open:
            causes = self.policy.edges.links(event).causes
            holders = _held(c, [cause.key for cause in causes])
            if incident.folded_into is not None and (root := _incident(c, incident.folded_into)) is not None:
                fold = Fold(root, _edge(c, root, causes, holders), incident.probably)
            else:
                waits = tuple((cause.under, cause.edge.name) for cause in causes if cause.key not in holders)
        hold = max(0.0, incident.visible_at - self.clock()) if incident is not None and incident.is_open else 0.0
        owing = select(postings.c.channel).where(postings.c.incident == mine).order_by(postings.c.channel)
        return Said(event, reason, incident, joined_by, fold, waits, hold, tuple(c.execute(owing).scalars()))

    async def _told(self, to: str, note: str, refused: str, said: tuple[Said, ...], own: Iterable[str] = ()) -> None:
        """Put down what was decided and sent since the last time."""
        about = frozenset(own)
        decided = await self.database.read(lambda c: self._decided(c, about))
        requests, self.taken = self.paper.requests[self.taken :], len(self.paper.requests)
        written = await self.database.read(lambda c: [self._sheet(c, *one) for one in requests])
        sheets = tuple(sheet for sheet in written if sheet.form)  # What stands in no form is about no problem.
        if to or decided or sheets:
            self.happened.append(Happened(self.clock(), to, note, refused, said, decided, sheets))

    def _decided(self, c: Connection, about: frozenset[str]) -> tuple[Decision, ...]:
        """The journal since the last time, without what the Events themselves did to their own Incidents."""
        rows = c.execute(select(journal).where(journal.c.id > self.journaled).order_by(journal.c.id)).all()
        if rows:
            self.journaled = rows[-1][0]
        entries = [to_entry(row) for row in rows]
        return tuple(
            Decision(entry, _incident(c, entry.incident), _incident(c, entry.other))
            for entry in entries
            if not (entry.incident in about and (entry.signal or not entry.other))
        )

    def _sheet(self, c: Connection, webhook: str, message: str, edits: bool, payload: dict[str, Any]) -> Sheet:
        channel = self.configuration.channels[int(webhook) - 1].name
        statement = (
            select(placements.c.form, postings.c.severity)
            .join(messages, messages.c.id == placements.c.message)
            .outerjoin(postings, (postings.c.incident == placements.c.incident) & (postings.c.channel == channel))
            .where(messages.c.discord_id == message)
            .order_by(postings.c.severity.desc())
        )
        row = c.execute(statement).first()
        form, severity = (row[0], row[1]) if row is not None else ("", None)
        return Sheet(
            self.clock(),
            channel,
            int(message),
            edits,
            form,
            Severity(severity) if severity is not None else None,
            payload,
        )

    # --- time -------------------------------------------------------------------------------------------------------------

    async def _until(self, at: Instant) -> None:
        """All that happens until `at`, each thing at its time."""
        while True:
            upcoming = await self._calm()
            await self._told("", "", "", ())
            now = self.clock()
            if now >= at:
                return
            await self._go(min(one for one in (at, now + SLICE, upcoming) if one is not None and one > now))

    async def _go(self, to: Instant) -> None:
        self.clock.now = to
        looks = self.deadlines.looks
        self.deadlines.look()
        self.reconciler.wake()
        while self.deadlines.looks == looks:
            self._alive()
            await asyncio.sleep(0)

    async def _calm(self) -> Instant | None:
        """Returns once nothing is left to do now, with the time when there will be."""
        began = since = monotonic()
        done, patience = (-1, -1.0), STALLED
        while True:
            self._alive()
            now = self.clock()
            waiting = await self.database.read(lambda c: (ledger.next_deadline(c), delivery.earliest_due(c)))
            if not any(one is not None and one <= now for one in waiting):
                return min((one for one in waiting if one is not None), default=None)
            if monotonic() - began > PATIENCE:
                raise RefusedError("what is due is not sent: explain a shorter part of it")
            if (doing := (len(self.paper.requests), self.metrics.commits())) != done:
                done, since = doing, monotonic()
            elif monotonic() - since > patience:
                await self._go(now + BUDGET)
                done, since, patience = (len(self.paper.requests), self.metrics.commits()), monotonic(), AGAIN
            self.deadlines.look()
            self.reconciler.wake()
            await asyncio.sleep(0.001)

    def _alive(self) -> None:
        for task in self.tasks:
            if task.done():
                task.result()


def _edge(c: Connection, root: Incident, causes: Iterable[Cause], holders: Mapping[str, str]) -> str:
    """The name of the edge that leads to `root`, or to what is folded under it itself; empty where none does any more."""
    for cause in causes:
        holder = _incident(c, holders.get(cause.key, ""))
        if holder is not None and root.id in (holder.id, holder.folded_into):
            return cause.edge.name
    return ""


def _held(c: Connection, keys: Sequence[str]) -> dict[str, str]:
    """Which Incident holds each of these keys."""
    return {row[0]: row[1] for row in c.execute(select(incident_keys).where(incident_keys.c.key.in_(keys)))}


def _signal(c: Connection, key: str) -> Signal | None:
    row = c.execute(select(signals).where(signals.c.key == key)).first()
    return to_signal(row) if row is not None else None


def _incident(c: Connection, incident: str) -> Incident | None:
    row = c.execute(select(incidents).where(incidents.c.id == incident)).first() if incident else None
    return to_incident(row) if row is not None else None
