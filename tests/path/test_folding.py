"""One cause is one card in the channel, whatever it breaks and in whichever order it is heard of."""

from __future__ import annotations

from relay.core.folding import GRACE
from tests.path.stage import Json, Running, alert

WEBHOOK = (
    'Service/media/{0} dry-run failed (InternalError): Internal error occurred: failed calling webhook "validate.kyverno.svc-fail": '
    'failed to call webhook: Post "https://kyverno-svc.kyverno.svc:443/validate/fail?timeout=10s": context deadline exceeded'
)


async def unhealthy(relay: Running, name: str = "apps", list_: str = "Deployment/media/sonarr") -> None:
    message = f"health check failed after 5m0s: timeout waiting for: [{list_} status: 'InProgress']"
    await relay.fails(name, reason="HealthCheckFailed", message=message)


def node(starts: float, ends: float | None = None) -> Json:
    one = alert("KubeNodeNotReady", "warning", starts=starts, ends=ends, node="pve2")
    for label in ("pod", "namespace", "uid"):
        del one["labels"][label]
    return one


async def test_a_dead_webhook_under_nineteen_kustomizations_is_one_card_with_one_end(relay: Running) -> None:
    for index in range(19):
        await relay.fails(f"app-{index}", reason="ReconciliationFailed", message=WEBHOOK.format(f"app-{index}"))
    await relay.settled()
    (message,) = relay.messages()
    assert message.content.startswith("❌ webhook kyverno-svc does not answer")
    assert "19 Kustomizations cannot be applied" in message.content
    for index in range(19):
        await relay.recovers(f"app-{index}")
    await relay.until(lambda: "✅ webhook kyverno-svc recovered" in relay.shown()[0], "its end is shown")
    await relay.settled()
    assert len(relay.messages()) == 1


async def test_a_late_cause_takes_over_the_card_of_its_effect(relay: Running) -> None:
    await unhealthy(relay)
    await relay.settled()
    (before,) = relay.messages()
    assert "Flux apps" in before.content
    await relay.fires("KubePodNotReady", "warning", pod="sonarr-66cc5c9fcf-9rccg")
    await relay.settled()
    (after,) = relay.messages()
    assert after.id == before.id
    assert "sonarr" in after.content
    assert "Flux apps" in str(after.embeds[0]["description"])


async def test_what_was_shown_already_leads_to_its_cause(relay: Running) -> None:
    await unhealthy(relay, "apps")
    await unhealthy(relay, "all")
    await relay.settled()
    assert len(relay.messages()) == 2
    await relay.fires("KubePodNotReady", "warning", pod="sonarr-66cc5c9fcf-9rccg")
    await relay.settled()
    assert len(relay.messages()) == 2

    (pointer,) = [text for text in relay.shown() if text.startswith("↪")]
    assert "is part of another problem: sonarr" in pointer


async def test_a_dead_node_is_one_card_and_what_outlives_it_surfaces(relay: Running) -> None:
    now = relay.clock() - 60
    apps = [alert("KubePodNotReady", "warning", pod=f"app{index}-0", starts=now + index) for index in range(17)]
    await relay.alerts(node(now + 30))
    for index, one in enumerate(apps):
        await relay.alerts(one, key=str(index))
    await relay.settled()
    (message,) = relay.messages()
    assert "node pve2 is not ready: probably 17 workloads" in message.content
    await relay.resolves(*apps[1:])
    await relay.resolves(node(now + 30))
    await relay.settled()
    await relay.skip(GRACE + 10)
    relay.relay.deadlines.look()
    await relay.until(lambda: any("app0" in text for text in relay.shown()), "what outlived the node is shown")
    await relay.settled()
    assert sorted(text[:1] for text in relay.shown()) == ["⚠", "✅", "✅"]


async def test_dns_is_one_card_for_sources_and_images(relay: Running) -> None:
    for index in range(12):
        await relay.fails(
            f"repo-{index}",
            kind="GitRepository",
            reason="GitOperationFailed",
            message=f"failed to checkout and determine revision: unable to clone 'https://git{index}.example.org/a': "
            f"dial tcp: lookup git{index}.example.org on 192.0.2.10:53: server misbehaving",
        )
    for index in range(20):
        await relay.fails(
            f"image-{index}",
            kind="ImageRepository",
            reason="ReadOperationFailed",
            message=f'scan failed: Get "https://r{index}.example.org/v2/": dial tcp: lookup r{index}.example.org: no such host',
        )
    await relay.settled()
    (root,) = [text for text in relay.shown() if not text.startswith("↪")]
    assert root.startswith("❌ DNS does not answer: 20 image repositories, 12 sources")
