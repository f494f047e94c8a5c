"""Two clusters that call themselves the same: nothing that one of them says closes what the other opened."""

from dataclasses import replace

from relay.core.event import Event
from relay.core.incident import Reason
from relay.core.joining import take
from relay.core.known import Known
from tests.core.make import NOW, POLICY, beat, flux


def of(uid: str, event: Event) -> Event:
    return replace(event, attributes={**event.attributes, "uid": uid})


def test_a_success_of_the_other_cluster_closes_nothing() -> None:
    known = Known()
    take(known, of("a", flux()), POLICY)
    for minute in range(1, 20):
        assert take(known, of("b", beat(at=NOW + 60 * minute)), POLICY) is Reason.OTHER_CLUSTER
    assert take(known, of("a", beat(at=NOW + 1200)), POLICY) is Reason.RESOLVED


def test_that_two_clusters_share_a_name_is_noticed_when_they_take_turns() -> None:
    known = Known()
    for minute, uid in enumerate("abab"):
        take(known, of(uid, beat(at=NOW + 60 * minute)), POLICY)
    assert known.twins == {"homelab": "Kustomization flux-system/apps"}


def test_an_object_that_was_made_anew_is_no_second_cluster() -> None:
    known = Known()
    for minute, uid in enumerate("aaabbb"):
        take(known, of(uid, beat(at=NOW + 60 * minute)), POLICY)
    assert not known.twins


def test_what_was_made_anew_closes_once_the_old_one_has_been_silent() -> None:
    known = Known()
    take(known, of("a", flux()), POLICY)
    assert take(known, of("b", beat(at=NOW + 600)), POLICY) is Reason.OTHER_CLUSTER
    assert take(known, of("b", beat(at=NOW + 3600)), POLICY) is Reason.RESOLVED


def test_once_they_are_known_to_be_two_silence_does_not_matter() -> None:
    known = Known()
    for minute, uid in enumerate("abab"):
        take(known, of(uid, beat(at=NOW + 60 * minute)), POLICY)
    take(known, of("a", flux(at=NOW + 300)), POLICY)
    assert take(known, of("b", beat(at=NOW + 90000)), POLICY) is Reason.OTHER_CLUSTER
