"""A request is proven by any one of its source's secrets, in a time that tells nothing; a blank secret never opens.

Wire formats: Flux's `X-Signature` (reference/flux.md §2.4), Grafana's signature (reference/alertmanager.md §2.3), RFC 6750, RFC 7617.
"""

from __future__ import annotations

import hmac
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Final

from relay.config.secrets import Secret, SecretSource
from relay.config.values import BasicPair, Credentials
from relay.core.event import Source
from relay.core.values import value

GRAFANA_SIGNATURE: Final = "X-Grafana-Alerting-Signature"
GRAFANA_TIMESTAMP: Final = "X-Grafana-Alerting-Timestamp"
"""Grafana lets people name it; this is the name that its documentation uses, and the only one that is read."""
_HEX: Final = 64
"""Digits of a SHA-256."""


class Proof(Enum):
    """What the headers alone prove."""

    GIVEN = "given"
    REFUSED = "refused"


@value(frozen=True, slots=True)
class Signature:
    """What the headers claim, and the body has yet to prove: the HMAC-SHA256 of `prefix` and the body, under a known key."""

    digest: bytes
    prefix: bytes = b""

    def signs(self, body: bytes, credentials: Credentials) -> bool:
        """Whether one of the keys made it over exactly these bytes."""
        return any(self._made_by(key, body) for secret in _held(credentials.hmac_keys) for key in variants(secret))

    def _made_by(self, key: bytes, body: bytes) -> bool:
        if not self.prefix:
            return hmac.compare_digest(hmac.digest(key, body, "sha256"), self.digest)
        hashed = hmac.new(key, self.prefix, "sha256")
        hashed.update(body)
        return hmac.compare_digest(hashed.digest(), self.digest)


def _held(sources: Sequence[SecretSource]) -> Iterator[Secret]:
    """The secrets as they were a moment ago; then, for whom none of them is right, those that their files hold by now."""
    recent = [one.recent() for one in sources]
    yield from recent
    yield from (now for one, before in zip(sources, recent, strict=True) if (now := one.current()) is not before)


@lru_cache(maxsize=64)
def variants(key: Secret) -> tuple[bytes, ...]:
    """The key as it was configured, with a newline, and stripped: which of them Flux signs with depends on its version and on `echo`."""
    raw = key.raw()
    stripped = raw.strip()
    return tuple(dict.fromkeys((raw, raw + b"\n", stripped))) if stripped else ()


def by_headers(kind: Source, credentials: Credentials, headers: Mapping[str, str]) -> Proof | Signature:
    """What `headers` prove to a source of this `kind`: all, nothing, or something that its body must confirm."""
    if (authorization := headers.get("Authorization")) and _authorized(authorization, credentials):
        return Proof.GIVEN
    if not credentials.hmac_keys:
        return Proof.REFUSED
    signature = _flux(headers) if kind is Source.FLUX else _grafana(headers)
    return signature or Proof.REFUSED


def _authorized(authorization: str, credentials: Credentials) -> bool:
    scheme, _, given = authorization.partition(" ")
    match scheme.lower():
        case "bearer":
            return _matches_any(given.strip(), credentials)
        case "basic":
            user, password = _user_and_password(given)
            return any(_is(pair, user, password) for pair in credentials.basic)
        case _:
            return False


def _matches_any(token: str, credentials: Credentials) -> bool:
    candidate = token.encode(errors="surrogateescape")
    return any(secret.matches(candidate) for secret in _held(credentials.bearer_tokens))


def _user_and_password(given: str) -> tuple[bytes, bytes]:
    """Both empty where it cannot be read: a blank secret opens nothing."""
    try:
        user, _, password = b64decode(given.strip(), validate=True).partition(b":")
    except ValueError:
        return b"", b""
    return user, password


def user_of(authorization: str) -> str:
    """The name that HTTP Basic gives, proven or not; empty where it gives none."""
    scheme, _, given = authorization.partition(" ")
    return _user_and_password(given)[0].decode(errors="replace") if scheme.lower() == "basic" else ""


def _is(pair: BasicPair, user: bytes, password: bytes) -> bool:
    """Both are compared in any case, so that the time does not tell a known name."""
    known = hmac.compare_digest(pair.username.encode(), user)
    return any(secret.matches(password) for secret in _held(pair.passwords)) and known


def _flux(headers: Mapping[str, str]) -> Signature | None:
    algorithm, _, digits = headers.get("X-Signature", "").partition("=")
    return _signature(digits) if algorithm == "sha256" else None


def _grafana(headers: Mapping[str, str]) -> Signature | None:
    timestamp = headers.get(GRAFANA_TIMESTAMP, "")
    return _signature(headers.get(GRAFANA_SIGNATURE, ""), f"{timestamp}:" if timestamp else "")


def _signature(digits: str, prefix: str = "") -> Signature | None:
    if len(digits) != _HEX:
        return None
    try:
        return Signature(bytes.fromhex(digits), prefix.encode(errors="surrogateescape"))
    except ValueError:
        return None
