"""Bodies and answers for tests: a parser's Events, or the failure to have any."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from relay.core.event import Event, Source
from relay.core.policy import Policy, SourcePolicy
from relay.sources import PARSERS, Delivered, Parsed

NOW = 1_772_360_000.0
"""2026-03-01T10:13:20Z: a little after the committed payloads."""
POLICY = Policy(cluster="homelab")
PAYLOADS = Path(__file__).parent / "payloads"


def payload(name: str) -> bytes:
    return (PAYLOADS / f"{name}.json").read_bytes()


def parse(
    source: Source, body: object, *, policy: Policy = POLICY, cluster: str | None = None, now: float = NOW
) -> Parsed:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return PARSERS[source](raw, SourcePolicy(source.value, cluster), policy, now)


def events(source: Source, body: object, **how: Any) -> tuple[Event, ...]:  # noqa: ANN401  # passed on to parse
    found = parse(source, body, **how)
    assert isinstance(found, Delivered), found
    return found.events
