"""The document and the code name the same metrics, and both keep to Prometheus' conventions."""

import re

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from relay.observe.metrics import Metrics
from tests.conftest import ROOT

DOCUMENT = ROOT / "docs" / "metrics.md"
_ROW = re.compile(r"^\| `(relay_\w+)` \| (\w+) \|(.*?)\| (.+) \|$", re.MULTILINE)


def documented() -> dict[str, tuple[str, list[str]]]:
    rows = _ROW.findall(DOCUMENT.read_text())
    return {name: (kind, re.findall(r"`(\w+)`", labels)) for name, kind, labels, _ in rows}


def kept() -> dict[str, tuple[str, list[str]]]:
    """What the code has: name as it is scraped, kind, labels."""
    found: dict[str, tuple[str, list[str]]] = {}
    for metric in vars(Metrics(CollectorRegistry())).values():
        if isinstance(metric, MetricWrapperBase) and metric._type is not None:
            total = "_total" if metric._type == "counter" else ""
            found[metric._name + total] = (metric._type, list(metric._labelnames))
    return found


def test_each_metric_and_each_label_is_documented_and_nothing_else_is() -> None:
    assert documented() == kept()
    assert len(kept()) > 15


@pytest.mark.parametrize("name", kept())
def test_names_end_in_their_unit(name: str) -> None:
    kind, _ = kept()[name]
    assert name.endswith("_total") == (kind == "counter")
    if kind == "histogram":
        assert name.endswith(("_seconds", "_events"))


def test_everything_documented_is_scraped() -> None:
    metrics = Metrics(version="1.2.3")
    text = generate_latest(metrics.registry).decode()
    assert re.search(r'^relay_build_info\{python="3\.\d+\.\d+",version="1\.2\.3"\} 1\.0$', text, re.MULTILINE)
    for name in documented():
        family = name.removesuffix("_total") if f"# HELP {name} " not in text else name
        assert f"# HELP {family} " in text


def test_two_relays_in_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.requests.labels("flux", "202").inc()
    assert one.registry.get_sample_value("relay_requests_total", {"sender": "flux", "code": "202"}) == 1
    assert other.registry.get_sample_value("relay_requests_total", {"sender": "flux", "code": "202"}) is None
