"""Text from outside: visible, without credentials, of bounded length; the same for the same text, and once is enough."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.sources.clean import LIMIT, MARKER, MAX_LABELS, MAX_NAME, REDACTED, Cleaner, bounded, clean, clean_name

# Joined here, so that nothing in the repository looks like a credential.
SECRETS = {
    "GitHub": "gh" + "p_" + "a1B2" * 9,
    "GitHub app": "gh" + "s_" + "a1B2" * 9,
    "GitHub fine-grained": "github" + "_pat_" + "A1b2" * 12,
    "GitLab": "gl" + "pat-" + "a1b2" * 5,
    "Slack": "xo" + "xb-" + "123456789012-abcdefghij",
    "AWS key": "AK" + "IA" + "ABCDEFGH12345678",
    "JWT": "ey" + "JhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiJyZWxheSJ9." + "c2lnbmF0dXJl",
    "npm": "npm" + "_" + "a1B2" * 9,
    "Google": "AI" + "za" + "a1B2c3D" * 5,
    "Discord bot": "M" + "T" * 25 + "." + "GabcdE" + "." + "x" * 30,
    "age": "AGE-" + "SECRET-KEY-1" + "QPZRY9X8" * 7,
    "private key": "-----BEGIN {0}-----\nb3BlbnNzaA==\nAAAA\n-----END {0}-----".format("OPENSSH PRIVATE KEY"),
    "private key cut off": "-----BEGIN " + "PRIVATE KEY-----\nMIIEvQ",
}
HIDDEN = "hun7er2-correct-horse"


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("around", ["{}", "failed: {} was refused", "a='{}'", "x\n{}\ny", "größer {} 🚀"])
def test_a_known_token_is_redacted_wherever_it_stands(name: str, around: str) -> None:
    text = clean(around.format(SECRETS[name]))
    assert SECRETS[name][12:22] not in text
    assert REDACTED in text


@pytest.mark.parametrize(
    "text, safe",
    [
        (f"clone 'https://user:{HIDDEN}@git.example.org/a'", "clone 'https://[redacted]@git.example.org/a'"),
        (f"clone https://{HIDDEN}@git.example.org/a", "clone https://[redacted]@git.example.org/a"),
        (f"postgres://relay:{HIDDEN}@db.example.org:5432/x", "postgres://[redacted]@db.example.org:5432/x"),
        (f"https://user:{HIDDEN}@{HIDDEN}@git.example.org", "https://[redacted]@git.example.org"),
        (f"ssh://git:{HIDDEN}@git.example.org", "ssh://[redacted]@git.example.org"),
        (f"Authorization: Basic {HIDDEN}, next", "Authorization: [redacted], next"),
        (f'{{"authorization":"Bearer {HIDDEN}"}}', '{"authorization":"[redacted]"}'),
        (f"proxy-authorization={HIDDEN}", "proxy-authorization=[redacted]"),
        (f"header Bearer {HIDDEN} refused", "header Bearer [redacted] refused"),
        (f"DB_PASSWORD={HIDDEN} set", "DB_PASSWORD=[redacted] set"),
        (f"password: {HIDDEN}", "password: [redacted]"),
        (f'token="{HIDDEN} {HIDDEN}"', 'token="[redacted]"'),
        (f'{{"client_secret":"{HIDDEN}","a":1}}', '{"client_secret":"[redacted]","a":1}'),
        (f'{{\\"token\\":\\"{HIDDEN}\\"}}', '{\\"token\\":\\"[redacted]"}'),
        (f"GET /x?access_token={HIDDEN}&page=2", "GET /x?access_token=[redacted]&page=2"),
        (f"aws_secret_access_key = {HIDDEN}", "aws_secret_access_key = [redacted]"),
        (f"https://discord.com/api/v10/webhooks/123456789012345678/{HIDDEN}", "https://discord.com/api/v10/webhooks/123456789012345678/[redacted]"),
        (f"https://hooks.slack.com/services/T0/B0/{HIDDEN}", "https://hooks.slack.com/services/[redacted]"),
        (f"pass\u200bword={HIDDEN}", "password=[redacted]"),
    ],
)  # fmt: skip
def test_a_credential_goes_and_what_it_was_stays(text: str, safe: str) -> None:
    assert clean(text) == safe


@pytest.mark.parametrize(
    "text",
    [
        "unable to clone 'ssh://git@git.example.org/fleet': ssh: handshake failed",
        'secrets "kps-values" not found',
        "token: not found",
        "failed to push to remote: authorization failed",
        "Basic authentication failed",
        "oci://ghcr.io/acme/app@sha256:aaaa",
        'kube_secret_info{secret="kps-values"}',
        "https://ghcr.io/token?scope=repository%3Aacme%2Fapp%3Apull&service=ghcr.io: 401 Unauthorized",
        "http://prometheus.example.org:9090/graph?g0.expr=up&g0.tab=1",
        "main@sha1:1111111111111111111111111111111111111111",
        "Größe der Warteschlange 🚀\n\tzweite Zeile",
    ],
)
def test_what_errors_say_every_day_stays_as_it_is(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    "text, seen",
    [
        ("a\x00b\x1b[31mc\x7fd\x9be", "ab[31mcde"),
        ("a\r\nb\tc", "a\nb\tc"),
        ("a\u202eb\u2066c\u2069", "abc"),
        ("a\u200bb\u200dc\ufeffd\u2060e\u00adf", "abcdef"),
        ("a\U000e0041b", "ab"),
        ("a\u2028b\u0085c", "a\nb\nc"),
        ("a\ud800b", "a\ufffdb"),
    ],
)
def test_what_cannot_be_seen_goes(text: str, seen: str) -> None:
    assert clean(text) == seen


@pytest.mark.parametrize("char", ["a", "ä", "€", "🚀"])
@pytest.mark.parametrize("shift", range(5))
def test_a_long_text_keeps_its_beginning_and_end_on_whole_characters(char: str, shift: int) -> None:
    text = "b" * shift + char * 20_000 + "end"
    short = clean(text)
    size = len(short.encode())
    assert LIMIT - 8 < size <= LIMIT
    head, tail = short.split(MARKER)
    assert text.startswith(head)
    assert text.endswith(tail)
    assert len(tail.encode()) <= 4096
    assert clean(short) == short


def test_a_token_across_the_cut_is_redacted_before_it_is_cut() -> None:
    secret = SECRETS["GitHub"]
    for offset in range(-40, 5):
        text = "x " * ((12 * 1024 + offset) // 2) + secret + " y" * 10_000
        assert secret[:16] not in clean(text)


@given(st.text(alphabet=st.characters(codec=None, exclude_categories=()), max_size=400))
def test_cleaning_is_idempotent_and_leaves_nothing_invisible(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    once.encode()
    assert not {char for char in once if unicodedata.category(char) in {"Cc", "Cs"}} - {"\n", "\t"}
    assert not {"\u202e", "\u2066", "\u200b", "\ufeff"} & set(once)


FRAGMENTS = st.sampled_from([
    "password", "token", "secret", "api_key", "=", ":", " ", '"', "'", "\\", "://", "@", "https", "ssh", "user", "Bearer ", "Basic ",
    "authorization", "[redacted]", "…", "\n", "\u200b", "/", "webhooks/12345/", "a" * 20, *SECRETS.values(),
])  # fmt: skip


@given(st.lists(FRAGMENTS, max_size=14).map("".join))
def test_cleaning_is_idempotent_where_credentials_lie_side_by_side(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(st.text(max_size=60), st.sampled_from(sorted(SECRETS)), st.text(max_size=60))
def test_no_surroundings_save_a_token(before: str, name: str, after: str) -> None:
    assert SECRETS[name] not in clean(before + SECRETS[name] + after)


@given(st.text(max_size=600))
def test_a_name_is_one_short_line(text: str) -> None:
    name = clean_name(text)
    assert "\n" not in name
    assert len(name) <= MAX_NAME
    assert clean_name(name) == name


def test_labels_of_wrong_types_are_texts_or_dropped() -> None:
    raw = {"s": "x", "i": 3, "f": 1.5, "t": True, "n": None, "l": [1], "m": {"a": 1}, "e": "", "": "nameless"}
    assert Cleaner().labels(raw) == {"s": "x", "i": "3", "f": "1.5", "t": "true"}
    assert Cleaner().labels(None) == Cleaner().labels("text") == Cleaner().labels([1]) == {}


def test_a_label_that_is_a_credential_by_its_name_is_redacted() -> None:
    assert Cleaner().labels({"password": HIDDEN, "secret": "kps-values"}) == {
        "password": REDACTED,
        "secret": "kps-values",
    }


def test_names_that_became_equal_do_not_depend_on_their_order() -> None:
    raw: dict[str, object] = {"n" * 300 + "a": "1", "n" * 300 + "b": "2", "x\u200b": "3", "x": "4"}
    turned = dict(reversed(raw.items()))
    assert Cleaner().labels(raw) == Cleaner().labels(turned)


def test_too_many_labels_are_the_same_ones_whatever_their_order_and_the_alertname_stays() -> None:
    many = {f"a{number:03}": "x" for number in range(300)} | {"severity": "page", "alertname": "Many"}
    kept = bounded(many)
    assert len(kept) == MAX_LABELS
    assert kept == bounded(dict(reversed(many.items())))
    assert kept["alertname"] == "Many"
    assert kept["severity"] == "page"
