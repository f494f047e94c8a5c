"""What Prometheus reads after the road: counters that agree with what was sent, and no label from outside."""

import re

from relay.demo.discord import Kind
from tests.path.stage import Running, alert


async def test_the_counters_agree_with_the_road_and_no_label_comes_from_outside(relay: Running) -> None:
    relay.standin.fault(Kind.STATUS, match="POST", status=503)
    crash = await relay.fires("Secret-alertname", pod="secret-pod-0")
    await relay.until(lambda: relay.requests() == 1, "it was tried")
    await relay.skip(10)
    await relay.alerts(crash)
    await relay.resolves(crash)
    await relay.settled()
    await relay.fails("secret-object")
    await relay.settled()
    assert await relay.post("/flux", b"no json") == 400
    assert await relay.post("/flux", {"content": "hello"}) == 202
    await relay.settled()
    assert await relay.post("/flux", b"{}", {}) == 401
    samples = await relay.metrics()

    def count(name: str, **labels: str) -> float:
        inner = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
        return samples.get(f"{name}{{{inner}}}" if inner else name, 0.0)

    assert count("relay_requests_total", sender="alertmanager", code="202") == 3
    assert count("relay_requests_total", sender="flux", code="400") == 1
    assert count("relay_requests_total", sender="flux", code="401") == 1
    assert count("relay_rejects_total", sender="flux", kind="unreadable") == 1
    assert count("relay_events_total", source="alertmanager", reason="opened") == 1
    assert count("relay_events_total", source="alertmanager", reason="repeated") == 1
    assert count("relay_events_total", source="alertmanager", reason="resolved") == 1
    sent = sum(
        value for name, value in samples.items() if name.startswith("relay_discord_requests") and '"sent"' in name
    )
    assert sent == sum(request.status == 200 and request.method != "GET" for request in relay.standin.requests)
    assert count("relay_discord_requests_total", channel="ops", route="post", outcome="unavailable") == 1
    assert count("relay_channel_up", channel="ops") == 1
    values = {value for name in samples for value in re.findall(r'="([^"]*)"', name)}
    assert not {value for value in values if "secret" in value.lower()}
    assert len(samples) < 600


async def test_series_do_not_grow_with_what_is_told(relay: Running) -> None:
    await relay.fires("First", "info")
    before = len(await relay.metrics())
    for number in range(30):
        await relay.alerts(alert(f"Name{number}", "info", pod=f"pod{number}-0", starts=relay.clock()), key=f"g{number}")
    assert len(await relay.metrics()) <= before + 2
