"""What the sender finds due, in which order, and what it records."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from relay.core.card import Form
from relay.core.event import Severity
from relay.core.known import Known, Wanted
from relay.core.packing import Mention
from relay.core.posting import Message, Placement, Posting
from relay.core.signal import State
from relay.storage import delivery
from relay.storage.delivery import Attempt, DuePosting, Standing, Taking
from relay.storage.engine import Database
from relay.storage.ledger import load, save
from tests.storage import reading, samples
from tests.storage.samples import NOW

P = ParamSpec("P")
T = TypeVar("T")


async def posted(database: Database, *postings: Posting) -> None:
    known = Known()
    for posting in postings:
        known.put_posting(posting)
        known.put_incident(samples.incident(posting.incident))
    await database.run(partial(save, known=known), exclusive=True)


async def new(database: Database, channel: str = "ops", **more: Any) -> Message:  # noqa: ANN401  # The value's own fields.
    def work(connection: Connection) -> Message:
        fresh = delivery.new_message(connection, channel=channel, webhook="123", created_at=NOW, thread=None)
        changed = replace(fresh, **more)
        delivery.update_message(connection, changed)
        return changed

    return await database.run(work)


async def ask(
    database: Database, what: Callable[Concatenate[Connection, P], T], *arguments: P.args, **named: P.kwargs
) -> T:
    return await database.read(lambda connection: what(connection, *arguments, **named))


# --- what is due --------------------------------------------------------------------------------------------------------


async def test_what_ranks_first_is_sent_first_and_the_oldest_first_within_a_rank(database: Database) -> None:
    await posted(
        database,
        samples.posting("edit", due_at=NOW - 900, rank=20),
        samples.posting("page-late", due_at=NOW - 1, rank=0),
        samples.posting("page-early", due_at=NOW - 2, rank=0),
        samples.posting("page-not-yet", due_at=NOW + 1, rank=0),
        samples.posting("nothing", due_at=None),
        samples.posting("elsewhere", "deploys", due_at=NOW - 999, rank=0),
    )
    order = [due.posting.incident for due in await ask(database, delivery.due_postings, "ops", NOW, 10)]
    assert order == ["page-early", "page-late", "edit"]
    (first,) = await ask(database, delivery.due_postings, "ops", NOW, 1)
    assert first == DuePosting(
        samples.posting("page-early", due_at=NOW - 2, rank=0), samples.incident("page-early"), None
    )
    assert await ask(database, delivery.due_postings, "ops", NOW - 1000, 1) == []


async def test_what_needs_a_new_message_is_found_and_counted_apart_from_edits_and_ends(database: Database) -> None:
    await posted(
        database,
        samples.posting("page", due_at=NOW, rank=0),
        samples.posting("open", due_at=NOW, rank=13),
        samples.posting("edit", due_at=NOW, rank=20),
        samples.posting("end", due_at=NOW, rank=30),
        samples.posting("end-later", due_at=NOW + 1, rank=30),
    )
    for ranks, names in (
        (delivery.PAGES, ["page"]),
        (delivery.OPENS, ["open"]),
        (delivery.ENDS, ["end"]),
        (range(100), ["page", "open", "edit", "end"]),
    ):
        found = await ask(database, delivery.due_postings, "ops", NOW, 10, ranks)
        assert [due.posting.incident for due in found] == names
        assert await ask(database, delivery.due_of, "ops", NOW, 10, ranks) == len(names)
    assert await ask(database, delivery.due_of, "ops", NOW, 2, range(100)) == 2


async def test_the_edit_that_has_waited_longest_is_first_however_bad_others_are(database: Database) -> None:
    assert await ask(database, delivery.oldest_edit, "ops", NOW) is None
    await posted(
        database,
        samples.posting("worst", due_at=NOW - 1, rank=20),
        samples.posting("oldest", due_at=NOW - 9, rank=23),
        samples.posting("later", due_at=NOW + 9, rank=20),
        samples.posting("page", due_at=NOW - 99, rank=0),
    )
    first = await ask(database, delivery.oldest_edit, "ops", NOW)
    assert first is not None
    assert first.posting.incident == "oldest"


async def test_nothing_is_due_in_a_channel_that_was_left(database: Database) -> None:
    await posted(
        database, samples.posting("here", due_at=NOW), samples.posting("there", "deploys", due_at=NOW, end_due_at=NOW)
    )
    await new(database, "deploys", due_at=NOW)
    await database.run(partial(delivery.leave_channels, kept=["ops"]))
    assert await ask(database, delivery.channels_waiting) == [("ops", NOW)]
    left = await ask(database, reading.load_posting, ("there", "deploys"))
    assert left is not None
    assert left.closed
    assert left.end_due_at is None


async def test_what_another_webhook_posted_is_found_while_it_is_open(database: Database) -> None:
    old, own = await new(database), await new(database, webhook="456")
    await posted(database, samples.posting("old", message=old.id), samples.posting("own", message=own.id))
    found = await ask(database, delivery.standing_elsewhere, "ops", "456", None)
    assert [(posting.incident, incident.id) for posting, incident in found] == [("old", "old")]
    found = await ask(database, delivery.standing_elsewhere, "ops", "456", "77")
    assert {posting.incident for posting, _ in found} == {"old", "own"}, "another thread is another place"


async def test_what_is_due_comes_with_the_message_that_shows_it(database: Database) -> None:
    message = await new(database, discord_id="99", digest="abc")
    posting = samples.posting("a", due_at=NOW, message=message.id, shown=1, wanted=2)
    await posted(database, posting)
    assert await ask(database, delivery.due_postings, "ops", NOW, 1) == [
        DuePosting(posting, samples.incident("a"), message)
    ]


async def test_the_message_that_has_waited_longest_for_its_own_edit_is_first(database: Database) -> None:
    late = await new(database, due_at=NOW - 5)
    first = await new(database, due_at=NOW - 500, jump_to=7)
    await new(database, due_at=NOW + 1)
    assert await ask(database, delivery.next_message, "ops", NOW) == first
    await database.run(partial(delivery.update_message, message=replace(first, due_at=None)))
    assert await ask(database, delivery.next_message, "ops", NOW) == late
    assert await ask(database, delivery.next_message, "deploys", NOW) is None


async def test_counting_what_is_due_stops_at_the_cap(database: Database) -> None:
    await posted(database, *(samples.posting(f"i{n}", due_at=NOW + n) for n in range(6)))
    assert await ask(database, delivery.due_count, "ops", NOW + 3, 100) == 4
    assert await ask(database, delivery.due_count, "ops", NOW + 3, 3) == 3
    assert await ask(database, delivery.due_count, "deploys", NOW + 3, 3) == 0


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(waiting=st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 9), st.booleans()), max_size=12))
async def test_channels_that_wait_are_those_with_something_due_and_since_when(
    database: Database, waiting: list[tuple[str, int, bool]]
) -> None:
    def work(connection: Connection) -> tuple[Any, Any, Any]:
        connection.exec_driver_sql("DELETE FROM postings")
        connection.exec_driver_sql("DELETE FROM messages")
        for number, (channel, wait, is_message) in enumerate(waiting):
            if is_message:
                fresh = delivery.new_message(connection, channel=channel, webhook="1", created_at=NOW)
                delivery.update_message(connection, replace(fresh, due_at=NOW + wait))
            else:
                delivery.save_posting(connection, samples.posting(f"i{number}", channel, due_at=NOW + wait))
        return (
            dict(delivery.channels_waiting(connection)),
            delivery.channels_due(connection, NOW + 5),
            delivery.earliest_due(connection),
        )

    earliest = {c: min(NOW + w for channel, w, _ in waiting if channel == c) for c, _, _ in waiting}
    all_of_them, due, first = await database.run(work)
    assert all_of_them == earliest
    assert dict(due) == {c: at for c, at in earliest.items() if at <= NOW + 5}
    assert [at for _, at in due] == sorted(at for _, at in due)
    assert first == min(earliest.values(), default=None)


# --- what is shown ------------------------------------------------------------------------------------------------------


async def test_members_come_firing_first_worst_first_oldest_first(database: Database) -> None:
    known = Known()
    for signal in (
        samples.signal("resolved", incident="i", state=State.RESOLVED, severity=Severity.CRITICAL),
        samples.signal("held", incident="i", state=State.HELD, severity=Severity.CRITICAL),
        samples.signal("young", incident="i", since=NOW, severity=Severity.ERROR),
        samples.signal("old", incident="i", since=NOW - 5, severity=Severity.ERROR),
        samples.signal("worst", incident="i", severity=Severity.CRITICAL),
        samples.signal("superseded", incident="i", severity=Severity.CRITICAL, superseded=True),
        samples.signal("stranger", incident="j"),
    ):
        known.put_signal(signal)
    await database.run(partial(save, known=known))
    order = [signal.key for signal in await ask(database, delivery.members, "i")]
    assert order == ["worst", "old", "young", "superseded", "held", "resolved"]
    assert [signal.key for signal in await ask(database, delivery.members, "i", 2)] == ["worst", "old"]


# --- Postings -----------------------------------------------------------------------------------------------------------


async def test_what_the_writer_wants_while_a_request_is_under_way_is_not_lost(database: Database) -> None:
    await posted(database, samples.posting("i", wanted=1, due_at=NOW))
    (due,) = await ask(database, delivery.due_postings, "ops", NOW, 1)
    rendered = due.posting.wanted

    def write(connection: Connection) -> None:
        known = load(connection, Wanted(), incidents=["i"])
        posting = known.postings["i", "ops"]
        known.put_posting(replace(posting, wanted=posting.wanted + 1, pages_owed=posting.pages_owed + 1))
        save(connection, known)

    def settle(connection: Connection) -> None:
        posting = reading.load_posting(connection, ("i", "ops"))
        assert posting is not None
        still_due = posting.due_at if posting.wanted > rendered else None
        delivery.save_posting(connection, replace(posting, shown=rendered, due_at=still_due))

    await database.run(write, exclusive=True)
    await database.run(settle, exclusive=True)
    expected = samples.posting("i", wanted=2, shown=1, pages_owed=1, due_at=NOW)
    assert await ask(database, reading.load_posting, ("i", "ops")) == expected
    assert await ask(database, reading.load_posting, ("i", "deploys")) is None


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(postings=st.lists(samples.postings, max_size=4, unique_by=lambda posting: (posting.incident, posting.channel)))
async def test_postings_are_read_as_they_were_settled(database: Database, postings: list[Posting]) -> None:
    def work(connection: Connection) -> list[Posting | None]:
        delivery.save_postings(connection, postings)
        return [reading.load_posting(connection, (posting.incident, posting.channel)) for posting in postings]

    assert await database.run(work) == postings


# --- Messages -----------------------------------------------------------------------------------------------------------


async def test_a_message_is_read_as_it_was_written(database: Database) -> None:
    first = await new(database)
    assert first == Message(id=first.id, channel="ops", webhook="123", created_at=NOW)
    second = await new(
        database,
        "deploys",
        discord_id="1",
        discord_channel="2",
        thread="3",
        digest="d",
        due_at=NOW,
        jump_to=first.id,
    )
    assert second.id > first.id
    assert await ask(database, reading.message_by_id, second.id) == second
    assert await ask(database, reading.message_by_id, first.id) == first
    assert await ask(database, reading.message_by_id, 10**12) is None


async def test_an_id_of_ours_is_never_given_again(database: Database) -> None:
    first = await new(database)
    await database.run(lambda c: c.exec_driver_sql("DELETE FROM messages"))
    assert (await new(database)).id > first.id


def standing(*incidents: str, form: Form = Form.LINE) -> list[Placement]:
    return [Placement(incident, "ops", form, position) for position, incident in enumerate(incidents)]


async def test_what_stands_in_a_message_is_exactly_what_was_placed_last(database: Database) -> None:
    message = await new(database)
    for placed in (standing("b", "a", "c"), standing("c", "b", form=Form.COMPACT), standing()):
        await database.run(partial(delivery.place, message_id=message.id, standing=placed))
        assert await ask(database, delivery.placements_of, message.id) == placed


async def test_a_posting_knows_every_message_it_stands_in(database: Database) -> None:
    old, fresh = await new(database), await new(database)
    await database.run(lambda c: delivery.place(c, old.id, standing("a", form=Form.POINTER)))
    await database.run(lambda c: delivery.place(c, fresh.id, standing("a", form=Form.FULL)))
    assert await ask(database, reading.messages_of, ("a", "ops")) == [(old, Form.POINTER), (fresh, Form.FULL)]
    assert await ask(database, reading.messages_of, ("a", "deploys")) == []


async def test_a_message_that_is_gone_is_due_no_more_and_says_what_stood_in_it(database: Database) -> None:
    message = await new(database, due_at=NOW)
    await database.run(lambda c: delivery.place(c, message.id, standing("a", "b")))
    assert await database.run(partial(delivery.forget_message, message_id=message.id)) == standing("a", "b")
    assert await ask(database, reading.message_by_id, message.id) == replace(message, gone=True, due_at=None)
    assert await ask(database, delivery.placements_of, message.id) == []
    assert await ask(database, delivery.next_message, "ops", NOW) is None


async def test_what_stands_in_a_message_is_found_as_it_is_now_in_its_order(database: Database) -> None:
    message = await new(database)
    await posted(database, *(samples.posting(name, message=message.id) for name in "abc"))
    await database.run(partial(delivery.place, message_id=message.id, standing=standing("b", "a")))
    assert await ask(database, delivery.next_position, message.id) == 2
    await database.run(partial(delivery.add_to, message_id=message.id, more=[Placement("c", "ops", Form.LINE, 2)]))
    stood = await ask(database, delivery.standing_in, message.id)
    assert stood == [
        Standing(
            Placement(name, "ops", Form.LINE, at), samples.posting(name, message=message.id), samples.incident(name)
        )
        for at, name in enumerate("bac")
    ]
    await database.run(partial(delivery.take_from, message_id=message.id, incident_ids=["b", "a"]))
    assert [each.incident.id for each in await ask(database, delivery.standing_in, message.id)] == ["c"]
    assert await ask(database, delivery.next_position, message.id + 1) == 0


async def test_messages_with_room_are_found_with_their_form_and_how_many_stand_there(database: Database) -> None:
    room, _, elsewhere = await new(database, takes="page"), await new(database), await new(database, takes="notify")
    await database.run(partial(delivery.update_message, message=replace(elsewhere, webhook="456")))
    placed = [Placement("a", "ops", Form.POINTER), Placement("b", "ops", Form.LINE, 1)]
    await database.run(partial(delivery.place, message_id=room.id, standing=placed))
    assert await ask(database, delivery.taking, "ops", "123") == [Taking(room, Form.LINE, 2)]
    await database.run(partial(delivery.take_no_more, message_ids=[room.id]))
    assert await ask(database, delivery.taking, "ops", "123") == []


async def test_a_channel_knows_when_it_last_called_and_for_how_bad_a_thing(database: Database) -> None:
    assert await ask(database, delivery.last_mention, "ops") is None
    await new(database, created_at=NOW - 9, mentioned=Severity.CRITICAL)
    await new(database, created_at=NOW - 5, mentioned=Severity.ERROR)
    await new(database, created_at=NOW)
    await new(database, "deploys", created_at=NOW, mentioned=Severity.CRITICAL)
    assert await ask(database, delivery.last_mention, "ops") == Mention(NOW - 5, Severity.ERROR)


async def test_the_edits_of_one_message_are_put_off_together_and_nothing_else(database: Database) -> None:
    message, other = await new(database), await new(database)
    await posted(
        database,
        samples.posting("edit", message=message.id, due_at=NOW, rank=21),
        samples.posting("later", message=message.id, due_at=NOW + 99, rank=21),
        samples.posting("page", message=message.id, due_at=NOW, rank=0),
        samples.posting("other", message=other.id, due_at=NOW, rank=21),
    )
    await database.run(partial(delivery.put_off, channel="ops", message_id=message.id, until=NOW + 7))
    after = await ask(database, delivery.load_postings, "ops", ["edit", "later", "page", "other", "nobody"])
    assert {name: posting.due_at for name, (posting, _) in after.items()} == {
        "edit": NOW + 7, "later": NOW + 99, "page": NOW, "other": NOW,
    }  # fmt: skip


async def test_pages_that_another_channel_knows_nothing_of_are_found_worst_first(database: Database) -> None:
    await posted(
        database,
        samples.posting("bad", due_at=NOW, rank=1),
        samples.posting("worst", due_at=NOW, rank=0),
        samples.posting("known", due_at=NOW, rank=0),
        samples.posting("known", "deploys"),
        samples.posting("open", due_at=NOW, rank=10),
    )
    found = await ask(database, delivery.pages_not_in, "ops", "deploys", 9)
    assert [posting.incident for posting, _ in found] == ["worst", "bad"]


# --- attempts -----------------------------------------------------------------------------------------------------------


async def test_an_attempt_without_an_answer_is_known_as_such(database: Database) -> None:
    def work(connection: Connection) -> tuple[int, int]:
        delivery.begin_attempt(connection, webhook="1", route="post", message_id=None, at=NOW - 200)
        answered = delivery.begin_attempt(connection, webhook="1", route="edit", message_id=5, at=NOW - 20)
        lost = delivery.begin_attempt(connection, webhook="2", route="post", message_id=6, at=NOW - 10)
        delivery.end_attempt(connection, answered, NOW - 19, "sent")
        return answered, lost

    answered, lost = await database.run(work)
    assert await ask(database, delivery.recent_attempts, NOW - 120) == [
        Attempt(answered, "1", "edit", 5, NOW - 20, NOW - 19, "sent"),
        Attempt(lost, "2", "post", 6, NOW - 10, None, ""),
    ]
