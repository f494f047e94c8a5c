"""Known is what one batch has loaded: Events are applied to it in memory, and what changed is written once.

It is the one mutable value of the core, lives for one transaction, and holds nothing that was not loaded or made in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from relay.core import changes, rollout
from relay.core.edges import NO_EDGES, NO_LINKS, Edges, Links
from relay.core.event import Effect, Event, Instant, Source, Subject
from relay.core.heartbeats import Heartbeat, names_of
from relay.core.identity import digest, join_keys, object_keys
from relay.core.incident import Incident, Reason
from relay.core.policy import Grouping, Policy
from relay.core.posting import Posting
from relay.core.quiet import Rule
from relay.core.rollout import Rollout
from relay.core.signal import Signal, cause_of
from relay.core.values import value


@value(frozen=True, slots=True)
class KnownObject:
    """What is remembered of a Flux object between its Signals. Sender's times, but `seen_at`, `healed_at` and `beat_at`."""

    subject: Subject
    seen_at: Instant
    revision: str = ""
    revision_since: Instant | None = None
    succeeded_at: Instant | None = None
    """Its last success: an Event older than it never reopens."""
    beats: int = 0
    beat_at: Instant | None = None
    longest_gap: float = 0.0
    """Seconds between two of its beats, at most."""
    healed: int = 0
    """How often it failed and healed within its hold, a day apart at most."""
    healed_at: Instant | None = None
    uid: str = ""
    uid_before: str = ""
    twin: bool = False
    """Two uids take turns: two clusters share a name."""
    changed_at: Instant | None = None
    """When something was last changed about it, by the sender's clock."""
    changed_by: str = ""
    """The revision that did."""
    change: str = ""
    """In words, where there are any: `app-template 3.5.0 → 3.5.1`."""


@value(frozen=True, slots=True)
class Entry:
    """One decision, for the journal: what, why, about whom. Never text from outside."""

    at: Instant
    reason: Reason
    source: Source
    signal: str = ""
    incident: str = ""
    channel: str = ""
    other: str = ""
    """The Incident that it was folded into, or that it had been."""


@lru_cache(maxsize=256)
def progress_key(cluster: str) -> str:
    """Held by the Incident that stands for `cluster` while it is on its way (`core/progress.py`)."""
    return "p:" + digest(cluster)


def cluster_of(event: Event) -> Subject:
    """Under which it is remembered when something in its cluster last became ready."""
    name = event.subject.cluster
    return Subject(name, "Cluster", "", name)


MOVES: Final = 300.0
"""Seconds since the last object became ready in which more will."""


def moves(here: KnownObject | None, now: Instant) -> bool:
    """Whether something in a cluster, of which `here` is what is remembered, became ready a moment ago."""
    return here is not None and here.succeeded_at is not None and now - here.succeeded_at <= MOVES


def keys_of(event: Event, policy: Policy) -> tuple[str, ...]:
    """The join keys of `event`, as the configuration wants things joined."""
    whole = policy.incidents.group is Grouping.WHOLE
    return join_keys(event, whole=whole, across=policy.several_clusters)


@dataclass(slots=True)
class Wanted:
    """The keys that a batch must load before it can decide: gathered from its Events, looked up by a fixed number of statements."""

    signals: set[str] = field(default_factory=set)
    semantic: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    objects: set[str] = field(default_factory=set)
    digests: set[str] = field(default_factory=set)
    heartbeats: set[str] = field(default_factory=set)
    rollouts: set[str] = field(default_factory=set)

    moving: set[str] = field(default_factory=set)
    """Clusters in which something may become ready now."""
    openings: dict[str, list[Event]] = field(default_factory=dict)
    """By signal, the Events that may open something: their edges are asked for once it is known whether they do."""
    edges: Edges = NO_EDGES

    def add(self, event: Event, policy: Policy) -> None:
        self.signals.add(event.signal_key)
        if event.semantic_key:
            self.semantic.add(event.semantic_key)
        self.keys.update(keys_of(event, policy))
        self.objects.update(changes.keys_of(event))
        if event.source is Source.FLUX:
            self.keys.add(progress_key(event.subject.cluster))
            self.objects.add(cluster_of(event).key)
            if event.effect is Effect.CLOSES:
                self.moving.add(event.subject.cluster)
            self.rollouts.update(rollout.keys_of(event))
        if event.digest:
            self.digests.add(event.digest)
        if beats := names_of(event, policy.heartbeats):
            self.heartbeats.update(beats)
        if event.effect is Effect.OPENS and policy.edges.all:
            self.edges = policy.edges
            self.openings.setdefault(event.signal_key, []).append(event)

    @classmethod
    def of(cls, events: Iterable[Event], policy: Policy) -> Wanted:
        wanted = cls()
        for event in events:
            wanted.add(event, policy)
        return wanted


@dataclass(slots=True)
class Known:
    """Loaded values by key, and which of them changed. Storage fills it (`load`) and writes its changes (`save`)."""

    signals: dict[str, Signal] = field(default_factory=dict)
    siblings: dict[str, set[str]] = field(default_factory=dict)
    """Semantic key → keys of the Signals that differ only in severity."""
    incidents: dict[str, Incident] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    """Join key → the open Incident that holds it."""
    waiting: dict[str, dict[str, str]] = field(default_factory=dict)
    """Key of a cause that nobody holds → the open Incidents that would fold under it, each with the name of the edge that says so."""
    links: dict[tuple[str, str], Links] = field(default_factory=dict)
    """(Signal, cause) → what its edges say: each is asked once."""
    postings: dict[tuple[str, str], Posting] = field(default_factory=dict)
    """(Incident, Channel) → Posting."""
    objects: dict[str, KnownObject] = field(default_factory=dict)
    heartbeats: dict[str, Heartbeat] = field(default_factory=dict)
    rollouts: dict[str, Rollout] = field(default_factory=dict)
    recent: dict[str, Instant] = field(default_factory=dict)
    """Digest → when it was last received."""
    quiet: tuple[Rule, ...] = ()
    """The quiet that people asked for."""
    first_heard: Mapping[str, Instant] = field(default_factory=dict)
    """By sender: when it was first heard. Of one that is not named here nothing is old."""

    said_before: dict[str, Instant] = field(default_factory=dict)
    """Of Signals that this batch repeats: when they were said before it."""
    awake_since: Instant = 0.0
    """Since when the relay listens: what was not heard before it was no silence."""

    changed_signals: set[str] = field(default_factory=set)
    touched_signals: set[str] = field(default_factory=set)
    """Those of which only times and count moved: a repeat should cost as little as it means."""
    changed_incidents: set[str] = field(default_factory=set)
    changed_postings: set[tuple[str, str]] = field(default_factory=set)
    changed_objects: set[str] = field(default_factory=set)
    changed_heartbeats: set[str] = field(default_factory=set)
    changed_rollouts: set[str] = field(default_factory=set)
    twins: dict[str, str] = field(default_factory=dict)
    """Clusters whose name another one has too, each with an object that says so."""
    new_keys: dict[str, str] = field(default_factory=dict)
    released: set[str] = field(default_factory=set)
    """Incidents that are over: their join keys are given up."""
    new_waiting: dict[tuple[str, str], str] = field(default_factory=dict)
    """(Key of a cause, Incident) → the edge."""
    unwaited: set[str] = field(default_factory=set)
    """Incidents that wait for nothing any more, but what is in `new_waiting`."""
    refolded: dict[str, str] = field(default_factory=dict)
    """Cause → the root that it was folded into: so are all its effects, those too that are not loaded."""
    handed_over: list[tuple[int, str, str, str]] = field(default_factory=list)
    """Messages that a root took from its effect: the Message, the effect, the root, the Channel."""
    new_digests: dict[str, Instant] = field(default_factory=dict)
    journal: list[Entry] = field(default_factory=list)
    _channels: dict[str, list[str]] | None = None
    _held_keys: dict[str, set[str]] | None = None

    def put_signal(self, signal: Signal) -> None:
        self.signals[signal.key] = signal
        self.changed_signals.add(signal.key)
        if signal.semantic_key:
            self.siblings.setdefault(signal.semantic_key, set()).add(signal.key)

    def touch_signal(self, signal: Signal) -> None:
        """`signal` differs from what was known in `seen_at`, `sent_at` and `count` alone."""
        self.signals[signal.key] = signal
        self.touched_signals.add(signal.key)

    def put_incident(self, incident: Incident) -> None:
        self.incidents[incident.id] = incident
        self.changed_incidents.add(incident.id)

    def put_posting(self, posting: Posting) -> None:
        if (posting.incident, posting.channel) not in self.postings and self._channels is not None:
            self._channels.setdefault(posting.incident, []).append(posting.channel)
        self.postings[posting.incident, posting.channel] = posting
        self.changed_postings.add((posting.incident, posting.channel))

    def put_heartbeat(self, beat: Heartbeat) -> None:
        self.heartbeats[beat.name] = beat
        self.changed_heartbeats.add(beat.name)

    def put_rollout(self, one: Rollout) -> None:
        self.rollouts[one.key] = one
        self.changed_rollouts.add(one.key)

    def object_of(self, subject: Subject, now: Instant) -> KnownObject:
        """What is remembered of `subject`, if anything is."""
        return self.objects.get(subject.key) or KnownObject(subject, now)

    def put_object(self, thing: KnownObject) -> None:
        self.objects[thing.subject.key] = thing
        self.changed_objects.add(thing.subject.key)

    def claim(self, key: str, incident: str) -> None:
        """`key` belongs to `incident` from now on, unless another open one holds it."""
        if key not in self.keys:
            self.keys[key] = incident
            self.new_keys[key] = incident
            if self._held_keys is not None:
                self._held_keys.setdefault(incident, set()).add(key)

    def release(self, incident: str) -> None:
        """Give up the join keys of an Incident that is over."""
        if self._held_keys is None:
            self._held_keys = {}
            for key, holder in self.keys.items():
                self._held_keys.setdefault(holder, set()).add(key)
        for key in self._held_keys.pop(incident, ()):
            del self.keys[key]
            self.new_keys.pop(key, None)
        self.released.add(incident)
        self.unwait(incident)

    def wait(self, key: str, incident: str, edge: str) -> None:
        """`incident` would fold under whoever holds `key`."""
        self.waiting.setdefault(key, {})[incident] = edge
        self.new_waiting[key, incident] = edge

    def unwait(self, incident: str) -> None:
        """It waits for no cause any more."""
        self.unwaited.add(incident)
        for key, owner in [pair for pair in self.new_waiting if pair[1] == incident]:
            del self.new_waiting[key, owner]
        for waiting in self.waiting.values():
            waiting.pop(incident, None)

    def links_of(self, thing: Event | Signal, policy: Policy) -> Links:
        """What the edges say of `thing`."""
        if not policy.edges.all or thing.source is Source.RELAY:
            return NO_LINKS
        asked = (thing.signal_key, cause_of(thing)) if isinstance(thing, Event) else (thing.key, thing.cause)
        found = self.links.get(asked)
        if found is None:
            found = self.links[asked] = policy.edges.links(thing)
        return found

    def foresee(self, wanted: Wanted) -> tuple[set[str], set[str]]:
        """The keys by which what opens, or has another cause, finds its causes, and those by which it finds its effects, or its like.

        A repeat asks for nothing.
        """
        causes: set[str] = set()
        effects: set[str] = set()
        for events in wanted.openings.values():
            for event in events:
                if len(events) == 1 and self._is_repeat(event):
                    continue
                links = self.links[event.signal_key, cause_of(event)] = wanted.edges.links(event)
                effects.update(object_keys(event.subject), links.claims)
                effects.update(cause.key for cause in links.causes if cause.root is not None)
                causes.update(cause.key for cause in links.causes)
                if event.source is Source.FLUX and self._moves(event, wanted):
                    effects.add(progress_key(event.subject.cluster))
        return (causes | effects) - self.keys.keys(), effects - self.keys.keys()

    def _moves(self, event: Event, wanted: Wanted) -> bool:
        """Whether its cluster is on its way, or may be by what the batch tells: only then matters what else waits in it."""
        here = self.objects.get(cluster_of(event).key)
        return event.subject.cluster in wanted.moving or moves(here, event.received_at)

    def _is_repeat(self, event: Event) -> bool:
        """Whether it says of a firing Signal, whose Incident is open, what that says already."""
        signal = self.signals.get(event.signal_key)
        if signal is None or not signal.keeps_open or signal.incident is None or signal.cause != cause_of(event):
            return False
        owner = self.incidents.get(signal.incident)
        return owner is not None and owner.is_open

    def remember(self, digest: str, at: Instant) -> None:
        self.recent[digest] = at
        self.new_digests[digest] = at

    def postings_of(self, incident: str) -> list[Posting]:
        if self._channels is None:
            self._channels = {}
            for owner, channel in self.postings:
                self._channels.setdefault(owner, []).append(channel)
        return [self.postings[incident, channel] for channel in self._channels.get(incident, ())]
