"""Names do not resolve for forty minutes: twelve sources and twenty image repositories at eight hosts say so."""

from collections.abc import Iterator

from tests.replay.wire import Story, sha

BEGINS = 1772420400.0
DOWN, UP = 300.0, 2700.0
RESOLVER = "192.0.2.10:53"
CHARTS = ("charts.example.org", "helm.example.net", "grafana.example.org", "prometheus.example.org")
IMAGES = (
    "sonarr",
    "radarr",
    "prowlarr",
    "bazarr",
    "jellyfin",
    "overseerr",
    "paperless",
    "nextcloud",
    "vaultwarden",
    "grafana",
    "loki",
    "blog",
    "shop",
    "mosquitto",
    "zigbee2mqtt",
    "node-red",
    "immich",
    "gitea",
    "renovate",
    "wiki",
)
BACKOFF = (0, 300, 620, 1250, 2000)
"""Seconds of the attempts that notification-controller lets through: later ones are rarer, the same text comes once in 5 min."""


def lines() -> Iterator[str]:
    story = Story(BEGINS)
    for thing, reason, text, recovered, succeeded in sources():
        late = int(sha(thing, 4), 16) % 280
        for attempt, after in enumerate(BACKOFF):
            at = DOWN + late + after
            if at < UP:
                port = 32768 + int(sha(f"{thing} {attempt}", 4), 16) % 28000
                story.flux(at, thing, reason, text.replace("PORT", str(port)))
        story.flux(UP + late, thing, recovered, succeeded, "info")
    yield from story.lines()


def sources() -> Iterator[tuple[str, str, str, str, str]]:
    """Each object: its reason and text while names do not resolve, and those of its recovery."""
    refused = f"dial tcp: lookup HOST on {RESOLVER}: server misbehaving"
    silent = f"dial tcp: lookup HOST on {RESOLVER}: read udp 192.0.2.71:PORT->{RESOLVER}: i/o timeout"
    for name in ("homelab", "fleet", "shop", "infra"):
        url = f"https://git.example.org/ops/{name}"
        said = (refused if name != "fleet" else silent).replace("HOST", "git.example.org")
        listed = f'Get "{url}/info/refs?service=git-upload-pack": {said}'
        yield (
            f"GitRepository/flux-system/{name}",
            "GitOperationFailed",
            f"failed to checkout and determine revision: unable to list remote for '{url}': {listed}",
            "Succeeded",
            "stored artifact for commit 'Tidy the labels'",
        )
    for host in CHARTS:
        fetch = f'Get "https://{host}/index.yaml": {silent.replace("HOST", host)}'
        yield (
            f"HelmRepository/flux-system/{host.split('.')[0]}-charts",
            "Failed",
            f"failed to fetch Helm repository index: failed to cache index to temporary file: {fetch}",
            "Succeeded",
            f"stored fetched index of size 30.88kB from 'https://{host}'",
        )
    for name, host in (
        ("apps", "ghcr.io"),
        ("policies", "ghcr.io"),
        ("dashboards", "quay.io"),
        ("rules", "registry.example.org"),
    ):
        said = refused.replace("HOST", host)
        yield (
            f"OCIRepository/flux-system/{name}",
            "OCIArtifactPullFailed",
            f'failed to determine artifact digest: Get "https://{host}/v2/": {said}',
            "Succeeded",
            f"stored artifact with revision 'latest@sha256:{sha(name, 64)}' from 'oci://{host}/ops/{name}'",
        )
    for place, name in enumerate(IMAGES):
        host = ("ghcr.io", "quay.io", "index.docker.io")[place % 3]
        said = (refused if place % 4 else silent).replace("HOST", host)
        yield (
            f"ImageRepository/flux-system/{name}",
            "ReadOperationFailed",
            f'scan failed: Get "https://{host}/v2/": {said}',
            "Succeeded",
            f"successful scan: found {40 + place} tags with checksum {sha(name, 10)}",
        )
