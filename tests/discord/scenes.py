"""The states a channel shows, as people meet them: an Incident with its Signals, Hint and Context, and the form it stands in."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from relay.core import own
from relay.core.attention import Loudness
from relay.core.card import Card, Change, Form
from relay.core.cards import Context, build
from relay.core.event import Event, Severity, Source, Subject
from relay.core.folding import PROGRESS
from relay.core.incident import Firing, Incident, Reason
from relay.core.known import Entry
from relay.core.policy import IncidentPolicy, Policy
from relay.core.posting import Degraded
from relay.core.signal import Signal, State, apply
from relay.core.timeline import moments
from relay.core.tree import Act, Advice, Answered, Certainty, Heals, Hint
from relay.discord.message import render

NOW = 1_750_000_000.0
START = NOW - 14 * 60
JUMP = "https://discord.com/channels/1300000000000000001/1200000000000000001/1500000000000000001"
REPOSITORIES = {"flux-system/flux-system": "https://git.example.org/ops/cluster"}
CONTEXT = Context(now=NOW, repositories=REPOSITORIES, handbook="https://relay.example.org/handbook")
ONCALL = ("<@&1234>",)


def signal(
    subject: Subject,
    message: str = "",
    *,
    key: str = "",
    source: Source = Source.ALERTMANAGER,
    **more: Any,  # noqa: ANN401  # any field of the value
) -> Signal:
    """A firing Signal of `subject`; what matters to a scene is said by it."""
    base = Signal(
        key=key or subject.key,
        source=source,
        subject=subject,
        aspect="",
        severity=Severity.WARNING,
        since=START,
        sent_at=START,
        seen_at=START,
    )
    return replace(base, message=message, **more)


def incident(lead: Signal, count: int = 1, **more: Any) -> Incident:  # noqa: ANN401  # any field of the value
    """An open Incident led by `lead`."""
    base = Incident(
        id="2" * 8 + "k7f3" + "x" * 14,
        subject=lead.subject,
        source=lead.source,
        lead=lead.key,
        since=lead.since,
        opened_at=lead.since + 20,
        visible_at=lead.since + 20,
        changed_at=NOW,
        severity=lead.severity,
        peak=lead.severity,
        firing=Firing().plus(lead.severity, count),
        members=count,
    )
    return replace(base, **more)


@dataclass(frozen=True)
class Scene:
    """What is shown, and how."""

    parts: tuple[tuple[Card, Form], ...]
    loudness: Loudness = Loudness.NOTIFY
    mentions: tuple[str, ...] = ()
    jump: str | None = None
    arrived_in: str | None = None


SONARR = Subject("homelab", "Pod", "media", "sonarr-66cc5c9fcf-9rccg")
APPS = Subject("homelab", "Kustomization", "flux-system", "apps")
CHANGE = Change(
    START - 240,
    "3ebb95c4a17c0f4b5d1e2a3f4c5d6e7f80912233"[:7],
    "sonarr 4.0.15 → 4.0.16 (renovate)",
    repository="flux-system/flux-system",
)

CRASH_HINT = Hint(
    tree="pod",
    title="Pod",
    path=(Answered("What is its status?", "CrashLoopBackOff", "alertname=KubePodCrashLooping"),),
    question="How did the last run end?",
    says="crash-looping",
    impact="sonarr is probably down",
    leaf="",
    steps=(
        Advice(
            Act.LOOK, "why the last run ended", "kubectl -n media logs sonarr-66cc5c9fcf-9rccg --previous --tail=50"
        ),
        Advice(Act.LOOK, "its events", "kubectl -n media describe pod sonarr-66cc5c9fcf-9rccg"),
        Advice(Act.CHANGE, "if the log blames the new version", "git revert 3ebb95c"),
    ),
    checklist=(("exit 1", "its log"), ("137", "memory or a probe"), ("0", "it ends by itself")),
)


def _labels(alertname: str, **more: str) -> Mapping[str, str]:
    return {"alertname": alertname, **more}


def crash() -> tuple[Incident, tuple[Signal, ...]]:
    lead = signal(
        SONARR,
        'Pod media/sonarr-66cc5c9fcf-9rccg (sonarr) is in waiting state (reason: "CrashLoopBackOff") on cluster homelab.',
        severity=Severity.CRITICAL,
        labels=_labels("KubePodCrashLooping"),
        attributes={
            "summary": "Pod is crash looping.",
            "runbook_url": "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepodcrashlooping",
            "generator_url": "https://prometheus.example.org/graph?g0.expr=x",
            "silence_url": "https://alertmanager.example.org/#/silences/new",
            "dashboard_url": "http://grafana.monitoring.svc:3000/d/pods",
        },
    )
    second = replace(lead, key="b", labels=_labels("KubePodNotReady"), severity=Severity.WARNING)
    third = replace(lead, key="c", labels=_labels("KubeDeploymentReplicasMismatch"), severity=Severity.WARNING)
    flux = signal(
        APPS,
        "health check failed after 5m0.035058333s: timeout waiting for: [Deployment/media/sonarr status: 'InProgress']",
        source=Source.FLUX,
        reason="HealthCheckFailed",
        severity=Severity.ERROR,
        labels=_labels("FluxKustomizationHealthCheckFailed"),
    )
    members = (lead, flux, second, third)
    return incident(lead, len(members), subject=SONARR), members


def crash_card() -> Card:
    opened, members = crash()
    return build(opened, members, CRASH_HINT, replace(CONTEXT, change=CHANGE))


BUILD_MESSAGE = (
    "kustomize build failed: accumulating resources: accumulation err='accumulating resources from '../base/ingress.yaml': "
    "open /tmp/kustomization-2520510114/apps/base/ingress.yaml: no such file or directory': must build at directory: "
    "not a valid directory: "
    "evalsymlink failure on '/tmp/kustomization-2520510114/apps/base/ingress.yaml' : lstat /tmp/kustomization-2520510114/apps/base/"
    "ingress.yaml: no such file or directory"
)


def build_failure() -> Card:
    lead = signal(
        APPS,
        BUILD_MESSAGE,
        source=Source.FLUX,
        reason="BuildFailed",
        severity=Severity.ERROR,
        labels=_labels("FluxKustomizationBuildFailed"),
        count=7,
    )
    hint = Hint(
        tree="flux-kustomization",
        title="Kustomization",
        path=(Answered("Which step failed?", "build", "reason=BuildFailed"),),
        certainty=Certainty.LIKELY,
        leaf="FLUX-BUILD-010",
        cause="`kustomization.yaml` names a file that is not in Git",
        says="cannot be built",
        impact="nothing changes until it builds; what runs keeps running",
        heals=Heals.COMMIT,
        steps=(
            Advice(
                Act.LOOK,
                "builds it on your machine",
                "flux build kustomization apps --path ./clusters/homelab --dry-run",
            ),
            Advice(Act.CHANGE, "add `apps/base/ingress.yaml`, or remove it from `resources`"),
        ),
    )
    return build(
        incident(lead),
        (lead,),
        hint,
        replace(CONTEXT, change=replace(CHANGE, at=START - 35, text="apps: split the ingress")),
    )


def upgrade_rolled_back() -> Card:
    lead = signal(
        Subject("homelab", "HelmRelease", "ingress", "traefik"),
        "Helm upgrade failed for release ingress/traefik with chart traefik@39.0.1: values don't meet the specifications of the "
        "schema(s) in "
        "the following chart(s):\ntraefik:\n- at '/ports/web': additional properties 'redirectTo' not allowed\n\n\nLast Helm logs:\n\n"
        "2026-02-17T17:45:18.943742569Z: preparing upgrade for traefik",
        source=Source.FLUX,
        reason="UpgradeFailed",
        severity=Severity.ERROR,
        labels=_labels("FluxHelmReleaseUpgradeFailed"),
        remediated="RollbackSucceeded",
    )
    return build(incident(lead, reason=Reason.REMEDIATED), (lead,), None, CONTEXT)


def group(firing: int = 60, over: int = 0) -> Card:
    pods = [
        Subject("homelab", "Pod", ("media", "apps", "home")[at % 3], f"{name}-6d4cf56db6-{suffix}")
        for at, name in enumerate(
            (
                "jellyfin",
                "radarr",
                "sonarr",
                "paperless",
                "vaultwarden",
                "grafana",
                "immich",
                "miniflux",
                "gitea",
                "homeassistant",
                "nextcloud",
                "freshrss",
            )
        )
        for suffix in ("x7k2p", "b9m4q", "c5n8r", "d2v6s", "f4w9t")
    ]
    members = tuple(
        signal(
            pod,
            f"Pod {pod.place} has been in a non-ready state for longer than 15 minutes.",
            severity=Severity.CRITICAL if "jellyfin" in pod.name else Severity.WARNING,
            labels=_labels("KubePodNotReady"),
            attributes={"summary": "Pod has been in a non-ready state for more than 15 minutes."},
            state=State.FIRING if at < firing else State.RESOLVED,
        )
        for at, pod in enumerate(pods[: firing + over])
    )
    hint = Hint(
        tree="pod",
        title="Pod",
        certainty=Certainty.LIKELY,
        leaf="POD-NODE-001",
        says="is not ready",
        cause="A node that runs them is not ready",
        path=(Answered("One or many?", "many at once", ""),),
        impact="what has one replica is down",
        steps=(
            Advice(Act.LOOK, "nodes that are not Ready", "kubectl get nodes -o wide"),
            Advice(Act.LOOK, "where they ran", "kubectl get pods -A -o wide --field-selector=status.phase!=Running"),
        ),
    )
    total = firing + over
    return build(
        incident(members[0], total, firing=Firing(warning=firing - 5, critical=5), severity=Severity.CRITICAL),
        members,
        hint,
        CONTEXT,
    )


def volume(**more: Any) -> Card:  # noqa: ANN401  # any field of the value
    lead = signal(
        Subject("homelab", "PersistentVolumeClaim", "media", "config"),
        "The PersistentVolume claimed by config in Namespace media is only 2.958340523% free.",
        severity=Severity.CRITICAL,
        labels=_labels("KubePersistentVolumeFillingUp"),
        attributes={
            "summary": "PersistentVolume is filling up.",
            "dashboard_url": "https://grafana.example.org/d/volumes",
        },
    )
    hint = Hint(
        tree="volume",
        title="Volume",
        certainty=Certainty.LIKELY,
        leaf="PVC-FULL-001",
        says="is filling up",
        cause="It is almost full",
        path=(Answered("How fast?", "within a day", ""),),
        impact="sonarr stops writing when it is full",
        steps=(
            Advice(
                Act.LOOK,
                "what is large",
                "kubectl -n media exec deploy/sonarr -- sh -c 'du -xh /config | sort -h | tail'",
            ),
            Advice(Act.CHANGE, "raise `spec.resources.requests.storage`, if its class allows expansion"),
            Advice(Act.DESTROY, "delete old backups", "rm -rf /config/Backups"),
        ),
    )
    return build(incident(lead, 1, **more), (lead,), hint, CONTEXT)


def record() -> Card:
    opened, members = crash()
    closed = replace(opened, closed_at=NOW, reason=Reason.RESOLVED, firing=Firing())
    resolved = tuple(
        replace(member, state=State.RESOLVED, resolved_at=NOW, since=START + 60 * at)
        for at, member in enumerate(members)
    )
    fixed = Change(NOW - 90, "9c1f0aa", 'Revert "sonarr 4.0.16"', repository="flux-system/flux-system")
    hint = replace(
        CRASH_HINT,
        leaf="POD-OOM-001",
        cause="The container needs more memory than its limit",
        question="",
        certainty=Certainty.LIKELY,
    )
    return build(closed, resolved, hint, replace(CONTEXT, change=CHANGE, fixed_by=fixed))


HOSTILE = "@everyone <@&1234> <t:1:R> **now** [click](https://evil.example) ```\nboom ``` ||x|| # `a` \u202egnp.exe discord.gg/abc __u__"


def hostile() -> Card:
    lead = signal(
        Subject("@here", "Pod", "**ns**", "<@1>`pod`-66cc5c9fcf-9rccg"),
        HOSTILE,
        severity=Severity.ERROR,
        labels=_labels("Unknown" + HOSTILE),
        attributes={
            "summary": HOSTILE,
            "runbook_url": "http://prometheus:9090/x",
            "silence_url": "javascript:alert(1)",
        },
    )
    hint = Hint(
        tree="x",
        title=HOSTILE,
        leaf=HOSTILE,
        cause=HOSTILE,
        says=HOSTILE,
        impact=HOSTILE,
        steps=(Advice(Act.LOOK, HOSTILE, "echo '```'"), Advice(Act.CHANGE, HOSTILE, HOSTILE)),
    )
    return build(incident(lead), (lead,), hint, replace(CONTEXT, clusters=2))


def simple(name: str, alertname: str, severity: Severity, **more: Any) -> Card:  # noqa: ANN401  # any field of the value
    lead = signal(
        Subject("homelab", "Pod", "media", f"{name}-66cc5c9fcf-9rccg"),
        "",
        severity=severity,
        labels=_labels(alertname),
        attributes={"summary": "Something is off."},
    )
    return build(incident(lead, 1, **more), (lead,), None, CONTEXT)


def over(name: str, alertname: str) -> Card:
    lead = signal(
        Subject("homelab", "Pod", "media", f"{name}-66cc5c9fcf-9rccg"),
        "",
        labels=_labels(alertname),
        state=State.RESOLVED,
    )
    return build(incident(lead, closed_at=START + 260, reason=Reason.RESOLVED, firing=Firing()), (lead,), None, CONTEXT)


def no_news() -> Card:
    lead = signal(
        APPS,
        "dependency 'infrastructure' is not ready",
        source=Source.FLUX,
        reason="DependencyNotReady",
        severity=Severity.WARNING,
    )
    return build(incident(lead, reason=Reason.NO_NEWS, silent_since=lead.seen_at), (lead,), None, CONTEXT)


def nodeless() -> Card:
    lead = signal(
        Subject("homelab", "", "", ""),
        'etcd cluster "etcd": members are down (1).',
        severity=Severity.CRITICAL,
        labels=_labels("SomethingOddHappened", job="etcd"),
        attributes={"summary": "The backup bucket answers with 503 since midnight."},
    )
    return build(incident(lead), (lead,), None, CONTEXT)


def three(over: int = 0) -> Card:
    """Three workloads of one group, of which the first `over` are well again."""
    members = [
        signal(
            Subject("homelab", "Pod", "media", pod),
            severity=Severity.ERROR,
            labels=_labels("KubePodCrashLooping"),
            since=START + 60 * at,
            state=State.RESOLVED if at < over else State.FIRING,
        )
        for at, pod in enumerate(("sonarr-7d9c5b8f6b-x2k4p", "radarr-5f64d7c9b8-hq7zt", "bazarr-0"))
    ]
    going = [member for member in members if member.keeps_open]
    of_one = going[0].subject.name if going else "sonarr-7d9c5b8f6b-x2k4p"
    hint = replace(
        CRASH_HINT,
        impact="it is probably down",
        steps=(Advice(Act.LOOK, "why the last run ended", f"kubectl -n media logs {of_one} --previous"),),
    )
    closed = {} if going else {"closed_at": NOW, "reason": Reason.RESOLVED}
    shown = incident(members[0], 3, firing=Firing(error=len(going)), **closed)
    entries = [
        Entry(START + 20, Reason.OPENED, Source.ALERTMANAGER, members[0].key),
        *(Entry(START + 150, Reason.MEMBER, Source.ALERTMANAGER, member.key) for member in members[1:]),
        *(Entry(START + 600, Reason.MEMBER_RESOLVED, Source.ALERTMANAGER, member.key) for member in members[:2]),
        Entry(NOW, Reason.RESOLVED, Source.ALERTMANAGER),
    ]
    told_by = replace(CONTEXT, timeline=moments(shown, members, entries))
    return build(shown, [*going, *(m for m in members if m not in going)], hint, told_by)


def _of_the_relay(event: Event) -> Card:
    lead = apply(None, event, IncidentPolicy()).signal
    assert lead is not None
    return build(incident(lead), (lead,), None, CONTEXT)


def unreadable() -> Card:
    why, cure = (
        "raw alerts, as Prometheus sends them to Alertmanager",
        "send them to Alertmanager, and there use a webhook",
    )
    return _of_the_relay(
        own.unreadable("alertmanager", Source.ALERTMANAGER, why, cure, START, Policy(cluster="homelab"))
    )


def cannot_post() -> Card:
    return _of_the_relay(own.webhook_dead("ops", START, Policy(cluster="homelab")))


LINES = tuple(
    (simple(name, alertname, severity), Form.LINE)
    for name, alertname, severity in (
        ("jellyfin", "KubePodCrashLooping", Severity.ERROR),
        ("a-workload-with-a-name-that-nobody-would-say-aloud-twice", "KubePodNotReady", Severity.WARNING),
        ("radarr", "KubeContainerWaiting", Severity.WARNING),
    )
)


def quiet() -> Card:
    opened, members = crash()
    return build(opened, members, CRASH_HINT, replace(CONTEXT, quiet="until 07:30, by ada"))


def on_its_way() -> Card:
    """A cluster that is set up: eight of its objects wait for others."""
    lead = signal(APPS, "dependency 'infrastructure' is not ready", source=Source.FLUX, reason="DependencyNotReady")
    waiting = tuple(
        Subject("homelab", "Kustomization", "flux-system", name) for name in ("apps", "infrastructure", "monitoring")
    )
    root = incident(
        lead,
        subject=Subject("homelab", "Cluster", "", "homelab"),
        source=Source.RELAY,
        firing=Firing(),
        members=0,
        effects=Firing(error=8),
        root=PROGRESS,
        reason=Reason.FOLDED,
    )
    return build(root, (), None, replace(CONTEXT, effects=waiting, kinds={"Kustomization": 8}))


ARRIVED = tuple(
    (simple(name, alertname, severity), Form.LINE)
    for name, alertname, severity in (
        ("sonarr", "KubePodCrashLooping", Severity.CRITICAL),
        ("jellyfin", "KubePodNotReady", Severity.ERROR),
        ("radarr", "KubeContainerWaiting", Severity.WARNING),
        ("ntfy", "KubePodNotReady", Severity.WARNING),
    )
)

SCENES: dict[str, Scene] = {
    "a crash-looping pod, question open": Scene(((crash_card(), Form.FULL),), Loudness.PAGE, ONCALL),
    "a Flux build failure": Scene(((build_failure(), Form.FULL),)),
    "a Helm upgrade, rolled back, no tree": Scene(((upgrade_rolled_back(), Form.FULL),)),
    "sixty alerts": Scene(((group(), Form.FULL),), Loudness.PAGE, ONCALL),
    "sixty alerts, some over": Scene(((group(40, 20), Form.FULL),)),
    "escalated": Scene(((volume(reason=Reason.ESCALATED), Form.FULL),), Loudness.PAGE, ONCALL),
    "flapping": Scene(((volume(flapping=True, reopenings=3), Form.FULL),)),
    "a warning": Scene(((simple("radarr", "KubeContainerWaiting", Severity.WARNING), Form.FULL),), Loudness.QUIET),
    "quiet": Scene(((quiet(), Form.FULL),), Loudness.QUIET),
    "on its way": Scene(((on_its_way(), Form.FULL),), Loudness.QUIET),
    "arrived": Scene((*ARRIVED, (over("bazarr", "KubePodNotReady"), Form.LINE)), arrived_in="homelab"),
    "no news": Scene(((no_news(), Form.FULL),)),
    "no object, no tree": Scene(((nodeless(), Form.FULL),)),
    "pointer": Scene(((crash_card(), Form.POINTER),), jump=JUMP),
    "record": Scene(((record(), Form.FULL),)),
    "end": Scene(((record(), Form.END),), jump=JUMP),
    "came and went": Scene(((over("radarr", "KubePodNotReady"), Form.LINE),), Loudness.QUIET),
    "lines": Scene((*LINES, (over("bazarr", "KubePodNotReady"), Form.LINE)), Loudness.QUIET),
    "compact": Scene(
        ((build_failure(), Form.COMPACT), (volume(), Form.COMPACT), (over("radarr", "KubePodNotReady"), Form.COMPACT))
    ),
    "hostile": Scene(((hostile(), Form.FULL),)),
    "three crash": Scene(((three(), Form.FULL),)),
    "one of three goes on": Scene(((three(over=2), Form.FULL),)),
    "all three recovered": Scene(((three(over=3), Form.FULL),)),
    "the relay cannot read": Scene(((unreadable(), Form.FULL),), Loudness.QUIET),
    "the relay cannot post": Scene(((cannot_post(), Form.FULL),), Loudness.PAGE, ONCALL),
}


def slug(name: str) -> str:
    """A scene's file name."""
    return "-".join("".join(char if char.isalnum() else " " for char in name).lower().split())


def told(body: Mapping[str, Any]) -> str:
    """A payload as a reader would describe it: what the phone shows, then each embed, then the buttons."""
    lines = [body.get("content") or "(no content)"]
    if body.get("flags"):
        lines.append("(silent)")
    for embed in body.get("embeds", []):
        text = [f"# {embed['title']}"] if embed.get("title") else []
        text += embed["description"].split("\n")
        text += [f"~ {embed['footer']['text']}"] if embed.get("footer") else []
        lines += ["", f"({embed['color']:06x})", *(f"| {line}".rstrip() for line in text)]
    for row in body.get("components", []):
        lines += ["", " ".join(f"[{button['label']}]" for button in row["components"])]
    return "\n".join(lines) + "\n"


def rendered(scene: Scene, *, editing: bool = False, degraded: Degraded = Degraded.NO) -> Mapping[str, Any]:
    """The scene's payload, read back."""
    payload = render(
        scene.parts,
        loudness=scene.loudness,
        mentions=scene.mentions,
        jump=scene.jump,
        editing=editing,
        degraded=degraded,
        arrived_in=scene.arrived_in,
    )
    document = json.loads(payload.body)
    assert isinstance(document, dict)
    return document


GOLDEN = Path(__file__).parent / "golden"

if __name__ == "__main__":
    for name, scene in SCENES.items():
        (GOLDEN / f"{slug(name)}.txt").write_text(told(rendered(scene)))
