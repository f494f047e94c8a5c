"""Many patterns on one text cost one pass: a PatternSet tells exactly which of them match, as `labels.pattern` would one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import re2

from relay.core.labels import pattern

_MEMORY = 32 << 20
"""Bytes RE2 may keep of what it has learnt about a set's texts; it forgets when they are full, and stays exact."""

_NAME = 80
"""Characters of a value that comes again and again: alert names, reasons, kinds."""


class PatternSet:
    """Patterns as matchers write them: anchored, `.` matches newlines. Raises MatcherError for one that RE2 does not take."""

    __slots__ = ("_made", "_recall", "_texts")

    def __init__(self, patterns: Iterable[str]) -> None:
        self._texts = tuple(dict.fromkeys(patterns))
        for text in self._texts:
            pattern(text)
        self._made: Any = None
        self._recall: Callable[[str], tuple[str, ...]] = lru_cache(maxsize=1024)(self._look)

    def __contains__(self, text: str) -> bool:
        return text in self._texts

    def __len__(self) -> int:
        return len(self._texts)

    def fitting(self, value: str) -> tuple[str, ...]:
        """The patterns that match the whole of `value`, in the order they were given."""
        return self._recall(value) if len(value) <= _NAME else self._look(value)

    def _look(self, value: str) -> tuple[str, ...]:
        if self._made is None:
            self._made = self._compiled()
        found = self._made.Match(value)
        if not found:
            # The last one matches everything, so nothing at all means that RE2 ran out of memory: then one by one.
            return tuple(text for text in self._texts if pattern(text).search(value) is not None)
        return tuple(self._texts[index] for index in sorted(found) if index < len(self._texts))

    def _compiled(self) -> Any:  # noqa: ANN401  # re2 ships no types
        """RE2's set; made when it is first asked for, since most of a library's questions are never asked."""
        options = re2.Options()
        options.dot_nl = True
        options.log_errors = False
        options.max_mem = _MEMORY
        made: Any = re2.Set.FullMatchSet(options)
        for text in self._texts:
            made.Add(f"(?:{text})")
        made.Add(".*")
        made.Compile()
        return made
