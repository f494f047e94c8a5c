"""What `relay trees` says about a Library, as values and text. A finding is advice: what is wrong was refused at load."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import re2

from relay.core.facts import derive
from relay.core.labels import Matcher, Op
from relay.core.tree import (
    MAX_LOOKS,
    Act,
    DecisionTree,
    Example,
    Hint,
    Library,
    Node,
    Step,
    nodes,
    walk,
    written,
)

# --- relay trees list ---------------------------------------------------------------------------------------------------


def listing(library: Library) -> str:
    """A line for each tree: name, how much it holds, title."""
    rows = [(tree.name, f"{_leaves(tree)} leaves, {len(tree.examples)} examples", tree.title) for tree in library.trees]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    return "\n".join(f"{name:<{widths[0]}}  {size:<{widths[1]}}  {title}" for name, size, title in rows)


def _leaves(tree: DecisionTree) -> int:
    return sum(1 for node in nodes(tree.root) if node.leaf)


# --- relay trees test ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tested:
    """An example, where it led, and what is wrong with that; `problem` is empty where nothing is."""

    tree: str
    file: str
    example: Example
    hint: Hint
    problem: str


def test(library: Library) -> tuple[Tested, ...]:
    """Every example of every tree, walked as a payload would be: its facts derived, its tree chosen from the whole library."""
    return tuple(_tested(library, tree, example) for tree in library.trees for example in tree.examples)


def _tested(library: Library, tree: DecisionTree, example: Example) -> Tested:
    hint = library.explain(derive(example.given))
    path = tuple(step.answer for step in hint.path)
    problem = ""
    if hint.tree != tree.name:
        problem = f"starts {hint.tree or 'no tree'}"
    elif example.leaf and hint.leaf != example.leaf:
        problem = f"leads to {hint.leaf or 'no leaf'}, not {example.leaf}"
    elif example.path and path != example.path:
        problem = f"leads to {' › '.join(path) or 'the root'}, not {' › '.join(example.path)}"
    elif hint.leaf in example.never:
        problem = f"leads to {hint.leaf}, which it must not"
    return Tested(tree.name, tree.file, example, hint, problem)


def test_report(results: Iterable[Tested]) -> str:
    """A line for each example that fails, and the count."""
    kept = tuple(results)
    failed = [f"{one.file}:{one.example.line}: {one.problem}" for one in kept if one.problem]
    return "\n".join([*failed, f"{len(kept) - len(failed)} of {len(kept)} examples hold"])


# --- relay trees lint ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a reviewer would say, and of which tree and place."""

    file: str
    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}: {self.place}: {self.what}"


def lint(library: Library) -> tuple[Finding, ...]:
    """What a reviewer would say about the trees, in the order of the files."""
    found: list[Finding] = []
    for tree in library.trees:
        for check in (_unreachable, _untested, _advice):
            found += [Finding(tree.file, place, what) for place, what in check(tree)]
    found += _overlaps(library)
    return tuple(found)


def lint_report(findings: Iterable[Finding]) -> str:
    """A line for each."""
    return "\n".join(map(str, findings)) or "nothing to say"


def _unreachable(tree: DecisionTree) -> Iterator[tuple[str, str]]:
    """A branch whose conditions contain those of an earlier one is never taken."""
    for node in nodes(tree.root):
        if node.several:
            continue
        for index, branch in enumerate(node.branches):
            for earlier in node.branches[:index]:
                if all(any(_implies(late, early) for late in branch.when) for early in earlier.when):
                    yield branch.answer, f"is never reached: {earlier.answer!r} fits whenever it does"
                    break


def _implies(late: Matcher, early: Matcher) -> bool:
    """Whether a value that fits `late` always fits `early`, as far as that can be told."""
    if late.name != early.name:
        return False
    if late == early:
        return True
    if late.op is Op.EQUAL:
        return early.matches({late.name: late.value})
    return early.op is Op.NOT_EQUAL and not early.value and late.op is Op.MATCHES and not late.matches({})


def _untested(tree: DecisionTree) -> Iterator[tuple[str, str]]:
    claimed = {example.leaf for example in tree.examples}
    claimed |= {walk(tree, derive(example.given)).leaf for example in tree.examples if example.path}
    for node in nodes(tree.root):
        if node.leaf and node.leaf not in claimed:
            yield node.leaf, "has no example that leads to it"


def _advice(tree: DecisionTree) -> Iterator[tuple[str, str]]:
    for node, crash in _with_crash(tree.root, crash=False):
        place = node.leaf or node.asks or "a leaf"
        if sum(1 for step in node.steps if step.act is Act.LOOK and step.run) > MAX_LOOKS:
            yield place, f"more than {MAX_LOOKS} looks with a command; the rest is never shown"
        for step in node.steps:
            for what in said_of(step, crash=crash):
                yield place, what


def _with_crash(node: Node, *, crash: bool) -> Iterator[tuple[Node, bool]]:
    """Every node, and whether it is about a container that ended."""
    yield node, crash
    for branch in node.branches:
        ended = any(
            "CrashLoop" in matcher.value or matcher.name in {"exit_code", "terminated"} for matcher in branch.when
        )
        yield from _with_crash(branch.node, crash=crash or ended)
    if node.otherwise is not None:
        yield from _with_crash(node.otherwise, crash=crash)


def _overlaps(library: Library) -> Iterator[Finding]:
    """An example of one tree that another one claims, and starts that are written twice."""
    for tree in library.trees:
        for example in tree.examples:
            choice = library.choose(derive(example.given))
            if choice is not None and choice.tree is not tree:
                yield Finding(
                    tree.file, f"line {example.line}", f"{choice.tree.name} starts on this example, before this tree"
                )
    seen: dict[tuple[Matcher, ...], str] = {}
    for tree in library.trees:
        for start in tree.starts:
            if (first := seen.setdefault(start.all_of, tree.name)) != tree.name:
                yield Finding(tree.file, "starts", f"{first} has the same start {start}")


# --- commands -----------------------------------------------------------------------------------------------------------

_KUBECTL: Final = frozenset({
    "get", "describe", "logs", "events", "top", "explain", "api-resources", "api-versions", "version", "cluster-info", "diff", "wait",
    "rollout status", "rollout history", "auth can-i", "auth whoami", "config view",
})  # fmt: skip
READ_ONLY: Final[Mapping[str, frozenset[str]]] = MappingProxyType({
    "kubectl": _KUBECTL,
    "flux": frozenset({"get", "events", "logs", "tree", "trace", "export", "debug", "check", "stats", "version", "build", "diff"}),
    "helm": frozenset({"get", "history", "list", "status", "show", "template", "version"}),
    "velero": frozenset({
        "get", "describe", "version", "backup describe", "backup get", "backup logs", "restore describe", "restore get", "restore logs",
    }),
    "git": frozenset({"log", "show", "ls-tree", "ls-files", "diff", "grep", "blame", "status"}),
    "systemctl": frozenset({"status", "is-active", "show", "cat", "list-units"}),
    "crictl": frozenset({"ps", "images", "inspect", "inspecti", "inspectp", "logs", "pods", "stats", "info", "version"}),
    "sops": frozenset({"filestatus"}),
    "skopeo": frozenset({"inspect", "list-tags"}),
    "crane": frozenset({"ls", "manifest", "digest", "config"}),
    "etcdctl": frozenset({"endpoint", "member list", "alarm list"}),
})  # fmt: skip
"""Programs that also change things, and the words after which they only look."""
_CHANGES: Final = frozenset({
    "rm", "mv", "cp", "dd", "tee", "touch", "mkdir", "chmod", "chown", "kill", "pkill", "killall", "reboot", "shutdown", "umount", "mkfs",
    "wipefs", "truncate", "iptables", "nft", "xargs", "sh", "bash", "eval",
})  # fmt: skip
_VALUED: Final = frozenset({"-n", "--namespace", "--context", "--kubeconfig", "-C"})
"""Flags before the word that take one more word."""

_STALE: Final = tuple(
    (re2.compile(pattern), what)
    for pattern, what in (
        (r"\bkubectl\b.*\bget (ep|endpoints)\b", "Endpoints are deprecated: get endpointslices"),
        (r"\bkubectl\b.*\bhelmcharts?\b(\s|$)", "on k3s this is another kind: helmcharts.source.toolkit.fluxcd.io"),
        (
            r"\bkubectl\b.*\bget (cs|componentstatus(es)?)\b",
            "componentstatuses tell nothing: get --raw /readyz?verbose",
        ),
        (r"\bvelero\b.*\brestic\b|\brestic\b.*\bvelero\b", "Velero has no restic any more: kopia and the node-agent"),
        (r"\bflux debug\b.*--show-(vars|values)\b", "prints values of Secrets"),
        (r"\bkubectl\b.*\bget secrets?\b.*(-o|--output)[ =]?(yaml|json)\b", "prints values of Secrets"),
    )
)
_LOGS: Final = re2.compile(r"\bkubectl\b.*\blogs\b")


def said_of(step: Step, *, crash: bool = False) -> Iterator[str]:
    """What a reviewer would say about a step. `crash`: its container has ended, and a new one may run already."""
    line = written(step.run)
    if not line:
        return
    yield from (f"{what} ({line})" for pattern, what in _STALE if pattern.search(line) is not None)
    if crash and _LOGS.search(line) is not None and "--previous" not in line:
        yield f"without --previous these are the words of the next run ({line})"
    if step.act is Act.LOOK and (changing := changes(line)):
        yield f"a look that is not read-only: {changing}"


def changes(line: str) -> str:
    """The first command of a pipeline that is not known to only look; empty where all are."""
    for words in commands(line):
        if problem := _changes(words):
            return problem
    return ""


def commands(line: str) -> Iterator[list[str]]:
    """The words of each command of a pipeline, without `sudo` and `k3s`. Optional parts are taken as if they stood there."""
    lexer = shlex.shlex(_unbracketed(line), posix=True, punctuation_chars="|")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, "|"]:
        if set(word) != {"|"}:
            words.append(word)
            continue
        while words and words[0] in {"sudo", "k3s"}:
            words = words[1:]
        if words:
            yield words
        words = []


def _unbracketed(line: str) -> str:
    """`[-c <container>]` as `-c container`, outside of quotes; blanks as words."""
    out: list[str] = []
    mark = ""
    for char in line:
        if mark:
            mark = "" if char == mark else mark
        elif char in "'\"":
            mark = char
        elif char in "[]<>":
            continue
        out.append(char)
    return "".join(out)


def verbs(words: list[str]) -> list[str]:
    """The words of a command that are no flags, nor the values of those that stand before its verb."""
    out: list[str] = []
    rest = iter(words[1:])
    for word in rest:
        if word in _VALUED and not out:
            next(rest, None)
        elif not word.startswith("-"):
            out.append(word)
    return out


def _changes(words: list[str]) -> str:
    program = words[0]
    if program in _CHANGES:
        return program
    known = READ_ONLY.get(program)
    if known is None:
        return ""
    spoken = verbs(words)
    if spoken[:1] and (spoken[0] in known or " ".join(spoken[:2]) in known):
        return ""
    return " ".join([program, *spoken[:1]])
