"""Quiet is written down beside a relay that runs, has an end, and leaves nothing behind that still waits for it."""

from __future__ import annotations

from functools import partial

from sqlalchemy import Connection

from relay.core.event import Severity
from relay.core.incident import Incident
from relay.core.known import Known, Wanted
from relay.core.labels import Matchers
from relay.core.posting import Posting
from relay.core.quiet import NIGHT, Rule
from relay.storage import ledger, quiet
from relay.storage.engine import Database
from relay.storage.tables import quiet as table
from tests.storage import reading
from tests.storage.samples import NOW, incident, posting

HOUR = 3600.0
LAB = 'namespace="lab"'


async def save(database: Database, *given: Incident | Posting) -> None:
    known = Known()
    for one in given:
        if isinstance(one, Incident):
            known.put_incident(one)
        else:
            known.put_posting(one)
    await database.run(partial(ledger.save, known=known), exclusive=True)


def add(connection: Connection, *, lasts: float = HOUR, **more: str) -> Rule:
    given = {"by": "ada", "why": "new disks", "incident": ""} | more
    return quiet.add(connection, matchers=[LAB], now=NOW, until=NOW + lasts, **given)


async def test_what_was_asked_for_is_read_as_it_was_written(database: Database) -> None:
    made = await database.run(add)
    assert made == Rule("1", Matchers.of([LAB]), NOW, NOW + HOUR, by="ada", why="new disks")
    assert await database.read(quiet.standing) == (made,)
    assert await database.read(partial(quiet.find, key="1")) == made
    named = await database.run(partial(add, incident="a" * 26))
    assert named.incident == "a" * 26


async def test_it_holds_until_its_end_and_is_history_after_it(database: Database) -> None:
    made = await database.run(add)
    assert await database.read(partial(quiet.quiet_now, now=NOW)) == (made,)
    assert await database.read(partial(quiet.quiet_now, now=NOW + HOUR)) == ()
    await database.run(partial(quiet.write_down_ends, now=NOW + HOUR - 1))
    assert await database.read(quiet.standing) == (made,)
    await database.run(partial(quiet.write_down_ends, now=NOW + HOUR))
    assert await database.read(quiet.standing) == ()
    assert await database.read(partial(quiet.find, key="1")) == made


async def test_it_is_ended_once_and_only_by_its_number(database: Database) -> None:
    made = await database.run(add)
    for wrong in ("2", "", "1 OR 1=1", "file-1", "²", "9" * 40):
        assert await database.run(partial(quiet.end, key=wrong, now=NOW + 1)) is None
        assert await database.read(partial(quiet.find, key=wrong)) is None
    assert await database.run(partial(quiet.end, key="1", now=NOW + 1)) == made
    assert await database.run(partial(quiet.end, key="1", now=NOW + 2)) is None
    assert await database.read(quiet.standing) == ()


async def test_a_number_is_never_given_again(database: Database) -> None:
    await database.run(add)
    await database.run(lambda c: c.execute(table.delete()))
    assert (await database.run(add)).key == "2"


async def test_the_writer_knows_it_with_every_batch(database: Database) -> None:
    made = await database.run(add)
    known = await database.read(lambda c: ledger.load(c, Wanted(), incidents=["a"]))
    assert known.quiet == (made,)


async def test_the_next_end_is_of_a_posting_a_rule_or_what_flaps(database: Database) -> None:
    assert await database.read(quiet.next_end) is None
    await save(database, incident("a", flapping=True, calm_at=NOW + 300))
    assert await database.read(quiet.next_end) == NOW + 300
    await database.run(partial(add, lasts=200))
    assert await database.read(quiet.next_end) == NOW + 200
    await save(database, incident("b"), posting("b", quiet="1", quiet_until=NOW + 100))
    assert await database.read(quiet.next_end) == NOW + 100
    assert await database.read(partial(quiet.calmed, now=NOW + 300, limit=9)) == ["a"]
    assert await database.read(partial(quiet.calmed, now=NOW + 299, limit=9)) == []


async def test_what_is_left_is_found_worst_first_and_once(database: Database) -> None:
    for name, severity in (("a", Severity.WARNING), ("b", Severity.CRITICAL), ("c", Severity.ERROR)):
        await save(
            database,
            incident(name, severity=severity),
            posting(name, quiet="1", quiet_until=NOW),
            posting(name, "deploys", quiet="1", quiet_until=NOW),
        )
    await save(database, incident("d"), posting("d", quiet="1", quiet_until=NOW + 1), incident("e"), posting("e"))
    assert await database.read(partial(quiet.ended, now=NOW, limit=99)) == ["b", "c", "a"]


async def test_where_a_rule_is_gone_its_quiet_is_over_and_a_night_is_left_alone(database: Database) -> None:
    await save(
        database,
        *(incident(name) for name in "abc"),
        posting("a", quiet="1", quiet_until=NOW + HOUR),
        posting("b", quiet="2", quiet_until=NOW + HOUR),
        posting("c", quiet=NIGHT, quiet_until=NOW + HOUR),
    )
    assert await database.run(partial(quiet.lapse, kept=["2"], now=NOW + 5)) == 1
    left = {name: await database.read(partial(reading.load_posting, key=(name, "ops"))) for name in "abc"}
    assert {name: one.quiet_until for name, one in left.items() if one} == {
        "a": NOW + 5,
        "b": NOW + HOUR,
        "c": NOW + HOUR,
    }
