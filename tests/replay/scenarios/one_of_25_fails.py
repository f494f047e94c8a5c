"""A commit reaches 25 Kustomizations, and one of them cannot be built from it; half an hour later the next commit mends it."""

from collections.abc import Iterator

from tests.replay.wire import Story, commit, sha

BEGINS = 1772420400.0
NAMES = (
    "media",
    "home",
    "office",
    "monitoring",
    "web",
    "backup",
    "auth",
    "dns",
    "ingress",
    "storage",
    "database",
    "logging",
    "tracing",
    "gitea",
    "registry",
    "renovate",
    "policies",
    "network",
    "certificates",
    "secrets",
    "games",
    "photos",
    "music",
    "wiki",
    "shop",
)
BROKEN = "media"
EVERY = 600.0


def lines() -> Iterator[str]:
    story = Story(BEGINS)
    before, broken, mended = commit("before"), commit("broken"), commit("mended")
    story.flux(
        0,
        "GitRepository/flux-system/homelab",
        "NewArtifact",
        "stored artifact for commit 'Tidy the labels'",
        "info",
        revision=before,
    )
    for place, name in enumerate(NAMES):
        story.beat(10 + place * 4, name, before)
    push(story, 900, broken, "Update the media apps (#412)")
    for place, name in enumerate(NAMES):
        for again in range(4):
            at = 930 + place * 5 + again * EVERY
            if at >= 2700:
                continue
            if name == BROKEN:
                story.flux(at, f"Kustomization/flux-system/{name}", "BuildFailed", no_such_file(again), revision=broken)
            else:
                story.beat(at, name, broken)
    push(story, 2700, mended, "Add the file that was left behind (#413)")
    for place, name in enumerate(NAMES):
        at = 2730 + place * 5
        if name == BROKEN:
            story.flux(
                at - 1,
                f"Kustomization/flux-system/{name}",
                "Progressing",
                "Deployment/media/audiobooks created\nService/media/audiobooks created",
                "info",
                revision=mended,
            )
        story.beat(at, name, mended)
    yield from story.lines()


def push(story: Story, at: float, revision: str, subject: str) -> None:
    story.flux(
        at,
        "GitRepository/flux-system/homelab",
        "NewArtifact",
        f"stored artifact for commit '{subject}'",
        "info",
        revision=revision,
    )
    for place, name in enumerate(("web", "shop", "photos")):
        story.flux(
            at + 20 + place,
            f"Kustomization/flux-system/{name}",
            "Progressing",
            f"Deployment/{name}/{name} configured",
            "info",
            revision=revision,
        )


def no_such_file(attempt: int) -> str:
    """With another temporary folder at each attempt."""
    folder = f"/tmp/kustomization-{int(sha(str(attempt), 8), 16)}"  # noqa: S108  # Flux's own
    return (
        "kustomize build failed: accumulating resources: accumulation err='accumulating resources from 'audiobooks.yaml': "
        f"open {folder}/apps/media/audiobooks.yaml: no such file or directory': must build at directory: not a valid directory"
    )
