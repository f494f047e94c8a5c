import hmac
import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config.secrets import Secret
from relay.config.values import BasicPair, Credentials
from relay.core.event import Source
from relay.web.auth import GRAFANA_SIGNATURE, GRAFANA_TIMESTAMP, Proof, Signature, by_headers, variants
from tests.web.make import BODY, KEY, SIGNATURE, signed, value

FLUX = Credentials(hmac_keys=(value(KEY),))
ALL = Credentials(
    hmac_keys=(value("old key"), value("new key")),
    bearer_tokens=(value("old token"), value("new-token\n")),
    basic=(BasicPair("ann", (value("one"), value("two:three"))), BasicPair("bob", (value("four"),))),
)


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


def opens(credentials: Credentials, signature: str, body: bytes = BODY) -> bool:
    claim = by_headers(Source.FLUX, credentials, {"X-Signature": signature})
    return isinstance(claim, Signature) and claim.signs(body, credentials)


def test_fluxs_own_test_vector_opens() -> None:
    assert opens(FLUX, SIGNATURE)


@pytest.mark.parametrize(
    "configured, signs_with",
    [
        (b"key", b"key"),
        (b"key", b"key\n"),
        (b"key\n", b"key"),
        (b"key\n", b"key\n"),
        (b" key \n", b"key"),
        (b" key", b" key"),
    ],
)
def test_a_key_opens_with_and_without_the_newline_that_echo_leaves(configured: bytes, signs_with: bytes) -> None:
    assert opens(Credentials(hmac_keys=(value(configured),)), signed(BODY, signs_with))


def test_each_of_several_keys_opens_while_they_are_rotated() -> None:
    assert opens(ALL, signed(BODY, b"old key"))
    assert opens(ALL, signed(BODY, b"new key"))
    assert not opens(ALL, signed(BODY, b"other key"))


def test_the_bytes_are_signed_as_they_came_and_not_what_they_mean() -> None:
    body = b'{"message":"a \\u003c b"}'
    again = json.dumps(json.loads(body)).encode()
    assert opens(FLUX, signed(body), body)
    assert not opens(FLUX, signed(body), again)
    assert not opens(FLUX, signed(again), body)


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "sha256=",
        SIGNATURE[:-1],
        SIGNATURE + "0",
        SIGNATURE.removeprefix("sha256="),
        SIGNATURE.replace("sha256", "sha1"),
        SIGNATURE.replace("sha256", "SHA512"),
        "sha256=" + "0" * 64,
        "sha256=" + " " * 64,
        "sha256=" + "zz" * 32,
        "sha256=" + "٣" * 64,
        "\udcff",
    ],
)
def test_a_signature_of_another_shape_opens_nothing(signature: str) -> None:
    assert not opens(FLUX, signature)


def test_grafana_signs_the_body_alone_or_behind_a_timestamp() -> None:
    credentials = Credentials(hmac_keys=(value("key"),))
    plain = {GRAFANA_SIGNATURE: hmac.digest(b"key", b"{}", "sha256").hex()}
    timed = {GRAFANA_SIGNATURE: hmac.digest(b"key", b"1700000000:{}", "sha256").hex(), GRAFANA_TIMESTAMP: "1700000000"}
    for headers in (plain, timed):
        claim = by_headers(Source.ALERTMANAGER, credentials, headers)
        assert isinstance(claim, Signature)
        assert claim.signs(b"{}", credentials)
        assert not claim.signs(b"[]", credentials)
    moved = by_headers(Source.ALERTMANAGER, credentials, timed | {GRAFANA_TIMESTAMP: "1700000001"})
    assert isinstance(moved, Signature)
    assert not moved.signs(b"{}", credentials)


OPENING = [
    {"Authorization": "Bearer old token"},
    {"Authorization": "bearer new-token"},
    basic("ann", "one"),
    basic("ann", "two:three"),
    basic("bob", "four"),
]
SHUT = [
    {},
    {"Authorization": ""},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer "},
    {"Authorization": "Bearer old"},
    {"Authorization": "Bearer old token2"},
    {"Authorization": "Token new-token"},
    {"Authorization": "new-token"},
    {"Authorization": "Bearer \udcff"},
    {"Authorization": "Basic"},
    {"Authorization": "Basic !!!"},
    {"Authorization": "Basic " + b64encode(b"ann").decode()},
    {"Authorization": "Basic " + b64encode(b":").decode()},
    basic("ann", "four"),
    basic("bob", "one"),
    basic("", "one"),
    basic("eve", "one"),
    basic("ann", ""),
    {"X-Grafana-Alerting-Signature": "no hex"},
]


@pytest.mark.parametrize("headers", OPENING)
def test_any_one_secret_of_any_kind_opens(headers: dict[str, str]) -> None:
    assert by_headers(Source.ALERTMANAGER, ALL, headers) is Proof.GIVEN
    assert by_headers(Source.FLUX, ALL, headers) is Proof.GIVEN


@pytest.mark.parametrize("headers", SHUT)
def test_nothing_else_opens(headers: dict[str, str]) -> None:
    assert by_headers(Source.ALERTMANAGER, ALL, headers) is Proof.REFUSED
    assert by_headers(Source.FLUX, ALL, headers) is Proof.REFUSED


def test_a_signature_is_still_asked_for_when_the_token_is_wrong() -> None:
    headers = {"Authorization": "Bearer wrong", "X-Signature": signed(BODY, b"new key")}
    assert isinstance(by_headers(Source.FLUX, ALL, headers), Signature)


def test_each_source_reads_its_own_senders_signature_only() -> None:
    flux, grafana = {"X-Signature": SIGNATURE}, {GRAFANA_SIGNATURE: SIGNATURE.removeprefix("sha256=")}
    assert by_headers(Source.FLUX, FLUX, grafana) is Proof.REFUSED
    assert by_headers(Source.ALERTMANAGER, FLUX, flux) is Proof.REFUSED


@pytest.mark.parametrize("blank", [b"", b" ", b"\n", b"\t \r\n"])
def test_a_blank_secret_never_opens(blank: bytes) -> None:
    assert list(variants(Secret(blank))) == []
    assert not Secret(blank).matches(b"")
    assert not Secret(blank).matches(blank)


@given(st.text(), st.binary())
def test_no_header_makes_it_raise_and_none_that_is_guessed_opens(header: str, password: bytes) -> None:
    for authorization in (header, f"Bearer {header}", f"Basic {header}", f"Basic {b64encode(password).decode()}"):
        for name in ("Authorization", "X-Signature", GRAFANA_SIGNATURE, GRAFANA_TIMESTAMP):
            for kind in (Source.FLUX, Source.ALERTMANAGER):
                claim = by_headers(kind, ALL, {name: authorization})
                assert claim is Proof.REFUSED or (isinstance(claim, Signature) and not claim.signs(BODY, ALL))
