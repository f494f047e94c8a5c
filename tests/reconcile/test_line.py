"""What a Line remembers of what it sent, so that no more is read than has room."""

from __future__ import annotations

from relay.config.secrets import Secret
from relay.config.values import Webhook
from relay.core.card import Form
from relay.core.packing import CAPACITY
from relay.reconcile.line import Host, Line


def line() -> Line:
    return Line("ops", Webhook("1", Secret("opens-nothing")), Host())


def test_all_that_may_share_a_message_are_read_until_one_was_full() -> None:
    one = line()
    assert one.room(Form.GROUPED) == CAPACITY[Form.GROUPED]
    one.held(Form.GROUPED, shown=600, asked=600)
    assert one.room(Form.GROUPED) == CAPACITY[Form.GROUPED]


def test_after_a_full_message_a_few_more_are_read_than_it_held_and_all_again_once_they_had_room() -> None:
    one = line()
    one.held(Form.GROUPED, shown=320, asked=600)
    assert one.room(Form.GROUPED) == 368
    assert one.room(Form.LINE) == CAPACITY[Form.LINE], "another form has a room of its own"
    one.held(Form.GROUPED, shown=368, asked=368)
    assert one.room(Form.GROUPED) == CAPACITY[Form.GROUPED]


def test_never_more_are_read_than_may_share_a_message() -> None:
    one = line()
    one.held(Form.GROUPED, shown=590, asked=600)
    assert one.room(Form.GROUPED) == CAPACITY[Form.GROUPED]
