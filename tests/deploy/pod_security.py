"""The Pod Security Standard `restricted`, as a table: what each control asks, and a Pod that breaks it.

Source: Kubernetes' documentation, "Pod Security Standards" (the controls of baseline and restricted, as of 1.34).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]

VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)
SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
    }
)
SELINUX = frozenset({None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})


def containers(spec: Spec) -> Iterator[Spec]:
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(kind, ())


def contexts(spec: Spec) -> Iterator[Spec]:
    """The Pod's securityContext and those of its containers."""
    yield spec.get("securityContext", {})
    yield from (one.get("securityContext", {}) for one in containers(spec))


def _each_or_pod(spec: Spec, field: str, fits: Callable[[Any], bool]) -> bool:
    """Every container says it itself, or the Pod says it for those that do not."""
    whole = spec.get("securityContext", {}).get(field)
    return all(fits(one.get("securityContext", {}).get(field, whole)) for one in containers(spec))


def _capabilities(one: Spec) -> Spec:
    found: Spec = one.get("securityContext", {}).get("capabilities", {})
    return found


def _handlers(one: Spec) -> Iterator[Spec]:
    for hook in ("livenessProbe", "readinessProbe", "startupProbe"):
        yield one.get(hook, {})
    yield from one.get("lifecycle", {}).values()


def _seccomp(profile: Spec | None) -> bool:
    return (profile or {}).get("type") in {"RuntimeDefault", "Localhost"}


@dataclass(frozen=True)
class Control:
    asks: str
    kept: Callable[[Spec], bool]
    broken_by: Spec
    """Merged over a good Pod, breaks this control."""


def _container(**fields: Any) -> Spec:  # noqa: ANN401  # as YAML has it
    return {"containers": [{"name": "x", **fields}]}


RESTRICTED = (
    Control(
        "no Windows host process",
        lambda spec: not any(one.get("windowsOptions", {}).get("hostProcess") for one in contexts(spec)),
        {"securityContext": {"windowsOptions": {"hostProcess": True}}},
    ),
    Control(
        "no namespaces of the host",
        lambda spec: not any(spec.get(one) for one in ("hostNetwork", "hostPID", "hostIPC")),
        {"hostPID": True},
    ),
    Control(
        "no privileged container",
        lambda spec: not any(one.get("privileged") for one in contexts(spec)),
        _container(securityContext={"privileged": True}),
    ),
    Control(
        "drops all capabilities, and adds at most NET_BIND_SERVICE",
        lambda spec: all(
            "ALL" in _capabilities(one).get("drop", ())
            and set(_capabilities(one).get("add", ())) <= {"NET_BIND_SERVICE"}
            for one in containers(spec)
        ),
        _container(securityContext={"capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}}),
    ),
    Control(
        "only volumes that hold nothing of the host",
        lambda spec: all(set(one) - {"name"} <= VOLUMES for one in spec.get("volumes", ())),
        {"volumes": [{"name": "x", "hostPath": {"path": "/"}}]},
    ),
    Control(
        "no ports of the host",
        lambda spec: not any(port.get("hostPort") for one in containers(spec) for port in one.get("ports", ())),
        _container(ports=[{"containerPort": 80, "hostPort": 80}]),
    ),
    Control(
        "probes and hooks ask the Pod itself",
        lambda spec: (
            not any(
                handler.get(kind, {}).get("host")
                for one in containers(spec)
                for handler in _handlers(one)
                for kind in ("httpGet", "tcpSocket")
            )
        ),
        _container(livenessProbe={"httpGet": {"host": "192.0.2.1", "port": 80}}),
    ),
    Control(
        "AppArmor stays on",
        lambda spec: all(
            one.get("appArmorProfile", {}).get("type", "RuntimeDefault") in {"RuntimeDefault", "Localhost"}
            for one in contexts(spec)
        ),
        {"securityContext": {"appArmorProfile": {"type": "Unconfined"}}},
    ),
    Control(
        "no SELinux user or role, and a container's type",
        lambda spec: all(
            (options := one.get("seLinuxOptions", {})).get("type") in SELINUX
            and not options.get("user")
            and not options.get("role")
            for one in contexts(spec)
        ),
        {"securityContext": {"seLinuxOptions": {"type": "spc_t"}}},
    ),
    Control(
        "the default mount of /proc",
        lambda spec: all(one.get("procMount", "Default") == "Default" for one in contexts(spec)),
        _container(securityContext={"procMount": "Unmasked"}),
    ),
    Control(
        "only safe sysctls",
        lambda spec: all(one["name"] in SYSCTLS for one in spec.get("securityContext", {}).get("sysctls", ())),
        {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}},
    ),
    Control(
        "no way up",
        lambda spec: all(
            one.get("securityContext", {}).get("allowPrivilegeEscalation") is False for one in containers(spec)
        ),
        _container(securityContext={"capabilities": {"drop": ["ALL"]}}),
    ),
    Control(
        "runs as somebody else than root",
        lambda spec: _each_or_pod(spec, "runAsNonRoot", lambda said: said is True),
        {"securityContext": {"runAsNonRoot": False}},
    ),
    Control(
        "no uid 0",
        lambda spec: not any(one.get("runAsUser") == 0 for one in contexts(spec)),
        {"securityContext": {"runAsUser": 0}},
    ),
    Control(
        "a seccomp profile",
        lambda spec: (
            _each_or_pod(spec, "seccompProfile", _seccomp)
            and all(_seccomp(one["seccompProfile"]) for one in contexts(spec) if "seccompProfile" in one)
        ),
        {"securityContext": {"seccompProfile": {"type": "Unconfined"}}},
    ),
)


def broken(spec: Spec) -> list[str]:
    """What the controls ask that a Pod does not keep."""
    return [control.asks for control in RESTRICTED if not control.kept(spec)]
