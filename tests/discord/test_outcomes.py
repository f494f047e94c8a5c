"""Every row of discord.md §5, as a sentence."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from relay.discord.client import read_answer, read_rate

BAN = "<html><body>error code: 1015</body></html>"
SHARED = {"X-RateLimit-Scope": "shared", "Retry-After": "40"}
TOO_LONG = {"code": "BASE_TYPE_MAX_LENGTH", "message": "Must be 256 or fewer in length."}
FORM = {
    "code": 50035,
    "message": "Invalid Form Body",
    "errors": {"embeds": {"0": {"title": {"_errors": [TOO_LONG]}}}},
}


def edge(status: int, seconds: float = 900.0) -> Unavailable:
    return Unavailable(f"HTTP {status} from the edge", host=True, seconds=seconds, status=status)


def down(status: int, *, stored: bool = True, seconds: float | None = None) -> Unavailable:
    return Unavailable(f"HTTP {status}", maybe_stored=stored, status=status, seconds=seconds)


ROWS: list[tuple[str, int, dict[str, str], object, Outcome]] = [
    ("a stored message", 200, {}, {"id": "5", "channel_id": "6"}, Sent("5", "6")),
    ("a success that says nothing", 204, {}, "", Sent(None)),
    ("a success whose answer was cut off", 200, {}, '{"id": "5', Sent(None)),
    ("a success that is a list", 200, {}, "[1]", Sent(None)),
    ("throttled, by the body", 429, {}, {"retry_after": 1.5, "global": False}, Throttled(Scope.USER, 1.5)),
    ("throttled, the longer of both", 429, {"Retry-After": "3"}, {"retry_after": 2.2}, Throttled(Scope.USER, 3.0)),
    ("throttled for the Discord channel", 429, SHARED, {"retry_after": 39.2}, Throttled(Scope.SHARED, 40.0)),
    ("throttled for all", 429, {}, {"retry_after": 9, "global": True}, Throttled(Scope.GLOBAL, 9.0)),
    (
        "throttled for all, by its header",
        429,
        {"X-RateLimit-Global": "true"},
        {"retry_after": 9},
        Throttled(Scope.GLOBAL, 9.0),
    ),
    (
        "throttled for no time that was named",
        429,
        {},
        {"retry_after": None, "code": 20028},
        Throttled(Scope.USER, 5.0, 20028),
    ),
    ("throttled for zero seconds", 429, {"Retry-After": "0"}, {"retry_after": 0}, Throttled(Scope.USER, 5.0)),
    ("throttled for an absurd time", 429, {}, {"retry_after": 1e300}, Throttled(Scope.USER, 86400.0)),
    ("edits of old messages", 429, {}, {"code": 30046, "retry_after": 4}, Throttled(Scope.USER, 4.0, 30046)),
    ("a code that throttles, as a 400", 400, {}, {"code": 20016}, Throttled(Scope.USER, 5.0, 20016)),
    ("a ban without JSON", 429, {}, BAN, edge(429)),
    ("a ban that says how long", 429, {"Retry-After": "3600"}, BAN, edge(429, 3600.0)),
    ("a ban in static JSON", 429, {}, {"code": 0, "message": "You are being blocked"}, edge(429)),
    ("a 429 that is a list", 429, {}, "[]", edge(429)),
    ("a 401 without JSON", 401, {}, "no", edge(401)),
    ("a 403 as HTML", 403, {}, BAN, edge(403)),
    ("a 404 without JSON", 404, {}, "", edge(404)),
    ("Cloudflare wants a User-Agent", 403, {}, {"code": 40333}, edge(403)),
    ("a server's error", 500, {}, {"code": 0}, down(500)),
    ("a bad gateway as HTML", 502, {}, "<html>", down(502)),
    ("unavailable, with a time", 503, {"Retry-After": "7"}, "", down(503, seconds=7.0)),
    ("the edge cannot reach Discord", 522, {}, "", down(522)),
    ("overloaded", 400, {}, {"code": 130000}, down(400)),
    ("a redirect", 302, {"Location": "https://example.org"}, "", down(302, stored=False)),
    ("a refused form", 400, {}, FORM, Refused(50035, "50035 embeds.0.title BASE_TYPE_MAX_LENGTH")),
    ("an old refusal", 400, {}, {"embeds": ["0"]}, Refused(0, "HTTP 400")),
    ("an empty message", 400, {}, {"code": 50006}, Refused(50006, "50006")),
    ("JSON it could not read", 400, {}, {"code": 50109}, Refused(50109, "50109")),
    ("AutoMod", 400, {}, {"code": 200000}, Refused(200000, "200000", Remedy.NO_LINKS)),
    ("a harmful link", 400, {}, {"code": 240000}, Refused(240000, "240000", Remedy.NO_LINKS)),
    ("too large", 413, {}, {"code": 40005}, Refused(40005, "40005")),
    ("too large, by a proxy", 413, {}, BAN, Refused(0, "HTTP 413")),
    ("a forum without a thread", 400, {}, {"code": 220001}, Refused(220001, "220001", Remedy.CONFIGURE)),
    ("a tag is required", 400, {}, {"code": 40067}, Refused(40067, "40067", Remedy.CONFIGURE)),
    ("a locked thread", 403, {}, {"code": 160005}, Refused(160005, "160005", Remedy.CONFIGURE)),
    ("an archived thread", 400, {}, {"code": 50083}, Refused(50083, "50083", Remedy.REPOST)),
    ("a deleted message", 404, {}, {"code": 10008}, MessageDeleted()),
    ("an unknown webhook", 404, {}, {"code": 10015}, WebhookDead(10015)),
    ("a wrong token", 401, {}, {"code": 50027}, WebhookDead(50027)),
    ("a channel that is gone", 404, {}, {"code": 10003}, WebhookDead(10003)),
    ("no permission", 403, {}, {"code": 50013}, WebhookDead(50013)),
    ("unauthorised, in general", 401, {}, {"code": 0}, WebhookDead(0)),
]


@pytest.mark.parametrize("status, headers, body, outcome", [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_an_answer_means(status: int, headers: dict[str, str], body: object, outcome: Outcome) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    assert read_answer(status, headers, text) == outcome


def test_an_edit_that_failed_is_never_a_duplicate() -> None:
    assert read_answer(502, {}, "", creating=False) == down(502, stored=False)


KEYS = st.sampled_from(["code", "retry_after", "global", "errors", "_errors", "id"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=8)
HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "X-RateLimit-Scope", "X-RateLimit-Remaining"]), st.text(max_size=6)
)


@given(st.integers(100, 599), HEADERS, JSON.map(json.dumps) | st.text())
def test_any_answer_is_some_outcome_and_no_time_is_absurd(status: int, headers: dict[str, str], text: str) -> None:
    outcome = read_answer(status, headers, text)
    seconds = outcome.seconds if isinstance(outcome, Throttled | Unavailable) else None
    assert seconds is None or 0 <= seconds <= 86400
    assert read_rate(headers).remaining is None or status


@given(st.text(min_size=9, alphabet="<>@: é"))
def test_a_refusal_repeats_no_word_of_the_body(secret: str) -> None:
    body = {"code": 50035, "message": secret, "errors": {secret: {"_errors": [{"code": secret, "message": secret}]}}}
    outcome = read_answer(400, {}, json.dumps(body))
    assert isinstance(outcome, Refused)
    assert outcome.why == "50035"


def test_the_bucket_is_read_as_far_as_it_makes_sense() -> None:
    headers = {
        "X-RateLimit-Limit": "5",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset-After": "1.25",
        "X-RateLimit-Bucket": "ab",
    }
    assert read_rate(headers) == RateInfo(5, 0, 1.25, "ab")
    assert read_rate({"X-RateLimit-Remaining": "nan", "X-RateLimit-Reset-After": "-1"}) == RateInfo()
