"""The migrations make what `tables.py` says, and every question of the request path is answered by an index."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

from relay.core.card import Form
from relay.core.event import Source
from relay.core.incident import Reason
from relay.core.known import Entry, Known, Wanted
from relay.core.posting import Placement
from relay.core.signal import State
from relay.storage import delivery, ledger, lists, migrations, quiet
from relay.storage.engine import SCHEMA, Database, UnusableDatabaseError
from relay.storage.prune import prune
from relay.storage.tables import metadata
from tests.conftest import ROOT
from tests.storage import samples
from tests.storage.asking import heard
from tests.storage.samples import NOW

# --- migrations ---------------------------------------------------------------------------------------------------------


def sqlite_schema(connection: Connection) -> set[str]:
    rows = connection.execute(text("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'alembic%'"))
    return {" ".join(sql.split()).replace('"', "") for (sql,) in rows}


def postgresql_schema(schema: str, connection: Connection) -> set[str]:
    indexes = connection.execute(
        text("SELECT indexdef FROM pg_indexes WHERE schemaname = :s AND tablename NOT LIKE 'alembic%'"), {"s": schema}
    )
    columns = connection.execute(
        text(
            "SELECT table_name, column_name, ordinal_position, data_type, is_nullable, column_default"
            " FROM information_schema.columns WHERE table_schema = :s AND table_name NOT LIKE 'alembic%'"
        ),
        {"s": schema},
    )
    return {str(tuple(row)).replace(f"{schema}.", "") for row in (*indexes, *columns)}


@pytest.mark.parametrize("by", [migrations.make, migrations.climb])
async def test_a_new_database_and_the_migrations_make_what_the_tables_say(
    url: str, by: Callable[[Connection], None]
) -> None:
    database = Database.open(url)
    await database.run(by)
    await _compare(database)
    await database.close()


async def _compare(database: Database) -> None:
    assert await database.version() == SCHEMA
    assert await database.read(lambda c: compare_metadata(MigrationContext.configure(c), metadata)) == []
    if database.dialect == "sqlite":
        with create_engine("sqlite://").connect() as made:
            metadata.create_all(made)
            assert await database.read(sqlite_schema) == sqlite_schema(made)
        made.engine.dispose()
    else:

        def make_again(connection: Connection) -> None:
            connection.execute(text("CREATE SCHEMA again"))
            metadata.create_all(connection.execution_options(schema_translate_map={None: "again"}))

        await database.run(make_again)
        made_schema = await database.read(partial(postgresql_schema, "again"))
        assert await database.read(partial(postgresql_schema, "public")) == made_schema
        assert len(made_schema) > 150


def test_the_schema_that_the_code_knows_is_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations.FOLDER))
    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA]


async def test_a_database_is_migrated_once(url: str) -> None:
    database = Database.open(url)
    assert await database.migrate()
    assert not await database.migrate()
    await database.close()


async def test_a_database_of_a_newer_relay_is_refused(database: Database) -> None:
    await database.run(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(UnusableDatabaseError, match="newer relay \\(schema 9999"):
        await database.migrate()


@pytest.mark.parametrize("is_new", [True, False])
async def test_alembic_is_only_imported_where_there_is_a_revision_to_climb_from(url: str, is_new: bool) -> None:
    if not is_new:
        made = Database.open(url)
        await made.migrate()
        await made.close()
    code = (
        "import asyncio, sys\n"
        "from relay.storage.engine import Database\n"
        "from relay.storage import delivery, ledger, lists, meta, prune, rejects\n"
        "async def main():\n"
        "    database = Database.open(sys.argv[1])\n"
        "    assert await database.migrate() == (sys.argv[2] == 'True')\n"
        "    await database.close()\n"
        "asyncio.run(main())\n"
        "assert 'alembic' not in sys.modules\n"
    )
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code, url, str(is_new)], cwd=ROOT, check=True)


# --- indexes ------------------------------------------------------------------------------------------------------------


def fill(connection: Connection) -> None:
    """Three thousand things of the past, and a few that wait."""
    known = Known()
    for number in range(3000):
        name, waits = f"{number:04}", number % 100 == 0
        known.put_signal(
            samples.signal(
                name,
                semantic_key=f"semantic-{number}",
                incident=name,
                state=State.HELD if waits else State.RESOLVED,
                held_until=NOW + number if waits else None,
            )
        )
        known.put_incident(
            samples.incident(name, closed_at=None if waits else NOW, expires_at=NOW + number if waits else None)
        )
        known.put_posting(
            samples.posting(name, due_at=NOW if waits else None, parked="no" if number % 500 == 0 else "", message=1)
        )
        known.claim(f"key-{number}", name)
        known.remember(f"digest-{number}", NOW)
        known.journal.append(Entry(NOW, Reason.OPENED, Source.FLUX, name, name))
    ledger.save(connection, known)
    for number in range(300):
        message = delivery.new_message(connection, channel="ops", webhook="1", created_at=NOW)
        standing = [Placement(f"{10 * number + i:04}", "ops", Form.LINE, i) for i in range(10)]
        delivery.place(connection, message.id, standing)
        delivery.begin_attempt(connection, webhook="1", route="post", message_id=message.id, at=NOW)
    connection.execute(text("ANALYZE"))


def plan(connection: Connection, ask: Callable[[Connection], Any]) -> str:
    """How the database would answer every statement of `ask`."""
    with heard(connection) as asked:
        ask(connection)
    explain = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
    return "\n".join(
        str(tuple(row))
        for statement, values in asked
        for row in connection.exec_driver_sql(explain + statement, values)
    )


WANTED = Wanted({"0001"}, {"semantic-7"}, {"key-9"}, {"an object"}, {"digest-3"})
HOT: list[tuple[Callable[[Connection], Any], set[str]]] = [
    (lambda c: ledger.load(c, WANTED), {"signals_semantic"}),
    (lambda c: ledger.held_signals(c, NOW, 10), {"signals_held"}),
    (lambda c: ledger.expired_incidents(c, NOW, 10), {"incidents_expiring"}),
    (ledger.next_deadline, {"signals_held", "incidents_expiring"}),
    (lambda c: delivery.due_postings(c, "ops", NOW, 1, delivery.OPENS), {"postings_due"}),
    (lambda c: delivery.due_of(c, "ops", NOW, 9, delivery.ENDS), {"postings_due"}),
    (lambda c: delivery.oldest_edit(c, "ops", NOW), {"postings_due"}),
    (lambda c: delivery.next_message(c, "ops", NOW), {"messages_due"}),
    (lambda c: delivery.taking(c, "ops", "1"), {"messages_taking"}),
    (lambda c: delivery.last_mention(c, "ops"), {"messages_mentioning"}),
    (lambda c: delivery.pages_not_in(c, "ops", "deploys", 9), {"postings_due"}),
    (lambda c: delivery.due_count(c, "ops", NOW, 100), {"postings_"}),
    (delivery.channels_waiting, {"postings_waiting", "messages_due"}),
    (lambda c: delivery.members(c, "0001"), {"signals_of_incident"}),
    (lambda c: delivery.recent_attempts(c, NOW + 1), {"attempts_at"}),
    (lambda c: lists.counts(c, NOW, 100), {"incidents_open", "postings_", "postings_parked"}),
    (lists.oldest_page, {"postings_"}),  # Either index of what waits: they cost the same.
    (lambda c: lists.open_incidents(c, 10), {"incidents_open"}),
    (lambda c: lists.parked_postings(c, 10), {"postings_parked"}),
    (lambda c: lists.journal_of(c, "0001", 5), {"journal_of_incident"}),
    (quiet.standing, {"quiet_now"}),
    (quiet.next_end, {"quiet_now", "postings_quiet", "incidents_flapping"}),
    (lambda c: quiet.ended(c, NOW, 10), {"postings_quiet"}),
    (lambda c: quiet.calmed(c, NOW, 10), {"incidents_flapping"}),
]


async def test_what_is_old_is_found_by_an_index(database: Database) -> None:
    await database.run(fill)
    how = await database.run(partial(plan, ask=partial(prune, now=NOW, keep=90 * samples.DAY)))
    for index in ("incidents_over", "signals_over", "messages_gone", "attempts_at", "recent_at"):
        assert index in how, how


async def test_every_hot_question_is_answered_by_its_index(database: Database) -> None:
    await database.run(fill)
    for ask, indexes in HOT:
        how = await database.read(partial(plan, ask=ask))
        missing = {index for index in indexes if index not in how}
        assert not missing, how
        whole = [
            line
            for line in how.splitlines()
            if "Seq Scan" in line or ("SCAN" in line and "USING" not in line and "SCAN (subquery" not in line)
        ]
        tables_read_whole = [
            line for line in whole if any(f"{name}'" in line or f"on {name}" in line for name in metadata.tables)
        ]
        assert not tables_read_whole, how
