"""What `run` promised survives everything, and what it did not promise is not there."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import Connection, exc, text

from relay.storage import engine, tables
from relay.storage.engine import Database, UnusableDatabaseError, describe, is_outage
from relay.storage.meta import get_meta, set_meta
from tests.conftest import ROOT

SQLITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
POSTGRESQL = pytest.mark.parametrize("url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)


def started(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Another process that runs `code`."""
    return subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def add_one(connection: Connection) -> None:
    set_meta(connection, "count", str(int(get_meta(connection, "count") or 0) + 1))


async def value(database: Database, key: str) -> str | None:
    return await database.read(partial(get_meta, key=key))


# --- one transaction, one promise ---------------------------------------------------------------------------------------


async def test_what_raises_changes_nothing_and_leaves_the_database_as_usable_as_before(database: Database) -> None:
    def broken(connection: Connection) -> None:
        set_meta(connection, "a", "1")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.run(broken)
    assert await value(database, "a") is None
    await database.run(add_one)
    assert await value(database, "count") == "1"


async def test_a_statement_that_fails_takes_its_whole_transaction_with_it(database: Database) -> None:
    def broken(connection: Connection) -> None:
        set_meta(connection, "a", "1")
        connection.execute(text("INSERT INTO relay (key, value) VALUES ('a', NULL)"))

    with pytest.raises(exc.IntegrityError) as raised:
        await database.run(broken)
    assert not is_outage(raised.value)
    assert await value(database, "a") is None


async def test_a_commit_that_fails_changes_nothing_and_leaves_no_transaction_open(database: Database) -> None:
    def tables(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE parent (id INTEGER PRIMARY KEY)"))
        connection.execute(
            text("CREATE TABLE child (parent INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)")
        )

    def orphan(connection: Connection) -> None:
        add_one(connection)
        connection.execute(text("INSERT INTO child VALUES (7)"))

    await database.run(tables)
    if isinstance(database, engine._SQLite):
        engine._driver(cast("Connection", database._writer)).execute("PRAGMA foreign_keys = ON")
    with pytest.raises(exc.IntegrityError):
        await database.run(orphan)
    await database.run(add_one)
    assert await value(database, "count") == "1"


async def test_many_at_once_lose_nothing(database: Database) -> None:
    await asyncio.gather(*(database.run(add_one, exclusive=True) for _ in range(40)))
    assert await value(database, "count") == "40"


@pytest.mark.parametrize("way", ["read", "glance"])
async def test_a_reading_sees_what_was_committed_and_changes_nothing(database: Database, way: str) -> None:
    reads = getattr(database, way)
    count = partial(get_meta, key="count")
    await database.run(add_one)
    assert await reads(count) == "1"
    with pytest.raises(exc.DBAPIError):
        await reads(add_one)
    assert await reads(count) == "1"
    await database.run(add_one)
    assert await reads(count) == "2"


async def test_a_glance_in_the_middle_of_a_commit_sees_what_was_before(database: Database) -> None:
    await database.run(add_one)
    running = [asyncio.create_task(database.run(add_one, exclusive=True)) for _ in range(5)]
    seen = []
    while not all(task.done() for task in running):
        count = await database.glance(partial(get_meta, key="count"))
        seen.append(count or "")
        await asyncio.sleep(0)
    assert seen == sorted(seen)
    assert await database.glance(partial(get_meta, key="count")) == "6"


async def test_a_long_reading_holds_up_no_writing(database: Database) -> None:
    reading, go_on = threading.Event(), threading.Event()

    def slow(connection: Connection) -> tuple[str | None, str | None]:
        before = get_meta(connection, "count")
        reading.set()
        go_on.wait(10)
        return before, get_meta(connection, "count")

    task = asyncio.create_task(database.read(slow))
    assert await asyncio.to_thread(reading.wait, 10)
    await asyncio.wait_for(database.run(add_one), 5)
    go_on.set()
    assert await task == (None, None)


async def test_a_cancelled_run_ends_its_commit_before_anyone_else_begins(database: Database) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        entered.set()
        go_on.wait(10)

    def slow(connection: Connection) -> None:
        add_one(connection)
        wait()

    if isinstance(database, engine._SQLite):
        database._commits.submit(wait)  # The commit stands behind it.
        task = asyncio.create_task(database.run(add_one))
    else:
        task = asyncio.create_task(database.run(slow, exclusive=True))
    assert await asyncio.to_thread(entered.wait, 10)
    other = asyncio.create_task(database.run(add_one, exclusive=True))
    for _ in range(5):
        await asyncio.sleep(0.005)
        task.cancel()
    assert not task.done()
    assert not other.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await other
    assert await value(database, "count") == "2"


@SQLITE
async def test_a_run_cancelled_before_its_turn_does_nothing(database: Database) -> None:
    assert isinstance(database, engine._SQLite)
    async with database._turn:
        task = asyncio.create_task(database.run(add_one))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await value(database, "count") is None


# --- other processes ----------------------------------------------------------------------------------------------------

COUNTING = """
import asyncio, sys
from relay.storage.engine import Database
from tests.storage.test_engine import add_one

async def main():
    database = Database.open(sys.argv[1])
    for _ in range(60):
        await database.run(add_one, exclusive=True)
    await database.close()

asyncio.run(main())
"""


async def test_a_command_beside_the_server_loses_nothing_of_either(database: Database, url: str) -> None:
    command = started(COUNTING, url)
    for _ in range(60):
        await database.run(add_one, exclusive=True)
    await asyncio.to_thread(command.communicate)
    assert command.returncode == 0
    assert await value(database, "count") == "120"


COMMITTING = """
import asyncio, sys
from functools import partial
from relay.storage.engine import Database
from relay.storage.meta import set_meta

async def main():
    database = Database.open(sys.argv[1], serving=True)
    number = 0
    while True:
        number += 1
        await database.run(partial(set_meta, key=f"n{number}", value="x" * 500), exclusive=True)
        print(number, flush=True)

asyncio.run(main())
"""


async def test_what_was_acknowledged_is_there_after_kill_9(database: Database, url: str) -> None:
    for lines in (30, 57):
        server = started(COMMITTING, url)
        assert server.stdout is not None
        acknowledged = [int(await asyncio.to_thread(server.stdout.readline)) for _ in range(lines)]
        server.kill()
        rest, _ = server.communicate()
        acknowledged += [int(line) for line in rest.splitlines()]

        def present(connection: Connection, numbers: list[int] = acknowledged) -> bool:
            return all(get_meta(connection, f"n{number}") for number in numbers)

        assert await database.read(present)
        await database.run(add_one)
    assert await value(database, "count") == "2"


# --- SQLite -------------------------------------------------------------------------------------------------------------


@SQLITE
async def test_a_second_relay_is_kept_out_until_the_first_is_gone_and_commands_are_not(url: str) -> None:
    first = Database.open(url, serving=True)
    with pytest.raises(UnusableDatabaseError, match="Another relay serves from this database"):
        Database.open(url, serving=True)
    command = Database.open(url)
    assert await command.migrate()
    await command.close()
    await first.close()
    second = Database.open(url, serving=True)
    assert not await second.migrate()
    await second.close()


@SQLITE
async def test_the_loop_goes_on_while_another_process_holds_the_write_lock(database: Database, url: str) -> None:
    with sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        task = asyncio.create_task(database.run(add_one))
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert not task.done()
        other.execute("COMMIT")
    other.close()
    await asyncio.wait_for(task, 5)
    assert await value(database, "count") == "1"


@SQLITE
async def test_a_lock_that_is_never_let_go_is_an_outage(
    database: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_WAIT", 0.05)
    other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(exc.OperationalError) as raised:
        await database.run(add_one)
    assert is_outage(raised.value)
    other.close()
    await database.run(add_one)
    assert await value(database, "count") == "1"


@SQLITE
async def test_a_full_disk_is_an_outage_that_leaves_nothing_behind(database: Database) -> None:
    def fill(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
        add_one(connection)
        set_meta(connection, "big", "x" * 1_000_000)

    with pytest.raises(exc.OperationalError) as raised:
        await database.run(fill)
    assert is_outage(raised.value)
    await database.run(add_one)
    assert await value(database, "count") == "1"
    assert await value(database, "big") is None


@SQLITE
async def test_a_file_that_is_no_database_is_an_outage(url: str) -> None:
    Path(url.removeprefix("sqlite:///")).write_bytes(b"not a database at all" * 100)  # noqa: ASYNC240  # Nothing runs beside it.
    database = Database.open(url)
    for ask in (database.migrate(), database.run(add_one)):
        with pytest.raises(exc.DatabaseError) as raised:
            await ask
        assert is_outage(raised.value)
    await database.close()


@SQLITE
async def test_commits_wait_for_the_disk(database: Database) -> None:
    def pragma(name: str, connection: Connection) -> object:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()

    assert await database.run(partial(pragma, "journal_mode")) == "wal"
    assert await database.run(partial(pragma, "synchronous")) == 2


# --- PostgreSQL ---------------------------------------------------------------------------------------------------------


@POSTGRESQL
async def test_a_lost_connection_is_an_outage_and_the_next_run_has_a_new_one(database: Database) -> None:
    def lost(connection: Connection) -> None:
        add_one(connection)
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with pytest.raises(exc.DBAPIError) as raised:
        await database.run(lost)
    assert is_outage(raised.value)
    await database.run(add_one)
    assert await value(database, "count") == "1"


@POSTGRESQL
@pytest.mark.parametrize(
    "statements, outage",
    [
        (("SET LOCAL statement_timeout = 20", "SELECT pg_sleep(5)"), True),
        (("SET TRANSACTION READ ONLY", "DELETE FROM relay"), True),
        (("SELECT 1 / 0",), False),
        (("SELECT nothing FROM nowhere",), False),
    ],
)
async def test_what_postgresql_says_is_an_outage_or_a_bug(
    database: Database, statements: tuple[str, ...], outage: bool
) -> None:
    def work(connection: Connection) -> None:
        for statement in statements:
            connection.execute(text(statement))

    with pytest.raises(exc.DBAPIError) as raised:
        await database.run(work)
    assert is_outage(raised.value) is outage


@POSTGRESQL
async def test_a_lock_that_another_replica_never_lets_go_is_an_outage(database: Database) -> None:
    held, go_on = threading.Event(), threading.Event()

    def hold(connection: Connection) -> None:
        get_meta(connection, "count")  # From the first question on.
        held.set()
        go_on.wait(10)

    def late(connection: Connection) -> None:
        connection.execute(text("SET LOCAL lock_timeout = 20"))
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({engine._ADVISORY_LOCK})")

    task = asyncio.create_task(database.run(hold, exclusive=True))
    assert await asyncio.to_thread(held.wait, 10)
    await database.run(add_one)
    with pytest.raises(exc.OperationalError) as raised:
        await database.run(late)
    assert is_outage(raised.value)
    go_on.set()
    await task


@POSTGRESQL
async def test_what_was_told_together_with_a_failure_can_be_told_again(database: Database) -> None:
    writes = engine.Rows(tables.relay)

    def told(connection: Connection, value: str | None) -> None:
        engine.write_all(connection, (writes, [("count", value)]), (writes, [("other", value)]))

    for _ in range(8):
        with pytest.raises(exc.IntegrityError):
            await database.run(partial(told, value=None), exclusive=True)
        assert await value(database, "count") is None
    await database.run(partial(told, value="1"), exclusive=True)
    assert await value(database, "count") == "1"


@POSTGRESQL
async def test_a_text_does_not_end_at_a_nul(database: Database) -> None:
    await database.run(add_one)
    with pytest.raises(exc.DBAPIError) as raised:
        await value(database, "count\0er")
    assert not is_outage(raised.value)
    assert await value(database, "count") == "1"


@POSTGRESQL
async def test_poison_is_no_outage(database: Database) -> None:
    with pytest.raises(exc.DBAPIError) as raised:
        await database.run(partial(set_meta, key="nul", value="\0"))
    assert not is_outage(raised.value)


async def test_a_server_that_is_not_there_is_an_outage() -> None:
    database = Database.open("postgresql://relay@127.0.0.1:1/relay")
    with pytest.raises(exc.OperationalError) as raised:
        await database.migrate()
    assert is_outage(raised.value)
    await database.close()


def test_an_error_of_ours_is_no_outage() -> None:
    assert not is_outage(ZeroDivisionError())
    assert not is_outage(exc.InvalidRequestError())
    assert is_outage(exc.TimeoutError())


# --- URLs ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong, says",
    [
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("mysql://u:geheim@h/db", "names no file"),
        ("relay.db", "is none"),
        ("", "is none"),
        ("sqlite:////nowhere/at/all/relay.db", "folder of the database file does not exist: /nowhere/at/all"),
    ],
)
def test_a_url_that_cannot_be_used_says_why_in_one_line_and_without_its_password(wrong: str, says: str) -> None:
    with pytest.raises(UnusableDatabaseError, match=says) as raised:
        Database.open(wrong)
    assert "\n" not in str(raised.value)
    assert "geheim" not in str(raised.value)


async def test_a_relative_path_starts_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    database = Database.open("sqlite:///relay.db", serving=True)
    await database.migrate()
    await database.close()
    assert (tmp_path / "relay.db").exists()
    assert database.dialect == "sqlite"


def test_postgresql_without_its_driver_names_the_extra() -> None:
    code = "import sys; sys.modules['psycopg'] = None; from relay.storage.engine import Database; Database.open('postgresql://h/d')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "UnusableDatabaseError: PostgreSQL needs the extra: pip install 'flux-relay[postgres]'" in done.stderr


async def test_an_error_is_described_without_the_values_that_the_database_quotes(database: Database) -> None:
    def broken(connection: Connection) -> None:
        connection.execute(text("INSERT INTO relay (key, value) VALUES (:key, NULL)"), {"key": "a secret"})

    with pytest.raises(exc.IntegrityError) as raised:
        await database.run(broken)
    code = "SQLITE_CONSTRAINT_NOTNULL" if database.dialect == "sqlite" else "23502"
    assert describe(raised.value) == f"IntegrityError {code}"
    assert describe(exc.TimeoutError()) == "TimeoutError"
