"""What the relay remembers of itself, by name: the last good configuration, first sights, ids of status messages."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, delete, select

from relay.storage.engine import Rows
from relay.storage.tables import relay

_rows: Final = Rows(relay)


def get_meta(connection: Connection, key: str) -> str | None:
    """None where nothing was remembered."""
    return connection.execute(select(relay.c.value).where(relay.c.key == key)).scalar_one_or_none()


def set_meta(connection: Connection, key: str, value: str | None) -> None:
    """None forgets it."""
    if value is None:
        connection.execute(delete(relay).where(relay.c.key == key))
    else:
        _rows.write(connection, [(key, value)])
