"""What is in `deploy/` builds, alone and together; every object is one that the API server would take, and every Pod is restricted."""

import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from relay import __version__
from relay.app import CLOSING, GRACE
from relay.tools.init import BLANK, COMPONENTS
from tests.deploy.manifests import (
    DEPLOY,
    NEWEST,
    OLDEST,
    Object,
    build,
    built,
    combinations,
    is_custom,
    objects,
    place,
    pods,
    problems_of_custom,
)
from tests.deploy.pod_security import RESTRICTED, Control, broken

COMBINATIONS = sorted(set(combinations()), key=lambda one: (len(one), one))
WORKLOADS = {"StatefulSet", "Deployment"}


@pytest.fixture(scope="module")
def all_built(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], list[Object]]:
    """The base with every combination that makes sense."""
    folder = tmp_path_factory.mktemp("built")
    return {chosen: built(folder / str(at), "base", chosen) for at, chosen in enumerate(COMBINATIONS)}


def kept_as_files() -> list[tuple[str, Object]]:
    """Every object that stands in a file of its own below `deploy/`, whether something builds it or not."""
    found = []
    for file in sorted(DEPLOY.rglob("*.y*ml")):
        name = str(file.relative_to(DEPLOY))
        found += [(name, one) for one in objects(file.read_text()) if {"apiVersion", "kind", "metadata"} <= set(one)]
    return found


def one_of(given: list[Object], kind: str, name: str = "relay") -> Object:
    (found,) = [one for one in given if one["kind"] == kind and one["metadata"]["name"] == name]
    return found


# --- building -----------------------------------------------------------------------------------------------------------


def test_the_components_are_those_that_init_knows() -> None:
    assert sorted(one.name for one in (DEPLOY / "components").iterdir()) == sorted(COMPONENTS)


def test_every_combination_that_makes_sense_builds(all_built: dict[tuple[str, ...], list[Object]]) -> None:
    for chosen, given in all_built.items():
        places = [place(one) for one in given]
        assert len(set(places)) == len(places), chosen
        assert len([one for one in given if one["kind"] in WORKLOADS]) == 1, chosen


@pytest.mark.parametrize("component", COMPONENTS)
def test_each_component_builds_alone_on_what_flux_applies(tmp_path: Path, component: str) -> None:
    """That has no Namespace and no configuration: these are the operator's."""
    given = built(tmp_path, "workload", [component])
    assert not {one["kind"] for one in given} & {"Namespace"}
    assert "ConfigMap/relay/relay" not in [place(one) for one in given]


@pytest.mark.parametrize("version", [NEWEST, OLDEST])
def test_every_object_is_one_that_kubernetes_knows(
    all_built: dict[tuple[str, ...], list[Object]], version: str
) -> None:
    seen: list[Object] = []
    for given in all_built.values():
        seen += [one for one in given if not is_custom(one) and one not in seen]
    assert {one["kind"] for one in seen} >= {"Namespace", "StatefulSet", "Deployment", "NetworkPolicy", "CronJob"}
    for one in seen:
        kubernetes_validate.validate(one, version, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_found() -> None:
    wrong = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"prots": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, NEWEST, strict=True)


@pytest.mark.corpus
def test_every_custom_object_is_field_by_field_what_its_project_publishes(
    all_built: dict[tuple[str, ...], list[Object]],
) -> None:
    seen = [one for given in all_built.values() for one in given] + [one for _, one in kept_as_files()]
    custom = [one for one in seen if is_custom(one) and one["kind"] not in {"Kustomization", "Component"}]
    custom += [one for one in seen if one["apiVersion"].startswith("kustomize.toolkit")]
    problems = {problem for one in custom for problem in problems_of_custom(one)}
    assert not problems
    assert {one["kind"] for one in custom} >= {
        "Alert",
        "AlertmanagerConfig",
        "GitRepository",
        "ImagePolicy",
        "ImageRepository",
        "Kustomization",
        "Provider",
        "ReplicationSource",
    }


@pytest.mark.corpus
@pytest.mark.parametrize(
    "change",
    [
        {"retires": 3},
        {"type": "generic-hmack"},
        {"timeout": 60},
        {"secretRef": {"name": "x", "namespace": "y"}},
        {"address": None},
    ],
    ids=str,
)
def test_a_field_that_a_definition_does_not_take_is_found(change: Object) -> None:
    provider = one_of(objects((DEPLOY / "flux/config/notifications.yaml").read_text()), "Provider")
    assert not problems_of_custom(provider)
    assert problems_of_custom({**provider, "spec": {**provider["spec"], **change}})


def test_no_secret_in_deploy_holds_a_value() -> None:
    secrets = [one for _, one in kept_as_files() if one["kind"] == "Secret"]
    assert len(secrets) == 3
    values = [value for one in secrets for value in one["stringData"].values()]
    assert not [value for value in values if not value.endswith(BLANK)]


# --- Pods ---------------------------------------------------------------------------------------------------------------

GOOD: Object = {
    "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {"name": "x", "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}
    ],
    "volumes": [{"name": "x", "emptyDir": {}}],
}


def _with(change: Object) -> Object:
    """A good Pod with one thing wrong."""
    out: Object = {**GOOD, **change}
    if "securityContext" in change:
        out["securityContext"] = {**GOOD["securityContext"], **change["securityContext"]}
    if "containers" in change:
        (good,), (bad,) = GOOD["containers"], change["containers"]
        out["containers"] = [{**good, **bad}]
    return out


@pytest.mark.parametrize("control", RESTRICTED, ids=lambda control: control.asks)
def test_each_control_of_restricted_knows_what_breaks_it(control: Control) -> None:
    assert broken(GOOD) == []
    assert control.asks in broken(_with(control.broken_by))


def test_every_pod_is_restricted(all_built: dict[tuple[str, ...], list[Object]]) -> None:
    for chosen, given in all_built.items():
        for name, spec in pods(given):
            assert broken(spec) == [], (chosen, name)


def test_every_pod_is_hardened_beyond_it(all_built: dict[tuple[str, ...], list[Object]]) -> None:
    for given in all_built.values():
        for name, spec in pods(given):
            assert spec["automountServiceAccountToken"] is False, name
            assert spec["enableServiceLinks"] is False, name
            whole = spec["securityContext"]
            assert {whole["runAsUser"], whole["runAsGroup"], whole["fsGroup"]} == {65532}, name
            for one in spec["containers"]:
                assert one["securityContext"]["readOnlyRootFilesystem"] is True, name
                assert set(one["resources"]["requests"]) >= {"cpu", "memory"}, name
                assert "memory" in one["resources"]["limits"], name
                assert not [env for env in one.get("env", ()) if "valueFrom" in env], "secrets are files"


def test_every_image_is_pinned_to_this_release(all_built: dict[tuple[str, ...], list[Object]]) -> None:
    images = {one["image"] for given in all_built.values() for _, spec in pods(given) for one in spec["containers"]}
    assert images == {f"ghcr.io/flux-relay/flux-relay:v{__version__}"}


def test_the_namespace_lets_only_restricted_pods_in() -> None:
    labels = one_of(build(DEPLOY / "base"), "Namespace")["metadata"]["labels"]
    modes = {mode: labels[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")}
    assert modes == dict.fromkeys(modes, "restricted")


def test_volsyncs_mover_is_as_restricted_as_the_relay(all_built: dict[tuple[str, ...], list[Object]]) -> None:
    """Its containers drop everything by themselves; who they are is ours to say."""
    for given in all_built.values():
        for one in given:
            if one["kind"] == "ReplicationSource":
                context = one["spec"]["restic"]["moverSecurityContext"]
                spec = {**GOOD, "securityContext": context}
                assert broken(spec) == []
                assert context["runAsUser"] == 65532


# --- what is particular -------------------------------------------------------------------------------------------------


def test_never_two_write_to_sqlite(all_built: dict[tuple[str, ...], list[Object]]) -> None:
    for chosen, given in all_built.items():
        if "postgres" not in chosen:
            spec = one_of(given, "StatefulSet")["spec"]
            assert spec["replicas"] == 1
            assert [claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]] == ["data"]


def test_over_postgresql_there_are_several_without_a_volume(all_built: dict[tuple[str, ...], list[Object]]) -> None:
    for chosen, given in all_built.items():
        if "postgres" not in chosen:
            continue
        spec = one_of(given, "Deployment")["spec"]
        assert spec["replicas"] > 1
        assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
        template = spec["template"]["spec"]
        assert template["affinity"]["podAntiAffinity"]
        (container,) = template["containers"]
        assert {env["name"] for env in container["env"]} >= {"RELAY_DATABASE_URL_FILE"}
        assert "RELAY_DATABASE_URL" not in {env["name"] for env in container["env"]}
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in template["volumes"]}
        assert "data" not in mounted
        if "network-policy" in chosen:
            ports = [
                port["port"] for rule in one_of(given, "NetworkPolicy")["spec"]["egress"] for port in rule["ports"]
            ]
            assert 5432 in ports


def test_a_restart_fits_into_fluxs_patience(all_built: dict[tuple[str, ...], list[Object]]) -> None:
    """It tries again 2, 6, 14 and 30 s after the first time, all within the Provider's timeout."""
    for given in all_built.values():
        for kind in WORKLOADS & {one["kind"] for one in given}:
            spec = one_of(given, kind)["spec"]["template"]["spec"]
            pause = spec["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            assert pause + CLOSING + GRACE < spec["terminationGracePeriodSeconds"] <= 15
    provider = one_of(objects((DEPLOY / "flux/config/notifications.yaml").read_text()), "Provider")
    assert provider["spec"]["timeout"] == "60s"


def test_a_dead_coredns_does_not_silence_the_relay() -> None:
    spec = one_of(build(DEPLOY / "base"), "StatefulSet")["spec"]["template"]["spec"]
    assert spec["dnsPolicy"] == "Default"


def test_secrets_are_files_that_only_the_relays_group_reads() -> None:
    spec = one_of(build(DEPLOY / "base"), "StatefulSet")["spec"]["template"]["spec"]
    (config,) = [volume["projected"] for volume in spec["volumes"] if volume["name"] == "config"]
    assert config["defaultMode"] == 0o440
    assert [next(iter(source)) for source in config["sources"]] == ["configMap", "secret"]


def test_a_disruption_budget_lets_a_node_be_drained(all_built: dict[tuple[str, ...], list[Object]]) -> None:
    budgets = [one for given in all_built.values() for one in given if one["kind"] == "PodDisruptionBudget"]
    assert budgets
    assert all(one["spec"]["maxUnavailable"] == 1 and "minAvailable" not in one["spec"] for one in budgets)


def test_the_limits_leave_room_for_every_pod_and_volume(all_built: dict[tuple[str, ...], list[Object]]) -> None:
    """Memory in Mi: the range takes each container, the quota takes all replicas, one more for an update, and the mover."""
    for chosen, given in all_built.items():
        if "limits" not in chosen:
            continue
        (most,) = [one["max"] for one in one_of(given, "LimitRange")["spec"]["limits"] if one["type"] == "Container"]
        hard = one_of(given, "ResourceQuota")["spec"]["hard"]
        limits = [one["resources"]["limits"] for _, spec in pods(given) for one in spec["containers"]]
        limits += [
            one["spec"]["restic"]["moverResources"]["limits"] for one in given if one["kind"] == "ReplicationSource"
        ]
        assert all(mebi(one["memory"]) <= mebi(most["memory"]) for one in limits), chosen
        assert 3 * sum(mebi(one["memory"]) for one in limits) <= mebi(hard["limits.memory"]), chosen


def mebi(quantity: str) -> int:
    found = re.fullmatch(r"(\d+)(Mi|Gi)", quantity)
    assert found, quantity
    return int(found[1]) * (1024 if found[2] == "Gi" else 1)


def test_who_may_speak_to_the_relay_is_named_and_nobody_else(all_built: dict[tuple[str, ...], list[Object]]) -> None:
    given = all_built["network-policy",]
    deny = one_of(given, "NetworkPolicy", "default-deny")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    policy = one_of(given, "NetworkPolicy")["spec"]
    (rule,) = policy["ingress"]
    peers = {
        (
            peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"],
            next(iter(peer["podSelector"]["matchLabels"].values())),
        )
        for peer in rule["from"]
    }
    assert peers == {
        ("flux-system", "notification-controller"),
        ("monitoring", "alertmanager"),
        ("monitoring", "prometheus"),
    }
    assert sorted({port["port"] for one in policy["egress"] for port in one["ports"]}) == [53, 443]


def test_every_selector_finds_the_relay(all_built: dict[tuple[str, ...], list[Object]]) -> None:
    for given in all_built.values():
        (workload,) = [one for one in given if one["kind"] in WORKLOADS]
        labels = workload["spec"]["template"]["metadata"]["labels"].items()
        ports = {
            port["name"]: port["containerPort"]
            for port in workload["spec"]["template"]["spec"]["containers"][0]["ports"]
        }
        assert ports == {"http": 8080}
        service = one_of(given, "Service")["spec"]
        assert service["selector"].items() <= labels
        assert [(port["name"], port["port"], port["targetPort"]) for port in service["ports"]] == [
            ("http", 8080, "http")
        ]
        for one in given:
            if one["kind"] in {"PodDisruptionBudget", "NetworkPolicy"} and one["metadata"]["name"] == "relay":
                selector = one["spec"].get("podSelector") or one["spec"]["selector"]
                assert selector["matchLabels"].items() <= labels


def test_every_object_says_whose_it_is(all_built: dict[tuple[str, ...], list[Object]]) -> None:
    for given in all_built.values():
        for one in given:
            assert one["metadata"]["labels"]["app.kubernetes.io/part-of"] == "relay", place(one)


def test_every_file_with_objects_is_named_by_its_kustomization() -> None:
    for file in sorted(DEPLOY.glob("**/kustomization.yaml")):
        told = yaml.safe_load(file.read_text())
        named = {*told.get("resources", ()), *(one.get("path") for one in told.get("patches", ()))}
        for other in sorted({*file.parent.glob("*.yaml")} - {file}):
            held = any("apiVersion" in one for one in objects(other.read_text()))
            assert not held or other.name in named or other.name.endswith(".example.yaml"), other
