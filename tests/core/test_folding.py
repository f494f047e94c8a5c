"""One cause, one card: what is folded where, in any order, and that folding loses nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relay.core import folding
from relay.core.due import Why
from relay.core.event import Effect, Event, Instant, Severity, Subject
from relay.core.folding import GRACE
from relay.core.incident import Firing, Reason
from tests.core.folding import EDGES, FOLDING, Stored, World
from tests.core.make import NOW, alert, beat, flux, pod

WEBHOOK = (
    'Service/media/{} dry-run failed (InternalError): Internal error occurred: failed calling webhook "validate.kyverno.svc-fail": '
    'failed to call webhook: Post "https://kyverno-svc.kyverno.svc:443/validate/fail?timeout=10s": context deadline exceeded'
)
RELEASE = Subject("homelab", "HelmRelease", "media", "sonarr")
DEPLOYMENT = Subject("homelab", "Deployment", "media", "sonarr")


def release(at: Instant = NOW, **more: object) -> Event:
    return flux("sonarr", kind="HelmRelease", namespace="media", reason="UpgradeFailed", at=at, **more)  # type: ignore[arg-type]  # as `flux` names them


def healed(event: Event, at: Instant) -> Event:
    """What `event` said is over."""
    ends = at if event.source == "alertmanager" else None
    return replace(event, effect=Effect.CLOSES, at=at, received_at=at, ends_at=ends, digest="", severity=Severity.INFO)


def unhealthy(name: str = "apps", *named: Subject, at: Instant = NOW) -> Event:
    return flux(name, reason="HealthCheckFailed", message="health check failed", names=named or (RELEASE,), at=at)


def blocked(name: str, at: Instant = NOW, **more: object) -> Event:
    message = WEBHOOK.format(name)
    return flux(name, reason="ReconciliationFailed", message=message, at=at, **more)  # type: ignore[arg-type]  # as above


def unresolved(name: str, at: Instant = NOW) -> Event:
    host = f"lookup {name}.example.org on 192.0.2.10:53: server misbehaving"
    return flux(name, kind="GitRepository", reason="GitOperationFailed", message=f"dial tcp: {host}", at=at)


NODE = Subject("homelab", "Node", "", "pve2")


def down(at: Instant = NOW, **more: object) -> Event:
    return alert(
        "KubeNodeNotReady",
        subject=NODE,
        labels={"node": "pve2"},
        at=at,
        starts_at=at,
        group="node",
        **more,  # type: ignore[arg-type]  # as `alert` names them
    )


def starving(name: str, at: Instant = NOW, starts_at: Instant | None = None, **labels: str) -> Event:
    return alert(
        "KubePodNotReady",
        subject=pod(f"{name}-0"),
        labels={"pod": f"{name}-0", **labels},
        at=at,
        starts_at=at if starts_at is None else starts_at,
        group=name,
    )


@pytest.fixture(params=[World, Stored], ids=["in memory", "in a database"])
def world(request: pytest.FixtureRequest) -> World:
    made: World = request.param()
    return made


# --- objects --------------------------------------------------------------------------------------------------------------

BOTH_WAYS: list[tuple[str, list[Event], dict[str, str]]] = [
    (
        "a Kustomization and the release that its health-check list names",
        [release(), unhealthy()],
        {"flux-system/apps": "media/sonarr"},
    ),
    (
        "a Kustomization and an alert about the workload that it names",
        [alert(subject=pod("sonarr-0")), unhealthy("apps", DEPLOYMENT)],
        {"flux-system/apps": "media/sonarr"},
    ),
    (
        "a release and the dependency that it names",
        [
            flux("postgres", kind="HelmRelease", namespace="databases", reason="InstallFailed"),
            release(message="dependency 'databases/postgres' is not ready"),
        ],
        {"media/sonarr": "databases/postgres"},
    ),
    (
        "what is made of a source that cannot be fetched",
        [
            flux("media-sonarr", kind="HelmChart", reason="ChartPullError", message="chart pull error: 404"),
            release(message="HelmChart 'flux-system/media-sonarr' is not ready: latest generation"),
        ],
        {"media/sonarr": "flux-system/media-sonarr"},
    ),
    (
        "a chain of three, under its end",
        [release(), unhealthy("apps"), unhealthy("all", Subject("homelab", "Kustomization", "flux-system", "apps"))],
        {"flux-system/apps": "media/sonarr", "flux-system/all": "media/sonarr"},
    ),
    (
        "an alert that names its node, and the node",
        [down(), starving("radarr", node="pve2")],
        {"media/radarr": "pve2"},
    ),
    (
        "a stock alert at the time when a node went down, and what names its workload",
        [down(), starving("sonarr"), unhealthy("apps", DEPLOYMENT)],
        {"media/sonarr": "pve2", "flux-system/apps": "pve2"},
    ),
]


@pytest.mark.parametrize("sentence, events, folds", BOTH_WAYS, ids=[one[0] for one in BOTH_WAYS])
def test_an_effect_folds_under_its_cause_whichever_comes_first(
    world: World, sentence: str, events: list[Event], folds: dict[str, str]
) -> None:
    world.take(*events)
    assert world.folds() == folds, sentence
    other = type(world)()
    for event in reversed(events):
        other.take(event)
    assert other.folds() == folds, sentence


APART: list[tuple[str, list[Event]]] = [
    ("a health list that names somebody else", [release(), unhealthy("apps", Subject("homelab", "Job", "x", "y"))]),
    ("an alert on another node", [down(), starving("radarr", node="pve3")]),
    ("a stock alert from long before", [down(), starving("radarr", starts_at=NOW - 1300)]),
    ("one that a webhook blocks", [blocked("apps")]),
    ("two whose names do not resolve", [unresolved("a"), unresolved("b")]),
    ("three whose names do not resolve, an hour apart", [unresolved(n, NOW + 3600 * i) for i, n in enumerate("abc")]),
    ("two that name each other: neither is hidden", [
        unhealthy("a", Subject("homelab", "Kustomization", "flux-system", "b")),
        unhealthy("b", Subject("homelab", "Kustomization", "flux-system", "a")),
    ]),
]  # fmt: skip


@pytest.mark.parametrize("sentence, events", APART, ids=[one[0] for one in APART])
def test_these_are_no_effects(world: World, sentence: str, events: list[Event]) -> None:
    world.take(*events)
    folds = world.folds()
    assert len(folds) == (1 if "each other" in sentence else 0), sentence
    assert sum(one.effects.total for one in world.shown()) == len(folds)


def test_what_is_folded_says_so_nowhere_else(world: World) -> None:
    world.take(release(), unhealthy())
    world.send()
    assert world.told() == [("media/sonarr", Why.OPEN)]
    assert world.of(RELEASE).effects == Firing(error=1)


def test_a_late_cause_costs_an_edit(world: World) -> None:
    world.take(unhealthy("apps"), unhealthy("all"))
    world.send()
    world.take(release(at=NOW + 60))
    world.send()
    assert {name for name, _ in world.told(Why.OPEN)} == {"flux-system/apps", "flux-system/all"}
    edits = {name for name, why in world.told() if why is Why.EDIT}
    assert edits & {"flux-system/apps", "flux-system/all"}, "the other leads to its cause"
    assert edits - {"flux-system/apps", "flux-system/all"} == {"media/sonarr"}
    (first,) = [one for one in world.postings() if one.incident == world.of(RELEASE).id]
    assert first.message in (1, 2)
    assert len({one.message for one in world.postings() if one.message is not None}) == 2


def test_an_effect_that_outlives_its_cause_is_shown_on_its_own(world: World) -> None:
    world.take(release(), unhealthy())
    world.send()
    world.take(healed(release(), NOW + 600))
    world.send()
    world.tick(NOW + 600 + GRACE - 1)
    assert world.folds()
    world.tick(NOW + 600 + GRACE)
    world.send()
    (apps,) = world.shown()
    assert apps.reason is Reason.SURFACED
    assert (apps.subject.name, Why.OPEN) in [(name.split("/")[1], why) for name, why in world.told()]


def test_what_was_shown_before_its_cause_surfaces_in_a_message_of_its_own(world: World) -> None:
    world.take(unhealthy("apps"), unhealthy("all"))
    world.send()
    world.take(release(at=NOW + 60))
    world.send()
    world.take(healed(release(), NOW + 600))
    world.tick(NOW + 600 + GRACE)
    world.send()
    surfaced = dict(world.told(Why.OPEN, Why.LEFT)[2:])
    assert set(surfaced) == {"flux-system/all", "flux-system/apps"}
    assert set(surfaced.values()) == {Why.OPEN, Why.LEFT}, "its cause took over the card of one"


def test_what_surfaces_pages_if_it_would_have_paged(world: World) -> None:
    world.take(release(), replace(unhealthy(), severity=Severity.CRITICAL))
    world.send()
    assert world.told(Why.PAGE) == [("media/sonarr", Why.PAGE)], "no critical effect is hidden under less"
    world.take(healed(release(), NOW + 600))
    world.tick(NOW + 600 + GRACE)
    world.send()
    assert world.told(Why.PAGE)[1:] == [("flux-system/apps", Why.PAGE)]


def test_what_a_late_cause_took_the_page_of_pages_again_if_it_outlives_it(world: World) -> None:
    world.take(replace(unhealthy(), severity=Severity.CRITICAL))
    world.send()
    world.take(release(at=NOW + 60))
    world.send()
    assert world.told(Why.PAGE) == [("flux-system/apps", Why.PAGE)], "heard already"
    world.take(healed(release(), NOW + 600))
    world.tick(NOW + 600 + GRACE)
    world.send()
    assert world.told(Why.PAGE)[1:] == [("flux-system/apps", Why.PAGE)]


def test_a_cause_that_comes_back_within_the_grace_keeps_its_effects(world: World) -> None:
    world.take(release(), unhealthy())
    world.take(healed(release(), NOW + 600))
    world.take(release(at=NOW + 660))
    world.tick(NOW + 600 + GRACE)
    assert world.folds() == {"flux-system/apps": "media/sonarr"}
    assert world.of(RELEASE).effects.total == 1


def test_an_effect_that_fails_for_another_reason_is_its_own_problem_again(world: World) -> None:
    world.take(release(), unhealthy())
    world.send()
    world.take(flux(reason="BuildFailed", message="kustomize build failed", at=NOW + 60))
    world.send()
    assert world.folds() == {}
    assert world.told(Why.OPEN) == [("media/sonarr", Why.OPEN), ("flux-system/apps", Why.OPEN)]
    assert world.of(RELEASE).effects.total == 0


def test_an_effect_that_ends_shows_its_record_where_it_was_shown_and_nowhere_else(world: World) -> None:
    world.take(unhealthy("apps"))
    world.send()
    world.take(unhealthy("all"), release(at=NOW + 60))
    world.send()
    before = len(world.sent)
    world.take(beat("apps", at=NOW + 120), beat("all", at=NOW + 120))
    world.send()
    assert {name for name, why in world.told()[before:]} == {"media/sonarr"}, "the card was taken over"
    assert world.of(RELEASE).effects.total == 0


# --- roots ----------------------------------------------------------------------------------------------------------------


def test_one_dead_webhook_is_one_card_and_one_page(world: World) -> None:
    for index in range(19):
        world.take(blocked(f"app-{index}", NOW + index, severity=Severity.CRITICAL))
        world.send()
    (root,) = world.shown()
    assert (root.root, root.effects, root.severity) == ("webhook:kyverno-svc", Firing(critical=19), Severity.CRITICAL)
    assert root.subject == Subject("homelab", "Webhook", "", "kyverno-svc")
    assert world.told(Why.PAGE) == [("flux-system/app-0", Why.PAGE)]
    assert world.told(Why.OPEN) == []
    for index in range(19):
        world.take(beat(f"app-{index}", at=NOW + 600 + index))
    world.send()
    root = world.known.incidents[root.id]
    assert (root.is_open, root.reason) == (False, Reason.RESOLVED)
    world.now += 600
    for posting in world.postings():
        assert posting.due_at is None or posting.incident == root.id


def test_what_outlives_a_larger_cause_is_one_card_again_if_it_has_a_cause_of_its_own(world: World) -> None:
    names = [Subject("homelab", "HelmRelease", "media", "sonarr")]
    both = [replace(blocked(name, NOW), names=tuple(names)) for name in ("a", "b", "c")]
    world.take(release(), *both)
    assert [one.subject.name for one in world.shown()] == ["sonarr"]
    world.take(healed(release(), NOW + 60))
    world.tick(NOW + 60 + GRACE)
    (root,) = world.shown()
    assert (root.root, root.effects.total) == ("webhook:kyverno-svc", 3)


def test_a_root_that_is_folded_itself_is_over_and_its_effects_are_its_causes() -> None:
    world = World()
    world.take(blocked("a"), blocked("b"), release())
    root = next(one for one in world.shown() if one.root)
    folding.fold(world.known, root, world.of(RELEASE), EDGES.by_name["flux-health-list"], NOW + 1, FOLDING)
    assert world.folds() == {"flux-system/a": "media/sonarr", "flux-system/b": "media/sonarr"}
    assert not world.known.incidents[root.id].is_open
    assert world.of(RELEASE).effects.total == 2
    world.take(blocked("c", NOW + 60), blocked("d", NOW + 60))
    assert {one.root for one in world.shown()} == {"", "webhook:kyverno-svc"}, "its key is free"


def test_a_root_opens_again_with_its_first_effect(world: World) -> None:
    world.take(blocked("a"), blocked("b"))
    world.take(beat("a", at=NOW + 60), beat("b", at=NOW + 60))
    assert world.open() == []
    world.take(blocked("a", NOW + 120))
    (root,) = world.shown()
    assert (root.root, root.reopenings, root.effects.total) == ("webhook:kyverno-svc", 1, 1)


def test_dns_is_one_problem_from_the_third_name_that_does_not_resolve(world: World) -> None:
    for index in range(12):
        world.take(unresolved(f"repo-{index}", NOW + index))
    (root,) = world.shown()
    assert (root.root, root.effects.total) == ("dns", 12)
    assert root.subject == Subject("homelab", "DNS", "", "")


def test_a_node_takes_what_runs_on_it_and_what_outlives_it_surfaces(world: World) -> None:
    apps = [starving(f"app-{index}", NOW + index) for index in range(17)]
    world.take(*apps[:9])
    world.send()
    world.take(down(NOW + 60))
    world.take(*apps[9:])
    world.send()
    (node,) = world.shown()
    assert (node.subject.name, node.effects.total) == ("pve2", 17)
    assert all(one.probably for one in world.open() if one.folded_into)
    world.take(*(healed(one, NOW + 900) for one in apps[1:]), healed(down(NOW + 60), NOW + 900))
    world.send()
    world.tick(NOW + 900 + GRACE)
    world.send()
    assert [one.subject.name for one in world.shown()] == ["app-0"]


def test_two_alerts_that_a_node_is_down_are_one_cause_which_lasts_as_long_as_either(world: World) -> None:
    unreachable = alert("KubeNodeUnreachable", subject=NODE, labels={"node": "pve2"}, group="other")
    world.take(down(), unreachable, starving("radarr", node="pve2"))
    (node,) = world.shown()
    assert (node.firing.total, node.effects.total) == (2, 1)
    world.take(healed(down(), NOW + 60))
    world.tick(NOW + 60 + GRACE)
    assert world.folds() == {"media/radarr": "pve2"}


def test_two_nodes_are_two_problems(world: World) -> None:
    other = Subject("homelab", "Node", "", "pve3")
    world.take(down(), alert("KubeNodeNotReady", subject=other, labels={"node": "pve3"}, group="other"))
    assert len(world.shown()) == 2


def test_three_hundred_effects_are_folded_under_a_late_cause_in_bites() -> None:
    world = Stored()
    world.take(*(starving(f"app-{index}", NOW) for index in range(300)))
    world.take(down(NOW + 60))
    assert len(world.shown()) == 45
    world.tick(NOW + 61)
    (node,) = world.shown()
    assert node.effects.total == 300
    world.take(healed(down(NOW + 60), NOW + 900))
    world.tick(NOW + 900 + GRACE)
    assert len(world.shown()) == 300
    assert world.known.incidents[node.id].tend_at is None


def test_every_fold_and_its_end_stand_in_the_journal_with_both_ids() -> None:
    world = World()
    world.take(release(), unhealthy())
    world.take(healed(release(), NOW + 600))
    world.tick(NOW + 600 + GRACE)
    apps, cause = world.shown()[0].id, world.of(RELEASE).id
    told = [(entry.reason, entry.incident, entry.other) for entry in world.known.journal if entry.other]
    assert told == [(Reason.FOLDED, apps, cause), (Reason.SURFACED, apps, cause)]


def test_a_policy_without_edges_folds_nothing() -> None:
    world = World(replace(FOLDING, edges=type(FOLDING.edges)()))
    world.take(release(), unhealthy(), blocked("a"), blocked("b"))
    assert world.folds() == {}


def test_a_cause_of_which_there_is_no_news_hides_nothing_and_gathers_again_when_heard(world: World) -> None:
    world.take(release(), unhealthy())
    cause = world.of(RELEASE)
    known = world.known
    grey = replace(cause, silent_since=NOW, tend_at=NOW + 600 + GRACE)
    known.put_incident(grey)
    world.keep()
    world.tick(NOW + 600 + GRACE)
    assert world.folds() == {}
    world.take(release(at=NOW + 1200))
    world.tick(NOW + 1200)
    assert world.folds() == {"flux-system/apps": "media/sonarr"}
