"""The configuration as frozen values: whole, checked, and without a secret in its string form."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

from relay.config.secrets import Secret, SecretError, SecretSource
from relay.core.event import Source
from relay.core.policy import Policy, SourcePolicy
from relay.core.quiet import Hours

ENVIRONMENT: Final[Mapping[Source, str]] = {
    Source.FLUX: "RELAY_FLUX_HMAC_KEY",
    Source.ALERTMANAGER: "RELAY_ALERTMANAGER_TOKEN",
}
"""The variable (or, with `_FILE`, the one naming a file) that locks a source without credentials of its own."""
_SETTING: Final[Mapping[Source, str]] = {Source.FLUX: "hmac_key_file", Source.ALERTMANAGER: "bearer_token_file"}

DISCORD_HOSTS: Final = frozenset(
    f"{release}{host}" for release in ("", "ptb.", "canary.") for host in ("discord.com", "discordapp.com")
)
_WEBHOOK: Final = re.compile(r"/api(?:/v[0-9]{1,3})?/webhooks/([0-9]{1,20})/([A-Za-z0-9_-]{1,200})/?")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class Listen(NamedTuple):
    """Where the relay is bound."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class BasicPair:
    """A user name and the passwords that open with it."""

    username: str
    passwords: tuple[SecretSource, ...]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What opens a source. Of each kind any one is accepted (rotation); how the kinds combine is `relay.web`'s to say."""

    hmac_keys: tuple[SecretSource, ...] = ()
    bearer_tokens: tuple[SecretSource, ...] = ()
    basic: tuple[BasicPair, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.hmac_keys or self.bearer_tokens or self.basic)

    @property
    def secrets(self) -> tuple[SecretSource, ...]:
        """All of them: to ask for their warnings."""
        return (*self.hmac_keys, *self.bearer_tokens, *(one for pair in self.basic for one in pair.passwords))


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """One source: who speaks, where, proven by what. `hold` in seconds, None for what the trees say."""

    name: str
    kind: Source
    path: str
    cluster: str | None = None
    credentials: Credentials = Credentials()
    unauthenticated: bool = False
    hold: float | None = None

    @property
    def policy(self) -> SourcePolicy:
        """As parsing sees it."""
        return SourcePolicy(self.name, self.cluster, self.hold)

    def served(self, listen: Listen) -> bool:
        """Whether its requests are read at all; else each is answered 401, and `locked_because` says why."""
        return bool(self.credentials) or self.unauthenticated or is_loopback(listen.host)

    @property
    def locked_because(self) -> str:
        """For the status message: what to set so that it is served beyond loopback. One line."""
        variable, setting = ENVIRONMENT[self.kind], _SETTING[self.kind]
        return (
            f"source {self.name} has no credentials, so {self.path} answers 401: set {variable} or {variable}_FILE,"
            f" or {setting} on the source; `unauthenticated: true` there lets anybody in"
        )


@dataclass(frozen=True, slots=True)
class Webhook:
    """All that is taken of a webhook's URL."""

    id: str
    token: Secret
    thread: str | None = None


def webhook(secret: Secret, discord_api: str) -> Webhook:
    """The webhook whose URL is `secret`; besides Discord's hosts that of `discord_api` is known. Raises SecretError."""
    try:
        url = urlsplit(secret.reveal())
        own = urlsplit(discord_api)
        ours = (url.scheme, url.hostname, url.port) == (own.scheme, own.hostname, own.port)
        discords = url.scheme == "https" and url.hostname in DISCORD_HOSTS and url.port in {None, 443}
        threads = parse_qs(url.query).get("thread_id", [])
    except ValueError:
        raise SecretError("it is not the URL of a Discord webhook") from None
    if not (ours or discords) or "@" in url.netloc:
        raise SecretError("it is not the URL of a Discord webhook: https://discord.com/api/webhooks/…")
    found = _WEBHOOK.fullmatch(url.path)
    if found is None:
        if url.path.rstrip("/").endswith(("/slack", "/github")):
            raise SecretError("it ends in /slack or /github: take that off, the relay speaks Discord's own format")
        raise SecretError("it is cut short or more than a webhook's URL: …/api/webhooks/ID/TOKEN")
    if len(threads) > 1 or any(not re.fullmatch(r"[0-9]{1,20}", thread) for thread in threads):
        raise SecretError("its thread_id is not one id")
    return Webhook(found[1], Secret(found[2]), threads[0] if threads else None)


def webhook_check(discord_api: str) -> Callable[[Secret], str | None]:
    """For a secret that is a webhook's URL: why it is none."""

    def check(secret: Secret) -> str | None:
        try:
            webhook(secret, discord_api)
        except SecretError as error:
            return str(error)
        return None

    return check


def ping_check(secret: Secret) -> str | None:
    """For a secret that is the ping's URL: why it is none."""
    try:
        url = urlsplit(secret.reveal())
        whole = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        whole = False
    if not whole or not secret.reveal().isprintable() or " " in secret.reveal():
        return "it is not a web address"
    return None


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """One channel's way to Discord. What it shows is `Policy.channels[name]`."""

    name: str
    webhook_url: SecretSource
    discord_api: str
    thread: str | None = None
    """The configured one; it wins over the URL's."""

    def webhook(self) -> Webhook:
        """As its URL says now; follows the file."""
        now = webhook(self.webhook_url.current(), self.discord_api)
        return Webhook(now.id, now.token, self.thread or now.thread)


@dataclass(frozen=True, slots=True)
class PingSettings:
    """The ping out, `every` so many seconds."""

    url: SecretSource
    every: float


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything the relay was told, taken whole."""

    policy: Policy
    sources: tuple[SourceSettings, ...]
    channels: tuple[ChannelSettings, ...]
    listen: Listen
    database_url: Secret
    discord_api: str
    trees_folder: Path | None
    edges_folder: Path | None
    hours: Hours | None
    ping: PingSettings | None
    history_keep: float
    """Seconds."""
    file: Path | None
    text: str = field(repr=False)
    """What the file says, without its comments, so without a secret: kept as the last good one, and read again by `load(…, text=…)`."""

    quiet: Credentials = Credentials()
    """What opens `/quiet`; without any nothing is served there."""
    handbook: str | None = None
    """Where the trees are drawn: a page, or with `{tree}` in it one for each tree, with an anchor for each leaf."""

    def secrets(self) -> tuple[SecretSource, ...]:
        """Every followed secret: to ask for its `warning`."""
        return (
            *(channel.webhook_url for channel in self.channels),
            *(secret for source in self.sources for secret in source.credentials.secrets),
            *self.quiet.secrets,
            *((self.ping.url,) if self.ping else ()),
        )

    @property
    def zone(self) -> tzinfo:
        """The clock that people here live by: that of their nights, where those are configured."""
        return self.hours.zone if self.hours is not None else UTC
