"""`relay check` reads what a relay would read and says all that is wrong at once; it needs no secrets and changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from relay.config.edges import EdgeError, load_edges
from relay.config.load import load
from relay.config.model import suggestion
from relay.config.problems import ConfigError
from relay.config.trees import TreeError, load_trees, parse_tree
from relay.config.values import Configuration, Credentials, SourceSettings
from relay.core.attention import ChannelPolicy
from relay.core.edges import Edges
from relay.core.event import Severity
from relay.core.tree import Library, nodes
from relay.core.wording import plural
from relay.tools import handbook, trees
from relay.tools.terminal import Ink, Line, RefusedError, field


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found: `problems` refuse it; `advice` does not."""

    configuration: Configuration | None
    library: Library | None
    own: frozenset[str]
    """The names of the operator's tree files."""
    problems: tuple[str, ...]
    advice: tuple[str, ...]
    mounted: bool


def check(path: Path | None, env: Mapping[str, str], *, folder: Path | None, mounted: bool) -> Checked:
    """Read the configuration and the trees of `folder`, else of the folder it names. Without `mounted`, secrets are not looked for."""
    problems: list[str] = []
    advice: list[str] = []
    configuration = None
    try:
        configuration = load(path, env, mounted=mounted)
    except ConfigError as error:
        problems += map(str, error.problems)
    folder, note = _there(folder, configuration)
    advice += note
    files = sorted(folder.glob("*.yaml")) if folder else []
    wrong = list(_wrong_trees(files))
    library = None
    if not wrong:
        try:
            library = load_trees(folder)
        except TreeError as error:
            wrong.append(_placed(error, files))
    problems += wrong
    try:
        edges_of(configuration)
    except EdgeError as error:
        problems.append(str(error))
    own = frozenset(file.name for file in files)
    if library is not None:
        for text, is_problem in _examples(library, files):
            (problems if is_problem else advice).append(text)
        advice += [
            f"{_path(finding.file, files)}: {finding.place}: {finding.what}"
            for finding in trees.lint(library)
            if finding.file in own
        ]
    advice += _unread(folder)
    if configuration is not None and mounted:
        advice += [one.locked_because for one in configuration.sources if not one.served(configuration.listen)]
    return Checked(configuration, library, own, tuple(problems), tuple(advice), mounted)


def _there(folder: Path | None, configuration: Configuration | None) -> tuple[Path | None, list[str]]:
    """The folder of trees to read, and what to say where the configured one lies elsewhere."""
    if folder is not None or configuration is None or configuration.trees_folder is None:
        return folder, []
    if configuration.trees_folder.is_dir():
        return configuration.trees_folder, []
    return None, [
        f"{configuration.trees_folder} is not here, so only the shipped trees are read: --trees FOLDER names yours"
    ]


def _wrong_trees(files: list[Path]) -> Iterator[str]:
    """Of each file by itself, so that one error hides no other."""
    for file in files:
        try:
            parse_tree(file.read_bytes(), file.name)
        except TreeError as error:
            yield _placed(error, files)
        except OSError as error:
            yield f"{file}: it cannot be read: {(error.strerror or '').lower()}"


def _placed(error: TreeError, files: list[Path]) -> str:
    return str(TreeError(_path(error.file, files), error.line, error.what, error.suggestion))


def _path(name: str, files: list[Path]) -> str:
    """Where an operator's file lies; a shipped one keeps its name."""
    return next((str(file) for file in files if file.name == name), name)


def _examples(library: Library, files: list[Path]) -> Iterator[tuple[str, bool]]:
    """Each example that does not hold, and whether that is a problem: an operator's tree may answer for a shipped one on purpose."""
    own = {file.name for file in files}
    for one in trees.test(library):
        if one.problem:
            text = f"{_path(one.file, files)}:{one.example.line}: the example {one.problem}"
            yield text, one.file in own or not own


def _unread(folder: Path | None) -> list[str]:
    return (
        [f"{file}: it is not read, since its name does not end in .yaml" for file in sorted(folder.glob("*.yml"))]
        if folder
        else []
    )


def told(checked: Checked) -> Iterator[Line | str]:
    """A few lines about what is well, where all is; then what is advised."""
    if not checked.problems:
        yield from _well(checked)
    if checked.advice:
        yield ((Ink.BOLD, "Advice"),)
        yield from (f"  {one}" for one in checked.advice)


def refusal(checked: Checked) -> str:
    """All problems, a line for each, and their count; empty where there are none."""
    if not checked.problems:
        return ""
    return "\n".join([*checked.problems, f"refused: {plural(len(checked.problems), 'problem')}"])


def _well(checked: Checked) -> Iterator[Line | str]:
    configuration, library = checked.configuration, checked.library
    if configuration is not None:
        name = str(configuration.file) if configuration.file else "The environment"
        yield [
            (Ink.GREEN, name),
            " can be served" if checked.mounted else " can be served, if its secrets are what they should be",
        ]
        channels = configuration.policy.channels
        yield from _each(
            "channels", [f"{one.name}: {thresholds(channels[one.name])}" for one in configuration.channels]
        )
        yield from _each("sources", [_source(one, mounted=checked.mounted) for one in configuration.sources])
        yield from field("routes", _routes(configuration))
    if library is not None:
        leaves = sum(1 for tree in library.trees for node in nodes(tree.root) if node.leaf)
        examples = sum(len(tree.examples) for tree in library.trees)
        yours = sum(1 for tree in library.trees if tree.file in checked.own)
        of_them = f", {yours} of them yours" if yours else ""
        yield from field("trees", f"{len(library.trees)}{of_them}: {plural(leaves, 'leaf').replace('leafs', 'leaves')}")
        yield from field("examples", f"{plural(examples, 'example')}, walked as payloads")


def _each(name: str, texts: Iterable[str]) -> Iterator[Line]:
    """One field, each of its texts on a line of its own."""
    for at, text in enumerate(texts):
        yield from field("" if at else name, text)


def thresholds(policy: ChannelPolicy) -> str:
    """`page: critical, notify: error, show: warning`, as the configuration says it."""
    words = (("page", policy.page), ("notify", policy.notify), ("show", policy.show))
    return ", ".join(f"{word}: {_least(least)}" for word, least in words)


def _least(least: Severity | None) -> str:
    return "never" if least is None else least.word


def _source(source: SourceSettings, *, mounted: bool) -> str:
    lock = _lock(source.credentials) or ("anybody" if source.unauthenticated else "no credentials")
    if not mounted and not source.credentials and not source.unauthenticated:
        lock = "no credentials in the file"
    return f"{source.name} at {source.path} ({lock})"


def _lock(credentials: Credentials) -> str:
    kinds = (("HMAC", credentials.hmac_keys), ("Bearer", credentials.bearer_tokens), ("Basic", credentials.basic))
    return " or ".join(word for word, given in kinds if given)


def _routes(configuration: Configuration) -> str:
    routes = configuration.policy.routes
    last = ", ".join(routes[-1].channels) or "no channel"
    return f"everything goes to {last}" if len(routes) == 1 else f"{len(routes)}; what no other takes goes to {last}"


def edges_of(configuration: Configuration | None) -> Edges:
    """The shipped edges with those of the folder that the configuration names, if it is here. Raises EdgeError."""
    folder = configuration.edges_folder if configuration is not None else None
    return load_edges(folder if folder is not None and folder.is_dir() else None)


def library_of(path: Path | None, env: Mapping[str, str], folder: Path | None) -> Library:
    """The shipped trees with those of `folder`, else of the folder that the configuration names. Raises ConfigError or TreeError."""
    if folder is None and (path is not None or env.get("RELAY_CONFIG", "").strip()):
        folder = load(path, env, mounted=False).trees_folder
        if folder is not None and not folder.is_dir():
            raise RefusedError(f"{folder} is not here: --trees FOLDER names another place")
    return load_trees(folder)


def about_trees(
    word: str, path: Path | None, folder: Path | None, env: Mapping[str, str], name: str = ""
) -> tuple[str, bool]:
    """What `relay trees WORD` prints, and whether it is well. Raises ConfigError, TreeError or RefusedError."""
    library = library_of(path, env, folder)
    match word:
        case "listing":
            return trees.listing(library), True
        case "show":
            tree = next((tree for tree in library.trees if tree.name == name), None)
            if tree is None:
                names = [tree.name for tree in library.trees]
                raise RefusedError(f"there is no tree {name!r}{suggestion(name, names) or ': relay trees list'}")
            return handbook.page(tree), True
        case "test":
            results = trees.test(library)
            return trees.test_report(results), not any(one.problem for one in results)
        case _:
            findings = trees.lint(library)
            return trees.lint_report(findings), not findings
