import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from relay.config.secrets import Secret
from relay.observe.logs import HIDDEN, MAX_TEXT, configure, redact, redacted


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Logging is global: what a test configures is undone."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def written(level: str = "debug", *, as_json: bool | None = True) -> io.StringIO:
    stream = io.StringIO()
    configure(level, json=as_json, stream=stream)
    return stream


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


TOKEN = "aB3-" + "x" * 64
SECRETS = [
    ("POST https://discord.com/api/v10/webhooks/123456789012345678/" + TOKEN + "?wait=true", TOKEN),
    ("Authorization: Bearer abc.def-ghi", "abc.def-ghi"),
    ("{'Authorization': 'Basic cmVsYXk6aHVudGVyMg=='}", "cmVsYXk6aHVudGVyMg"),
    ("bearer abcdefghijklmnop", "abcdefghijklmnop"),
    ("X-Signature: sha256=" + "ab" * 32, "ab" * 32),
    ("got sha256=" + "cd" * 32, "cd" * 32),
    ("token=s3cr3t&x=1", "s3cr3t"),
    ('{"password": "s3cr3t"}', "s3cr3t"),
    ("postgresql://relay:s3cr3t@db.example.org/relay", "s3cr3t"),
    ("https://s3cr3t@git.example.org/x", "s3cr3t"),
    ("gh" + "p_" + "a1" * 18, "a1" * 18),
    ("glp" + "at-" + "a1" * 10, "a1" * 10),
    ("xo" + "xb-123456789012-abcdef", "123456789012-abcdef"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", "eyJzdWIiOiIxMjM0In0"),
    ("AGE-SECRE" + "T-KEY-1QQQQQQQQQQQQ", "QQQQQQQQQQQQ"),
    ("-----BEGI" + "N EC PRIVATE KEY-----\nMHcCAQEE\n-----EN" + "D EC PRIVATE KEY-----", "MHcCAQEE"),
    ("-----BEGI" + "N PRIVATE KEY-----\nMHcCAQEE cut of", "MHcCAQEE"),
]


@pytest.mark.parametrize("text, secret", SECRETS)
def test_a_secret_in_any_text_is_hidden(text: str, secret: str) -> None:
    assert secret not in redacted(f"before {text}")
    assert HIDDEN in redacted(text)
    assert redacted(f"before {text}").startswith("before ")


@pytest.mark.parametrize(
    "text",
    [
        "delivery refused",
        "https://discord.com/api/v10/webhooks/123456789012345678/…",
        "main@sha1:3ebb95c1d6c0e9a0f4c4b8b2c1f0e9d8c7b6a5f4",
        "image@sha256:" + "0" * 64,
        "the basic idea",
        "a token of respect",
        "git@github.example.org:ops/cluster",
        "https://git.example.org/ops@v1/x",
    ],
)
def test_what_is_no_secret_stays_readable(text: str) -> None:
    assert redacted(text) == text


@given(st.text())
def test_hiding_twice_changes_nothing(text: str) -> None:
    assert redacted(redacted(text)) == redacted(text)


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    text = redacted("begin" + "x" * 100_000 + "end")
    assert len(text) <= MAX_TEXT + 3
    assert text.startswith("begin")
    assert text.endswith("end")


def test_bodies_and_headers_are_never_written_whatever_they_are_called_with() -> None:
    line = redact(None, "info", {"body": b"{}", "Headers": {"a": "b"}, "raw": b"secret", "nested": [{"token": "x"}]})
    assert line == {"body": HIDDEN, "Headers": HIDDEN, "raw": "<6 bytes>", "nested": [{"token": HIDDEN}]}


def test_a_secret_value_that_reaches_a_line_does_not_break_it() -> None:
    stream = written()
    structlog.get_logger("relay").info("started", hmac=Secret("s3cr3t"), many=(Secret("s3cr3t"),))
    assert json.loads(stream.getvalue())["hmac"] == "<secret>"
    assert "s3cr3t" not in stream.getvalue()


def test_a_traceback_is_written_without_the_secrets_in_it() -> None:
    stream = written()
    try:
        int("POST " + SECRETS[0][0])
    except ValueError:
        structlog.get_logger("relay").exception("failed")
    (line,) = stream.getvalue().splitlines()
    assert TOKEN not in line
    assert "ValueError" in json.loads(line)["exception"]


def test_json_is_one_object_a_line_with_time_level_logger_and_event() -> None:
    stream = written()
    structlog.get_logger("relay.web").warning("delivery refused", sender="flux", count=2, ok=True, none=None)
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "event": "delivery refused",
        "level": "warning",
        "logger": "relay.web",
        "sender": "flux",
        "count": 2,
        "ok": True,
        "none": None,
    }


def test_without_a_terminal_it_is_logfmt_in_one_line_whatever_was_logged() -> None:
    stream = written(as_json=None)
    structlog.get_logger("relay").info("two words", text='a\nb="c"', flag=False)
    (line,) = stream.getvalue().splitlines()
    assert line.startswith("time=2")
    assert 'level=info event="two words"' in line
    assert r'text="a\nb=\"c\""' in line
    assert "flag=false" in line


def test_on_a_terminal_it_is_for_people_unless_they_ask_otherwise() -> None:
    stream = Terminal()
    configure("info", stream=stream)
    structlog.get_logger("relay").info("started", port=8080)
    assert "\x1b[" in stream.getvalue()
    plain = Terminal()
    configure("info", json=False, stream=plain)
    structlog.get_logger("relay").info("started", port=8080)
    assert "\x1b[" not in plain.getvalue()


def test_a_level_is_kept_and_an_unknown_one_is_an_error() -> None:
    stream = written("warning")
    structlog.get_logger("relay").info("quiet")
    logging.getLogger("alembic").info("quiet")
    assert stream.getvalue() == ""
    with pytest.raises(KeyError):
        configure("loud")


def test_other_libraries_come_through_the_same_redaction() -> None:
    stream = written()
    logging.getLogger("some.library").warning("connecting to %s", "postgresql://relay:s3cr3t@db/relay")
    line = json.loads(stream.getvalue())
    assert line["event"] == f"connecting to postgresql://{HIDDEN}db/relay"
    assert (line["level"], line["logger"]) == ("warning", "some.library")


@pytest.mark.parametrize(
    "name", ["aiohttp.access", "aiohttp.server", "discord_webhook.webhook", "urllib3.connectionpool", "requests"]
)
def test_libraries_that_log_urls_and_requests_say_nothing(name: str) -> None:
    stream = written()
    logging.getLogger(name).error("POST https://discord.com/api/webhooks/1/x")
    assert stream.getvalue() == ""
