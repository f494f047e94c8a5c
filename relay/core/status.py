"""A Channel's status message says what goes on, who was heard when, and what the relay can tell that it cannot see.

It ages by itself: Discord counts up from `checked`, so that a dead relay shows as one that was last seen three hours ago.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from relay.core.card import Brief
from relay.core.event import Instant, Source
from relay.core.wording import duration, plural

CHECK_EVERY: Final = 600.0
"""Seconds between two edits that only say that all is as it was."""
SETTLES: Final = 20.0
"""Seconds between two edits at least: the cards tell what happens, this one where it ends."""
PATIENCE: Final = 3600.0
"""Seconds after which a sender that was never heard of, or never of a recovery, is a blind spot."""
NOTED: Final = 3600.0
"""Seconds in which it is said that the relay was away, or is another version."""
AWAY: Final = 300.0
"""Seconds without the relay that are worth a word; a restart is not."""
REVISIONS: Final = 6
"""Revisions that a status names."""
LOGGED: Final = 25
"""Revisions that a day's log names."""
MOST: Final = 8
"""Open problems by name; the others are counted."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Something that the relay cannot see, and what would show it: in words, with what is typed between backticks."""

    what: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """A configured source: who speaks, when it was last heard, and why it is locked, if it is."""

    name: str
    kind: Source
    at: Instant | None = None
    locked: str = ""
    refused: bool = False
    """Whether somebody came to it without its secret, and nobody with it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the database and the configuration hold that decides about blind spots."""

    now: Instant
    started_at: Instant
    """When this installation was begun."""
    sources: tuple[Heard, ...] = ()
    cluster: str = ""
    failures: bool = False
    """Whether Flux ever told of a failure."""
    successes: bool = False
    """Whether Flux ever told of a success."""
    artifacts: bool = False
    """Whether a source of Flux ever told of its artifact."""
    watchdog: bool = False
    """Whether Alertmanager's Watchdog, or what is declared in its place, was ever heard."""
    pings: bool = False
    """Whether a ping URL is set."""
    stopped: tuple[str, ...] = ()
    """Kustomizations whose health beats stopped while their neighbours' go on."""
    dead: tuple[str, ...] = ()
    """Channels whose webhook is gone."""
    parked: int = 0


def blind_spots(seen: Seen) -> tuple[Spot, ...]:
    """What the relay can tell that it cannot see, most serious first."""
    return tuple(spot for look in _LOOKS for spot in look(seen))


def _dead(seen: Seen) -> Iterable[Spot]:
    for name in seen.dead:
        yield Spot(f"channel {name} shows nothing: its webhook is gone", "give it a new webhook URL")


def _parked(seen: Seen) -> Iterable[Spot]:
    if seen.parked:
        yield Spot(f"{plural(seen.parked, 'card')} Discord refused", "`relay channels`")


def _locked(seen: Seen) -> Iterable[Spot]:
    for source in seen.sources:
        if source.locked:
            yield Spot(source.locked)


_PROOF: Final = {
    Source.FLUX: "`type: generic-hmac` in its Provider, and the same key in its Secret",
    Source.ALERTMANAGER: "the same token in its `http_config`",
    Source.RELAY: "",
}


def _never_heard(seen: Seen) -> Iterable[Spot]:
    for source in seen.sources:
        if source.refused and not source.locked:
            yield Spot(
                f"what comes to {source.name} is refused: it does not prove the relay's secret", _PROOF[source.kind]
            )
    missing = [one.name for one in seen.sources if one.at is None and not one.locked and not one.refused]
    if missing:
        yield Spot(f"nothing was ever heard from {' and '.join(missing)}", _connect(seen))


def _connect(seen: Seen) -> str:
    return f"`relay init FOLDER --cluster {seen.cluster or 'NAME'}` writes what connects a cluster"


def _no_recoveries(seen: Seen) -> Iterable[Spot]:
    if seen.failures and not seen.successes and seen.now - seen.started_at > PATIENCE:
        yield Spot("no recovery was ever heard from Flux", "`eventSeverity: info` in its Alert, else nothing ever ends")


def _no_watchdog(seen: Seen) -> Iterable[Spot]:
    speaks = any(source.kind is Source.ALERTMANAGER and source.at is not None for source in seen.sources)
    if speaks and not seen.watchdog:
        yield Spot("Prometheus may die unnoticed: its Watchdog is not routed here", _connect(seen))


def _no_artifacts(seen: Seen) -> Iterable[Spot]:
    if seen.successes and not seen.artifacts and seen.now - seen.started_at > PATIENCE:
        yield Spot("commits have no names", "`kind: GitRepository` among the eventSources of Flux's Alert")


def _no_cluster(seen: Seen) -> Iterable[Spot]:
    if not seen.cluster:
        yield Spot("the cluster has no name", "`cluster:` in the relay's file")


def _no_ping(seen: Seen) -> Iterable[Spot]:
    if not seen.pings:
        yield Spot("if the relay dies, nobody says so but this message's age", "`ping:` in the relay's file")


def _stopped(seen: Seen) -> Iterable[Spot]:
    for name in seen.stopped[:MOST]:
        yield Spot(f"{name} reports no more: suspended, stuck, or without its source", "`flux get kustomizations -A`")


_LOOKS: Final = (
    _dead,
    _parked,
    _locked,
    _never_heard,
    _no_recoveries,
    _stopped,
    _no_watchdog,
    _no_cluster,
    _no_artifacts,
    _no_ping,
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """An open problem, and the address that opens its card; empty where there is none."""

    brief: Brief
    jump: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """What one Channel's status message says."""

    now: Instant
    since: Instant
    """When this relay began to listen."""
    version: str
    cluster: str = ""
    is_new: bool = False
    """Nothing was ever heard: this is the hello of an installation."""
    open: tuple[Trouble, ...] = ()
    """The worst, at most `MOST`."""
    more: int = 0
    last: Brief | None = None
    """What changed last, of what is over."""
    heard: tuple[Heard, ...] = ()
    quiet: tuple[str, ...] = ()
    rolling: tuple[str, ...] = ()
    """The day's revisions, where they have no Channel of their own."""
    blind: tuple[Spot, ...] = field(default=())
    notes: tuple[str, ...] = ()
    """What the relay did of late: `did not run for 3 h, …`, `was upgraded from 0.1.0`."""

    @property
    def count(self) -> int:
        return len(self.open) + self.more

    @property
    def mood(self) -> str:
        """The sign and words of the content line: what a list of channels shows."""
        where = f"{self.cluster}: " if self.cluster else ""
        if self.is_new:
            return f"🛠️ {where}the relay is connected, and has heard nothing yet"
        if not self.count:
            blind = f", {plural(len(self.blind), 'blind spot')}" if self.blind else ""
            return f"🟢 {where}nothing is wrong that the relay knows of{blind}"
        worst = self.open[0].brief.headline if self.open else None
        sign = worst.sign.value if worst else "⚠️"
        named = f", worst: {worst.object} {worst.state}" if worst else ""
        return f"{sign} {where}{plural(self.count, 'open problem')}{named}"


@dataclass(frozen=True, slots=True)
class Week:
    """What a week came to in one Channel; events without those that only say that all is well."""

    events: int
    cards: int
    pages: int
    healed: int
    """Problems that nobody was shown, since they healed by themselves."""

    def said(self, cluster: str) -> str:
        """`homelab, last week: 412 events, 9 cards, 2 pages; 3 healed by themselves`."""
        where = f"{cluster}, last week" if cluster else "Last week"
        said = f"{where}: {plural(self.events, 'event')}, {plural(self.cards, 'card')}, {plural(self.pages, 'page')}"
        return f"{said}; {self.healed} healed by themselves" if self.healed else said


def away(seconds: float) -> str:
    """The note of a relay that did not run for so long."""
    return f"did not run for {duration(seconds)}, and catches up"


def upgraded(version: str) -> str:
    """The note of a relay that ran as `version` before."""
    return f"was upgraded from {version}"


def signature(status: Status) -> tuple[object, ...]:
    """What an edit would show, without the clock: two of them that are equal need none."""
    heads = tuple((one.brief.headline, one.jump) for one in status.open)
    heard = tuple((one.name, one.at is not None, one.locked, one.refused) for one in status.heard)
    last = status.last.headline if status.last is not None else None
    return status.mood, heads, status.more, last, heard, status.quiet, status.rolling, status.blind, status.notes


def is_due(before: object, shows: object, shown_at: Instant | None, now: Instant) -> bool:
    """Whether the message is due: it was never shown, says something else by now, or was not checked for a while."""
    if shown_at is None:
        return True
    since = now - shown_at
    return since >= CHECK_EVERY or (since >= SETTLES and before != shows)
