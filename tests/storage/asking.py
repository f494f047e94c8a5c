"""What a database is asked, as its driver hears it: the hot statements go past SQLAlchemy."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import psycopg
from psycopg.abc import Params
from sqlalchemy import Connection

Asked = list[tuple[str, Any]]
"""Statements with their values; SQLite tells them as one text, and a write of many rows once for each."""


@contextmanager
def heard(connection: Connection) -> Iterator[Asked]:
    """Every statement that is sent over `connection` meanwhile."""
    asked: Asked = []
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        driver.set_trace_callback(lambda statement: asked.append((statement, ())))
        yield asked
        driver.set_trace_callback(None)
    else:
        driver.cursor_factory = _noting(asked)
        yield asked
        driver.cursor_factory = psycopg.Cursor


def count(asked: Asked) -> int:
    """How many statements they are: SQLite tells of each row that one writes."""
    reads = [statement for statement, _ in asked if statement.startswith("SELECT")]
    writes = {statement[:24] for statement, _ in asked if not statement.startswith("SELECT")}
    return len(reads) + len(writes)


def _noting(asked: Asked) -> type[psycopg.Cursor[Any]]:
    """PostgreSQL's cursor, which notes what it is asked."""

    class Noting(psycopg.Cursor[Any]):
        def execute(
            self,
            query: Any,  # noqa: ANN401  # psycopg's overloads are more than mypy tries.
            params: Params | None = None,
            **options: bool | None,
        ) -> Self:
            asked.append((str(query), params))
            return super().execute(query, params, **options)

    return Noting
