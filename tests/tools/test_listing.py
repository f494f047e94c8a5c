import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from relay.config.load import load
from relay.core import joining
from relay.core.event import Event, Source
from relay.core.known import Known
from relay.sources import PARSERS, Delivered
from relay.storage import ledger
from relay.storage.engine import Database, UnusableDatabaseError
from relay.tools import listing
from relay.tools.listing import standing
from relay.tools.terminal import RefusedError, spelled
from tests.tools.payloads import NOW, alert, alertmanager, flux

CONFIGURATION = load(
    Path("relay.yaml"),
    {},
    text="channels: {ops: {webhook_url_file: a}, log: {webhook_url_file: b, page: never}}\nroutes: [{channels: [ops, log]}]",
    mounted=False,
)
POLICY = CONFIGURATION.policy


def events(kind: Source, body: bytes) -> tuple[Event, ...]:
    parsed = PARSERS[kind](body, CONFIGURATION.sources[0].policy, POLICY, NOW)
    assert isinstance(parsed, Delivered)
    return parsed.events


async def take(database: Database, *given: Event) -> Known:
    known = Known()
    for event in given:
        joining.take(known, event, POLICY)
    await database.run(lambda connection: ledger.save(connection, known))
    return known


@pytest.fixture
async def database(tmp_path: Path) -> Database:
    made = Database.open(f"sqlite:///{tmp_path}/relay.db", serving=True)
    await made.migrate()
    return made


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"RELAY_DATABASE_URL": f"sqlite:///{tmp_path}/relay.db"}


def read(lines: object) -> str:
    return "\n".join(spelled(line, colour=False) for line in lines)  # type: ignore[attr-defined]


async def test_open_incidents_are_worst_first_and_say_what_and_where(database: Database) -> None:
    await take(database, *events(Source.FLUX, flux()), *events(Source.ALERTMANAGER, alertmanager(alert())))
    found, count = await database.read(lambda connection: listing.open_now(connection, NOW + 60, 10))
    text = read(listing.told_open(found, count, NOW + 60))
    assert count == 2
    assert text.index("critical") < text.index("error")
    assert "sonarr" in text
    assert "media/sonarr · log due, ops due · 1 signal · opened 1 min ago" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    await database.close()


async def test_what_is_left_out_is_counted(database: Database) -> None:
    await take(database, *events(Source.FLUX, flux()), *events(Source.ALERTMANAGER, alertmanager(alert())))
    found, count = await database.read(lambda connection: listing.open_now(connection, NOW, 1))
    assert read(listing.told_open(found, count, NOW)).endswith("+1: --limit 2 shows them")
    told = json.loads(json.dumps(listing.open_json(found, NOW)))
    assert told[0]["severity"] == "critical"
    assert told[0]["channels"] == {"log": {"is": "due", "parked": None}, "ops": {"is": "due", "parked": None}}
    await database.close()


def test_nothing_open_is_said_in_words() -> None:
    assert read(listing.told_open([], 0, NOW)) == "Nothing is wrong: no incident is open."


@pytest.mark.parametrize(
    "changes,word",
    [
        ({"due_at": NOW}, "due"),
        ({"due_at": NOW + 60, "shown": 1}, "shown"),
        ({"due_at": None, "shown": 1}, "shown"),
        ({"due_at": None}, "waiting"),
        ({"parked": "50035", "due_at": NOW}, "parked"),
        ({"closed": True}, "deleted"),
    ],
)
async def test_a_posting_stands_in_one_word(changes: dict[str, object], word: str) -> None:
    known = Known()
    (event,) = events(Source.ALERTMANAGER, alertmanager(alert()))
    joining.take(known, event, POLICY)
    (incident,) = known.incidents.values()
    posting = replace(known.postings[incident.id, "ops"], **changes)  # type: ignore[arg-type]
    assert standing(posting, incident, NOW) == word


def test_what_is_within_its_hold_is_held() -> None:
    known = Known()
    (event,) = events(Source.FLUX, flux())
    joining.take(known, event, POLICY)
    (incident,) = known.incidents.values()
    assert standing(known.postings[incident.id, "ops"], incident, NOW) == "held"


async def test_a_command_reads_beside_a_relay_that_serves(database: Database, env: dict[str, str]) -> None:
    await take(database, *events(Source.FLUX, flux()))
    found, count = await asyncio.to_thread(
        listing.looked_up, env, lambda connection: listing.open_now(connection, NOW, 10)
    )
    assert (len(found), count) == (1, 1)
    await database.close()


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path, env: dict[str, str]) -> None:
    with pytest.raises(UnusableDatabaseError, match="There is no database yet"):
        listing.looked_up(env, lambda _: None)
    assert not list(tmp_path.iterdir())


def test_a_database_without_tables_is_not_filled(tmp_path: Path, env: dict[str, str]) -> None:
    (tmp_path / "relay.db").touch()
    with pytest.raises(UnusableDatabaseError, match="holds nothing yet"):
        listing.looked_up(env, lambda _: None)


def test_a_wrong_database_url_is_refused_without_being_told() -> None:
    with pytest.raises(RefusedError, match=r"^RELAY_DATABASE_URL: ") as raised:
        listing.looked_up({"RELAY_DATABASE_URL": "mysql://ada:hunter2@db"}, lambda _: None)
    assert "hunter2" not in str(raised.value)
