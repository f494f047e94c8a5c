"""What the relay remembers of itself, by name: the last good configuration, first sights, ids of status messages."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Text, bindparam, delete, select

from relay.storage.engine import Query, Rows
from relay.storage.tables import relay

_rows: Final = Rows(relay)
_VALUE: Final = Query(select(relay.c.value).where(relay.c.key == bindparam("key", type_=Text())))
FIRST: Final = "first:"
"""Before a source's name: when it was first heard."""
ARRIVED: Final = "arrived:"
"""Before a Channel's name: when what arrived in it made its sound."""


def get_meta(connection: Connection, key: str) -> str | None:
    """None where nothing was remembered."""
    found = _VALUE.ask(connection, key=key)
    return found[0][0] if found else None


def set_meta(connection: Connection, key: str, value: str | None) -> None:
    """None forgets it."""
    if value is None:
        connection.execute(delete(relay).where(relay.c.key == key))
    else:
        _rows.write(connection, [(key, value)])
