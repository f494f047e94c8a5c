"""What the stand-in's webhooks do: posts, edits, threads, mentions, and who hears it."""

import aiohttp
import pytest

from relay.demo.discord import StandIn
from tests.demo.conftest import Clock, Talk


async def test_a_post_that_waits_gets_the_message_and_one_that_does_not_gets_nothing(
    talk: Talk, standin: StandIn
) -> None:
    waited = await talk.post({"content": " hello ", "embeds": [{"title": "t"}]})
    assert waited.status == 200
    assert waited.json["content"] == "hello"
    assert waited.json["channel_id"] == "20"
    assert waited.json["embeds"] == [{"type": "rich", "title": "t"}]
    assert waited.json["edited_timestamp"] is None
    silent = await talk.post({"content": "again"}, wait="false")
    assert (silent.status, silent.text) == (204, "")
    assert [message.content for message in standin.messages("20")] == ["hello", "again"]


async def test_an_id_tells_its_time_and_later_ids_are_greater(talk: Talk, clock: Clock) -> None:
    first = int(str((await talk.post()).json["id"]))
    second = int(str((await talk.post()).json["id"]))
    assert (first >> 22) + 1420070400000 == int(clock.now * 1000)
    assert second > first


async def test_a_webhook_tells_where_it_posts(talk: Talk) -> None:
    answer = await talk.ask("GET", "/webhooks/11/token")
    assert (answer.json["channel_id"], answer.json["guild_id"]) == ("20", "30")


async def test_an_edit_keeps_what_it_omits_and_clears_what_it_nulls(talk: Talk) -> None:
    message = (await talk.post({"content": "c", "embeds": [{"title": "t"}]})).json["id"]
    kept = await talk.edit(message, {"content": "new"})
    assert (kept.json["content"], len(list(kept.json["embeds"]))) == ("new", 1)  # type: ignore[call-overload]
    assert kept.json["edited_timestamp"] is not None
    cleared = await talk.edit(message, {"content": None})
    assert cleared.json["content"] == ""
    assert (await talk.edit(message, {"embeds": []})).code == 50006
    assert (await talk.get(message)).json["embeds"] == [{"type": "rich", "title": "t"}]


async def test_every_state_of_a_message_is_kept_in_order(talk: Talk, standin: StandIn, clock: Clock) -> None:
    message = str((await talk.post({"content": "one"})).json["id"])
    clock.now += 5
    await talk.edit(message, {"content": "two"})
    history = standin.store.messages[message].history
    assert [(state.at, state.content) for state in history] == [(clock.now - 5, "one"), (clock.now, "two")]


async def test_a_deleted_message_is_unknown_from_then_on(talk: Talk, standin: StandIn) -> None:
    first, second = [str((await talk.post()).json["id"]) for _ in range(2)]
    assert (await talk.delete(first)).status == 204
    standin.delete_message(second)
    for message in (first, second):
        answer = await talk.edit(message, {"content": "x"})
        assert (answer.status, answer.code) == (404, 10008)
    assert standin.messages() == []
    assert len(standin.messages(deleted=True)) == 2


async def test_another_webhooks_message_is_unknown(talk: Talk) -> None:
    message = (await talk.post()).json["id"]
    answer = await talk.ask("PATCH", f"/webhooks/12/other/messages/{message}", {"content": "x"})
    assert answer.code == 10008


@pytest.mark.parametrize(
    "body,rung",
    [
        ({"content": "<@&5> up", "allowed_mentions": {"parse": [], "roles": ["5"]}}, ("5",)),
        ({"content": "<@&5> up", "allowed_mentions": {"parse": []}}, ()),
        ({"content": "up", "allowed_mentions": {"parse": [], "roles": ["5"]}}, ()),
        ({"content": "`<@&5>` up", "allowed_mentions": {"parse": ["roles"]}}, ()),
        ({"content": "up", "embeds": [{"description": "<@&5>"}], "allowed_mentions": {"parse": ["roles"]}}, ()),
        ({"content": "<@&5> nothing was said of mentions"}, ("5",)),
    ],
)
async def test_a_mention_rings_only_from_content_and_only_when_allowed(
    talk: Talk, standin: StandIn, body: dict[str, object], rung: tuple[str, ...]
) -> None:
    answer = await talk.post(body)
    assert answer.json["mention_roles"] == list(rung)
    assert [push.mentioned.roles for push in standin.pushes] == [rung]


async def test_mentions_follow_the_last_request_and_edits_ring_nobody(talk: Talk, standin: StandIn) -> None:
    posted = await talk.post({"content": "<@&5>", "allowed_mentions": {"parse": []}})
    edited = await talk.edit(posted.json["id"], {"content": "<@&5>!"})
    assert (posted.json["mention_roles"], edited.json["mention_roles"]) == ([], ["5"])
    assert len(standin.pushes) == 1


async def test_a_suppressed_post_is_seen_and_not_heard_and_no_edit_changes_that(talk: Talk, standin: StandIn) -> None:
    message = str((await talk.post({"content": "quiet", "flags": 4096})).json["id"])
    edited = await talk.edit(message, {"content": "still quiet", "flags": 0})
    assert edited.json["flags"] == 4096
    assert standin.pushes == []
    assert standin.store.messages[message].silent


async def test_components_are_ignored_unless_asked_for(talk: Talk) -> None:
    row = {"type": 1, "components": [{"type": 2, "style": 5, "label": "Runbook", "url": "https://example.org/r"}]}
    ignored = await talk.post({"content": "c", "components": [row]})
    taken = await talk.post({"content": "c", "components": [row]}, with_components="true")
    assert ignored.json["components"] == []
    assert taken.json["components"] == [row]
    assert (await talk.post({"components": [row]})).code == 50006


async def test_a_thread_needs_its_id_on_every_edit(talk: Talk) -> None:
    message = await talk.post(thread_id="21")
    assert message.json["channel_id"] == "21"
    assert (await talk.edit(message.json["id"], {"content": "x"})).code == 10008
    assert (await talk.edit(message.json["id"], {"content": "x"}, thread_id="21")).status == 200
    assert (await talk.post(thread_id="999")).code == 10003
    assert (await talk.post(thread_id="x")).fault_at("thread_id") == "NUMBER_TYPE_COERCE"


async def test_an_archived_thread_refuses_edits_and_a_post_wakes_it(talk: Talk, standin: StandIn) -> None:
    message = (await talk.post(thread_id="21")).json["id"]
    standin.store.channels["21"].archived = True
    assert (await talk.edit(message, {"content": "x"}, thread_id="21")).code == 50083
    assert (await talk.post(thread_id="21")).status == 200
    assert (await talk.edit(message, {"content": "x"}, thread_id="21")).status == 200
    standin.store.channels["21"].locked = True
    assert (await talk.post(thread_id="21")).code == 160005


@pytest.mark.parametrize(
    "webhook,body,query,code",
    [
        ("13/forum", {"content": "c"}, {}, 220001),
        ("13/forum", {"content": "c", "thread_name": "n"}, {"thread_id": "21"}, 220002),
        ("11/token", {"content": "c", "thread_name": "n"}, {}, 220003),
        ("13/forum", {"content": "c", "thread_name": "n"}, {}, 40067),
        ("13/forum", {"content": "c", "thread_name": "n", "applied_tags": ["8"]}, {}, 10087),
    ],
)
async def test_a_forum_says_what_it_misses(
    talk: Talk, webhook: str, body: dict[str, object], query: dict[str, str], code: int
) -> None:
    talk.webhook = webhook
    assert (await talk.post(body, **query)).code == code


async def test_a_forums_thread_has_the_id_of_its_first_message(talk: Talk) -> None:
    talk.webhook = "13/forum"
    answer = await talk.post({"content": "c", "thread_name": "n", "applied_tags": ["7"]})
    assert answer.json["id"] == answer.json["channel_id"]


async def test_unknown_webhooks_wrong_tokens_and_strange_paths_are_told_apart(talk: Talk) -> None:
    answers = [
        await talk.ask("POST", path, {"content": "c"}) for path in ("/webhooks/99/x", "/webhooks/11/x", "/nothing")
    ]
    assert [(one.status, one.code) for one in answers] == [(404, 10015), (401, 50027), (404, 0)]
    assert (await talk.ask("PUT", "/webhooks/11/token", {})).status == 405


async def test_without_its_user_agent_nobody_gets_in(talk: Talk, standin: StandIn) -> None:
    async with talk.session.get(f"{talk.api}/webhooks/11/token", headers={"User-Agent": "curl/8"}) as answer:
        assert (answer.status, (await answer.json())["code"]) == (403, 40333)
        assert "Via" not in answer.headers
    standin.strict = False
    async with talk.session.get(f"{talk.api}/webhooks/11/token", headers={"User-Agent": "curl/8"}) as answer:
        assert answer.status == 200


async def test_an_unversioned_url_answers_as_v6_did(talk: Talk) -> None:
    talk.api = talk.api.removesuffix("/v10")
    assert (await talk.post({"embeds": [{"url": "/x"}]})).json == {"embeds": ["0"]}
    for _ in range(4):
        await talk.post()
    throttled = await talk.post()
    assert throttled.status == 429
    assert throttled.headers["Retry-After"] == "2000"
    talk.api += "/v99"
    assert (await talk.post()).code == 50041


async def test_an_uploaded_file_may_be_shown_in_an_embed(talk: Talk) -> None:
    files = aiohttp.FormData(quote_fields=False)
    files.add_field(
        "payload_json", '{"embeds": [{"image": {"url": "attachment://c.png"}}]}', content_type="application/json"
    )
    files.add_field("files[0]", b"123", filename="c.png", content_type="image/png")
    async with talk.session.post(f"{talk.api}/webhooks/11/token?wait=true", data=files) as answer:
        message = await answer.json()
    assert [(one["filename"], one["size"]) for one in message["attachments"]] == [("c.png", 3)]
    assert (await talk.edit(message["id"], {"content": "kept"})).json["attachments"] == message["attachments"]
    assert (await talk.edit(message["id"], {"attachments": []})).json["attachments"] == []
    refused = await talk.post({"embeds": [{"image": {"url": "attachment://none.png"}}]})
    assert refused.fault_at("embeds", "0", "image", "url") == "URL_TYPE_INVALID_URL"
