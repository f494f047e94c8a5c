"""What the writer loads equals what it saved, by as many statements for one Event as for two hundred."""

from dataclasses import replace
from functools import partial
from math import inf

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import Connection, func, select

from relay.core.event import Severity, Source, Subject
from relay.core.incident import Incident, Reason
from relay.core.known import Entry, Known, KnownObject, Wanted
from relay.core.posting import Posting
from relay.core.signal import Signal, State
from relay.storage import tables
from relay.storage.engine import Database
from relay.storage.ledger import expired_incidents, held_signals, load, next_deadline, save
from relay.storage.lists import journal_of
from tests.storage import samples
from tests.storage.asking import Asked, count, heard
from tests.storage.samples import NOW


async def saved(database: Database, known: Known) -> None:
    await database.run(lambda connection: save(connection, known), exclusive=True)


async def loaded(database: Database, wanted: Wanted, **more: object) -> Known:
    return await database.read(lambda connection: load(connection, wanted, **more))  # type: ignore[arg-type]  # As `load` names them.


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    a_signal=samples.signals,
    an_incident=samples.incidents,
    a_posting=samples.postings,
    an_object=samples.objects,
    an_entry=samples.entries,
    key=samples.names,
    digest=samples.names,
    at=samples.instants,
)
async def test_what_is_loaded_equals_what_was_saved(
    database: Database,
    a_signal: Signal,
    an_incident: Incident,
    a_posting: Posting,
    an_object: KnownObject,
    an_entry: Entry,
    key: str,
    digest: str,
    at: float,
) -> None:
    a_posting = replace(a_posting, incident=an_incident.id)
    an_entry = replace(an_entry, incident=an_incident.id)
    known = Known()
    known.put_signal(a_signal)
    known.put_incident(an_incident)
    known.put_posting(a_posting)
    known.put_object(an_object)
    known.claim(key, an_incident.id)
    known.remember(digest, at)
    known.journal.append(an_entry)

    def there_and_back(connection: Connection) -> tuple[Known, list[Entry]]:
        connection.execute(tables.incident_keys.delete())
        save(connection, known)
        wanted = Wanted({a_signal.key}, set(), {key}, {an_object.subject.key}, {digest})
        return load(connection, wanted, since=-1e13), journal_of(connection, an_incident.id, 1)

    back, journal = await database.run(there_and_back, exclusive=True)
    assert back.signals == {a_signal.key: a_signal}
    assert back.incidents[an_incident.id] == an_incident
    assert back.postings[an_incident.id, a_posting.channel] == a_posting
    assert back.objects == {an_object.subject.key: an_object}
    assert back.keys == {key: an_incident.id}
    assert back.recent == {digest: at}
    assert journal == [an_entry]
    assert back.siblings == ({a_signal.semantic_key: {a_signal.key}} if a_signal.semantic_key else {})
    assert not any(
        (
            back.changed_signals,
            back.changed_incidents,
            back.changed_postings,
            back.new_keys,
            back.released,
            back.journal,
        )
    )


def storm(size: int) -> tuple[Known, Wanted]:
    known, wanted = Known(), Wanted()
    for number in range(size):
        key, owner = f"signal-{number}", f"incident-{number}"
        known.put_signal(samples.signal(key, semantic_key=f"semantic-{number}", incident=owner))
        known.put_incident(samples.incident(owner, lead=key))
        known.put_posting(samples.posting(owner))
        known.put_object(KnownObject(Subject("homelab", "Kustomization", "flux-system", f"app-{number}"), NOW))
        known.claim(f"key-{number}", owner)
        known.release(f"over-{number}")
        known.remember(f"digest-{number}", NOW)
        known.journal.append(Entry(NOW, Reason.OPENED, Source.FLUX, key, owner))
        wanted.signals.add(key)
        wanted.semantic.add(f"semantic-{number}")
        wanted.keys.add(f"key-{number}")
        wanted.objects.add(f"homelab\nKustomization\nflux-system\napp-{number}")
        wanted.digests.add(f"digest-{number}")
    return known, wanted


async def test_a_batch_of_two_hundred_costs_as_many_statements_as_a_batch_of_one(database: Database) -> None:
    counted = []
    for size in (1, 200):
        known, wanted = storm(size)

        def batch(connection: Connection, known: Known = known, wanted: Wanted = wanted) -> tuple[Known, Asked]:
            with heard(connection) as asked:
                save(connection, known)
                return load(connection, wanted), asked

        back, asked = await database.run(batch, exclusive=True)
        assert (len(back.signals), len(back.incidents), len(back.postings), len(back.objects)) == (size,) * 4
        assert len(back.keys) == len(back.recent) == size
        counted.append(count(asked))
    assert counted[0] == counted[1] <= 20


async def test_three_thousand_keys_are_looked_up_at_once(database: Database) -> None:
    known, wanted = storm(3000)
    await saved(database, known)
    assert len((await loaded(database, wanted)).incidents) == 3000


async def test_what_is_saved_again_replaces_what_was_there(database: Database) -> None:
    known, wanted = storm(2)
    await saved(database, known)
    again = Known()
    again.put_signal(
        samples.signal("signal-1", semantic_key="semantic-1", incident="incident-1", count=7, state=State.RESOLVED)
    )
    again.put_posting(samples.posting("incident-1", wanted=9, pages_owed=2))
    await saved(database, again)
    back = await loaded(database, wanted)
    assert back.signals["signal-1"] == again.signals["signal-1"]
    assert back.signals["signal-0"] == known.signals["signal-0"]
    assert back.postings["incident-1", "ops"] == again.postings["incident-1", "ops"]
    assert len(back.signals) == 2


async def test_an_instant_that_never_comes_is_kept(database: Database) -> None:
    known = Known()
    known.put_incident(samples.incident("0001", visible_at=inf))
    await saved(database, known)
    assert (await loaded(database, Wanted(), incidents=["0001"])).incidents == known.incidents


async def test_an_empty_batch_says_nothing_to_the_database(database: Database) -> None:
    def empty(connection: Connection) -> int:
        with heard(connection) as asked:
            save(connection, load(connection, Wanted()))
        return len(asked)

    assert await database.run(empty) == 0


async def test_an_alert_brings_its_other_severities_and_their_incidents(database: Database) -> None:
    known = Known()
    known.put_signal(samples.signal("weak", semantic_key="disk", severity=Severity.WARNING, incident="full"))
    known.put_signal(samples.signal("other", semantic_key="cpu"))
    known.put_incident(samples.incident("full"))
    known.put_posting(samples.posting("full", "deploys"))
    await saved(database, known)
    back = await loaded(database, Wanted(signals={"strong"}, semantic={"disk"}))
    assert back.siblings == {"disk": {"weak"}}
    assert set(back.signals) == {"weak"}
    assert set(back.incidents) == {"full"}
    assert set(back.postings) == {("full", "deploys")}


async def test_incidents_are_loaded_by_name_with_their_postings(database: Database) -> None:
    known, _ = storm(3)
    await saved(database, known)
    back = await loaded(database, Wanted(), incidents=["incident-2"])
    assert set(back.incidents) == {"incident-2"}
    assert set(back.postings) == {("incident-2", "ops")}


async def test_a_digest_is_forgotten_when_it_is_older_than_asked_for(database: Database) -> None:
    known = Known()
    known.remember("old", NOW - 601)
    known.remember("new", NOW - 599)
    await saved(database, known)
    assert set((await loaded(database, Wanted(digests={"old", "new"}), since=NOW - 600)).recent) == {"new"}


async def test_an_incident_that_is_over_gives_up_its_keys_and_another_may_take_them_in_the_same_batch(
    database: Database,
) -> None:
    known = Known()
    for key in ("a", "b"):
        known.claim(key, "first")
    await saved(database, known)
    back = await loaded(database, Wanted(keys={"a"}))
    back.release("first")
    back.claim("a", "second")
    await saved(database, back)
    assert (await loaded(database, Wanted(keys={"a", "b"}))).keys == {"a": "second"}


async def test_a_key_stays_with_the_open_incident_that_holds_it(database: Database) -> None:
    for owner in ("first", "second"):
        known = Known()
        known.claim("a", owner)
        await saved(database, known)
    assert (await loaded(database, Wanted(keys={"a"}))).keys == {"a": "first"}


async def test_a_batch_that_raises_changes_nothing(database: Database) -> None:
    known, wanted = storm(3)

    def broken(connection: Connection) -> None:
        save(connection, known)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.run(broken, exclusive=True)
    assert not (await loaded(database, wanted)).signals
    assert await database.read(lambda c: c.execute(select(func.count()).select_from(tables.journal)).scalar_one()) == 0


async def test_deadlines_are_found_earliest_first_and_only_while_they_wait(database: Database) -> None:
    known = Known()
    known.put_signal(samples.signal("late", state=State.HELD, held_until=NOW + 50))
    known.put_signal(samples.signal("soon", state=State.HELD, held_until=NOW + 10))
    known.put_signal(samples.signal("free"))
    known.put_incident(samples.incident("expiring", expires_at=NOW + 5))
    known.put_incident(samples.incident("over", expires_at=NOW + 1, closed_at=NOW))
    known.put_incident(samples.incident("staying"))
    await saved(database, known)
    assert await database.read(next_deadline) == NOW + 5
    assert [s.key for s in await database.read(partial(held_signals, now=NOW + 60, limit=9))] == ["soon", "late"]
    assert [s.key for s in await database.read(partial(held_signals, now=NOW + 60, limit=1))] == ["soon"]
    assert [s.key for s in await database.read(partial(held_signals, now=NOW + 10, limit=9))] == ["soon"]
    assert [i.id for i in await database.read(partial(expired_incidents, now=NOW + 60, limit=9))] == ["expiring"]
    assert await database.read(partial(expired_incidents, now=NOW, limit=9)) == []


async def test_nothing_waits_in_an_empty_database(database: Database) -> None:
    assert await database.read(next_deadline) is None


@pytest.mark.parametrize(
    "payload", ["'; DROP TABLE signals; --", '{"a":1}', "%s %(keys)s :keys ?", "\u2028", "\\u0000", "{}"]
)
async def test_text_from_outside_is_only_ever_text(database: Database, payload: str) -> None:
    known = Known()
    known.put_signal(samples.signal(payload, message=payload, labels={payload: payload}))
    await saved(database, known)
    assert (await loaded(database, Wanted(signals={payload}))).signals[payload].labels == {payload: payload}
