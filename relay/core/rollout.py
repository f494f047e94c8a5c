"""A Rollout is one revision on its way through a cluster: a log for people, never a problem.

It begins when an object that is known to be on another revision reports this one; what is seen for the first time is only remembered.
The commit's own words come with its source's artifact (reference: flux.md §4, §5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import re2

from relay.core.changes import revision_of, short
from relay.core.event import Effect, Event, Instant, Source
from relay.core.values import replace, value
from relay.core.wording import duration

MOST: Final = 50
"""Names and failures that are kept of one."""
_COMMIT: Final = re2.compile(r"^stored artifact for commit '(?P<subject>.*)'$")
_SOURCES: Final = frozenset({"GitRepository", "OCIRepository", "Bucket"})
_MOVING: Final = _SOURCES | {"Kustomization"}


@value(frozen=True, slots=True)
class Rollout:
    """One revision in one cluster. Its instants are ours."""

    key: str
    cluster: str
    revision: str
    began_at: Instant
    changed_at: Instant
    ready: int = 0
    """Objects that have become ready on it."""
    touched: tuple[str, ...] = ()
    """Names of the objects that took it."""
    failures: tuple[str, ...] = ()
    """Of those that fail on it now."""
    note: str = ""
    """The commit's subject, in its author's words."""


def key_of(cluster: str, revision: str) -> str:
    return f"{cluster}\n{revision}"


def keys_of(event: Event) -> tuple[str, ...]:
    """The keys of the Rollouts that `event` may be about."""
    if event.source is not Source.FLUX or event.subject.kind not in _MOVING:
        return ()
    revision = revision_of(event)
    return (key_of(event.subject.cluster, revision),) if revision else ()


def noted(rollout: Rollout | None, event: Event) -> Rollout | None:
    """With the words of the commit, where `event` is its source's artifact; else as it was."""
    if event.subject.kind not in _SOURCES or event.effect is not Effect.CLOSES:
        return rollout
    said = _COMMIT.search(event.message.partition("\n")[0])
    if said is None or (rollout is not None and rollout.note):
        return rollout
    return replace(rollout or _fresh(event), note=said["subject"][:200])


def taken(rollout: Rollout | None, event: Event, *, known_revision: str, was_ready: bool) -> Rollout | None:
    """After a Kustomization's report: `known_revision` is what it was on, `was_ready` whether it had been ready on this one."""
    if event.subject.kind != "Kustomization" or event.aspect != "ready" or not known_revision:
        return rollout
    takes_it = known_revision != event.attributes.get("revision", "")
    if not takes_it and (rollout is None or not rollout.touched):
        return rollout
    name, before = event.subject.name, rollout or _fresh(event)
    after = before
    if name not in before.touched and takes_it:
        after = replace(after, touched=(*before.touched, name)[:MOST])
    match event.effect:
        case Effect.CLOSES if not was_ready or name in before.failures:
            failures = tuple(one for one in after.failures if one != name)
            after = replace(after, ready=after.ready + (not was_ready), failures=failures)
        case Effect.OPENS if name not in before.failures:
            after = replace(after, failures=(*after.failures, name)[:MOST])
        case _:
            pass
    if after is before:
        return rollout
    began_at = before.began_at if before.touched else event.received_at
    return replace(after, began_at=began_at, changed_at=event.received_at)


def _fresh(event: Event) -> Rollout:
    revision, now = revision_of(event), event.received_at
    return Rollout(key_of(event.subject.cluster, revision), event.subject.cluster, revision, now, now)


def told(day: Sequence[Rollout], most: int) -> tuple[str, ...]:
    """A line for each of the last `most` revisions, in the order in which they began: how many are ready, who fails, what came of it."""
    lines = []
    for number, one in enumerate(day):
        later = next((other for other in day[number + 1 :] if _replaces(other, one)), None)
        lines.append(_line(one, later))
    return tuple(lines[-most:])


def _replaces(later: Rollout, earlier: Rollout) -> bool:
    return later.cluster == earlier.cluster and not set(later.touched).isdisjoint(earlier.touched)


def _line(one: Rollout, later: Rollout | None) -> str:
    what = f"{short(one.revision)} {one.note}".strip()
    said = f"🔄 {what}: {one.ready} ready"
    if one.failures:
        said += f", {', '.join(one.failures[:3])} {'fails' if len(one.failures) == 1 else 'fail'}"
        if len(one.failures) > 3:
            said += f" with {len(one.failures) - 3} more"
    elif one.ready >= len(one.touched):
        said = f"✅ {what}: {one.ready} ready in {duration(one.changed_at - one.began_at)}"
    if later is not None and one.ready < len(one.touched):
        said += f", then {short(later.revision)}"
    return said
