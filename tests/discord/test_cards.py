import json
import re
from dataclasses import replace

import pytest

from relay.core.card import Card, Change, Headline, Sign
from relay.core.cards import build
from relay.core.event import Severity, Source, Subject
from relay.core.evidence import evidence, go_duration
from relay.core.incident import Firing, Reason
from relay.core.saying import called, state_of
from relay.core.signal import State
from relay.core.tree import Certainty, Hint
from relay.core.wording import duration, lowered, past, step
from tests.conftest import CORPUS
from tests.discord.scenes import (
    BUILD_MESSAGE,
    CHANGE,
    CONTEXT,
    CRASH_HINT,
    NOW,
    SONARR,
    START,
    crash,
    crash_card,
    group,
    incident,
    record,
    signal,
    three,
    unreadable,
    upgrade_rolled_back,
    volume,
)

OBJECTS = [
    ("Pod", "media", "sonarr", "sonarr"),
    ("Node", "", "pve2", "node pve2"),
    ("PersistentVolumeClaim", "media", "config", "PVC media/config"),
    ("Kustomization", "flux-system", "apps", "Flux apps"),
    ("HelmRelease", "media", "sonarr", "Helm sonarr"),
    ("GitRepository", "flux-system", "flux-system", "git flux-system"),
    ("Instance", "", "192.0.2.7:9100", "192.0.2.7"),
    ("Widget", "a", "b", "Widget b"),
    ("", "", "", ""),
]


@pytest.mark.parametrize("kind, namespace, name, said", OBJECTS)
def test_an_object_is_called_as_people_call_it(kind: str, namespace: str, name: str, said: str) -> None:
    assert called(Subject("homelab", kind, namespace, name)) == said


STATES = [
    ("BuildFailed", "", "cannot be built"),
    ("", "KubePodNotReady", "is not ready"),
    ("", "KubePodCrashLooping", "is crash-looping"),
    ("", "KubeNodeUnreachable", "is unreachable"),
    ("", "MyAppDown", ""),
    ("", "KubeletDown", "is down"),
    ("", "VeleroBackupFailures", "has backup failures"),
    ("", "PrometheusDuplicateTimestamps", ""),
    ("", "", ""),
]


@pytest.mark.parametrize("reason, alertname, said", STATES)
def test_a_state_is_a_verb_phrase_or_nothing(reason: str, alertname: str, said: str) -> None:
    assert state_of(reason, alertname) == said


PASTS = [
    ("is not ready", "was not ready"),
    ("cannot be built", "could not be built"),
    ("crash-looping", "was crash-looping"),
    ("39.0.1 failed, rolled back", "39.0.1 failed, rolled back"),
    ("The image cannot be pulled", "The image could not be pulled"),
]


@pytest.mark.parametrize("phrase, said", PASTS)
def test_what_is_over_is_told_in_the_past(phrase: str, said: str) -> None:
    assert past(phrase) == said


@pytest.mark.parametrize(
    "sentence, said",
    [
        ("The image is gone", "the image is gone"),
        ("Helm's time ran out", "Helm's time ran out"),
        ("Prometheus sends its alerts", "Prometheus sends its alerts"),
        ("What Flux says of it", "what Flux says of it"),
        ("Pod Security refuses it", "Pod Security refuses it"),
        ("DNS fails", "DNS fails"),
    ],
)
def test_what_follows_a_colon_is_lower_case_but_a_name(sentence: str, said: str) -> None:
    assert lowered(sentence) == said


@pytest.mark.parametrize(
    "seconds, said",
    [
        (5, "5 s"),
        (59.9, "59 s"),
        (840, "14 min"),
        (12000, "3 h 20 min"),
        (7200, "2 h"),
        (187200, "2 d 4 h"),
        (-3, "0 s"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize("count, shown", [(1, 1), (4, 2), (7, 5), (19, 10), (20, 20), (49, 20), (50, 50), (730, 500)])
def test_a_count_moves_in_steps(count: int, shown: int) -> None:
    assert step(count) == shown


@pytest.mark.parametrize(
    "text, said",
    [
        ("5m0.035058333s", "5m"),
        ("69.800845ms", "70ms"),
        ("3m45.570725227s", "3m46s"),
        ("1h0m3s", "1h3s"),
        ("4.2s", "4.2s"),
    ],
)
def test_a_go_duration_is_rounded(text: str, said: str) -> None:
    assert go_duration(text) == said


EVIDENCE = [
    (
        "kustomization path not found: stat /tmp/kustomization-1464362706/clusters/prod: no such file",
        ("kustomization path not found: stat ./clusters/prod: no such file",),
    ),
    (
        (
            "health check failed after 5m0.035058333s: timeout waiting for: "
            "[Deployment/b/b status: 'InProgress', Deployment/a/a status: 'Failed']"
        ),
        ("health check failed after 5m: timeout waiting for:", "Deployment/a/a Failed", "Deployment/b/b InProgress"),
    ),
    (
        (
            "Helm upgrade failed for release apps/web with chart web@1.9.0: context deadline exceeded"
            "\n\nLast Helm logs:\n\n2025-12-10T03:07:44.2Z: x"
        ),
        ("context deadline exceeded",),
    ),
    (
        "Deployment/a/b dry-run failed (Invalid): no\nConfigMap/a/c configured\n",
        ("Deployment/a/b dry-run failed (Invalid): no",),
    ),
    ("read tcp 192.0.2.1:49412->192.0.2.2:443: i/o timeout", ("read tcp → 192.0.2.2:443: i/o timeout",)),
    ("at " + "a1" * 20, ("at a1a1a1a",)),
    ("is only 2.958340523% free", ("is only 2.96% free",)),
    ("", ()),
]


@pytest.mark.parametrize("message, lines", EVIDENCE)
def test_evidence_is_what_a_person_needs_of_a_message(message: str, lines: tuple[str, ...]) -> None:
    assert evidence(message) == lines


def test_long_evidence_is_cut_in_the_middle() -> None:
    [line] = evidence(BUILD_MESSAGE)
    assert len(line) <= 280
    assert line.startswith("kustomize build failed")
    assert line.endswith("no such file or directory")


HEADLINES = [
    (
        Headline(Sign.PAGE, "sonarr", "crash-looping", after="4 min after a change"),
        120,
        "🚨 sonarr crash-looping, 4 min after a change",
    ),
    (
        Headline(Sign.BROKEN, "Flux apps", "cannot be built", "x" * 200),
        60,
        "❌ Flux apps cannot be built: " + "x" * 30 + "…",
    ),
    (Headline(Sign.WARNING, "etcd", "", "has no leader", cluster="prod"), 120, "⚠️ [prod] etcd: has no leader"),
    (Headline(Sign.QUIET, "sonarr", "is down", who="quiet by ada"), 120, "🔕 sonarr is down · quiet by ada"),
    (Headline(Sign.WARNING, "a" * 40, "is not ready"), 40, "⚠️ " + "a" * 9 + "…" + "a" * 14 + " is not ready"),
]


@pytest.mark.parametrize("headline, limit, said", HEADLINES)
def test_a_lock_screen_keeps_object_and_state(headline: Headline, limit: int, said: str) -> None:
    assert headline.spoken(limit) == said
    assert len(said) <= limit


def test_object_and_state_stand_in_the_first_forty_characters() -> None:
    for card in (crash_card(), group(), volume(), record()):
        head = f"{card.headline.sign} {card.headline.object} {card.headline.state}"
        assert card.headline.spoken().startswith(head[:40])


def test_an_open_question_is_the_title() -> None:
    assert crash_card().why == "How did the last run end? The alert does not say"


def test_a_cause_from_a_payload_is_likely_and_a_look_confirms_it() -> None:
    opened, members = crash()
    hint = replace(
        CRASH_HINT, leaf="POD-OOM-001", cause="The container needs more memory", question="", certainty=Certainty.LIKELY
    )
    assert build(opened, members, hint, CONTEXT).why == "Likely: the container needs more memory"
    sure = replace(hint, certainty=Certainty.CONFIRMED)
    assert build(opened, members, sure, CONTEXT).why == "The container needs more memory"


def test_who_else_belongs_to_it_is_named_once() -> None:
    assert crash_card().companions == "Flux apps, 2 alerts"


def test_sixty_alerts_are_rows_of_workloads_worst_first() -> None:
    card = group()
    assert [row.name for row in card.rows] == [
        "media/jellyfin",
        "apps/miniflux",
        "apps/nextcloud",
        "apps/radarr",
        "apps/vaultwarden",
    ]
    assert sum(row.firing for row in card.rows) == 25
    assert card.more_rows == 7
    assert card.companions == "60 alerts"


def test_a_command_that_changes_something_is_never_among_the_looks() -> None:
    card = volume()
    assert not any("rm -rf" in command for command in card.look)
    assert card.fix == "raise `spec.resources.requests.storage`, if its class allows expansion"


SIGNS = [
    ({}, Sign.PAGE),
    ({"severity": Severity.ERROR}, Sign.BROKEN),
    ({"severity": Severity.WARNING}, Sign.WARNING),
    ({"severity": Severity.INFO}, Sign.INFO),
    ({"flapping": True}, Sign.FLAPPING),
    ({"reason": Reason.NO_NEWS, "silent_since": NOW}, Sign.NO_NEWS),
    ({"source": Source.RELAY}, Sign.RELAY),
    ({"closed_at": NOW, "reason": Reason.RESOLVED}, Sign.RECOVERED),
    ({"closed_at": NOW, "reason": Reason.EXPIRED}, Sign.NO_NEWS),
]


@pytest.mark.parametrize("change, sign", SIGNS)
def test_a_state_has_its_sign(change: dict[str, object], sign: Sign) -> None:
    opened, members = crash()
    shown = build(replace(opened, **{"severity": Severity.CRITICAL} | change), members, CRASH_HINT, CONTEXT)  # type: ignore[arg-type]
    assert shown.headline.sign is sign


def _closed(**more: object) -> Card:
    opened, members = crash()
    over = tuple(replace(member, state=State.RESOLVED) for member in members)
    return build(replace(opened, closed_at=NOW, firing=Firing(), **more), over, CRASH_HINT, CONTEXT)  # type: ignore[arg-type]


def test_a_record_tells_cause_duration_and_what_fixed_it() -> None:
    card = record()
    assert card.headline.spoken() == "✅ sonarr recovered after 13 min, fixed by 9c1f0aa"
    assert card.why == "Was crash-looping: the container needed more memory than its limit"
    assert (card.look, card.fix, card.evidence) == ((), "", ())
    assert card.timeline[0].text == "sonarr is crash-looping"
    assert len(card.timeline) <= 5


def test_the_card_is_about_what_still_fires() -> None:
    card = three(over=2)
    assert card.headline.spoken() == "❌ bazarr crash-looping"
    assert (card.place, card.since, card.companions) == ("media/bazarr", START + 120, "")
    assert all("bazarr" in run for run in card.look)
    assert card.notes == ("sonarr, radarr recovered",)


def test_an_impact_on_several_is_in_the_plural_and_commands_say_whose_they_are() -> None:
    card = three()
    assert (card.impact, card.look_of) == ("they are probably down", "sonarr")
    assert [(row.name, row.says) for row in card.rows] == [
        ("sonarr", "crash-looping"),
        ("bazarr", "crash-looping"),
        ("radarr", "crash-looping"),
    ]


def test_a_helm_release_that_was_rolled_back_says_what_runs_and_that_nobody_tries_again() -> None:
    card = upgrade_rolled_back()
    assert (card.impact, card.notes) == ("the old version runs", ("Flux does not try again",))


def test_the_relay_says_what_it_cannot_do_why_and_the_cure_each_once() -> None:
    card = unreadable()
    assert card.headline.spoken().startswith("🛠️ relay cannot read what alertmanager sends: raw alerts")
    assert (card.why, card.evidence, card.look) == ("", (), ())
    assert (card.fix, card.fix_in_git) == ("send them to Alertmanager, and there use a webhook", False)


def test_every_headline_has_an_object_and_a_state() -> None:
    lead = signal(SONARR, labels={"alertname": "GuestbookNeedsReview"}, attributes={"summary": "look at this"})
    card = build(incident(lead), (lead,), None, CONTEXT)
    assert card.headline.spoken() == "⚠️ sonarr fires GuestbookNeedsReview: look at this"
    assert (card.why, card.alertname, card.path) == ("", "", ())


def test_expired_is_closed_and_not_recovered() -> None:
    assert _closed(reason=Reason.EXPIRED).headline.spoken() == "❔ sonarr is closed without news"


def test_closed_by_hand_says_by_whom() -> None:
    assert _closed(reason=Reason.CLOSED_BY_HAND, closed_by="ada").headline.spoken() == "✅ sonarr is closed by ada"


def test_what_the_relay_heard_late_lasted_as_long_as_it_says() -> None:
    assert _closed(reason=Reason.RESOLVED, since=NOW - 7200, opened_at=NOW - 60).headline.state == "recovered after 2 h"


def test_clocks_that_differ_a_little_are_not_subtracted() -> None:
    assert (
        _closed(reason=Reason.RESOLVED, since=NOW - 300, opened_at=NOW - 120).headline.state == "recovered after 2 min"
    )


def test_why_it_sounds_again_stands_on_the_lock_screen() -> None:
    assert (
        volume(reason=Reason.ESCALATED).headline.spoken()
        == "🚨 PVC media/config is filling up, now critical: it is almost full"
    )


def test_a_change_long_before_is_told_but_is_no_news() -> None:
    opened, members = crash()
    card = build(opened, members, CRASH_HINT, replace(CONTEXT, change=replace(CHANGE, at=START - 7200)))
    assert card.headline.spoken() == "🚨 sonarr crash-looping"
    assert card.change == Change(
        START - 7200, "3ebb95c", CHANGE.text, CHANGE.repository, "https://git.example.org/ops/cluster/commit/3ebb95c"
    )


def test_the_cluster_is_named_once_two_are_known() -> None:
    opened, members = crash()
    assert (
        build(opened, members, CRASH_HINT, replace(CONTEXT, clusters=2)).headline.spoken()
        == "🚨 [homelab] sonarr crash-looping"
    )


def test_an_incident_without_members_has_a_card() -> None:
    lead = signal(Subject("homelab", "webhook", "", "validate.kyverno.svc"), source=Source.RELAY)
    card = build(incident(lead, 0), (), Hint("webhook", "Webhook", says="does not answer"), CONTEXT)
    assert card.headline.spoken() == "🛠️ webhook validate.kyverno.svc does not answer"


def test_a_runbook_page_that_does_not_exist_is_not_linked() -> None:
    url = "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubenodepressure"
    lead = signal(SONARR, attributes={"runbook_url": url, "generator_url": "https://p.example.org/g"})
    assert [link.label for link in build(incident(lead), (lead,), None, CONTEXT).links] == ["Graph"]


@pytest.mark.corpus
def test_no_real_message_leaves_noise_in_its_evidence() -> None:
    assert CORPUS
    noise = re.compile(r"\d\.\d{3,}s|/tmp/\w+-?\d|[0-9a-f]{40}|Last Helm logs|T\d\d:\d\d:\d\d\.\d|\d:\d+->")
    for text in (CORPUS / "flux-events.jsonl").read_text().splitlines():
        message = json.loads(text).get("message", "")
        lines = evidence(message)
        assert len(lines) <= 5
        assert sum(map(len, lines)) <= 300
        assert not [line for line in lines if noise.search(line)], message


@pytest.mark.corpus
def test_every_stock_alert_has_a_state_or_a_summary() -> None:
    assert CORPUS
    for text in (CORPUS / "alerts.jsonl").read_text().splitlines():
        rule = json.loads(text)
        lead = signal(SONARR, labels={"alertname": rule["alertname"]}, attributes={"summary": rule["summary"]})
        said = build(incident(lead), (lead,), None, CONTEXT).headline
        assert said.state or said.cause, rule["alertname"]
        assert len(said.spoken()) <= 120
