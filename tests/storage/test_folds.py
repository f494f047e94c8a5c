"""Effects and causes find each other in the database by a fixed number of statements, and a card reads few of them."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection, func, select

from relay.config.edges import load_edges
from relay.core import folding, joining
from relay.core.event import Effect, Event, Severity, Subject
from relay.core.incident import Incident, Reason
from relay.core.known import Known, Wanted
from relay.storage import folds, ledger, tables
from relay.storage.engine import Database
from tests.core.make import NOW, POLICY, beat, flux
from tests.storage import samples
from tests.storage.asking import Asked, count, heard

FOLDING = replace(POLICY, edges=load_edges())


def unhealthy(number: int, named: int | None = None) -> Event:
    thing = Subject("homelab", "HelmRelease", "media", f"app-{number if named is None else named}")
    return flux(f"apps-{number}", reason="HealthCheckFailed", message="health check failed", names=(thing,))


def release(number: int) -> Event:
    return flux(f"app-{number}", kind="HelmRelease", namespace="media", reason="UpgradeFailed")


async def asked(database: Database, *events: Event) -> tuple[Known, Asked]:
    """All events in one batch, and what the database was asked for it."""

    def apply(connection: Connection) -> tuple[Known, Asked]:
        with heard(connection) as statements:
            known = ledger.load(connection, Wanted.of(events, FOLDING))
            for event in events:
                joining.take(known, event, FOLDING)
            ledger.save(connection, known)
        return known, statements

    return await database.run(apply, exclusive=True)


async def taken(database: Database, *events: Event) -> Known:
    return (await asked(database, *events))[0]


async def waiting(database: Database) -> int:
    """Under how many keys something waits for the cause that its message names."""
    counted = (
        select(func.count()).select_from(tables.effect_keys).where(tables.effect_keys.c.edge == "flux-health-list")
    )
    return await database.read(lambda connection: connection.execute(counted).scalar_one())


async def one(database: Database, subject: Subject) -> Incident:
    return (await every(database))[subject]


async def every(database: Database) -> dict[Subject, Incident]:
    ids = select(tables.incidents.c.id)
    known = await database.read(
        lambda c: ledger.load(c, Wanted(), incidents=list(c.execute(ids).scalars())),
    )
    return {incident.subject: incident for incident in known.incidents.values()}


async def test_two_hundred_effects_are_folded_by_as_many_statements_as_one(database: Database) -> None:
    counted = []
    for first, size in ((0, 1), (1000, 200)):
        numbers = range(first, first + size)
        await taken(database, *map(unhealthy, numbers))
        known, seen = await asked(database, *map(release, numbers))
        folded = {one.subject.name for one in known.incidents.values() if one.folded_into is not None}
        assert {f"apps-{number}" for number in numbers} <= folded
        counted.append(count(seen))
    assert counted[0] == counted[1]


async def test_a_repeat_asks_for_no_edge(database: Database) -> None:
    await taken(database, unhealthy(1), release(1))
    again = replace(unhealthy(1), at=NOW + 900, received_at=NOW + 900, digest="again")
    known, seen = await asked(database, again)
    assert known.links == {}
    assert not any("effect_keys" in statement for statement, _ in seen)


async def test_an_incident_waits_for_its_cause_until_it_is_over(database: Database) -> None:
    await taken(database, unhealthy(1), unhealthy(2))
    assert await waiting(database) == 2
    await taken(database, beat("apps-1", at=NOW + 60))
    assert await waiting(database) == 1
    await taken(database, flux("apps-2", at=NOW + 90))
    assert await waiting(database) == 0, "it fails for another reason"


async def test_what_folds_takes_its_own_effects_along_those_too_that_nobody_loaded(database: Database) -> None:
    source = flux("main", kind="GitRepository", reason="GitOperationFailed", message="dial tcp 192.0.2.7: refused")
    message = "Source artifact not found for GitRepository/flux-system/main: not found"
    held = [flux(f"k-{index}", reason="ArtifactFailed", message=message) for index in range(5)]
    await taken(database, source, *held)
    unreachable = "unable to clone 'https://git.example.org/a': dial tcp 192.0.2.7:443: connect: connection refused"
    both = [
        replace(flux(name, kind="GitRepository", reason="GitOperationFailed", message=unreachable, at=NOW + 60))
        for name in ("main", "other")
    ]
    await taken(database, *both)
    incidents = await every(database)
    (root,) = [incident for incident in incidents.values() if incident.root]
    assert root.root == "host:git.example.org/unreachable"
    assert root.effects.total == 7
    assert {incident.folded_into for incident in incidents.values() if not incident.root} == {root.id}


async def test_a_message_that_a_root_takes_over_shows_the_root(database: Database) -> None:
    await taken(database, unhealthy(1))
    subject = Subject("homelab", "Kustomization", "flux-system", "apps-1")
    effect = await one(database, subject)

    def show(connection: Connection) -> None:
        known = ledger.load(connection, Wanted(), incidents=[effect.id])
        (posting,) = known.postings_of(effect.id)
        known.put_posting(replace(posting, message=7, shown=1, due_at=None))
        ledger.save(connection, known)
        placed = {"message": 7, "incident": effect.id, "channel": "ops", "form": "full", "position": 0}
        connection.execute(tables.placements.insert(), placed)

    await database.run(show, exclusive=True)
    await taken(database, release(1))
    cause = await one(database, Subject("homelab", "HelmRelease", "media", "app-1"))
    placed = await database.read(lambda c: c.execute(select(tables.placements.c.incident)).scalars().all())
    assert placed == [cause.id]


async def test_what_is_over_is_looked_after_in_bites_and_in_time(database: Database) -> None:
    await taken(database, release(1), *(unhealthy(number, 1) for number in range(10)))
    await taken(database, replace(release(1), effect=Effect.CLOSES, severity=Severity.INFO, at=NOW + 60, digest=""))
    assert await database.read(ledger.next_deadline) is not None
    at = NOW + folding.GRACE + 60
    assert await database.read(lambda c: ledger.tended(c, NOW + 1)) is None
    first = await database.read(lambda c: ledger.tended(c, at, 4))
    assert first is not None
    assert (len(first.effects), first.more, len(first.waits)) == (4, True, 4)
    whole = await database.read(lambda c: ledger.tended(c, at))
    assert whole is not None
    assert (len(whole.effects), whole.more) == (10, False)


async def test_a_card_reads_few_of_many_effects(database: Database) -> None:
    message = 'failed calling webhook "x": Post "https://kyverno-svc.kyverno.svc:443/": EOF'
    await taken(database, *(flux(f"k-{index}", reason="ReconciliationFailed", message=message) for index in range(40)))
    incidents = await every(database)
    (root,) = [incident for incident in incidents.values() if incident.root]
    found = await database.read(lambda c: folds.folds_of(c, root, "ops"))
    assert (len(found.effects), found.kinds, found.probably) == (folds.NAMED, {"Kustomization": 40}, False)
    assert len(await database.read(lambda c: folds.signals_of(c, root, 7))) == 7
    effect = next(incident for incident in incidents.values() if not incident.root)
    assert (await database.read(lambda c: folds.folds_of(c, effect, "ops"))).root == root
    alone = samples.incident("alone")
    assert await database.read(lambda c: folds.folds_of(c, alone, "ops")) is folds.NOT_FOLDED


async def test_the_journal_says_what_was_folded_into_what(database: Database) -> None:
    known = await taken(database, release(1), unhealthy(1))
    (entry,) = [entry for entry in known.journal if entry.reason is Reason.FOLDED]
    stored = select(tables.journal.c.incident, tables.journal.c.other).where(tables.journal.c.reason == "folded")
    assert (await database.read(lambda c: c.execute(stored).one())) == (entry.incident, entry.other)
