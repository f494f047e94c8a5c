"""The figure over all scenarios: what the relay makes of what really happened, and what it hides or says wrongly.

    .venv/bin/python -m tests.replay [NAME…]
    .venv/bin/python -m tests.replay --tell NAME…        each message with its life, and what is otherwise than expected
    .venv/bin/python -m tests.replay --write FOLDER      the recordings as files, for `relay explain`

Exit code 1 where a problem is hidden, wrongly resolved or not paged, or where it takes more than one card for one problem.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from relay.observe import logs
from relay.tools.terminal import table
from tests.replay.stage import Played, play
from tests.replay.story import Scenario, scenarios
from tests.replay.verdict import Figures, differences, figures
from tests.replay.wire import span

HEAD = [
    "",
    "events",
    "would post",
    "cards",
    "problems",
    "messages",
    "edits",
    "sounds",
    "pages",
    "deserved",
    "missed",
    "wrong",
    "hidden",
]


def row(name: str, found: list[Figures]) -> list[str]:
    """One line of the table: sums."""

    def total(word: str) -> int:
        values = (getattr(one, word) for one in found)
        return sum(value if isinstance(value, int) else len(value) for value in values)

    words = (
        "events",
        "would_post",
        "cards",
        "problems",
        "messages",
        "edits",
        "sounds",
        "pages",
        "page_worthy",
        "pages_missed",
        "wrong_resolves",
        "hidden",
    )
    return [name, *(str(total(word)) for word in words)]


def told(found: dict[str, Figures]) -> str:
    """The table, what it comes to, and each thing that should not be."""
    every = list(found.values())
    rows = table([HEAD, *(row(name, [one]) for name, one in found.items()), row("all", every)])
    lines = ["".join(cells) for cells in rows]
    cards, problems = sum(one.cards for one in every), sum(one.problems for one in every)
    messages, pages = sum(one.messages for one in every), sum(one.pages for one in every)
    worthy = sum(one.page_worthy for one in every)
    lines += [
        "",
        f"cards per real problem               {ratio(cards, problems)}   goal 1.00",
        f"messages per card                    {ratio(messages, cards)}",
        f"pages per problem that deserves one  {ratio(pages, worthy)}   goal 1.00, {sum(one.pages_missed for one in every)} missed",
        f"wrong resolves                       {sum(len(one.wrong_resolves) for one in every)}      goal 0",
        f"hidden problems                      {sum(len(one.hidden) for one in every)}      goal 0",
        f"one message for each delivery        {sum(one.would_post for one in every)} messages, {messages} here",
    ]
    for name, one in found.items():
        lines += [f"{name}: wrongly resolved: {what}" for what in one.wrong_resolves]
        lines += [f"{name}: hidden: {what}" for what in one.hidden]
        lines += [f"{name}: about no real problem: {what}" for what in one.beside]
    return "\n".join(lines)


def ratio(count: int, of: int) -> str:
    return f"{count / of:.2f}" if of else "–"


def life(played: Played) -> str:
    """Each message with all that it ever said first, and what sounded."""
    lines = []
    for channel, messages in played.messages.items():
        for message in messages:
            lines.append(f"{channel} {message.id}{' silent' if message.silent else ''}")
            said = ""
            for version in message.history:
                line = version.content.partition("\n")[0]
                if line != said:
                    lines.append(f"    +{span(version.at - played.began):<9} {line}")
                said = line
            lines += [f"      {row}" for row in message.text.splitlines()[1:]]
    lines += [f"sound +{span(one.time - played.began):<9} {one.text.splitlines()[0]}" for one in played.pushes]
    return "\n".join([*lines, *(f"✗ {one}" for one in differences(played))])


async def tell(chosen: list[Scenario]) -> None:
    for scenario in chosen:
        with TemporaryDirectory(prefix="relay-replay-") as folder:
            print(f"{scenario.name}: {scenario.title}\n{life(await play(scenario, Path(folder)))}\n")


async def measured(chosen: list[Scenario]) -> dict[str, Figures]:
    found = {}
    for scenario in chosen:
        with TemporaryDirectory(prefix="relay-replay-") as folder:
            played = await play(scenario, Path(folder))
        found[scenario.name] = figures(played)
        print(f"{scenario.name}: {played.seconds:.1f} s", file=sys.stderr)
    return found


def write(folder: Path) -> None:
    """Each recording as a file."""
    folder.mkdir(parents=True, exist_ok=True)
    for scenario in scenarios():
        (folder / f"{scenario.name}.jsonl").write_text("".join(f"{line}\n" for line in scenario.lines()))


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--write"]:
        write(Path(arguments[1]))
        return 0
    logs.configure("critical")
    if arguments[:1] == ["--tell"]:
        asyncio.run(tell([one for one in scenarios() if one.name in arguments]))
        return 0
    chosen = [one for one in scenarios() if not arguments or one.name in arguments]
    found = asyncio.run(measured(chosen))
    print(told(found))
    every = found.values()
    well = all(
        one.cards == one.problems and not (one.hidden or one.wrong_resolves or one.pages_missed) for one in every
    )
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
