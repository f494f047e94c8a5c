"""`/quiet`: looking changes nothing, so a link's preview cannot; only a POST that proves itself, from this page or from a program, acts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from types import MappingProxyType
from typing import Any, Final, assert_never
from urllib.parse import parse_qsl, urlsplit

import structlog
from aiohttp import web
from multidict import CIMultiDict
from sqlalchemy import Connection

from relay.config.model import end_of
from relay.config.values import Configuration
from relay.core.event import Instant, Source
from relay.core.incident import Incident
from relay.core.quiet import Rule, Rules, clock
from relay.storage import lists, quiet
from relay.web import Accepts, auth
from relay.web.auth import Proof
from relay.web.door import NAMELESS, Door, Refusal, answer

log = structlog.get_logger(__name__)

PATH: Final = "/quiet"
LIMIT: Final = 16 * 1024
"""Bytes of one request's body."""
SHOWN: Final = 50
"""Open incidents on the page."""
_HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        **NAMELESS,
    }
)
_CHALLENGE: Final = 'Basic realm="relay", charset="UTF-8"'


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a POST asks for: quiet for `what`, or that the rule `end` is over."""

    what: tuple[str, ...] = ()
    lasts: str = ""
    until: str = ""
    by: str = ""
    why: str = ""
    end: str = ""


async def handle(
    request: web.BaseRequest,
    configuration: Configuration,
    writer: Accepts,
    door: Door,
    clock_: Callable[[], Instant],
) -> web.Response:
    """Answer `/quiet`. Raises StorageAway or Stopping where nothing was written."""
    if not configuration.quiet:
        return answer(404, "not served: quiet.bearer_token_file or quiet.basic_auth in the file opens it")
    if request.method not in ("GET", "HEAD", "POST"):
        return answer(405, "GET shows, POST does", {"Allow": "GET, HEAD, POST"})
    if auth.by_headers(Source.ALERTMANAGER, configuration.quiet, request.headers) is not Proof.GIVEN:
        return answer(401, "unauthorized", {"WWW-Authenticate": _CHALLENGE})
    now = clock_()
    if request.method != "POST":
        rules, incidents = await writer.transact(lambda c: _shown(c, now))
        return _page(request, configuration, rules, incidents, now)
    if _is_foreign(request):
        return answer(403, "another page sent this: open /quiet itself")
    body = await door.read(request, LIMIT)
    match body:
        case bytes():
            door.release(body)
        case Refusal.TOO_LONG | Refusal.TOO_MUCH:
            return answer(413, f"too long: at most {LIMIT // 1024} KiB")
        case Refusal.BROKEN | Refusal.TOO_SLOW | Refusal.GONE:
            return answer(400, "the body did not come")
        case _:
            assert_never(body)
    return await _act(request, body, configuration, writer, now)


async def _act(
    request: web.BaseRequest, body: bytes, configuration: Configuration, writer: Accepts, now: Instant
) -> web.Response:
    try:
        wish = _wish(request, body)
        if wish.end:
            rule = await writer.transact(lambda c: quiet.end(c, wish.end, now))
            said = f"quiet {rule.key} is over" if rule is not None else ""
        else:
            until = end_of(wish.lasts, wish.until, now, configuration.zone)
            by = auth.user_of(request.headers.get("Authorization", "")) or wish.by or "somebody"
            rule = await writer.transact(lambda c: quiet.ask(c, wish.what, now=now, until=until, by=by, why=wish.why))
            said = f"quiet {rule.key} until {clock(rule.until, configuration.zone, now)}"
    except ValueError as error:
        return _answered(request, 400, str(error))
    if rule is None:
        return _answered(request, 404, "no such quiet is in force")
    log.info("quiet ended" if wish.end else "quiet", rule=rule.key)
    return _answered(request, 200, said, rule)


# --- what is asked ------------------------------------------------------------------------------------------------------


def _is_foreign(request: web.BaseRequest) -> bool:
    """Whether a browser says that another page made it send this, with the password that it remembers."""
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("Host", ""):
        return True
    return request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")


def _wish(request: web.BaseRequest, body: bytes) -> _Wish:
    """From a form or JSON. Raises ValueError."""
    if request.content_type == "application/json":
        value = _json(body)
        what = value.get("match", [])
        matchers = [what] if isinstance(what, str) else what
        if not isinstance(matchers, list) or not all(isinstance(one, str) for one in matchers):
            raise ValueError('match is a matcher or a list of them: "namespace=\\"lab\\""')
        given = {key: item for key, item in value.items() if isinstance(item, str)}
    else:
        try:
            pairs = parse_qsl(body.decode(), max_num_fields=40)
        except (ValueError, UnicodeDecodeError):
            raise ValueError("this is no form") from None
        matchers = [line for key, text in pairs if key == "match" for line in text.splitlines()]
        given = dict(pairs)
    named = [given["incident"]] if given.get("incident") else []
    return _Wish(
        what=tuple(one for one in (*named, *matchers) if one.strip()),
        lasts=given.get("for", "").strip(),
        until=given.get("until", "").strip(),
        by=given.get("by", ""),
        why=given.get("why", ""),
        end=given.get("end", "").strip(),
    )


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("this is no JSON") from None
    if not isinstance(value, dict):
        raise ValueError("this is no JSON object")  # noqa: TRY004  # Of the sender's making: answered, not raised.
    return value


# --- what is shown ------------------------------------------------------------------------------------------------------


def _shown(connection: Connection, now: Instant) -> tuple[Rules, Sequence[Incident]]:
    return quiet.quiet_now(connection, now), lists.open_incidents(connection, SHOWN)


def _wants_json(request: web.BaseRequest) -> bool:
    accepted = request.headers.get("Accept", "")
    return "application/json" in accepted or (request.content_type == "application/json" and "html" not in accepted)


def _answered(request: web.BaseRequest, status: int, said: str, rule: Rule | None = None) -> web.Response:
    if _wants_json(request):
        value = {"said": said} | ({"quiet": quiet.plain(rule)} if rule is not None else {})
        return _response(status, json.dumps(value), "application/json")
    if "html" in request.headers.get("Accept", ""):
        return _html(status, f"<p>{escape(said)}</p><p><a href='/quiet'>Back</a></p>")
    return answer(status, said)


def _page(
    request: web.BaseRequest,
    configuration: Configuration,
    rules: Rules,
    incidents: Sequence[Incident],
    now: Instant,
) -> web.Response:
    if _wants_json(request):
        return _response(200, json.dumps({"quiet": [quiet.plain(rule) for rule in rules]}), "application/json")
    zone = configuration.zone
    lines = [
        f"<li><b>{escape(rule.key)}</b> until {clock(rule.until, zone, now)} {escape(str(zone))}, by"
        f" {escape(rule.by or 'somebody')}: <code>{escape(quiet.target(rule))}</code> {escape(rule.why)}"
        f"<form method='post'><button name='end' value='{escape(rule.key)}'>End</button></form></li>"
        for rule in rules
    ]
    named = request.query.get("incident", "")
    chosen = [one for one in incidents if named and one.id[8:].startswith(named)] or incidents
    options = "".join(
        f"<option value='{escape(one.handle)}'>{escape(one.handle)} {escape(one.severity.word)}"
        f" {escape(one.subject.place or one.subject.cluster)}</option>"
        for one in chosen
    )
    return _html(
        200,
        f"<h1>Quiet</h1><ul>{''.join(lines) or '<li>Nothing is quiet.</li>'}</ul>"
        "<form method='post'><p><label>Incident <select name='incident'>"
        f"{'' if named and chosen is not incidents else '<option></option>'}{options}</select></label></p>"
        "<p><label>or matchers, a line for each<br><textarea name='match' rows='2' cols='40'></textarea></label></p>"
        "<p><label>for <select name='for'><option>1h</option><option>4h</option><option>8h</option><option>1d</option>"
        "<option>7d</option></select></label></p><p><label>why <input name='why' maxlength='120'></label></p>"
        "<p><button>Be quiet</button></p></form>",
    )


_STYLE: Final = (
    "body{font:16px/1.5 sans-serif;max-width:40em;margin:2em auto;padding:0 1em}form form,li form{display:inline}"
    "select,textarea,input,button{font:inherit;max-width:100%}"
)


def _html(status: int, body: str) -> web.Response:
    head = f"<meta charset='utf-8'><meta name='viewport' content='width=device-width'><title>Quiet</title><style>{_STYLE}</style>"
    return _response(status, f"<!doctype html>{head}{body}", "text/html")


def _response(status: int, text: str, kind: str) -> web.Response:
    headers = CIMultiDict({**_HEADERS, "Content-Type": f"{kind}; charset=utf-8"})
    return web.Response(status=status, body=text.encode(), headers=headers)
