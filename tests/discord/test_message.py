import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from relay.core.attention import Loudness
from relay.core.card import Brief, Card, Form
from relay.core.cards import Context, build
from relay.core.event import Severity
from relay.core.incident import Incident
from relay.core.posting import Degraded
from relay.core.signal import Signal
from relay.core.tree import Hint
from relay.discord.message import Payload, render
from tests.conftest import CORPUS
from tests.discord import strategies as any_
from tests.discord.limits import faults, live, without_code
from tests.discord.scenes import (
    GOLDEN,
    JUMP,
    LINES,
    SCENES,
    build_failure,
    crash_card,
    group,
    hostile,
    over,
    record,
    rendered,
    simple,
    slug,
    told,
    volume,
)

SLOW = settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
ROLE = "<@&1234>"


def body(payload: Payload) -> Mapping[str, Any]:
    document = json.loads(payload.body)
    assert isinstance(document, dict)
    return document


def instants(parts: Sequence[tuple[Card, Form]]) -> set[int]:
    found = {int(at) for card, _ in parts for at in (card.since, card.until, card.heard) if at is not None}
    return found | {int(moment.at) for card, _ in parts for moment in card.timeline}


def addresses(parts: Sequence[tuple[Card, Form]]) -> set[str]:
    """What the cards themselves may link to."""
    changes = [change for card, _ in parts for change in (card.change, card.fixed_by) if change is not None]
    return {JUMP, *(change.url for change in changes), *(card.leaf_url for card, _ in parts)} - {""}


@given(any_.many, st.sampled_from(Loudness), st.sampled_from(Degraded), st.booleans(), st.none() | st.just(JUMP))
@SLOW
def test_whatever_cards_hold_the_payload_is_within_every_limit_and_pings_nobody_else(
    parts: list[tuple[Card, Form]], loudness: Loudness, degraded: Degraded, editing: bool, jump: str | None
) -> None:
    payload = render(
        parts, loudness=loudness, mentions=(ROLE, "@everyone", "<@x>"), degraded=degraded, editing=editing, jump=jump
    )
    assert 0 <= payload.shown <= len(parts)
    assert faults(body(payload), pings={ROLE}, urls=addresses(parts), times=instants(parts)) == []
    if loudness is not Loudness.PAGE and not editing:
        assert ROLE not in without_code(body(payload).get("content") or "")


@given(any_.incidents, st.lists(any_.signals, max_size=5), any_.hints, any_.contexts, st.sampled_from(Form))
@SLOW
def test_any_incident_becomes_a_card_that_discord_takes(
    incident: Incident, members: list[Signal], hint: Hint, context: Context, form: Form
) -> None:
    card = build(incident, members, hint, context)
    assert len(card.headline.spoken()) <= 120
    if card.until is not None:
        assert (card.look, card.fix, card.evidence, card.checklist) == ((), "", (), ())
    parts = [(card, form)]
    payload = render(parts, loudness=Loudness.NOTIFY, jump=JUMP)
    assert faults(body(payload), urls=addresses(parts), times=instants(parts)) == []
    again = build(incident, members, hint, context)
    assert render([(again, form)], loudness=Loudness.NOTIFY, jump=JUMP) == payload


@given(any_.cards)
@SLOW
def test_a_full_card_is_read_in_one_breath(card: Card) -> None:
    [embed] = body(render([(card, Form.FULL)], loudness=Loudness.NOTIFY))["embeds"]
    assert len(embed.get("title", "")) + len(embed["description"]) + len(embed.get("footer", {}).get("text", "")) <= 900


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_reads(name: str) -> None:
    """Look at the file; `python -m tests.discord.scenes` writes them."""
    assert told(rendered(SCENES[name])) == (GOLDEN / f"{slug(name)}.txt").read_text()


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("degraded", Degraded)
def test_a_scene_is_within_the_limits(name: str, degraded: Degraded) -> None:
    scene = SCENES[name]
    document = rendered(scene, degraded=degraded)
    assert faults(document, pings={ROLE}, urls=addresses(scene.parts), times=instants(scene.parts)) == []


def test_hostile_text_formats_nothing() -> None:
    document = rendered(SCENES["hostile"])
    assert live(document["content"]) == []
    assert live(document["embeds"][0]["title"]) == []


def test_without_links_there_is_no_address_at_all() -> None:
    document = rendered(SCENES["a crash-looping pod, question open"], degraded=Degraded.NO_LINKS)
    assert "components" not in document
    assert "http" not in json.dumps(document)


def test_plain_text_has_no_embed_and_says_what_to_do() -> None:
    document = rendered(SCENES["a crash-looping pod, question open"], degraded=Degraded.PLAIN)
    assert "embeds" not in document
    assert "kubectl -n media logs sonarr-66cc5c9fcf-9rccg --previous --tail=50" in document["content"]
    assert "git revert 3ebb95c" in document["content"]


def test_an_edit_clears_embeds_and_buttons_and_carries_no_flag_and_no_name() -> None:
    payload = render([(crash_card(), Form.POINTER)], loudness=Loudness.QUIET, editing=True, username="relay", jump=JUMP)
    assert body(payload) == {
        "allowed_mentions": {"parse": [], "roles": [], "users": []},
        "components": [],
        "content": f"↪ sonarr: [moved below](<{JUMP}>)",
        "embeds": [],
    }


@pytest.mark.parametrize("loudness", Loudness)
def test_only_a_page_mentions_and_only_what_is_quiet_is_silent(loudness: Loudness) -> None:
    document = body(render([(crash_card(), Form.FULL)], loudness=loudness, mentions=(ROLE, "<@7>")))
    page = loudness is Loudness.PAGE
    assert document["content"].endswith(f" {ROLE} <@7>") is page
    assert document["allowed_mentions"] == {
        "parse": [],
        "roles": ["1234"] if page else [],
        "users": ["7"] if page else [],
    }
    assert (document.get("flags") == 1 << 12) is (loudness <= Loudness.QUIET)


def test_the_edit_of_a_page_keeps_its_mention_and_looks_the_same_without() -> None:
    kept = render([(crash_card(), Form.FULL)], loudness=Loudness.QUIET, mentions=(ROLE,), editing=True)
    assert body(kept)["content"].endswith(f" {ROLE}")
    assert body(kept)["allowed_mentions"]["roles"] == ["1234"]
    assert kept.digest == render([(crash_card(), Form.FULL)], loudness=Loudness.QUIET, editing=True).digest


def test_a_lock_screen_shows_no_backslash() -> None:
    for name in SCENES:
        assert "\\" not in (rendered(SCENES[name]).get("content") or "")


def test_equal_looks_have_equal_digests_and_others_do_not() -> None:
    new = render([(crash_card(), Form.FULL)], loudness=Loudness.PAGE, mentions=(ROLE,), username="relay")
    edit = render([(crash_card(), Form.FULL)], loudness=Loudness.COUNT, editing=True)
    other = render([(volume(), Form.FULL)], loudness=Loudness.PAGE, mentions=(ROLE,))
    assert new.digest == edit.digest != other.digest


def test_the_way_to_the_new_message_is_part_of_the_digest() -> None:
    first, second = (
        render([(crash_card(), Form.POINTER)], loudness=Loudness.COUNT, jump=jump) for jump in (JUMP, JUMP + "1")
    )
    assert first.digest != second.digest


def test_a_line_has_at_most_75_characters_and_keeps_its_state() -> None:
    for card, form in LINES:
        text = body(render([(card, form)], loudness=Loudness.QUIET))["content"]
        assert len(text.split(" · <t:")[0].replace("\\", "")) <= 75 - 17
        assert card.headline.state in text


def embeds(payload: Payload) -> str:
    return "\n".join(embed["description"] for embed in body(payload)["embeds"])


def test_many_lines_count_their_causes_and_leave_what_has_no_room_to_another_message() -> None:
    cards = [simple(f"app-{at}", "KubePodNotReady", Severity.WARNING) for at in range(300)]
    payload = render([(card, Form.LINE) for card in cards], loudness=Loudness.QUIET)
    assert 60 <= payload.shown < 300
    assert embeds(payload).startswith(f"**{payload.shown}** are not ready\n")
    assert f"app-{payload.shown - 1} " in embeds(payload)
    assert f"app-{payload.shown} " not in embeds(payload)
    assert body(payload)["content"] == f"⚠️ {payload.shown} are not ready: app-0, app-1, app-2 +{payload.shown - 3}"


def test_what_stands_in_a_message_is_shortened_before_any_of_it_is_left_out() -> None:
    long = [simple(f"a-workload-with-a-rather-long-name-{at}", "KubePodNotReady", Severity.ERROR) for at in range(100)]
    parts = [(card, Form.LINE) for card in long]
    new = render(parts, loudness=Loudness.NOTIFY)
    standing = render(parts, loudness=Loudness.NOTIFY, editing=True, keep=100)
    assert new.shown < standing.shown
    tail = render(parts * 2, loudness=Loudness.NOTIFY, editing=True, keep=200)
    assert standing.shown <= tail.shown < 200


def test_names_stand_beside_others_of_their_namespace_and_cause_and_what_is_over_below() -> None:
    def brief(at: int, space: str, alertname: str, *, ended: bool = False) -> Brief:
        card = over(f"app-{at}", alertname) if ended else simple(f"app-{at}", alertname, Severity.CRITICAL)
        return replace(card.brief, namespace=space)

    parts = [
        *(brief(at, "media", "KubePodCrashLooping") for at in range(5)),
        *(brief(at, "apps", "KubePodNotReady") for at in range(5, 8)),
        *(brief(at, "media", "KubePodNotReady", ended=True) for at in range(8, 10)),
    ]
    payload = render([(one, Form.GROUPED) for one in parts], loudness=Loudness.PAGE)
    assert payload.shown == 10
    lines = embeds(payload).split("\n")
    assert lines[0].startswith("**5** are crash-looping")
    assert lines[2:] == [
        "🚨 **media** 5 are crash-looping: app-0, app-1, app-2, app-3, app-4",
        "🚨 **apps** 3 are not ready: app-5, app-6, app-7",
        "✅ **media** 2 recovered: app-8, app-9",
    ]


@given(
    st.lists(st.tuples(any_.cards, any_.outside), min_size=2, max_size=12),
    st.sampled_from([Form.LINE, Form.GROUPED, Form.POINTER]),
    st.integers(0, 12),
    st.sampled_from(["recovered", "came and went"]),
)
@SLOW
def test_many_names_from_outside_are_within_every_limit_and_format_nothing(
    given_: list[tuple[Card, str]], form: Form, keep: int, gone: str
) -> None:
    cards = [(card, form) for card, _ in given_]
    parts = [(replace(card.brief, namespace=space), form) for card, space in given_]
    jumps = {card.incident: JUMP for card, _ in given_}
    payload = render(parts, loudness=Loudness.NOTIFY, jumps=jumps, keep=keep, gone=gone)
    assert faults(body(payload), urls={JUMP}, times=instants(cards)) == []
    assert 0 < payload.shown <= len(parts)


def test_hundreds_of_names_find_room_in_one_message() -> None:
    card = simple("app", "KubePodCrashLooping", Severity.CRITICAL).brief
    parts = [
        (replace(card, namespace=f"space-{at % 7}", headline=replace(card.headline, object=f"app-{at}")), Form.GROUPED)
        for at in range(900)
    ]
    payload = render(parts, loudness=Loudness.PAGE)
    assert 300 <= payload.shown < 900


def test_ten_compact_cards_stand_in_one_message() -> None:
    parts = [
        (card, Form.COMPACT)
        for card in (build_failure(), volume(), group(), crash_card(), record(), hostile())
        for _ in range(2)
    ]
    payload = render(parts[:10], loudness=Loudness.NOTIFY)
    assert len(body(payload)["embeds"]) == payload.shown == 10
    assert render(parts, loudness=Loudness.NOTIFY).shown == 10


def test_buttons_are_what_a_phone_can_open() -> None:
    [row] = rendered(SCENES["a crash-looping pod, question open"])["components"]
    assert [button["label"] for button in row["components"]] == ["Runbook", "Graph", "Silence"]


def test_what_came_and_went_is_one_line_with_both_ends() -> None:
    document = body(render([(over("radarr", "KubePodNotReady"), Form.LINE)], loudness=Loudness.QUIET))
    assert document["content"] == "✅ radarr was not ready · <t:1749999160:t>–<t:1749999420:t> (4 min)"
    assert "embeds" not in document


@pytest.mark.corpus
@pytest.mark.parametrize("editing", [False, True])
def test_the_published_schema_takes_every_scene(editing: bool) -> None:
    assert CORPUS
    schema = json.loads((CORPUS.parent / "discord" / "webhook-requests.schema.json").read_text())
    entry = "IncomingWebhookUpdateRequestPartial" if editing else "IncomingWebhookRequestPartial"
    validator = Draft202012Validator({"$ref": f"#/$defs/{entry}", "$defs": schema["$defs"]})
    for scene in SCENES.values():
        for degraded in Degraded:
            assert [
                error.message for error in validator.iter_errors(rendered(scene, degraded=degraded, editing=editing))
            ] == []
