"""What was chosen becomes one Request: the core decided, the cards are made of what the database holds now. Nothing is written here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection

from relay.config.values import Configuration
from relay.core import cards, due, pace, packing, quiet, timeline
from relay.core.attention import ChannelPolicy, Loudness
from relay.core.card import Brief, Card, Form, Headline, Sign
from relay.core.due import Step, Why
from relay.core.event import Instant, Severity
from relay.core.incident import Incident
from relay.core.pace import Route
from relay.core.packing import CAPACITY, LOUDNESS, Choice, Kind, Reason
from relay.core.posting import Degraded, Message, Placement, Posting
from relay.core.saying import called
from relay.core.signal import Signal
from relay.core.tree import Library
from relay.core.values import replace, value
from relay.discord.message import Payload, render
from relay.reconcile.line import Line, Part, Request
from relay.reconcile.looking import HEADS, RANKS, Found, Look, found
from relay.storage import delivery, folds, lists
from relay.storage import quiet as rules
from relay.storage.delivery import Standing
from relay.storage.engine import Database

MEMBERS: Final = 200
"""Members that a card is made of; more are only counted."""
COUNT_EVERY: Final = 60.0
"""Seconds between two counts of the clusters: a new one is rare, and the count reads every object."""
AT_ONCE: Final = 16
"""Lines that are made before a sender may be heard again."""
BRIEFS: Final = 2_000
"""Lines that are remembered, each until its Incident changes: an edit of hundreds makes anew only what changed."""

Work = Callable[[Connection], Any]
"""Instead of a Request: what is to be written down, since there is nothing to send now."""


@value(frozen=True, slots=True)
class _Entry:
    """One of several in a Message: how it stands there. `is_bare`: no word from outside, since Discord refuses one of them."""

    incident: Incident
    posting: Posting
    form: Form
    is_bare: bool = False


class UnrenderableError(Exception):
    """A card that cannot be made: a bug of ours, at one Incident."""

    def __init__(self, incident: str, reason: Exception) -> None:
        super().__init__(incident)
        self.incident = incident
        self.reason = reason


class Renderer:
    """Makes Requests. Raises what the database raises, and whatever a bug of ours raises at one Incident."""

    def __init__(
        self, database: Database, configuration: Callable[[], Configuration], library: Callable[[], Library]
    ) -> None:
        self._database = database
        self._configuration = configuration
        self._library = library
        self._clusters, self._counted_at = 1, -COUNT_EVERY
        self._briefs: dict[str, tuple[object, Brief]] = {}

    def policy(self, line: Line) -> ChannelPolicy:
        """What the Channel shows; of one just removed the defaults, until its Line stops."""
        return self._configuration().policy.channels.get(line.name) or ChannelPolicy(line.name)

    async def request(self, line: Line, choice: Choice, look: Look, now: Instant) -> Request | Work:
        """The Request of a choice that sends; where there turns out to be nothing to send, what to write down instead."""
        match choice.reason, choice.kind:
            case Reason.CHANGES, _ if look.edit is not None and look.edit.due.message is not None:
                return await self._edited(line, look.edit.due.message, look.edit, now)
            case Reason.MOVED, _ if look.moved is not None:
                return await self._edited(line, look.moved, None, now)
            case Reason.GROWS, Kind() as kind:
                return await self._grown(line, look.rooms[kind], kind, now)
            case Reason.TOGETHER, Kind() as kind if look.first[kind].posting.degraded is Degraded.NO:
                return await self._together(line, choice, look, now)
            case ((Reason.ALONE | Reason.TOGETHER), Kind() as kind):
                return await self._alone(line, look.first[kind], look, now)
            case _:
                raise ValueError(choice)

    # --- one Posting ----------------------------------------------------------------------------------------------------

    async def _alone(self, line: Line, one: Found, look: Look, now: Instant) -> Request:
        """A new Message for one."""
        step, incident = one.step, one.due.incident
        mentioned = self._mentioned(one.kind, [incident], look, now)
        announces = _announces([one], look, now)
        card = await self._card(incident, now, one.posting)
        payload = render(
            [(card, step.form)],
            loudness=step.loudness if announces or one.kind is not Kind.ARRIVAL else Loudness.QUIET,
            mentions=self._names(line, mentioned, card),
            degraded=one.posting.degraded,
            jump=line.jump(one.due.message) if step.why is Why.END else None,
        )
        part = Part(one.posting, incident, step, step.form, is_new=True)
        takes = one.kind.value if one.kind is Kind.ARRIVAL and one.posting.degraded is Degraded.NO else ""
        return Request(
            Reason.ALONE, payload, Route.POST, step.form, (part,), None, one.kind, takes, mentioned, announces
        )

    async def _edited(self, line: Line, message: Message, one: Found | None, now: Instant) -> Request | Work:
        """An edit of `message`: `one` of it has changed, or something that stood there has moved."""
        if one is not None and (spread_at := await self._spread_at(line, message, now)) > now:
            return partial(delivery.put_off, channel=line.name, message_id=message.id, until=spread_at)
        standing = await self._database.read(lambda c: delivery.standing_in(c, message.id))
        if one is not None and one.posting.incident not in {each.incident.id for each in standing}:
            placed = Placement(one.posting.incident, line.name, one.step.form, len(standing))
            standing.append(Standing(placed, one.posting, one.due.incident))
        if message.discord_id is None or message.webhook != line.webhook.id:
            return partial(_leave, message=message)
        changed = [each.incident.reason for each in standing if _has_changed(each)]
        settled_at = packing.settled_at(changed, line.edits.get(message.id, ()), now)
        if one is not None and changed and settled_at > now:
            return partial(delivery.put_off, channel=line.name, message_id=message.id, until=settled_at)
        entries, parts, gone = self._standing(line, message, standing)
        match entries:
            case []:
                return partial(_leave, message=message)
            case [entry] if entry.form is Form.POINTER:
                return await self._pointer(line, message, entry, now)
            case [entry]:
                return await self._changed_alone(line, message, entry, parts, gone, now)
            case _:
                return await self._changed(line, message, entries, parts, gone, now)

    async def _spread_at(self, line: Line, message: Message, now: Instant) -> Instant:
        """When it may be edited: asked before all that stands in it is read."""
        edited_at = line.edited_at(message)
        if now - edited_at >= packing.GROW_EVERY:
            return now
        standing = await self._database.glance(lambda c: delivery.how_many_stand_in(c, message.id))
        return packing.spread_at(standing, edited_at, now)

    async def _changed_alone(
        self, line: Line, message: Message, entry: _Entry, parts: tuple[Part, ...], gone: tuple[str, ...], now: Instant
    ) -> Request:
        form = Form.LINE if entry.form is Form.GROUPED else entry.form
        card = await self._card(entry.incident, now, entry.posting, line)
        payload = render(
            [(card, form)],
            loudness=Loudness.QUIET,
            mentions=self._names(line, message.mentioned, card) if entry.incident.is_open else (),
            editing=True,
            degraded=entry.posting.degraded,
        )
        reason = Reason.CHANGES if parts else Reason.MOVED
        route = pace.edit_route(message.created_at, now)
        return Request(reason, payload, route, form, parts, message, takes=message.takes, gone=gone)

    async def _pointer(self, line: Line, message: Message, entry: _Entry, now: Instant) -> Request | Work:
        """A Message whose Incident moved to a newer one becomes a line that leads there."""
        led = [message.jump_to, entry.posting.message]
        targets = await self._database.glance(lambda c: delivery.messages_by_id(c, led))
        target = next((targets[one] for one in led if one in targets and one != message.id), None)
        if target is None:
            return partial(_leave, message=message)
        payload = render(
            [(await self._card(entry.incident, now), Form.POINTER)],
            loudness=Loudness.QUIET,
            editing=True,
            jump=line.jump(target),
        )
        return Request(Reason.MOVED, payload, pace.edit_route(message.created_at, now), Form.POINTER, (), message)

    # --- several --------------------------------------------------------------------------------------------------------

    async def _together(self, line: Line, choice: Choice, look: Look, now: Instant) -> Request | Work:
        """A new Message for several: the first that wait, of one kind."""
        kind, form = _kind(choice), choice.form
        batch = await self._batch(line, kind, min(line.room(form), line.most or CAPACITY[form]), now)
        if not batch:
            return _nothing
        mentioned = self._mentioned(kind, [one.due.incident for one in batch], look, now)
        entries = [_Entry(one.due.incident, one.posting, form) for one in batch]
        announces = _announces(batch, look, now)
        loudness = Loudness.NOTIFY if announces else LOUDNESS[kind]
        payload = await self._several(line, entries, now, kind=kind, loudness=loudness, mentioned=mentioned)
        line.held(form, payload.shown, len(batch))
        stands = {Kind.END: Form.END}.get(kind, form)
        parts = _new_parts(batch[: payload.shown], stands)
        takes = kind.value if kind.grows and payload.shown == len(batch) else ""
        return Request(
            Reason.TOGETHER, payload, Route.POST, form, parts, None, kind, takes, mentioned, announces, len(parts)
        )

    async def _grown(self, line: Line, message: Message, kind: Kind, now: Instant) -> Request | Work:
        """A Message with room takes those that wait, as many as it can."""
        standing = await self._database.read(lambda c: delivery.standing_in(c, message.id))
        entries, parts, gone = self._standing(line, message, standing)
        form = next((each.placement.form for each in standing if each.placement.form is not Form.POINTER), Form.FULL)
        if form is Form.FULL and kind is Kind.ARRIVAL:  # It is not alone any more.
            form = Form.COMPACT
        free = CAPACITY.get(form, 0) - len(entries)
        if free <= 0 or (form is Form.COMPACT and any(entry.form is Form.POINTER for entry in entries)):
            return partial(delivery.take_no_more, message_ids=[message.id])
        batch = await self._batch(line, kind, min(free, line.most or free), now)
        new = [_Entry(one.due.incident, one.posting, form) for one in batch]
        payload = await self._several(line, [*entries, *new], now, message=message, keep=len(entries))
        if payload.shown <= len(entries):
            return partial(delivery.take_no_more, message_ids=[message.id])
        fresh = _new_parts(batch[: payload.shown - len(entries)], form)
        return Request(
            Reason.GROWS,
            payload,
            pace.edit_route(message.created_at, now),
            form,
            (*parts, *fresh),
            message,
            kind,
            takes=message.takes if len(fresh) == len(batch) else "",
            among=payload.shown,
            gone=gone,
        )

    async def _changed(
        self,
        line: Line,
        message: Message,
        entries: list[_Entry],
        parts: tuple[Part, ...],
        gone: tuple[str, ...],
        now: Instant,
    ) -> Request:
        """A shared Message shows its members as they are now."""
        payload = await self._several(line, entries, now, message=message, keep=len(entries))
        tail = {entry.incident.id for entry in entries[payload.shown :]}
        return Request(
            Reason.CHANGES if parts else Reason.MOVED,
            payload,
            pace.edit_route(message.created_at, now),
            entries[0].form,
            tuple(part for part in parts if part.incident.id not in tail),
            message,
            takes=message.takes if not tail else "",
            among=len(entries),
            tail=tuple(tail),
            gone=gone,
        )

    async def _batch(self, line: Line, kind: Kind, limit: int, now: Instant) -> list[Found]:
        """The first that wait to share a new Message of this kind, or the room in one; none twice refused."""
        ranks, policy = RANKS[kind], self.policy(line)
        due = await self._database.read(lambda c: delivery.due_postings(c, line.name, now, limit + HEADS, ranks))
        asked = [found(line, one, policy, now) for one in due]
        batch = [one for one in asked if not one.is_stale and one.kind is kind and one.posting.degraded is Degraded.NO]
        return batch[:limit]

    def _standing(
        self, line: Line, message: Message, standing: Sequence[Standing]
    ) -> tuple[list[_Entry], tuple[Part, ...], tuple[str, ...]]:
        """How each stands in `message` by now, what of it is news, and who stands there no more."""
        entries: list[_Entry] = []
        parts: list[Part] = []
        gone: list[str] = []
        for each in standing:
            form, moved = each.placement.form, each.posting.message != message.id
            if moved and (form is Form.GROUPED or each.posting.message is None):
                gone.append(each.incident.id)
                continue
            news = not moved and _has_changed(each)
            trusted = not news or line.most is None or len(parts) < line.most
            bare = bool(each.posting.parked) or each.posting.degraded is not Degraded.NO or not trusted
            entries.append(_Entry(each.incident, each.posting, Form.POINTER if moved else form, bare and not moved))
            if news and trusted:
                step = Step(Why.EDIT, form)
                parts.append(Part(each.posting, each.incident, step, form, is_new=False))
        if any(entry.form is Form.COMPACT for entry in entries):  # Cards stand before lines.
            entries.sort(key=lambda entry: entry.form is not Form.COMPACT)
        return entries, tuple(parts), tuple(gone)

    async def _several(
        self,
        line: Line,
        entries: Sequence[_Entry],
        now: Instant,
        *,
        kind: Kind | None = None,
        loudness: Loudness = Loudness.QUIET,
        message: Message | None = None,
        mentioned: Severity = Severity.NONE,
        keep: int = 0,
    ) -> Payload:
        briefs = await self._briefs_of([entry for entry in entries if not entry.is_bare], now)
        parts: list[tuple[Card | Brief, Form]] = []
        for entry in entries:
            if entry.is_bare:
                parts.append((_bare(entry.incident), Form.GROUPED if entry.form is Form.GROUPED else Form.LINE))
            elif entry.form in (Form.FULL, Form.COMPACT):
                parts.append((await self._card(entry.incident, now, entry.posting), entry.form))
            else:
                parts.append((briefs[entry.incident.id], entry.form))
        called = message.mentioned if message is not None and any(e.incident.is_open for e in entries) else mentioned
        return render(
            parts,
            loudness=loudness,
            mentions=self._names(line, called),
            editing=message is not None,
            jumps=await self._jumps(line, entries),
            keep=keep,
            gone="came and went" if kind is Kind.OVER else "recovered",
            arrived_in=self._configuration().policy.cluster if _arrived(entries) else None,
        )

    async def _jumps(self, line: Line, entries: Iterable[_Entry]) -> dict[str, str]:
        """Where those stand now that have moved."""
        moved = {entry.incident.id: entry.posting.message for entry in entries if entry.form is Form.POINTER}
        if not moved:
            return {}
        targets = await self._database.glance(lambda c: delivery.messages_by_id(c, moved.values()))
        found = {incident: line.jump(targets.get(target or 0)) for incident, target in moved.items()}
        return {incident: jump for incident, jump in found.items() if jump is not None}

    # --- sound ----------------------------------------------------------------------------------------------------------

    def _mentioned(self, kind: Kind, incidents: Iterable[Incident], look: Look, now: Instant) -> Severity:
        """How bad what a new Message calls people for is; `NONE` where it calls nobody."""
        worst = max(incident.severity for incident in incidents)
        return worst if kind is Kind.PAGE and packing.mentions(look.mention, worst, now) else Severity.NONE

    def _names(self, line: Line, mentioned: Severity, card: Card | None = None) -> tuple[str, ...]:
        """The Channel's mentions, and of a Message of its own that of its card's owner, where the configuration knows it."""
        if mentioned is Severity.NONE:
            return ()
        owner = self._configuration().policy.owners.get(card.owner.lower(), "") if card is not None else ""
        return tuple(dict.fromkeys((*self.policy(line).mentions, *((owner,) if owner else ()))))

    # --- cards ----------------------------------------------------------------------------------------------------------

    async def _card(
        self, incident: Incident, now: Instant, posting: Posting | None = None, line: Line | None = None
    ) -> Card:
        repositories = self._configuration().policy.repositories
        only = next(iter(repositories)) if len(repositories) == 1 else ""
        members, entries, past = await self._database.glance(
            lambda c: (
                folds.signals_of(c, incident, MEMBERS),
                [] if incident.is_open else lists.journal_of(c, incident.id, timeline.ENTRIES),
                lists.past_of(c, incident, now, only),
            )
        )
        paged_at = posting.paged_at if posting is not None else None
        context = await self._context(incident, posting, now, line)
        context = replace(context, change=past.change, fixed_by=past.fixed_by, healed=past.healed)
        try:
            lead = cards.leading(incident, members)
            hint = self._library().hint(lead) if lead is not None else None
            if not incident.is_open:
                context = replace(context, timeline=timeline.moments(incident, members, entries, paged_at))
            return cards.build(incident, members, hint, context)
        except Exception as error:
            raise UnrenderableError(incident.id, error) from error

    async def _context(
        self, incident: Incident, posting: Posting | None, now: Instant, line: Line | None = None
    ) -> cards.Context:
        """What a card needs besides its Incident."""
        if now - self._counted_at > COUNT_EVERY:
            self._clusters, self._counted_at = await self._database.glance(lists.clusters_heard), now
        configuration = self._configuration()
        folded = folds.NOT_FOLDED
        if incident.folded_into is not None or incident.effects.total:
            channel = posting.channel if posting is not None else ""
            folded = await self._database.glance(lambda c: folds.folds_of(c, incident, channel))
        return cards.Context(
            effects=folded.effects,
            kinds=folded.kinds,
            probably=folded.probably,
            part_of=called(folded.root.subject) if folded.root is not None else "",
            part_url=(line.jump(folded.shown_in) if line is not None else None) or "",
            now=now,
            clusters=self._clusters,
            repositories=configuration.policy.repositories,
            handbook=configuration.handbook,
            quiet=await self._quiet(posting, now) if posting is not None and due.is_quiet(posting) else "",
            late=now - incident.visible_at if posting is not None and _comes_late(posting, incident) else 0.0,
        )

    async def _quiet(self, posting: Posting, now: Instant) -> str:
        """`until 07:30, by ada`: the rule that takes its sound."""
        configuration = self._configuration()
        rule = next((one for one in configuration.policy.quiet if one.key == posting.quiet), None)
        rule = rule or await self._database.glance(lambda c: rules.find(c, posting.quiet))
        return quiet.said(rule, configuration.zone, now) if rule is not None else ""

    async def briefs(self, shown: Sequence[tuple[Incident, Posting]], now: Instant) -> dict[str, Brief]:
        """The line of each Incident, as its Posting shows it."""
        return await self._briefs_of([_Entry(incident, posting, Form.LINE) for incident, posting in shown], now)

    async def _briefs_of(self, entries: Iterable[_Entry], now: Instant) -> dict[str, Brief]:
        """The line of each, made anew where its Incident has changed since; no line walks a tree that it need not."""
        library, briefs, missing = self._library(), {}, []
        for entry in entries:
            incident = entry.incident
            known = self._briefs.get(incident.id)
            if known is not None and known[0] == _look_of(entry, library, self._clusters):
                briefs[incident.id] = known[1]
            else:
                missing.append(entry)
        members = await self._members_of([entry.incident for entry in missing])
        for number, entry in enumerate(missing, 1):
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
            incident = entry.incident
            signals = members[incident.id]
            context = await self._context(incident, entry.posting, now)
            try:
                lead = cards.leading(incident, signals)
                hint = library.gist(lead) if lead is not None else None
                briefs[incident.id] = cards.brief(incident, signals, hint, context)
            except Exception as error:
                raise UnrenderableError(incident.id, error) from error
            if context.late <= cards.LATE:
                self._briefs.pop(incident.id, None)
                self._briefs[incident.id] = (_look_of(entry, library, self._clusters), briefs[incident.id])
        for oldest in list(self._briefs)[: max(0, len(self._briefs) - BRIEFS)]:
            del self._briefs[oldest]
        return briefs

    async def _members_of(self, incidents: Collection[Incident]) -> dict[str, Sequence[Signal]]:
        """The Signals of each: of most it is the only one, and all those are read at once."""
        single = {incident.lead for incident in incidents if incident.members == 1}

        def read(c: Connection) -> dict[str, Sequence[Signal]]:
            leads = delivery.leads(c, single)
            return {
                one.id: [leads[one.lead]] if one.lead in leads and not one.root else folds.signals_of(c, one, MEMBERS)
                for one in incidents
            }

        return await self._database.read(read) if incidents else {}


def _look_of(entry: _Entry, library: Library, clusters: int) -> object:
    """What a line depends on besides the clock."""
    incident = entry.incident
    return incident.version, incident.reason, incident.folded_into, entry.posting.quiet, id(library), clusters


def _bare(incident: Incident) -> Brief:
    """Without a word from outside: Discord refuses one of them, or what would be said of it."""
    sign, state = (Sign.WARNING, "cannot be shown here") if incident.is_open else (Sign.RECOVERED, "is over")
    return Brief(
        incident=incident.id,
        handle=incident.handle,
        headline=Headline(sign, incident.handle, state),
        severity=incident.severity,
        state="",
        namespace="",
        since=incident.since,
        until=incident.closed_at,
    )


def _has_changed(each: Standing) -> bool:
    """Whether what it shows is not what it is by now; what arrives elsewhere is shown there."""
    posting = each.posting
    return posting.wanted > posting.shown and not posting.parked and not (posting.arrived and posting.shown == 0)


def _comes_late(posting: Posting, incident: Incident) -> bool:
    return posting.shown == 0 and incident.is_open and not posting.arrived


def _arrived(entries: Iterable[_Entry]) -> bool:
    """Whether it is the Message of what was there before: nothing else stands among that."""
    return any(entry.posting.arrived and entry.form is not Form.POINTER for entry in entries)


def _announces(batch: Sequence[Found], look: Look, now: Instant) -> bool:
    """Whether a new Message of these makes the one sound of an arrival."""
    loudest = max(one.step.loudness for one in batch)
    return batch[0].kind is Kind.ARRIVAL and packing.announces(loudest, look.arrival, now)


def _new_parts(batch: Sequence[Found], form: Form) -> tuple[Part, ...]:
    return tuple(Part(one.posting, one.due.incident, one.step, form, is_new=True) for one in batch)


def _kind(choice: Choice) -> Kind:
    if choice.kind is None:
        raise ValueError(choice)
    return choice.kind


def _leave(c: Connection, message: Message) -> None:
    """There is no way to say it there, or nothing to say: it stays as it is."""
    delivery.update_message(c, replace(message, due_at=None))


def _nothing(_: Connection) -> None:
    """What waited does so no more."""
