"""The command line only names what there is: each command imports its part when it is asked for, so that no other pays for it.

Exit codes: 0 well, 1 refused or negative, 2 not understood. An operator's mistake is a line on standard error, never a traceback.
"""

from __future__ import annotations

import os
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from relay.config.values import Configuration
    from relay.core.tree import Library


class ByDefault(typer.core.TyperGroup):
    """`relay quiet k7f3 --for 2h` is `relay quiet for k7f3 --for 2h`: what is none of its words is what to be quiet about."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  # Typer brings a Click of its own.
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["for", *args]
        return super().parse_args(ctx, args)


class Listing(typer.core.TyperGroup):
    """`relay rejects --json` is `relay rejects list --json`: without a word it lists."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  # As above.
        if not args or (args[0].startswith("-") and args[0] not in ("-h", "--help")):
            args = ["list", *args]
        return super().parse_args(ctx, args)


_HELP: dict[str, Any] = {"no_args_is_help": True, "rich_markup_mode": None, "add_completion": False}
app = typer.Typer(
    help="Keeps a Discord channel reconciled with what is wrong in a Kubernetes cluster.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    **_HELP,
)
trees_app = typer.Typer(help="The decision trees: show, test, lint, coverage and more.", **_HELP)
quiet_app = typer.Typer(cls=ByDefault, help="Take away sound: WHAT --for 2h, list, end.", **_HELP)
channels_app = typer.Typer(cls=Listing, help="What each channel has due or parked: list, retry, test.", **_HELP)
rejects_app = typer.Typer(cls=Listing, help="Payloads that could not be read: list, show, replay.", **_HELP)


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
    from relay.observe.lean import without
    from relay.tools.running import run

    with without("rich"):  # structlog would take it, for the tracebacks of a developer's console.
        from relay.app import serve as served
        from relay.observe.logs import configure

    configure(log_level, json=log_json or None)
    run(served(config, os.environ))


@app.command()
def health() -> None:
    """Ask the relay beside whether it is ready."""
    from relay.tools import health as asking
    from relay.tools.terminal import complain, show

    well, said = asking.health(os.environ)
    if well:
        show([said])
    else:
        complain(said)
    raise typer.Exit(0 if well else 1)


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
        typer.Argument(
            metavar="FILE|-",
            help="A payload as it was sent, or one on each line, or a recording with times; - is standard input.",
        ),
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
    gets, and the message as it looks; with --json the exact payload. Sends nothing, stores nothing. A recording
    ({"at": "+15m", "to": "/flux", "body": …} on each line) is told delivery by delivery, and what stands in each
    channel at the end.
    """
    from relay.tools import explain as explaining
    from relay.tools import telling
    from relay.tools.recorded import is_recording
    from relay.tools.terminal import show, show_json

    content, configuration, library = explaining.given(file, config, trees, os.environ)
    if is_recording(content):
        _explain_recording(content, configuration, library, source, as_json=as_json)
        return
    found = explaining.explain(content, configuration, library, time.time(), source)
    if as_json:
        for one in found:
            show_json(explaining.as_json(one))
    else:
        show(telling.pages(found))


def _explain_recording(
    content: bytes, configuration: Configuration, library: Library, source: str | None, *, as_json: bool
) -> None:
    from relay.config.edges import load_edges
    from relay.observe.logs import configure
    from relay.tools import diary, rehearsal
    from relay.tools.recorded import recorded
    from relay.tools.terminal import show, show_json

    configure("critical")
    deliveries = recorded(content.splitlines(), time.time())
    found = rehearsal.rehearse(deliveries, configuration, library, load_edges(configuration.edges_folder), source)
    if as_json:
        show_json(rehearsal.as_json(found))
    else:
        show(diary.pages(found))


@app.command()
def report(
    since: Annotated[str, typer.Option("--since", metavar="SPAN", help="How far back: 24h, 7d.")] = "24h",
    *,
    as_json: AsJson = False,
) -> None:
    """What the last day came to, and who was woken.

    Read from the database of RELAY_DATABASE_URL, beside a relay that runs.
    """
    from relay.tools import listing
    from relay.tools import report as reports
    from relay.tools.terminal import show, show_json

    now, window = time.time(), reports.span(since)
    found = listing.looked_up(os.environ, lambda connection: reports.report(connection, now, window))
    if as_json:
        show_json(reports.as_json(found))
    else:
        show(reports.told(found))


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
def doctor(config: Config = None, *, as_json: AsJson = False) -> None:
    """Who was heard when, and what the relay cannot see.

    As the status message says it; exits with 1 where something is missing.
    """
    from relay.tools import doctor as tool
    from relay.tools.terminal import show, show_json

    found = tool.look(os.environ, config)
    if as_json:
        show_json(tool.as_json(found))
    else:
        show(tool.told(found))
    raise typer.Exit(1 if found.spots else 0)


@channels_app.command("list")
def channels_list(config: Config = None, *, as_json: AsJson = False) -> None:
    """What is due, parked or dead, and when it was last shown."""
    from relay.tools import channels, listing
    from relay.tools.terminal import show, show_json

    now, policy = time.time(), listing.configured(config, os.environ).policy
    found = listing.looked_up(os.environ, lambda connection: channels.standing(connection, policy, now))
    if as_json:
        show_json(channels.as_json(found))
    else:
        show(channels.told(found, now))


@channels_app.command("retry")
def channels_retry(
    what: Annotated[
        list[str] | None, typer.Argument(metavar="CHANNEL|ID", help="Channels, or incidents (k7f3). [default: all]")
    ] = None,
    config: Config = None,
) -> None:
    """Try once more what Discord refused in every form.

    As if it never had. A relay that runs sends it within seconds.
    """
    from relay.tools import channels, listing
    from relay.tools.terminal import show

    now, policy = time.time(), listing.configured(config, os.environ).policy
    found = listing.written(os.environ, lambda connection: channels.retry(connection, what or (), policy, now))
    show(channels.told_retried(found))
    raise typer.Exit(1 if found.left else 0)


@channels_app.command("test")
def channels_test(
    names: Annotated[list[str] | None, typer.Argument(metavar="CHANNEL", help="[default: all]")] = None,
    config: Config = None,
) -> None:
    """Send a test card to each, and say what Discord answers.

    One request for each, from here: beside a relay that runs, and before one does. It calls nobody. Negative where
    one does not show it.
    """
    from relay.tools import channels
    from relay.tools.terminal import show

    found = channels.test(os.environ, config, names or ())
    show(channels.told_tests(found))
    raise typer.Exit(0 if all(one.well for one in found) else 1)


By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who says so. [default: USER]", show_default=False)]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="What for, in a few words.", show_default=False)]


@quiet_app.command("for", hidden=True)
def quiet_for(
    what: Annotated[
        list[str], typer.Argument(metavar="WHAT", help="An incident (k7f3), or matchers: 'namespace=\"lab\"'.")
    ],
    lasts: Annotated[str, typer.Option("--for", metavar="2h", help="How long.", show_default=False)] = "",
    until: Annotated[
        str, typer.Option("--until", metavar="07:30", help="Until when, or '2026-03-14 22:00'.", show_default=False)
    ] = "",
    by: By = "",
    why: Why = "",
    config: Config = None,
) -> None:
    """Take the sound from what fits, for a while: to acknowledge, to snooze, for maintenance.

    Its cards stay and say so. It falls for what becomes worse or another problem; what is left at its end is told once.
    """
    from relay.tools import quiet
    from relay.tools.terminal import show

    show(quiet.ask(os.environ, config, what, lasts=lasts, until=until, by=by, why=why))


@quiet_app.command("list")
def quiet_list(config: Config = None, *, as_json: AsJson = False) -> None:
    """What is quiet, until when, by whom and why."""
    from relay.storage.quiet import plain, quiet_now
    from relay.tools import listing, quiet
    from relay.tools.terminal import show, show_json

    now = time.time()
    if as_json:
        show_json(
            [plain(rule) for rule in listing.looked_up(os.environ, lambda connection: quiet_now(connection, now))]
        )
    else:
        show(quiet.listed(os.environ, config, now))


@quiet_app.command("end")
def quiet_end(
    key: Annotated[str, typer.Argument(metavar="ID", help="Its number, as relay quiet list says it.")],
) -> None:
    """End one early; what is left is told once."""
    from relay.tools import quiet
    from relay.tools.terminal import show

    show([quiet.ended(os.environ, key, time.time())])


@app.command()
def close(
    incident: Annotated[str, typer.Argument(metavar="ID", help="What its card calls it: k7f3.")],
    by: By = "",
    why: Why = "",
    config: Config = None,
) -> None:
    """End an incident by hand; its card says who did.

    For what nobody will say is over. It opens again when its sender says that it ended and began anew.
    """
    from relay.tools import quiet
    from relay.tools.terminal import show

    show([quiet.close(os.environ, config, incident, by=by, why=why, now=time.time())])


@rejects_app.command("list")
def rejects_list(limit: Limit = 50, *, as_json: AsJson = False) -> None:
    """Newest first: when, from whom, how long, why, and the cure."""
    from relay.storage.rejects import list_rejects
    from relay.tools import listing, rejects
    from relay.tools.terminal import show, show_json

    found = listing.looked_up(os.environ, lambda connection: list_rejects(connection, limit))
    if as_json:
        show_json(rejects.as_json(found))
    else:
        show(rejects.told(found, time.time()))


@rejects_app.command("show")
def rejects_show(number: Annotated[int, typer.Argument(metavar="ID", min=1)]) -> None:
    """One body as it came; a terminal gets it cleaned."""
    from relay.tools import rejects

    rejects.write(os.environ, number)


@rejects_app.command("replay")
def rejects_replay(
    numbers: Annotated[list[int] | None, typer.Argument(metavar="ID", min=1, help="Their numbers.")] = None,
    config: Config = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="NAME", help="As what this source sends: it came to the wrong path.", show_default=False
        ),
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All that are kept, oldest first.")] = False,
) -> None:
    """Take some once more, as if they were sent again now.

    For what a newer relay reads, or what came to another source's path. What is accepted is kept no longer. Negative
    where one stays.
    """
    from relay.tools import rejects
    from relay.tools.terminal import RefusedError, show

    if bool(numbers) == everything:
        raise RefusedError("replay which? Numbers as relay rejects says them, or --all")
    found = rejects.replay(os.environ, config, numbers or (), time.time(), source=source)
    show(rejects.told_replayed(found))
    raise typer.Exit(0 if all(one.accepted for one in found) else 1)


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
def backup(
    to: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False, help="The copy; an older one is replaced.")],
) -> None:
    """Copy the SQLite database to a file, of one instant.

    Of RELAY_DATABASE_URL, beside a relay that runs. A restore is this file in the database's place.
    """
    from relay.tools import backup as copying
    from relay.tools.terminal import show

    show([copying.backup(os.environ, to)])


@app.command()
def init(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", file_okay=False, help="A new folder in the repository that Flux reads.")
    ],
    cluster: Annotated[str, typer.Option("--cluster", metavar="NAME", help="What the cards call this cluster.")],
    namespace: Annotated[str, typer.Option("--namespace", metavar="NAME", help="Where the relay lives.")] = "relay",
    channel: Annotated[
        list[str] | None,
        typer.Option(
            "--channel", metavar="NAME", help="A channel; repeat it. The first takes the rest. [default: ops]"
        ),
    ] = None,
    watch: Annotated[
        list[str] | None,
        typer.Option("--watch", metavar="NAMESPACE", help="Flux objects live there too; repeat it."),
    ] = None,
    component: Annotated[
        list[str] | None,
        typer.Option(
            "--component",
            metavar="NAME",
            help="One of deploy/components; repeat it. [default: network-policy, pdb, limits]",
        ),
    ] = None,
    alertmanager: Annotated[
        str,
        typer.Option("--alertmanager", metavar="KIND", help="kube-prometheus-stack, crd, plain or none."),
    ] = "kube-prometheus-stack",
    flux_namespace: Annotated[
        str, typer.Option("--flux-namespace", metavar="NAME", help="Where Flux lives.")
    ] = "flux-system",
    monitoring_namespace: Annotated[
        str, typer.Option("--monitoring-namespace", metavar="NAME", help="Where Prometheus and Alertmanager live.")
    ] = "monitoring",
) -> None:
    """Write what installs the relay with Flux, with fresh keys.

    Nothing is written over what is there. Secrets are written to files named *.sops-me.yaml, and printed nowhere.
    """
    from relay.tools import init as writing
    from relay.tools.terminal import show

    names = writing.Names(
        cluster=cluster,
        namespace=namespace,
        channels=tuple(channel or ("ops",)),
        watched=tuple(watch or ()),
        flux=flux_namespace,
        monitoring=monitoring_namespace,
        alertmanager=writing.alertmanager(alertmanager),
        components=writing.HARDENED if component is None else tuple(component),
    )
    show(writing.init(folder, names))


@app.command()
def schema() -> None:
    """Print the JSON Schema of the file, for editors."""
    from relay.config import schema as schemas

    typer.echo(schemas.main([]), nl=False)


app.add_typer(quiet_app, name="quiet")
app.add_typer(channels_app, name="channels")
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
