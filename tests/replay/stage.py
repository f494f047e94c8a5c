"""Plays a scenario through real HTTP into a real relay with a Discord stand-in, by a clock that goes from one thing to the next.

No time passes unused: before it moves on, all that is due by now has been applied and shown; then it goes to the next deadline, the next
delivery, or five minutes ahead, whichever comes first, and waits until the relay has looked what that makes due.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, select

from relay.core.event import Instant
from relay.demo.discord import Message, Push, StandIn
from relay.storage import delivery, ledger, lists
from relay.storage.tables import messages, placements
from relay.tools.recorded import Recorded
from tests.path.stage import ROLE, Clock, Place, Running, event, relay_at, rfc3339
from tests.replay.story import Checkpoint, Scenario

CHANNELS: Final = {"ops": ("11", "token", "20"), "deploys": ("12", "other", "21")}
"""Webhook, its token, and the Discord channel behind it."""
CONFIGURATION: Final = """\
cluster: homelab
sources:
  flux: {hmac_key_file: flux-hmac}
  alertmanager: {bearer_token_file: token}
channels:
  ops: {webhook_url_file: discord-ops, mention: ["<@&1234>"]}
"""
BEFORE: Final = 1800.0
"""Seconds for which the relay has listened when the story begins: what it hears of is news then."""
SLICE: Final = 300.0
"""Seconds that pass at once, at most: what the relay looks for without a deadline is found within them."""
STALLED: Final = 0.5
"""Real seconds in which nothing was done while something was due: it waits for Discord's budget, which needs time."""
AGAIN: Final = 0.05
"""Real seconds of the same once that is known."""
BUDGET: Final = 1.0
"""Seconds that pass then."""
PATIENCE: Final = 60.0
"""Real seconds for what is due at one instant."""


@dataclass(slots=True)
class Played:
    """All that happened: what a person saw and heard, when, and how it looked at each checkpoint."""

    scenario: Scenario
    began: Instant
    events: int = 0
    """What senders told: events of Flux, and each alert of each notification."""
    deliveries: int = 0
    beats: int = 0
    """Deliveries that are health beats, which no chat relay would post."""
    messages: dict[str, list[Message]] = field(default_factory=dict)
    """By channel."""
    pushes: list[Push] = field(default_factory=list)
    edits: Counter[str] = field(default_factory=Counter)
    """By Discord's id of the message."""
    forms: dict[str, set[str]] = field(default_factory=dict)
    """Discord's id of a message → the forms in which it shows Incidents."""
    looked: list[tuple[Checkpoint, dict[str, str]]] = field(default_factory=list)
    """What each message of ops said then, by its id."""
    left_open: list[str] = field(default_factory=list)
    """The Incidents that are open at the end, and stand for themselves."""
    answers: Counter[int] = field(default_factory=Counter)
    parked: list[str] = field(default_factory=list)
    seconds: float = 0.0
    """Real ones."""


async def play(scenario: Scenario, folder: Path) -> Played:
    """Play `scenario` on a database of its own in `folder`."""
    began = time.monotonic()
    sent = scenario.sent()
    first = next(sent)
    clock = Clock(first.at - BEFORE - time.time())
    standin = StandIn(clock=clock)
    for name, (webhook, token, channel) in CHANNELS.items():
        standin.add_webhook(webhook, token, channel, "30", channel_name=name)
    standin.add_role(ROLE, "oncall")
    async with AsyncExitStack() as parts:
        api = await parts.enter_async_context(standin.running())
        place = Place(folder, standin, api, clock)
        place.file.write_text(scenario.configuration or CONFIGURATION)
        stage = Stage(await parts.enter_async_context(relay_at(place)), Played(scenario, first.at))
        await stage.ready()
        if scenario.heard:
            await stage.greet()
        await stage.tell(_with(first, sent))
        await stage.close()
    standin.assert_never_two_in_flight_per_webhook()
    standin.assert_no_429()
    stage.played.seconds = time.monotonic() - began
    return stage.played


def _with(first: Recorded, others: Iterator[Recorded]) -> Iterator[Recorded]:
    yield first
    yield from others


@dataclass(slots=True)
class Stage:
    """A relay on its way through a scenario."""

    relay: Running
    played: Played

    async def ready(self) -> None:
        """Returns once the trees are read, which serving does not wait for."""
        async with asyncio.timeout(PATIENCE):
            while not self.relay.relay.live.library.trees:  # noqa: ASYNC110  # It is a value, no event.
                await asyncio.sleep(0.01)

    async def greet(self) -> None:
        """Both senders are heard, of nothing: what they tell later is no arrival."""
        word = {"labels": {"alertname": "InfoInhibitor", "severity": "none"}, "startsAt": rfc3339(self.relay.clock())}
        assert await self.relay.post("/alertmanager", {"version": "4", "groupKey": "{}:{}", "alerts": [word]}) == 202
        said = event("flux-system", severity="info", reason="Progressing", message="", at=self.relay.clock())
        assert await self.relay.post("/flux", said) == 202

    async def tell(self, sent: Iterator[Recorded]) -> None:
        """Every delivery at its time; what comes at once is sent at once."""
        waiting = sorted(self.played.scenario.checkpoints, key=lambda one: one.at)
        for at, deliveries in groupby(sent, key=lambda one: one.at):
            while waiting and self.played.began + waiting[0].at < at:
                await self._look(waiting.pop(0))
            await self.until(at)
            codes = await asyncio.gather(*(self._deliver(one) for one in deliveries))
            self.played.answers.update(codes)
        for checkpoint in waiting:
            await self._look(checkpoint)
        await self.until(self.played.began + self.played.scenario.ends)

    async def _deliver(self, one: Recorded) -> int:
        self.played.deliveries += 1
        self.played.events += one.body.count(b'"startsAt"') if one.to != "/flux" else 1
        self.played.beats += b'"commit_status":"update"' in one.body
        return await self.relay.post(one.to, one.body)

    async def _look(self, checkpoint: Checkpoint) -> None:
        await self.until(self.played.began + checkpoint.at)
        self.played.looked.append((checkpoint, {one.id: one.content for one in self.relay.messages("20")}))

    async def close(self) -> None:
        """Keep what people saw."""
        played, standin = self.played, self.relay.standin
        played.messages = {name: standin.messages(channel) for name, (_, _, channel) in CHANNELS.items()}
        played.pushes = list(standin.pushes)
        edited = (one for one in standin.requests if one.method == "PATCH" and one.status == 200)
        played.edits = Counter(one.message_id or "" for one in edited)
        played.parked = await self.relay.parked()
        played.forms = await self.relay.relay.database.read(_forms)
        left = await self.relay.relay.database.read(lambda c: lists.open_incidents(c, 100))
        played.left_open = [
            one.root or f"{one.subject.kind} {one.subject.place}" for one in left if not one.folded_into
        ]

    # --- time -----------------------------------------------------------------------------------------------------------

    async def until(self, at: Instant) -> None:
        """All that happens until `at`, each thing at its time."""
        while True:
            upcoming = await self.calm()
            now = self.relay.clock()
            if now >= at:
                return
            await self._go(min(one for one in (at, now + SLICE, upcoming) if one is not None and one > now))

    async def _go(self, to: Instant) -> None:
        """It is `to` now, and the relay has looked what that makes due."""
        clock, deadlines = self.relay.clock, self.relay.relay.deadlines
        clock.ahead = max(clock.ahead, to - time.time())
        looks, deadline = deadlines.looks, time.monotonic() + PATIENCE
        deadlines.look()
        self.relay.relay.reconciler.wake()
        while deadlines.looks == looks:
            assert time.monotonic() < deadline, "the relay does not look at its deadlines any more"
            await asyncio.sleep(0.001)

    async def calm(self) -> Instant | None:
        """Returns once nothing is left to do now, with the time when there will be."""
        database, standin = self.relay.relay.database, self.relay.standin
        deadline = time.monotonic() + PATIENCE
        done, since, patience = (-1, -1.0), time.monotonic(), STALLED
        while True:
            if self.relay.relay.ended.done():
                self.relay.relay.ended.result()
            now = self.relay.clock()
            tick, due = await database.read(lambda c: (ledger.next_deadline(c), delivery.earliest_due(c)))
            if not any(one is not None and one <= now for one in (tick, due)):
                return min((one for one in (tick, due) if one is not None), default=None)
            assert time.monotonic() < deadline, f"still due at {now}: {tick=}, {due=}, shown: {self.relay.shown()}"
            if (doing := (len(standin.requests), self.relay.relay.metrics.commits())) != done:
                done, since = doing, time.monotonic()
            elif time.monotonic() - since > patience:
                await self._go(now + BUDGET)
                since, patience = time.monotonic(), AGAIN
                done = len(standin.requests), self.relay.relay.metrics.commits()
            if tick is not None and tick <= now:
                self.relay.relay.deadlines.look()
            self.relay.relay.reconciler.wake()
            await asyncio.sleep(0.002)


def _forms(connection: Connection) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    statement = select(messages.c.discord_id, placements.c.form).join(placements, placements.c.message == messages.c.id)
    for discord_id, form in connection.execute(statement):
        found.setdefault(str(discord_id), set()).add(form)
    return found
