"""The main job with the real senders: a rule of Prometheus fires, Alertmanager tells, a card appears, and it becomes a record."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.senders.stage import stage

pytestmark = pytest.mark.senders

SONARR = 'crash_looping{namespace="media",pod="sonarr-66cc5c9fcf-9rccg",container="sonarr"}'
CONFIG = 'filling_up{namespace="media",persistentvolumeclaim="config"}'


async def test_an_alert_fires_and_a_card_appears_and_when_it_resolves_the_same_message_becomes_a_record(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path, group_by="alertname") as scene:
        scene.switch.series[SONARR] = 1
        await scene.until("a card appears", lambda: len(scene.discord.messages()) == 1)
        (card,) = scene.discord.messages()
        assert card.content.startswith("🚨 sonarr is crash-looping")
        assert "<@&1234>" in card.content
        scene.switch.series[SONARR] = 0
        await scene.until("the card becomes a record", lambda: scene.discord.messages()[0].content.startswith("✅"))
        await scene.until("what paged gets its end", lambda: len(scene.discord.messages()) == 2)
        record, end = scene.discord.messages()
        assert record.id == card.id
        assert record.edited
        assert end.content.startswith("✅ sonarr")
        assert [push.message_id for push in scene.discord.pushes] == [card.id, end.id]
        assert [bool(push.mentioned.roles) for push in scene.discord.pushes] == [True, False]
        scene.discord.assert_no_429()


async def test_a_second_critical_alertname_of_a_namespace_is_its_own_card_and_its_own_page(tmp_path: Path) -> None:
    """kube-prometheus-stack groups by namespace, so that both stand in one group and come in one body."""
    async with stage(tmp_path, group_by="namespace") as scene:
        scene.switch.series[SONARR] = 1
        await scene.until("the first card", lambda: len(scene.discord.messages()) == 1)
        scene.switch.series[CONFIG] = 1
        await scene.until("the second card", lambda: len(scene.discord.messages()) == 2)
        first, second = scene.discord.messages()
        assert first.content.startswith("🚨 sonarr")
        assert "config" in second.content
        assert [push.message_id for push in scene.discord.pushes] == [first.id, second.id]
        assert not first.edited
        scene.switch.series[CONFIG] = 0
        await scene.until("the second ends", lambda: scene.discord.messages()[1].content.startswith("✅"))
        assert scene.discord.messages()[0].content.startswith("🚨 sonarr")
        scene.discord.assert_no_429()


async def test_the_watchdog_comes_again_and_again_by_its_own_route_and_is_no_card(tmp_path: Path) -> None:
    """The route of the heartbeat in the snippet that operators take."""
    async with stage(tmp_path, group_by="alertname") as scene:
        scene.switch.series["watchdog"] = 1
        await scene.until_told(3)
        assert scene.discord.messages() == []
