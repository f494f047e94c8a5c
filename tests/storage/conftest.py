"""Both databases, real ones: every test that asks for `database` runs on SQLite and on PostgreSQL, each time on an empty one."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from relay.storage.engine import Database
from tests.postgresql import Server, server

BOTH = [pytest.param("sqlite"), pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A running PostgreSQL, gone after the session."""
    with server() as running:
        yield running


@pytest.fixture(params=BOTH)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind, without a schema."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield f"sqlite:///{tmp_path}/relay.db"
        else:
            running: Server = request.getfixturevalue("postgresql")
            yield stack.enter_context(running.database())


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """An empty database of each kind, with its schema."""
    opened = Database.open(url)
    await opened.migrate()
    yield opened
    await opened.close()
