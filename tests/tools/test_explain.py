import json
from pathlib import Path
from typing import Any

import pytest

from relay.config.edges import load_edges
from relay.config.load import load
from relay.config.trees import load_trees
from relay.config.values import Configuration
from relay.core.attention import Loudness
from relay.core.due import Why
from relay.core.event import Source
from relay.core.incident import Reason
from relay.core.wording import duration
from relay.tools import diary, rehearsal
from relay.tools import explain as explaining
from relay.tools.explain import Explained, as_json, bodies, guess
from relay.tools.recorded import is_recording, recorded
from relay.tools.rehearsal import Rehearsed, Sheet, rehearse
from relay.tools.telling import pages
from relay.tools.terminal import RefusedError, show_json, spelled
from tests.conftest import CORPUS
from tests.tools.payloads import NOW, alert, alertmanager, ended, flux

LIBRARY = load_trees()
EDGES = load_edges()
DEFAULT = "cluster: homelab\nchannels: {ops: {webhook_url_file: hook, mention: ['<@&1234>']}}\n"
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


TIMEOUT = flux(
    reason="HealthCheckFailed",
    message="health check failed after 5m0.03s: timeout waiting for: [Deployment/media/x status: 'InProgress']",
)


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
    (one,) = explained(TIMEOUT)
    hold = one.problems[0].hold
    assert hold > 0
    assert f"{duration(hold)} first: what ends within is counted and never shown" in read([one])


def test_what_only_a_commit_mends_is_not_held() -> None:
    (one,) = explained(flux())
    assert one.problems[0].hold == 0


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


def test_nothing_that_a_terminal_obeys_comes_out(capsys: pytest.CaptureFixture[str]) -> None:
    found = explained(alertmanager(HOSTILE))
    show_json(as_json(found[0]))
    for text in (read(found), capsys.readouterr().out):
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


# --- a recording --------------------------------------------------------------------------------------------------------


def recording(*sent: tuple[str, str, bytes]) -> bytes:
    """A line for each: when, to which path, what."""
    return b"".join(
        json.dumps({"at": at, "to": to, "body": json.loads(body)}).encode() + b"\n" for at, to, body in sent
    )


def webhook_fails(name: str) -> bytes:
    body = json.loads(
        flux(
            reason="ReconciliationFailed",
            message=f"Service/media/{name} dry-run failed (InternalError): Internal error occurred: "
            'failed calling webhook "validate.kyverno.svc-fail": failed to call webhook: '
            'Post "https://kyverno-svc.kyverno.svc:443/validate/fail?timeout=10s": context deadline exceeded',
        )
    )
    body["involvedObject"]["name"] = name
    return json.dumps(body).encode()


def rehearsed(content: bytes, text: str = TEXT) -> Rehearsed:
    return rehearse(recorded(content.splitlines(), NOW), configured(text), LIBRARY, EDGES)


def cards(found: Rehearsed) -> list[Sheet]:
    """What ops shows beside the status message."""
    return [sheet for sheet in found.shows["ops"] if sheet.form]


def told(found: Rehearsed) -> str:
    return " ".join("\n".join(spelled(line, colour=False) for line in diary.pages(found)).split())


BEGIN = "2025-10-09T08:53:20Z"


def test_a_file_of_deliveries_with_times_is_a_recording_and_a_payload_is_none() -> None:
    assert is_recording(recording((BEGIN, "/flux", flux())))
    assert is_recording(b"\n" + recording(("+0s", "/flux", flux())))
    for content in (flux(), alertmanager(), b"", b"{", b"[]"):
        assert not is_recording(content)


def test_two_that_one_webhook_blocks_are_folded_under_it_by_an_edge_that_is_named() -> None:
    found = rehearsed(
        recording((BEGIN, "/flux", webhook_fails("apps")), ("+1m", "/flux", webhook_fails("media"))), DEFAULT
    )
    first, second, *_ = found.happened
    (apps,), (media,) = first.said, second.said
    assert apps.fold is None
    assert ("webhook:kyverno-svc", "webhook") in apps.waits
    assert media.fold is not None
    assert (media.fold.root.root, media.fold.edge, media.fold.weak) == ("webhook:kyverno-svc", "webhook", False)
    assert [one.entry.reason for one in second.decided] == [Reason.OPENED, Reason.FOLDED]
    assert len(cards(found)) == 1
    text = told(found)
    assert "would be part of webhook:kyverno-svc (edge webhook)" in text
    assert "it can heal by itself, so until it is said a second time" in text
    assert "webhook:kyverno-svc (edge webhook): it owes nobody a sound" in text
    assert "Flux apps is folded under" in text


def test_what_joins_says_by_which_key() -> None:
    crash, mismatch = alert(), alert("KubeDeploymentReplicasMismatch", "warning", deployment="sonarr")
    found = rehearsed(
        recording(
            (BEGIN, "/alertmanager", alertmanager(crash)), ("+5m", "/alertmanager", alertmanager(crash, mismatch))
        ),
        DEFAULT,
    )
    again, joined = found.happened[1].said
    assert (again.reason, joined.reason) == (Reason.REPEATED, Reason.MEMBER)
    assert joined.joined_by.startswith("w:")
    assert "by its workload" in told(found)


def test_time_passes_between_deliveries_and_what_was_held_is_shown_when_its_hold_is_over() -> None:
    found = rehearsed(recording((BEGIN, "/flux", TIMEOUT), ("+20m", "/flux", TIMEOUT)), DEFAULT)
    assert found.happened[0].said[0].held > 0
    shown = next(one for one in found.happened if one.sheets)
    assert shown.to == ""
    assert shown.at == NOW + found.happened[0].said[0].held
    assert [sheet.sounds for sheet in shown.sheets] == [True]
    assert "error reaches notify: error" in told(found)


def test_a_page_an_edit_and_an_end_say_why_they_sound_or_not() -> None:
    crash = alert()
    found = rehearsed(
        recording((BEGIN, "/alertmanager", alertmanager(crash)), ("+30m", "/alertmanager", alertmanager(ended(crash)))),
        DEFAULT,
    )
    sheets = [sheet for one in found.happened for sheet in one.sheets]
    assert [(sheet.pages, sheet.sounds, sheet.edits) for sheet in sheets] == [
        (True, True, False),
        (False, False, True),
        (False, True, False),
    ]
    text = told(found)
    assert "a page: critical reaches page: critical" in text
    assert "an edit, which never sounds" in text
    assert "over, since it had paged and the end has held" in text


def test_health_beats_of_what_is_well_are_one_line() -> None:
    beat = json.loads(flux("info", "ReconciliationSucceeded", "Reconciliation finished in 154ms, next run in 10m0s"))
    beat["metadata"]["commit_status"] = "update"
    lines = recording(*((f"+{minute}m", "/flux", json.dumps(beat).encode()) for minute in range(9)))
    found = rehearsed(lines, DEFAULT)
    text = told(found)
    assert not cards(found)
    assert "9 health beats of what is well: nothing changes" in text


def test_a_note_and_a_refusal_stand_where_they_happened() -> None:
    lines = b"".join(
        json.dumps(one).encode() + b"\n"
        for one in (
            {"at": BEGIN, "to": "/flux", "body": "{nothing", "note": "the sender is broken"},
            {"at": "+1m", "to": "/alertmanager", "body": {"a": 1}},
        )
    )
    text = told(rehearsed(lines, DEFAULT))
    assert "the sender is broken not JSON" in text
    assert "answered 202, kept in the rejects" in text


def test_a_recording_is_json_for_programs() -> None:
    found = rehearsed(recording((BEGIN, "/alertmanager", alertmanager(alert()))), DEFAULT)
    value = json.loads(json.dumps(rehearsal.as_json(found)))
    (event,) = value["happened"][0]["events"]
    assert event["became"] == "opened"
    assert event["channels"] == ["ops"]
    (request,) = value["happened"][0]["requests"]
    assert request["pages"] is True
    assert value["channels"]["ops"][-1]["payload"] == request["payload"]


@pytest.mark.parametrize(
    "lines,says",
    [
        (['{"at": "+0s", "to": "/flux", "body": {}}', "{"], "line 2: not JSON"),
        (['{"at": "+0s", "to": "/flux", "body": {}}', "{}"], "line 2: no delivery"),
        (
            ['{"at": "+5m", "to": "/flux", "body": {}}', '{"at": "+1m", "to": "/flux", "body": {}}'],
            "before the line above",
        ),
        (['{"at": "soon", "to": "/flux", "body": {}}'], "'soon' is no time"),
        (['{"at": "2026-03-02T03:00:00", "to": "/flux", "body": {}}'], "is no time"),
        (['{"at": "+0s", "to": "/grafana", "body": {}}'], "there is no source at '/grafana'"),
        ([], "there is no delivery"),
    ],
)
def test_what_is_no_recording_is_refused_with_its_line(lines: list[str], says: str) -> None:
    with pytest.raises(RefusedError) as raised:
        rehearsed("\n".join(lines).encode(), DEFAULT)
    assert says in str(raised.value)


def test_the_same_recording_is_told_the_same_each_time() -> None:
    lines = recording((BEGIN, "/flux", webhook_fails("apps")), ("+1m", "/flux", webhook_fails("media")))
    assert told(rehearsed(lines, DEFAULT)) == told(rehearsed(lines, DEFAULT))


def test_nothing_that_a_terminal_obeys_comes_out_of_a_recording() -> None:
    line = {"at": BEGIN, "to": "/alertmanager", "body": json.loads(alertmanager(HOSTILE)), "note": "\x1b[2J\u202enote"}
    found = rehearsed(json.dumps(line).encode(), DEFAULT)
    for row in diary.pages(found):
        assert spelled(row, colour=False).isprintable()
