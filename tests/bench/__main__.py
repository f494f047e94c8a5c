"""`python -m tests.bench [NAME …]` measures what docs/performance.md names; without names all but `storms`, in six minutes at most."""

from __future__ import annotations

import os
import platform
import signal
import sys
import time

from tests.bench.figures import ALL, Figure
from tests.bench.storms import storms


def line(figure: Figure) -> str:
    goal = "" if figure.goal is None else f"{'≤' if figure.most else '≥'} {_number(figure.goal)}"
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    spread = f"{_number(min(figure.values))} – {_number(max(figure.values))}" if len(figure.values) > 1 else ""
    value = f"{_number(figure.value)} {figure.unit}"
    return f"{figure.name:44} {value:>14}  {goal:>8}  {ratio:>5}  {figure.verdict:5}  {spread}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main() -> None:
    names = sys.argv[1:] or list(ALL)
    known = {**ALL, "storms": storms}
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"no figure {unknown[0]!r}; there are {', '.join(known)}")
    print(f"{'':44} {'median':>14}  {'goal':>8}  {'ratio':>5}  {'':5}  least – most")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # So that its servers end too.
    began = time.monotonic()
    for name in names:
        for figure in known[name]():
            print(line(figure), flush=True)
    busy = os.getloadavg()[0]
    print(
        f"{time.monotonic() - began:.0f} s, {os.cpu_count()} cores, load {busy:.1f}, Python {platform.python_version()}"
    )


if __name__ == "__main__":
    main()
