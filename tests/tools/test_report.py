import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection

from relay import upkeep
from relay.config.load import load
from relay.core import joining
from relay.core.event import Source
from relay.core.known import Known
from relay.observe.metrics import Metrics
from relay.sources import PARSERS, Delivered
from relay.storage import delivery, ledger, tally
from relay.storage.engine import Database
from relay.tools import report as reports
from relay.tools.report import Report
from relay.tools.terminal import RefusedError, spelled
from relay.writer import Writer
from tests.tools.payloads import NOW, alert, alertmanager, ended, flux

CONFIGURATION = load(Path("relay.yaml"), {}, text="channels: {ops: {webhook_url_file: a}}", mounted=False)
POLICY = CONFIGURATION.policy
HOUR, DAY = 3600.0, 86400.0


def told(*bodies: tuple[float, bytes]) -> Known:
    """What a relay knows after these bodies, each at its time."""
    known = Known()
    for at, body in bodies:
        kind = Source.ALERTMANAGER if b'"alerts"' in body else Source.FLUX
        source = next(one.policy for one in CONFIGURATION.sources if one.kind is kind)
        parsed = PARSERS[kind](body, source, POLICY, at)
        assert isinstance(parsed, Delivered)
        for event in parsed.events:
            joining.take(known, event, POLICY)
    return known


async def reported(
    folder: Path, known: Known, counts: dict[str, int], *, sent: int = 0, window: float = DAY, now: float = NOW + HOUR
) -> Report:
    database = Database.open(f"sqlite:///{folder}/relay.db", serving=True)
    await database.migrate()

    def write(connection: Connection) -> None:
        ledger.save(connection, known)
        tally.add(connection, NOW, counts)
        for _ in range(sent):
            delivery.new_message(connection, channel="ops", webhook="1", created_at=NOW, thread=None)

    await database.run(write)
    found = await database.read(lambda connection: reports.report(connection, now, window))
    await database.close()
    return found


def seen(known: Known, *, pages: int = 0) -> Known:
    """As if every card had been shown."""
    for posting in list(known.postings.values()):
        known.put_posting(replace(posting, shown=1, pages_made=pages))
    return known


def read(found: Report) -> str:
    return "\n".join(spelled(line, colour=False) for line in reports.told(found))


async def test_a_day_is_told_in_a_screen(tmp_path: Path) -> None:
    first = alert()
    known = told((NOW, alertmanager(first)), (NOW + 60, alertmanager(first)), (NOW + 1800, alertmanager(ended(first))))
    counts = {
        "alertmanager/opened": 1,
        "alertmanager/repeated": 1,
        "alertmanager/resolved": 1,
        "flux/unknown_resolve": 900,
        "relay/opened": 5,
    }
    found = await reported(tmp_path, seen(known, pages=1), counts, sent=2)
    assert (found.events, found.well, found.would_post) == (903, 900, 3)
    assert (found.cards, found.messages, found.pages, found.open) == (1, 2, 1, 0)
    assert (found.average, found.longest) == (1800, 1800)
    text = read(found)
    assert "told    903 events: 3 of alertmanager, 900 of flux; 900 of them only that all is well" in text
    assert "shown   1 card in 2 messages" in text
    assert "One message for each event would have been 3 messages." in text
    assert "sonarr" in text
    assert all(len(line) <= 80 for line in text.splitlines() if not line.startswith("  told"))


async def test_what_healed_before_it_was_shown_is_counted_and_is_no_card(tmp_path: Path) -> None:
    failed = flux(
        reason="HealthCheckFailed",
        message="health check failed after 5m0.03s: timeout waiting for: [Deployment/media/x status: 'InProgress']",
    )
    recovered = json.loads(
        flux(severity="info", reason="ReconciliationSucceeded", message="Reconciliation finished in 1s")
    )
    recovered["timestamp"] = "2025-10-09T08:54:00Z"
    found = await reported(
        tmp_path, told((NOW, failed), (NOW + 5, json.dumps(recovered).encode())), {"flux/opened": 1, "flux/healed": 1}
    )
    assert (found.healed, found.cards, found.pages) == (1, 0, 0)
    assert found.average is None
    assert "none ended" in read(found)


async def test_an_empty_database_is_a_quiet_day(tmp_path: Path) -> None:
    found = await reported(tmp_path, Known(), {})
    assert (found.events, found.cards, found.loudest) == (0, 0, ())
    assert "told    0 events" in read(found)


async def test_what_ended_before_the_window_is_not_in_it(tmp_path: Path) -> None:
    first = alert()
    known = seen(told((NOW, alertmanager(first)), (NOW + 60, alertmanager(ended(first)))))
    assert (await reported(tmp_path, known, {}, now=NOW + 3 * DAY)).cards == 0
    found = await reported(tmp_path, known, {}, now=NOW + 3 * DAY, window=7 * DAY)
    assert found.cards == 1
    assert read(found).startswith("The last 7 d\n")


async def test_a_report_is_json_for_programs(tmp_path: Path) -> None:
    found = await reported(tmp_path, seen(told((NOW, alertmanager(alert())))), {"alertmanager/opened": 1})
    value = json.loads(json.dumps(reports.as_json(found)))
    assert value["events"] == value["one_message_per_event"] == value["cards"] == value["open"] == 1
    assert value["loudest"][0]["told"] == 1


@pytest.mark.parametrize("text", ["", "soon", "8d", "0s", "-1h"])
def test_a_window_that_is_none_or_too_long_is_refused(text: str) -> None:
    with pytest.raises(RefusedError):
        reports.span(text)
    assert reports.span("24h") == DAY


async def test_tallies_of_an_hour_add_up_and_old_ones_are_forgotten(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path}/relay.db", serving=True)
    await database.migrate()
    for at, more in ((NOW, 1), (NOW, 2), (NOW + HOUR, 4), (NOW + 9 * DAY, 8)):
        await database.run(lambda connection, at=at, more=more: tally.add(connection, at, {"flux/opened": more}))  # type: ignore[misc]
    total = await database.read(lambda connection: tally.told_since(connection, 0.0))
    assert total == {"flux/opened": 8}
    await database.close()


def test_what_was_told_is_read_from_the_metrics_as_they_are_labelled() -> None:
    metrics = Metrics()
    metrics.events.labels("flux", "opened").inc(3)
    assert metrics.told() == {"flux/opened": 3}


async def test_what_is_told_is_added_to_its_hour_and_only_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "TALLY_EVERY", 0.01)
    database = Database.open(f"sqlite:///{tmp_path}/relay.db", serving=True)
    await database.migrate()
    metrics = Metrics()
    writer = Writer(database, lambda: POLICY, lambda: NOW, metrics)
    tasks = [asyncio.create_task(writer.run()), asyncio.create_task(upkeep.keep_tally(writer, metrics, lambda: NOW))]
    await writer.started()
    for total in (3, 5):
        metrics.events.labels("flux", "opened").inc(total - sum(metrics.told().values()))
        async with asyncio.timeout(10):
            while (await database.read(lambda connection: tally.told_since(connection, NOW)))["flux/opened"] != total:  # noqa: ASYNC110  # It is in the database.
                await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await database.close()
