"""A copy made beside a writer is one of one instant, and takes the database's place."""

import sqlite3
import threading
from pathlib import Path

import pytest

from relay.storage.engine import Database
from relay.tools.backup import backup
from relay.tools.terminal import RefusedError


async def made(folder: Path) -> Path:
    """A relay's own database, closed."""
    file = folder / "relay.db"
    database = Database.open(f"sqlite:///{file}")
    await database.migrate()
    await database.close()
    return file


def env(file: Path) -> dict[str, str]:
    return {"RELAY_DATABASE_URL": f"sqlite:///{file}"}


async def test_a_copy_beside_a_writer_is_of_one_instant(tmp_path: Path) -> None:
    """The writer moves one thing from one table to another: no copy has it twice or not at all."""
    file = await made(tmp_path)
    writer = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
    writer.execute("CREATE TABLE here (x)")
    writer.execute("CREATE TABLE there (x)")
    writer.executemany("INSERT INTO here VALUES (?)", [(number,) for number in range(2000)])
    stop = threading.Event()

    def move() -> None:
        at = 0
        while not stop.is_set():
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("DELETE FROM here WHERE x = ?", (at,))
            writer.execute("INSERT INTO there VALUES (?)", (at,))
            writer.execute("COMMIT")
            at += 1

    moving = threading.Thread(target=move)
    moving.start()
    try:
        for number in range(5):
            to = tmp_path / f"{number}.db"
            assert str(to) in backup(env(file), to)
            copy = sqlite3.connect(to)
            assert copy.execute(
                "SELECT count(*) FROM (SELECT x FROM here UNION ALL SELECT x FROM there)"
            ).fetchone() == (2000,)
            assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            copy.close()
    finally:
        stop.set()
        moving.join()
        writer.close()


async def test_a_relay_goes_on_from_the_copy(tmp_path: Path) -> None:
    file = await made(tmp_path)
    to = tmp_path / "backup.db"
    to.write_text("an older copy")
    backup(env(file), to)
    assert not to.with_name("backup.db.new").exists()
    restored = Database.open(f"sqlite:///{to}", serving=True)
    assert await restored.migrate() is False
    await restored.close()


async def test_what_cannot_be_copied_is_refused_and_the_older_copy_stays(tmp_path: Path) -> None:
    file = await made(tmp_path)
    to = tmp_path / "backup.db"
    to.write_text("an older copy")
    refused: list[tuple[dict[str, str], Path]] = [
        (env(tmp_path / "missing.db"), to),
        ({"RELAY_DATABASE_URL": "postgresql://localhost/relay"}, to),
        ({"RELAY_DATABASE_URL": "nonsense"}, to),
        (env(file), file),
    ]
    for given, where in refused:
        with pytest.raises(RefusedError):
            backup(given, where)
    file.write_bytes(b"no database at all" * 100)
    with pytest.raises(RefusedError, match="cannot be copied"):
        backup(env(file), to)
    assert to.read_text() == "an older copy"
    assert not to.with_name("backup.db.new").exists()
