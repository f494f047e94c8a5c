"""What a library would bring along, and serving never uses, is left on the disk: memory is what a small cluster lacks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*modules: str) -> Iterator[None]:
    """Whoever is imported within it finds none of `modules`, and does without; one that is there already stays."""
    missing = [module for module in modules if module not in sys.modules]
    sys.modules.update(dict.fromkeys(missing))  # type: ignore[arg-type]  # What Python itself takes for "not to be found".
    try:
        yield
    finally:
        for module in missing:
            del sys.modules[module]
