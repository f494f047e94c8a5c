"""The environment says where the relay stands; each variable is checked, and a secret may come as a file instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from relay.config.secrets import Check, Secret, SecretError, SecretFile, SecretSource, SecretValue
from relay.config.values import Listen, is_loopback

T = TypeVar("T")

DISCORD_API: Final = "https://discord.com/api/v10"


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable, for the reference. `file`: the same with `_FILE` names a file that holds it."""

    name: str
    meaning: str
    default: str = ""
    file: bool = False


VARIABLES: Final = (
    Variable(
        "DISCORD_WEBHOOK_URL",
        "The webhook of the one channel of a relay whose file names none; the channel is called `discord`.",
        file=True,
    ),
    Variable("RELAY_CONFIG", "The YAML file; `--config` wins over it.", "none"),
    Variable("RELAY_LISTEN", "`host:port` to listen on; `0.0.0.0:8080` is every IPv4 address.", "127.0.0.1:8080"),
    Variable(
        "RELAY_DATABASE_URL",
        "`sqlite:///relay.db` (four slashes for an absolute path) or `postgresql://user:password@host/name`.",
        "sqlite:///relay.db",
        file=True,
    ),
    Variable(
        "RELAY_DISCORD_API", "Where Discord is: https, or http on loopback. Every webhook is called there.", DISCORD_API
    ),
    Variable("RELAY_FLUX_HMAC_KEY", "The key of the Flux source, where the file gives it no credentials.", file=True),
    Variable(
        "RELAY_ALERTMANAGER_TOKEN",
        "The Bearer token of the Alertmanager source, where the file gives it no credentials.",
        file=True,
    ),
)


def listen_of(text: str) -> Listen:
    """`host:port`, an IPv6 address in brackets. Raises ValueError."""
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,253})):([0-9]{1,5})", text)
    if found is None or int(found[3]) > 65535:
        raise ValueError("write host:port, such as 127.0.0.1:8080, or 0.0.0.0:8080 for every address")
    return Listen(found[1] or found[2], int(found[3]))


def discord_api_of(text: str) -> str:
    """The base of Discord's API, without a slash at the end; `/api/v10` if it has no path. Raises ValueError."""
    try:
        url = urlsplit(text)
        whole = url.scheme in {"https", "http"} and bool(url.hostname) and url.port != 0
    except ValueError:
        raise ValueError("it is not a web address") from None
    if not whole or not re.fullmatch(r"[!-~]{1,512}", text):
        raise ValueError("it is not a web address")
    if url.scheme == "http" and not is_loopback(url.hostname or ""):
        raise ValueError("http is for loopback only: webhook tokens would travel in the open")
    if "@" in url.netloc or url.query or url.fragment:
        raise ValueError("it has a user, ? or #: give scheme, host and path only")
    return f"{url.scheme}://{url.netloc}{url.path.rstrip('/') or '/api/v10'}"


def database_check(secret: Secret) -> str | None:
    """Why it is no database's URL."""
    text = secret.reveal()
    if text.startswith("postgres://"):
        return "write postgresql:// instead of postgres://"
    if re.match(r"sqlite:///.|postgresql://.", text) and text.isprintable():
        return None
    return "it is neither sqlite:///path nor postgresql://…"


class Environment:
    """Reads variables, and tells `wrong` of what cannot be used."""

    def __init__(self, variables: Mapping[str, str], wrong: Callable[[str, str], None]) -> None:
        self._variables = variables
        self._wrong = wrong

    def text(self, name: str, default: str) -> str:
        """A variable's text; an empty one is as good as none."""
        return self._variables.get(name, "").strip() or default

    def listen(self) -> Listen:
        return self._parsed("RELAY_LISTEN", "127.0.0.1:8080", listen_of)

    def discord_api(self) -> str:
        return self._parsed("RELAY_DISCORD_API", DISCORD_API, discord_api_of)

    def database_url(self) -> Secret:
        given = self.secret("RELAY_DATABASE_URL", database_check)
        return given[1].current() if given else Secret("sqlite:///relay.db")

    def _parsed(self, name: str, default: str, parse: Callable[[str], T]) -> T:
        try:
            return parse(self.text(name, default))
        except ValueError as error:
            self._wrong(name, str(error))
            return parse(default)

    def secret(self, name: str, check: Check | None = None) -> tuple[str, SecretSource] | None:
        """The secret of `name` or of the file in `name_FILE`, with the variable it came from. A blank one is wrong, not absent."""
        file = f"{name}_FILE"
        given = [variable for variable in (name, file) if variable in self._variables]
        if len(given) > 1:
            self._wrong(file, f"{name} is set too: leave one out")
        if not given:
            return None
        variable, text = given[0], self._variables[given[0]]
        try:
            return variable, SecretValue(Secret(text), check) if variable == name else _secret_file(name, text, check)
        except SecretError as error:
            self._wrong(variable, str(error))
            return None


def _secret_file(name: str, path: str, check: Check | None) -> SecretFile:
    if not path.strip():
        raise SecretError("it is blank")
    if "://" in path:
        raise SecretError(f"it takes the path of a file; what holds the secret itself is {name}")
    return SecretFile(Path(path), check)
