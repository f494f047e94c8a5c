"""What is printed is text: words from outside move no cursor and set no colour, and only a terminal is given any colour.

A Line is made of spans; each is cleaned when it is printed, whatever it was before, and what colours it is ours.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Any, Final, TextIO

from relay.core.event import Instant, Severity

WIDTH: Final = 80
"""Columns where nobody says how many there are; a wide terminal is used up to `WIDEST`, since long lines are not read."""
WIDEST: Final = 110
NAME: Final = 11
"""Columns of a field's name, its space included."""


class Ink(StrEnum):
    """How a span stands out, as the parameters of an SGR sequence."""

    PLAIN = ""
    BOLD = "1"
    DIM = "2"
    RED = "31"
    GREEN = "32"
    YELLOW = "33"
    ALARM = "1;31"


Span = str | tuple[Ink, str]
Line = Sequence[Span]

INKS: Final = {Severity.CRITICAL: Ink.ALARM, Severity.ERROR: Ink.RED, Severity.WARNING: Ink.YELLOW}


class RefusedError(Exception):
    """What a command was given cannot be used; the text says why, in a line or few, and what would be right."""


def severity(value: Severity) -> tuple[Ink, str]:
    """The word, in its colour."""
    return (INKS.get(value, Ink.PLAIN), value.word)


def clean(text: str) -> str:
    """`text` on as many lines as it has, without anything that a terminal would obey or not show."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else _stand_in(char) for char in text)


def _stand_in(char: str) -> str:
    if char == "\t":
        return "  "
    match unicodedata.category(char):
        case "Zs":
            return " "
        case "Cf":
            return ""
        case _:
            return "\ufffd"


def coloured(stream: TextIO) -> bool:
    """Whether `stream` is a terminal that shows colours, and nobody said that they are not wanted (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def columns() -> int:
    """How wide a line may be."""
    wide = shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() else WIDTH
    return max(40, min(wide, WIDEST))


def spelled(line: Line | str, *, colour: bool) -> str:
    """One Line as it is printed."""
    out = []
    for span in (line,) if isinstance(line, str) else line:
        ink, text = (Ink.PLAIN, span) if isinstance(span, str) else span
        text = clean(text).replace("\n", " ")
        out.append(f"\x1b[{ink}m{text}\x1b[0m" if colour and ink and text else text)
    return "".join(out).rstrip(" ")


def show(lines: Iterable[Line | str]) -> None:
    """Print to standard output."""
    colour = coloured(sys.stdout)
    for line in lines:
        sys.stdout.write(spelled(line, colour=colour) + "\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """Print to standard error, and never more than a screen of it."""
    sys.stdout.flush()
    for line in clean(text).splitlines()[:120]:
        sys.stderr.write(line + "\n")
    sys.stderr.flush()


def show_json(value: Any) -> None:  # noqa: ANN401  # any JSON value
    """Print as JSON for programs and people: UTF-8, but what a terminal would obey stands escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    if not text.replace("\n", "").isprintable():
        text = "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


# --- layout -------------------------------------------------------------------------------------------------------------


def field(name: str, text: str, ink: Ink = Ink.PLAIN) -> Iterator[Line]:
    """A name and its text beside it, on as many lines as it takes; nothing where there is no text."""
    for at, row in enumerate(wrapped(text, columns() - NAME - 2)):
        yield [(Ink.DIM, f"  {name if at == 0 else '':<{NAME}}"), (ink, row)]


def wrapped(text: str, width: int, hang: str = "") -> list[str]:
    """`text` in rows of at most `width`, the second and following ones behind `hang`; a word that is longer stays whole."""
    return [
        row
        for part in clean(text).splitlines()
        for row in textwrap.wrap(part, width, subsequent_indent=hang, break_long_words=False, break_on_hyphens=False)
    ]


def table(rows: Sequence[Sequence[str]], gap: int = 2) -> list[list[str]]:
    """The cells of each row, padded so that columns stand below one another; the last is left as it is."""
    count = max(map(len, rows), default=0)
    widths = [max(len(row[at]) for row in rows if len(row) > at) for at in range(count)]
    return [
        [cell if at == len(row) - 1 else f"{cell:<{widths[at] + gap}}" for at, cell in enumerate(row)] for row in rows
    ]


# --- errors that are the operator's to mend -----------------------------------------------------------------------------


def complaint(error: BaseException) -> str | None:
    """What an operator is told of `error`, in a line or few; None where it is a bug, and a traceback helps more."""
    from sqlalchemy.exc import SQLAlchemyError

    from relay.config.problems import ConfigError
    from relay.config.trees import TreeError
    from relay.storage.engine import UnusableDatabaseError, describe, is_outage

    match error:
        case RefusedError() | UnusableDatabaseError() | TreeError():
            return str(error)
        case ConfigError():
            return f"The configuration is refused:\n{error}"
        case SQLAlchemyError() if is_outage(error):
            return f"The database does not answer: {describe(error)}"
        case OSError():
            named = f"{error.filename}: " if isinstance(error.filename, str) else ""
            return f"{named}{(error.strerror or str(error)).strip().lower()}"
        case _:
            return None


def moment(at: Instant) -> str:
    """`2026-11-24 09:00 UTC`; what no calendar holds stays a number."""
    from datetime import UTC, datetime

    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return f"{at:.0f}"
