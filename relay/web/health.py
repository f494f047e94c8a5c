"""Health is about the relay's own process and store, never about Discord: restarting the relay does not heal Discord."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from relay.observe.metrics import Metrics
from relay.web import Accepts
from relay.web.door import NAMELESS, Door, answer


def unready(writer: Accepts, door: Door) -> str:
    """Why a delivery would be answered 503 now, in a few words; empty where it would be read."""
    if writer.stopping:
        return "stopping"
    if not writer.ready:
        return "the database is away"
    if door.full:
        return "too many bodies in flight"
    return ""


def healthz(alive: Callable[[], bool]) -> web.Response:
    """Whether the process is worth keeping: all of its tasks live."""
    return answer(200, "ok") if alive() else answer(503, "a task of the relay has ended")


def readyz(writer: Accepts, door: Door) -> web.Response:
    """Whether a delivery would be read now."""
    why = unready(writer, door)
    return answer(503, f"not ready: {why}") if why else answer(200, "ready")


def exposition(metrics: Metrics) -> web.Response:
    """What Prometheus scrapes."""
    return web.Response(
        body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST, **NAMELESS}
    )
