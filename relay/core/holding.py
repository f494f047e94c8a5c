"""An opening is held back by what can heal it: a commit is awaited by somebody, a network heals itself, Helm undoes what it did.

Alertmanager has already waited, and the relay speaks of itself at once. What ends within its hold is counted and never shown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from relay.core.event import Instant, Source
from relay.core.incident import Incident, Reason
from relay.core.policy import Hold, Policy
from relay.core.signal import Signal
from relay.core.tree import Heals, Library
from relay.core.values import replace

SECONDS: Final = {Hold.NONE: 0.0, Hold.ITSELF: 300.0, Hold.HELM: 300.0, Hold.UNKNOWN: 90.0}
"""How long each waits at most."""
_HELM_FAILED: Final = frozenset({"InstallFailed", "UpgradeFailed", "TestFailed"})
"""Reasons of a HelmRelease that Helm's remediation may follow (reference: flux.md §5)."""
REMEMBERED: Final = 4096
"""Causes of which it is remembered what heals them."""


def held_for(signal: Signal, sender: str, policy: Policy) -> tuple[Hold, float]:
    """What an opening of `signal`, told by the source named `sender`, waits for, and the seconds that this may take."""
    if sender in policy.holds:
        return _plain(policy.holds[sender])
    if signal.source is not Source.FLUX:
        return Hold.NONE, 0.0
    if signal.subject.kind == "HelmRelease" and signal.reason in _HELM_FAILED:
        hold = Hold.NONE if signal.remediated else Hold.HELM
    else:
        hold = policy.heals(signal)
    return hold, SECONDS[hold]


def _plain(seconds: float) -> tuple[Hold, float]:
    return (Hold.PLAIN, seconds) if seconds > 0 else (Hold.NONE, 0.0)


def held(incident: Incident, signal: Signal, sender: str, policy: Policy, now: Instant) -> Incident:
    """`incident`, which nobody has seen yet, as its newest opening wants it held: the shortest wait of all its members counts."""
    hold, seconds = held_for(signal, sender, policy)
    if now + seconds < incident.visible_at:
        return replace(incident, hold=hold, visible_at=now + seconds)
    return incident


def moved(incident: Incident, signal: Signal, reason: Reason, sender: str, policy: Policy, now: Instant) -> Incident:
    """`incident` after one of its Signals moved: what it waited for may have come, or cannot come any more."""
    if now >= incident.visible_at or not signal.keeps_open:
        return incident
    if reason is Reason.REPEATED and incident.hold is Hold.ITSELF:  # The second time: what could have healed did not.
        return replace(incident, hold=Hold.NONE, visible_at=now)
    return held(incident, signal, sender, policy, now)


def asked_again(incident: Incident, signal: Signal, policy: Policy, now: Instant) -> Incident:
    """`incident`, which is held because nobody knew what heals it, now that the trees may know; `signal` is its lead."""
    if incident.hold is not Hold.UNKNOWN or now >= incident.visible_at:
        return incident
    hold, seconds = held_for(signal, "", policy)
    return replace(incident, hold=hold, visible_at=max(now, incident.opened_at + seconds))


def heals(library: Library) -> Callable[[Signal], Hold]:
    """What the leaf that `library` leads to waits for. A walk is remembered by cause: a storm of one cause costs one."""
    known: dict[tuple[str, str, str], Hold] = {}

    def ask(signal: Signal) -> Hold:
        key = (signal.subject.kind, signal.reason, signal.cause)
        hold = known.get(key)
        if hold is None:
            if len(known) >= REMEMBERED:
                known.clear()
            hold = known[key] = _HOLDS[library.gist(signal).heals]
        return hold

    return ask


_HOLDS: Final = {Heals.COMMIT: Hold.NONE, Heals.ITSELF: Hold.ITSELF, Heals.UNKNOWN: Hold.UNKNOWN}
