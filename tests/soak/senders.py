"""Things that break and recover, told as Alertmanager and Flux tell: again and again until somebody answers 202, or given up as Flux does.

What was accepted is kept beside, by the plainest rules: it is what the relay must hold and show in the end.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import aiohttp

from tests.path.stage import Json, Sender, alert, event, group, recovery

TRIES: Final = 5
"""Of Flux, until it gives an event up."""
PATIENCE: Final = 5.0
"""Seconds that a sender waits for an answer."""


class Kind(StrEnum):
    """How a thing is spoken of."""

    ALERT = "alert"
    PAIR = "pair"
    """Two alerts of one workload: one problem."""
    FLUX = "flux"


@dataclass(slots=True)
class Said:
    """What was last accepted of one condition."""

    firing: bool
    starts: float


@dataclass(slots=True)
class Thing:
    """One object. `accepted` holds each of its conditions as the last 202 left it."""

    name: str
    kind: Kind
    severity: str
    accepted: dict[str, Said] = field(default_factory=dict)

    @property
    def firing(self) -> bool:
        return any(said.firing for said in self.accepted.values())


@dataclass(slots=True)
class World:
    """All senders. `urls` are where a relay may listen now; each try goes to another one."""

    senders: Callable[[], Sequence[Sender]]
    clock: Callable[[], float]
    dice: random.Random
    things: dict[str, Thing] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    events: int = 0
    """Accepted ones."""
    given_up: int = 0
    """Events of Flux that nobody answered in time: the relay may hold them or not."""
    after_accepted: Callable[[], None] = lambda: None
    """Called as soon as a 202 has come."""

    def thing(self, number: int) -> Thing:
        """The next one, of a kind and severity that the dice say."""
        kind = self.dice.choice([Kind.ALERT, Kind.ALERT, Kind.PAIR, Kind.FLUX])
        severity = self.dice.choice(["warning", "warning", "error", "critical"])
        one = Thing(f"t{number:05}x", kind, severity)
        self.things[one.name] = one
        return one

    # --- a life ---------------------------------------------------------------------------------------------------------

    async def live(self, thing: Thing, *, pace: float) -> None:
        """It breaks, may recover, may break once more, each after some `pace` seconds; in the end it is as its last 202 says."""
        if thing.kind is Kind.FLUX:
            await self.say(thing, firing=False)  # What was never ready is order, not fault, while others become so.
        for firing in self.dice.choice(
            [(True,), (True, False), (True, False), (True, False, True), (True, False, True, False)]
        ):
            await self.say(thing, firing=firing)
            await asyncio.sleep(self.dice.uniform(0.2, 2.0) * pace)
        if self.dice.random() < 0.3 and thing.firing:
            await self.say(thing, firing=True)  # It is repeated, which is no difference.

    async def say(self, thing: Thing, *, firing: bool) -> None:
        """Returns once it was accepted."""
        if thing.kind is Kind.FLUX:
            await self._flux(thing, firing=firing)
        else:
            await self._alerts(thing, firing=firing)

    async def _alerts(self, thing: Thing, *, firing: bool) -> None:
        names = ("SoakFails", "SoakWaits") if thing.kind is Kind.PAIR else ("SoakFails",)
        now = self.clock()
        after = {}
        for name in names:
            before = thing.accepted.get(name)
            after[name] = Said(
                firing, now if firing and not (before and before.firing) else before.starts if before else now
            )
        alerts = [
            alert(name, thing.severity, pod=f"{thing.name}-0", starts=said.starts, ends=None if firing else now)
            for name, said in after.items()
        ]
        pause = 0.1
        while not await self._post("/alertmanager", group(*alerts, key=thing.name)):
            await asyncio.sleep(pause)
            pause = min(2.0, pause * 1.5)
        self._taken(thing, after)

    async def _flux(self, thing: Thing, *, firing: bool) -> None:
        """Flux gives an event up after some tries, and says it again when it next reconciles."""
        while True:
            now = self.clock()
            body = event(thing.name, at=now) if firing else recovery(thing.name, at=now)
            for number in range(TRIES):
                if await self._post("/flux", body):
                    self._taken(thing, {"": Said(firing, now)})
                    return
                await asyncio.sleep(0.1 * 2**number)
            self.given_up += 1

    def _taken(self, thing: Thing, after: dict[str, Said]) -> None:
        thing.accepted |= after
        self.events += len(after)
        self.after_accepted()

    async def _post(self, path: str, body: Json) -> bool:
        """One try, at one of the relays; whether it was accepted."""
        if not (senders := self.senders()):
            self.answers["nobody"] += 1
            return False
        try:
            async with asyncio.timeout(PATIENCE):
                status = await self.dice.choice(senders).post(path, body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.answers[type(error).__name__] += 1
            return False
        self.answers[str(status)] += 1
        assert status in (202, 503), f"{path} is answered {status}"
        return status == 202
