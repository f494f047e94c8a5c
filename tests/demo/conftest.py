"""A stand-in on a clock that moves only when told, and somebody to talk to it over real HTTP."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest

from relay.demo.discord import StandIn

AGENT = {"User-Agent": "DiscordBot (https://example.org, 1.0)"}


@dataclass
class Clock:
    now: float = 1_750_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> dict[str, object]:
        document = json.loads(self.text)
        assert isinstance(document, dict)
        return document

    @property
    def code(self) -> object:
        return self.json["code"]

    def fault_at(self, *path: str) -> str:
        """The form code at a path of the nested errors."""
        node = self.json["errors"]
        for step in (*path, "_errors"):
            assert isinstance(node, dict)
            node = node[step]
        assert isinstance(node, list)
        return str(node[0]["code"])


class Talk:
    """A plain client: it sends what it is told and waits for nothing."""

    def __init__(self, session: aiohttp.ClientSession, api: str, webhook: str = "11/token") -> None:
        self.session, self.api, self.webhook = session, api, webhook

    async def ask(self, method: str, path: str, body: object = None, **query: str) -> Reply:
        """One request below the API's root; headers in the answer's own case."""
        kwargs = {} if body is None else {"json": body}
        async with self.session.request(method, self.api + path, params=query, **kwargs) as answer:  # type: ignore[arg-type]
            return Reply(answer.status, dict(answer.headers), await answer.text())

    async def post(self, body: object = None, **query: str) -> Reply:
        """Post a message and wait for it."""
        return await self.ask(
            "POST", f"/webhooks/{self.webhook}", body or {"content": "hello"}, **({"wait": "true"} | query)
        )

    async def edit(self, message_id: object, body: object, **query: str) -> Reply:
        """Edit a message."""
        return await self.ask("PATCH", f"/webhooks/{self.webhook}/messages/{message_id}", body, **query)

    async def get(self, message_id: object, **query: str) -> Reply:
        """Look at a message."""
        return await self.ask("GET", f"/webhooks/{self.webhook}/messages/{message_id}", **query)

    async def delete(self, message_id: object, **query: str) -> Reply:
        """Delete a message."""
        return await self.ask("DELETE", f"/webhooks/{self.webhook}/messages/{message_id}", **query)


@pytest.fixture
def clock() -> Clock:
    """A clock that moves only when told."""
    return Clock()


@pytest.fixture
def standin(clock: Clock) -> StandIn:
    """A stand-in with two webhooks in one channel, a thread, and one webhook of a forum."""
    made = StandIn(clock=clock)
    made.add_webhook("11", "token", "20", "30", "relay", channel_name="ops")
    made.add_webhook("12", "other", "20", "30", "second")
    made.add_thread("21", "20")
    made.add_webhook("13", "forum", "40", "30", forum=True, requires_tag=True, tags=["7"])
    return made


@pytest.fixture
async def talk(standin: StandIn) -> AsyncIterator[Talk]:
    """Somebody to talk to it."""
    async with standin.running() as api, aiohttp.ClientSession(headers=AGENT) as session:
        yield Talk(session, api)
