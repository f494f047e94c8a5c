"""What a Channel shows for its own sake comes last: its status, the day's rollouts, the last week. Nothing else waits for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Final

from sqlalchemy import Connection

from relay import __version__
from relay.config.values import Configuration
from relay.core import packing, quiet, rollout, status
from relay.core.card import Brief, Form
from relay.core.due import DAY
from relay.core.event import Instant
from relay.core.identity import handle_of
from relay.core.incident import Incident
from relay.core.outcome import MessageDeleted, Outcome, Refused
from relay.core.pace import KEPT, Route, edit_route
from relay.core.posting import Message, Posting
from relay.core.quiet import Rule
from relay.core.routing import logs
from relay.core.status import Heard, Seen, Status, Trouble
from relay.core.values import replace
from relay.core.wording import plural
from relay.discord import status as shown
from relay.discord.message import Payload
from relay.reconcile.line import Line, Request
from relay.storage import bulletins, delivery, meta
from relay.storage import quiet as quiets
from relay.storage.bulletins import STATUS, Bulletin, Sights
from relay.storage.engine import Database

MORNING: Final = 8
"""The hour of Monday from which on the last week is told."""
LOOK_EVERY: Final = 5.0
"""Seconds between two looks at one Channel's status: it is read, not found by an index."""
LINGERS: Final = 60.0
"""Seconds after midnight in which the log is still the last day's, so that it tells what became ready in its last moment."""
SIGHTS_EVERY: Final = 60.0
"""Seconds between two looks at what was ever heard, which reads through history and hardly ever changes."""

Briefs = Callable[[Sequence[tuple[Incident, Posting]], Instant], Awaitable[dict[str, Brief]]]


class Bulletins:
    """Finds what is due of them. `briefs` makes the lines of Incidents, `dead` names the Channels whose webhook is gone.

    `refuses` says of a source whether somebody came to it without its secret.
    """

    def __init__(
        self,
        database: Database,
        configuration: Callable[[], Configuration],
        briefs: Briefs,
        dead: Callable[[], Iterable[str]],
        refuses: Callable[[str], bool],
    ) -> None:
        self._database = database
        self._configuration = configuration
        self._briefs = briefs
        self._dead = dead
        self._refuses = refuses
        self._looked: dict[str, Instant] = {}
        self._since: Instant = 0.0
        self._sights: tuple[Instant, Sights] | None = None

    async def due(self, line: Line, now: Instant) -> Request | None:
        """The Request that shows the Channel's status or its log as they are now, where one is due and may go."""
        if 0 <= now - self._looked.get(line.name, -DAY) < LOOK_EVERY:
            return None
        self._since = self._since or now
        self._looked[line.name] = now
        return await self._status_due(line, now) or await self._log_due(line, now) or await self._week_due(line, now)

    async def _status_due(self, line: Line, now: Instant) -> Request | None:
        policy = self._configuration().policy.channels.get(line.name)
        if policy is None or not policy.status:
            return None
        bulletin, message = await self._database.read(lambda c: _found(c, line, STATUS))
        status_now = await self._status(line, now)
        said = _digest(status.signature(status_now))
        if not status.is_due(bulletin.said, said, bulletin.shown_at, now):
            return None
        return _request(line, bulletin, message, said, now, lambda editing: shown.render(status_now, editing=editing))

    async def _log_due(self, line: Line, now: Instant) -> Request | None:
        """The day's revisions, in a Message of their own where the routes send them here."""
        configuration = self._configuration()
        if line.name not in logs(configuration.policy.routes):
            return None
        today = datetime.fromtimestamp(now - LINGERS, configuration.zone)
        midnight = today.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        rolled = await self._database.read(lambda c: bulletins.rollouts_since(c, midnight))
        if not rolled:
            return None
        bulletin, message = await self._database.read(lambda c: _found(c, line, f"rollouts {today:%Y-%m-%d}"))
        lines = rollout.told(rolled, status.LOGGED)
        said = _digest(lines)
        if said == bulletin.said or (bulletin.shown_at is not None and now - bulletin.shown_at < status.SETTLES):
            return None
        head = f"{configuration.policy.cluster}: {plural(len(rolled), 'revision')} today".removeprefix(": ")
        return _request(line, bulletin, message, said, now, lambda editing: shown.log(head, lines, editing=editing))

    async def _week_due(self, line: Line, now: Instant) -> Request | None:
        """Once the last week is over, one line that says what it came to; of a week that was seen whole."""
        configuration = self._configuration()
        policy = configuration.policy.channels.get(line.name)
        if policy is None or not policy.weekly:
            return None
        today = datetime.fromtimestamp(now, configuration.zone)
        morning = today.replace(hour=MORNING, minute=0, second=0, microsecond=0)
        monday = (morning - timedelta(days=today.weekday())).timestamp()
        kind = f"week {monday:.0f}"
        bulletin, message = await self._database.read(lambda c: _found(c, line, kind))
        begun = await self._database.read(lambda c: meta.get_meta(c, bulletins.BEGUN))
        since = monday - 7 * DAY
        if now < monday or bulletin.shown_at is not None or begun is None or float(begun) > since:
            return None
        week = await self._database.read(lambda c: bulletins.week_of(c, line.name, since))
        said = week.said(configuration.policy.cluster)
        return _request(line, bulletin, message, said, now, lambda editing: shown.week(said, editing=editing))

    async def _status(self, line: Line, now: Instant) -> Status:
        configuration = self._configuration()
        names = tuple(source.name for source in configuration.sources)
        if self._sights is None or not 0 <= now - self._sights[0] < SIGHTS_EVERY:
            self._sights = now, await self._database.read(lambda c: bulletins.sights(c, now, status.MOST))
        standing, count, last, facts, asked, rolled = await self._database.read(
            lambda c: (
                *bulletins.open_in(c, line.name, now, status.MOST),
                bulletins.last_over(c, line.name),
                bulletins.facts(c, now, names),
                quiets.standing(c),
                bulletins.rollouts_since(c, now - DAY),
            )
        )
        rules = [rule for rule in (*asked, *configuration.policy.quiet) if rule.holds(now)]
        wanted = [(one.incident, one.posting) for one in standing]
        briefs = await self._briefs([*wanted, *([last] if last is not None else [])], now)
        seen = seen_by(configuration, facts, self._sights[1], tuple(self._dead()), now, self._refuses)
        return Status(
            now=now,
            since=self._since,
            version=__version__,
            cluster=configuration.policy.cluster,
            is_new=not facts.heard,
            open=tuple(Trouble(briefs[one.incident.id], line.jump(one.message) or "") for one in standing),
            more=count - len(standing),
            last=briefs[last[0].id] if last is not None else None,
            heard=seen.sources,
            quiet=(*(_words(rule, configuration, now) for rule in rules), *_night(line.name, configuration, now)),
            rolling=() if logs(configuration.policy.routes) else rollout.told(rolled, status.REVISIONS),
            blind=status.blind_spots(seen),
            notes=facts.notes,
        )


def seen_by(
    configuration: Configuration,
    facts: bulletins.Facts,
    sights: Sights,
    dead: tuple[str, ...],
    now: Instant,
    refuses: Callable[[str], bool] = lambda _: False,
) -> Seen:
    """All that decides about blind spots."""
    sources = tuple(
        Heard(
            source.name,
            source.kind,
            facts.heard.get(source.name),
            "" if source.served(configuration.listen) else source.locked_because,
            refused=source.name not in facts.heard and refuses(source.name),
        )
        for source in configuration.sources
    )
    return Seen(
        now=now,
        started_at=facts.begun_at,
        sources=sources,
        cluster=configuration.policy.cluster,
        failures=sights.failures,
        successes=sights.successes,
        artifacts=sights.artifacts,
        watchdog=sights.watchdog,
        pings=configuration.ping is not None,
        stopped=sights.stopped,
        dead=dead,
        parked=facts.parked,
    )


def _request(
    line: Line,
    bulletin: Bulletin,
    message: Message | None,
    said: str,
    now: Instant,
    render: Callable[[bool], Payload],
) -> Request | None:
    """Of what is due; None where there is no room for it yet."""
    route = Route.POST if message is None else edit_route(message.created_at, now)
    if line.pace.ready_at(route, now, kept=KEPT if route is Route.POST else 0) > now:
        return None
    after = replace(bulletin, said=said)
    payload = render(message is not None)
    return Request(packing.Reason.BULLETIN, payload, route, Form.FULL, (), message, bulletin=after)


def _words(rule: Rule, configuration: Configuration, now: Instant) -> str:
    """`namespace="media" until 07:30, by ada`."""
    what = ", ".join(str(one) for one in rule.match.all_of) or handle_of(rule.incident)
    return f"{what} {quiet.said(rule, configuration.zone, now)}"


def _night(channel: str, configuration: Configuration, now: Instant) -> tuple[str, ...]:
    """What is no page is silent now."""
    policy = configuration.policy.channels.get(channel)
    until = policy.night_until(now) if policy is not None else None
    return () if until is None else (f"all but pages until {quiet.clock(until, configuration.zone, now)}",)


def _digest(said: object) -> str:
    return blake2b(repr(said).encode(errors="surrogateescape"), digest_size=8).hexdigest()


def _found(c: Connection, line: Line, kind: str) -> tuple[Bulletin, Message | None]:
    """The bulletin, and its Message where that can be edited from here."""
    bulletin = bulletins.find(c, line.name, kind)
    if bulletin.message is None:
        return bulletin, None
    message = delivery.messages_by_id(c, [bulletin.message]).get(bulletin.message)
    if message is None or message.gone or message.discord_id is None or message.webhook != line.webhook.id:
        return replace(bulletin, message=None, shown_at=None), None
    return bulletin, message


# --- recording ----------------------------------------------------------------------------------------------------------


def was_shown(c: Connection, bulletin: Bulletin, message: Message, now: Instant) -> None:
    """It stands in `message`."""
    bulletins.save(c, replace(bulletin, message=message.id, shown_at=now))


def was_not(c: Connection, bulletin: Bulletin, message: Message | None, outcome: Outcome, now: Instant) -> None:
    """A person who deletes it gets it once more, and after the second time within a day is left alone for one."""
    match outcome:
        case MessageDeleted():
            if message is not None:
                delivery.forget_message(c, message.id)
            again = bulletin.deleted_at is not None and now - bulletin.deleted_at < DAY
            later = now + DAY if again else None
            bulletins.save(c, replace(bulletin, message=None, deleted_at=now, shown_at=later))
        case Refused():
            bulletins.save(c, replace(bulletin, shown_at=now))  # Not again before it says something else.
        case _:
            return
