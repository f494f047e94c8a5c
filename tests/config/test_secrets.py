"""A secret is used and never seen."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import pprint
import string
import time
import traceback
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from relay.config.load import load
from relay.config.problems import ConfigError
from relay.config.secrets import MAX_SECRET, Secret, SecretError, SecretFile, SecretValue
from relay.config.values import Configuration, ping_check, webhook, webhook_check
from tests.config.folder import HOOK, KEY, SECRETS, TOKEN, fill, given

API = "https://discord.com/api/v10"
HIDDEN = (
    TOKEN,
    "another-token",
    KEY,
    "the-key-before",
    "bearer-token-of-a-test",
    "uuid-of-a-test",
    "database-password",
)
EVERYTHING = """\
channels: {ops: {webhook_url_file: hook}, two: {webhook_url_file: hook2}}
routes: [{channels: [ops, two]}]
ping: {url_file: ping}
sources:
  flux: {hmac_key_file: [key, key2]}
  alertmanager: {bearer_token_file: bearer, basic_auth: {username: am, password_file: bearer}}
"""
DATABASE = {"RELAY_DATABASE_URL": "postgresql://relay:database-password@db.example.org/relay"}


def show_all(found: Configuration) -> list[str]:
    """Everything that prints a value, as far as it prints."""
    parts = (
        found,
        found.channels,
        found.sources,
        found.ping,
        found.database_url,
        found.secrets(),
        found.channels[0].webhook(),
    )
    return [
        *(repr(part) for part in parts),
        *(pprint.pformat(part) for part in parts),
        *(json.dumps(part, default=repr) for part in parts),
        f"{found!r} {found}",
        str(asdict(found.channels[0])),
        found.text,
    ]


def test_no_secret_is_in_any_string_form_of_the_configuration(tmp_path: Path) -> None:
    found = given(tmp_path, EVERYTHING, DATABASE)
    for shown in show_all(found):
        assert not [secret for secret in HIDDEN if secret in shown]


def test_no_secret_is_in_an_error_or_its_traceback(tmp_path: Path) -> None:
    text = f"""\
channels:
  a: {{webhook_url_file: {HOOK}, webhook_url: {HOOK}, page: info}}
  b: {{webhook_url_file: bad}}
  c: {{webhook_url_file: {TOKEN}}}
sources: {{flux: {{hmac_key: {KEY}, hmac_key_file: [key, "{KEY}"], bearer_token: {KEY}}}}}
ping: {{url: https://ping.example.org/uuid-of-a-test, url_file: key}}
"""
    (tmp_path / "bad").write_text(HOOK.replace("webhooks", "hooks"))
    env = {
        "DISCORD_WEBHOOK_URL": HOOK + "/x/y",
        "RELAY_DATABASE_URL": "mysql://relay:database-password@x",
        "RELAY_FLUX_HMAC_KEY_FILE": KEY,
        "RELAY_DISCORD_API": f"https://u:{TOKEN}@discord.com",
    }
    with pytest.raises(ConfigError) as raised:
        given(tmp_path, text, env)
    assert len(raised.value.problems) >= 10
    shown = "".join(traceback.format_exception(raised.value)) + repr(raised.value.problems)
    assert not [secret for secret in HIDDEN if secret in shown]


@pytest.mark.parametrize(
    "form",
    [
        str,
        "{}".format,
        "{:>10}".format,
        "%s".__mod__,
        bytes,
        json.dumps,
        pickle.dumps,
        len,
        iter,
        lambda secret: secret.__getstate__(),
    ],
)
def test_a_secret_has_no_form_but_a_word(form: object) -> None:
    assert callable(form)
    with pytest.raises(TypeError) as raised:
        form(Secret(KEY))
    assert KEY not in "".join(traceback.format_exception(raised.value))
    assert repr(Secret(KEY)) == "<secret>"


def test_a_file_of_a_secret_is_not_stored(tmp_path: Path) -> None:
    fill(tmp_path)
    with pytest.raises(TypeError):
        pickle.dumps(SecretFile(tmp_path / "key"))


def test_a_copy_of_a_secret_is_the_secret() -> None:
    secret = Secret(KEY)
    assert copy.copy(secret) is copy.deepcopy(secret) is secret


@examples(st.binary(max_size=40), st.binary(max_size=40))
def test_a_secret_matches_itself_and_nothing_else(value: bytes, other: bytes) -> None:
    secret = Secret(value)
    assert secret.matches(value.strip()) is bool(value.strip())
    assert secret.matches(other) is (other == value.strip() and bool(other))
    assert (secret == Secret(other)) is (value == other)
    assert hash(secret) == hash(Secret(value))
    assert secret.raw() == value
    assert secret.reveal().encode(errors="surrogateescape") == value.strip()


@pytest.mark.parametrize("blank", ["", "\n", " \t\r\n"])
def test_a_blank_secret_never_opens(blank: str) -> None:
    assert Secret(blank).blank
    assert not Secret(blank).matches(b"")
    assert not Secret(blank).matches(blank.encode())
    with pytest.raises(SecretError, match="blank"):
        SecretValue(Secret(blank))


def test_a_newline_at_the_end_breaks_nothing() -> None:
    assert Secret(KEY + "\n").matches(KEY.encode())
    assert Secret(KEY + "\r\n").reveal() == KEY
    assert Secret(KEY + "\n").raw() == f"{KEY}\n".encode()


# Files that change


def test_a_changed_file_is_taken_at_once(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("one")
    secret = SecretFile(file)
    for word in ("two", "six", "ten"):
        file.write_text(word)
        assert secret.current().reveal() == word
        assert not secret.warning


def test_a_secret_swapped_behind_a_link_is_taken(tmp_path: Path) -> None:
    """As the kubelet does it: `key` → `..data/key`, `..data` → a folder, and the new `..data` is renamed over the old."""
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "key").write_text(version)
        os.utime(tmp_path / version / "key", (1, 1))
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "key").symlink_to("..data/key")
    secret = SecretFile(tmp_path / "key")
    assert secret.current().reveal() == "one"
    (tmp_path / "..next").symlink_to("two")
    (tmp_path / "..next").rename(tmp_path / "..data")
    assert secret.current().reveal() == "two"


def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("one")
    os.utime(file, (1, 1))
    secret = SecretFile(file)
    assert secret.current() is secret.current()


@pytest.mark.parametrize("trouble", ["gone", "blank", "too long", "a folder", "of another kind"])
def test_what_breaks_later_keeps_the_last_good_and_says_so(tmp_path: Path, trouble: str) -> None:
    file = tmp_path / "hook"
    file.write_text(HOOK)
    secret = SecretFile(file, webhook_check(API))
    file.unlink()
    match trouble:
        case "blank":
            file.write_text("\n")
        case "too long":
            file.write_text("x" * (MAX_SECRET + 1))
        case "a folder":
            file.mkdir()
        case "of another kind":
            file.write_text(KEY)
        case _:
            assert trouble == "gone"
    assert secret.current().reveal() == HOOK
    assert secret.current().reveal() == HOOK
    assert secret.warning.startswith(f"{file}: ")
    assert secret.warning.endswith("; the last good one stays in use")
    assert KEY not in secret.warning
    if file.is_dir():
        file.rmdir()
    file.write_text(HOOK + "2")
    assert secret.current().reveal() == HOOK + "2"
    assert not secret.warning


def test_a_channel_follows_its_file(tmp_path: Path) -> None:
    found = given(tmp_path, EVERYTHING)
    assert found.channels[0].webhook().id == "123"
    (tmp_path / "hook").write_text("https://discord.com/api/webhooks/124/new-token")
    assert found.channels[0].webhook().id == "124"


def test_a_reload_of_the_same_is_equal_and_one_of_another_is_not(tmp_path: Path) -> None:
    first = given(tmp_path, EVERYTHING)
    assert load(tmp_path / "relay.yaml", {}) == first
    assert hash(first.channels) == hash(load(tmp_path / "relay.yaml", {}).channels)
    (tmp_path / "hook").write_text(SECRETS["hook2"])
    assert load(tmp_path / "relay.yaml", {}).channels[0].webhook() != webhook(Secret(HOOK), API)


def test_a_secret_given_to_a_logger_stays_out_of_the_line(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("relay.test").warning("%r", [Secret(KEY)])
    assert "<secret>" in caplog.text
    assert KEY not in caplog.text


# Webhook URLs

GOOD = [
    "https://discord.com/api/webhooks/123/tok_en-1",
    "https://discord.com/api/webhooks/123/tok_en-1/",
    "https://discord.com/api/v10/webhooks/123/tok_en-1",
    "https://ptb.discord.com/api/webhooks/123/tok_en-1",
    "https://canary.discord.com/api/v6/webhooks/123/tok_en-1",
    "https://discordapp.com/api/webhooks/123/tok_en-1",
    "https://DISCORD.com:443/api/webhooks/123/tok_en-1?wait=true",
    "  https://discord.com/api/webhooks/123/tok_en-1\n",
    "http://127.0.0.1:9999/api/webhooks/123/tok_en-1",
    "http://127.0.0.1:9999/api/v10/webhooks/123/tok_en-1",
]


@pytest.mark.parametrize("url", GOOD)
def test_of_a_webhook_url_only_id_and_token_are_taken(url: str) -> None:
    found = webhook(Secret(url), "http://127.0.0.1:9999/api/v10")
    assert (found.id, found.token.reveal(), found.thread) == ("123", "tok_en-1", None)


def test_of_a_webhook_url_the_thread_is_taken() -> None:
    assert webhook(Secret(HOOK + "?wait=true&thread_id=42"), API).thread == "42"


@pytest.mark.parametrize(
    "url, why",
    [
        ("", "blank"),
        ("hello", "not the URL"),
        ("https:///x", "not the URL"),
        ("https://[", "not the URL"),
        ("https://discord.com:99999/api/webhooks/1/a", "not the URL"),
        ("http://discord.com/api/webhooks/1/a", "not the URL"),
        ("https://discord.com.example.org/api/webhooks/1/a", "not the URL"),
        ("https://evil.discord.com/api/webhooks/1/a", "not the URL"),
        ("https://discord.com@example.org/api/webhooks/1/a", "not the URL"),
        ("https://user:pw@discord.com/api/webhooks/1/a", "not the URL"),
        ("http://127.0.0.1:9999/api/webhooks/1/a", "not the URL"),
        ("https://discord.com/api/webhooks/1", "cut short or more"),
        ("https://discord.com/api/webhooks/1/a/messages/2", "cut short or more"),
        ("https://discord.com/api/webhooks/x/a", "cut short or more"),
        ("https://discord.com/api/webhooks/1/a%2Fb", "cut short or more"),
        ("https://discord.com/api/webhooks/1/a/slack", "take that off"),
        ("https://discord.com/api/webhooks/1/a?thread_id=x", "thread_id"),
        ("https://discord.com/api/webhooks/1/a?thread_id=1&thread_id=2", "thread_id"),
    ],
)
def test_what_is_no_webhook_url_is_refused_without_showing_it(url: str, why: str) -> None:
    with pytest.raises(SecretError, match=why) as raised:
        SecretValue(Secret(url), webhook_check(API))
    assert not url or url not in str(raised.value)


@examples(
    st.text(max_size=80)
    | st.text(string.printable, max_size=40).map(lambda tail: "https://discord.com/api/webhooks/" + tail)
)
def test_any_text_is_a_webhook_or_refused(text: str) -> None:
    try:
        found = webhook(Secret(text.encode("utf-8", "surrogatepass")), API)
    except SecretError:
        return
    assert found.id.isdigit()


@pytest.mark.parametrize("url", ["https://ping.example.org/x", "http://ping.example.org:8000/ping/x"])
def test_the_ping_is_any_web_address(url: str) -> None:
    assert ping_check(Secret(url + "\n")) is None


@pytest.mark.parametrize(
    "url", ["ping.example.org", "ftp://ping.example.org", "https://", "https://a b/", "https://[", "https://x:0/"]
)
def test_the_ping_is_nothing_else(url: str) -> None:
    assert ping_check(Secret(url)) == "it is not a web address"


def test_a_secret_that_was_replaced_is_at_most_a_second_old(tmp_path: Path) -> None:
    """The file has long been written, so that a look at it may be spared; then the key is revoked."""
    file = tmp_path / "key"
    file.write_text("old")
    long_ago = time.time() - 60
    os.utime(file, (long_ago, long_ago))
    secret = SecretFile(file)
    assert secret.current().matches(b"old")
    file.write_text("new")
    os.utime(file, (long_ago + 1, long_ago + 1))
    assert secret.current().matches(b"new"), "whoever is refused asks again, and is let in at once"
    file.write_text("newest")
    os.utime(file, (long_ago + 2, long_ago + 2))
    deadline = time.monotonic() + 5.0
    while secret.recent().matches(b"new"):
        assert time.monotonic() < deadline, "the revoked one is still accepted"
        time.sleep(0.05)
    assert secret.recent().matches(b"newest")
