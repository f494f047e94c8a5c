"""Every alert that we ship is tested by Prometheus' own tool, and leads somewhere: to a leaf, or to a question with its checklist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from relay.config.trees import load_trees
from relay.tools.coverage import Reach, Walked, coverage
from tests.conftest import CORPUS, ROOT
from tests.tools.payloads import alertmanager

RULES: Final = ROOT / "deploy" / "rules"
COMPONENT: Final = ROOT / "deploy" / "components" / "monitoring"
TESTS: Final = Path(__file__).parent / "rules"
VALUES: Final = yaml.safe_load((RULES / "kube-prometheus-stack-values.yaml").read_text())
NOW: Final = 1_772_360_000.0
LIBRARY: Final = load_trees()


def objects() -> dict[str, dict[str, Any]]:
    """Every PrometheusRule, by its name."""
    files = [*RULES.glob("*.yaml"), *COMPONENT.glob("*.yaml")]
    read = [yaml.safe_load(file.read_text()) for file in sorted(files)]
    return {one["metadata"]["name"]: one for one in read if one.get("kind") == "PrometheusRule"}


OBJECTS: Final = objects()
ALERTS: Final = [
    (name, rule)
    for name, one in OBJECTS.items()
    for group in one["spec"]["groups"]
    for rule in group["rules"]
    if "alert" in rule
]


def asked(name: str) -> list[dict[str, Any]]:
    """What the unit tests of the object `name` ask of its alerts."""
    told = yaml.safe_load((TESTS / f"{name}.yaml").read_text())
    return [case for test in told["tests"] for case in test["alert_rule_test"]]


def fired(name: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Each alert that the unit tests see firing, by its name and severity: exactly as Prometheus makes it."""
    return {
        (case["alertname"], alert["exp_labels"]["severity"]): {
            "labels": {"alertname": case["alertname"], **alert["exp_labels"]},
            "annotations": alert["exp_annotations"],
        }
        for case in asked(name)
        for alert in case["exp_alerts"]
    }


def walked(alert: dict[str, Any]) -> Walked:
    body = alertmanager({"status": "firing", "startsAt": "2026-03-01T10:00:00Z", **alert})
    (one,) = coverage(LIBRARY, [body], NOW).walked
    return one


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The rules as Prometheus reads them, and their tests beside them."""
    for name, one in OBJECTS.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(one["spec"], sort_keys=False))
        test = (TESTS / f"{name}.yaml").read_text()
        (tmp_path / f"{name}.test.yaml").write_text(test)
    return tmp_path


@pytest.mark.parametrize("name", OBJECTS)
def test_prometheus_finds_no_fault_with_the_rules(name: str, folder: Path) -> None:
    promtool("check", "rules", folder / f"{name}.yaml")


@pytest.mark.parametrize("name", OBJECTS)
def test_each_alert_fires_when_it_should_and_not_a_minute_before(name: str, folder: Path) -> None:
    promtool("test", "rules", folder / f"{name}.test.yaml")


def test_there_is_a_test_for_each_object_and_an_object_for_each_test() -> None:
    assert {file.stem for file in TESTS.glob("*.yaml")} == set(OBJECTS)


@pytest.mark.parametrize("name, rule", ALERTS, ids=[f"{r['alert']}-{r['labels']['severity']}" for _, r in ALERTS])
class TestEveryAlert:
    def test_is_seen_to_fire_and_not_to_fire(self, name: str, rule: dict[str, Any]) -> None:
        assert (rule["alert"], rule["labels"]["severity"]) in fired(name)
        silent = [case for case in asked(name) if case["alertname"] == rule["alert"] and not case["exp_alerts"]]
        assert silent

    def test_reaches_a_leaf_or_a_question_with_a_checklist(self, name: str, rule: dict[str, Any]) -> None:
        one = walked(fired(name)[rule["alert"], rule["labels"]["severity"]])
        assert one.leaf == LEADS_TO[rule["alert"], rule["labels"]["severity"]]
        assert one.reach >= Reach.QUESTION or one.leaf in CLAIMS_NOTHING

    def test_says_how_bad_it_is_and_what_in_a_line_and_in_a_few_words_more(
        self, name: str, rule: dict[str, Any]
    ) -> None:
        said = fired(name)[rule["alert"], rule["labels"]["severity"]]["annotations"]
        assert set(rule["annotations"]) == {"summary", "description"}, "a runbook is linked where one exists"
        assert len(said["summary"]) <= 90
        assert not said["summary"].endswith(".")
        assert said["description"].endswith(".")
        assert len(said["description"]) <= 300
        assert "<no value>" not in said["summary"] + said["description"]
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}


LEADS_TO: Final = {
    ("CertManagerAbsent", "warning"): "CERT-MANAGER-000",
    ("CertManagerCertificateNotRenewed", "critical"): "CERT-EXPIRY-000",
    ("CertManagerCertificateNotRenewed", "warning"): "CERT-EXPIRY-000",
    ("FluxAbsent", "warning"): "FLUX-CTRL-000",
    ("FluxResourceNotReady", "warning"): "FLUX-HR-001",
    ("FluxResourceSuspended", "info"): "FLUX-SUSPEND-010",
    ("KubeContainerWaiting", "warning"): "POD-IMAGE-000",
    ("KubeNodeNotReady", "warning"): "NODE-READY-000",
    ("KubePersistentVolumeFillingUp", "critical"): "PVC-FULL-060",
    ("KubePersistentVolumeFillingUp", "warning"): "PVC-FULL-050",
    ("KubePodCrashLooping", "warning"): "POD-CRASH-000",
    ("KubePodNotReady", "warning"): "POD-000",
    ("NodeDown", "critical"): "NODE-AWAY-000",
    ("NodeDown", "warning"): "NODE-AWAY-000",
    ("NodeFilesystemAlmostOutOfSpace", "critical"): "NODE-DISK-060",
    ("NodeFilesystemAlmostOutOfSpace", "warning"): "NODE-DISK-060",
    ("RelayCardsLate", "critical"): "RELAY-LATE-000",
    ("RelayCardsParked", "warning"): "RELAY-PARKED-010",
    ("RelayConfigurationRefused", "warning"): "RELAY-CONFIG-010",
    ("RelayDown", "critical"): "RELAY-DOWN-000",
    ("RelayHeartbeatSilent", "critical"): "MON-WATCHDOG-000",
    ("RelayInputRejected", "warning"): "RELAY-PAYLOAD-060",
    ("RelayNotReady", "critical"): "RELAY-READY-010",
    ("RelayNothingReceived", "warning"): "RELAY-SILENCE-000",
    ("RelaySenderRefused", "critical"): "RELAY-REFUSED-010",
    ("RelayWebhookDead", "critical"): "RELAY-WEBHOOK-010",
    ("VeleroAbsent", "warning"): "VELERO-DOWN-010",
    ("VeleroNoFirstBackup", "warning"): "VELERO-LATE-000",
    ("VeleroNoRecentBackup", "warning"): "VELERO-LATE-000",
    ("VolSyncComponentAbsent", "warning"): "VOLSYNC-DOWN-010",
    ("VolSyncVolumeOutOfSync", "warning"): "VOLSYNC-SYNC-000",
}

CLAIMS_NOTHING: Final = {"FLUX-HR-001"}
"""The metric holds no reason: its leaf leads to the object's own words."""


def test_a_node_that_dies_is_one_page_and_what_it_takes_along_names_it() -> None:
    of_nodes = [rule for name, rule in ALERTS if name in {"nodes", "workloads"}]
    assert [rule["alert"] for rule in of_nodes if rule["labels"]["severity"] == "critical"] == ["NodeDown"]
    for name, rule in ALERTS:
        if name == "workloads":
            assert fired(name)[rule["alert"], "warning"]["labels"]["pod"]
            firing = [case["exp_alerts"] for case in asked(name) if case["alertname"] == rule["alert"]]
            assert any("node" in alert["exp_labels"] for alerts in firing for alert in alerts)


def test_no_alert_is_named_after_the_exporter_that_saw_it() -> None:
    """The pod of kube-state-metrics is not what is wrong, and a new one would make every alert a new one."""
    for name, rule in ALERTS:
        labels = fired(name)[rule["alert"], rule["labels"]["severity"]]["labels"]
        assert not {"job", "uid", "endpoint", "service"} & set(labels)
        assert not re.match(r"(kube-state-metrics|volsync|velero|cert-manager|relay)-\d", labels.get("pod", ""))


def test_what_the_relay_says_of_itself_goes_another_way() -> None:
    for name, rule in ALERTS:
        assert (rule["labels"].get("through") == "other") == (name == "relay")


def test_alertmanager_takes_the_other_way_and_the_relay_does_not_hear_it() -> None:
    file = COMPONENT / "alertmanager.yml"
    assert subprocess.run(["amtool", "check-config", file], capture_output=True, check=False).returncode == 0
    for labels, receiver in {
        ("alertname=RelayDown", "through=other"): "other",
        ("alertname=NodeDown",): "relay",
    }.items():
        command = ["amtool", "config", "routes", "test", f"--config.file={file}", *labels]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == receiver


@pytest.mark.corpus
def test_a_stock_rule_of_the_same_name_is_turned_off() -> None:
    """Two rules of one name would be two cards for one problem."""
    assert CORPUS
    stock = {json.loads(line)["alertname"] for line in (CORPUS / "alerts.jsonl").read_text().splitlines()}
    off = {name for name, disabled in VALUES["defaultRules"]["disabled"].items() if disabled}
    assert off <= stock, "a name that the chart does not have turns nothing off"
    assert {rule["alert"] for _, rule in ALERTS} & stock <= off


@pytest.mark.corpus
def test_kube_state_metrics_may_look_at_what_it_is_told_to_and_finds_it_there() -> None:
    assert CORPUS
    served: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
    for file in (CORPUS.parent / "crds").glob("*.toolkit.fluxcd.io_*.yaml"):
        spec = yaml.safe_load(file.read_text())["spec"]
        for version in spec["versions"]:
            schema = version["schema"]["openAPIV3Schema"]["properties"]
            served[spec["group"], f"{version['name']}/{spec['names']['kind']}"] = (spec["names"]["plural"], schema)
    (rule,) = VALUES["kube-state-metrics"]["rbac"]["extraRules"]
    told = VALUES["kube-state-metrics"]["customResourceState"]["config"]["spec"]["resources"]
    plurals = set()
    for resource in told:
        kind = resource["groupVersionKind"]
        plural, schema = served[kind["group"], f"{kind['version']}/{kind['kind']}"]
        plurals.add(plural)
        assert kind["group"] in rule["apiGroups"]
        assert "conditions" in schema["status"]["properties"]
        # A chart, an artifact of others and an image policy have no switch, or not in each version.
        assert "suspend" in schema["spec"]["properties"] or kind["kind"] in {
            "ExternalArtifact",
            "HelmChart",
            "ImagePolicy",
        }
        (metric,) = resource["metrics"]
        said = {**metric["labelsFromPath"], **metric["each"]["info"]["labelsFromPath"]}
        assert set(said) == {"exported_namespace", "name", "ready", "suspended"}
        assert f"{resource['metricNamePrefix']}_{metric['name']}" == "gotk_resource_info"
    assert plurals == set(rule["resources"])
    assert set(rule["verbs"]) == {"list", "watch"}


def test_every_file_of_rules_is_in_the_folders_kustomization() -> None:
    listed = yaml.safe_load((RULES / "kustomization.yaml").read_text())["resources"]
    assert set(listed) == {f"{name}.yaml" for name in OBJECTS} - {"relay.yaml"}


def test_the_tools_that_prove_all_this_are_there() -> None:
    assert shutil.which("promtool")
    assert shutil.which("amtool")
