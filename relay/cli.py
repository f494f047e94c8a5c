"""The command line only names what there is: each command imports its part when it is asked for, so that no other pays for it.

Exit codes: 0 well, 1 refused or negative, 2 not understood. An operator's mistake is a line on standard error, never a traceback.
"""

from __future__ import annotations

import os
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

_HELP: dict[str, Any] = {"no_args_is_help": True, "rich_markup_mode": None, "add_completion": False}
app = typer.Typer(
    help="Keeps a Discord channel reconciled with what is wrong in a Kubernetes cluster.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    **_HELP,
)
trees_app = typer.Typer(help="The decision trees: show, test, lint, coverage and more.", **_HELP)
rejects_app = typer.Typer(help="Payloads that could not be read: list, show.", **_HELP)


class Level(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The YAML file; else RELAY_CONFIG's, else the environment alone."),
]
Trees = Annotated[
    Path | None,
    typer.Option(
        "--trees", metavar="FOLDER", exists=True, file_okay=False, help="Your trees, instead of the folder in the file."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most so many.")]


@app.callback(invoke_without_command=True)
def relay(*, version: Annotated[bool, typer.Option("--version", help="Say the version.")] = False) -> None:
    if version:
        from relay import __version__

        typer.echo(f"relay {__version__}")
        raise typer.Exit


@app.command()
def serve(
    config: Config = None,
    log_level: Annotated[Level, typer.Option("--log-level", help="What is logged, and all above it.")] = Level.INFO,
    *,
    log_json: Annotated[bool, typer.Option("--log-json", help="Log lines as JSON.")] = False,
) -> None:
    """Take events, and keep the channels reconciled. SIGHUP or a changed file reloads."""
    from relay.app import serve as served
    from relay.observe.logs import configure
    from relay.tools.running import run

    configure(log_level, json=log_json or None)
    run(served(config, os.environ))


@app.command()
def demo(
    *,
    once: Annotated[bool, typer.Option("--once", help="Play as fast as it can be shown, check it, and end.")] = False,
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="Where the page is; 0 takes a free one.")
    ] = 8765,
    pace: Annotated[
        float, typer.Option("--pace", metavar="X", min=0, max=100, help="Times the pauses: 2 is twice as slow.")
    ] = 1.0,
) -> None:
    """Play recorded trouble, and show the channel in a browser."""
    from relay.demo.play import play
    from relay.tools.running import run

    raise typer.Exit(run(play(once=once, port=port, pace=pace)))


@app.command()
def check(
    config: Config = None,
    trees: Trees = None,
    *,
    without_secrets: Annotated[
        bool,
        typer.Option(
            "--without-secrets", help="As in Git: do not look for secrets and folders that are mounted later."
        ),
    ] = False,
) -> None:
    """Say all that is wrong with configuration and trees."""
    from relay.tools import check as checking
    from relay.tools.terminal import complain, show

    checked = checking.check(config, os.environ, folder=trees, mounted=not without_secrets)
    show(checking.told(checked))
    complain(checking.refusal(checked))
    raise typer.Exit(1 if checked.problems else 0)


@app.command()
def explain(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE|-", help="A payload as it was sent, or one on each line; - is standard input."),
    ],
    config: Config = None,
    trees: Trees = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--source", metavar="NAME", help="flux, alertmanager or a configured source's name; else by its shape."
        ),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Say what a payload becomes, and why; nothing is sent.

    Its events, the incident they open or join, the walk through a decision tree, the routes, how loud each channel
    gets, and the message as it looks; with --json the exact payload. Sends nothing, stores nothing.
    """
    from relay.tools import explain as explaining
    from relay.tools import telling
    from relay.tools.terminal import show, show_json

    found = explaining.explain(*explaining.given(file, config, trees, os.environ), time.time(), source)
    if as_json:
        for one in found:
            show_json(explaining.as_json(one))
    else:
        show(telling.pages(found))


@app.command("list")
def list_open(*, as_json: AsJson = False, limit: Limit = 50) -> None:
    """The open incidents, worst first.

    Read from the database of RELAY_DATABASE_URL, beside a relay that runs.
    """
    from relay.tools import listing
    from relay.tools.terminal import show, show_json

    now = time.time()
    found, count = listing.looked_up(os.environ, lambda connection: listing.open_now(connection, now, limit))
    if as_json:
        show_json(listing.open_json(found, now))
    else:
        show(listing.told_open(found, count, now))


@app.command()
def channels(config: Config = None) -> None:
    """What each channel has due or parked."""
    from relay.tools import listing
    from relay.tools.terminal import show

    now = time.time()
    configuration = listing.configured(config, os.environ)
    found = listing.looked_up(os.environ, lambda connection: listing.channels_now(connection, configuration, now))
    show(listing.told_channels(found, now))


@rejects_app.command("list")
def rejects_list(limit: Limit = 50) -> None:
    """Newest first: when, from whom, why, how long."""
    from relay.tools import listing
    from relay.tools.terminal import show

    found = listing.looked_up(os.environ, lambda connection: listing.rejects_now(connection, limit))
    show(listing.told_rejects(found, time.time()))


@rejects_app.command("show")
def rejects_show(number: Annotated[int, typer.Argument(metavar="ID", min=1)]) -> None:
    """One body as it came, to standard output; a terminal gets it cleaned."""
    from relay.tools import listing

    listing.write_reject(os.environ, number)


@trees_app.command("list")
def trees_list(config: Config = None, trees: Trees = None) -> None:
    """A line for each."""
    _trees("listing", config, trees)


@trees_app.command("show")
def trees_show(
    name: Annotated[str, typer.Argument(metavar="NAME")], config: Config = None, trees: Trees = None
) -> None:
    """One as a page of the handbook: Markdown with its diagram."""
    _trees("show", config, trees, name)


@trees_app.command("test")
def trees_test(config: Config = None, trees: Trees = None) -> None:
    """Walk every example."""
    _trees("test", config, trees)


@trees_app.command("lint")
def trees_lint(config: Config = None, trees: Trees = None) -> None:
    """What a reviewer would say."""
    _trees("lint", config, trees)


@trees_app.command("coverage")
def trees_coverage(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|-", help="On each line an alert rule, or a payload as Flux or Alertmanager sends it."
        ),
    ],
    config: Config = None,
    trees: Trees = None,
    *,
    as_json: AsJson = False,
) -> None:
    """How far the trees reach, and what they know least of.

    Negative where an alertname starts no tree, or fewer than 95 of 100 of Flux's errors reach a leaf with its cause.
    """
    from relay.tools import coverage
    from relay.tools.check import library_of
    from relay.tools.explain import read_input
    from relay.tools.terminal import show, show_json

    lines = read_input(file).splitlines()
    found = coverage.coverage(library_of(config, os.environ, trees), lines, time.time())
    if as_json:
        show_json(coverage.as_json(found))
    else:
        show(coverage.report(found).splitlines())
    raise typer.Exit(0 if coverage.is_covered(found) else 1)


@trees_app.command("handbook")
def trees_handbook(
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", file_okay=False, help="Where its pages lie.")],
    config: Config = None,
    trees: Trees = None,
    *,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; say which pages are not current.")] = False,
) -> None:
    """Write all trees as pages to read, with an index, a diagram for each and an anchor for each leaf."""
    from relay.tools import handbook
    from relay.tools.check import library_of
    from relay.tools.terminal import complain

    pages = handbook.handbook(library_of(config, os.environ, trees))
    if not check:
        handbook.write(pages, to)
        return
    stale = handbook.differing(pages, to)
    complain("\n".join(f"{to / name}: not current" for name in stale))
    raise typer.Exit(1 if stale else 0)


@trees_app.command("facts")
def trees_facts() -> None:
    """Print all that a tree may ask, as a page."""
    from relay.tools import handbook

    typer.echo(handbook.facts_page(), nl=False)


def _trees(word: str, config: Path | None, folder: Path | None, *names: str) -> None:
    from relay.tools.check import about_trees
    from relay.tools.terminal import show

    text, well = about_trees(word, config, folder, os.environ, *names)
    show(text.splitlines())
    raise typer.Exit(0 if well else 1)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the file, for editors."""
    from relay.config import schema as schemas

    typer.echo(schemas.main([]), nl=False)


app.add_typer(rejects_app, name="rejects")
app.add_typer(trees_app, name="trees")


def main() -> None:
    """What the command `relay` runs."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that knows no arrow gets a question mark, not a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        app(prog_name="relay")
    except Exception as error:
        from relay.tools.terminal import complain, complaint

        said = complaint(error)
        if said is None:
            raise
        complain(said)
        sys.exit(1)
