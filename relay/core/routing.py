"""Which Channels a Signal is shown in: first match wins unless the route continues, and the last route matches everything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from relay.core.labels import Matchers


@dataclass(frozen=True, slots=True)
class Route:
    """What matches goes to `channels`; with none it is counted and shown nowhere."""

    match: Matchers = Matchers()
    channels: tuple[str, ...] = ()
    carry_on: bool = False
    """`continue: true`: later routes are asked too."""


def channels_of(routes: tuple[Route, ...], labels: Mapping[str, str]) -> tuple[str, ...]:
    """The names of the Channels for a Signal with these labels, each once, in the order of the routes."""
    found: dict[str, None] = {}
    for route in routes:
        if route.match.matches(labels):
            found.update(dict.fromkeys(route.channels))
            if not route.carry_on:
                break
    return tuple(found)


def logs(routes: tuple[Route, ...]) -> tuple[str, ...]:
    """The Channels to which a route sends rollouts by their type: each keeps a log of the day."""
    return tuple(
        name
        for route in routes
        if any(one.name == "type" for one in route.match.all_of) and route.match.matches({"type": "rollout"})
        for name in route.channels
    )
