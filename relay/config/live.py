"""What is in force: a configuration, its trees and its edges, each taken whole. A reload replaces them; nothing changes in part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from relay.config.edges import load_edges
from relay.config.load import load
from relay.config.trees import load_trees
from relay.config.values import Configuration
from relay.config.watch import Watcher
from relay.core import holding
from relay.core.edges import NO_EDGES, Edges
from relay.core.policy import Policy
from relay.core.tree import Library


@dataclass(slots=True)
class Live:
    """Read anew by whoever decides. The trees come a moment after the configuration: only the sender needs them."""

    configuration: Configuration
    watcher: Watcher
    library: Library = field(default_factory=Library)
    edges: Edges = NO_EDGES
    refused: str = ""
    """Why the file is not what is in force, where that may mend itself: a secret or a folder that it names may come later."""
    _made: tuple[Configuration, Library, Edges, Policy] | None = None

    @property
    def policy(self) -> Policy:
        """The configuration's, with what trees and edges know; one and the same value until either is replaced."""
        configuration, library, edges = self.configuration, self.library, self.edges
        made = self._made
        if made is None or made[0] is not configuration or made[1] is not library or made[2] is not edges:
            made = self._made = configuration, library, edges, composed(configuration.policy, library, edges)
        return made[3]

    def take(self, fresh: Live) -> None:
        """From now on `fresh` is in force."""
        self.configuration, self.watcher = fresh.configuration, fresh.watcher
        self.library, self.edges, self.refused = fresh.library, fresh.edges, ""


def composed(policy: Policy, library: Library, edges: Edges = NO_EDGES) -> Policy:
    """`policy`, where trees and edges decide what is left to them."""
    return replace(policy, heals=holding.heals(library), edges=edges)


def from_files(path: Path | None, env: Mapping[str, str], *, text: str | None = None) -> Live:
    """The configuration as its file says now, or as `text` says in the file's place; without trees. Raises ConfigError."""
    first = load(path, env, text=text)
    # It says what to watch; what counts is read after the watch began, so that no change is missed.
    watcher = Watcher(*(file for file in (first.file, first.trees_folder, first.edges_folder) if file is not None))
    return Live(load(path, env, text=text), watcher)


def with_data(live: Live) -> Live:
    """With the trees and edges that ship and those of the operator's folders. Raises DataError, with file and line."""
    live.library = load_trees(live.configuration.trees_folder)
    live.edges = load_edges(live.configuration.edges_folder)
    return live
