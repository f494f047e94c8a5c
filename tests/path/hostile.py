"""Parts that fail at one alert, in the place of what an operator may give: a library of trees, a matcher of a severity rule."""

from __future__ import annotations

from collections.abc import Mapping

from relay.core.labels import Matchers
from relay.core.signal import Signal
from relay.core.tree import Hint


class AtOneAlert:
    """A library without a tree, that raises when it is asked about one alert."""

    trees = ()

    def __init__(self, alertname: str) -> None:
        self._alertname = alertname

    def hint(self, signal: Signal) -> Hint | None:
        if signal.alertname == self._alertname:
            raise RuntimeError("a bug of ours")
        return None


class RaisingMatchers(Matchers):
    """Matches nothing, and raises at one alert."""

    def matches(self, labels: Mapping[str, str]) -> bool:
        if labels.get("alertname") == "Poison":
            raise RuntimeError("a bug of ours")
        return False
