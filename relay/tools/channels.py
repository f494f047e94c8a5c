"""`relay channels` says how each Channel stands; what is parked is due again on demand, and a test goes to Discord by one request each.

All of it happens beside a relay that runs, in short transactions; its sender looks every few seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, assert_never

import aiohttp
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from relay.app import user_agent
from relay.config.load import load
from relay.config.model import suggestion
from relay.config.values import ChannelSettings, Configuration, Webhook
from relay.core import due, own
from relay.core.attention import ChannelPolicy, Loudness
from relay.core.card import Card, Form, Headline, Sign
from relay.core.event import Instant, Severity, Source
from relay.core.identity import BEGINS, handle_of
from relay.core.incident import Incident, Reason
from relay.core.known import Entry, Known, Wanted
from relay.core.outcome import MessageDeleted, Outcome, Refused, Sent, Throttled, Unavailable, WebhookDead
from relay.core.pace import MEMORY, Route
from relay.core.policy import Policy
from relay.core.posting import Posting
from relay.core.tree import Certainty
from relay.core.wording import duration
from relay.discord.client import DiscordClient
from relay.discord.message import Payload, render
from relay.reconcile.line import Host, Line
from relay.storage import delivery, ledger, lists
from relay.storage.engine import Database, UnusableDatabaseError, is_outage
from relay.tools import listing, terminal
from relay.tools.check import thresholds
from relay.tools.terminal import Ink, RefusedError, clean

CAP: Final = 1000
NAMED: Final = 10
"""Parked Postings of one Channel that are told one by one."""


# --- relay channels -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """One Channel: whether Discord takes what is posted there, and what waits. Without a `policy` it is no longer configured."""

    name: str
    policy: ChannelPolicy | None
    dead: bool
    due: int
    oldest_due: Instant | None
    parked: tuple[Posting, ...]
    shown_at: Instant | None


def standing(connection: Connection, policy: Policy, now: Instant) -> list[Standing]:
    """Those configured, in their order, then those removed in which something still waits."""
    oldest = dict(delivery.channels_due(connection, now))
    parked = lists.parked_postings(connection, CAP)
    shown = lists.last_shown(connection)
    dead = _dead(connection, policy, now)
    names = [*policy.channels, *sorted({*oldest, *(one.channel for one in parked)} - policy.channels.keys())]
    return [
        Standing(
            name,
            policy.channels.get(name),
            name in dead,
            delivery.due_count(connection, name, now, CAP),
            oldest.get(name),
            tuple(one for one in parked if one.channel == name),
            shown.get(name),
        )
        for name in names
    ]


def _dead(connection: Connection, policy: Policy, now: Instant) -> set[str]:
    """The Channels of which the relay says that their webhook is gone, and has not said otherwise since."""
    keys = {own.webhook_dead(name, now, policy).signal_key: name for name in policy.channels}
    return {keys[key] for key, signal in delivery.leads(connection, keys).items() if signal.keeps_open}


def told(found: Sequence[Standing], now: Instant) -> Iterator[terminal.Line | str]:
    """A few lines for each Channel; what is parked says why."""
    for one in found:
        ink, state = _state(one, now)
        yield [(Ink.BOLD, one.name), "  ", (ink, state)]
        shown = f"last shown {duration(now - one.shown_at)} ago" if one.shown_at is not None else "nothing shown yet"
        yield [(Ink.DIM, f"  {thresholds(one.policy) if one.policy else 'no longer configured'} · {shown}")]
        for posting in one.parked[:NAMED]:
            yield f"  parked {handle_of(posting.incident)}: {posting.parked}"
        if len(one.parked) > NAMED:
            yield f"  … and {len(one.parked) - NAMED} more parked"
    if any(one.parked and one.policy for one in found):
        yield [(Ink.DIM, "relay channels retry tries what is parked once more")]


def _state(one: Standing, now: Instant) -> tuple[Ink, str]:
    said = []
    if one.dead:
        said.append("its webhook is gone: give it a new URL, everything is kept")
    if one.due:
        waits = f", the oldest for {duration(now - one.oldest_due)}" if one.oldest_due is not None else ""
        said.append(f"{_capped(one.due)} due{waits}")
    if one.parked:
        said.append(f"{_capped(len(one.parked))} parked")
    if not said:
        return Ink.GREEN, "shows all it should"
    return (Ink.RED if one.dead or one.parked else Ink.YELLOW), "; ".join(said)


def _capped(count: int) -> str:
    return f"{count}+" if count >= CAP else str(count)


def as_json(found: Sequence[Standing]) -> list[dict[str, Any]]:
    """For programs: instants are seconds since the epoch."""
    return [
        {
            "name": one.name,
            "configured": one.policy is not None,
            "up": not one.dead,
            "due": one.due,
            "oldest_due": one.oldest_due,
            "parked": [
                {"incident": posting.incident, "handle": handle_of(posting.incident), "why": posting.parked}
                for posting in one.parked
            ],
            "last_shown": one.shown_at,
        }
        for one in found
    ]


# --- relay channels retry -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Retried:
    """What is parked no more, by Channel and Incident, and how many are, since their Channel is no longer configured."""

    postings: tuple[Posting, ...]
    left: int = 0


def retry(connection: Connection, what: Sequence[str], policy: Policy, now: Instant) -> Retried:
    """What is parked, all of it or that of the Channels and Incidents in `what`, is due again. Raises RefusedError."""
    parked = lists.parked_postings(connection, CAP)
    meant = [one for one in parked if not what or any(_means(word, one) for word in what)]
    for word in what:
        if not any(_means(word, one) for one in parked):
            raise RefusedError(f"nothing is parked that is called {clean(word)[:30]}: relay channels shows what is")
    known = ledger.load(connection, Wanted(), incidents={one.incident for one in meant})
    retried = []
    for one in meant:
        channel, incident = policy.channels.get(one.channel), known.incidents.get(one.incident)
        if channel is not None and incident is not None:
            retried.append(_retried(known, known.postings[one.incident, one.channel], incident, channel, now))
    ledger.save(connection, known)
    return Retried(tuple(retried), len(meant) - len(retried))


def _means(word: str, posting: Posting) -> bool:
    """By its Channel's name, or its Incident's id or the beginning that people call it by."""
    return word in (posting.channel, posting.incident) or (
        len(word) >= 4 and posting.incident[BEGINS:].startswith(word.lower())
    )


def _retried(known: Known, posting: Posting, incident: Incident, channel: ChannelPolicy, now: Instant) -> Posting:
    after = due.retried(posting, incident, channel, now)
    known.put_posting(after)
    known.journal.append(Entry(now, Reason.RETRIED, Source.RELAY, incident=incident.id, channel=posting.channel))
    return after


def told_retried(found: Retried) -> Iterator[str]:
    """What is due again, and what cannot be."""
    if not found.postings and not found.left:
        yield "Nothing is parked."
    for one in found.postings:
        again = "is tried once more" if one.due_at is not None else "is parked no more; there is nothing to show"
        yield f"{one.channel}  {handle_of(one.incident)} {again}"
    if found.left == 1:
        yield "1 card stays parked: its channel is no longer configured"
    elif found.left:
        yield f"{found.left} cards stay parked: their channels are no longer configured"


# --- relay channels test ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tested:
    """What Discord answered for one Channel."""

    channel: str
    outcome: Outcome

    @property
    def well(self) -> bool:
        return isinstance(self.outcome, Sent)


def test(env: Mapping[str, str], config: Path | None, names: Sequence[str]) -> list[Tested]:
    """One test card to each Channel, or to those named, one after the other. Raises ConfigError or RefusedError."""
    configuration = load(config, env)
    known = [channel.name for channel in configuration.channels]
    for name in names:
        if name not in known:
            others = suggestion(name, known) or f": there is {', '.join(known)}"
            raise RefusedError(f"there is no channel {clean(name)[:30]}{others}")
    chosen = [channel for channel in configuration.channels if not names or channel.name in names]
    return asyncio.run(_test(env, configuration, chosen))


async def _test(
    env: Mapping[str, str], configuration: Configuration, channels: Sequence[ChannelSettings]
) -> list[Tested]:
    async with AsyncExitStack() as parts:
        database = await _beside(env, parts)
        session = await parts.enter_async_context(aiohttp.ClientSession())
        client = DiscordClient(session, configuration.discord_api, user_agent())
        return [await _asked(client, database, configuration.policy, channel) for channel in channels]


async def _beside(env: Mapping[str, str], parts: AsyncExitStack) -> Database | None:
    """Where requests are written down, so that whoever paces them later knows; None before a relay has served."""
    try:
        return await parts.enter_async_context(listing.opened(env))
    except UnusableDatabaseError:
        return None
    except SQLAlchemyError as error:
        if not is_outage(error):
            raise
        return None


async def _asked(client: DiscordClient, database: Database | None, policy: Policy, channel: ChannelSettings) -> Tested:
    """One request, in its turn: what the relay posted here in the last seconds counts."""
    webhook = channel.webhook()
    payload = card(policy.channels[channel.name], policy.cluster, time.time())
    if database is None:
        return Tested(channel.name, await _sent(client, webhook, payload))
    now = time.time()
    line = Line(channel.name, webhook, Host())
    line.remember(await database.read(lambda c: delivery.recent_attempts(c, now - MEMORY)), now)
    await asyncio.sleep(line.ready_at(Route.POST, now) - now)
    attempt = await database.run(
        lambda c: delivery.begin_attempt(c, webhook=webhook.id, route=Route.POST, message_id=None, at=time.time()),
        exclusive=True,
    )
    outcome = await _sent(client, webhook, payload)
    word = type(outcome).__name__.lower()
    await database.run(lambda c: delivery.end_attempt(c, attempt, time.time(), word), exclusive=True)
    return Tested(channel.name, outcome)


async def _sent(client: DiscordClient, webhook: Webhook, payload: Payload) -> Outcome:
    outcome, _ = await client.send(webhook.id, webhook.token, payload, thread=webhook.thread)
    return outcome


def card(channel: ChannelPolicy, cluster: str, now: Instant) -> Payload:
    """A card that is none: it sounds as a problem would, calls nobody, and is never edited."""
    shown = Card(
        incident="test",
        handle="test",
        headline=Headline(Sign.RELAY, "relay", "reaches this channel"),
        severity=Severity.INFO,
        state="reaches this channel",
        why="This is a test, and no problem",
        certainty=Certainty.CONFIRMED,
        place=f"channel {channel.name}",
        since=now,
        notes=("sent by relay channels test", thresholds(channel)),
        cluster=cluster,
        sources=("relay",),
    )
    loudness = max(Loudness.QUIET, min(Loudness.NOTIFY, channel.loudness(Severity.CRITICAL)))
    return render(((shown, Form.FULL),), loudness=loudness)


def told_tests(found: Sequence[Tested]) -> Iterator[terminal.Line]:
    """A line for each Channel."""
    for name, one in zip(terminal.table([[one.channel, ""] for one in found]), found, strict=True):
        yield [(Ink.BOLD, name[0]), (Ink.GREEN if one.well else Ink.RED, answered(one.outcome))]


def answered(outcome: Outcome) -> str:
    """What Discord answered, in words, and what to do about it."""
    match outcome:
        case Sent(message_id=message):
            return f"Discord shows it: message {message}" if message else "Discord took it"
        case Throttled(scope=scope, seconds=seconds):
            return f"Discord asks to wait {duration(max(1.0, seconds))} ({scope.value} limit): it is up, try again then"
        case Unavailable(why=why, host=True):
            return f"not Discord answers but its edge ({why}): this address is kept out for a while"
        case Unavailable(why=why):
            return f"Discord does not answer ({why}): is it reached from here, by DNS and port 443?"
        case Refused(why=why):
            return f"Discord refuses it: {why}"
        case WebhookDead(code=code):
            return f"the webhook is gone ({code}): make a new one in Discord, and give the channel its URL"
        case MessageDeleted():
            return "Discord knows no such message"
        case _:
            assert_never(outcome)
