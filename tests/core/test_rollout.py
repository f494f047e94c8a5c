"""A revision on its way: when it begins, who takes it, who fails on it, and what its commit said."""

from dataclasses import replace

from relay.core.event import Effect, Event
from relay.core.joining import take
from relay.core.known import Known
from relay.core.rollout import Rollout
from tests.core.make import NOW, POLICY, beat, flux

OLD = "main@sha1:3ebb95c"
NEW = "main@sha1:4f5e6d7"


def at_work(*events: Event) -> dict[str, Rollout]:
    known = Known()
    for event in events:
        take(known, event, POLICY)
    return {one.revision: one for one in known.rollouts.values()}


def artifact(subject: str, revision: str = NEW) -> Event:
    return flux(
        "flux-system",
        kind="GitRepository",
        reason="NewArtifact",
        message=f"stored artifact for commit '{subject}'",
        effect=Effect.CLOSES,
        revision=revision,
    )


def test_what_is_seen_for_the_first_time_is_no_rollout() -> None:
    assert not at_work(beat("apps"), beat("infra"))


def test_a_revision_begins_with_the_first_object_that_was_on_another() -> None:
    found = at_work(beat("apps", revision=OLD), beat("apps", at=NOW + 60, revision=NEW))
    assert (found[NEW].touched, found[NEW].ready, found[NEW].began_at) == (("apps",), 1, NOW + 60)


def test_each_object_becomes_ready_once_however_often_it_beats() -> None:
    found = at_work(
        beat("apps", revision=OLD), *(beat("apps", at=NOW + 60 * minute, revision=NEW) for minute in range(1, 6))
    )
    assert found[NEW].ready == 1


def test_one_that_fails_on_it_is_named_until_it_is_ready() -> None:
    road = [
        beat("apps", revision=OLD),
        beat("infra", revision=OLD),
        flux("apps", at=NOW + 60, revision=NEW),
        beat("infra", at=NOW + 61, revision=NEW),
    ]
    failing = at_work(*road)[NEW]
    assert (failing.touched, failing.ready, failing.failures) == (("apps", "infra"), 1, ("apps",))
    well = at_work(*road, beat("apps", at=NOW + 120, revision=NEW))[NEW]
    assert (well.ready, well.failures) == (2, ())


def test_the_commit_speaks_in_its_own_words_whether_it_is_heard_before_or_after() -> None:
    road = [beat("apps", revision=OLD), beat("apps", at=NOW + 60, revision=NEW)]
    said = "chore: sonarr 4.0.15 → 4.0.16"
    for order in ([artifact(said), *road], [*road, artifact(said)]):
        assert at_work(*order)[NEW].note == said


def test_an_artifact_alone_is_no_rollout_yet() -> None:
    assert at_work(artifact("chore: bump"))[NEW].touched == ()


def test_the_git_revision_behind_an_oci_artifact_is_the_one_that_rolls_out() -> None:
    def of(event: Event) -> Event:
        return replace(event, attributes={**event.attributes, "originRevision": NEW})

    found = at_work(
        beat("apps", revision="latest@sha256:aa"), of(beat("apps", at=NOW + 60, revision="latest@sha256:bb"))
    )
    assert list(found) == [NEW]
