"""What folding promises (enrichment.md §3.4), over any interleaving of openings, repeats, ends, time, ticks and restarts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core import due
from relay.core.due import Why
from relay.core.event import Event, Instant, Severity, Subject
from relay.core.folding import GRACE
from relay.core.incident import Incident
from relay.core.signal import State
from tests.core.folding import NEVER, Stored, World, counted
from tests.core.make import NOW, alert, flux, pod
from tests.core.test_folding import blocked, down, healed, release, starving, unhealthy, unresolved

Made = Callable[[Instant], Event]

CAUSE: dict[str, tuple[Made | None, list[Made]]] = {
    "a release that its health-check lists name": (
        release,
        [
            lambda at: unhealthy("a", at=at),
            lambda at: replace(unhealthy("b", at=at), severity=Severity.CRITICAL),
            lambda at: unhealthy("c", Subject("homelab", "Kustomization", "flux-system", "a"), at=at),
        ],
    ),
    "a node": (
        down,
        [
            lambda at: starving("a", at, node="pve2"),
            lambda at: replace(starving("b", at, node="pve2"), severity=Severity.CRITICAL),
            lambda at: starving("c", at),
            lambda at: unhealthy("d", Subject("homelab", "StatefulSet", "media", "a"), at=at),
        ],
    ),
    "a webhook": (
        None,
        [
            lambda at: blocked("a", at),
            lambda at: replace(blocked("b", at), severity=Severity.CRITICAL),
            lambda at: blocked("c", at),
        ],
    ),
    "dns": (None, [lambda at, n=n: unresolved(n, at) for n in "abcd"]),  # type: ignore[misc]  # `n` is bound here
    "a workload whose service cannot be scraped": (
        lambda at: alert(subject=pod("sonarr-0"), at=at, starts_at=at, group="pod"),
        [
            lambda at: alert(
                "TargetDown",
                labels={"service": "sonarr", "namespace": "media"},
                subject=Subject("homelab", "Namespace", "", "media"),
                at=at,
                starts_at=at,
                group="target",
            ),
            lambda at: unhealthy("a", Subject("homelab", "StatefulSet", "media", "sonarr"), at=at),
        ],
    ),
}


@dataclass(frozen=True)
class Say:
    """Somebody says that number `who` fails, or that it is well; 0 is the cause, if that reports itself."""

    who: int
    well: bool


@dataclass(frozen=True)
class Other:
    """An effect fails for another reason."""

    who: int


@dataclass(frozen=True)
class Wait:
    seconds: float


@dataclass(frozen=True)
class Send:
    pass


Deed = Say | Other | Wait | Send
DEEDS = st.lists(
    st.one_of(
        st.builds(Say, st.integers(0, 4), st.booleans()),
        st.builds(Say, st.integers(0, 4), st.just(False)),
        st.builds(Other, st.integers(1, 4)),
        st.builds(Wait, st.sampled_from([1.0, 30.0, GRACE, 601.0, 2000.0])),
        st.just(Send()),
    ),
    max_size=24,
)


def events_of(scene: str, deed: Say | Other, at: Instant) -> list[Event]:
    cause, effects = CAUSE[scene]
    makers = [cause, *effects]
    maker = makers[deed.who] if deed.who < len(makers) else None
    if maker is None:
        return []
    event = maker(at)
    if isinstance(deed, Other):
        if event.source != "flux":
            return []
        return [flux(event.subject.name, kind=event.subject.kind, namespace=event.subject.namespace, at=at)]
    return [healed(event, at) if deed.well else event]


def play(scene: str, deeds: list[Deed], *worlds: World) -> None:
    at = NOW
    for deed in deeds:
        at += 1
        match deed:
            case Wait(seconds):
                at += seconds
            case Send():
                pass
            case _:
                for world in worlds:
                    world.take(*events_of(scene, deed, at))
        for world in worlds:
            world.tick(at)
            if isinstance(deed, Send):
                world.send()
            check(world)


def check(world: World) -> None:
    """What holds at every moment."""
    incidents = world.known.incidents
    for one in incidents.values():
        effects = [other for other in incidents.values() if other.folded_into == one.id and other.is_open]
        assert one.effects == counted(effects), "every fold is counted at its root (8)"
        assert not (one.root and one.is_open and not effects), "a root without members is over when its effects are"
        if one.is_open and one.folded_into is not None:
            _check_fold(world, one)
        if not one.is_open and effects:
            assert one.tend_at is not None, "effects of what is over are looked after (4)"
            assert one.tend_at > world.now, "and in time"
    for posting in world.postings():
        incident = incidents[posting.incident]
        step = due.next_step(posting, incident, world.policy.channels[posting.channel], world.now)
        assert posting.due_at is None or step.sends or step.at is not None, "what is due is to be done"
        if incident.folded_into is not None:
            assert step.why in (Why.FOLDED, Why.EDIT, Why.NOTHING), "what is folded makes no sound (3)"
            assert posting.due_at is None or posting.message is not None


def _check_fold(world: World, effect: Incident) -> None:
    root = world.known.incidents[effect.folded_into or ""]
    assert root.folded_into is None, "every fold ends at one root, one deep (5)"
    assert root.id != effect.id
    if not root.is_open:
        return
    assert root.severity >= effect.severity, "no downgrade (9)"
    for posting in world.postings():
        if posting.incident == effect.id:
            mine = world.known.postings[root.id, posting.channel]
            assert mine.severity >= posting.severity, "the root is shown wherever its effect would be, as loud (2, 9)"


SCENES = st.sampled_from(sorted(CAUSE))


@settings(max_examples=400, deadline=None)
@given(SCENES, DEEDS)
def test_silence_never_state(scene: str, deeds: list[Deed]) -> None:
    folds, never = World(), World(NEVER)
    play(scene, deeds, folds, never)
    assert folds.known.signals == never.known.signals, "a Signal's state, counts and times are its own (1)"
    for one in never.known.incidents.values():
        mine = folds.known.incidents[one.id]
        assert (mine.closed_at, mine.firing, mine.reopenings, mine.members) == (
            one.closed_at,
            one.firing,
            one.reopenings,
            one.members,
        )


@settings(max_examples=300, deadline=None)
@given(SCENES, DEEDS)
def test_nothing_ends_that_nobody_saw_and_every_end_stands_where_its_opening_did(scene: str, deeds: list[Deed]) -> None:
    world = World()
    play(scene, deeds, world)
    world.send()
    seen: dict[str, int] = {}
    for _, incident, step in world.sent:
        if step.why is Why.END:
            assert seen.get(incident) or any(
                posting.paged_at for posting in world.postings() if posting.incident == incident
            )
        if step.posts and step.why is not Why.CAME_AND_WENT:
            seen[incident] = seen.get(incident, 0) + 1
    for posting in world.postings():
        if posting.message is not None and not world.known.incidents[posting.incident].is_open:
            assert posting.wanted == posting.shown, "the record stands where the card did (2, 10, 11)"
    owners = [posting.message for posting in world.postings() if posting.message is not None]
    assert len(owners) == len(set(owners)), "no Message shows two problems at once"


@settings(max_examples=300, deadline=None)
@given(SCENES, DEEDS)
def test_what_outlives_its_cause_is_shown_and_pages_if_it_would_have_paged(scene: str, deeds: list[Deed]) -> None:
    world = World()
    play(scene, deeds, world)
    end = world.now + 1
    cause, _ = CAUSE[scene]
    if cause is not None:
        world.take(healed(cause(end), end))
    world.tick(end + GRACE)
    world.send()
    for one in world.open():
        root = world.known.incidents.get(one.folded_into or "")
        assert root is None or root.is_open, "nothing stays hidden under what is over (4)"
        if root is not None:
            continue
        for posting in world.postings():
            if posting.incident == one.id:
                assert posting.message is not None, "what stands for itself is shown (4, 8)"
                assert posting.severity < Severity.CRITICAL or one.severity < Severity.CRITICAL or posting.pages_made


@settings(max_examples=60, deadline=None)
@given(SCENES, DEEDS)
def test_a_restart_changes_nothing(scene: str, deeds: list[Deed]) -> None:
    memory, stored = World(), Stored()
    play(scene, [deed for deed in deeds if not isinstance(deed, Send)], memory, stored)
    assert stored.known.signals == memory.known.signals
    assert stored.known.incidents == memory.known.incidents, "folds, counts and deadlines are those before it (13)"
    assert stored.known.postings == memory.known.postings


@settings(max_examples=60, deadline=None)
@given(SCENES, DEEDS)
def test_a_restart_forgets_no_message(scene: str, deeds: list[Deed]) -> None:
    stored = Stored()
    play(scene, deeds, stored)


@pytest.mark.parametrize("scene", sorted(CAUSE))
def test_order_does_not_matter(scene: str) -> None:
    cause, effects = CAUSE[scene]
    ends: list[dict[str, str]] = []
    makers = [maker for maker in (cause, *effects) if maker is not None]
    for order in permutations(makers):
        world = World()
        for index, maker in enumerate(order):
            world.take(maker(NOW + 10 * index))
            world.send()
        ends.append(world.folds())
        assert len(world.shown()) == 1, "one cause, one card (7)"
        shown = [
            one for one in world.postings() if one.message is not None and world.known.incidents[one.incident].is_open
        ]
        assert {one.incident for one in shown} >= {world.shown()[0].id}
        check(world)
    assert all(folds == ends[0] for folds in ends)


def test_every_open_signal_is_shown_or_folded() -> None:
    world = World()
    play("a node", [Say(n, well=False) for n in (1, 2, 0, 3, 4)], world)
    firing = [one for one in world.known.signals.values() if one.state is State.FIRING]
    (node,) = world.shown()
    assert node.firing.total + node.effects.total == len(firing)
