"""A relay is well when it says so itself: the question goes to its own door, by the standard library alone, and nothing is opened."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from typing import Final

from relay.config.environment import listen_of
from relay.tools.terminal import RefusedError

PATIENCE: Final = 3.0
"""Seconds for an answer; a relay that needs longer for one is not well."""
ANSWER: Final = 200
"""Bytes of it that are read."""


def health(variables: Mapping[str, str]) -> tuple[bool, str]:
    """Whether the relay on RELAY_LISTEN would take a delivery now, and its words. Raises RefusedError where nobody answers."""
    host, port = _beside(variables.get("RELAY_LISTEN", "").strip() or "127.0.0.1:8080")
    connection = HTTPConnection(host, port, timeout=PATIENCE)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return answer.status == 200, answer.read(ANSWER).decode(errors="replace").strip()
    except (OSError, HTTPException) as error:
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise RefusedError(f"no answer from {host} port {port}: {said.lower()}") from None
    finally:
        connection.close()


def _beside(listen: str) -> tuple[str, int]:
    """Where one asks who listens on `listen`: "every address" is none to connect to, loopback is one of them."""
    try:
        host, port = listen_of(listen)
    except ValueError as error:
        raise RefusedError(f"RELAY_LISTEN: {error}") from None
    try:
        every = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        every = False
    return ("::1" if ":" in host else "127.0.0.1") if every else host, port
