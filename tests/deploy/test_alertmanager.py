"""Each snippet is one that Alertmanager takes, and all say the same. A real one speaks to the relay through the first in tests/senders."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.manifests import DEPLOY, objects

Json = dict[str, Any]

FOLDER = DEPLOY / "alertmanager"
ADDRESS = "http://relay.relay.svc:8080/alertmanager"


def plain() -> Json:
    told: Json = yaml.safe_load((FOLDER / "alertmanager.yml").read_text())
    return told


def stack() -> Json:
    """The configuration that the chart makes: our values over its own, in which lists are replaced and mappings merged."""
    told = yaml.safe_load((FOLDER / "kube-prometheus-stack.yaml").read_text())["alertmanager"]["config"]
    chart: Json = {
        "global": {"resolve_timeout": "5m"},
        "inhibit_rules": [{"source_matchers": ['alertname="InfoInhibitor"'], "target_matchers": ['severity="info"']}],
        "route": {
            "group_by": ["namespace"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "12h",
            "receiver": "null",
            "routes": [{"receiver": "null", "matchers": ['alertname = "Watchdog"']}],
        },
        "receivers": [{"name": "null"}],
        "templates": ["/etc/alertmanager/config/*.tmpl"],
    }
    return {**chart, **told, "route": {**chart["route"], **told["route"]}}


def custom() -> Json:
    """The configuration that the Prometheus Operator makes of the custom resource, with the strategy None."""
    (one,) = objects((FOLDER / "alertmanagerconfig.yaml").read_text())
    told: Json = snake(one["spec"])
    for receiver in told["receivers"]:
        for webhook in receiver["webhook_configs"]:
            credentials = webhook["http_config"]["authorization"].pop("credentials")
            webhook["http_config"]["authorization"]["credentials_file"] = "/".join(credentials.values())
    for route in told["route"]["routes"]:
        route["matchers"] = ['{name}{match_type}"{value}"'.format(**one) for one in route["matchers"]]
    return told


def snake(told: Any) -> Any:  # noqa: ANN401  # as YAML has it
    """The operator's names are Alertmanager's, humps instead of underscores."""
    if isinstance(told, dict):
        return {re.sub(r"([A-Z])", lambda found: "_" + found[1].lower(), key): snake(one) for key, one in told.items()}
    return [snake(one) for one in told] if isinstance(told, list) else told


SNIPPETS = {"plain": plain, "stack": stack, "custom": custom}


@pytest.mark.parametrize("name", SNIPPETS)
def test_alertmanager_takes_each_snippet(tmp_path: Path, name: str) -> None:
    file = tmp_path / "alertmanager.yml"
    file.write_text(yaml.safe_dump(SNIPPETS[name]()))
    amtool = shutil.which("amtool") or "amtool"
    done = subprocess.run([amtool, "check-config", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "2 receivers" in done.stdout


def test_a_snippet_with_a_wrong_word_would_not_be_taken(tmp_path: Path) -> None:
    told = plain()
    told["receivers"][0]["webhook_configs"][0]["max_alert"] = 0
    (tmp_path / "alertmanager.yml").write_text(yaml.safe_dump(told))
    done = subprocess.run(
        ["amtool", "check-config", str(tmp_path / "alertmanager.yml")], capture_output=True, check=False
    )
    assert done.returncode != 0


@pytest.mark.parametrize("name", SNIPPETS)
def test_everything_is_told_whole_and_with_its_end(name: str) -> None:
    told = SNIPPETS[name]()
    receivers = {one["name"]: one["webhook_configs"] for one in told["receivers"]}
    assert set(receivers) == {"relay", "relay-heartbeat"}
    for receiver, (webhook,) in receivers.items():
        assert webhook["url"] == ADDRESS
        assert webhook["max_alerts"] == 0
        assert webhook["send_resolved"] is (receiver == "relay")
        authorization = webhook["http_config"]["authorization"]
        assert authorization["type"] == "Bearer"
        assert set(authorization) == {"type", "credentials_file"}, "the token stands in a file"


@pytest.mark.parametrize(
    "labels, receiver",
    [({"alertname": "Watchdog"}, "relay-heartbeat"), ({"alertname": "KubeNodeNotReady"}, "relay")],
    ids=["Watchdog", "anything"],
)
@pytest.mark.parametrize("name", SNIPPETS)
def test_the_heartbeat_has_its_own_route(tmp_path: Path, name: str, labels: dict[str, str], receiver: str) -> None:
    file = tmp_path / "alertmanager.yml"
    file.write_text(yaml.safe_dump(SNIPPETS[name]()))
    ask = [f"{key}={value}" for key, value in labels.items()]
    command = ["amtool", "config", "routes", "test", f"--config.file={file}", f"--verify.receivers={receiver}", *ask]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_all_snippets_say_the_same() -> None:
    routes = [SNIPPETS[name]()["route"] for name in SNIPPETS]
    assert routes[0] == routes[1] == routes[2]
    (heartbeat,) = routes[0]["routes"]
    assert heartbeat["repeat_interval"] == "5m"
    assert "every: 5m" in (DEPLOY / "flux/config/relay.yaml").read_text(), "so often the relay expects it"
