"""Bodies as the senders write them, written from the wire format."""

import json
from typing import Any

NOW = 1_760_000_000.0


def alert(name: str = "KubePodCrashLooping", severity: str = "critical", **labels: str) -> dict[str, Any]:
    given = {"alertname": name, "severity": severity, "namespace": "media", "pod": "sonarr-66cc5c9fcf-9rccg", **labels}
    return {
        "status": "firing",
        "labels": given,
        "annotations": {
            "description": "Pod media/sonarr waits (reason: CrashLoopBackOff).",
            "summary": "Pod crash-loops.",
        },
        "startsAt": "2025-10-09T08:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
    }


def ended(given: dict[str, Any]) -> dict[str, Any]:
    return {**given, "status": "resolved", "endsAt": "2025-10-09T08:50:00Z"}


def alertmanager(*alerts: dict[str, Any]) -> bytes:
    return json.dumps({"version": "4", "receiver": "ops", "groupKey": "{}:{}", "alerts": list(alerts)}).encode()


def flux(
    severity: str = "error", reason: str = "BuildFailed", message: str = "kustomize build failed: no such file"
) -> bytes:
    thing = {"kind": "Kustomization", "namespace": "flux-system", "name": "apps", "uid": "1"}
    body = {
        "involvedObject": thing,
        "severity": severity,
        "timestamp": "2025-10-09T08:53:00Z",
        "message": message,
        "reason": reason,
        "metadata": {"revision": "main@sha1:3ebb95c1"},
        "reportingController": "kustomize-controller",
    }
    return json.dumps(body).encode()
