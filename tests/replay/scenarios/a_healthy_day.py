"""A day in which nothing is wrong: thirty Kustomizations, each healthy and saying so every minute."""

from collections.abc import Iterator

from tests.replay.wire import Story, commit

BEGINS = 1772420400.0
KUSTOMIZATIONS = 30
MINUTES = 1440


def lines() -> Iterator[str]:
    story = Story(BEGINS)
    revision = commit("a quiet day")
    for minute in range(MINUTES):
        for place in range(KUSTOMIZATIONS):
            story.beat(minute * 60.0, f"app-{place:02}", revision, "1m0s")
    yield from story.lines()
