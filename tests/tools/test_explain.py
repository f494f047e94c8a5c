import json
from pathlib import Path
from typing import Any

import pytest

from relay.config.load import load
from relay.config.trees import load_trees
from relay.config.values import Configuration
from relay.core.attention import Loudness
from relay.core.due import Why
from relay.core.event import Source
from relay.core.incident import Reason
from relay.tools import explain as explaining
from relay.tools.explain import Explained, as_json, bodies, guess
from relay.tools.telling import pages
from relay.tools.terminal import RefusedError, spelled
from tests.conftest import CORPUS
from tests.tools.payloads import NOW, alert, alertmanager, ended, flux

LIBRARY = load_trees()
TEXT = """
channels:
  ops: {webhook_url_file: hook, mention: ["<@&1234>"]}
  quiet: {webhook_url_file: hook2, page: never, notify: never}
  strict: {webhook_url_file: hook3, page: critical, notify: critical, show: critical}
routes:
  - {match: ['namespace="media"'], channels: [ops, quiet], continue: true}
  - {match: ['namespace="none"'], channels: [ops]}
  - {match: ['severity="error"'], channels: [strict]}
  - {channels: [ops]}
"""


def configured(text: str = TEXT) -> Configuration:
    return load(Path("relay.yaml"), {}, text=text, mounted=False)


def explained(content: bytes, text: str = TEXT, word: str | None = None) -> list[Explained]:
    return explaining.explain(content, configured(text), LIBRARY, NOW, word)


def read(found: list[Explained]) -> str:
    return "\n".join(spelled(line, colour=False) for line in pages(found))


# --- what a body is -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body,source",
    [
        (alertmanager(), Source.ALERTMANAGER),
        (b'[{"labels": {}}]', Source.ALERTMANAGER),
        (flux(), Source.FLUX),
        (b'{"involvedObject": {}, "alerts": []}', Source.FLUX),
        (b'{"embeds": []}', Source.FLUX),
        (b"nothing", Source.FLUX),
    ],
)
def test_the_shape_of_a_body_says_who_sends_it(body: bytes, source: Source) -> None:
    assert guess(body) is source


def test_a_file_holds_one_body_however_it_is_printed_or_one_on_each_line() -> None:
    pretty = json.dumps(json.loads(flux()), indent=2).encode()
    assert bodies(pretty) == [pretty]
    assert bodies(flux() + b"\n\n" + alertmanager() + b"\n") == [flux(), alertmanager()]
    assert bodies(b"{\nnot json\n") == [b"{\nnot json\n"]
    assert len(bodies(b"")) == 1


@pytest.mark.parametrize(
    "body,word,says",
    [
        (b"\x00\xff", None, "not JSON"),
        (b"", None, "not JSON"),
        (b'{"a": 1}', None, "--source says otherwise"),
        (b'{"embeds": [], "username": "flux"}', None, "generic-hmac"),
        (b'[{"labels": {"alertname": "A"}}]', None, "raw alerts"),
        (alertmanager(alert()), "flux", "alertmanager source"),
        (b"[" * 500_000, None, "absurd structure"),
        (b"{" + b" " * 5_000_000 + b"}", None, "longer than the 4 MiB"),
        (flux() + b"\n{nothing\n", None, "line 2: not JSON"),
        (alertmanager(), "grafana", "there is no source 'grafana'"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_cure(body: bytes, word: str | None, says: str) -> None:
    with pytest.raises(RefusedError) as raised:
        explained(body, word=word)
    assert says in str(raised.value)


def test_a_source_may_be_named_as_it_is_configured() -> None:
    text = TEXT + "sources: [{source: flux, cluster: east, path: /e}, {source: flux, cluster: west, path: /w}]\n"
    by_shape, named = explained(flux(), text), explained(flux(), text, word="flux-west")
    assert by_shape[0].events[0].event.subject.cluster == "east"
    assert named[0].events[0].event.subject.cluster == "west"


# --- what it becomes ----------------------------------------------------------------------------------------------------


def test_a_page_tells_each_channel_why_it_is_as_loud_as_it_is() -> None:
    (one,) = explained(alertmanager(alert()))
    (problem,) = one.problems
    assert [(place.channel, place.loudness) for place in problem.places] == [
        ("ops", Loudness.PAGE),
        ("quiet", Loudness.QUIET),
    ]
    ops, quiet = (place.shown[0] for place in problem.places)
    assert (ops.sounds, quiet.sounds) == (True, False)
    assert "critical reaches page: critical" in ops.because
    assert "critical reaches only show: warning" in quiet.because
    assert ops.payload["content"].endswith("<@&1234>")
    assert "@" not in quiet.payload["content"]


def test_a_page_without_a_mention_says_that_it_pings_nobody() -> None:
    (one,) = explained(alertmanager(alert()), "channels: {ops: {webhook_url_file: hook}}")
    assert "pings nobody" in one.problems[0].places[0].shown[0].because


def test_a_channel_that_only_counts_it_says_below_what_it_is() -> None:
    (one,) = explained(flux())
    strict = next(place for place in one.problems[0].places if place.channel == "strict")
    assert strict.loudness is Loudness.COUNT
    assert not strict.shown
    assert "error is below show: critical" in strict.because


def test_routes_are_told_as_far_as_they_are_asked() -> None:
    (one,) = explained(alertmanager(alert()))
    asked = [(route.place, route.matches) for route in one.events[0].routes]
    assert asked == [(0, True), (1, False), (2, False), (3, True)]
    assert '[1] namespace="none": no' in read([one])


def test_what_flux_says_is_held_first_and_the_page_says_so() -> None:
    (one,) = explained(flux())
    assert one.problems[0].hold == 30
    assert "30 s first" in read([one])


def test_a_tree_is_walked_in_the_open() -> None:
    (one,) = explained(alertmanager(alert()))
    text = read([one])
    assert "pod-not-starting" in text
    assert "→ CrashLoopBackOff" in text
    assert "No fact decides between" in text


def test_bodies_of_one_file_are_taken_in_order_each_after_the_last_was_shown() -> None:
    first = alert()
    opened, again, over = explained(b"\n".join(alertmanager(one) for one in (first, first, ended(first))))
    assert [one.events[0].reason for one in (opened, again, over)] == [Reason.OPENED, Reason.REPEATED, Reason.RESOLVED]
    ids = {one.events[0].incident for one in (opened, again, over)}
    assert len(ids) == 1
    assert [shown.step.why for shown in opened.problems[0].places[0].shown] == [Why.PAGE]
    assert not again.problems[0].places[0].shown
    assert "only a count moved" in again.problems[0].places[0].because
    assert [shown.step.why for shown in over.problems[0].places[0].shown] == [Why.EDIT, Why.END]
    assert over.problems[0].places[0].shown[1].after == 120


def test_an_end_of_nothing_known_says_so_and_shows_nothing() -> None:
    found = explained(alertmanager(ended(alert())))
    assert not found[0].problems
    assert "ends nothing that is open here" in read(found)
    assert "No message comes of it." in read(found)


def test_a_watchdog_is_never_shown() -> None:
    assert "never shown" in read(explained(alertmanager(alert("Watchdog", "none"))))


def test_many_alerts_are_a_table_and_one_incident() -> None:
    found = explained(alertmanager(*(alert(pod=f"app{at}-66cc5c9fcf-9rccg") for at in range(30))))
    text = read(found)
    assert len(found[0].problems) == 1
    assert "… and 10 more: --json says all" in text
    assert len(text.splitlines()) < 80


def test_the_same_message_is_printed_once() -> None:
    text = "channels: {a: {webhook_url_file: x}, b: {webhook_url_file: y}}\nroutes: [{channels: [a, b]}]"
    assert read(explained(alertmanager(alert()), text)).count("the same message as in a") == 1


# --- how it reads -------------------------------------------------------------------------------------------------------

HOSTILE = alert(
    pod="x\x1b]0;title\x07\x1b[31mred\u009b31m\u202eevil",
    **{"\x1b[2Jname": "v", "cluster": "c\x1b[0m", "owner": "<@&1> @everyone"},
)


def test_nothing_that_a_terminal_obeys_comes_out() -> None:
    found = explained(alertmanager(HOSTILE))
    for text in (read(found), json.dumps(as_json(found[0]), ensure_ascii=False)):
        assert all(char.isprintable() or char == "\n" for char in text)


def test_prose_stays_within_the_width_and_commands_stay_whole() -> None:
    lines = read(explained(alertmanager(alert(container="sonarr")))).splitlines()
    prose = [line for line in lines if "kubectl" not in line and "=~" not in line]
    assert all(len(line) <= 80 for line in prose)
    command = next(line for line in lines if "logs" in line and "kubectl" in line)
    assert command.endswith("--tail=50")


def test_markup_reads_as_on_discord() -> None:
    text = read(explained(alertmanager(alert(pod="my_pod*with*stars-0"))))
    message = [line for line in text.splitlines() if line.startswith("  │")]
    assert not any("**" in line or "<t:" in line or "\\" in line for line in message)
    assert any("my_pod*with*stars" in line for line in message)
    assert any("since 08:00 UTC (53 min ago)" in line for line in message)


def test_json_holds_the_exact_payload_of_each_message() -> None:
    (one,) = explained(alertmanager(alert()))
    told = json.loads(json.dumps(as_json(one)))
    message = told["incidents"][0]["channels"][0]["messages"][0]
    assert message["payload"] == one.problems[0].places[0].shown[0].payload
    assert message["payload"]["allowed_mentions"] == {"parse": [], "roles": ["1234"], "users": []}
    assert told["events"][0]["became"] == "opened"
    assert told["incidents"][0]["tree"]["path"][0]["answer"] == "CrashLoopBackOff"


if CORPUS:
    _CAPTURED: list[Any] = [
        line
        for name in ("flux-events", "alertmanager-webhooks")
        for line in (CORPUS / f"{name}.jsonl").read_bytes().splitlines()
    ]


@pytest.mark.corpus
def test_every_captured_body_is_explained_or_refused_in_words() -> None:
    pages_told = 0
    for line in _CAPTURED:
        value = json.loads(line)
        raw = value.get("raw") or json.dumps(value.get("body", value))
        try:
            text = read(explained(raw.encode()))
        except RefusedError as error:
            text = str(error)
        else:
            pages_told += 1
        assert text.strip()
        assert all(char.isprintable() or char == "\n" for char in text)
    assert pages_told > 100
