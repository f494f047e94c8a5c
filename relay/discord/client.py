"""One request ends in one Outcome, never in an exception, and nothing that could hold a token leaves this file.

Rules: reference/discord.md §2, §4 and §5; `read_answer` is its table of outcomes as code, and pure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import aiohttp

from relay.core.outcome import (
    MessageDeleted,
    Outcome,
    RateInfo,
    Refused,
    Remedy,
    Scope,
    Sent,
    Throttled,
    Unavailable,
    WebhookDead,
)
from relay.discord.message import Payload

MAX_ANSWER: Final = 256 * 1024
"""Bytes of an answer that are read; Discord's are far smaller."""
TIMEOUT: Final = aiohttp.ClientTimeout(total=15, connect=5, sock_connect=5)
"""Seconds. A pool of our own connections is never waited for: one request in flight per webhook."""
EDGE_PAUSE: Final = 900.0
"""Seconds without any request after an answer that was not Discord's own, if it names none."""
UNTOLD_PAUSE: Final = 5.0
"""Seconds to wait after a 429 of Discord's that names none."""
MAX_PAUSE: Final = 86400.0

_GONE: Final = frozenset({10003, 10015, 50001, 50013, 50027})
_SETUP: Final = frozenset({220001, 220002, 220003, 40067, 10087, 160005, 160006})
_LINKS: Final = frozenset({200000, 240000})
_THROTTLES: Final = frozenset({30046, 20028, 20029, 40062, 20016})
_UNKNOWN_MESSAGE: Final = 10008
_ARCHIVED: Final = 50083
_CLOUDFLARE: Final = 40333
_OVERLOADED: Final = 130000


class Token(Protocol):
    """A secret that has no string form until it is asked for."""

    def reveal(self) -> str: ...


@dataclass(frozen=True, slots=True)
class WebhookInfo:
    """Where a webhook posts: which of them share a Discord channel, and what jump links need."""

    id: str
    channel_id: str
    guild_id: str
    name: str = ""


class DiscordClient:
    """Sends payloads through one long-lived session. `api` is Discord's API with its version, without a slash at its end."""

    def __init__(self, session: aiohttp.ClientSession, api: str, user_agent: str) -> None:
        self._session = session
        self._api = api.rstrip("/")
        self._headers = {"User-Agent": user_agent, "Accept": "application/json"}

    async def send(
        self,
        webhook_id: str,
        token: Token,
        payload: Payload,
        *,
        message_id: str | None = None,
        thread: str | None = None,
    ) -> tuple[Outcome, RateInfo]:
        """Post a new message, or edit `message_id`. In a thread both must name it."""
        query = (
            {"with_components": "true"}
            | ({} if message_id else {"wait": "true"})
            | ({"thread_id": thread} if thread else {})
        )
        path = f"/messages/{message_id}" if message_id else ""
        method = "PATCH" if message_id else "POST"
        answer = await self._ask(method, webhook_id, token, path, query, payload.body)
        if isinstance(answer, Unavailable):
            return answer, RateInfo()
        outcome = read_answer(answer.status, answer.headers, answer.text, creating=message_id is None)
        if isinstance(outcome, Sent) and message_id:
            outcome = Sent(message_id, outcome.channel_id)
        return outcome, read_rate(answer.headers)

    async def look(self, webhook_id: str, token: Token) -> tuple[WebhookInfo | Outcome, RateInfo]:
        """Ask Discord where the webhook posts: a cheap probe that writes nothing."""
        answer = await self._ask("GET", webhook_id, token, "", {}, None)
        if isinstance(answer, Unavailable):
            return answer, RateInfo()
        rate = read_rate(answer.headers)
        if answer.status != 200:
            return read_answer(answer.status, answer.headers, answer.text, creating=False), rate
        doc = _object(answer.text)
        channel = _text(doc.get("channel_id"))
        if not channel:
            return Unavailable("unreadable answer", status=200), rate
        return WebhookInfo(
            _text(doc.get("id")) or webhook_id, channel, _text(doc.get("guild_id")), _text(doc.get("name"))
        ), rate

    async def _ask(
        self, method: str, webhook_id: str, token: Token, path: str, query: dict[str, str], body: bytes | None
    ) -> _Answer | Unavailable:
        headers = self._headers | ({"Content-Type": "application/json"} if body is not None else {})
        url = f"{self._api}/webhooks/{webhook_id}/{token.reveal()}{path}"
        status: int | None = None
        try:
            async with self._session.request(
                method, url, params=query, data=body, headers=headers, timeout=TIMEOUT, allow_redirects=False
            ) as reply:
                status = reply.status
                return _Answer(status, reply.headers, await _read(reply))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Unavailable(type(error).__name__)
        except (OSError, TimeoutError, aiohttp.ClientError, ValueError) as error:
            # Its text may hold the URL, and the URL the token: only what kind of error it was may be known.
            return Unavailable(
                type(error).__name__, maybe_stored=method == "POST" and (status is None or status < 400), status=status
            )


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    text: str


async def _read(reply: aiohttp.ClientResponse) -> str:
    """The beginning of the answer's body; what is larger is no answer of Discord's, and is not read."""
    read = bytearray()
    async for chunk in reply.content.iter_chunked(16 * 1024):
        read += chunk
        if len(read) > MAX_ANSWER:
            reply.close()
            break
    return bytes(read[:MAX_ANSWER]).decode(errors="replace")


# --- reading, pure ------------------------------------------------------------------------------------------------------


def read_answer(status: int, headers: Mapping[str, str], text: str, *, creating: bool = True) -> Outcome:
    """What one answer means. `creating`: it answers a new message, which a server's error may have left stored."""
    doc = _object(text)
    code = _code(doc)
    told = _seconds(headers.get("Retry-After"))
    if status in {200, 204}:
        return Sent(_text(doc.get("id")) or None, _text(doc.get("channel_id")) or None)
    if status == 429 and ("retry_after" in doc or code):
        return _throttled(doc, headers, told, code or 0)
    if status == 429 or code == _CLOUDFLARE or (status in {401, 403, 404} and code is None):
        return Unavailable(f"HTTP {status} from the edge", host=True, seconds=told or EDGE_PAUSE, status=status)
    if status >= 500 or code == _OVERLOADED:
        return Unavailable(f"HTTP {status}", seconds=told, maybe_stored=creating, status=status)
    if not 400 <= status < 500:
        return Unavailable(f"HTTP {status}", seconds=told, maybe_stored=creating and status < 300, status=status)
    if code in _THROTTLES:
        return _throttled(doc, headers, told, code or 0)
    if code == _UNKNOWN_MESSAGE:
        return MessageDeleted()
    if code in _GONE or (code == 0 and status in {401, 404}):
        return WebhookDead(code or 0)
    return Refused(code or 0, _why(status, code, doc), _remedy(code))


def _throttled(doc: Mapping[str, Any], headers: Mapping[str, str], told: float | None, code: int) -> Throttled:
    """The longest wait that was named. `Retry-After` overrides the bucket's headers."""
    named = headers.get("X-RateLimit-Scope", "")
    if doc.get("global") is True or headers.get("X-RateLimit-Global", "").lower() == "true":
        scope = Scope.GLOBAL
    else:
        scope = Scope(named) if named in set(Scope) else Scope.USER
    return Throttled(scope, max(told or 0.0, _seconds(doc.get("retry_after")) or 0.0) or UNTOLD_PAUSE, code)


def _remedy(code: int | None) -> Remedy:
    if code in _SETUP:
        return Remedy.CONFIGURE
    if code in _LINKS:
        return Remedy.NO_LINKS
    return Remedy.REPOST if code == _ARCHIVED else Remedy.DEGRADE


def read_rate(headers: Mapping[str, str]) -> RateInfo:
    """The bucket's headers, as far as they make sense."""
    limit, remaining = _seconds(headers.get("X-RateLimit-Limit")), _seconds(headers.get("X-RateLimit-Remaining"))
    return RateInfo(
        limit=None if limit is None else int(limit),
        remaining=None if remaining is None else int(remaining),
        reset_after=_seconds(headers.get("X-RateLimit-Reset-After")),
        bucket=headers.get("X-RateLimit-Bucket", "")[:64],
        scope=headers.get("X-RateLimit-Scope", "")[:16],
    )


def _object(text: str) -> Mapping[str, Any]:
    """The JSON object in `text`, else an empty one: bodies are HTML, plain text, lists, cut off or absent."""
    try:
        doc = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return doc if isinstance(doc, dict) else {}


def _code(doc: Mapping[str, Any]) -> int | None:
    code = doc.get("code")
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _seconds(value: object) -> float | None:
    """A number of seconds of at most a day; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return min(seconds, MAX_PAUSE) if math.isfinite(seconds) and seconds >= 0 else None


def _text(value: object) -> str:
    return value[:100] if isinstance(value, str) else ""


def _why(status: int, code: int | None, doc: Mapping[str, Any]) -> str:
    """`50035 embeds.0.title BASE_TYPE_MAX_LENGTH`: the code and the fields it names, never a word of the body."""
    fields = _fields(doc.get("errors"), (), 0)[:3]
    return " ".join([str(code if code is not None else f"HTTP {status}"), *fields])[:200]


def _fields(node: object, path: tuple[str, ...], depth: int) -> list[str]:
    """Each refused field with its error's code. Both are names, so that what is not one is left out."""
    if not isinstance(node, dict) or depth > 8:
        return (
            [f"{'.'.join(path)} {item[:40]}" for item in node[:2] if _is_name(item)]
            if isinstance(node, list) and path
            else []
        )
    found = []
    for key, inner in list(node.items())[:8]:
        if key == "_errors" and isinstance(inner, list):
            codes = [error.get("code") for error in inner[:2] if isinstance(error, dict)]
            found += [f"{'.'.join(path)} {code}".strip() for code in codes if _is_name(code)]
        elif _is_name(key):
            found += _fields(inner, (*path, key), depth + 1)
    return found


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 64 and value.replace("_", "").isalnum() and value.isascii()
