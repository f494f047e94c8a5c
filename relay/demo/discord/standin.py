"""One Discord in memory: an answer depends on its state, its clock and its dice alone, and a refusal changes nothing but counters.

`StandIn` is the whole of it: add a webhook, run it, let it misbehave, and ask what happened.
"""

from __future__ import annotations

import random
import re
import secrets
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict, Unpack

from aiohttp import web

from relay.demo.discord import answers, form, recorder, store, validate
from relay.demo.discord.answers import Answer, HangUp, Refusal
from relay.demo.discord.codes import Code, Form
from relay.demo.discord.faults import Fault, Faults, Kind
from relay.demo.discord.form import Errors, JsonObject
from relay.demo.discord.limits import Demand, Limiter, Limits, Scope, Throttle
from relay.demo.discord.recorder import Push, Recorder, Request, Violation
from relay.demo.discord.store import Channel, Message, Store, Version, Webhook
from relay.demo.discord.validate import Accepted, Circumstances, Flags, Invalid, Mentions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable, Iterable

    from relay.demo.discord.faults import Match

USER_AGENT = re.compile(r"DiscordBot \([^\s,()]+, [^\s()]+\)(?: .*)?\Z")
VERSIONS = range(6, 11)
UNVERSIONED = 6
TRUE = ("true", "True", "1")
NOBODY = Mentions(frozenset())
EDGE_FAULTS = frozenset(
    {Kind.BAN_HTML, Kind.BAN_JSON, Kind.CLOUDFLARE_1015, Kind.FORBIDDEN_HTML, Kind.EDGE_404_HTML},
)


@dataclass(frozen=True, slots=True)
class Upload:
    """One file of a multipart request."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it was read: where to, by whom, with what. `unreadable` is the refusal of a body that could not be read.

    `known_route` is False where the path or method is none of the webhook's.
    """

    version: int
    method: str
    webhook_id: str
    token: str
    message_id: str | None
    query: dict[str, str]
    user_agent: str
    address: str
    known_route: bool = True
    body: object = None
    unreadable: Refusal | None = None
    uploads: tuple[Upload, ...] = ()

    @property
    def route(self) -> str:
        """What the bucket is kept by, besides the webhook."""
        return f"{self.method} {'message' if self.message_id else 'webhook'}"


class Details(TypedDict, total=False):
    """How a fault happens; see `Fault`."""

    status: int
    seconds: float
    html: bool
    stored: bool
    scope: Scope
    retry_after: int | None


@dataclass(slots=True)
class StandIn:
    """Discord's webhook API, stricter than the real one.

    `clock` gives seconds since the epoch. `strict` believes the worst report where reports differ: a message without
    `allowed_mentions` pings everybody, the User-Agent is required, unknown flags are refused. `seed` repeats the chances.
    """

    clock: Callable[[], float] = time.time
    limits: Limits = field(default_factory=Limits)
    strict: bool = True
    seed: int = 0
    store: Store = field(default_factory=Store)
    recorder: Recorder = field(default_factory=Recorder)
    faults: Faults = field(init=False)
    limiter: Limiter = field(init=False)
    _ban_answer: Fault = field(init=False, default=Fault(Kind.BAN_HTML))
    _dead: set[tuple[str, str]] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.faults = Faults(random.Random(self.seed))  # noqa: S311 - chances of a test, not secrets
        self.limiter = Limiter(self.limits)

    # ── setting the scene ────────────────────────────────────────────────────────────────────────────────────────────

    def add_webhook(
        self,
        id: str,  # noqa: A002 - Discord's word
        token: str,
        channel_id: str,
        guild_id: str = "1",
        name: str = "relay",
        *,
        channel_name: str | None = None,
        forum: bool = False,
        requires_tag: bool = False,
        tags: Iterable[str] = (),
    ) -> Webhook:
        """Register a webhook, and its channel where that is new. The same id again replaces the webhook."""
        if channel_id not in self.store.channels:
            self.store.channels[channel_id] = Channel(
                channel_id, guild_id, channel_name or f"channel-{channel_id}", forum, requires_tag, frozenset(tags)
            )
        webhook = self.store.webhooks[id] = Webhook(id, token, channel_id, guild_id, name)
        self.store.changes += 1
        return webhook

    def add_thread(
        self,
        id: str,  # noqa: A002 - Discord's word
        parent: str,
        *,
        name: str = "thread",
        archived: bool = False,
        locked: bool = False,
    ) -> Channel:
        """Register a thread of a channel; `archived` and `locked` of what is returned may be changed later."""
        guild_id = self.store.channels[parent].guild_id
        thread = Channel(id, guild_id, name, parent_id=parent, archived=archived, locked=locked)
        self.store.channels[id] = thread
        self.store.changes += 1
        return thread

    def add_role(self, id: str, name: str) -> None:  # noqa: A002 - Discord's word
        """Give a role the name its mention shows."""
        self.store.roles[id] = name
        self.store.changes += 1

    def add_user(self, id: str, name: str) -> None:  # noqa: A002 - Discord's word
        """Give a user the name a mention shows."""
        self.store.users[id] = name
        self.store.changes += 1

    # ── what people and Discord do to it ─────────────────────────────────────────────────────────────────────────────

    def remove_webhook(self, webhook_id: str) -> None:
        """A person deletes a webhook: 10015 from now on."""
        self.store.webhooks[webhook_id].token = None

    def rotate_token(self, webhook_id: str, token: str | None = None) -> str:
        """A webhook gets another token: 50027 for the old one. Returns the new one."""
        new = token or secrets.token_urlsafe(51)
        self.store.webhooks[webhook_id].token = new
        return new

    def delete_message(self, message_id: str) -> None:
        """A person deletes a message: 10008 from now on."""
        self.store.delete(self.store.messages[message_id], self.clock())

    def pin(self, message_id: str) -> None:
        """A person pins a message: the page shows what it says above all others."""
        self.store.messages[message_id].pinned = True
        self.store.changes += 1

    def ban(self, seconds: float, *, kind: Kind = Kind.BAN_HTML, retry_after: int | None = None) -> None:
        """Ban everybody for a while, with the answer of `kind`."""
        self._ban_answer = Fault(kind, retry_after=retry_after)
        self.limiter.ban("", self.clock() + seconds)

    def fault(self, kind: Kind | str, *, match: Match = None, times: int = 1, **details: Unpack[Details]) -> None:
        """Let the next `times` matching requests go wrong. `match` is a method, a question about the request, or None for all."""
        self.faults.script(Fault(Kind(kind), **details), match, times)

    def chance(self, kind: Kind | str, probability: float, *, match: Match = None, **details: Unpack[Details]) -> None:
        """Let every matching request go wrong with a probability, repeatably by `seed`."""
        self.faults.chance(Fault(Kind(kind), **details), match, probability)

    # ── what happened ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def requests(self) -> list[Request]:
        """Every request, in order."""
        return self.recorder.requests

    @property
    def pushes(self) -> list[Push]:
        """Every sound a phone would have made, in order."""
        return self.recorder.pushes

    def messages(self, channel_id: str | None = None, *, deleted: bool = False) -> list[Message]:
        """The messages of one channel or all, in order; those that are gone only on demand."""
        return [one for one in self.store.in_channel(channel_id) if deleted or not one.deleted]

    def assert_no_429(self) -> None:
        """No request was throttled."""
        self.recorder.assert_no_429()

    def assert_no_request_while_blocked(self) -> None:
        """Nobody spoke who had been told to wait."""
        self.recorder.assert_no_request_while_blocked()

    def assert_dead_webhooks_are_called_once(self) -> None:
        """A webhook reported dead was left alone."""
        self.recorder.assert_dead_webhooks_are_called_once()

    def assert_never_two_in_flight_per_webhook(self) -> None:
        """Each webhook had one request at a time."""
        self.recorder.assert_never_two_in_flight_per_webhook()

    def assert_no_duplicates(self, key: Callable[[Message], Hashable | None]) -> None:
        """No two living messages have the same key; None is not counted."""
        recorder.assert_no_duplicates(self.store.messages.values(), key)

    # ── serving ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def application(self) -> web.Application:
        """The API and the page, to be run by anybody."""
        from relay.demo.discord.app import application

        return application(self)

    @asynccontextmanager
    async def running(self, port: int = 0, host: str = "127.0.0.1") -> AsyncIterator[str]:
        """Serve while the context lasts; yields `http://HOST:PORT/api/v10`. Port 0 takes a free one."""
        runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
            yield f"http://{host}:{runner.addresses[0][1]}/api/v10"
        finally:
            await runner.cleanup()

    # ── answering ────────────────────────────────────────────────────────────────────────────────────────────────────

    def answer(self, call: Call, request: Request, fault: Fault | None) -> Answer | HangUp:
        """Decide what one request gets, and do what it asks where it is granted."""
        now = self.clock()
        banned = self.limiter.banned_for(call.address, now)
        if banned:
            request.violation = Violation.WHILE_BANNED
            return answers.edge(self._ban_answer)
        if self.strict and not USER_AGENT.match(call.user_agent):
            self.limiter.count_invalid(call.address, 403, shared=False, now=now)
            return answers.refused(Refusal(403, Code.CLOUDFLARE_BLOCKS), call.version)
        if fault is None:
            return self._from_discord(call, request, None, now)
        before = self._before(call, fault)
        if before is not None:
            return before
        answer = self._from_discord(call, request, fault, now)
        match fault.kind:
            case Kind.STORED_THEN_DROPPED:
                return HangUp()
            case Kind.RESET:
                return HangUp(reset=True)
            case Kind.STATUS:
                return answers.edge(fault)
            case _:
                return answers.spoiled(answer, fault, now)

    def _before(self, call: Call, fault: Fault) -> Answer | HangUp | None:
        """What a fault does before Discord is asked, and None where it is asked all the same."""
        if fault.kind in EDGE_FAULTS or (fault.kind is Kind.STATUS and not fault.stored):
            return answers.edge(fault)
        if fault.kind is Kind.DROPPED_BEFORE or (fault.kind is Kind.RESET and not fault.stored):
            return HangUp(reset=fault.kind is Kind.RESET)
        if fault.kind is Kind.WEBHOOK_DELETED and call.webhook_id in self.store.webhooks:
            self.remove_webhook(call.webhook_id)
        if fault.kind is Kind.TOKEN_ROTATED and call.webhook_id in self.store.webhooks:
            self.rotate_token(call.webhook_id)
        return None

    def _from_discord(self, call: Call, request: Request, fault: Fault | None, now: float) -> Answer:
        """Limits first, then whether the webhook is known, then what was asked; every way costs a token."""
        if call.version not in VERSIONS:
            return answers.refused(Refusal(400, Code.INVALID_API_VERSION), call.version)
        if not call.known_route:
            return answers.refused(Refusal(404, Code.GENERAL, message="404: Not Found"), call.version)
        demand = self._demand(call, now)
        throttle = self.limiter.admit(demand, now) or self._injected(demand, fault, now)
        if throttle is not None:
            if throttle.already_told:
                request.violation = Violation.WHILE_BLOCKED
            answer = answers.throttled(throttle, call.version)
        else:
            granted = self._granted(call, request, fault, now)
            answer = answers.refused(granted, call.version) if isinstance(granted, Refusal) else granted
        shared = throttle is not None and throttle.scope is Scope.SHARED
        self.limiter.count_invalid(call.address, answer.status, shared=shared, now=now)
        return answers.with_bucket(answer, self.limiter.state(call.webhook_id, call.route, now), now)

    def _demand(self, call: Call, now: float) -> Demand:
        webhook = self.store.webhooks.get(call.webhook_id)
        message = self.store.messages.get(call.message_id or "")
        edits = call.method == "PATCH"
        return Demand(
            address=call.address,
            webhook_id=call.webhook_id,
            route=call.route,
            channel_id=webhook.channel_id if webhook else "",
            posts=call.method == "POST",
            edits=edits,
            old=edits and message is not None and now - message.created_at > self.limiter.limits.old_after,
        )

    def _injected(self, demand: Demand, fault: Fault | None, now: float) -> Throttle | None:
        if fault is None or fault.kind not in (Kind.RETRY_AFTER_ZERO, Kind.RETRY_AFTER_LONG):
            return None
        seconds = 0.0 if fault.kind is Kind.RETRY_AFTER_ZERO else fault.duration
        self.limiter.block(demand, fault.scope, now + seconds)
        return Throttle(fault.scope, seconds, None, already_told=False)

    def _granted(self, call: Call, request: Request, fault: Fault | None, now: float) -> Answer | Refusal:
        webhook = self.store.webhooks.get(call.webhook_id)
        if webhook is None or webhook.token != call.token:
            if (call.webhook_id, call.token) in self._dead:
                request.violation = Violation.TO_A_DEAD_WEBHOOK
            self._dead.add((call.webhook_id, call.token))
            if webhook is None or webhook.token is None:
                return Refusal(404, Code.UNKNOWN_WEBHOOK)
            return Refusal(401, Code.INVALID_WEBHOOK_TOKEN)
        match call.method, call.message_id:
            case "GET", None:
                return answers.ok(_webhook_object(webhook))
            case "POST", None:
                return self._post(call, webhook, fault, now)
            case "GET" | "PATCH" | "DELETE", str(message_id):
                return self._on_message(call, webhook, message_id, fault, now)
            case _:
                return Refusal(405, Code.GENERAL, message="405: Method Not Allowed")

    def _post(self, call: Call, webhook: Webhook, fault: Fault | None, now: float) -> Answer | Refusal:
        wait = call.query.get("wait") in TRUE
        accepted = self._read(call, Circumstances(
            editing=False,
            with_components=call.query.get("with_components") in TRUE,
            strict=self.strict,
            uploads=frozenset(one.name for one in call.uploads),
        ))  # fmt: skip
        if isinstance(accepted, Refusal):
            return accepted
        message_id = self.store.snowflake(now)
        place = self._place(call, webhook, accepted.given, message_id)
        if isinstance(place, Refusal):
            return place
        files = _files(call.uploads, accepted.given, self.store, now)
        version = store.create(accepted.given, self._allowed(accepted), files, now)
        if store.is_empty(version):
            return Refusal(400, Code.EMPTY_MESSAGE)
        if fault is not None and fault.kind is Kind.AUTOMOD:
            return Refusal(400, Code.AUTOMOD) if wait else Answer(204)
        place.archived = False
        self.store.channels[place.id] = place
        message = self.store.post(webhook, place.id, message_id, accepted.given, version)
        self._push(message, version)
        return answers.ok(store.wire(message, self.store)) if wait else Answer(204)

    def _place(self, call: Call, webhook: Webhook, given: JsonObject, new_id: str) -> Channel | Refusal:
        """The channel or thread a new message goes to; a forum's new thread is made here but registered by the caller."""
        parent, thread_id, name = (
            self.store.channels[webhook.channel_id],
            call.query.get("thread_id"),
            given.get("thread_name"),
        )
        if name is not None and not parent.forum:
            return Refusal(400, Code.NOT_A_FORUM)
        if name is not None and thread_id is not None:
            return Refusal(400, Code.FORUM_THREAD_TWICE)
        if thread_id is not None:
            thread = self.store.channels.get(thread_id)
            if thread is None or thread.parent_id != parent.id:
                return Refusal(404, Code.UNKNOWN_CHANNEL)
            return Refusal(400, Code.THREAD_LOCKED) if thread.locked else thread
        if not parent.forum:
            return parent
        if not isinstance(name, str):
            return Refusal(400, Code.FORUM_NEEDS_THREAD)
        tags = given.get("applied_tags")
        chosen = tags if isinstance(tags, list) else []
        if parent.requires_tag and not chosen:
            return Refusal(400, Code.TAG_REQUIRED)
        if not parent.tags.issuperset(chosen):
            return Refusal(400, Code.UNKNOWN_TAG)
        return Channel(new_id, parent.guild_id, name, parent_id=parent.id)

    def _on_message(
        self, call: Call, webhook: Webhook, message_id: str, fault: Fault | None, now: float
    ) -> Answer | Refusal:
        message = self.store.messages.get(message_id)
        where = call.query.get("thread_id", webhook.channel_id)
        if message is None or message.deleted or message.webhook_id != webhook.id or message.channel_id != where:
            return Refusal(404, Code.UNKNOWN_MESSAGE)
        if call.method == "GET":
            return answers.ok(store.wire(message, self.store))
        thread = self.store.channels[message.channel_id]
        if thread.archived:
            return Refusal(400, Code.THREAD_ARCHIVED)
        if thread.locked:
            return Refusal(400, Code.THREAD_LOCKED)
        if call.method == "DELETE":
            self.store.delete(message, now)
            return Answer(204)
        return self._edit(call, message, fault, now)

    def _edit(self, call: Call, message: Message, fault: Fault | None, now: float) -> Answer | Refusal:
        old = message.now
        accepted = self._read(call, Circumstances(
            editing=True,
            with_components=call.query.get("with_components") in TRUE,
            strict=self.strict,
            uploads=frozenset([*(one.name for one in call.uploads), *(str(one["filename"]) for one in old.attachments)]),
            was_v2=bool(old.flags & Flags.IS_COMPONENTS_V2),
        ))  # fmt: skip
        if isinstance(accepted, Refusal):
            return accepted
        files = _files(call.uploads, accepted.given, self.store, now)
        version = store.edit(old, accepted.given, self._allowed(accepted), files, now)
        if store.is_empty(version):
            return Refusal(400, Code.EMPTY_MESSAGE)
        if version.flags & Flags.IS_COMPONENTS_V2 and (version.content or version.embeds):
            errors = Errors()
            errors.add(("flags",), Form.V2_EXCLUSIVE, "Content and embeds must be cleared with IS_COMPONENTS_V2.")
            return Refusal(400, Code.INVALID_FORM, errors)
        if fault is not None and fault.kind is Kind.AUTOMOD:
            return Refusal(400, Code.AUTOMOD)
        message.history.append(version)
        self.store.touch(message)
        return answers.ok(store.wire(message, self.store))

    def _read(self, call: Call, around: Circumstances) -> Accepted | Refusal:
        if call.unreadable is not None:
            return call.unreadable
        errors = Errors()
        if "thread_id" in call.query and form.snowflake(call.query["thread_id"], ("thread_id",), errors) is None:
            return Refusal(400, Code.INVALID_FORM, errors)
        try:
            verdict = validate.read(call.body, around)
        except RecursionError:
            errors.add((), Form.MODEL, "The form is nested too deeply")
            return Refusal(400, Code.INVALID_FORM, errors)
        if isinstance(verdict, Invalid):
            message = "500: Internal Server Error" if verdict.status >= 500 else None
            return Refusal(verdict.status, verdict.code, verdict.errors, message)
        return verdict

    def _allowed(self, accepted: Accepted) -> Mentions:
        """What was said about mentions; where nothing was said, the most that was ever reported to ping."""
        if accepted.mentions is not None:
            return accepted.mentions
        return Mentions(frozenset(validate.MENTION_KINDS)) if self.strict else Mentions(frozenset({"users"}))

    def _push(self, message: Message, version: Version) -> None:
        if not message.silent:
            push = Push(
                version.at, message.channel_id, message.id, message.username, version.content, version.mentioned
            )
            self.recorder.pushes.append(push)


def _webhook_object(webhook: Webhook) -> JsonObject:
    return {
        "id": webhook.id,
        "type": 1,
        "application_id": None,
        "guild_id": webhook.guild_id,
        "channel_id": webhook.channel_id,
        "name": webhook.name,
        "avatar": None,
        "token": webhook.token,
    }


def _files(uploads: tuple[Upload, ...], given: JsonObject, memory: Store, now: float) -> list[JsonObject]:
    """The uploaded files as attachments of the message, described where `attachments` says something of the same name."""
    listed = given.get("attachments")
    said = {one["filename"]: one["description"] for one in listed} if isinstance(listed, list) else {}
    return [
        {"id": memory.snowflake(now), "filename": one.name, "size": one.size, "description": said.get(one.name)}
        for one in uploads
    ]
