"""Known is what one batch has loaded: Events are applied to it in memory, and what changed is written once.

It is the one mutable value of the core, lives for one transaction, and holds nothing that was not loaded or made in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from relay.core.event import Event, Instant, Source, Subject
from relay.core.identity import join_keys, named_keys
from relay.core.incident import Incident, Reason
from relay.core.policy import Grouping
from relay.core.posting import Posting
from relay.core.signal import Signal
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
    """How often it failed and healed within its hold since it was last shown."""
    healed_at: Instant | None = None
    uid: str = ""
    uid_before: str = ""
    twin: bool = False
    """Two uids take turns: two clusters share a name."""


@value(frozen=True, slots=True)
class Entry:
    """One decision, for the journal: what, why, about whom. Never text from outside."""

    at: Instant
    reason: Reason
    source: Source
    signal: str = ""
    incident: str = ""
    channel: str = ""


@dataclass(slots=True)
class Wanted:
    """The keys that a batch must load before it can decide: gathered from its Events, looked up by a fixed number of statements."""

    signals: set[str] = field(default_factory=set)
    semantic: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    objects: set[str] = field(default_factory=set)
    digests: set[str] = field(default_factory=set)

    def add(self, event: Event, grouping: Grouping = Grouping.ALERTNAME) -> None:
        self.signals.add(event.signal_key)
        if event.semantic_key:
            self.semantic.add(event.semantic_key)
        self.keys.update(join_keys(event, grouping))
        self.keys.update(named_keys(event))
        if event.source is Source.FLUX:
            self.objects.add(event.subject.key)
        if event.digest:
            self.digests.add(event.digest)

    @classmethod
    def of(cls, events: Iterable[Event], grouping: Grouping = Grouping.ALERTNAME) -> Wanted:
        wanted = cls()
        for event in events:
            wanted.add(event, grouping)
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
    """Key of a cause → the open Incidents that would fold under it, each with the name of the edge that says so."""
    postings: dict[tuple[str, str], Posting] = field(default_factory=dict)
    """(Incident, Channel) → Posting."""
    objects: dict[str, KnownObject] = field(default_factory=dict)
    recent: dict[str, Instant] = field(default_factory=dict)
    """Digest → when it was last received."""

    changed_signals: set[str] = field(default_factory=set)
    touched_signals: set[str] = field(default_factory=set)
    """Those of which only times and count moved: a repeat should cost as little as it means."""
    changed_incidents: set[str] = field(default_factory=set)
    changed_postings: set[tuple[str, str]] = field(default_factory=set)
    changed_objects: set[str] = field(default_factory=set)
    new_keys: dict[str, str] = field(default_factory=dict)
    released: set[str] = field(default_factory=set)
    """Incidents that are over: their join keys are given up."""
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

    def remember(self, digest: str, at: Instant) -> None:
        self.recent[digest] = at
        self.new_digests[digest] = at

    def postings_of(self, incident: str) -> list[Posting]:
        if self._channels is None:
            self._channels = {}
            for owner, channel in self.postings:
                self._channels.setdefault(owner, []).append(channel)
        return [self.postings[incident, channel] for channel in self._channels.get(incident, ())]
