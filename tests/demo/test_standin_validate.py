"""The stand-in's verdicts on request bodies: every limit at its edge, and refusals that name the place."""

import json
from copy import deepcopy
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.demo.discord import Code, StandIn
from relay.demo.discord.app import parse
from relay.demo.discord.form import Errors, url
from relay.demo.discord.validate import Accepted, Circumstances, Invalid, read
from tests.conftest import CORPUS
from tests.demo.conftest import Talk

CREATE = Circumstances(editing=False, with_components=True, strict=True)
FIELD = {"name": "n", "value": "v"}
LINK = {"type": 2, "style": 5, "label": "l", "url": "https://example.org"}


def row(*buttons: object) -> dict[str, object]:
    return {"components": [{"type": 1, "components": list(buttons)}]}


def embed(**parts: object) -> dict[str, object]:
    return {"embeds": [{"title": "t"} | parts]}


def faults(body: object, around: Circumstances = CREATE) -> dict[str, str]:
    """The form codes of a refusal, by dotted path."""
    verdict = read(body, around)
    found: dict[str, str] = {}

    def walk(node: dict[str, Any], path: str) -> None:
        for key, child in node.items():
            if key == "_errors":
                found[path] = child[0]["code"]
            else:
                walk(child, f"{path}.{key}".lstrip("."))

    if isinstance(verdict, Invalid) and verdict.errors is not None:
        walk(verdict.errors.nested(), "")
    return found


@pytest.mark.parametrize(
    "body",
    [
        {"content": "x" * 2000},
        {"content": "  " + "x" * 2000 + "\n"},
        {"content": "🔷" * 2000},
        {"embeds": [{"title": "t"}] * 10},
        embed(title="x" * 256, footer={"text": "x" * 2048}),
        embed(description="x" * 4096),
        embed(description="🔷" * 2489),
        embed(fields=[FIELD] * 25),
        embed(fields=[{"name": "", "value": ""}]),
        embed(color=0xFFFFFF, timestamp="2026-01-01T00:00:00Z"),
        embed(url="https://192.0.2.1:9090/graph?g0.expr=up#x"),
        embed(url="https://example.org/" + "x" * 2028),
        {"content": "c", "username": "x" * 80, "unknown": 1},
        row(*[LINK] * 5) | {"content": "c"},
        row(LINK | {"label": "x" * 80, "url": "https://example.org/" + "x" * 492}),
        {"content": "c", "allowed_mentions": {"parse": ["users"], "roles": [str(n) for n in range(100)]}},
        {"content": "c", "flags": 4 | 4096},
    ],
)
def test_what_is_just_within_a_limit_passes(body: object) -> None:
    assert isinstance(read(body, CREATE), Accepted)


@pytest.mark.parametrize(
    "body,at,code",
    [
        ([], "", "MODEL_TYPE_CONVERT"),
        ({"content": "x" * 2001}, "content", "BASE_TYPE_MAX_LENGTH"),
        ({"content": 5}, "content", "STRING_TYPE_CONVERT"),
        ({"embeds": [{"title": "t"}] * 11}, "embeds", "BASE_TYPE_MAX_LENGTH"),
        ({"embeds": {}}, "embeds", "LIST_TYPE_CONVERT"),
        ({"embeds": [{}]}, "embeds.0.description", "BASE_TYPE_REQUIRED"),
        (embed(title="x" * 257), "embeds.0.title", "BASE_TYPE_MAX_LENGTH"),
        (embed(description="x" * 4097), "embeds.0.description", "BASE_TYPE_MAX_LENGTH"),
        (embed(fields=[FIELD] * 26), "embeds.0.fields", "BASE_TYPE_MAX_LENGTH"),
        (embed(fields=[{"name": "n"}]), "embeds.0.fields.0.value", "BASE_TYPE_REQUIRED"),
        (embed(fields=[FIELD | {"name": "x" * 257}]), "embeds.0.fields.0.name", "BASE_TYPE_MAX_LENGTH"),
        (embed(fields=[FIELD | {"value": "x" * 1025}]), "embeds.0.fields.0.value", "BASE_TYPE_MAX_LENGTH"),
        (embed(fields=[FIELD | {"inline": "yes"}]), "embeds.0.fields.0.inline", "BOOLEAN_TYPE_CONVERT"),
        (embed(footer={"text": "x" * 2049}), "embeds.0.footer.text", "BASE_TYPE_MAX_LENGTH"),
        (embed(author={"name": "x" * 257}), "embeds.0.author.name", "BASE_TYPE_MAX_LENGTH"),
        (embed(color=0x1000000), "embeds.0.color", "NUMBER_TYPE_MAX"),
        (embed(color=-1), "embeds.0.color", "NUMBER_TYPE_MIN"),
        (embed(color="#ff0000"), "embeds.0.color", "NUMBER_TYPE_COERCE"),
        (embed(timestamp="2026-01-01T00:00:00"), "embeds.0.timestamp", "DATE_TIME_TYPE_PARSE"),
        (embed(timestamp="yesterday"), "embeds.0.timestamp", "DATE_TIME_TYPE_PARSE"),
        (embed(url="http://prometheus:9090/graph"), "embeds.0.url", "URL_TYPE_INVALID_URL"),
        (embed(url="/graph"), "embeds.0.url", "URL_TYPE_INVALID_URL"),
        (embed(url="ftp://example.org/x"), "embeds.0.url", "URL_TYPE_INVALID_SCHEME"),
        (embed(url="https://example.org/" + "x" * 2029), "embeds.0.url", "BASE_TYPE_MAX_LENGTH"),
        (embed(image={}), "embeds.0.image.url", "BASE_TYPE_REQUIRED"),
        ({"embeds": [{"description": "x" * 3000}, {"description": "x" * 3001}]}, "embeds", "MAX_EMBED_SIZE_EXCEEDED"),
        ({"content": "c", "username": " "}, "username", "BASE_TYPE_BAD_LENGTH"),
        ({"content": "c", "username": "My DisCord relay"}, "username", "USERNAME_INVALID_CONTAINS"),
        ({"content": "c", "avatar_url": "x.png"}, "avatar_url", "URL_TYPE_INVALID_URL"),
        ({"content": "c", "flags": 64}, "flags", "BASE_TYPE_CHOICES"),
        ({"content": "c", "allowed_mentions": {"parse": ["role"]}}, "allowed_mentions.parse.0", "BASE_TYPE_CHOICES"),
        (
            {"content": "c", "allowed_mentions": {"parse": ["roles"], "roles": ["1"]}},
            "allowed_mentions",
            "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
        ),
        (
            {"content": "c", "allowed_mentions": {"roles": [str(n) for n in range(101)]}},
            "allowed_mentions.roles",
            "BASE_TYPE_MAX_LENGTH",
        ),
        ({"content": "c", "allowed_mentions": {"roles": [1]}}, "allowed_mentions.roles.0", "NUMBER_TYPE_COERCE"),
        (
            {"content": "c", "allowed_mentions": {"roles": ["1", "1"]}},
            "allowed_mentions.roles",
            "SET_TYPE_ALREADY_CONTAINS_VALUE",
        ),
        (
            row(LINK | {"url": "https://example.org/" + "x" * 493}),
            "components.0.components.0.url",
            "BASE_TYPE_MAX_LENGTH",
        ),
        (row(LINK | {"url": "http://grafana/d/1"}), "components.0.components.0.url", "URL_TYPE_INVALID_URL"),
        (row(LINK | {"url": None}), "components.0.components.0.url", "BUTTON_COMPONENT_URL_REQUIRED"),
        (row(LINK | {"label": "x" * 81}), "components.0.components.0.label", "BASE_TYPE_MAX_LENGTH"),
        (row(LINK | {"label": None}), "components.0.components.0.label", "BUTTON_COMPONENT_LABEL_REQUIRED"),
        (row(LINK | {"custom_id": "x"}), "components.0.components.0.custom_id", "BUTTON_COMPONENT_INVALID_CUSTOM_ID"),
        (
            row({"type": 2, "style": 1, "custom_id": "ack", "label": "Ack"}),
            "components.0.components.0.style",
            "BASE_TYPE_CHOICES",
        ),
        (row({"type": 3, "custom_id": "pick"}), "components.0.components.0.type", "BASE_TYPE_CHOICES"),
        (row(*[LINK] * 6), "components.0.components", "BASE_TYPE_BAD_LENGTH"),
        (row(), "components.0.components", "BASE_TYPE_BAD_LENGTH"),
        ({"components": [row(LINK)["components"]] * 6}, "components", "BASE_TYPE_MAX_LENGTH"),
        ({"content": "c", "flags": 1 << 15}, "content", "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2"),
        ({"content": "c", "thread_name": "x" * 101}, "thread_name", "BASE_TYPE_BAD_LENGTH"),
        ({"content": "c", "applied_tags": ["1"] * 6}, "applied_tags", "BASE_TYPE_MAX_LENGTH"),
    ],
)
def test_what_is_just_beyond_a_limit_is_refused_at_its_place(body: object, at: str, code: str) -> None:
    assert faults(body)[at] == code


def test_all_faults_of_a_body_are_told_at_once() -> None:
    assert set(faults({"content": "x" * 2001, "embeds": [{"title": "x" * 257, "color": -1}]})) == {
        "content",
        "embeds.0.title",
        "embeds.0.color",
    }


def test_a_body_beyond_the_wall_of_bytes_breaks_the_server() -> None:
    verdict = read(embed(title="", description="🔷" * 2491), CREATE)
    assert isinstance(verdict, Invalid)
    assert (verdict.status, verdict.code) == (500, Code.GENERAL)


def test_components_v2_hold_their_text_and_cannot_be_taken_back() -> None:
    text = {"type": 10, "content": "x" * 4000}
    assert isinstance(read({"flags": 1 << 15, "components": [{"type": 17, "components": [text]}]}, CREATE), Accepted)
    assert "components" in faults({"flags": 1 << 15, "components": [text, text]})
    assert "components" in faults({"flags": 1 << 15, "components": [{"type": 14}] * 41})
    was = Circumstances(editing=True, with_components=True, strict=True, was_v2=True)
    assert faults({"flags": 0}, was) == {"flags": "MESSAGE_CANNOT_REMOVE_COMPONENTS_V2"}


@pytest.mark.parametrize(
    "address",
    [
        "https://localhost/x", "https://a.localhost/", "https://example.org./", "https://a..b/", "https://[::1]/",
        "https://exa mple.org/", "https://example.org/a b", "https://example.org:99999/", "//example.org/x", "https://",
        "javascript:alert(1)", "https://-a.org/", "https://example.org\n.evil.org/",
    ],
)  # fmt: skip
def test_a_url_nobody_could_open_is_refused(address: str) -> None:
    errors = Errors()
    assert url(address, ("url",), errors) is None
    assert errors


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'{"a": NaN}', b'{"content": "\\ud800"}', b"[" * 100_000])
async def test_what_is_not_json_is_50109(talk: Talk, raw: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    async with talk.session.post(f"{talk.api}/webhooks/11/token", data=raw, headers=headers) as answer:
        assert (answer.status, (await answer.json())["code"]) == (400, 50109)


async def test_a_wrong_content_type_is_a_fault_of_the_form(talk: Talk) -> None:
    async with talk.session.post(
        f"{talk.api}/webhooks/11/token", data=b"{}", headers={"Content-Type": "text/plain"}
    ) as answer:
        assert (await answer.json())["errors"]["_errors"][0]["code"] == "CONTENT_TYPE_INVALID"


async def test_a_refusal_is_worded_as_discord_words_it_and_changes_nothing(talk: Talk, standin: StandIn) -> None:
    message = str((await talk.post()).json["id"])
    answer = await talk.edit(message, {"content": "new", "embeds": [{"title": "x" * 257}]})
    told = [{"code": "BASE_TYPE_MAX_LENGTH", "message": "Must be 256 or fewer in length."}]
    errors = {"embeds": {"0": {"title": {"_errors": told}}}}
    assert answer.json == {"code": 50035, "message": "Invalid Form Body", "errors": errors}
    assert standin.store.messages[message].content == "hello"


KEYS = st.sampled_from(
    [
        "content",
        "embeds",
        "components",
        "type",
        "url",
        "fields",
        "footer",
        "parse",
        "roles",
        "flags",
        "allowed_mentions",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(body=JSON, editing=st.booleans(), was_v2=st.booleans())
def test_any_json_gets_a_verdict_and_is_not_changed_by_it(body: object, editing: bool, was_v2: bool) -> None:
    before = deepcopy(body)
    verdict = read(body, Circumstances(editing=editing, with_components=True, strict=True, was_v2=was_v2))
    assert isinstance(verdict, Accepted | Invalid)
    assert body == before
    if isinstance(verdict, Accepted):
        assert isinstance(parse(json.dumps(verdict.given).encode()), dict)


@pytest.mark.corpus
@pytest.mark.parametrize(
    "body",
    [
        {"content": "x" * 2001},
        embed(title="x" * 257),
        embed(fields=[{"name": "n"}]),
        embed(fields=[FIELD] * 26),
        embed(color=0x1000000),
        embed(footer={"text": "x" * 2049}),
        {"content": "c", "username": ""},
        {"content": "c", "allowed_mentions": {"parse": ["role"]}},
        row(LINK | {"label": "x" * 81}),
        {"components": [{"type": 99}]},
    ],
)
def test_what_discords_own_schema_refuses_the_stand_in_refuses(body: object) -> None:
    assert CORPUS is not None
    schema = json.loads((CORPUS.parent / "discord" / "webhook-requests.schema.json").read_text())
    entry = {**schema, "$ref": "#/$defs/IncomingWebhookRequestPartial"}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(body, entry)
    assert isinstance(read(body, CREATE), Invalid)
