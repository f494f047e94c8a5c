"""One line per thing that happened, to standard error; whatever a line was given, no secret and no body leaves through it.

Nobody should log a secret. `redact` is the last line of defence for the day when somebody does.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from pathlib import PurePath
from typing import Any, Final, TextIO

import structlog

MAX_TEXT: Final = 8192
"""Characters of one value; a traceback is longer only where it repeats itself."""
HIDDEN: Final = "<hidden>"

_NEVER: Final = frozenset({"body", "payload", "content", "headers", "authorization", "token", "password", "secret"})
"""Names of values that are never written, whatever they hold."""

_SECRETS: Final = re.compile(
    r"(?P<webhook>/webhooks/\d{1,20}/)[\w.~-]+"
    r"|(?P<scheme>\b(?:bearer|basic)\s+)[\w.~+/=-]{16,}"
    r"|(?P<header>\b(?:authorization|x-signature|x-grafana-alerting-signature)\b['\"]?\s*[:=]\s*)[^\r\n,;}]+"
    r"|(?P<named>\b(?:token|password|passwd|secret|api[_-]?key|client_secret|access_token)\b['\"]?\s*[:=]\s*)['\"]?[^\s'\",;&}]+"
    r"|(?P<userinfo>://)[^\s/?#@]+@"
    r"|\bsha256=[0-9a-f]{64}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}|\bxox[abprs]-[\w-]{10,}|\bAKIA[A-Z0-9]{16}\b"
    r"|\b[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r"|\bAGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]+"
    r"|-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)",
    re.IGNORECASE,
)
_KEPT: Final = ("webhook", "scheme", "header", "named", "userinfo")


def _hide(found: re.Match[str]) -> str:
    return next((found[name] for name in _KEPT if found[name]), "") + HIDDEN


def fault(error: BaseException) -> dict[str, str]:
    """What was raised and where, for a line: without its text, which may quote what came from outside."""
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "why": type(error).__name__,
        "at": f"{PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "",
    }


def redacted(text: str) -> str:
    """`text` without what looks like a webhook's token, an Authorization, a signature or a known kind of key; cut to `MAX_TEXT`."""
    hidden = _SECRETS.sub(_hide, text)
    return hidden if len(hidden) <= MAX_TEXT else f"{hidden[: MAX_TEXT // 2]} … {hidden[-MAX_TEXT // 2 :]}"


def redact(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # noqa: ANN401  # structlog's own signature.
    """The processor that stands before the renderer."""
    for name, value in line.items():
        line[name] = HIDDEN if name.lower() in _NEVER else _clean(value)
    return line


def _clean(value: object) -> Any:  # noqa: ANN401  # What JSON can hold.
    match value:
        case bool() | int() | float() | None:
            return value
        case str():
            return redacted(value)
        case bytes() | bytearray() | memoryview():
            return f"<{len(value)} bytes>"
        case Mapping():
            return {
                str(name): HIDDEN if str(name).lower() in _NEVER else _clean(inner) for name, inner in value.items()
            }
        case list() | tuple() | set() | frozenset():
            return [_clean(inner) for inner in value]
        case _:
            return redacted(repr(value))


_SILENT: Final = ("aiohttp.access", "alembic", "aiohttp.server", "discord_webhook", "requests", "urllib3")
"""Those that log URLs, tokens or what a client sent. The relay answers for their failures in its own words."""


def configure(level: str = "info", *, json: bool | None = None, stream: TextIO | None = None) -> None:
    """Send structlog's and the standard library's lines of `level` and above to `stream` (standard error).

    To a terminal for people; else as logfmt, or with `json` as JSON (`json=False` asks for logfmt on a terminal too).
    """
    stream = stream if stream is not None else sys.stderr
    number = logging.getLevelNamesMapping()[level.upper()]
    for_people = json is None and stream.isatty()
    first: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*first, structlog.stdlib.ExtraAdder(allow=())],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redact,
                _renderer(for_people=for_people, json=bool(json)),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name in _SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    structlog.configure(
        processors=[*first, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _renderer(*, for_people: bool, json: bool) -> structlog.typing.Processor:
    if for_people:
        return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback, timestamp_key="time")
    if json:
        return structlog.processors.JSONRenderer()
    return structlog.processors.LogfmtRenderer(key_order=["time", "level", "event"], bool_as_flag=False)
