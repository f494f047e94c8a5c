"""The whole path of a delivery: real HTTP, the real writer, a real database."""

import asyncio
import json
import logging
import re
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
import structlog
from aiohttp import ClientSession
from sqlalchemy import func, select

from relay.config.secrets import SecretFile
from relay.config.values import Credentials, SourceSettings
from relay.core.event import Instant, Source
from relay.core.policy import Policy, SourcePolicy
from relay.observe.metrics import Metrics
from relay.sources import PARSERS, Delivered, Parsed
from relay.storage.engine import Database
from relay.storage.promise import Poison, Stopping, StorageAway
from relay.storage.rejects import get_reject, list_rejects
from relay.storage.tables import incidents, rejects, signals
from relay.web.examining import LARGE
from relay.writer import Writer
from tests.core.make import POLICY
from tests.web.conftest import Serve, Served
from tests.web.make import BODY, LOCKED, NOW, OPEN, SIGNATURE, TOKEN, Pages, configuration, signed

BEARER = {"Authorization": f"Bearer {TOKEN}"}
FAILED = BODY.replace(b'"info"', b'"error"').replace(b'"reason"', b'"GitOperationFailed"', 1)
ALERT = {
    "status": "firing",
    "labels": {"alertname": "KubePodCrashLooping", "namespace": "media", "pod": "sonarr-0", "severity": "warning"},
    "annotations": {"description": "it crashes"},
    "startsAt": "2026-03-01T03:02:00Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "",
    "fingerprint": "0123456789abcdef",
}
GROUP = {
    "version": "4",
    "receiver": "relay",
    "status": "firing",
    "groupKey": '{}:{alertname="KubePodCrashLooping"}',
    "alerts": [ALERT],
    "groupLabels": {},
    "commonLabels": {},
    "commonAnnotations": {},
    "externalURL": "http://alertmanager.example.org",
    "truncatedAlerts": 3,
}


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database.open(f"sqlite:///{tmp_path}/relay.db")
    await opened.migrate()
    yield opened
    await opened.close()


@pytest.fixture
async def writer(database: Database) -> AsyncIterator[Writer]:
    """The real one, until the test ends."""
    made = Writer(database, lambda: POLICY, lambda: NOW, Metrics())
    running = asyncio.create_task(made.run())
    await asyncio.sleep(0)
    yield made
    made.stop()
    await running


@pytest.fixture
async def front(writer: Writer, serve: Serve) -> Served:
    return await serve(writer)


async def post(
    client: ClientSession, front: Served, path: str, body: bytes | object, headers: dict[str, str] | None = None
) -> tuple[int, str]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    if headers is None:
        headers = {"X-Signature": signed(raw)} if path.startswith("/flux") else BEARER
    async with client.post(front.url + path, data=BytesIO(raw), headers=headers, allow_redirects=False) as response:
        return response.status, await response.text()


async def test_a_202_means_that_the_event_is_in_the_database(
    client: ClientSession, front: Served, database: Database
) -> None:
    assert await post(client, front, "/flux", FAILED) == (202, "stored\n")
    rows = await database.read(lambda connection: connection.execute(select(signals.c.name, signals.c.state)).all())
    assert [tuple(row) for row in rows] == [("webapp", "firing")]
    assert front.count("relay_requests_total", sender="flux", code="202") == 1
    assert front.count("relay_request_seconds_count", sender="flux") == 1


async def test_alertmanagers_group_is_stored_and_what_it_cut_off_is_counted(
    client: ClientSession, front: Served, database: Database
) -> None:
    group = GROUP | {"alerts": [ALERT, "no alert", ALERT | {"labels": ALERT["labels"] | {"pod": "radarr-0"}}]}  # type: ignore[operator]
    assert (await post(client, front, "/alertmanager", group))[0] == 202
    assert await database.read(lambda c: c.scalar(select(func.count()).select_from(signals))) == 2
    assert front.count("relay_truncated_alerts_total", sender="alertmanager") == 3
    assert front.count("relay_refused_alerts_total", sender="alertmanager") == 1


async def test_an_empty_group_is_accepted_and_nothing_is_kept(
    client: ClientSession, front: Served, database: Database
) -> None:
    assert await post(client, front, "/alertmanager", GROUP | {"alerts": []}) == (202, "stored\n")
    assert await database.read(lambda c: c.scalar(select(func.count()).select_from(signals))) == 0


@pytest.mark.parametrize("path", ["/flux", "/flux/"])
async def test_a_trailing_slash_is_served(client: ClientSession, front: Served, path: str) -> None:
    assert (await post(client, front, path, BODY))[0] == 202


@pytest.mark.parametrize(
    "path", ["/", "//", "//flux", "/flux//", "/flux/x", "/Flux", "/flux/../flux/.", "/fluxx", "/metrics"]
)
async def test_no_path_is_ever_redirected(client: ClientSession, front: Served, path: str) -> None:
    status, text = await post(client, front, path, BODY, {"X-Signature": SIGNATURE})
    assert status in {202, 404, 405}
    assert text.count("\n") == 1


async def test_every_unproven_request_gets_the_same_answer(client: ClientSession, writer: Writer, serve: Serve) -> None:
    locked = configuration([LOCKED[0], replace(OPEN[1], path="/locked"), LOCKED[1]], host="0.0.0.0")  # noqa: S104  # What is tested.
    front = await serve(writer, locked)
    asked: list[tuple[str, dict[str, str]]] = [
        ("/flux", {}),
        ("/flux", {"X-Signature": "sha256=" + "0" * 64}),
        ("/flux", {"X-Signature": "md5=" + "0" * 32}),
        ("/flux", BEARER),
        ("/alertmanager", {}),
        ("/alertmanager", {"Authorization": "Bearer wrong"}),
        ("/alertmanager", {"Authorization": "Basic cmVsYXk6d3Jvbmc="}),
        ("/locked", BEARER),
    ]
    answers = set()
    for path, headers in asked:
        async with client.post(front.url + path, data=BODY, headers=headers) as response:
            kept = {name: text for name, text in response.headers.items() if name != "Date"}
            answers.add((response.status, await response.text(), str(sorted(kept.items()))))
    assert len(answers) == 1
    assert {status for status, _, _ in answers} == {401}


async def test_no_json_is_refused_in_one_line_and_kept(
    client: ClientSession, front: Served, database: Database
) -> None:
    body = b'{"secret-text": tru'
    status, text = await post(client, front, "/flux", body)
    assert status == 400
    assert text.count("\n") == 1
    assert "secret-text" not in text
    (kept,) = await database.read(list_rejects)
    assert (kept.source, kept.sender, kept.size, kept.at) == ("flux", "flux", len(body), NOW)
    assert (await database.read(lambda connection: get_reject(connection, kept.id)) or ("", b""))[1] == body
    assert await database.read(lambda c: c.scalar(select(func.count()).select_from(incidents))) == 0
    assert front.count("relay_rejects_total", sender="flux", kind="not_json") == 1
    assert front.count("relay_requests_total", sender="flux", code="400") == 1


@pytest.mark.parametrize(
    "path, body",
    [
        ("/flux", {"attachments": [{"color": "danger", "author_name": "kustomization/apps.flux-system"}]}),
        ("/alertmanager", [ALERT]),
        ("/flux", GROUP),
        ("/alertmanager", json.loads(BODY)),
        ("/flux", []),
        ("/flux", None),
        ("/alertmanager", "text"),
    ],
)
async def test_json_of_another_shape_is_kept_and_shown_as_an_incident_of_the_relay(
    client: ClientSession, front: Served, database: Database, path: str, body: object
) -> None:
    for _ in range(2):
        status, text = await post(client, front, path, body)
        assert status == 202
        assert text.count("\n") == 1
    sender = path.removeprefix("/")
    rows = await database.read(lambda c: c.execute(select(incidents.c.source, incidents.c.name)).all())
    assert [tuple(row) for row in rows] == [("relay", f"unreadable payload from {sender}")]
    assert await database.read(lambda c: c.scalar(select(func.count()).select_from(rejects))) == 2
    assert front.count("relay_rejects_total", sender=sender, kind="unreadable") == 2


async def test_a_parser_that_raises_loses_nothing_and_logs_nothing_of_the_body(
    client: ClientSession, writer: Writer, serve: Serve, database: Database
) -> None:
    def broken(body: bytes, _source: SourcePolicy, _policy: Policy, _now: Instant) -> Parsed:
        raise ValueError(body)

    front = await serve(writer, parsers=dict(PARSERS) | {Source.FLUX: broken})
    with structlog.testing.capture_logs() as lines:
        assert (await post(client, front, "/flux", BODY))[0] == 202
    assert "gitops-system" not in str(lines)
    assert any(line.get("why") == "ValueError" and line["at"].startswith("test_routes.py:") for line in lines)
    assert len(await database.read(list_rejects)) == 1


async def test_a_poisonous_delivery_is_kept_and_its_sender_is_not_asked_again(
    client: ClientSession, pages: Pages, serve: Serve
) -> None:
    front = await serve(pages)
    pages.fails = Poison("KeyError")
    assert (await post(client, front, "/flux", BODY))[0] == 202
    assert front.count("relay_rejects_total", sender="flux", kind="poison") == 1
    assert [reject.sender for reject in await pages.transact(list_rejects)] == ["flux"]


@pytest.mark.parametrize("failure", [StorageAway("away"), Stopping("stopping")])
async def test_what_was_not_stored_is_asked_for_again(
    client: ClientSession, pages: Pages, serve: Serve, failure: Exception
) -> None:
    front = await serve(pages)
    pages.fails = failure
    async with client.post(f"{front.url}/flux", data=BODY, headers={"X-Signature": SIGNATURE}) as response:
        assert response.status == 503
        assert response.headers["Retry-After"] == "2"
    assert await pages.transact(list_rejects) == []


async def test_a_bug_behind_the_door_is_answered_without_its_text(
    client: ClientSession, pages: Pages, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    front = await serve(pages)
    pages.fails = KeyError("gitops-system")
    with caplog.at_level(logging.DEBUG), structlog.testing.capture_logs() as lines:
        status, text = await post(client, front, "/flux", BODY)
    assert status == 500
    assert "gitops" not in text + str(lines) + caplog.text


async def test_a_stopping_writer_takes_nothing_more(client: ClientSession, front: Served, writer: Writer) -> None:
    writer.stop()
    async with client.post(f"{front.url}/flux", data=BODY, headers={"X-Signature": SIGNATURE}) as response:
        assert response.status == 503
    async with client.get(f"{front.url}/readyz") as response:
        assert (response.status, await response.text()) == (503, "not ready: stopping\n")


async def test_a_writer_that_ends_while_the_body_comes_answers_503_and_hangs_nobody(pages: Pages, serve: Serve) -> None:
    front = await serve(pages)
    reader, connection = await asyncio.open_connection("127.0.0.1", front.port)
    head = f"POST /flux HTTP/1.1\r\nHost: relay\r\nContent-Length: {len(BODY)}\r\nX-Signature: {SIGNATURE}\r\n\r\n"
    connection.write(head.encode())
    await asyncio.sleep(0.1)
    pages.ready = False
    connection.write(BODY)
    assert (await reader.readline()).startswith(b"HTTP/1.1 503 ")
    connection.close()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_another_method_is_told_what_to_do(client: ClientSession, front: Served, method: str) -> None:
    async with client.request(method, f"{front.url}/flux") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "POST"
        assert method == "HEAD" or "generic-hmac" in await response.text()


async def test_a_source_without_credentials_is_served_only_on_the_loopback(
    client: ClientSession, pages: Pages, serve: Serve
) -> None:
    front = await serve(pages, configuration(OPEN))
    assert (await post(client, front, "/flux", BODY, {}))[0] == 202
    front.configuration = configuration(OPEN, host="0.0.0.0")  # noqa: S104  # What is tested.
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            assert (await post(client, front, "/flux", BODY, {}))[0] == 401
    (line,) = lines
    assert "RELAY_FLUX_HMAC_KEY" in line["why"]
    async with client.get(f"{front.url}/readyz") as response:
        assert response.status == 200
    unlocked = [replace(source, unauthenticated=True) for source in OPEN]
    front.configuration = configuration(unlocked, host="0.0.0.0")  # noqa: S104  # What is tested.
    assert (await post(client, front, "/flux", BODY, {}))[0] == 202


async def test_a_page_in_somebodys_browser_cannot_post_to_an_open_loopback(
    client: ClientSession, pages: Pages, serve: Serve
) -> None:
    front = await serve(pages, configuration(OPEN))
    assert (await post(client, front, "/flux", BODY, {"Origin": "https://example.org"}))[0] == 401
    assert (await post(client, front, "/flux", BODY, {"Origin": "null"}))[0] == 401
    assert pages.events == []


async def test_a_bug_before_the_door_is_answered_and_logged_without_its_text(
    client: ClientSession, pages: Pages, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    front = await serve(pages)
    front.configuration = object()  # type: ignore[assignment]  # What no relay has.
    with structlog.testing.capture_logs() as lines:
        assert await post(client, front, "/flux", BODY) == (500, "the relay failed: its log says where\n")
    assert [(line["event"], line["why"]) for line in lines] == [("request failed", "AttributeError")]
    assert not caplog.records


async def test_a_new_configuration_takes_effect_with_the_next_request(
    client: ClientSession, pages: Pages, serve: Serve
) -> None:
    front = await serve(pages)
    front.configuration = configuration([replace(LOCKED[0], path="/flux-prod", name="prod", cluster="prod")])
    assert (await post(client, front, "/flux", BODY))[0] == 404
    assert (await post(client, front, "/alertmanager", GROUP))[0] == 404
    assert (await post(client, front, "/flux-prod", BODY, {"X-Signature": SIGNATURE}))[0] == 202
    assert [(event.sender, event.subject.cluster) for event in pages.events] == [("prod", "prod")]


async def test_a_rotated_secret_is_taken_without_a_reload(
    client: ClientSession, pages: Pages, serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("old")
    credentials = Credentials(hmac_keys=(SecretFile(tmp_path / "key"),))
    front = await serve(pages, configuration([replace(LOCKED[0], credentials=credentials)]))
    assert (await post(client, front, "/flux", BODY, {"X-Signature": signed(BODY, b"old")}))[0] == 202
    (tmp_path / "next").write_text("new")
    (tmp_path / "next").rename(tmp_path / "key")
    assert (await post(client, front, "/flux", BODY, {"X-Signature": signed(BODY, b"old")}))[0] == 401
    assert (await post(client, front, "/flux", BODY, {"X-Signature": signed(BODY, b"new")}))[0] == 202


async def test_large_bodies_are_verified_and_parsed_in_a_thread_one_at_a_time(
    client: ClientSession, pages: Pages, serve: Serve
) -> None:
    seen: list[tuple[int, str]] = []
    at_once = most = 0

    def watched(body: bytes, _source: SourcePolicy, _policy: Policy, _now: Instant) -> Parsed:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        seen.append((len(body), threading.current_thread().name))
        time.sleep(0.05)
        at_once -= 1
        return Delivered(())

    front = await serve(pages, parsers={Source.FLUX: watched, Source.ALERTMANAGER: watched})
    large = b" " * (LARGE + 1)
    await asyncio.gather(*[post(client, front, "/flux", large) for _ in range(4)])
    await post(client, front, "/flux", b" " * LARGE)
    assert most == 1
    assert [name == threading.main_thread().name for _, name in seen] == [False] * 4 + [True]
    assert (await post(client, front, "/flux", large, {"X-Signature": SIGNATURE}))[0] == 401
    assert len(seen) == 5


async def test_a_refusal_is_logged_once_a_minute(client: ClientSession, pages: Pages, serve: Serve) -> None:
    front = await serve(pages)
    with structlog.testing.capture_logs() as lines:
        for _ in range(5):
            await post(client, front, "/flux", BODY, {})
        front.now += 60
        await post(client, front, "/flux", BODY, {})
    assert [line["event"] for line in lines] == ["delivery refused"] * 2
    assert front.count("relay_requests_total", sender="flux", code="401") == 6


async def test_many_deliveries_at_once_are_all_stored(client: ClientSession, front: Served, database: Database) -> None:
    bodies = [FAILED.replace(b"webapp", b"webapp-%d" % number) for number in range(200)]
    answers = await asyncio.gather(*[post(client, front, "/flux", body) for body in bodies])
    assert {status for status, _ in answers} == {202}
    assert await database.read(lambda c: c.scalar(select(func.count()).select_from(signals))) == 200


async def test_an_attackers_path_host_and_method_make_no_new_series(client: ClientSession, front: Served) -> None:
    before = await scraped(client, front)
    for number in range(5):
        await post(client, front, f"/nowhere-{number}", BODY, {"Host": f"host-{number}"})
        async with client.request(f"METHOD{number}", f"{front.url}/flux") as response:
            assert response.status in {400, 405}
    after = await scraped(client, front)
    new = {line.rsplit(" ", 1)[0] for line in after} - {line.rsplit(" ", 1)[0] for line in before}
    assert not [line for line in new if "nowhere" in line or "host-" in line or "METHOD" in line]
    assert len(new) < 5


async def scraped(client: ClientSession, front: Served) -> list[str]:
    async with client.get(f"{front.url}/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        return (await response.text()).splitlines()


async def test_the_metrics_are_served_and_hold_no_secret(client: ClientSession, front: Served) -> None:
    await post(client, front, "/flux", BODY)
    text = "\n".join(await scraped(client, front))
    assert 'relay_requests_total{code="202",sender="flux"} 1.0' in text
    assert re.search(r"^process_resident_memory_bytes ", text, re.MULTILINE)
    assert TOKEN not in text
    assert "_created" not in text


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/healthz/"])
async def test_health_answers_get_and_head_only(client: ClientSession, front: Served, path: str) -> None:
    for method in ("GET", "HEAD"):
        async with client.request(method, front.url + path) as response:
            assert response.status == 200
    assert (await post(client, front, path, b"", {}))[0] == 405


async def test_health_is_about_the_tasks_and_readiness_about_the_writer(
    client: ClientSession, pages: Pages, serve: Serve
) -> None:
    front = await serve(pages)

    async def ask(path: str) -> tuple[int, str]:
        async with client.get(front.url + path) as response:
            return response.status, await response.text()

    assert await ask("/healthz") == (200, "ok\n")
    assert await ask("/readyz") == (200, "ready\n")
    pages.ready = False
    assert await ask("/healthz") == (200, "ok\n")
    assert await ask("/readyz") == (503, "not ready: the database is away\n")
    front.alive = False
    assert await ask("/healthz") == (503, "a task of the relay has ended\n")


@pytest.mark.parametrize("kind", PARSERS)
async def test_every_source_has_a_limit_and_an_advice(
    client: ClientSession, pages: Pages, serve: Serve, kind: Source
) -> None:
    front = await serve(pages, configuration([SourceSettings("new", kind, "/new")]))
    async with client.get(f"{front.url}/new") as response:
        assert (await response.text()).startswith("POST only: ")
    async with client.post(f"{front.url}/new", data=b"{") as response:
        assert response.status == 400
