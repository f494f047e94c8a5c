"""`python -m tests.soak` kills a relay under load again and again, prints what came of it, and fails where a promise was not kept."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.postgresql import server
from tests.soak.driver import Report, stage


async def soak(folder: Path, asked: argparse.Namespace) -> Report:
    with ExitStack() as parts:
        running = parts.enter_context(server()) if asked.postgres else None
        async with stage(folder, asked.seed, running, rate=asked.rate, faults=not asked.no_faults) as made:
            return await made.run(asked.kills, asked.minutes, asked.patience)


def main() -> int:
    """Exit 1 on any violation."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="of everything that is random")
    parser.add_argument("--kills", type=int, default=200, help="then it ends")
    parser.add_argument("--minutes", type=float, default=30.0, help="or after so long, whichever comes first")
    parser.add_argument("--rate", type=float, default=1.5, help="new problems a second")
    parser.add_argument("--patience", type=float, default=300.0, help="seconds in which it must converge afterwards")
    parser.add_argument(
        "--postgres", action="store_true", help="on PostgreSQL, which is restarted now and then; else on SQLite"
    )
    parser.add_argument("--no-faults", action="store_true", help="a Discord that never fails")
    parser.add_argument("--folder", type=Path, help="where the log and the database are kept; else they are removed")
    asked = parser.parse_args()
    with ExitStack() as parts:
        folder = asked.folder or Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="relay-soak-")))
        folder.mkdir(exist_ok=True)
        report = asyncio.run(soak(folder, asked))
    print(report)
    if report.violations:
        print(f"again: python -m tests.soak --seed {asked.seed} --kills {asked.kills}{' --postgres' * asked.postgres}")
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
