"""Recorded traffic becomes requests, byte for byte as their senders write them, with times that are right whenever it is played.

Wire formats: reference flux.md §2, alertmanager.md §2. The scenes lie in `traffic/`, one file each, played in the order of their names.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

from relay.core.event import Instant

_OFFSET: Final = re.compile(r"([+-]?)(\d+)([smh])\Z")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600}
_TIMES: Final = frozenset({"timestamp", "startsAt", "endsAt"})
_STILL_FIRING: Final = "0001-01-01T00:00:00Z"

Json = dict[str, Any]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Group(_Model):
    """What one flush of Alertmanager tells: the alerts of a group, and by which labels they were grouped."""

    by: tuple[str, ...]
    alerts: tuple[Json, ...]


class Sent(_Model):
    """One request: of Flux, of Alertmanager, or of a Prometheus that was pointed at the wrong place."""

    flux: Json | None = None
    alertmanager: Group | None = None
    prometheus: tuple[Json, ...] | None = None

    @model_validator(mode="after")
    def _one_sender(self) -> Sent:
        if sum(sender is not None for sender in (self.flux, self.alertmanager, self.prometheus)) != 1:
            raise ValueError("one request has one sender")
        return self


class Step(_Model):
    """What happens at once: how long after the step before, what the terminal says of it, where to look, and seconds to look there."""

    after: str = "0s"
    says: str
    look: str
    send: tuple[Sent, ...]
    pause: float


class Scene(_Model):
    """One piece of the story, and what the channel must show when it is over."""

    title: str
    steps: tuple[Step, ...]
    shows: tuple[tuple[str, str], ...]
    """For each message that it leaves: its sign, and a word of its first line."""
    pages: int = 0
    never: tuple[str, ...] = ()
    """What must stand nowhere where Discord would read it as more than text."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What proves the senders to the relay. Made anew for each demo."""

    flux_hmac: str
    alertmanager_token: str


@dataclass(frozen=True, slots=True)
class Post:
    """One POST to the relay."""

    path: str
    headers: Mapping[str, str]
    body: bytes


def scenes() -> list[Scene]:
    """The story, in order."""
    folder = files("relay.demo") / "traffic"
    found = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".yaml")), key=lambda entry: entry.name)
    return [Scene.model_validate(yaml.safe_load(entry.read_text("utf-8"))) for entry in found]


def post(sent: Sent, keys: Keys, begun: Instant) -> Post:
    """The request of `sent` in a scene that began at `begun`: every time in it is an offset from that."""
    if sent.flux is not None:
        body = _go(_timed(sent.flux, begun))
        signature = hmac.new(keys.flux_hmac.encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "User-Agent": "Go-http-client/1.1",
            "Gotk-Component": str(sent.flux.get("reportingController", "")),
            "X-Signature": f"sha256={signature}",
        }
        return _post("/flux", headers, body)
    bearer = {"Authorization": f"Bearer {keys.alertmanager_token}"}
    if sent.alertmanager is not None:
        body = _go(_envelope(sent.alertmanager, begun)) + b"\n"
        return _post("/alertmanager", {"User-Agent": "Alertmanager/0.28.1", **bearer}, body)
    raw = _go([_timed(alert, begun) for alert in sent.prometheus or ()])
    return _post("/alertmanager", {"User-Agent": "Prometheus/3.5.0", **bearer}, raw)


def _post(path: str, headers: Mapping[str, str], body: bytes) -> Post:
    return Post(path, {"Content-Type": "application/json", **headers}, body)


def _go(value: object) -> bytes:
    """JSON as Go writes it: no spaces, and `<`, `>`, `&` escaped. A signature is of these bytes."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026").encode()


def _timed(value: Json, begun: Instant) -> Json:
    return {key: _time(text, begun) if key in _TIMES else text for key, text in value.items()}


def _time(offset: str, begun: Instant) -> str:
    return datetime.fromtimestamp(int(begun) + seconds(offset), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(offset: str) -> int:
    """`-4m`, `+90s`, `1h` in seconds. Raises ValueError."""
    found = _OFFSET.fullmatch(offset)
    if found is None:
        raise ValueError(f"{offset!r} is no offset: write -4m")
    sign, count, unit = found.groups()
    return int(count) * _UNITS[unit] * (-1 if sign == "-" else 1)


def _envelope(group: Group, begun: Instant) -> Json:
    """Alertmanager's arithmetic around its alerts; an alert is resolved where it has an end."""
    alerts = [_alert(alert, begun) for alert in group.alerts]
    labels = [alert["labels"] for alert in alerts]
    group_labels = {name: labels[0][name] for name in group.by if name in labels[0]}
    key = ", ".join(f'{name}="{text}"' for name, text in sorted(group_labels.items()))
    return {
        "receiver": "relay",
        "status": "firing" if any(alert["status"] == "firing" for alert in alerts) else "resolved",
        "alerts": alerts,
        "groupLabels": group_labels,
        "commonLabels": _common(labels),
        "commonAnnotations": _common([alert["annotations"] for alert in alerts]),
        "externalURL": "https://alertmanager.example.org",
        "version": "4",
        "groupKey": "{}:{" + key + "}",
        "truncatedAlerts": 0,
    }


def _alert(alert: Json, begun: Instant) -> Json:
    timed = _timed(alert, begun)
    labels = dict(sorted(alert["labels"].items()))
    return {
        "status": "resolved" if "endsAt" in alert else "firing",
        "labels": labels,
        "annotations": dict(sorted(alert["annotations"].items())),
        "startsAt": timed["startsAt"],
        "endsAt": timed.get("endsAt", _STILL_FIRING),
        "generatorURL": alert["generatorURL"],
        "fingerprint": hashlib.sha256(repr(labels).encode()).hexdigest()[:16],
    }


def _common(maps: Sequence[Mapping[str, str]]) -> dict[str, str]:
    first, *others = maps
    return {name: text for name, text in first.items() if all(other.get(name) == text for other in others)}
