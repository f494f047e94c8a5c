"""Text from outside stands on Discord as text: it never pings, links, formats, opens or closes a fence, and never tells the time.

Rules: reference/discord.md §6. Everything here takes raw text and gives markup that is safe at any place of a message's content or an
embed's description; titles, footers and names are plain, but Discord's clients differ there, so they get the same.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from typing import Final
from urllib.parse import urlsplit

from relay.core.event import Instant
from relay.core.wording import cut

BREAK: Final = "\u200b"
"""A space without width: what it stands in is no longer what it was."""
MAX_URL = 2048
MAX_BUTTON_URL = 512

_INVISIBLE: Final = frozenset(
    "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u200e\u200f\u2028\u2029\ufeff\u00ad"
)
_AT = re.compile(r"@(?=everyone|here)", re.IGNORECASE)
_ANGLE = re.compile(r"<(?=[@#:/!?&A-Za-z])")
_SCHEME = re.compile(r"(?<=[A-Za-z0-9]):(?=//)|(?<=mailto):|(?<=tel):", re.IGNORECASE)
_INVITE = re.compile(r"(?<=discord\.gg)/|(?<=discord\.com)/|(?<=discordapp\.com)/|(?<=dis\.gd)/", re.IGNORECASE)
_FORMATS = re.compile(r"[\\*~|`\[\]]|_(?![A-Za-z0-9])|(?<![A-Za-z0-9])_")
_LINE_START = re.compile(r"^(\s*)(>+|#{1,3}|-#?|\+|\d+(?=[.)](?:\s|$)))(?=[\s.)]|>|$)", re.MULTILINE)
_EDGE = re.compile(r"(?<![A-Za-z0-9])_+|_+(?![A-Za-z0-9])")
_DROPPED = str.maketrans({"\\": "", "`": "", "|": "¦", "*": "∗", "~": "∼"})
"""What may format, for a place where a backslash would be seen: gone, or a character that looks like it."""
_SEVERAL = re.compile("_{2,}")
_TWICE = re.compile(r"\*{2,}|~{2,}|\|{2,}")
_RUN_OF_TWO = re.compile("`{2,}")
_RUN_OF_THREE = re.compile("`{3,}")
_MENTION = re.compile(r"<@(&?)(\d{1,20})>")


def clean(text: str) -> str:
    """`text` without what nobody can see or that turns text around: controls, bidi overrides, lone surrogates, our own breaks."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char
        for char in text
        if char in "\n\t" or (char not in _INVISIBLE and unicodedata.category(char) not in {"Cc", "Cs"})
    )


def line(text: str) -> str:
    """`text` on one line, clean."""
    return " ".join(clean(text).split())


def _parted(run: re.Match[str]) -> str:
    return BREAK.join(run[0])


def _disarmed(text: str) -> str:
    """Mentions, timestamps, custom emoji and addresses broken; formatting stays."""
    text = _AT.sub("@" + BREAK, text)
    text = _ANGLE.sub("<" + BREAK, text)
    return _INVITE.sub(BREAK + "/", _SCHEME.sub(BREAK + ":", text))


def escape(text: str) -> str:
    """Prose from outside, on one line, to be read as it was written. An underscore within a word needs no backslash."""
    escaped = _FORMATS.sub(lambda found: "\\" + found[0], _disarmed(line(text)))
    return _LINE_START.sub(_unmarked, escaped)


def plain(text: str) -> str:
    """Text for a lock screen, a title or a footer, where some clients show a backslash and others format: it needs neither.

    Marks that come in twos are left out, single ones are replaced by what looks like them; names in snake_case stay.
    """
    bare = _EDGE.sub("", _SEVERAL.sub("_", _TWICE.sub("", line(text)).translate(_DROPPED)))
    whole = _disarmed(line(bare)).replace("](", "] (")
    return BREAK + whole if _LINE_START.search(whole) else whole


def _unmarked(found: re.Match[str]) -> str:
    mark = found[2]
    return f"{found[1]}{mark}\\" if mark.isdigit() else f"{found[1]}\\{mark}"


def code(text: str) -> str:
    """Inline code on one line; empty for nothing. One that holds a backtick stands in two, with spaces at its ends."""
    inner = line(text)
    if not inner:
        return ""
    if "`" not in inner:
        return f"`{inner}`"
    return f"`` {_RUN_OF_TWO.sub(_parted, inner)} ``"


def prose(text: str) -> str:
    """Prose that may hold `code` in backticks, as trees are written: code stays code, everything else is escaped."""
    parts = line(text).split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return "".join(code(part) if at % 2 else _padded(part) for at, part in enumerate(parts))


def _padded(part: str) -> str:
    """A piece of prose, escaped, with the spaces that part it from the code beside it."""
    inner = escape(part)
    if not inner:
        return " " if part else ""
    return f"{' ' if part[0] == ' ' else ''}{inner}{' ' if part[-1] == ' ' else ''}"


def fence(text: str) -> str:
    """A fence around clean `text`, on lines of its own, whatever `text` holds."""
    inner = _RUN_OF_THREE.sub(_parted, clean(text).replace("\t", "  ")).strip("\n")
    return f"```\n{inner}\n```"


def fenceable(command: str) -> str:
    """A command to paste, or nothing if a fence could not show it letter for letter."""
    return command if command == clean(command) and "```" not in command and "\t" not in command else ""


def moment(at: Instant, style: str) -> str:
    """A time that every reader sees in their own zone: style `t` 03:02, `f` with its date, `R` 14 minutes ago."""
    return f"<t:{max(0, min(int(at), 8_640_000_000_000))}:{style}>"


def link(text: str, url: str) -> str:
    """A masked link; only its text where the address is not one to open. `text` is markup already, and holds no address."""
    return f"[{text}](<{url.replace('(', '%28').replace(')', '%29')}>)" if openable(url, MAX_URL - 8) else text


def mentions(given: tuple[str, ...]) -> tuple[str, list[str], list[str]]:
    """The text that pings, and the ids of users and roles that may be pinged; what is no mention of a user or role is left out."""
    found = [match for text in given if (match := _MENTION.fullmatch(text.strip()))]
    users = list(dict.fromkeys(match[2] for match in found if not match[1]))[:20]
    roles = list(dict.fromkeys(match[2] for match in found if match[1]))[:20]
    return " ".join([*(f"<@&{role}>" for role in roles), *(f"<@{user}>" for user in users)]), users, roles


# --- addresses ----------------------------------------------------------------------------------------------------------

_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)
_INSIDE = (".localhost", ".local", ".internal", ".svc", ".localdomain", ".invalid", ".test", ".example")
_URL = re.compile(r"https?://[!-;=?-\[\]_a-z~]+", re.IGNORECASE)


def openable(url: str, limit: int = MAX_BUTTON_URL) -> bool:
    """Whether Discord takes `url` and a phone outside the cluster can open it; one such address refuses a whole message."""
    if len(url) > limit or not _URL.fullmatch(url):
        return False
    try:
        parts = urlsplit(url)
        host, _ = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return False
    if "@" in parts.netloc or not _HOST.fullmatch(host) or host.endswith(_INSIDE):
        return False
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return not host.rsplit(".", 1)[-1].isdigit()


def shortened(text: str, limit: int) -> str:
    """Clean one-line text, cut; then it may be escaped."""
    return cut(line(text), limit)
