"""Deliveries as their senders make them: equal arguments give equal bytes, and each is about 1 KB but for the worst legal one."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

KEY: Final = b"a-key-that-opens-nothing-but-benches"
MIB: Final = 1024 * 1024
KINDS: Final = ("mix", "new", "old", "worst")
"""`mix`: repeats, copies, ends and reopenings over some objects. `new`: each opens an Incident. `old`: repeats of what `new` opened first.
`worst`: the worst legal body, once."""

_ERROR: Final = (
    'dry-run failed: admission webhook "validate.example.org" denied the request: resource Deployment/{name} violates the policy '
    "require-limits: the container has no memory limit (rule 12 of 40, checked at generation {episode}); "
    "see https://docs.example.org/policies/require-limits for what is asked, and who may grant an exception to it for a while"
)
_FINISHED: Final = "Reconciliation finished in 1.20417s, next run in 10m0s"


def flux(name: str, at: float, *, failed: bool = True, episode: int = 1, said: str = "") -> bytes:
    """What kustomize-controller says of one Kustomization at the sender's time `at`; why it failed is what is `said`, if anything."""
    body = {
        "involvedObject": {
            "kind": "Kustomization",
            "namespace": "flux-system",
            "name": name,
            "uid": "0b4b0aab-6c0b-4d15-9a6b-3f5d6c1c4f0e",
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
            "resourceVersion": "1184723",
        },
        "severity": "error" if failed else "info",
        "timestamp": datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "message": said or (_ERROR.format(name=name, episode=episode) if failed else _FINISHED),
        "reason": "ReconciliationFailed" if failed else "ReconciliationSucceeded",
        "metadata": {
            "revision": "main@sha1:3ebb95c7d1f4a2b60c9e85f7a1d2c3b4e5f60718",
            "originRevision": "main@sha1:9c1185a5c5e9fc54612808977ee8f548b2258d31",
            "summary": "cluster homelab, managed by the team that wrote the policy",
        },
        "reportingController": "kustomize-controller",
        "reportingInstance": "kustomize-controller-7c4f6b8d59-x2k9p",
    }
    return json.dumps(body, separators=(",", ":")).encode()


def alerts(labels: list[dict[str, str]], at: float, padding: int = 0) -> bytes:
    """One group of Alertmanager's, all firing since `at`; `padding` characters more in each description."""
    started = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = {
        "receiver": "relay",
        "status": "firing",
        "alerts": [
            {
                "status": "firing",
                "labels": own,
                "annotations": {"description": "x" * padding},
                "startsAt": started,
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "",
                "fingerprint": "c0ffee",
            }
            for own in labels
        ],
        "groupKey": "{}:{}",
        "version": "4",
    }
    return json.dumps(body, separators=(",", ":")).encode()


def worst(at: float, count: int = 20_000, size: int = 10 * MIB) -> bytes:
    """The worst legal body: as many alerts and as many bytes as are taken, and each alert opens an Incident of its own."""
    labels = [
        {"alertname": f"Alert{number}", "severity": "warning", "namespace": f"space-{number}", "pod": f"app-{number}"}
        for number in range(count)
    ]
    spare = (size - len(alerts(labels, at))) // count
    return alerts(labels, at, padding=spare)


def request(path: str, body: bytes) -> bytes:
    """The whole POST, signed as notification-controller signs it."""
    signature = hmac.digest(KEY, body, "sha256").hex()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: relay.example.org\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: application/json\r\nX-Signature: sha256={signature}\r\nAccept-Encoding: gzip\r\n\r\n"
    )
    return head.encode() + body


def requests(kind: str, count: int, objects: int, start: int, began: float) -> Iterator[bytes]:
    """`count` deliveries from the one numbered `start` on; the senders' clocks run from `began`, a millisecond for each."""
    for number in range(start, start + count):
        at = began + number * 0.001
        match kind:
            case "mix":
                yield request("/flux", _mixed(number, objects, began))
            case "new":
                yield request("/flux", flux(f"app-{number}", at))
            case "old":
                yield request("/flux", flux(f"app-{number % objects}", at + 1000.0))
            case "worst":
                yield request("/alertmanager", worst(began))
            case _:
                raise ValueError(kind)


def _mixed(number: int, objects: int, began: float) -> bytes:
    """Of ten deliveries about one object: seven repeats, a copy of the last, its end, and its next failure."""
    turn, place = divmod(number, objects)
    episode, step = divmod(turn, 10)
    said = turn - 1 if step == 8 else turn
    return flux(f"app-{place}", began + (said * objects + place) * 0.001, failed=step != 9, episode=episode)
