"""A world in which things fail, heal and are told, in memory or in a real database; with edges, or as one that never folds."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from sqlalchemy import Engine, create_engine

from relay.config.edges import load_edges
from relay.core import due, folding, joining
from relay.core.due import Step, Why
from relay.core.edges import NO_EDGES
from relay.core.event import Event, Instant, Subject
from relay.core.incident import Firing, Incident
from relay.core.known import Known, Wanted
from relay.core.policy import Policy
from relay.core.posting import Posting
from relay.storage import ledger, tables
from tests.core.make import NOW, POLICY

EDGES = load_edges()
FOLDING = replace(POLICY, edges=EDGES)
NEVER = replace(POLICY, edges=NO_EDGES)


@dataclass
class World:
    """What a relay knows, and what its Channels were told: `(when, incident, step)`."""

    policy: Policy = FOLDING
    known: Known = field(default_factory=Known)
    sent: list[tuple[Instant, str, Step]] = field(default_factory=list)
    now: Instant = NOW
    messages: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def take(self, *events: Event) -> None:
        for event in events:
            self.now = max(self.now, event.received_at)
            joining.take(self.known, event, self.policy)

    def tick(self, now: Instant) -> None:
        """Time passes: what is due by the clock is done."""
        self.now = max(self.now, now)
        while found := self._tended():
            cause = self.known.incidents[found[0]]
            look = folding.gather if cause.is_open and cause.silent_since is None else folding.tend
            look(self.known, *found, self.now, self.policy, more=False)

    def _tended(self) -> tuple[str, list[Incident], dict[str, list[tuple[str, str]]]] | None:
        for cause in self.known.incidents.values():
            if cause.tend_at is not None and cause.tend_at <= self.now:
                goes_on = cause.is_open and cause.silent_since is None
                of = None if goes_on else cause.id
                effects = [one for one in self.known.incidents.values() if one.folded_into == of and one.is_open]
                waits: dict[str, list[tuple[str, str]]] = {}
                for key, waiting in self.known.waiting.items():
                    for effect, edge in waiting.items():
                        waits.setdefault(effect, []).append((key, edge))
                return cause.id, sorted(effects, key=lambda one: one.id), waits
        return None

    def keep(self) -> None:
        """What a test changed by hand is as if the relay had."""

    def send(self) -> None:
        """Everything due is told, as the sender would."""
        for _ in range(9):
            dueing = [one for one in self.postings() if one.due_at is not None and one.due_at <= self.now]
            if not dueing:
                return
            for posting in sorted(dueing, key=lambda one: (one.rank, one.incident)):
                self._tell(posting)
        raise AssertionError("it never comes to rest")

    def _tell(self, posting: Posting) -> None:
        incident, channel = self.known.incidents[posting.incident], self.policy.channels[posting.channel]
        step = due.next_step(posting, incident, channel, self.now)
        if not step.sends:
            self.known.put_posting(due.scheduled(posting, incident, channel, self.now))
            return
        assert step.posts or posting.message is not None
        message = next(self.messages) if step.posts or posting.message is None else posting.message
        self.sent.append((self.now, incident.id, step))
        self.known.put_posting(
            due.shown(posting, incident, channel, step, self.now, asked=posting, message=message, settle=120.0)
        )

    # --- what is seen of it -------------------------------------------------------------------------------------------

    def postings(self) -> list[Posting]:
        return list(self.known.postings.values())

    def open(self) -> list[Incident]:
        return sorted((one for one in self.known.incidents.values() if one.is_open), key=lambda one: one.opened_at)

    def shown(self) -> list[Incident]:
        """What stands for itself."""
        return [one for one in self.open() if one.folded_into is None]

    def of(self, subject: Subject) -> Incident:
        (found,) = [one for one in self.known.incidents.values() if one.subject == subject]
        return found

    def folds(self) -> dict[str, str]:
        """Effect → root, by what people call them."""
        named = {one.id: one.root or one.subject.place for one in self.known.incidents.values()}
        return {named[one.id]: named[one.folded_into] for one in self.open() if one.folded_into is not None}

    def told(self, *whys: Why) -> list[tuple[str, Why]]:
        named = {one.id: one.root or one.subject.place for one in self.known.incidents.values()}
        return [(named[incident], step.why) for _, incident, step in self.sent if not whys or step.why in whys]


def _database() -> Engine:
    engine = create_engine("sqlite://")
    tables.metadata.create_all(engine)
    return engine


@dataclass
class Stored(World):
    """The same, each batch through a real database: nothing is kept in memory between two."""

    engine: Engine = field(default_factory=_database)

    def take(self, *events: Event) -> None:
        with self.engine.begin() as connection:
            known = ledger.load(connection, Wanted.of(events, self.policy))
            for event in events:
                self.now = max(self.now, event.received_at)
                joining.take(known, event, self.policy)
            ledger.save(connection, known)
        self._look()

    def tick(self, now: Instant) -> None:
        self.now = max(self.now, now)
        with self.engine.begin() as connection:
            while (found := ledger.tended(connection, self.now)) is not None:
                known = ledger.load(connection, Wanted(signals=found.leads, keys=found.keys), incidents=found.ids)
                look = folding.gather if found.goes_on else folding.tend
                look(known, found.cause.id, found.effects, found.waits, self.now, self.policy, more=found.more)
                ledger.save(connection, known)
        self._look()

    def keep(self) -> None:
        with self.engine.begin() as connection:
            ledger.save(connection, self.known)

    def send(self) -> None:
        before = dict(self.known.postings)
        super().send()
        with self.engine.begin() as connection:
            told = Known()
            for key, posting in self.known.postings.items():
                if before.get(key) != posting:
                    told.put_posting(posting)
            ledger.save(connection, told)
        self._look()

    def _look(self) -> None:
        with self.engine.begin() as connection:
            ids = list(connection.execute(tables.incidents.select().with_only_columns(tables.incidents.c.id)).scalars())
            keys = list(connection.execute(tables.signals.select().with_only_columns(tables.signals.c.key)).scalars())
            self.known = ledger.load(connection, Wanted(signals=set(keys)), incidents=ids)


def counted(effects: Iterable[Incident]) -> Firing:
    total = Firing()
    for effect in effects:
        total = total.plus(effect.severity, 1)
    return total
