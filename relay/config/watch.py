"""A changed file is noticed by its content, however it was changed: written in place, renamed over, or swapped behind a symbolic link."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import Final

from relay.config.reader import MAX_FILE
from relay.config.secrets import read_bounded

MAX_FILES: Final = 1000
"""YAML files of one folder that are watched."""


def _digest(path: Path) -> bytes | None:
    """Of a file's content, or of the names and contents of a folder's YAML files; None if it cannot be read now."""
    digest = blake2b(digest_size=16)
    try:
        found = sorted(path.glob("*.y*ml"))[:MAX_FILES] if path.is_dir() else [path]
        for file in found:
            content = read_bounded(file, MAX_FILE)
            digest.update(f"{file.name}\0{len(content)}\0".encode(errors="surrogateescape") + content)
    except (OSError, ValueError):
        return None
    return digest.digest()


class Watcher:
    """Says which of some files and folders hold something else than at the last look. Reads them: ask seconds apart."""

    def __init__(self, *paths: Path) -> None:
        self._digests = {path: _digest(path) for path in paths}

    def changed(self) -> tuple[Path, ...]:
        """What changed since the last call. What cannot be read has not changed: it may be in the middle of being replaced."""
        changed = []
        for path, before in self._digests.items():
            now = _digest(path)
            if now is not None and now != before:
                self._digests[path] = now
                changed.append(path)
        return tuple(changed)
