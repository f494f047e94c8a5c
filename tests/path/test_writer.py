"""The one door for changes: one poisonous delivery harms nobody else, and a batch is its events one by one."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, create_engine, select

from relay.config.edges import load_edges
from relay.core.event import Event, Severity, Source
from relay.core.joining import take
from relay.core.known import Wanted
from relay.core.policy import Policy, SeverityRule
from relay.core.routing import Route
from relay.storage import ledger, rejects
from relay.storage.tables import metadata
from tests.core.make import NOW, POLICY
from tests.core.make import alert as made
from tests.core.test_joining import EVENTS
from tests.core.test_progress import fails, ready
from tests.path.hostile import RaisingMatchers
from tests.path.stage import Running, alert, group
from tests.storage.asking import count, heard


def _poisoned(relay: Running) -> None:
    """From now on the core raises at the alert `Poison`."""
    configuration = relay.relay.live.configuration
    routes = (Route(RaisingMatchers(), ("ops",)), *configuration.policy.routes)
    relay.relay.live.configuration = replace(configuration, policy=replace(configuration.policy, routes=routes))


async def test_one_poisonous_delivery_harms_nobody_else_and_is_kept(relay: Running) -> None:
    _poisoned(relay)
    now = relay.clock()
    bodies = [
        group(alert("Poison" if n == 5 else f"Fine{n}", pod=f"app{n}-0", starts=now), key=f"g{n}") for n in range(12)
    ]
    answers = await asyncio.gather(*(relay.post("/alertmanager", body) for body in bodies))
    assert answers == [202] * 12
    (kept,) = await relay.relay.database.read(rejects.list_rejects)
    assert kept.source == "alertmanager"
    assert "cannot apply" in kept.why
    samples = await relay.metrics()
    assert samples['relay_events_total{reason="opened",source="alertmanager"}'] == 11
    assert samples['relay_rejects_total{kind="poison",sender="alertmanager"}'] == 1
    await relay.until(
        lambda: any(content.startswith("🛠️") for content in relay.shown()) or len(relay.shown()) > 3, "it is shown"
    )


async def test_deliveries_to_one_writer_are_answered_after_their_commit(relay: Running) -> None:
    now = relay.clock()

    async def deliver(number: int) -> bool:
        one = alert(f"A{number}", "info", pod=f"app{number}-0", starts=now)
        assert await relay.post("/alertmanager", group(one, key=f"g{number}")) == 202
        found = await relay.relay.database.read(
            lambda c: c.execute(select(metadata.tables["signals"].c.labels)).scalars().all()
        )
        return any(f'"A{number}"' in labels for labels in found)

    assert all(await asyncio.gather(*(deliver(number) for number in range(50))))


@contextmanager
def _database() -> Iterator[Connection]:
    engine: Engine = create_engine("sqlite://")
    metadata.create_all(engine)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _apply(connection: Connection, batch: Sequence[Event], policy: Policy) -> None:
    known = ledger.load(connection, Wanted.of(batch, policy))
    for one in batch:
        take(known, one, policy)
    ledger.save(connection, known)


def _rows(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    return {
        name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
        for name, table in metadata.tables.items()
    }


def _state(batches: Sequence[Sequence[Event]], policy: Policy) -> dict[str, list[tuple[Any, ...]]]:
    with _database() as connection:
        for batch in batches:
            _apply(connection, batch, policy)
        return _rows(connection)


@settings(max_examples=80, deadline=None)
@given(EVENTS, st.data())
def test_a_batch_and_its_events_one_by_one_give_the_same_database(events: list[Event], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(events) - 1)))))
    batches = [events[start:end] for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True)]
    assert _state([batch for batch in batches if batch], POLICY) == _state([[one] for one in events], POLICY)


@settings(max_examples=40, deadline=None)
@given(EVENTS)
def test_a_replay_gives_the_same_rows_ids_included(events: list[Event]) -> None:
    assert _state([events], POLICY) == _state([events], POLICY)


def _statements(size: int) -> int:
    with _database() as connection:
        batch = [made(f"A{number}", severity=Severity.WARNING, group=str(number)) for number in range(size)]
        with heard(connection) as asked:
            _apply(connection, batch, POLICY)
            _apply(connection, [replace(one, effect=made(firing=False).effect) for one in batch], POLICY)
        return count(asked)


def test_a_batch_costs_the_same_number_of_statements_whatever_its_size() -> None:
    assert _statements(2) == _statements(200)


FAILURES = [fails(f"app-{number}", NOW + number) for number in range(8)]


def test_what_waits_in_a_cluster_that_stands_still_is_not_read_again() -> None:
    policy = replace(POLICY, edges=load_edges(None))
    with _database() as connection:
        _apply(connection, FAILURES[:7], policy)
        known = ledger.load(connection, Wanted.of(FAILURES[7:], policy))
        assert not known.incidents
        moving = ledger.load(connection, Wanted.of([ready("first", NOW + 8), *FAILURES[7:]], policy))
        assert len(moving.incidents) == 7


def test_what_waited_while_nothing_moved_is_one_message_as_soon_as_something_does() -> None:
    policy = replace(POLICY, edges=load_edges(None))
    events = [*FAILURES[:7], ready("first", NOW + 8), *FAILURES[7:]]
    at_once = _state([FAILURES[:7], events[7:]], policy)
    assert at_once == _state([[one] for one in events], policy)
    folded = metadata.tables["incidents"].columns.keys().index("folded_into")
    assert sum(row[folded] is not None for row in at_once["incidents"]) == 8


async def test_the_operators_rule_that_raises_keeps_the_relays_own_words(relay: Running) -> None:
    """A policy that raises at one alert raises at no other source's, so that the relay can still speak of it."""
    rule = SeverityRule(RaisingMatchers(), Severity.CRITICAL)
    configuration = relay.relay.live.configuration
    relay.relay.live.configuration = replace(
        configuration, policy=replace(configuration.policy, severity_rules=(rule,))
    )
    assert await relay.post("/alertmanager", group(alert("Poison", starts=relay.clock()))) == 202
    await relay.settled()
    (said,) = relay.messages()
    assert said.content.startswith("🛠️")
    assert Source.RELAY.value in said.text
