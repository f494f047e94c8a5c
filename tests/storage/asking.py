"""What a database is asked, as its driver hears it: the hot statements go past SQLAlchemy."""

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self
from unittest.mock import patch

import psycopg
from psycopg.abc import Params
from sqlalchemy import Connection

from relay.storage import engine

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
        engine._told(connection, ())  # What was said before: the transaction's beginning.
        driver.cursor_factory = _noting(asked)
        with patch.object(engine, "_exchange", _noted(asked)):
            yield asked
            engine._told(connection, ())  # What was written waits for what comes next.
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


def _noted(asked: Asked) -> Any:  # noqa: ANN401  # It is called as what it stands before.
    """What is told past the cursor, noted as the cursor would take it."""
    exchange = engine._exchange

    def noted(
        driver: Any,  # noqa: ANN401  # As the engine has it.
        prepared: dict[str, bytes],
        statements: Sequence[tuple[str, Sequence[Any]]],
    ) -> Generator[Any, Any, Any]:
        for statement, values in statements:
            named = {f"v{i}": v.decode() if isinstance(v, bytes) else v for i, v in enumerate(values, 1)}
            asked.append((re.sub(r"\$(\d+)", r"%(v\1)s", statement), named))
        return exchange(driver, prepared, statements)

    return noted
