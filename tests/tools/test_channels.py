"""`relay channels`: how each stands, what is parked and tried once more, and what Discord answers to a test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import Connection

from relay.core import joining, own
from relay.core.attention import ChannelPolicy
from relay.core.event import Event, Source
from relay.core.incident import Incident, Reason
from relay.core.known import Known, Wanted
from relay.core.outcome import (
    MessageDeleted,
    Outcome,
    Refused,
    Remedy,
    Scope,
    Sent,
    Throttled,
    Unavailable,
    WebhookDead,
)
from relay.core.pace import MEMORY
from relay.core.posting import Degraded, Posting
from relay.demo.discord import StandIn
from relay.storage import delivery, ledger, lists
from relay.tools import channels
from relay.tools.listing import looked_up, written
from relay.tools.terminal import RefusedError, spelled
from tests.storage import reading
from tests.tools.payloads import NOW, alert, alertmanager, flux
from tests.tools.test_listing import POLICY, events

SUPPRESSED = 1 << 12
WHY = "50035 embeds.0.title BASE_TYPE_MAX_LENGTH"


def read(lines: object) -> str:
    return "\n".join(spelled(line, colour=False) for line in lines)  # type: ignore[attr-defined]


def take(env: Mapping[str, str], *given: Event) -> Known:
    known = Known()
    for event in given:
        joining.take(known, event, POLICY)
    written(env, lambda c: ledger.save(c, known))
    return known


def park(env: Mapping[str, str], incident: Incident, channel: str, **more: Any) -> Posting:  # noqa: ANN401  # a Posting's
    """As a refusal in the plainest form leaves it."""

    def work(connection: Connection) -> Posting:
        posting = ledger.load(connection, Wanted(), incidents=[incident.id]).postings[incident.id, "ops"]
        after = replace(posting, channel=channel, parked=WHY, due_at=None, degraded=Degraded.PLAIN, **more)
        delivery.save_posting(connection, after)
        return after

    return written(env, work)


@pytest.fixture
def incident(beside: Mapping[str, str]) -> Incident:
    """An open one, due in both channels."""
    known = take(beside, *events(Source.ALERTMANAGER, alertmanager(alert())))
    (one,) = known.incidents.values()
    return one


def stands(env: Mapping[str, str], now: float = NOW + 120) -> list[channels.Standing]:
    return looked_up(env, lambda c: channels.standing(c, POLICY, now))


# --- how they stand -----------------------------------------------------------------------------------------------------


def test_a_channel_says_what_is_due_parked_dead_and_last_shown(beside: Mapping[str, str], incident: Incident) -> None:
    take(beside, *events(Source.FLUX, flux()), own.webhook_dead("log", NOW, POLICY))
    park(beside, incident, "gone")
    park(beside, incident, "ops", shown_at=NOW + 60)
    text = read(channels.told(stands(beside), NOW + 120))
    assert [one.name for one in stands(beside)] == ["ops", "log", "gone"]
    assert "ops  2 due, the oldest for 2 min; 1 parked" in text
    assert "page: critical, notify: error, show: warning · last shown 1 min ago" in text
    assert f"parked {incident.handle}: {WHY}" in text
    assert "log  its webhook is gone" in text
    assert "no longer configured · nothing shown yet" in text
    assert text.endswith("relay channels retry tries what is parked once more")


def test_a_webhook_that_is_back_is_not_dead(beside: Mapping[str, str]) -> None:
    take(beside, own.webhook_dead("log", NOW, POLICY))
    assert [one.dead for one in stands(beside)] == [False, True]

    def back(connection: Connection) -> None:
        event = own.webhook_back("log", NOW + 1, POLICY)
        known = ledger.load(connection, Wanted.of([event], POLICY))
        joining.take(known, event, POLICY)
        ledger.save(connection, known)

    written(beside, back)
    assert [one.dead for one in stands(beside)] == [False, False]


def test_what_else_the_relay_says_of_itself_is_no_dead_webhook(beside: Mapping[str, str]) -> None:
    """A heartbeat may be called as a channel is."""
    take(beside, own.heartbeat_silent("ops", Source.FLUX, NOW - 900, 300, NOW, POLICY, everybody=False))
    assert not any(one.dead for one in stands(beside))


def test_a_channel_with_nothing_to_do_shows_all_it_should(beside: Mapping[str, str]) -> None:
    assert read(channels.told(stands(beside), NOW)).startswith("ops  shows all it should")


def test_programs_get_the_same(beside: Mapping[str, str], incident: Incident) -> None:
    park(beside, incident, "ops")
    ops, log = json.loads(json.dumps(channels.as_json(stands(beside))))
    assert ops == {
        "name": "ops",
        "configured": True,
        "up": True,
        "due": 0,
        "oldest_due": None,
        "parked": [{"incident": incident.id, "handle": incident.handle, "why": WHY}],
        "last_shown": None,
    }
    assert (log["due"], log["oldest_due"]) == (1, NOW)


# --- retry --------------------------------------------------------------------------------------------------------------


def retry(env: Mapping[str, str], *what: str) -> channels.Retried:
    return written(env, lambda c: channels.retry(c, what, POLICY, NOW + 300))


def test_what_was_parked_is_due_again_as_if_never_refused_and_the_journal_says_so(
    beside: Mapping[str, str], incident: Incident
) -> None:
    park(beside, incident, "ops")
    found = retry(beside)
    assert read(channels.told_retried(found)) == f"ops  {incident.handle} is tried once more"
    posting = looked_up(beside, partial(reading.load_posting, key=(incident.id, "ops")))
    assert posting is not None
    assert (posting.parked, posting.due_at, posting.degraded, posting.tries) == ("", NOW + 300, Degraded.NO, 0)
    last = looked_up(beside, partial(lists.journal_of, incident=incident.id, limit=9))[-1]
    assert (last.reason, last.incident, last.channel) == (Reason.RETRIED, incident.id, "ops")
    assert read(channels.told_retried(retry(beside))) == "Nothing is parked."


@pytest.mark.parametrize("how", ["channel", "handle", "id", "longer"])
def test_only_what_is_named_is_tried(beside: Mapping[str, str], incident: Incident, how: str) -> None:
    known = take(beside, *events(Source.FLUX, flux()))
    (other,) = known.incidents.values()
    park(beside, incident, "ops")
    park(beside, other, "log")
    word = {"channel": "ops", "handle": incident.handle, "id": incident.id, "longer": incident.id[8:20]}[how]
    assert [(one.channel, one.incident) for one in retry(beside, word).postings] == [("ops", incident.id)]
    assert [one.channel for one in looked_up(beside, partial(lists.parked_postings, limit=9))] == ["log"]


def test_what_names_nothing_that_is_parked_changes_nothing(beside: Mapping[str, str], incident: Incident) -> None:
    park(beside, incident, "ops")
    for wrong in ("log", "zzzz", "", "k7\x1b[31m"):
        with pytest.raises(RefusedError, match="nothing is parked that is called"):
            retry(beside, "ops", wrong)
    assert len(looked_up(beside, partial(lists.parked_postings, limit=9))) == 1


def test_what_belongs_to_a_channel_that_is_gone_stays(beside: Mapping[str, str], incident: Incident) -> None:
    park(beside, incident, "gone")
    found = retry(beside)
    assert (found.postings, found.left) == ((), 1)
    assert read(channels.told_retried(found)) == "1 card stays parked: its channel is no longer configured"


def test_what_is_over_and_was_never_shown_is_told_as_what_came_and_went(
    beside: Mapping[str, str], incident: Incident
) -> None:
    def over(connection: Connection) -> None:
        known = ledger.load(connection, Wanted(), incidents=[incident.id])
        joining.close(known, known.incidents[incident.id], Reason.RESOLVED, NOW + 60, POLICY)
        ledger.save(connection, known)

    written(beside, over)
    park(beside, incident, "ops")
    (posting,) = retry(beside, "ops").postings
    assert posting.due_at == NOW + 300


# --- test ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def standin() -> StandIn:
    made = StandIn()
    made.add_webhook("11", "token", "20", "30")
    made.add_webhook("12", "other", "21", "30")
    return made


@pytest.fixture
async def api(standin: StandIn) -> AsyncIterator[str]:
    async with standin.running() as address:
        yield address


@pytest.fixture
def secrets(config: Path, api: str) -> Path:
    for name, path in (("a", "11/token"), ("b", "12/other")):
        (config.parent / name).write_text(f"{api}/webhooks/{path}\n")
    return config


async def asked(env: Mapping[str, str], config: Path, api: str, *names: str) -> list[channels.Tested]:
    return await asyncio.to_thread(channels.test, {**env, "RELAY_DISCORD_API": api}, config, names)


async def test_each_channel_is_asked_once_and_shows_a_card_that_calls_nobody(
    tmp_path: Path, secrets: Path, api: str, standin: StandIn
) -> None:
    """Before any relay has served there is no database, and none is made."""
    found = await asked({"RELAY_DATABASE_URL": f"sqlite:///{tmp_path}/relay.db"}, secrets, api)
    assert all(one.well for one in found)
    (ops,), (log,) = standin.messages("20"), standin.messages("21")
    assert ops.content == log.content == "🛠️ relay reaches this channel"
    said = read(channels.told_tests(found))
    assert said.splitlines() == [f"ops  Discord shows it: message {ops.id}", f"log  Discord shows it: message {log.id}"]
    assert [request.method for request in standin.requests] == ["POST", "POST"]
    assert [push.channel_id for push in standin.pushes] == ["20", "21"]
    assert not (tmp_path / "relay.db").exists()


def test_a_channel_in_which_nothing_sounds_gets_its_test_without_a_sound() -> None:
    silent = ChannelPolicy("log", page=None, notify=None, show=None)
    assert json.loads(channels.card(silent, "homelab", NOW).body)["flags"] == SUPPRESSED
    assert "flags" not in json.loads(channels.card(ChannelPolicy("ops"), "homelab", NOW).body)


async def test_only_those_that_are_named_are_asked(tmp_path: Path, secrets: Path, api: str, standin: StandIn) -> None:
    await asked({"RELAY_DATABASE_URL": f"sqlite:///{tmp_path}/relay.db"}, secrets, api, "log")
    assert (len(standin.messages("20")), len(standin.messages("21"))) == (0, 1)
    with pytest.raises(RefusedError, match="there is no channel opps; did you mean ops"):
        await asked({}, secrets, api, "opps")
    assert len(standin.requests) == 1


async def test_it_waits_its_turn_after_what_the_relay_posted_and_is_counted_by_whom_comes_next(
    beside: Mapping[str, str], secrets: Path, api: str, standin: StandIn
) -> None:
    for _ in range(2):
        await asked(beside, secrets, api, "ops")
    began = monotonic()
    for _ in range(3):
        await asked(beside, secrets, api, "ops")
    assert monotonic() - began > 0.2
    attempts = await asyncio.to_thread(looked_up, beside, lambda c: delivery.recent_attempts(c, 0.0))
    assert [(one.webhook, one.route, one.outcome) for one in attempts] == [("11", "post", "sent")] * 5
    assert all(one.ended_at is not None and one.ended_at - one.at < MEMORY for one in attempts)
    standin.assert_no_429()


async def test_what_discord_does_not_take_is_said_and_is_negative(
    beside: Mapping[str, str], secrets: Path, api: str, standin: StandIn
) -> None:
    standin.remove_webhook("11")
    standin.fault("status", status=502)
    found = await asked(beside, secrets, api)
    standin.faults.clear()
    again = await asked(beside, secrets, api)
    assert not any(one.well for one in found[:1])
    assert "does not answer (HTTP 502)" in read(channels.told_tests(found))
    assert "ops  the webhook is gone (10015): make a new one in Discord" in read(channels.told_tests(again))
    assert [one.well for one in again] == [False, True]


@pytest.mark.parametrize(
    "outcome,says",
    [
        (Sent("1"), "Discord shows it: message 1"),
        (Sent(None), "Discord took it"),
        (Throttled(Scope.SHARED, 0.3), "Discord asks to wait 1 s (shared limit)"),
        (Unavailable("HTTP 429 from the edge", host=True), "not Discord answers but its edge (HTTP 429 from the edge)"),
        (Unavailable("ClientConnectorError"), "Discord does not answer (ClientConnectorError)"),
        (Refused(220001, "220001", Remedy.CONFIGURE), "Discord refuses it: 220001"),
        (WebhookDead(10015), "the webhook is gone (10015)"),
        (MessageDeleted(), "Discord knows no such message"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_answer_has_its_words(outcome: Outcome, says: str) -> None:
    assert channels.answered(outcome).startswith(says)
