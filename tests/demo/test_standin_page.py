"""The page: what it is told, what it may load, and what a real browser makes of a hostile message."""

import asyncio
import re
import shutil
import sys
from pathlib import Path

import pytest

import relay.demo.discord
from relay.demo.discord import StandIn
from tests.demo.conftest import Talk

FOLDER = Path(relay.demo.discord.__file__).parent / "page"
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=1</script> [a](javascript:alert(1))'


async def look(url: str, folder: Path) -> str:
    """The page as Chromium has it after its scripts ran."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or "chromium"
    process = await asyncio.create_subprocess_exec(
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", f"--user-data-dir={folder}",
        "--virtual-time-budget=2000", "--dump-dom", url,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    out, _ = await process.communicate()
    return out.decode()


async def test_the_page_may_load_nothing_but_itself(talk: Talk) -> None:
    root = talk.api.removesuffix("/api/v10")
    for path in ("/", "/channels/20", "/_/page.js", "/_/page.css", "/_/markdown.js", "/_/state.json"):
        async with talk.session.get(root + path) as answer:
            assert answer.status == 200
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.iterdir()))
def test_no_asset_parses_markup_or_names_another_host(name: str) -> None:
    text = (FOLDER / name).read_text()
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|@import|url\(", text
    )
    foreign = set(re.findall(r"https?://[a-z][^\s\"'`]*", text)) - {"http://www.w3.org/2000/svg"}
    assert not foreign


async def test_what_a_person_pins_stands_above_all_others(talk: Talk, standin: StandIn, tmp_path: Path) -> None:
    pinned = await talk.post({"content": "how all is"})
    await talk.post({"content": "something else"})
    standin.pin(str(pinned.json["id"]))
    page = await look(talk.api.removesuffix("/api/v10") + "/channels/20", tmp_path)
    assert re.search(rf'<a class="pin" href="#m-{pinned.json["id"]}"[^>]*>.*?how all is</span></a>', page)
    assert page.count('class="pin"') == 1


async def test_the_state_holds_messages_and_rings_and_no_token(talk: Talk, standin: StandIn) -> None:
    standin.add_role("5", "oncall")
    loud = await talk.post({"content": "<@&5> loud", "allowed_mentions": {"roles": ["5"]}})
    await talk.post({"content": "quiet", "flags": 4096})
    await talk.edit(loud.json["id"], {"content": "changed"})
    root = talk.api.removesuffix("/api/v10")
    async with talk.session.get(root + "/_/state.json?channel=20") as answer:
        text, state = await answer.text(), await answer.json()
    assert [(one["content"], one["edits"], one["silent"]) for one in state["messages"]] == [
        ("changed", 1, False),
        ("quiet", 0, True),
    ]
    assert [(one["text"], one["silent"], one["mentions"]) for one in state["rung"]] == [
        ("<@&5> loud", False, True),
        ("quiet", True, False),
    ]
    assert state["roles"] == {"5": "oncall"}
    assert '"token"' not in text
    async with talk.session.get(f"{root}/_/state.json?since={state['change']}") as answer:
        assert answer.status == 204


@pytest.mark.browser
async def test_a_browser_shows_the_card_and_hostile_text_stays_text(
    talk: Talk, standin: StandIn, tmp_path: Path
) -> None:
    standin.add_role("5", "oncall")
    button = {"type": 2, "style": 5, "label": "Runbook", "url": "https://runbooks.example.org/x"}
    description = "**Users:** `sonarr` is down\n```sh\nkubectl get pods\n```\n-# small print\n" + HOSTILE
    posted = await talk.post(
        {
            "content": "🚨 sonarr crash-looping <@&5>",
            "embeds": [{"title": "Why?", "description": description, "footer": {"text": "homelab · k7f3"}}],
            "components": [{"type": 1, "components": [button]}],
        },
        with_components="true",
    )
    await talk.post({"content": "quiet", "flags": 4096})
    root = talk.api.removesuffix("/api/v10")
    page = await look(f"{root}/", tmp_path / "wide")
    assert f'data-message-id="{posted.json["id"]}"' in page
    assert '<span class="pill role">@oncall</span>' in page
    assert "<strong>Users:</strong>" in page
    assert '<pre class="fence"><code>kubectl get pods</code></pre>' in page
    assert '<small class="small-print">small print</small>' in page
    assert 'href="https://runbooks.example.org/x"' in page
    assert "&lt;img src=x" in page
    assert "<img" not in page
    assert 'href="javascript' not in page
    assert "<title>#ops" in page
    phone = await look(f"{root}/?phone=1", tmp_path / "phone")
    assert phone.count("data-notice-for") == 1
    assert "🚨 sonarr crash-looping @oncall" in phone
    assert "1 more without a sound" in phone


async def test_the_module_runs_by_itself_and_prints_where_it_is() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "relay.demo.discord", "--port", "0", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    said = [(await process.stdout.readline()).decode().split() for _ in range(3)]
    process.terminate()
    assert await process.wait() == 0
    assert [words[0] for words in said] == ["webhook", "page", "phone"]
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/api/v10/webhooks/\d+/[\w-]{68}", said[0][1])
