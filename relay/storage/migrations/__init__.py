"""How a schema comes to be: a new database gets today's tables at once, one that is behind climbs revision by revision."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from relay.storage.engine import SCHEMA
from relay.storage.tables import metadata

FOLDER: Final = Path(__file__).parent
_VERSION: Final = (
    "CREATE TABLE alembic_version"
    " (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)
"""As Alembic makes it."""


def upgrade(connection: Connection) -> None:
    """Bring the schema to the newest revision, within the caller's transaction. Alembic is only imported to climb."""
    if inspect(connection).has_table("alembic_version"):
        climb(connection)
    else:
        make(connection)


def make(connection: Connection) -> None:
    """All tables as they are now, in a database that has none of them."""
    metadata.create_all(connection, checkfirst=False)
    connection.execute(text(_VERSION))
    connection.execute(text("INSERT INTO alembic_version (version_num) VALUES (:newest)"), {"newest": SCHEMA})


def climb(connection: Connection) -> None:
    """From whatever revision the database has, or none, to the newest."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
