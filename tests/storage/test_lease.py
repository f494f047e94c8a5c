"""One holder at a time, by the database's clock, and nobody has to clean up after one that died."""

import asyncio
import time
from functools import partial

from sqlalchemy import Connection, select, update

from relay.storage import lease
from relay.storage.engine import Database, database_clock
from relay.storage.tables import lease as table


async def take(database: Database, holder: str, *, force: bool = False) -> bool:
    return await database.run(partial(lease.take, name=lease.SENDER, holder=holder, force=force), exclusive=True)


async def holds(database: Database, holder: str) -> bool:
    return await database.read(partial(lease.holds, name=lease.SENDER, holder=holder))


def lapse(connection: Connection, by: float) -> None:
    connection.execute(update(table).values(until=table.c.until - by))


async def test_the_clock_is_the_databases(database: Database) -> None:
    told = await database.read(lambda c: c.execute(select(database_clock())).scalar_one())
    assert abs(told - time.time()) < 5.0


async def test_one_holds_it_and_goes_on_and_another_waits(database: Database) -> None:
    assert await take(database, "a")
    assert await take(database, "a")
    assert not await take(database, "b")
    assert await holds(database, "a")
    assert not await holds(database, "b")


async def test_it_lapses_by_itself_and_a_late_holder_knows(database: Database) -> None:
    assert await take(database, "a")
    await database.run(partial(lapse, by=lease.SECONDS + 1))
    assert await holds(database, "a"), "what it learnt is still worth writing down"
    assert await take(database, "b")
    assert not await holds(database, "a")
    assert not await take(database, "a")


async def test_renewing_pushes_its_end_away(database: Database) -> None:
    assert await take(database, "a")
    await database.run(partial(lapse, by=lease.SECONDS - 1))
    assert await take(database, "a")
    assert not await take(database, "b")


async def test_who_lets_go_makes_nobody_wait(database: Database) -> None:
    assert await take(database, "a")
    await database.run(partial(lease.release, name=lease.SENDER, holder="b"))
    assert not await take(database, "b"), "it is not another's to let go of"
    await database.run(partial(lease.release, name=lease.SENDER, holder="a"))
    assert await take(database, "b")


async def test_where_nobody_else_can_be_alive_nobody_waits(database: Database) -> None:
    assert await take(database, "the one that was killed")
    assert await take(database, "its successor", force=True)


async def test_of_many_who_try_at_once_one_gets_it(database: Database) -> None:
    got = await asyncio.gather(*(take(database, str(number)) for number in range(8)))
    assert got.count(True) == 1
