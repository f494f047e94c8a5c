"""The client against a Discord over real HTTP."""

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest
from aiohttp import web

from relay.core.attention import Loudness
from relay.core.card import Form
from relay.core.outcome import MessageDeleted, Refused, Scope, Sent, Throttled, Unavailable, WebhookDead
from relay.core.posting import Degraded
from relay.demo.discord import Kind, Limits, Mentioned, StandIn
from relay.discord.client import DiscordClient, WebhookInfo
from relay.discord.message import Payload, render
from tests.discord.scenes import NOW, SCENES, crash_card

AGENT = "DiscordBot (https://example.org/relay, 0.1.0)"
WORD = "a-token-nobody-may-see"


@dataclass(frozen=True)
class Token:
    text: str = WORD

    def reveal(self) -> str:
        return self.text


@dataclass
class World:
    standin: StandIn
    client: DiscordClient
    session: aiohttp.ClientSession
    api: str


@pytest.fixture
async def world() -> AsyncIterator[World]:
    standin = StandIn(clock=lambda: NOW, limits=Limits.off())
    standin.add_webhook("11", WORD, "22", "33")
    standin.add_role("1234", "oncall")
    async with standin.running() as api, aiohttp.ClientSession() as session:
        yield World(standin, DiscordClient(session, api, AGENT), session, api)


def card(form: Form = Form.FULL, loudness: Loudness = Loudness.NOTIFY, *, editing: bool = False) -> Payload:
    return render([(crash_card(), form)], loudness=loudness, mentions=("<@&1234>",), editing=editing)


@pytest.mark.parametrize("name", SCENES)
async def test_discord_takes_every_scene(world: World, name: str) -> None:
    scene = SCENES[name]
    for degraded in Degraded:
        payload = render(
            scene.parts, loudness=scene.loudness, mentions=scene.mentions, jump=scene.jump, degraded=degraded
        )
        outcome, _ = await world.client.send("11", Token(), payload)
        assert isinstance(outcome, Sent)
        edit = render(scene.parts, loudness=scene.loudness, jump=scene.jump, degraded=degraded, editing=True)
        edited, _ = await world.client.send("11", Token(), edit, message_id=outcome.message_id)
        assert edited == Sent(outcome.message_id, "22")
        assert edit.digest == payload.digest


async def test_a_page_pings_the_role_and_nobody_else(world: World) -> None:
    await world.client.send("11", Token(), card(loudness=Loudness.PAGE))
    [push] = world.standin.pushes
    assert push.text.startswith("🚨 sonarr crash-looping, 4 min after a change")
    assert push.mentioned == Mentioned(roles=("1234",))


async def test_a_quiet_post_makes_no_sound(world: World) -> None:
    outcome, _ = await world.client.send("11", Token(), card(loudness=Loudness.QUIET))
    assert isinstance(outcome, Sent)
    [message] = world.standin.messages()
    assert message.silent
    assert world.standin.pushes == []


async def test_an_edit_clears_what_it_does_not_say(world: World) -> None:
    outcome, _ = await world.client.send("11", Token(), card())
    assert isinstance(outcome, Sent)
    pointer = render([(crash_card(), Form.POINTER)], loudness=Loudness.COUNT, editing=True)
    await world.client.send("11", Token(), pointer, message_id=outcome.message_id)
    [message] = world.standin.messages()
    assert message.embeds == []
    assert message.content == "↪ sonarr: moved below"


async def test_a_look_tells_where_the_webhook_posts(world: World) -> None:
    answer, _ = await world.client.look("11", Token())
    assert answer == WebhookInfo("11", "22", "33", "relay")


async def test_a_dead_webhook_is_known_as_dead(world: World) -> None:
    answer, _ = await world.client.look("12", Token())
    assert answer == WebhookDead(10015)
    outcome, _ = await world.client.send("11", Token("wrong"), card())
    assert outcome == WebhookDead(50027)


async def test_an_edit_of_what_a_person_deleted(world: World) -> None:
    outcome, _ = await world.client.send("11", Token(), card(editing=True), message_id="999999999999999999")
    assert outcome == MessageDeleted()


async def test_a_refusal_names_the_field(world: World) -> None:
    outcome, _ = await world.client.send("11", Token(), Payload(b'{"embeds":[{"title":"' + b"x" * 257 + b'"}]}', "", 1))
    assert outcome == Refused(50035, "50035 embeds.0.title BASE_TYPE_MAX_LENGTH")


async def test_a_throttled_answer_says_how_long_and_the_bucket_is_told() -> None:
    standin = StandIn(clock=lambda: NOW)
    standin.add_webhook("11", WORD, "22", "33")
    async with standin.running() as api, aiohttp.ClientSession() as session:
        client = DiscordClient(session, api, AGENT)
        answers = [await client.send("11", Token(), card()) for _ in range(6)]
    assert isinstance(answers[4][0], Sent)
    assert answers[4][1].remaining == 0
    assert isinstance(answers[5][0], Throttled)
    assert answers[5][0].scope is Scope.USER
    assert answers[5][0].seconds == pytest.approx(2.0)


async def test_a_message_stored_whose_answer_was_lost_may_be_stored(world: World) -> None:
    world.standin.fault(Kind.STORED_THEN_DROPPED)
    outcome, _ = await world.client.send("11", Token(), card())
    assert isinstance(outcome, Unavailable)
    assert outcome.maybe_stored
    assert len(world.standin.messages()) == 1


async def test_nobody_listening_stored_nothing() -> None:
    async with aiohttp.ClientSession() as session:
        outcome, _ = await DiscordClient(session, "http://127.0.0.1:1/api/v10", AGENT).send("11", Token(), card())
    assert outcome == Unavailable("ClientConnectorError")


async def test_no_outcome_and_no_log_holds_the_token(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    said = []
    async with aiohttp.ClientSession() as session:
        for api in ("http://127.0.0.1:1/api/v10", "http://[bad/api", "nonsense", world.api):
            client = DiscordClient(session, api, AGENT)
            said.append(repr(await client.send("11", Token(), card())))
            said.append(repr(await client.look("11", Token())))
    assert WORD not in "".join(said)
    ours = [
        record.getMessage() for record in caplog.records if not record.name.startswith(("aiohttp.access", "asyncio"))
    ]
    assert not any(WORD in line for line in ours)


@asynccontextmanager
async def serving(handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """Another server in Discord's place; its API's address."""
    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/api/v10"
    finally:
        await runner.cleanup()


async def test_an_endless_answer_is_not_read() -> None:
    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        reply = web.StreamResponse(status=400)
        await reply.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await reply.write(b"x" * 65536)
        return reply

    async with serving(endless) as api, aiohttp.ClientSession() as session:
        outcome, _ = await DiscordClient(session, api, AGENT).send("11", Token(), card())
    assert outcome == Refused(0, "HTTP 400")


async def test_a_redirect_is_not_followed() -> None:
    asked = []

    async def elsewhere(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    async with serving(elsewhere) as api, aiohttp.ClientSession() as session:
        outcome, _ = await DiscordClient(session, api, AGENT).send("11", Token(), card())
    assert outcome == Unavailable("HTTP 302", status=302)
    assert len(asked) == 1


EDGE = [
    (Kind.BAN_HTML, 900.0),
    (Kind.BAN_JSON, 900.0),
    (Kind.CLOUDFLARE_1015, 900.0),
    (Kind.FORBIDDEN_HTML, 900.0),
    (Kind.EDGE_404_HTML, 900.0),
]


@pytest.mark.parametrize("kind, seconds", EDGE)
async def test_an_edge_that_answers_for_discord_closes_the_host(world: World, kind: Kind, seconds: float) -> None:
    world.standin.fault(kind)
    outcome, _ = await world.client.send("11", Token(), card())
    assert isinstance(outcome, Unavailable)
    assert outcome.host
    assert outcome.seconds == seconds


async def test_a_thread_is_named_by_post_and_edit(world: World) -> None:
    world.standin.add_thread("44", "22")
    outcome, _ = await world.client.send("11", Token(), card(), thread="44")
    assert isinstance(outcome, Sent)
    assert outcome.channel_id == "44"
    edited, _ = await world.client.send("11", Token(), card(editing=True), message_id=outcome.message_id, thread="44")
    assert edited == outcome
    lost, _ = await world.client.send("11", Token(), card(editing=True), message_id=outcome.message_id)
    assert lost == MessageDeleted()
