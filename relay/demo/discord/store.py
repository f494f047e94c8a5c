"""What Discord would hold: webhooks, channels, threads, and every message with each state it ever had, in order."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from relay.demo.discord.validate import Flags, Mentions, embed_texts

if TYPE_CHECKING:
    from relay.demo.discord.form import JsonObject

EPOCH_MS = 1420070400000
CODE = re.compile(r"```.*?```|(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
USER, ROLE, EVERYONE = re.compile(r"<@!?(\d+)>"), re.compile(r"<@&(\d+)>"), re.compile(r"@(?:everyone|here)\b")


@dataclass(slots=True)
class Webhook:
    """One webhook. `token` is None once it was deleted."""

    id: str
    token: str | None
    channel_id: str
    guild_id: str
    name: str


@dataclass(slots=True)
class Channel:
    """A text channel, a forum, or (with a `parent_id`) a thread of either."""

    id: str
    guild_id: str
    name: str
    forum: bool = False
    requires_tag: bool = False
    tags: frozenset[str] = frozenset()
    parent_id: str | None = None
    archived: bool = False
    locked: bool = False


@dataclass(frozen=True, slots=True)
class Mentioned:
    """Whom a text names and its request allows to be notified."""

    users: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    everyone: bool = False

    def __bool__(self) -> bool:
        return bool(self.users or self.roles or self.everyone)


@dataclass(frozen=True, slots=True)
class Version:
    """One state of a message, from `at` until the next."""

    at: float
    content: str
    embeds: list[JsonObject]
    components: list[JsonObject]
    attachments: list[JsonObject]
    flags: int
    mentioned: Mentioned

    @property
    def text(self) -> str:
        """All that a person can read in it, line by line."""
        return "\n".join([self.content, *(piece for embed in self.embeds for piece in embed_texts(embed))]).strip()


@dataclass(slots=True)
class Message:
    """One message and its history, oldest first. `number` counts the changes of the whole store, for the page."""

    id: str
    channel_id: str
    webhook_id: str
    username: str
    avatar_url: str | None
    history: list[Version]
    deleted_at: float | None = None
    number: int = 0
    pinned: bool = False

    @property
    def now(self) -> Version:
        """Its current state."""
        return self.history[-1]

    @property
    def created_at(self) -> float:
        """Seconds since the epoch."""
        return self.history[0].at

    @property
    def edited(self) -> bool:
        """Whether it wears the mark."""
        return len(self.history) > 1

    @property
    def deleted(self) -> bool:
        """Whether it is gone."""
        return self.deleted_at is not None

    @property
    def silent(self) -> bool:
        """Whether it was posted with SUPPRESS_NOTIFICATIONS."""
        return bool(self.history[0].flags & Flags.SUPPRESS_NOTIFICATIONS)

    @property
    def content(self) -> str:
        """Its current content."""
        return self.now.content

    @property
    def embeds(self) -> list[JsonObject]:
        """Its current embeds."""
        return self.now.embeds

    @property
    def text(self) -> str:
        """All that a person can read in it now."""
        return self.now.text


class Store:
    """Everything the stand-in remembers of Discord. Ids grow with time, one by one within a millisecond."""

    def __init__(self) -> None:
        self.webhooks: dict[str, Webhook] = {}
        self.channels: dict[str, Channel] = {}
        self.roles: dict[str, str] = {}
        self.users: dict[str, str] = {}
        self.messages: dict[str, Message] = {}
        self.changes = 0
        self._last_id = 0

    def snowflake(self, now: float) -> str:
        """A new id that tells its time: milliseconds since 2015 above 22 bits."""
        self._last_id = max(self._last_id + 1, max(0, int(now * 1000) - EPOCH_MS) << 22)
        return str(self._last_id)

    def in_channel(self, channel_id: str | None) -> list[Message]:
        """The messages of one channel or of all, in the order they came, deleted ones with them."""
        return [m for m in self.messages.values() if channel_id in (None, m.channel_id)]

    def post(self, webhook: Webhook, channel_id: str, message_id: str, given: JsonObject, version: Version) -> Message:
        """Store a new message."""
        username, avatar = given.get("username"), given.get("avatar_url")
        message = Message(
            id=message_id,
            channel_id=channel_id,
            webhook_id=webhook.id,
            username=username if isinstance(username, str) else webhook.name,
            avatar_url=avatar if isinstance(avatar, str) else None,
            history=[version],
        )
        self.messages[message_id] = message
        self.touch(message)
        return message

    def touch(self, message: Message) -> None:
        """Let the page see that this message changed."""
        self.changes += 1
        message.number = self.changes

    def delete(self, message: Message, now: float) -> None:
        """Take a message away, as its webhook or a person does."""
        message.deleted_at = now
        self.touch(message)


def create(given: JsonObject, mentions: Mentions, files: list[JsonObject], now: float) -> Version:
    """The first state of a message."""
    return _version(given, Version(now, "", [], [], files, 0, Mentioned()), mentions, now)


def edit(old: Version, given: JsonObject, mentions: Mentions, files: list[JsonObject], now: float) -> Version:
    """The next state: a key that was not given keeps, null or [] clears, mentions follow this request alone."""
    kept = old.attachments
    if "attachments" in given:
        listed = given["attachments"]
        ids = {entry["id"] for entry in listed} if isinstance(listed, list) else set()
        kept = [one for one in old.attachments if one["id"] in ids]
    flags = old.flags
    told = given.get("flags")
    if isinstance(told, int):
        create_only = old.flags & Flags.SUPPRESS_NOTIFICATIONS
        flags = (told & ~Flags.SUPPRESS_NOTIFICATIONS) | create_only
    return _version({**given, "flags": flags}, replace(old, attachments=kept + files), mentions, now)


def _version(given: JsonObject, base: Version, mentions: Mentions, now: float) -> Version:
    content = cast("str", given.get("content", base.content))
    return Version(
        at=now,
        content=content,
        embeds=cast("list[JsonObject]", given.get("embeds", base.embeds)),
        components=cast("list[JsonObject]", given.get("components", base.components)),
        attachments=base.attachments,
        flags=cast("int", given.get("flags", base.flags)),
        mentioned=mentioned(content, mentions),
    )


def mentioned(content: str, allowed: Mentions) -> Mentioned:
    """Whom the content names, outside of code, and `allowed_mentions` lets through. Embeds never notify."""
    if "@" not in content:
        return Mentioned()
    spoken = CODE.sub(" ", content)
    users = tuple(
        dict.fromkeys(one for one in USER.findall(spoken) if "users" in allowed.parse or one in allowed.users)
    )
    roles = tuple(
        dict.fromkeys(one for one in ROLE.findall(spoken) if "roles" in allowed.parse or one in allowed.roles)
    )
    return Mentioned(users, roles, "everyone" in allowed.parse and bool(EVERYONE.search(spoken)))


def is_empty(version: Version) -> bool:
    """Whether nothing is left to show."""
    return not (version.content or version.embeds or version.components or version.attachments)


def wire(message: Message, store: Store) -> JsonObject:
    """The message object of an answer."""
    now = message.now
    return {
        "id": message.id,
        "type": 0,
        "channel_id": message.channel_id,
        "webhook_id": message.webhook_id,
        "author": {
            "id": message.webhook_id,
            "username": message.username,
            "avatar": None,
            "discriminator": "0000",
            "global_name": None,
            "bot": True,
            "public_flags": 0,
            "flags": 0,
        },
        "content": now.content,
        "embeds": [] if now.flags & Flags.SUPPRESS_EMBEDS else now.embeds,
        "components": now.components,
        "attachments": now.attachments,
        "mentions": [{"id": one, "username": store.users.get(one, "unknown")} for one in now.mentioned.users],
        "mention_roles": list(now.mentioned.roles),
        "mention_everyone": now.mentioned.everyone,
        "flags": now.flags,
        "pinned": False,
        "tts": False,
        "timestamp": iso(message.created_at),
        "edited_timestamp": iso(now.at) if message.edited else None,
    }


def iso(instant: float) -> str:
    """ISO 8601 in UTC."""
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="microseconds")
