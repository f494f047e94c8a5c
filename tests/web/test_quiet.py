"""`/quiet`: looking shows and changes nothing, a POST acts, and nobody gets in who is not let in."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import ClientSession, encode_basic_auth

from relay.config.values import BasicPair, Configuration, Credentials
from relay.core.event import Severity
from relay.core.known import Known
from relay.core.quiet import Rules
from relay.storage import ledger, quiet
from tests.storage import samples
from tests.web.conftest import Serve, Served
from tests.web.make import NOW, Pages, configuration, value

HOUR = 3600.0
TOKEN = "open-sesame"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
ADA = {"Authorization": encode_basic_auth("ada", "hunter2")}
HANDLE = "k7f3"
INCIDENT = f"23456789{HANDLE}bcdfghjkmnpqrs"
LAB = 'namespace="lab"'


def told(quiet_: Credentials | None = None) -> Configuration:
    opens = Credentials(bearer_tokens=(value(TOKEN),), basic=(BasicPair("ada", (value("hunter2"),)),))
    return replace(configuration(), quiet=opens if quiet_ is None else quiet_)


@pytest.fixture
async def served(serve: Serve, pages: Pages) -> Served:
    known = Known()
    known.put_incident(samples.incident(INCIDENT, severity=Severity.CRITICAL))
    await pages.transact(lambda c: ledger.save(c, known))
    return await serve(pages, told())


async def rules(pages: Pages) -> Rules:
    return await pages.transact(quiet.standing)


# --- who gets in --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic YWRhOndyb25n"}, {"X-Signature": "sha256=00"}],
)
async def test_whoever_is_not_let_in_sees_nothing_and_changes_nothing(
    served: Served, pages: Pages, client: ClientSession, method: str, headers: dict[str, str]
) -> None:
    data = {"match": LAB, "for": "1h"} if method == "POST" else None
    async with client.request(method, f"{served.url}/quiet", headers=headers, data=data) as answer:
        assert answer.status == 401
        assert "WWW-Authenticate" in answer.headers
        assert HANDLE not in await answer.text()
    assert await rules(pages) == ()


async def test_without_credentials_of_its_own_it_is_not_served_at_all(
    serve: Serve, pages: Pages, client: ClientSession
) -> None:
    served = await serve(pages, told(Credentials()))
    async with client.post(f"{served.url}/quiet", data={"match": LAB, "for": "1h"}) as answer:
        assert answer.status == 404
        assert "quiet.bearer_token_file" in await answer.text()
    assert await rules(pages) == ()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example.org"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_another_page_cannot_use_the_password_that_a_browser_remembers(
    served: Served, pages: Pages, client: ClientSession, headers: dict[str, str]
) -> None:
    form = {"match": LAB, "for": "1h"}
    async with client.post(f"{served.url}/quiet", headers=ADA | headers, data=form) as answer:
        assert answer.status == 403
    assert await rules(pages) == ()


async def test_the_page_itself_can(served: Served, pages: Pages, client: ClientSession) -> None:
    headers = {"Origin": served.url, "Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
    form = {"incident": HANDLE, "match": "", "for": "4h", "why": "I am on it"}
    async with client.post(f"{served.url}/quiet", headers=ADA | headers, data=form) as answer:
        assert answer.status == 200
    (rule,) = await rules(pages)
    assert (rule.incident, rule.by, rule.why, rule.until) == (INCIDENT, "ada", "I am on it", NOW + 4 * HOUR)


# --- looking ------------------------------------------------------------------------------------------------------------


async def test_looking_changes_nothing_whatever_the_link_says(
    served: Served, pages: Pages, client: ClientSession
) -> None:
    link = f"{served.url}/quiet?incident={HANDLE}&for=1h&match=a%3Db&end=1"
    for method in ("GET", "HEAD"):
        async with client.request(method, link, headers=ADA) as answer:
            assert answer.status == 200
    assert await rules(pages) == ()


async def test_the_page_shows_what_is_quiet_and_what_is_open_and_runs_no_script(
    served: Served, pages: Pages, client: ClientSession
) -> None:
    await pages.transact(
        lambda c: quiet.ask(c, ['x="<script>alert(1)</script>"'], now=NOW, until=NOW + HOUR, by="<b>eve", why="'\"&")
    )
    async with client.get(f"{served.url}/quiet", headers=ADA) as answer:
        page = await answer.text()
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
    assert HANDLE in page
    assert "<script" not in page
    assert "<b>eve" not in page
    assert "until 09:53" in page


async def test_a_program_is_answered_in_its_own_words(served: Served, client: ClientSession) -> None:
    headers = BEARER | {"Accept": "application/json"}
    wish = {"match": [LAB, 'severity!="critical"'], "for": "2h", "by": "a script", "why": "new disks"}
    async with client.post(f"{served.url}/quiet", headers=headers, json=wish) as answer:
        made: dict[str, Any] = await answer.json()
    assert made["quiet"] == {
        "id": "1",
        "incident": None,
        "match": [LAB, 'severity!="critical"'],
        "began_at": NOW,
        "until": NOW + 2 * HOUR,
        "by": "a script",
        "why": "new disks",
    }
    async with client.get(f"{served.url}/quiet", headers=headers) as answer:
        assert (await answer.json())["quiet"] == [made["quiet"]]


# --- doing --------------------------------------------------------------------------------------------------------------


async def test_what_was_asked_for_is_ended_by_its_number(served: Served, pages: Pages, client: ClientSession) -> None:
    url = f"{served.url}/quiet/"
    async with client.post(url, headers=BEARER, data={"match": f'{LAB}\nalertname="A"', "until": "23:00"}) as answer:
        assert (answer.status, await answer.text()) == (200, "quiet 1 until 23:00\n")
    (rule,) = await rules(pages)
    assert [str(one) for one in rule.match.all_of] == [LAB, 'alertname="A"']
    async with client.post(url, headers=BEARER, data={"end": "2"}) as answer:
        assert answer.status == 404
    async with client.post(url, headers=BEARER, data={"end": "1"}) as answer:
        assert (answer.status, await answer.text()) == (200, "quiet 1 is over\n")
    assert await rules(pages) == ()


WRONG: list[tuple[str, bytes, str, str]] = [
    ("nothing", b"", "form", "one of the two"),
    ("no end", b"match=a%3Db", "form", "one of the two"),
    ("no target", b"for=1h", "form", "quiet for what"),
    ("a matcher that is none", b"match=lab&for=1h", "form", "cannot read matcher"),
    ("a pattern that is none", b"match=a%3D~%22(%22&for=1h", "form", "bad regular expression"),
    ("nobody is called so", b"incident=zzzz&for=1h", "form", "no incident is open"),
    ("for ever", b"match=a%3Db&for=31d", "form", "30 days at most"),
    ("over already", b"match=a%3Db&until=2020-01-01+10:00", "form", "over already"),
    ("no duration", b"match=a%3Db&for=soon", "form", "is no duration"),
    ("no form", b"\xff\xfe", "form", "no form"),
    ("many fields", b"&".join([b"a=b"] * 1000), "form", "no form"),
    ("no JSON", b"{", "json", "no JSON"),
    ("deep JSON", b"[" * 16000, "json", "no JSON"),
    ("a list", b"[]", "json", "no JSON object"),
    ("a number for a matcher", b'{"match": [1], "for": "1h"}', "json", "a list of them"),
]


@pytest.mark.parametrize("sentence, body, kind, said", WRONG, ids=[one[0] for one in WRONG])
async def test_what_cannot_be_is_refused_in_a_line_and_changes_nothing(
    served: Served, pages: Pages, client: ClientSession, sentence: str, body: bytes, kind: str, said: str
) -> None:
    form = {"json": "application/json", "form": "application/x-www-form-urlencoded"}[kind]
    headers = BEARER | {"Content-Type": form, "Accept": "*/*"}
    async with client.post(f"{served.url}/quiet", headers=headers, data=body) as answer:
        text = await answer.text()
        assert answer.status == 400, sentence
    if kind == "json":
        text = json.loads(text)["said"]
    assert said in text
    assert await rules(pages) == ()


async def test_a_long_body_is_not_read(served: Served, pages: Pages, client: ClientSession) -> None:
    async with client.post(f"{served.url}/quiet", headers=BEARER, data=b"why=" + b"x" * 20_000) as answer:
        assert answer.status == 413
    assert await rules(pages) == ()


async def test_another_method_is_none(served: Served, client: ClientSession) -> None:
    async with client.delete(f"{served.url}/quiet", headers=BEARER) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, POST")


async def test_while_the_relay_cannot_write_it_says_so(served: Served, pages: Pages, client: ClientSession) -> None:
    pages.ready = False
    async with client.post(f"{served.url}/quiet", headers=BEARER, data={"match": LAB, "for": "1h"}) as answer:
        assert answer.status == 503
