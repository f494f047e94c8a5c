"""What is in force: a configuration and its trees, each taken whole. A reload replaces them; nothing of them changes in part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from relay.config.load import load
from relay.config.trees import load_trees
from relay.config.values import Configuration
from relay.config.watch import Watcher
from relay.core.policy import Policy
from relay.core.tree import Library


@dataclass(slots=True)
class Live:
    """Read anew by whoever decides. The trees come a moment after the configuration: only the sender needs them."""

    configuration: Configuration
    watcher: Watcher
    library: Library = field(default_factory=Library)

    @property
    def policy(self) -> Policy:
        return self.configuration.policy

    def take(self, fresh: Live) -> None:
        """From now on `fresh` is in force."""
        self.configuration, self.watcher, self.library = fresh.configuration, fresh.watcher, fresh.library


def from_files(path: Path | None, env: Mapping[str, str], *, text: str | None = None) -> Live:
    """The configuration as its file says now, or as `text` says in the file's place; without trees. Raises ConfigError."""
    first = load(path, env, text=text)
    # It says what to watch; what counts is read after the watch began, so that no change is missed.
    watcher = Watcher(*(file for file in (first.file, first.trees_folder) if file is not None))
    return Live(load(path, env, text=text), watcher)


def with_trees(live: Live) -> Live:
    """With the trees that ship and those of the operator's folder. Raises TreeError, with file and line."""
    live.library = load_trees(live.configuration.trees_folder)
    return live
