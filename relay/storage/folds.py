"""What a card shows of folds: the effects of a root, and the root of an effect; few rows, however many are folded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import ColumnElement, Connection, func, select

from relay.core.event import Subject
from relay.core.identity import raised
from relay.core.incident import Incident
from relay.core.posting import Message
from relay.core.saying import is_workload
from relay.core.signal import Signal, State
from relay.storage import delivery
from relay.storage.rows import to_incident, to_message, to_signal
from relay.storage.tables import incidents, messages, postings, signals

NAMED: Final = 5
"""Effects that are told by name."""
COUNTED: Final = 2000
"""Failing things that are counted by their names."""


@dataclass(frozen=True, slots=True)
class Folds:
    """What is folded into an Incident, and into what it is folded itself."""

    effects: tuple[Subject, ...] = ()
    kinds: Mapping[str, int] = field(default_factory=dict)
    probably: bool = False
    root: Incident | None = None
    shown_in: Message | None = None
    """The Message that shows its root in the Channel that was asked for."""


NOT_FOLDED: Final = Folds()


def signals_of(connection: Connection, incident: Incident, limit: int) -> list[Signal]:
    """The members of `incident`, as `delivery.members`; of a root without members what its effects say first, oldest first."""
    if not incident.root:
        return delivery.members(connection, incident.id, limit)
    mine = incidents.c.folded_into == incident.id
    if incident.is_open:
        mine &= incidents.c.closed_at.is_(None)
    first = select(incidents.c.lead, incidents.c.id).where(mine).order_by(incidents.c.id).limit(limit).subquery()
    statement = select(signals).join(first, first.c.lead == signals.c.key).order_by(first.c.id)
    return [to_signal(tuple(row)) for row in connection.execute(statement)]


def folds_of(connection: Connection, incident: Incident, channel: str) -> Folds:
    """How `incident` is folded, as `channel` should see it; of most nothing is asked."""
    if incident.folded_into is not None:
        return _of_effect(connection, incident.folded_into, channel)
    return _of_cause(connection, incident) if incident.effects.total else NOT_FOLDED


def _of_cause(connection: Connection, incident: Incident) -> Folds:
    mine = (incidents.c.folded_into == incident.id) & incidents.c.closed_at.is_(None)
    weak = select(incidents.c.id).where(mine, incidents.c.probably).limit(1)
    names = select(incidents.c.cluster, incidents.c.kind, incidents.c.namespace, incidents.c.name)
    named = connection.execute(names.where(mine).order_by(incidents.c.id).limit(NAMED))
    return Folds(
        effects=tuple(Subject(*row) for row in named),
        kinds=_kinds(connection, mine),
        probably=connection.execute(weak).first() is not None,
    )


def _kinds(connection: Connection, mine: ColumnElement[bool]) -> Counter[str]:
    """How many things of each kind fail, as people call them; of very many effects how many Incidents they are."""
    subject = (signals.c.cluster, signals.c.kind, signals.c.namespace, signals.c.name)
    firing = (signals.c.incident == incidents.c.id) & (signals.c.state == State.FIRING.value)
    said = select(*subject).join(incidents, firing).where(mine).distinct().limit(COUNTED)
    things = {raised(Subject(*row)) for row in connection.execute(said)}
    if len(things) < COUNTED:
        return Counter(kind for kind, _, _ in {_called(thing) for thing in things})
    grouped = select(incidents.c.kind, func.count()).where(mine).group_by(incidents.c.kind)
    return Counter({row[0]: row[1] for row in connection.execute(grouped)})


def _called(thing: Subject) -> tuple[str, str, str]:
    """Equal for what people call by one name in one cluster or several."""
    return "Workload" if is_workload(thing) else thing.kind, thing.namespace, thing.name


def _of_effect(connection: Connection, root: str, channel: str) -> Folds:
    row = connection.execute(select(incidents).where(incidents.c.id == root)).first()
    if row is None:
        return NOT_FOLDED
    shown = (
        select(messages)
        .join(postings, postings.c.message == messages.c.id)
        .where(postings.c.incident == root, postings.c.channel == channel)
    )
    message = connection.execute(shown).first()
    return Folds(root=to_incident(tuple(row)), shown_in=to_message(tuple(message)) if message is not None else None)
