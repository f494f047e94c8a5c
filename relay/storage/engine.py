"""The only file that knows which database it is: one transaction is one promise, kept when `run` returns, and never left open.

SQLite: statements run on the event loop, only COMMIT, which waits for the disk, in a thread. PostgreSQL: all in threads.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import compress, count
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from pydantic_core import to_json
from sqlalchemy import (
    URL,
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Double,
    Engine,
    NullPool,
    RootTransaction,
    Select,
    Table,
    Text,
    bindparam,
    create_engine,
    event,
    exc,
    make_url,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

SCHEMA: Final = "0001"
"""The newest revision in `migrations/versions`."""

T = TypeVar("T")
Work = Callable[[Connection], T]
"""Synchronous, over one Connection, within one transaction that it neither begins nor ends."""

_WAIT: Final = 10.0
"""Seconds to wait for another's lock before it is an outage."""
_ADVISORY_LOCK: Final = 0x72656C6179  # "relay": every replica's writer takes this one.


class UnusableDatabaseError(Exception):
    """The database cannot be used as it is configured. The text is for the operator: one line, without a password."""


class Database(ABC):
    """One database. Cancelling a `run` or `read` waits for what is under way, so that none leaves a transaction open."""

    dialect: str
    alone = False
    """Whether nobody else can serve from it: whoever held something in it before is no more."""

    @staticmethod
    def open(url: str, *, serving: bool = False, making: bool = True) -> Database:
        """The database at `sqlite:///relative`, `sqlite:////absolute` or `postgresql://…`; PostgreSQL is not yet connected to.

        `serving` keeps a second relay out of an SQLite file until `close`; commands do without. With `making=False` a file that
        is not there is not made. Raises UnusableDatabaseError.
        """
        try:
            parsed = make_url(url)
        except exc.ArgumentError:
            raise UnusableDatabaseError(f"The database URL is none. {_FORMS}") from None
        match parsed.get_backend_name():
            case "sqlite" if parsed.database and parsed.database != ":memory:":
                if not making and not Path(parsed.database).is_file():
                    raise UnusableDatabaseError(f"There is no database yet: no file {Path(parsed.database).absolute()}")
                return _SQLite(Path(parsed.database), serving=serving)
            case "postgresql" | "postgres":
                return _PostgreSQL(parsed)
            case _:
                raise UnusableDatabaseError(f"The database URL names no file and no PostgreSQL. {_FORMS}")

    @abstractmethod
    async def run(self, work: Work[T], *, exclusive: bool = False) -> T:
        """What `work` returns, once its transaction is committed for good. If it raises, or the commit does, nothing changed.

        `exclusive` keeps every other exclusive work of every replica waiting, from its first question on. A cancelled run may have
        been committed.
        """

    @abstractmethod
    async def read(self, work: Work[T]) -> T:
        """What `work` returns of one consistent view; it changes nothing and holds up no `run`."""

    @abstractmethod
    async def glance(self, work: Work[T]) -> T:
        """As `read`, for what takes milliseconds and is asked again and again: SQLite does it at once, on the loop.

        A thread would want the interpreter for most of that time too, and the two would take it from each other.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let go of every connection, thread and lock. The database is of no use after it."""

    async def migrate(self) -> bool:
        """Bring the schema up to date; whether there was anything to do. Raises UnusableDatabaseError where it is newer than this relay."""
        if await self.version() == SCHEMA:
            return False
        from relay.storage.migrations import upgrade

        await self.run(upgrade, exclusive=True)
        return True

    async def version(self) -> str:
        """The schema's revision, empty before the first `migrate`. Raises UnusableDatabaseError where it is newer than this relay."""
        version = await self.read(_schema_version)
        if version > SCHEMA:
            raise UnusableDatabaseError(
                f"The database was written by a newer relay (schema {version}; this one knows {SCHEMA})."
            )
        return version


_FORMS: Final = (
    "Known forms: sqlite:///relay.db (relative), sqlite:////data/relay.db (absolute), postgresql://user@host/name"
)


def _schema_version(connection: Connection) -> str:
    """The schema's revision; empty where there is none yet."""
    try:
        return str(connection.scalar(text("SELECT version_num FROM alembic_version")) or "")
    except exc.DBAPIError as error:
        if is_outage(error):
            raise
        return ""


async def _to_the_end(executor: Executor, work: Callable[[], T]) -> T:
    """Run `work` in a thread. A cancellation takes effect when the thread is done, not before."""
    future = asyncio.get_running_loop().run_in_executor(executor, work)
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        future.exception()
        raise cancelled
    return future.result()


# --- SQLite -------------------------------------------------------------------------------------------------------------


class _SQLite(Database):
    """One connection that writes, on the loop, under one lock; one that reads, in a thread of its own, and one for glances."""

    dialect = "sqlite"

    def __init__(self, path: Path, *, serving: bool) -> None:
        if not path.absolute().parent.is_dir():
            raise UnusableDatabaseError(f"The folder of the database file does not exist: {path.absolute().parent}")
        self._lock_file = _hold(path.with_name(path.name + ".lock")) if serving else None
        self.alone = serving
        self._engine = _sqlite_engine(path)
        self._writer: Connection | None = None
        self._reader, self._glancer = (_Reader(self._connect, patience) for patience in (5000, 100))
        self._turn = asyncio.Lock()
        self._commits = ThreadPoolExecutor(1, "commit")
        self._reads = ThreadPoolExecutor(1, "read")

    async def run(self, work: Work[T], *, exclusive: bool = False) -> T:  # noqa: ARG002  # A transaction that writes is alone here anyway.
        async with self._turn:
            try:
                transaction = await self._begin()
                result = work(transaction.connection)
                await _to_the_end(self._commits, transaction.commit)
            except Exception as error:
                if is_outage(error):
                    self._forget_writer()
                raise
            finally:
                self._undo()
            return result

    async def _begin(self) -> RootTransaction:
        """Take the one write lock of the file, without blocking the loop while a command holds it."""
        patience, pause = _WAIT, 0.001
        while True:
            try:
                if self._writer is None:
                    self._writer = self._connect("BEGIN IMMEDIATE", "busy_timeout = 0")
                return self._writer.begin()
            except exc.OperationalError as error:
                if _sqlite_code(error) != sqlite3.SQLITE_BUSY or patience <= 0:
                    raise
            await asyncio.sleep(pause)
            patience -= pause
            pause = min(2 * pause, 0.05)

    def _connect(self, begin: str, *pragmas: str) -> Connection:
        connection = self._engine.connect().execution_options(begin=begin)
        for pragma in pragmas:
            _driver(connection).execute(f"PRAGMA {pragma}")
        return connection

    def _undo(self) -> None:
        """Roll back what a failed work or commit left open; nothing is open after a good one."""
        if self._writer is None or not (self._writer.in_transaction() or _driver(self._writer).in_transaction):
            return
        try:
            self._writer.rollback()
            _driver(self._writer).rollback()
        except (exc.SQLAlchemyError, sqlite3.Error):
            self._forget_writer()

    def _forget_writer(self) -> None:
        """Open the file anew next time: what was wrong with it may be over then."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(exc.SQLAlchemyError, sqlite3.Error):
                writer.close()

    async def read(self, work: Work[T]) -> T:
        return await _to_the_end(self._reads, partial(self._reader.read, work))

    async def glance(self, work: Work[T]) -> T:
        return self._glancer.read(work)

    async def close(self) -> None:
        async with self._turn:
            await _to_the_end(self._reads, self._reader.forget)
            self._glancer.forget()
            await _to_the_end(self._commits, self._forget_writer)
            self._commits.shutdown()
            self._reads.shutdown()
            self._engine.dispose()
            if self._lock_file is not None:
                os.close(self._lock_file)
                self._lock_file = None


class _Reader:
    """A connection that only reads, opened when it is first needed; for one thread at a time."""

    def __init__(self, connect: Callable[..., Connection], patience: int) -> None:
        self._connect = connect
        self._patience = f"busy_timeout = {patience}"  # Milliseconds.
        self._connection: Connection | None = None

    def read(self, work: Work[T]) -> T:
        try:
            if self._connection is None:
                self._connection = self._connect("BEGIN", "query_only = ON", self._patience)
            with self._connection.begin():
                return work(self._connection)
        except Exception as error:
            if is_outage(error):
                self.forget()
            raise

    def forget(self) -> None:
        """Open the file anew next time."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(exc.SQLAlchemyError, sqlite3.Error):
                connection.close()


def _hold(path: Path) -> int:
    """The lock file, held until it is closed; the kernel lets go of it when the process dies, however it dies."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise UnusableDatabaseError(f"Another relay serves from this database: it holds {path}") from None
    return handle


def _sqlite_engine(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"check_same_thread": False, "isolation_level": None, "timeout": 5.0, "cached_statements": 256},
    )

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: object) -> None:
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "temp_store = MEMORY",
            "cache_size = -2048",
            "wal_autocheckpoint = 16000",
            "journal_size_limit = 67108864",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN IMMEDIATE"))

    return engine


def _driver(connection: Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", connection.connection.driver_connection)


# --- PostgreSQL ---------------------------------------------------------------------------------------------------------


class _PostgreSQL(Database):
    """A few connections, each used in a thread. What two replicas must not do at once takes one advisory lock."""

    dialect = "postgresql"

    def __init__(self, url: URL) -> None:
        try:
            self._engine = create_engine(
                url.set(drivername="postgresql+psycopg"),
                pool_size=_THREADS,
                max_overflow=0,
                pool_timeout=_WAIT,
                hide_parameters=True,
                # What is asked often is prepared by `_told`; the driver would throw it away with its own at each rollback.
                connect_args={
                    "connect_timeout": 5,
                    "application_name": "relay",
                    "client_encoding": "utf8",
                    "prepare_threshold": None,
                },
            )
        except ModuleNotFoundError:
            raise UnusableDatabaseError("PostgreSQL needs the extra: pip install 'flux-relay[postgres]'") from None
        self._threads = ThreadPoolExecutor(_THREADS, "postgresql")

        @event.listens_for(self._engine, "connect")
        def configure(connection: Any, _: object) -> None:  # noqa: ANN401  # psycopg is an extra.
            connection.execute(f"SET lock_timeout = '{_WAIT:.0f}s'")
            connection.execute("SET statement_timeout = '30s'")
            connection.execute("SET idle_in_transaction_session_timeout = '60s'")
            # Every hot query has its index; before the first ANALYZE the planner would read tables whole (measured: ten times slower).
            connection.execute("SET enable_seqscan = off")
            connection.commit()

        @event.listens_for(self._engine, "before_cursor_execute")
        def catch_up(connection: Connection, *_: object) -> None:
            """SQLAlchemy's own statements come after those that wait."""
            _told(connection, ())

    async def run(self, work: Work[T], *, exclusive: bool = False) -> T:
        opening = [_BEGIN, _ALONE] if exclusive else [_BEGIN]
        return await _to_the_end(self._threads, partial(self._transact, work, opening))

    def _transact(self, work: Work[T], opening: Iterable[_Statement]) -> T:
        """Its beginning goes out with the first question of `work`, and what it wrote last with its end: each turn takes its time."""
        with self._engine.begin() as connection:
            waiting = _waiting(connection)
            waiting += opening
            try:
                result = work(connection)
                _told(connection, [_COMMIT])
            finally:
                waiting.clear()
            return result

    async def read(self, work: Work[T]) -> T:
        return await _to_the_end(self._threads, partial(self._transact, work, [_BEGIN_READING]))

    async def glance(self, work: Work[T]) -> T:
        return await self.read(work)

    async def close(self) -> None:
        await _to_the_end(self._threads, self._engine.dispose)
        self._threads.shutdown()


_THREADS: Final = 4
_Statement = tuple[str, Sequence[object]]
"""With its values."""
_BEGIN: Final[_Statement] = ("BEGIN", ())
_BEGIN_READING: Final[_Statement] = ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", ())
_COMMIT: Final[_Statement] = ("COMMIT", ())
_ALONE: Final[_Statement] = (f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})", ())


# --- what went wrong ----------------------------------------------------------------------------------------------------

_SQLITE_OUTAGES: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)
_POSTGRESQL_OUTAGES: Final = (
    "08",  # The connection.
    "25006",  # Read-only: a replica, or a primary that is no more.
    "28",  # Its password was changed.
    "3D",  # The database is not there.
    "40",  # A deadlock, or a serialisation: the same again may do.
    "53",  # Disk, memory or connections are used up.
    "55P03",  # A lock was not to be had in time.
    "57",  # It is stopping, starting, or somebody cancelled us.
    "58",  # Its operating system.
)


def is_outage(error: BaseException) -> bool:
    """Whether the database is away, locked, full or read-only: the same work may succeed later. Else it is a bug or poison."""
    if isinstance(error, exc.TimeoutError):
        return True
    if not isinstance(error, exc.DBAPIError):
        return False
    if isinstance(error.orig, sqlite3.Error):
        return _sqlite_code(error) in _SQLITE_OUTAGES
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return error.connection_invalidated or isinstance(error, exc.OperationalError)
    return error.connection_invalidated or str(state).startswith(_POSTGRESQL_OUTAGES)


def describe(error: exc.SQLAlchemyError) -> str:
    """What to log of it: kind and code. The database's own words may quote a row, and a row quotes a sender."""
    origin = getattr(error, "orig", None)
    code = getattr(origin, "sqlite_errorname", None) or getattr(origin, "sqlstate", None)
    return f"{type(error).__name__} {code}" if code else type(error).__name__


def _sqlite_code(error: exc.DBAPIError) -> int:
    """SQLite's primary result code; the extended ones say more in the higher bits."""
    return int(getattr(error.orig, "sqlite_errorcode", 0)) & 0xFF


# --- statements that each database says in its own way ------------------------------------------------------------------


class _Texts(TypeDecorator[Iterable[str]]):
    """Any number of texts as one bound value, in JSON: SQLite has no arrays, and for PostgreSQL's the driver would quote each text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Iterable[str] | None, dialect: Dialect) -> str:  # noqa: ARG002  # SQLAlchemy's own signature.
        return _json(list(value or ())).decode()


class _InList(FunctionElement[bool]):
    """Without SQLAlchemy's Boolean: it would be compared with 1 on SQLite, and no index is found through that."""

    name = "in_list"
    inherit_cache = True


def in_list(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Whether `column` is one of the texts bound as `name`: the statement is the same for one and for thousands."""
    bound: BindParameter[Iterable[str]] = bindparam(name, type_=_Texts())
    return _InList(column, bound)


@compiles(_InList, "sqlite")
def _in_json(element: _InList, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401  # SQLAlchemy's own signature.
    column, bound = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({bound}))"  # noqa: S608  # Made by SQLAlchemy of our own tables.


@compiles(_InList, "postgresql")
def _in_array(element: _InList, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401  # As above.
    column, bound = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"{column} = ANY (ARRAY(SELECT jsonb_array_elements_text({bound}::jsonb)))"


class _Clock(FunctionElement[float]):
    """The database's own clock, in seconds since the epoch."""

    type = Double()
    inherit_cache = True


def database_clock() -> ColumnElement[float]:
    """Now, as the database's machine has it: the one clock that all replicas share. Seconds since the epoch."""
    return _Clock()


@compiles(_Clock, "sqlite")
def _clock_of_sqlite(*_: Any, **__: Any) -> str:  # noqa: ANN401  # SQLAlchemy's own signature.
    return "(julianday('now') - 2440587.5) * 86400.0"


@compiles(_Clock, "postgresql")
def _clock_of_postgresql(*_: Any, **__: Any) -> str:  # noqa: ANN401  # As above.
    return "extract(epoch FROM clock_timestamp())::double precision"


Row = Sequence[Any]
"""One value for each column of a table, in its order; `Rows` leaves out a serial number. SQLite gives a flag as 0 or 1."""


def find_all(
    connection: Connection, *asked: tuple[Lookup, Collection[str]] | tuple[Query, bool]
) -> list[Sequence[Row]]:
    """The rows that each look-up finds by its keys, and each query that is wanted; all are asked at once, and none without keys."""
    told = [
        (said.statement(connection.dialect), () if isinstance(keys, bool) else (_json(keys),))
        for said, keys in asked
        if keys
    ]
    if connection.dialect.name == "postgresql":
        found = iter(_told(connection, told))
    else:
        found = iter(
            [_executed(connection, statement, [[*map(bytes.decode, keys)]]).fetchall() for statement, keys in told]
        )
    return [next(found) if keys else () for _, keys in asked]


def write_all(connection: Connection, *given: tuple[Writes, Sequence[Row]]) -> None:
    """All writes with their rows, in this order, and at once; PostgreSQL hears of them with what comes next."""
    told = [(writes.statement(connection.dialect), rows) for writes, rows in given if rows]
    if connection.dialect.name == "postgresql":
        _waiting(connection).extend((statement, (_json(rows),)) for statement, rows in told)
    else:
        for statement, rows in told:
            _executed(connection, statement, rows)


def _json(values: Collection[object]) -> bytes:
    """As both databases read it; infinity is the word that PostgreSQL takes for it."""
    return to_json(list(values), inf_nan_mode="strings")


def _executed(connection: Connection, statement: str, rows: Sequence[Row]) -> sqlite3.Cursor:
    """SQLite's own answer, without what SQLAlchemy adds to each statement: five times the look-up itself. Raises as SQLAlchemy does."""
    driver = _driver(connection)
    try:
        return driver.execute(statement, rows[0]) if len(rows) == 1 else driver.executemany(statement, rows)
    except sqlite3.Error as error:
        raise _wrapped(connection, error, sqlite3.Error) from error


def _waiting(connection: Connection) -> list[_Statement]:
    """What PostgreSQL is to be told before anything else in this transaction, and has no answer that matters."""
    return cast("list[_Statement]", connection.info.setdefault("waiting", []))


def _told(connection: Connection, statements: Sequence[_Statement]) -> list[Sequence[Row]]:
    """PostgreSQL's own rows for each of these statements with its values, in one round trip. Raises as SQLAlchemy does."""
    waiting = _waiting(connection)
    whole, count = [*waiting, *statements], len(waiting)
    waiting.clear()
    if not whole:
        return []
    driver: Any = connection.connection.driver_connection  # psycopg is an extra.
    errors = cast("Any", connection.dialect.loaded_dbapi).Error
    prepared = cast("dict[str, bytes]", connection.info.setdefault("prepared", {}))
    try:
        return cast("list[Sequence[Row]]", driver.wait(_exchange(driver, prepared, whole)))[count:]
    except errors as error:
        if driver.closed:
            connection.invalidate(error)
        raise _wrapped(connection, error, errors) from error


def _exchange(
    driver: Any,  # noqa: ANN401  # As above.
    prepared: dict[str, bytes],
    statements: Sequence[_Statement],
) -> Generator[Any, Any, list[Sequence[Row]]]:
    """All statements out at once, then all answers in, whatever failed. Once prepared, a statement is told by its name.

    The driver's own pipeline looks at the socket after each statement, where it may lose the interpreter to the loop: twice the CPU.
    """
    from psycopg import errors, generators, pq
    from psycopg.adapt import Transformer

    told = [(statement, *_spelled(values)) for statement, values in statements]
    fresh: dict[str, bytes] = {}
    server, transformer = driver.pgconn, Transformer(driver)
    server.enter_pipeline_mode()
    asked: list[bool] = []  # Of each answer, whether it is one to a question.
    for statement, values, formats in told:
        name = prepared.get(statement) or fresh.get(statement)
        if (
            name is None
        ):  # Not before what precedes it: a transaction's beginning wants to be the first that is looked at.
            name = fresh[statement] = b"relay_%d" % next(_NAMES)
            server.send_prepare(name, statement.encode())
            asked.append(False)
        server.send_query_prepared(name, values, formats, result_format=pq.Format.BINARY)
        asked.append(True)
    server.pipeline_sync()
    yield from generators.send(server)
    results = []
    for _ in asked:
        results += yield from generators.fetch_many(server)
    yield from generators.fetch_many(server)
    server.exit_pipeline_mode()
    for result in results:
        if result.status == pq.ExecStatus.FATAL_ERROR:
            raise errors.error_from_result(result)
    prepared.update(fresh)
    rows: list[Sequence[Row]] = []
    for result in compress(results, asked):
        transformer.set_pgresult(result, format=pq.Format.BINARY)
        rows.append(transformer.load_rows(0, result.ntuples, tuple))
    return rows


_NAMES: Final = count()
"""Never the same again: what was prepared in an exchange that failed is forgotten here, but not there."""


def _spelled(values: Sequence[object]) -> tuple[list[bytes], list[int]]:
    """Values for the wire, and their formats: JSON and numbers are text, and texts are binary, which has no end at a NUL."""
    return (
        [value if isinstance(value, bytes) else str(value).encode() for value in values],
        [int(isinstance(value, str)) for value in values],
    )


def _wrapped(connection: Connection, error: Exception, family: type[Exception]) -> BaseException:
    """As SQLAlchemy raises it; without the statement, which says nothing that its place does not."""
    return exc.DBAPIError.instance(None, None, error, family, hide_parameters=True, dialect=connection.dialect)


class _Told(ABC):
    """One statement, which each database says in its own way."""

    def __init__(self) -> None:
        self._statements: dict[str, str] = {}

    def statement(self, dialect: Dialect) -> str:
        said = self._statements.get(dialect.name)
        if said is None:
            said = self._statements[dialect.name] = self._statement(dialect)
        return said

    @abstractmethod
    def _statement(self, dialect: Dialect) -> str: ...


class Query(_Told):
    """A question that is asked again and again, with `bindparam`s for its values: made once, and told to the driver directly."""

    def __init__(self, asked: Select[Any]) -> None:
        super().__init__()
        self._asked = asked
        self._values: dict[str, tuple[dict[str, Any], Sequence[str]]] = {}

    def _statement(self, dialect: Dialect) -> str:
        if dialect.name == "postgresql":
            dialect = cast("Any", type(dialect))(paramstyle="numeric_dollar")
        made = self._asked.compile(dialect=dialect)
        self._values[dialect.name] = dict(made.params), made.positiontup or ()
        return str(made)

    def ask(self, connection: Connection, **values: Any) -> Sequence[Row]:  # noqa: ANN401  # Whatever its columns hold.
        """Its rows, as the driver gives them. Raises as SQLAlchemy does."""
        statement = self.statement(connection.dialect)
        known, order = self._values[connection.dialect.name]
        named = {**known, **values}
        row = [named[name] for name in order]
        if connection.dialect.name == "postgresql":
            return _told(connection, [(statement, row)])[0]
        return _executed(connection, statement, [row]).fetchall()


class Lookup(_Told):
    """Finds the rows of one table whose `column` is one of any number of keys, by one statement; with `most`, so many of each key."""

    def __init__(self, column: Column[str], *, most: int | None = None) -> None:
        super().__init__()
        self._column = column
        self._most = most

    def _statement(self, dialect: Dialect) -> str:
        quote = dialect.identifier_preparer.quote
        names = ", ".join(quote(column.name) for column in self._column.table.columns)
        table, key = quote(self._column.table.name), quote(self._column.name)
        keys = (
            "SELECT jsonb_array_elements_text($1::jsonb)"
            if dialect.name == "postgresql"
            else "SELECT value FROM json_each(?)"
        )
        if self._most is None:
            among = f"= ANY (ARRAY({keys}))" if dialect.name == "postgresql" else f"IN ({keys})"
            return f"SELECT {names} FROM {table} WHERE {key} {among}"  # noqa: S608  # Names of our own tables.
        # For each key as few rows are read as are taken: a window over all of them would read them all.
        place = ", ".join(quote(column.name) for column in self._column.table.primary_key)
        first = f"FROM {table} WHERE {key} = wanted.value ORDER BY {place} LIMIT {self._most}"
        if dialect.name == "postgresql":
            return f"SELECT {names} FROM ({keys}) AS wanted(value) CROSS JOIN LATERAL (SELECT {names} {first}) AS found"  # noqa: S608  # As above.
        return f"SELECT {names} FROM ({keys}) AS wanted CROSS JOIN {table} WHERE ({place}) IN (SELECT {place} {first})"  # noqa: S608  # As above.


class Writes(_Told):
    """Writes any number of rows by one statement.

    SQLite takes the rows one after the other in C, PostgreSQL takes them as one JSON value: per row 8 µs and 19 µs,
    where SQLAlchemy's own upserts cost 24 and 65.
    """

    def write(self, connection: Connection, rows: Sequence[Row]) -> None:
        write_all(connection, (self, rows))


class Rows(Writes):
    """Whole rows of one table; those whose key is there already replace it, or are left out."""

    def __init__(self, table: Table, *, replace: bool = True) -> None:
        super().__init__()
        self._table = table
        self._replace = replace

    def _statement(self, dialect: Dialect) -> str:
        quote = dialect.identifier_preparer.quote
        columns = [column for column in self._table.columns if column is not self._table.autoincrement_column]
        names = ", ".join(quote(column.name) for column in columns)
        if dialect.name == "postgresql":
            fields = ", ".join(f"(r->>{i})::{column.type.compile(dialect)}" for i, column in enumerate(columns))
            values = f"SELECT {fields} FROM jsonb_array_elements($1::jsonb) AS r"  # noqa: S608  # Names of our own tables.
        else:
            values = f"VALUES ({', '.join('?' * len(columns))})"
        insert = f"INSERT INTO {quote(self._table.name)} ({names}) {values}"
        keys = [quote(column.name) for column in columns if column.primary_key]
        if not keys:
            return insert
        news = ", ".join(f"{quote(c.name)} = excluded.{quote(c.name)}" for c in columns if not c.primary_key)
        return f"{insert} ON CONFLICT ({', '.join(keys)}) DO {f'UPDATE SET {news}' if self._replace and news else 'NOTHING'}"


class Touches(Writes):
    """Some columns of rows that are there: rows of (key, *columns). What is not there is left alone."""

    def __init__(self, key: Column[str], *columns: Column[Any]) -> None:
        super().__init__()
        self._key = key
        self._columns = columns

    def _statement(self, dialect: Dialect) -> str:
        quote = dialect.identifier_preparer.quote
        table, key = quote(self._key.table.name), quote(self._key.name)
        if dialect.name == "postgresql":
            news = ", ".join(
                f"{quote(column.name)} = (r->>{i})::{column.type.compile(dialect)}"
                for i, column in enumerate(self._columns, 1)
            )
            return f"UPDATE {table} SET {news} FROM jsonb_array_elements($1::jsonb) AS r WHERE {table}.{key} = r->>0"  # noqa: S608  # Names of our own tables.
        # SQLite numbers its parameters, so that the key may come first.
        news = ", ".join(f"{quote(column.name)} = ?{i}" for i, column in enumerate(self._columns, 2))
        return f"UPDATE {table} SET {news} WHERE {key} = ?1"  # noqa: S608  # As above.


class Removals(Writes):
    """All rows whose `column` is one of the given: rows of (key,)."""

    def __init__(self, column: Column[str]) -> None:
        super().__init__()
        self._column = column

    def _statement(self, dialect: Dialect) -> str:
        quote = dialect.identifier_preparer.quote
        table, column = quote(self._column.table.name), quote(self._column.name)
        if dialect.name == "postgresql":
            return f"DELETE FROM {table} USING jsonb_array_elements($1::jsonb) AS r WHERE {column} = r->>0"  # noqa: S608  # Names of our own tables.
        return f"DELETE FROM {table} WHERE {column} = ?"  # noqa: S608  # As above.
