"""Edges say which problem is another's effect. They are data, looked up by key: no pair of Incidents is ever compared.

An edge holds only where every fact that joins is there on both sides: missing is not equal. Strong edges go before weak ones, and
named objects before Signals and roots.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

import re2

from relay.core.event import Event, Instant, Source, Subject
from relay.core.identity import digest, object_keys, raised, subject_key
from relay.core.labels import Matcher, Matchers, Op
from relay.core.patterns import PatternSet
from relay.core.values import value

if TYPE_CHECKING:
    from relay.core.signal import Signal

REMEMBERED: Final = 4096
"""Choices of edges that are remembered: kinds, reasons and alert names come again and again."""

# --- what stands under an edge's `cause:` ---------------------------------------------------------------------------------

_BLANK: Final = re2.compile(r"<([a-z_][a-z0-9_]*)>")


@dataclass(frozen=True, slots=True)
class Text:
    """A text with blanks: `webhook:<webhook>`. Every blank is a fact, or a named group of the edge's patterns."""

    text: str

    @property
    def blanks(self) -> tuple[str, ...]:
        return tuple(_BLANK.findall(self.text))

    def filled(self, facts: Mapping[str, str]) -> str:
        """With its facts; empty where one of them is missing."""
        if not all(facts.get(name) for name in self.blanks):
            return ""
        return str(_BLANK.sub(lambda found: facts[found[1]], self.text))


@dataclass(frozen=True, slots=True)
class ObjectCause:
    """The Incident of this object: `GitRepository/<namespace>/<name>`; kind `Workload` is whatever made the pods."""

    kind: Text
    namespace: Text
    name: Text


@dataclass(frozen=True, slots=True)
class NamedCause:
    """The Incident of an object that the message names as unhealthy: a health-check list."""


@dataclass(frozen=True, slots=True)
class SignalCause:
    """The Incident of a Signal that matches `when`, in the same cluster, with `equal` facts."""

    when: Matchers
    equal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RootCause:
    """A cause that does not report itself, under a key of its own: an Incident without members, opened for `threshold` effects."""

    root: Text
    threshold: int = 2
    within: float | None = None
    """Seconds in which so many must have begun."""


CauseOf: TypeAlias = ObjectCause | NamedCause | SignalCause | RootCause


@dataclass(frozen=True, slots=True)
class Example:
    """What the edge makes of given facts: the key of their cause, as people write it; or that there is `never` one."""

    given: Mapping[str, str]
    under: str
    """`GitRepository/flux-system/main`, `webhook:kyverno-svc`, `node=pve2`; empty for `never`."""
    line: int = 0
    is_cause: bool = False
    """It is such a cause itself."""


@dataclass(frozen=True)
class Edge:
    """One kind of effect and where its cause is found."""

    name: str
    title: str
    effect: Matchers
    cause: CauseOf
    weak: bool = False
    """Stock labels cannot prove it: the card says "probably"."""
    window: float | None = None
    """Seconds: what began longer before its cause is none of its effects."""
    examples: tuple[Example, ...] = ()
    file: str = ""

    @cached_property
    def plain(self) -> Matchers:
        """Its matchers but those of the message, which all edges ask at once."""
        return Matchers(tuple(one for one in self.effect.all_of if not _of_message(one)))

    @cached_property
    def said(self) -> tuple[Matcher, ...]:
        return tuple(one for one in self.effect.all_of if _of_message(one))

    @cached_property
    def naming(self) -> tuple[Matcher, ...]:
        """Those with named groups."""
        return tuple(one for one in self.effect.all_of if one.op is Op.MATCHES and "(?P<" in one.value)

    @property
    def rank(self) -> tuple[bool, int]:
        """What is tried first, smaller first."""
        order = (NamedCause, ObjectCause, SignalCause, RootCause)
        return self.weak, order.index(type(self.cause))


def _of_message(matcher: Matcher) -> bool:
    return matcher.name == "message" and matcher.op in (Op.MATCHES, Op.NOT_MATCHES)


# --- what an edge finds ---------------------------------------------------------------------------------------------------


@value(frozen=True, slots=True)
class Cause:
    """Where the cause of one Signal would be found: the Incident that holds `key`, or the root of that name."""

    key: str
    edge: Edge
    under: str
    """As people write it: `HelmRelease/media/sonarr`, `dns`."""

    @property
    def root(self) -> RootCause | None:
        return self.edge.cause if isinstance(self.edge.cause, RootCause) else None


@value(frozen=True, slots=True)
class Links:
    """What one Signal may fold under, best first, and the keys by which its own effects find it."""

    causes: tuple[Cause, ...] = ()
    claims: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    """Those of its claims by which it is the same problem as whoever holds them: of one node, that it is down."""


NO_LINKS: Final = Links()


def facts_of(thing: Event | Signal) -> dict[str, str]:
    """Its labels, its message, and its object by the name that people give it."""
    subject = raised(thing.subject)
    facts = {
        **thing.labels,
        "source": thing.source.value,
        "cluster": subject.cluster,
        "kind": subject.kind,
        "name": subject.name,
        "reason": thing.reason,
        "message": thing.message,
    }
    if subject.namespace:
        facts["namespace"] = subject.namespace
    return facts


def _signal_key(edge: Edge, cause: SignalCause, facts: Mapping[str, str]) -> tuple[str, str]:
    """The key and how people write it; empty where a fact that joins is missing."""
    values = [facts.get(name, "") for name in cause.equal]
    if not all(values):
        return "", ""
    under = ", ".join(f"{name}={value}" for name, value in zip(cause.equal, values, strict=True))
    return "s:" + digest(edge.name, facts.get("cluster", ""), *values), under or "cluster"


def root_key(cluster: str, root: str) -> str:
    """The join key of an Incident without members: `webhook:kyverno-svc` of this cluster."""
    return "r:" + digest(cluster, root)


@dataclass(frozen=True, slots=True)
class _Choice:
    effects: tuple[Edge, ...]
    causes: tuple[tuple[Edge, SignalCause], ...]
    asks: bool
    """Whether any of its effects depends on the message."""
    by_message: dict[frozenset[str], tuple[Edge, ...]] = field(default_factory=dict)

    def fitting(self, said: frozenset[str]) -> tuple[Edge, ...]:
        """Its effects, where the message fits the patterns `said`; most messages fit the same few."""
        found = self.by_message.get(said)
        if found is None:
            if len(self.by_message) >= REMEMBERED:
                self.by_message.clear()
            found = self.by_message[said] = tuple(
                edge
                for edge in self.effects
                if all((matcher.value in said) is (matcher.op is Op.MATCHES) for matcher in edge.said)
            )
        return found


_NOTHING_SAID: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True)
class Edges:
    """All edges that are in force, in the order in which they are tried."""

    all: tuple[Edge, ...] = ()
    by_name: Mapping[str, Edge] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def of(cls, edges: Iterable[Edge]) -> Edges:
        ordered = tuple(sorted(edges, key=lambda edge: edge.rank))
        return cls(ordered, MappingProxyType({edge.name: edge for edge in ordered}))

    @cached_property
    def _messages(self) -> PatternSet:
        return PatternSet(matcher.value for edge in self.all for matcher in edge.said)

    @cached_property
    def _labels(self) -> tuple[str, ...]:
        """All that the choice of edges depends on."""
        effects = [one.name for edge in self.all for one in edge.plain.all_of]
        causes = [
            one.name for edge in self.all if isinstance(edge.cause, SignalCause) for one in edge.cause.when.all_of
        ]
        return tuple(dict.fromkeys((*effects, *causes)))

    @cached_property
    def _chosen(self) -> dict[tuple[str, ...], _Choice]:
        return {}

    def _choice(self, facts: Mapping[str, str]) -> _Choice:
        """Which edges may have these facts as an effect, and which as a cause."""
        asked = tuple([facts.get(name, "") for name in self._labels])
        found = self._chosen.get(asked)
        if found is None:
            causes = {
                edge.name: edge.cause
                for edge in self.all
                if isinstance(edge.cause, SignalCause) and edge.cause.when.matches(facts)
            }
            # What is such a cause itself is no effect of another of its kind.
            effects = tuple(edge for edge in self.all if edge.plain.matches(facts) and edge.name not in causes)
            asks = any(edge.said for edge in effects)
            found = _Choice(effects, tuple((self.by_name[name], cause) for name, cause in causes.items()), asks)
            if len(self._chosen) >= REMEMBERED:
                self._chosen.clear()
            self._chosen[asked] = found
        return found

    def links(self, thing: Event | Signal) -> Links:
        """Where the causes of `thing` are to be found, and what it is the cause of. Costs microseconds; equal things give equal Links."""
        if not self.all or thing.source is Source.RELAY:
            return NO_LINKS
        facts = facts_of(thing)
        choice = self._choice(facts)
        if not (choice.effects or choice.causes):
            return NO_LINKS
        own = object_keys(thing.subject)
        said = frozenset(self._messages.fitting(thing.message)) if choice.asks else _NOTHING_SAID
        causes: dict[str, Cause] = {}
        for edge in choice.fitting(said):
            for key, under in self._keys(edge, thing, facts):
                if key and key not in own:
                    causes.setdefault(key, Cause(key, edge, under))
        claims = [(_signal_key(edge, cause, facts)[0], cause) for edge, cause in choice.causes]
        return Links(
            tuple(causes.values()),
            tuple(key for key, _ in claims if key),
            tuple(key for key, cause in claims if key and cause.equal),
        )

    @staticmethod
    def _keys(edge: Edge, thing: Event | Signal, facts: Mapping[str, str]) -> list[tuple[str, str]]:
        known = facts
        if edge.naming:
            known = {**facts, **{name: text for one in edge.naming for name, text in one.groups(facts).items()}}
        match edge.cause:
            case NamedCause():
                return [(subject_key(named), _written(named)) for named in thing.names]
            case ObjectCause(kind, namespace, name):
                parts = [part.filled(known) for part in (kind, namespace, name)]
                if not all(parts):
                    return []
                named = Subject(facts.get("cluster", ""), *parts)
                return [(subject_key(named), _written(named))]
            case SignalCause() as cause:
                return [_signal_key(edge, cause, known)]
            case RootCause(root):
                text = root.filled(known)
                return [(root_key(facts.get("cluster", ""), text), text)] if text else []
            case _:
                assert_never(edge.cause)


def _written(subject: Subject) -> str:
    return f"{subject.kind}/{subject.namespace}/{subject.name}"


NO_EDGES: Final = Edges()


def began_too_early(edge: Edge, effect_since: Instant, cause_since: Instant) -> bool:
    """Whether what began at `effect_since` is too old to be an effect of what began at `cause_since`; both by their sender's clock."""
    return edge.window is not None and effect_since < cause_since - edge.window
