"""The dashboard and the rules ask a real Prometheus that scraped a real relay, and get an answer."""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import yaml

from relay.demo.discord import Kind, StandIn
from tests.conftest import ROOT
from tests.deploy.test_rules import COMPONENT, OBJECTS
from tests.path.stage import Clock, Place, Running, relay_at
from tests.senders.stage import PATIENCE, free_port, program

pytestmark = pytest.mark.senders

DASHBOARD: Final = json.loads((COMPONENT / "relay.json").read_text())
QUERIES: Final = [
    (panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel.get("targets", ())
]
PROMETHEUS: Final = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{folder}/*.rules.yaml"]
scrape_configs:
- job_name: relay
  static_configs: [{{targets: ["127.0.0.1:{relay}"], labels: {{namespace: relay, pod: relay-0}}}}]
"""


@dataclass
class Prometheus:
    """What may be asked of it."""

    url: str
    session: aiohttp.ClientSession

    async def get(self, path: str, **parameters: str) -> Any:  # noqa: ANN401  # Prometheus' JSON.
        async with self.session.get(f"{self.url}/api/v1/{path}", params=parameters) as answer:
            told = await answer.json()
        assert told["status"] == "success", told
        return told["data"]

    async def ask(self, expression: str) -> list[float]:
        """The values that the expression has now."""
        found = await self.get("query", query=expression)
        return [float(sample["value"][1]) for sample in found["result"]]

    async def until_scraped(self) -> None:
        """Returns once it has seen all that was true until now, twice: what rises needs two looks."""
        since = time.time()
        deadline = time.monotonic() + PATIENCE
        while await self.ask(f"sum(timestamp(relay_ready) > bool {since + 1.5})") != [1]:
            assert time.monotonic() < deadline, "Prometheus does not scrape the relay"
            await asyncio.sleep(0.2)


def asked(expression: str) -> str:
    """A query of the dashboard's as Grafana sends it."""
    return expression.replace("$__rate_interval", "1m").replace("$namespace", "relay")


@asynccontextmanager
async def prometheus(folder: Path, relay: Running) -> AsyncIterator[Prometheus]:
    port = free_port()
    for name, one in OBJECTS.items():
        (folder / f"{name}.rules.yaml").write_text(yaml.safe_dump(one["spec"]))
    file = folder / "prometheus.yaml"
    file.write_text(PROMETHEUS.format(folder=folder, relay=relay.url.rpartition(":")[2]))
    url = f"http://127.0.0.1:{port}"
    command = ("prometheus", f"--config.file={file}", f"--storage.tsdb.path={folder / 'prometheus'}")
    listen = f"--web.listen-address=127.0.0.1:{port}"
    async with (
        program(*command, listen, log=folder / "prometheus.log", ready=f"{url}/-/ready"),
        aiohttp.ClientSession() as session,
    ):
        yield Prometheus(url, session)


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Running]:
    clock = Clock()
    standin = StandIn(clock=clock)
    standin.add_webhook("11", "token", "20", "30", name="relay")
    standin.add_role("1234", "oncall")
    async with standin.running() as api, relay_at(Place(tmp_path, standin, api, clock)) as running:
        yield running


async def traffic(relay: Running, name: str) -> None:
    """A page and its end, an error of Flux's, a Discord that does not take one message and one edit, and senders that are wrong."""
    crash = await relay.fires(pod=f"{name}-0")
    await relay.settled()
    relay.standin.fault(Kind.STATUS, match="POST", status=503)
    await relay.fails(name)
    await relay.until(lambda: any(f"Flux {name}" in one for one in relay.shown()), "Flux's error, at the second time")
    relay.standin.fault(Kind.RETRY_AFTER_ZERO, match="PATCH")
    await relay.resolves(crash)
    await relay.recovers(name)
    await relay.settled()
    assert await relay.post("/flux", b"no json") == 400
    assert await relay.post("/flux", {"content": "hello"}) == 202
    assert await relay.post("/flux", b"{}", {}) == 401
    await relay.settled()


async def test_every_panel_of_the_dashboard_shows_something_and_every_rule_can_be_asked(
    relay: Running, tmp_path: Path
) -> None:
    await traffic(relay, "sonarr")
    async with prometheus(tmp_path, relay) as asking:
        await asking.until_scraped()
        await traffic(relay, "radarr")
        await asking.until_scraped()
        answers = {(title, query): await asking.ask(asked(query)) for title, query in QUERIES}
        silent = {key: values for key, values in answers.items() if not values or all(map(math.isnan, values))}
        assert {query for _, query in silent} <= MAY_BE_SILENT, silent
        assert all(value >= 0 for values in answers.values() for value in values if not math.isnan(value))

        rules = [rule for group in (await asking.get("rules"))["groups"] for rule in group["rules"]]
        assert len(rules) == sum(len(group["rules"]) for one in OBJECTS.values() for group in one["spec"]["groups"])
        assert {rule["health"] for rule in rules} == {"ok"}, [rule for rule in rules if rule["health"] != "ok"]
        (own,) = OBJECTS["relay"]["spec"]["groups"]
        for rule in own["rules"]:
            for metric in re.findall(r"\b(?:relay_\w+|up)\b", rule["expr"]):
                assert await asking.ask(metric), f"{rule['alert']} asks for {metric}, which nobody has"
        # What was sent above is a fault of senders, and nothing else is wrong.
        firing = {alert["labels"]["alertname"] for alert in (await asking.get("alerts"))["alerts"]}
        assert {name for name in firing if name.startswith("Relay")} <= {"RelayInputRejected", "RelayNothingReceived"}
        assert "RelayInputRejected" in firing


MAY_BE_SILENT: Final = {
    query for _, query in QUERIES if "relay_refused_alerts_total" in query or "relay_truncated_alerts_total" in query
}
"""Of these there is nothing before the first; that the metric is named so is asked of the document."""


def test_every_metric_of_the_dashboard_and_of_the_relays_rules_is_documented() -> None:
    document = (ROOT / "docs" / "metrics.md").read_text()
    expressions = [query for _, query in QUERIES]
    expressions += [rule["expr"] for group in OBJECTS["relay"]["spec"]["groups"] for rule in group["rules"]]
    named = {metric for expression in expressions for metric in re.findall(r"\brelay_\w+", expression)}
    assert len(named) > 15
    for metric in named:
        assert f"`{metric.removesuffix('_bucket')}`" in document


def test_the_dashboard_is_found_by_grafana_and_asks_whichever_prometheus_it_is_given() -> None:
    (generated,) = yaml.safe_load((COMPONENT / "kustomization.yaml").read_text())["configMapGenerator"]
    assert generated["options"]["labels"]["grafana_dashboard"] == "1"
    assert generated["files"] == ["relay.json"]
    for panel in DASHBOARD["panels"]:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all('namespace=~"$namespace"' in target["expr"] for target in panel["targets"])


def test_no_panel_lies_over_another_and_each_says_in_which_unit() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
        assert panel["fieldConfig"]["defaults"]["unit"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
