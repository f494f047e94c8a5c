"""Payloads that could not be read, as they came: the newest 1,000, or 50 MiB of them; the oldest make room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select

from relay.core.event import Instant
from relay.storage.tables import rejects

MAX_ROWS: Final = 1000
MAX_BYTES: Final = 50 * 1024 * 1024
_BITE: Final = 100
"""Rows dropped by one call at most: a bound that was passed by more is reached by the calls that follow."""


@dataclass(frozen=True, slots=True)
class Reject:
    """One payload, without its body. `why` and `cure` are ours and hold nothing of it."""

    id: int
    at: Instant
    source: str
    sender: str
    why: str
    cure: str
    size: int
    """Bytes."""


_WITHOUT_BODY: Final = [column for column in rejects.columns if column is not rejects.c.body]


def add_reject(
    connection: Connection, *, at: Instant, source: str, sender: str, why: str, cure: str, body: bytes
) -> int:
    """Keep one, and drop the oldest beyond the bounds. Returns its id, which is never given again."""
    values = {
        "at": at,
        "source": str(source),
        "sender": sender,
        "why": why,
        "cure": cure,
        "size": len(body),
        "body": body,
    }
    added: int = connection.execute(insert(rejects).returning(rejects.c.id), values).scalar_one()
    trim_rejects(connection)
    return added


def trim_rejects(connection: Connection) -> int:
    """Drop the oldest beyond the bounds, at most 100. Returns how many."""
    newest = rejects.c.id.desc()
    sums = select(
        rejects.c.id,
        func.row_number().over(order_by=newest).label("row"),
        func.sum(rejects.c.size).over(order_by=newest).label("bytes"),
    ).subquery()
    beyond = (sums.c.row > MAX_ROWS) | ((sums.c.bytes > MAX_BYTES) & (sums.c.row > 1))
    oldest = select(sums.c.id).where(beyond).order_by(sums.c.id).limit(_BITE)
    return connection.execute(delete(rejects).where(rejects.c.id.in_(oldest))).rowcount


def list_rejects(connection: Connection, limit: int = MAX_ROWS) -> list[Reject]:
    """Newest first."""
    statement = select(*_WITHOUT_BODY).order_by(rejects.c.id.desc()).limit(limit)
    return [Reject(*row) for row in connection.execute(statement)]


def get_reject(connection: Connection, reject_id: int) -> tuple[Reject, bytes] | None:
    """One with its body."""
    row = connection.execute(select(*_WITHOUT_BODY, rejects.c.body).where(rejects.c.id == reject_id)).first()
    return (Reject(*row[:-1]), bytes(row[-1])) if row is not None else None


def delete_reject(connection: Connection, reject_id: int) -> bool:
    """Whether it was there."""
    return connection.execute(delete(rejects).where(rejects.c.id == reject_id)).rowcount > 0
