"""A real browser opens the channel after the story, and in the middle of it, and reads what a person would."""

import asyncio
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from relay.demo.play import staged, tell, verdict
from relay.demo.tally import is_status
from relay.demo.traffic import scenes

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Seen:
    """The page as Chromium has it after its scripts ran, and what they complained of."""

    page: str
    complaints: list[str]

    def message(self, message_id: str) -> str:
        """One message's markup."""
        found = re.search(rf'<li class="message[^"]*" id="m-{message_id}".*?</article></li>', self.page, re.DOTALL)
        assert found, f"{message_id} is not on the page"
        return found[0]


async def look(url: str, folder: Path) -> Seen:
    """Open `url` in a real browser."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or "chromium"
    process = await asyncio.create_subprocess_exec(
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--enable-logging=stderr",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", f"--user-data-dir={folder}",
        "--virtual-time-budget=2000", "--dump-dom", url,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return Seen(out.decode(), [line for line in err.decode().splitlines() if ":CONSOLE" in line])


async def test_after_the_story_a_browser_reads_the_cards_and_nobody_was_called_by_hostile_text(tmp_path: Path) -> None:
    story = scenes()
    async with staged(story) as stage:
        await tell(stage, story, lambda _: None)
        assert (await verdict(stage, story))[1] == []
        seen = await look(stage.page, tmp_path / "channel")
        phone = await look(f"{stage.page}?phone=1", tmp_path / "phone")
        messages, pushes = stage.standin.messages(), stage.standin.pushes
    assert seen.complaints == phone.complaints == []
    assert 'class="away"' not in seen.page
    assert seen.page.count("data-message-id") == len(messages)
    for sign, word in (shown for scene in story for shown in scene.shows):
        assert any(sign in seen.message(one.id) and word in seen.message(one.id) for one in messages), f"{sign} {word}"
    assert seen.page.count("(edited)") == sum(one.edited for one in messages)
    assert seen.page.count('class="ring paged"') == 1
    hostile = seen.message(next(one.id for one in messages if "guestbook" in one.content and not is_status(one)))
    assert re.search(r'<pre class="fence"><code>[^<]*@everyone &lt;@&amp;1&gt;', hostile)
    assert "pill" not in hostile
    assert "<a " not in hostile
    assert "[redacted]" in hostile
    assert phone.page.count("data-notice-for") == len(pushes)
    assert re.search(r"🚨 [^<]*media/photos[^<]*@oncall", phone.page)
    assert "guestbook" not in phone.page


async def test_while_it_pages_a_browser_reads_the_mention_and_the_old_card_leads_to_the_new(tmp_path: Path) -> None:
    scene = scenes()[2]
    story = [scene.model_copy(update={"steps": scene.steps[:2]})]
    async with staged(story) as stage:
        await tell(stage, story, lambda _: None)
        seen = await look(stage.page, tmp_path / "channel")
        pointer, page = (one for one in stage.standin.messages() if not is_status(one))
    assert seen.complaints == []
    assert '<span class="pill role">@oncall</span>' in seen.message(page.id)
    assert "kubectl" in seen.message(page.id)
    assert f'href="/channels/{page.channel_id}#m-{page.id}"' in seen.message(pointer.id)
