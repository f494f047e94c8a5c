"""A lease, not a status: who holds it acts alone, by the database's clock; it lapses by itself, and nobody cleans up after `kill -9`.

Call these within an exclusive transaction, so that no two replicas take it at once.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Text, bindparam, select, update

from relay.storage.engine import Query, Rows, database_clock
from relay.storage.tables import lease

SENDER: Final = "sender"
"""Who holds it reconciles every Channel."""
SECONDS: Final = 15.0
"""For which it is held, unless it is renewed; no request to Discord takes longer."""

_rows: Final = Rows(lease)
_HELD: Final = Query(select(lease.c.held_by, lease.c.until).where(lease.c.name == bindparam("name", type_=Text())))
_NOW: Final = Query(select(database_clock()))


def take(connection: Connection, name: str, holder: str, *, force: bool = False) -> bool:
    """Hold `name` from now on, or go on holding it. False while somebody else does. `force`: nobody else can be alive."""
    ((now,),) = _NOW.ask(connection)
    for held_by, until in _HELD.ask(connection, name=name):
        if held_by != holder and until > now and not force:
            return False
    _rows.write(connection, [(name, holder, now + SECONDS)])
    return True


def holds(connection: Connection, name: str, holder: str) -> bool:
    """Whether nobody took it since: what `holder` learnt while it held it may be written down."""
    return any(held_by == holder for held_by, _ in _HELD.ask(connection, name=name))


def release(connection: Connection, name: str, holder: str) -> None:
    """Let go of it, so that another need not wait."""
    connection.execute(update(lease).where(lease.c.name == name, lease.c.held_by == holder).values(until=0.0))
