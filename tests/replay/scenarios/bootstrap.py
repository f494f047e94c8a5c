"""A cluster comes up from nothing: 41 objects, in the disorder that a bootstrap is, and stuck once because nobody made a Secret.

6 HelmRepositories and the GitRepository, 20 Kustomizations, 14 HelmReleases. What is not ready yet fails, as it does: kinds that are not
there yet, webhooks that do not answer yet, dependencies. Until minute 16 something becomes ready every minute; then the database's values
are missing for twenty minutes, and seven objects wait for it.
"""

from collections.abc import Iterator

from tests.replay.wire import MINUTE, Story, commit, duration

BEGINS = 1772420400.0
SECRET_MADE = 37 * MINUTE
CHARTS = ("jetstack", "external-secrets", "prometheus-community", "cloudnative", "traefik", "grafana")
READY = {
    "flux-system": 1, "crds": 2, "cert-manager": 4, "external-secrets": 5, "ingress": 6, "storage": 7, "dns": 8, "secret-stores": 9,
    "monitoring": 10, "logging": 11, "policies": 12, "backup": 13, "home": 14, "media": 15, "web": 16, "games": 16,
}  # fmt: skip
"""Minute in which a Kustomization becomes ready; those not here wait for the database."""
WAITING = ("database", "auth", "photos", "office")
RELEASES = {
    "cert-manager": 4, "external-secrets": 5, "traefik": 6, "longhorn": 7, "external-dns": 8, "kube-prometheus-stack": 10, "loki": 11,
    "kyverno": 12, "volsync": 13, "home-assistant": 14, "sonarr": 15,
}  # fmt: skip
STUCK = ("postgres", "authentik", "immich")
NAMESPACES = {
    "traefik": "ingress", "longhorn": "storage", "external-dns": "dns", "kube-prometheus-stack": "monitoring", "loki": "logging",
    "kyverno": "policies", "volsync": "backup", "home-assistant": "home", "sonarr": "media", "postgres": "database", "authentik": "auth",
    "immich": "photos",
}  # fmt: skip
REVISION = commit("bootstrap")


def lines() -> Iterator[str]:
    story = Story(BEGINS)
    story.flux(
        0,
        "GitRepository/flux-system/flux-system",
        "NewArtifact",
        "stored artifact for commit 'Add the cluster'",
        "info",
        revision=REVISION,
    )
    for place, name in enumerate(CHARTS):
        at = 70.0 + place * 9
        story.flux(
            at,
            f"HelmRepository/flux-system/{name}",
            "NewArtifact",
            f"stored fetched index of size 30.88kB from 'https://{name}.example.org/charts'",
            "info",
        )
    for place, (name, minute) in enumerate(READY.items()):
        not_yet(story, name, 65.0 + place, minute * MINUTE)
        ready(story, name, minute * MINUTE + place)
    for place, (name, minute) in enumerate(RELEASES.items()):
        release(story, name, minute * MINUTE - 12 + place)
    stuck(story)
    beats(story)
    yield from story.lines()


def ready(story: Story, name: str, at: float) -> None:
    story.flux(
        at - 3,
        f"Kustomization/flux-system/{name}",
        "Progressing",
        f"Namespace/{name} created\nHelmRelease/{name}/{name} created",
        "info",
        revision=REVISION,
    )
    story.beat(at, name, REVISION)


def not_yet(story: Story, name: str, begins: float, until: float) -> None:
    """Every two minutes until it is ready it says what it misses."""
    thing, at = f"Kustomization/flux-system/{name}", begins
    while at < until - 20:
        if name in ("secret-stores", "monitoring"):
            kind = "ClusterSecretStore" if name == "secret-stores" else "ServiceMonitor"
            version = "external-secrets.io/v1" if name == "secret-stores" else "monitoring.coreos.com/v1"
            story.flux(
                at,
                thing,
                "ReconciliationFailed",
                f'{kind}/{name} dry-run failed: no matches for kind "{kind}" in version "{version}"\n',
                revision=REVISION,
            )
        elif name in ("ingress", "dns", "web"):
            story.flux(
                at, thing, "ReconciliationFailed",
                f'Certificate/{name}/{name}-tls dry-run failed (InternalError): Internal error occurred: '
                'failed calling webhook "webhook.cert-manager.io": '
                'failed to call webhook: Post "https://cert-manager-webhook.cert-manager.svc:443/validate?timeout=30s": '
                "dial tcp 192.0.2.80:443: connect: connection refused\n",
                revision=REVISION,
            )  # fmt: skip
        elif name not in ("flux-system", "crds"):
            story.flux(
                at,
                thing,
                "DependencyNotReady",
                "Dependencies do not meet ready condition, retrying in 30s",
                "info",
                revision=REVISION,
            )
        at += 2 * MINUTE


def release(story: Story, name: str, at: float) -> None:
    namespace = NAMESPACES.get(name, name)
    story.flux(
        at,
        f"HelmRelease/{namespace}/{name}",
        "InstallSucceeded",
        f"Helm install succeeded for release {namespace}/{name}.v1 with chart {name}@1.4.2",
        "info",
        revision="1.4.2",
    )


def stuck(story: Story) -> None:
    """The database's values are missing; what needs it waits, and says so."""
    at = 12 * MINUTE
    while at < SECRET_MADE:
        story.flux(
            at, "HelmRelease/database/postgres", "ValuesError",
            "could not resolve Secret chart values reference 'database/postgres-values' with key 'values.yaml': "
            'secrets "postgres-values" not found',
        )  # fmt: skip
        for name in ("authentik", "immich"):
            story.flux(
                at + 4,
                f"HelmRelease/{NAMESPACES[name]}/{name}",
                "DependencyNotReady",
                "dependency 'database/postgres' is not ready",
                "info",
            )
        for name in WAITING[1:]:
            story.flux(
                at + 6,
                f"Kustomization/flux-system/{name}",
                "DependencyNotReady",
                "Dependencies do not meet ready condition, retrying in 30s",
                "info",
                revision=REVISION,
            )
        took = duration(f"database {at}", 300.01, 300.09)
        story.flux(
            at + 300, "Kustomization/flux-system/database", "HealthCheckFailed",
            f"health check failed after 5m{float(took[:-1]) - 300:.9f}s: timeout waiting for: "
            "[HelmRelease/database/postgres status: 'InProgress']",
            revision=REVISION,
        )  # fmt: skip
        at += 5 * MINUTE
    for place, name in enumerate(STUCK):
        release(story, name, SECRET_MADE + 60 + place * 45)
    for place, name in enumerate(WAITING):
        ready(story, name, SECRET_MADE + 75 + place * 50)


def beats(story: Story) -> None:
    """What is ready says so every ten minutes."""
    for place, (name, minute) in enumerate(READY.items()):
        for again in range(1, 6):
            story.beat(minute * MINUTE + place + again * 600.0, name, REVISION)
