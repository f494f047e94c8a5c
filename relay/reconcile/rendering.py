"""What is due becomes one Request: the core decides the step, the card is made of what the database holds now. Nothing is written here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from relay.config.values import Configuration
from relay.core import cards, due, pace, timeline
from relay.core.attention import ChannelPolicy, Loudness
from relay.core.card import Card, Form
from relay.core.due import Step, Why
from relay.core.event import Instant
from relay.core.incident import Incident
from relay.core.pace import Route
from relay.core.posting import Message, Posting
from relay.core.tree import Library
from relay.core.values import replace
from relay.discord.message import render
from relay.reconcile.line import Line, Request
from relay.storage import delivery, lists
from relay.storage.engine import Database

MEMBERS: Final = 200
"""Members that a card is made of; more are only counted."""
COUNT_EVERY: Final = 60.0
"""Seconds between two counts of the clusters: a new one is rare, and the count reads every object."""


class Renderer:
    """Makes Requests. Raises what the database raises, and whatever a bug of ours raises at one Incident."""

    def __init__(
        self, database: Database, configuration: Callable[[], Configuration], library: Callable[[], Library]
    ) -> None:
        self._database = database
        self._configuration = configuration
        self._library = library
        self._clusters, self._counted_at = 1, -COUNT_EVERY

    def policy(self, line: Line) -> ChannelPolicy:
        """What the Channel shows; of one just removed the defaults, until its Line stops."""
        return self._configuration().policy.channels.get(line.name) or ChannelPolicy(line.name)

    def step(self, line: Line, found: delivery.DuePosting, now: Instant) -> tuple[Posting, Step]:
        """What a due Posting needs. It counts as without a message where the one it has cannot be edited from here."""
        posting = _as_editable(found.posting, found.message, line.webhook.id)
        return posting, due.next_step(posting, found.incident, self.policy(line), now)

    async def of_posting(
        self, line: Line, found: delivery.DuePosting, posting: Posting, step: Step, now: Instant
    ) -> Request:
        """The Request of a step that sends."""
        message = found.message if step.why is Why.EDIT else None
        calls = step.loudness is Loudness.PAGE or _calls(found.incident, posting, message)
        payload = render(
            [(await self._card(found.incident, now, posting.paged_at), step.form)],
            loudness=step.loudness,
            mentions=self.policy(line).mentions if calls else (),
            editing=message is not None,
            degraded=posting.degraded,
            jump=line.jump(found.message) if step.why is Why.END else None,
        )
        return Request(step, payload, _route(message, now), posting, found.incident, message, found.posting.due_at)

    async def of_pointer(self, line: Line, message: Message, now: Instant) -> Request | None:
        """A Message whose Incident moved to a newer one becomes a line that leads there; None where there is no way to say so."""
        target, placed = await self._database.read(
            lambda c: (
                delivery.message_by_id(c, message.jump_to) if message.jump_to is not None else None,
                delivery.placements_of(c, message.id),
            )
        )
        incident = await self._database.read(lambda c: lists.incident_by_id(c, placed[0].incident)) if placed else None
        if message.discord_id is None or message.webhook != line.webhook.id or target is None or incident is None:
            return None
        payload = render(
            [(await self._card(incident, now), Form.POINTER)],
            loudness=Loudness.QUIET,
            editing=True,
            jump=line.jump(target),
        )
        step = Step(Why.EDIT, Form.POINTER)
        return Request(step, payload, _route(message, now), None, None, message, message.due_at)

    async def _card(self, incident: Incident, now: Instant, paged_at: Instant | None = None) -> Card:
        members, entries = await self._database.read(
            lambda c: (
                delivery.members(c, incident.id, MEMBERS),
                [] if incident.is_open else lists.journal_of(c, incident.id, timeline.ENTRIES),
            )
        )
        if now - self._counted_at > COUNT_EVERY:
            self._clusters, self._counted_at = await self._database.read(lists.clusters_heard), now
        lead = cards.leading(incident, members)
        hint = self._library().hint(lead) if lead is not None else None
        configuration = self._configuration()
        context = cards.Context(
            now=now,
            clusters=self._clusters,
            repositories=configuration.policy.repositories,
            handbook=configuration.handbook,
            timeline=() if incident.is_open else timeline.moments(incident, members, entries, paged_at),
        )
        return cards.build(incident, members, hint, context)


def _calls(incident: Incident, posting: Posting, message: Message | None) -> bool:
    """Whether an edit of `message` keeps the mention: it is the page itself, and what it called for goes on."""
    return message is not None and incident.is_open and posting.paged_at == message.created_at


def _as_editable(posting: Posting, message: Message | None, webhook: str) -> Posting:
    """`posting` as if it had no message, where the one it has cannot be edited: gone, without an id, or another webhook's."""
    if message is None or message.gone or message.discord_id is None or message.webhook != webhook:
        return replace(posting, message=None)
    return posting


def _route(message: Message | None, now: Instant) -> Route:
    if message is None:
        return Route.POST
    return Route.OLD_EDIT if now - message.created_at >= pace.OLD else Route.EDIT
