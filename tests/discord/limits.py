"""Discord's limits as the reference lists them (discord.md §2, §3 and §6), apart from the code that keeps them.

`faults` says what Discord would refuse, or what would ping, format or link though it should not.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

KNOWN = {"content", "embeds", "components", "allowed_mentions", "flags", "username", "avatar_url"}
TEXT = {"title": 256, "description": 4096}


def _url(url: str, most: int) -> bool:
    parts = urlsplit(url)
    host = parts.hostname or ""
    return (
        parts.scheme in {"http", "https"} and "." in host and len(url) <= most and not re.search(r"[\s\x00-\x1f]", url)
    )


def _texts(body: Mapping[str, Any]) -> list[str]:
    found = [body.get("content") or ""]
    for embed in body.get("embeds") or []:
        found += [embed.get("title", ""), embed.get("description", ""), embed.get("footer", {}).get("text", "")]
    return found


def _embeds(embeds: list[Mapping[str, Any]]) -> list[str]:
    found = ["too many embeds"] if len(embeds) > 10 else []
    total = 0
    for embed in embeds:
        for key, most in TEXT.items():
            text = embed.get(key, "")
            total += len(text)
            found += [f"{key} of {len(text)}"] if len(text) > most else []
        foot = embed.get("footer", {}).get("text", "")
        total += len(foot)
        found += ["footer"] if len(foot) > 2048 or ("footer" in embed and not foot.strip()) else []
        found += ["colour"] if not 0 <= embed.get("color", 0) <= 0xFFFFFF else []
        found += ["an embed that says nothing"] if not embed.get("description", "").strip() else []
        found += [f"embed key {key}" for key in embed.keys() - {"title", "description", "footer", "color"}]
    return found + (["sum of embeds"] if total > 6000 else [])


def _components(rows: list[Mapping[str, Any]]) -> list[str]:
    found = ["rows"] if len(rows) > 5 else []
    for row in rows:
        buttons = row["components"]
        found += ["row"] if row["type"] != 1 or not 1 <= len(buttons) <= 5 else []
        for button in buttons:
            fine = (
                button["type"] == 2
                and button["style"] == 5
                and 1 <= len(button["label"].strip()) <= 80
                and _url(button["url"], 512)
            )
            found += [] if fine else [f"button {button}"]
    return found


_CODE_OR_ESCAPE = re.compile(r"\\[\\`*_~|\[\]#>+.)-]|(?<!`)(`{1,2})(?!`)(?:.+?)(?<!`)\1(?!`)")


def without_code(text: str) -> str:
    """`text` without its fences and inline code, as Discord finds them: from left to right, whichever begins first."""
    text = re.sub(r"```\n.*?\n```", " ", text, flags=re.DOTALL)
    return _CODE_OR_ESCAPE.sub(lambda found: " " if found[1] else "x", text)


LIVE = {
    "a mention": re.compile(r"<@[!&]?\d|<#\d|<id:|</\w|<a?:\w+:\d"),
    "a ping of all": re.compile(r"@(everyone|here)", re.IGNORECASE),
    "an address": re.compile(r"\w://"),
    "a masked link": re.compile(r"\]\("),
    "a time": re.compile(r"<t:"),
    "a fence": re.compile(r"```"),
    "emphasis": re.compile(r"[*`]|~~|\|\||(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])"),
    "a block": re.compile(r"^\s*(#{1,3} |-# |> |>>> |- |\+ |\d+\. )", re.MULTILINE),
}


def live(text: str) -> list[str]:
    """What in `text` Discord would take for markup."""
    bare = without_code(text)
    return [what for what, pattern in LIVE.items() if pattern.search(bare)]


def faults(
    body: Mapping[str, Any], *, pings: Collection[str] = (), urls: Collection[str] = (), times: Collection[int] = ()
) -> list[str]:
    """What is wrong with a request's body. `pings` are mentions, `urls` masked links, `times` instants that may stand in it."""
    content = body.get("content") or ""
    found = [f"unknown key {key}" for key in body.keys() - KNOWN]
    found += ["content"] if len(content) > 2000 else []
    found += ["empty"] if not content.strip() and not body.get("embeds") else []
    found += _embeds(body.get("embeds") or []) + _components(body.get("components") or [])
    found += ["bytes"] if sum(len(text.encode()) for text in _texts(body)) > 9960 else []
    allowed = body.get("allowed_mentions")
    if not isinstance(allowed, dict) or allowed.get("parse") != []:
        return [*found, "mentions are not closed"]
    ids = {f"<@{one}>" for one in allowed.get("users", [])} | {f"<@&{one}>" for one in allowed.get("roles", [])}
    found += ["pings whom nobody named"] if not ids <= set(pings) else []
    for text in _texts(body):
        found += ["an open fence"] if text.count("```") % 2 else []
        bare = without_code(text)
        for url in re.findall(r"\]\(<([^>]*)>\)", bare):
            found += [] if url in urls else [f"links to {url}"]
        bare = re.sub(r"\]\(<[^>]*>\)", "", bare)
        for ping in pings:
            bare = bare.replace(ping, "")
        bare = re.sub(r"<t:(\d+):[tfR]>", lambda at: "" if int(at[1]) in times else at[0], bare)
        found += [
            f"{what} in {text[:80]!r}"
            for what, pattern in LIVE.items()
            if what not in {"emphasis", "a block"} and pattern.search(bare)
        ]
    return found
