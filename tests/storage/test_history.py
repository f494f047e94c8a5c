"""What is kept, for how long, and what people and metrics are told of it."""

from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import Connection, func, select

from relay.core.card import Form
from relay.core.event import Severity, Source
from relay.core.incident import Reason
from relay.core.known import Entry, Known, KnownObject, Wanted
from relay.core.posting import Placement
from relay.core.signal import State
from relay.storage import delivery, lists, prune, rejects, tables
from relay.storage.engine import Database
from relay.storage.ledger import load, save
from relay.storage.meta import get_meta, set_meta
from relay.storage.rejects import add_reject, delete_reject, get_reject, list_rejects
from tests.storage import reading, samples
from tests.storage.samples import DAY, NOW

KEEP = 90 * DAY
OLD = NOW - KEEP - 1


async def saved(database: Database, known: Known) -> None:
    await database.run(partial(save, known=known), exclusive=True)


async def pruned(database: Database, limit: int = 500) -> int:
    return await database.run(lambda connection: prune.prune(connection, NOW, KEEP, limit))


async def rows(database: Database, name: str) -> int:
    statement = select(func.count()).select_from(tables.metadata.tables[name])
    return await database.read(lambda connection: connection.execute(statement).scalar_one())


# --- rejects ------------------------------------------------------------------------------------------------------------


def reject(connection: Connection, body: bytes, why: str = "no alerts in it") -> int:
    return add_reject(connection, at=NOW, source=Source.ALERTMANAGER, sender="am", why=why, cure="", body=body)


async def test_a_reject_keeps_its_bytes_as_they_came(database: Database) -> None:
    body = bytes(range(256))
    number = await database.run(partial(reject, body=body))
    found = await database.read(partial(get_reject, reject_id=number))
    assert found is not None
    kept, kept_body = found
    assert kept_body == body
    assert (kept.id, kept.at, kept.source, kept.sender, kept.size) == (number, NOW, "alertmanager", "am", 256)
    assert await database.read(list_rejects) == [kept]


async def test_a_reject_can_be_taken_out_once(database: Database) -> None:
    number = await database.run(partial(reject, body=b"{}"))
    assert await database.run(partial(delete_reject, reject_id=number))
    assert not await database.run(partial(delete_reject, reject_id=number))
    assert await database.read(partial(get_reject, reject_id=number)) is None
    assert await database.run(partial(reject, body=b"{}")) > number


async def test_rejects_are_bounded_in_number_and_the_oldest_make_room(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejects, "MAX_ROWS", 3)
    for number in range(5):
        await database.run(partial(reject, body=b"{}", why=str(number)))
    assert [kept.why for kept in await database.read(list_rejects)] == ["4", "3", "2"]


async def test_rejects_are_bounded_in_bytes_but_the_newest_is_kept(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejects, "MAX_BYTES", 100)
    for size in (40, 40, 40, 10, 500):
        await database.run(partial(reject, body=b"x" * size))
        kept = [each.size for each in await database.read(list_rejects)]
        assert kept[0] == size
        assert sum(kept) <= 100 or kept == [size]


async def test_rejects_make_room_in_small_bites(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(6):
        await database.run(partial(reject, body=b"{}"))
    monkeypatch.setattr(rejects, "MAX_ROWS", 1)
    monkeypatch.setattr(rejects, "_BITE", 3)
    await database.run(partial(reject, body=b"{}"))
    assert await rows(database, "rejects") == 4
    assert await pruned(database) == 3
    assert await pruned(database) == 0


# --- what the relay remembers of itself ---------------------------------------------------------------------------------


async def test_what_was_remembered_last_is_what_is_known(database: Database) -> None:
    for value in ("first", "second", None):
        await database.run(partial(set_meta, key="config", value=value))
        assert await database.read(partial(get_meta, key="config")) == value


# --- lists and counts ---------------------------------------------------------------------------------------------------


async def test_open_incidents_come_worst_first_and_oldest_first(database: Database) -> None:
    known = Known()
    for incident in (
        samples.incident("2345678bk7f3-young", severity=Severity.ERROR, opened_at=NOW),
        samples.incident("2345678bk7f3-old", severity=Severity.ERROR, opened_at=NOW - 9),
        samples.incident("critical", severity=Severity.CRITICAL),
        samples.incident("over", severity=Severity.CRITICAL, closed_at=NOW),
    ):
        known.put_incident(incident)
    await saved(database, known)
    assert [i.id for i in await database.read(partial(lists.open_incidents, limit=9))] == [
        "critical",
        "2345678bk7f3-old",
        "2345678bk7f3-young",
    ]
    assert [i.id for i in await database.read(partial(lists.open_incidents, limit=1))] == ["critical"]
    assert [i.id for i in await database.read(partial(lists.open_by_handle, handle="k7f3"))] == [
        "2345678bk7f3-old",
        "2345678bk7f3-young",
    ]
    assert await database.read(partial(lists.open_by_handle, handle="k%")) == []
    assert await database.read(partial(lists.open_by_handle, handle="over")) == []
    assert await database.read(partial(reading.incident_by_id, incident="over")) == known.incidents["over"]
    assert await database.read(partial(reading.incident_by_id, incident="none")) is None


async def test_counts_tell_what_is_open_due_and_parked_up_to_the_cap(database: Database) -> None:
    known = Known()
    for number in range(4):
        known.put_incident(samples.incident(f"e{number}", severity=Severity.ERROR))
        known.put_posting(samples.posting(f"e{number}", due_at=NOW - number))
    known.put_incident(samples.incident("w", severity=Severity.WARNING))
    known.put_posting(samples.posting("w", due_at=NOW + 1))
    known.put_posting(samples.posting("w", "deploys", parked="Discord refused it"))
    await saved(database, known)
    counts = await database.read(partial(lists.counts, now=NOW))
    assert (counts.due, counts.parked, counts.oldest_due) == (4, 1, NOW - 3)
    assert {severity: count for severity, count in counts.open.items() if count} == {
        Severity.ERROR: 4,
        Severity.WARNING: 1,
    }
    capped = await database.read(partial(lists.counts, now=NOW, cap=2))
    assert (capped.due, capped.open[Severity.ERROR]) == (2, 2)
    assert await database.read(partial(lists.parked_postings, limit=9)) == [known.postings["w", "deploys"]]


async def test_an_empty_database_counts_nothing(database: Database) -> None:
    counts = await database.read(partial(lists.counts, now=NOW))
    assert (sum(counts.open.values()), counts.due, counts.parked, counts.oldest_due) == (0, 0, 0, None)
    assert await database.read(lists.oldest_page) is None
    assert await database.read(lists.silent_heartbeats) == {}


async def test_a_silent_heartbeat_counts_for_its_source(database: Database) -> None:
    beats = [("watchdog", "alertmanager", NOW), ("apps", "flux", None), ("infra", "flux", NOW)]
    kept = [
        {
            "name": name,
            "source": source,
            "silent_since": silent,
            "cluster": "homelab",
            "declared": False,
            "beats": 3,
            "gaps": "",
        }
        for name, source, silent in beats
    ]
    await database.run(lambda connection: connection.execute(tables.heartbeats.insert(), kept))
    assert await database.read(lists.silent_heartbeats) == {Source.ALERTMANAGER: 1, Source.FLUX: 1}


async def test_the_oldest_page_is_as_old_as_its_incident_is_visible_whatever_discord_made_it_wait(
    database: Database,
) -> None:
    known = Known()
    known.put_incident(samples.incident("paged", changed_at=NOW - 900))
    known.put_posting(samples.posting("paged", pages_owed=1, pages_made=1, due_at=NOW))
    known.put_incident(samples.incident("owed", changed_at=NOW - 600, visible_at=NOW - 570))
    known.put_posting(samples.posting("owed", pages_owed=2, pages_made=1, due_at=NOW + 60, tries=3))
    known.put_incident(samples.incident("parked", changed_at=NOW - 800))
    known.put_posting(samples.posting("parked", pages_owed=1, due_at=None, parked="no"))
    await saved(database, known)
    assert await database.read(lists.oldest_page) == NOW - 570


async def test_the_journal_tells_the_newest_decisions_of_an_incident_in_their_order(database: Database) -> None:
    known = Known()
    reasons = (Reason.OPENED, Reason.ESCALATED, Reason.RESOLVED)
    known.journal = [Entry(NOW + n, reason, Source.FLUX, "s", "i") for n, reason in enumerate(reasons)]
    known.journal.append(Entry(NOW, Reason.NOTED, Source.FLUX, "s"))
    await saved(database, known)
    assert await database.read(partial(lists.journal_of, incident="i", limit=2)) == known.journal[1:3]


# --- the end of history -------------------------------------------------------------------------------------------------


def past() -> tuple[Known, Wanted]:
    """One Incident of each kind, all of them long ago."""
    known = Known()
    for name, closed in (
        ("over", OLD),
        ("open", None),
        ("lately", NOW - DAY),
        ("spoken", OLD),
        ("due", OLD),
        ("held", OLD),
    ):
        known.put_incident(samples.incident(name, closed_at=closed, opened_at=OLD - 1, changed_at=OLD))
        known.put_posting(samples.posting(name, due_at=OLD if name == "due" else None))
        known.put_signal(
            samples.signal(
                name,
                incident=name,
                state=State.HELD if name == "held" else State.FIRING if name == "open" else State.RESOLVED,
                held_until=OLD if name == "held" else None,
                seen_at=NOW - DAY if name == "spoken" else OLD,
            )
        )
    return known, Wanted(signals=set(known.signals))


async def test_only_what_is_closed_and_old_and_not_waited_for_is_forgotten(database: Database) -> None:
    known, wanted = past()
    await saved(database, known)
    assert await pruned(database) == 1
    back = await database.read(lambda c: load(c, wanted))
    assert set(back.incidents) == set(back.signals) == {"open", "lately", "spoken", "due", "held"}
    assert {incident for incident, _ in back.postings} == {"open", "lately", "spoken", "due", "held"}
    assert await pruned(database) == 0


async def test_a_message_goes_with_the_last_that_stood_in_it_and_others_stay(database: Database) -> None:
    known, _ = past()
    await saved(database, known)

    def messages(connection: Connection) -> list[int]:
        ids = []
        for standing in (["over"], ["over", "open"], []):
            message = delivery.new_message(connection, channel="ops", webhook="1", created_at=OLD)
            delivery.place(connection, message.id, [Placement(i, "ops", Form.LINE, n) for n, i in enumerate(standing)])
            ids.append(message.id)
        gone = delivery.new_message(connection, channel="ops", webhook="1", created_at=OLD)
        delivery.forget_message(connection, gone.id)
        return [*ids, gone.id]

    alone, shared, status, gone = await database.run(messages)
    await pruned(database)
    left = [
        i for i in (alone, shared, status, gone) if await database.read(partial(reading.message_by_id, message_id=i))
    ]
    assert left == [shared, status]
    assert [p.incident for p in await database.read(partial(delivery.placements_of, message_id=shared))] == ["open"]


async def test_a_message_that_is_to_be_edited_stays_until_it_was(database: Database) -> None:
    known, _ = past()
    await saved(database, known)

    def waiting(connection: Connection) -> int:
        message = delivery.new_message(connection, channel="ops", webhook="1", created_at=OLD)
        delivery.place(connection, message.id, [Placement("over", "ops", Form.POINTER)])
        delivery.update_message(connection, replace(message, due_at=OLD))
        return message.id

    number = await database.run(waiting)
    await pruned(database)
    assert await database.read(partial(reading.message_by_id, message_id=number)) is not None


async def test_history_goes_in_small_bites_until_nothing_is_left_to_do(database: Database) -> None:
    known = Known()
    for number in range(7):
        known.put_incident(samples.incident(f"i{number}", closed_at=OLD))
        known.put_signal(samples.signal(f"s{number}", incident=f"i{number}", state=State.RESOLVED, seen_at=OLD))
        known.put_signal(samples.signal(f"alone{number}", state=State.RESOLVED, seen_at=OLD))
    await saved(database, known)
    assert await pruned(database, limit=5) == 10
    assert await rows(database, "incidents") == 2
    assert await pruned(database, limit=5) == 4
    assert await pruned(database, limit=5) == 0
    assert await rows(database, "signals") == 0


async def test_each_kind_of_history_has_its_own_end(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Known()
    for age in (1, 3 * DAY, 8 * DAY, KEEP + DAY):
        known.journal.append(Entry(NOW - age, Reason.NOTED, Source.FLUX))
        known.put_object(KnownObject(samples.subject(f"o{age}"), NOW - age))
        known.remember(f"d{age}", NOW - age)
    await saved(database, known)

    def attempts(connection: Connection) -> None:
        for age in (1, 3 * DAY, 8 * DAY):
            delivery.begin_attempt(connection, webhook="1", route="post", message_id=None, at=NOW - age)

    await database.run(attempts)
    await pruned(database)
    left = [await rows(database, name) for name in ("journal", "objects", "recent", "attempts")]
    assert left == [2, 3, 1, 1]
    monkeypatch.setattr(prune, "JOURNAL_ROWS", 1)
    assert await pruned(database) == 1
    assert await rows(database, "journal") == 1
