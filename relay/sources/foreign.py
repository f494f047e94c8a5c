"""A body that is no event of its source is named, where it is a known wrong format, with the line that cures its sender."""

from __future__ import annotations

from typing import Any, Final

from relay.core.event import Source, Unreadable

_USE_GENERIC: Final = "set the Provider's spec.type to generic-hmac (or generic)"
_USE_WEBHOOK: Final = "use a receiver with webhook_configs whose url is the path of the relay's alertmanager source"


def wrong_format(value: Any, source: Source) -> Unreadable:  # noqa: ANN401  # any JSON value
    """Why the JSON `value` is nothing that `source` sends, and the cure, if its format is known."""
    if isinstance(value, list):
        return _list(value)
    if not isinstance(value, dict):
        return Unreadable(f"JSON, but no object: {_kind(value)}")
    if source is not Source.FLUX and "involvedObject" in value:
        return Unreadable("a Flux event", "set the Provider's spec.address to the path of the relay's flux source")
    if source is not Source.ALERTMANAGER and isinstance(value.get("alerts"), list):
        return Unreadable("an Alertmanager webhook", "point its url at the path of the relay's alertmanager source")
    if "evalMatches" in value:
        return Unreadable(
            "a notification of Grafana's legacy alerting", "use a webhook contact point of unified alerting"
        )
    if "embeds" in value or "attachments" in value or ("text" in value and "username" in value) or "content" in value:
        if source is Source.FLUX:
            return Unreadable("a message as Flux's discord and slack Providers write it", _USE_GENERIC)
        return Unreadable("a message made for a chat (Discord or Slack)", _USE_WEBHOOK)
    if source is Source.FLUX:
        return Unreadable("a JSON object without involvedObject, so no Flux event", _USE_GENERIC)
    return Unreadable("a JSON object without alerts, so no Alertmanager webhook", _USE_WEBHOOK)


def _list(value: list[Any]) -> Unreadable:
    labels = [item["labels"] for item in value if isinstance(item, dict) and isinstance(item.get("labels"), dict)]
    if any("reportingcontroller" in of for of in labels):
        return Unreadable("alerts as Flux's alertmanager Provider sends them to Alertmanager", _USE_GENERIC)
    if labels:
        return Unreadable(
            "raw alerts, as Prometheus sends them to Alertmanager",
            f"send them to Alertmanager, and there {_USE_WEBHOOK}",
        )
    return Unreadable("JSON, but no object: a list")


def _kind(value: object) -> str:
    if value is None:
        return "null"
    return {bool: "a boolean", str: "a string"}.get(type(value), "a number")
