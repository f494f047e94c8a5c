"""What can be sent back: Discord's own answers carry `Via` and the bucket's headers, those of the edge before it carry neither."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, assert_never

from relay.demo.discord.codes import MESSAGES, Code
from relay.demo.discord.faults import Fault, Kind
from relay.demo.discord.limits import BucketState, Scope, Throttle, milliseconds, whole_seconds

if TYPE_CHECKING:
    from relay.demo.discord.form import Errors, JsonObject

OLD_API = 7
"""The last version that answers in the old shape, and tells times in milliseconds."""
BUCKET = "d6a4e9b1c7f24a0db0c65e3a1f8b7c92"
"""One hash for every webhook and route, as Discord shows it: telling routes apart by it would be a mistake."""
JSON, HTML, TEXT = "application/json", "text/html", "text/plain"


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HangUp:
    """The connection ends without an answer; `reset` says by RST instead of FIN."""

    reset: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """Discord's no."""

    status: int
    code: Code
    errors: Errors | None = None
    message: str | None = None


def ok(document: JsonObject) -> Answer:
    """200 with an object."""
    return Answer(200, encode(document))


def refused(refusal: Refusal, version: int) -> Answer:
    """The JSON of a refusal, as that version of the API words it."""
    if refusal.errors is not None and version <= OLD_API:
        return Answer(refusal.status, encode(refusal.errors.flat()))
    document: JsonObject = {"message": refusal.message or MESSAGES[refusal.code], "code": refusal.code.value}
    if refusal.errors is not None:
        document["errors"] = refusal.errors.nested()
    return Answer(refusal.status, encode(document))


def throttled(throttle: Throttle, version: int) -> Answer:
    """A 429 of Discord itself."""
    document: JsonObject = {
        "message": MESSAGES[throttle.code] if throttle.code else "You are being rate limited.",
        "retry_after": milliseconds(throttle.retry_after),
        "global": throttle.scope is Scope.GLOBAL,
    }
    header = whole_seconds(throttle.retry_after)
    if throttle.code:
        document["code"] = throttle.code.value
    if version <= OLD_API:
        header = document["retry_after"] = whole_seconds(throttle.retry_after * 1000)
    headers = {"Retry-After": str(header), "X-RateLimit-Scope": throttle.scope.value}
    if throttle.scope is Scope.GLOBAL:
        headers["X-RateLimit-Global"] = "true"
    return Answer(429, encode(document), headers=headers)


def with_bucket(answer: Answer, bucket: BucketState, now: float) -> Answer:
    """The same answer with the headers Discord puts on all of its own."""
    headers = {
        "Via": "1.1 google",
        "X-RateLimit-Limit": str(bucket.limit),
        "X-RateLimit-Remaining": str(bucket.remaining),
        "X-RateLimit-Reset": f"{now + milliseconds(bucket.reset_after):.3f}",
        "X-RateLimit-Reset-After": f"{milliseconds(bucket.reset_after):.3f}",
        "X-RateLimit-Bucket": BUCKET,
    }
    return replace(answer, headers=headers | answer.headers)


def edge(fault: Fault) -> Answer:
    """What answers when Discord itself never saw the request."""
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    match fault.kind:
        case Kind.BAN_HTML:
            return _page(429, "Access denied", "error code: 1015", headers)
        case Kind.CLOUDFLARE_1015:
            return Answer(429, b"error code: 1015", TEXT, headers)
        case Kind.BAN_JSON:
            said = "You are being blocked from accessing our API temporarily. Please try again later."
            return Answer(429, encode({"message": said, "code": 0}))
        case Kind.FORBIDDEN_HTML:
            return _page(403, "Forbidden", "Sorry, you have been blocked", headers)
        case Kind.EDGE_404_HTML:
            return _page(404, "Not Found", "There is nothing here", headers)
        case _:
            if fault.html:
                return _page(fault.status, f"{fault.status}", f"error code: {fault.status}", headers)
            return Answer(fault.status, f"error code: {fault.status}".encode(), TEXT, headers)


def _page(status: int, title: str, text: str, headers: dict[str, str]) -> Answer:
    html = f"<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1><p>{text}</p></body></html>"
    return Answer(status, html.encode(), HTML, headers)


def spoiled(answer: Answer, fault: Fault, now: float) -> Answer:
    """The same answer, damaged on its way as the fault says."""
    match fault.kind:
        case Kind.TRUNCATED_JSON:
            return replace(answer, body=answer.body[: len(answer.body) // 2])
        case Kind.EMPTY_BODY:
            return replace(answer, body=b"")
        case Kind.WRONG_CONTENT_TYPE:
            return replace(answer, content_type=HTML)
        case Kind.MISSING_HEADERS:
            return replace(answer, headers={})
        case Kind.RESET_SKEW:
            reset = float(answer.headers.get("X-RateLimit-Reset", now)) + fault.duration
            return replace(answer, headers=answer.headers | {"X-RateLimit-Reset": f"{reset:.3f}"})
        case (
            Kind.WEBHOOK_DELETED | Kind.TOKEN_ROTATED | Kind.STATUS | Kind.STORED_THEN_DROPPED | Kind.DROPPED_BEFORE
            | Kind.RESET | Kind.SLOW_HEADERS | Kind.SLOW_BODY | Kind.TRICKLE | Kind.GZIP | Kind.RETRY_AFTER_ZERO
            | Kind.RETRY_AFTER_LONG | Kind.BAN_HTML | Kind.BAN_JSON | Kind.CLOUDFLARE_1015 | Kind.FORBIDDEN_HTML
            | Kind.EDGE_404_HTML | Kind.AUTOMOD
        ):  # fmt: skip
            return answer
        case _:
            assert_never(fault.kind)


def encode(document: object) -> bytes:
    """JSON as bytes."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
