"""`relay backup` makes one file of one instant beside a relay that runs: whole or not at all, and never half of it under its name."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sqlalchemy import make_url

from relay.config.environment import Environment
from relay.tools.terminal import RefusedError

PATIENCE: Final = 30.0
"""Seconds to wait while somebody else keeps the database locked."""


def backup(variables: Mapping[str, str], to: Path) -> str:
    """Copy the SQLite database of RELAY_DATABASE_URL to the file `to`, over an older copy. Returns what to say.

    Raises RefusedError where there is none to copy, and OSError where it cannot be written.
    """
    database = _database(variables)
    if to.exists() and to.samefile(database):
        raise RefusedError(f"{to} is the database itself")
    made = to.with_name(f"{to.name}.new")
    made.unlink(missing_ok=True)
    try:
        _copy(database, made)
        _keep(made)
        made.replace(to)
        _keep(to.parent)
    except sqlite3.Error as error:
        raise RefusedError(f"{database}: it cannot be copied: {error}") from None
    finally:
        made.unlink(missing_ok=True)
    return f"{to}: {to.stat().st_size / 2**20:.1f} MiB of {database}"


def _database(variables: Mapping[str, str]) -> Path:
    wrong: list[str] = []
    url = make_url(Environment(variables, lambda name, what: wrong.append(f"{name}: {what}")).database_url().reveal())
    if wrong:
        raise RefusedError("\n".join(wrong))
    if url.get_backend_name() != "sqlite" or not url.database:
        raise RefusedError("only an SQLite file is copied: for PostgreSQL there is pg_dump")
    database = Path(url.database)
    if not database.is_file():
        raise RefusedError(f"There is no database yet: no file {database.absolute()}")
    return database


def _copy(database: Path, to: Path) -> None:
    """A consistent copy without gaps; the relay goes on writing meanwhile."""
    connection = sqlite3.connect(database, timeout=PATIENCE, isolation_level=None)
    try:
        connection.execute("VACUUM INTO ?", (str(to),))
    finally:
        connection.close()


def _keep(path: Path) -> None:
    """Until the disk has it: SQLite does not wait for that when it copies."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
