"""How long an opening is held back, and what lets it go: a table of causes, and each way out."""

from dataclasses import replace

import pytest

from relay.config.live import composed
from relay.config.trees import load_trees
from relay.core.event import Effect, Event
from relay.core.incident import Incident, Reason
from relay.core.joining import ask_again, take
from relay.core.known import Known
from relay.core.policy import Hold
from tests.core.make import NOW, POLICY, alert, beat, flux, pod, taken

LEFT_TO_THE_TREES = composed(replace(POLICY, holds={}), load_trees(None))

WEBHOOK = (
    "Deployment/media/sonarr dry-run failed: failed to create typed patch object: Internal error occurred:"
    ' failed calling webhook "validate.kyverno.svc": failed to call webhook: Post'
    ' "https://kyverno-svc.kyverno.svc:443/validate": dial tcp 192.0.2.7:443: connect: connection refused'
)
HELM = "Helm upgrade failed for release media/sonarr with chart app-template@3.5.1: context deadline exceeded"


def strange(at: float = NOW) -> Event:
    return flux(reason="Strange", message="something new", at=at)


TABLE = [
    ("a build that fails: somebody just pushed", flux(), Hold.NONE, 0),
    (
        "a name that does not resolve",
        flux(
            kind="GitRepository",
            reason="GitOperationFailed",
            message="failed to checkout and determine revision: unable to clone 'https://git.example.org/ops/cluster':"
            " dial tcp: lookup git.example.org on 192.0.2.53:53: no such host",
        ),
        Hold.ITSELF,
        300,
    ),
    (
        "a webhook that is not there",
        flux(reason="ReconciliationFailed", message=WEBHOOK),
        Hold.ITSELF,
        300,
    ),
    (
        "a Helm upgrade that may be rolled back",
        flux("sonarr", kind="HelmRelease", namespace="media", reason="UpgradeFailed", message=HELM),
        Hold.HELM,
        300,
    ),
    ("words that no tree knows", strange(), Hold.UNKNOWN, 90),
    ("an alert: Alertmanager has already waited", alert(subject=pod("sonarr-0")), Hold.NONE, 0),
]


def only(known: Known) -> Incident:
    (incident,) = known.incidents.values()
    return incident


@pytest.mark.parametrize("sentence,event,hold,seconds", TABLE, ids=[row[0] for row in TABLE])
def test_what_can_heal_it_says_how_long_it_is_held(sentence: str, event: Event, hold: Hold, seconds: float) -> None:
    known, _ = taken(event, policy=LEFT_TO_THE_TREES)
    assert (only(known).hold, only(known).visible_at - NOW) == (hold, seconds)


def test_a_plain_hold_sets_all() -> None:
    policy = replace(LEFT_TO_THE_TREES, holds={"flux": 30.0})
    for event in (flux(), strange()):
        known, _ = taken(event, policy=policy)
        assert (only(known).hold, only(known).visible_at) == (Hold.PLAIN, NOW + 30)


def test_what_could_have_healed_by_itself_is_shown_at_the_second_time() -> None:
    known, reasons = taken(
        flux(reason="ReconciliationFailed", message=WEBHOOK),
        flux(reason="ReconciliationFailed", message=WEBHOOK, at=NOW + 60),
        policy=LEFT_TO_THE_TREES,
    )
    assert reasons == [Reason.OPENED, Reason.REPEATED]
    assert only(known).visible_at == NOW + 60
    assert [posting.due_at for posting in known.postings.values()] == [NOW + 60]


def test_a_copy_is_not_a_second_time() -> None:
    event = flux(reason="ReconciliationFailed", message=WEBHOOK)
    known, reasons = taken(event, replace(event, received_at=NOW + 2), policy=LEFT_TO_THE_TREES)
    assert reasons == [Reason.OPENED, Reason.DUPLICATE]
    assert only(known).visible_at == NOW + 300


def test_a_failed_upgrade_is_shown_when_helm_has_rolled_it_back() -> None:
    failed = flux("sonarr", kind="HelmRelease", namespace="media", reason="UpgradeFailed", message=HELM)
    undone = flux(
        "sonarr",
        kind="HelmRelease",
        namespace="media",
        reason="RollbackSucceeded",
        message="Helm rollback to previous release media/sonarr.v18 with chart app-template@3.5.0 succeeded",
        effect=Effect.NOTES,
        at=NOW + 40,
    )
    known, reasons = taken(failed, undone, policy=LEFT_TO_THE_TREES)
    assert reasons == [Reason.OPENED, Reason.REMEDIATED]
    assert only(known).visible_at == NOW + 40


def test_a_new_cause_that_only_a_commit_heals_is_shown_at_once() -> None:
    known, reasons = taken(flux(reason="Strange", message="something new"), flux(at=NOW + 20), policy=LEFT_TO_THE_TREES)
    assert reasons == [Reason.OPENED, Reason.CAUSE]
    assert only(known).visible_at == NOW + 20


def test_what_heals_within_its_hold_is_counted_and_the_next_one_is_held_anew() -> None:
    known = Known()
    for start in (0, 300, 600):
        assert take(known, strange(NOW + start), LEFT_TO_THE_TREES) is not Reason.DUPLICATE
        assert take(known, beat(at=NOW + start + 60), LEFT_TO_THE_TREES) is Reason.HEALED
    assert next(iter(known.objects.values())).healed == 3
    take(known, strange(NOW + 900), LEFT_TO_THE_TREES)
    waiting = [incident for incident in known.incidents.values() if incident.is_open]
    assert [incident.visible_at for incident in waiting] == [NOW + 990]


def test_what_opened_before_the_trees_were_read_is_asked_about_when_they_are() -> None:
    unread = replace(POLICY, holds={})
    known, _ = taken(flux(), policy=unread)
    assert only(known).hold is Hold.UNKNOWN
    ask_again(known, only(known), list(known.signals.values()), NOW + 0.3, LEFT_TO_THE_TREES)
    assert only(known).visible_at == NOW + 0.3
    assert [posting.due_at for posting in known.postings.values()] == [NOW + 0.3]
