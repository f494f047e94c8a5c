"""What is committed could be read by anyone: it names no machine, no registry, no private address and no secret.

The patterns are written so that this file does not match itself.
"""

import ast
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT


def _ours() -> list[Path]:
    """Every file that is committed, or would be."""
    ask = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(ask, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return sorted({path for name in listed.split("\0") if name and (path := ROOT / name).is_file()})


def _pins() -> list[tuple[str, str]]:
    """Name and version of everything locked."""
    pin = re.compile(r"^([a-z\d.-]+)(?:\[[a-z,]+\])?==(\S+)", re.MULTILINE)
    return [found for lock in sorted((ROOT / "requirements").glob("*.txt")) for found in pin.findall(lock.read_text())]


def _text(path: Path) -> str | None:
    """A file's text, or None for a picture and the like."""
    data = path.read_bytes()
    return None if b"\0" in data else data.decode()


OURS = _ours()
TEXTS = {path.relative_to(ROOT): text for path in OURS if (text := _text(path)) is not None}
MODULES = sorted(path for path in TEXTS if path.suffix == ".py" and path.parts[0] == "relay")

NEVER = {
    "a path of somebody's machine": r"(?<![\w.}~-])/(?:work|root|home/[a-z]\w*|Users/\w+)/",
    "a package registry": r"(?:py[p]i|npm[j]s|python[h]osted|deb[i]an|crates|gol[a]ng)\.(?:org|com|io|net)\b",
    "a private address": r"(?<![\d.])(?:10\.\d+|172\.(?:1[6-9]|2\d|3[01])|192\.168)\.\d+\.\d+(?![\d.])",
    "a webhook with its token": r"webhooks/\d{17,20}/(?=[\w-]{60})(?!([\w-])\1{20})[\w-]+",
    "a bot's token": r"\b[MNO][A-Za-z\d_-]{23,25}\.[\w-]{6}\.[\w-]{27,}",
    "a forge's token": r"\b(?:gh[pousr]_[A-Za-z\d]{36}|git[h]ub_pat_\w{50}|glp[a]t-[\w-]{20})",
    "a cloud's key": r"\bAKI[A][A-Z\d]{16}\b",
    "a bearer's token": r"(?i:\bbearer\s+)(?=\S*[a-z])(?=\S*[A-Z])(?=\S*\d)[\w.~+/-]{20,}",
    "a token with its claims": r"\beyJ[\w-]{10,}\.ey[J][\w-]{10,}\.[\w-]{40,}",
    "a private key": r"-----BEGI[N] [A-Z ]*PRIVATE KEY|AGE-SECRE[T]-KEY-1",
    "who or what typed it": r"(?i)\b(?:clau[d]e|anthr[o]pic|chatg[p]t|copil[o]t|co-auth[o]red-by)\b",
}


@pytest.mark.parametrize("what", NEVER)
def test_nothing_committed_names(what: str) -> None:
    pattern = re.compile(NEVER[what])
    found = [
        f"{path}:{number}"
        for path, text in TEXTS.items()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, f"{what}: {', '.join(found)}"


# Each would be found: a pattern that finds nothing is known to look. In pieces, since this file is looked at too.
SAMPLES = {
    "a path of somebody's machine": ["see /" + "work/main/x", "cd /" + "home/ada/relay"],
    "a package registry": ["https://py" + "pi.org/simple", "deb.deb" + "ian.org"],
    "a private address": ["http://192.168" + ".1.7:9093", "10" + ".96.0.10"],
    "a webhook with its token": ["webhooks/" + "123456789012345678/" + "aB3-_x" * 11 + "zz"],
    "a bot's token": ["M" + "Tk4NjIyNDgzNDcxOTI1MjQ4" + ".Cl2FMQ." + "ZnCjm1XVW7vRze4b7Cq4se7kKWs"],
    "a forge's token": ["gh" + "p_" + "a1" * 18],
    "a cloud's key": ["AKI" + "A" + "Q7" * 8],
    "a bearer's token": ["Authorization: Bear" + "er " + "kX3_v" * 5, "bear" + "er\t" + "Ab1." * 8],
    "a token with its claims": ["ey" + "JhbGciOiJSUzI1NiJ9" + ".ey" + "JzdWIiOiJtZSJ9." + "s1g_" * 11],
    "a private key": ["-----BEGI" + "N EC PRIVATE KEY-----", "AGE-SECRE" + "T-KEY-1QQQQ"],
    "who or what typed it": ["Co-" + "authored-by: somebody"],
}


@pytest.mark.parametrize("what", NEVER)
def test_each_pattern_finds_what_it_is_for(what: str) -> None:
    for sample in SAMPLES[what]:
        assert re.search(NEVER[what], sample), sample


def test_what_only_looks_private_may_be_written() -> None:
    example = "webhooks/123456789012345678/" + "x" * 68
    word = "Authorization: Bearer the-token-of-this-source"
    harmless = ("192.0.2.10", "v1.10.2.3.4", "/data/relay.db", example, word)
    for text in harmless:
        assert not any(re.search(pattern, text) for pattern in NEVER.values()), text


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_opens_with_the_sentence_it_keeps(path: Path) -> None:
    text = TEXTS[path]
    law = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    assert law, "no docstring"
    assert text.startswith('"""' + law[:1]), "the docstring is not the first line"


def test_text_is_utf8_with_plain_line_ends() -> None:
    loose = [
        str(path)
        for path, text in TEXTS.items()
        if text and (not text.endswith("\n") or "\r" in text or re.search(r"[ \t]$", text, re.MULTILINE))
    ]
    assert not loose, f"no newline at the end, a carriage return, or spaces before a line's end: {', '.join(loose)}"


def test_what_begins_like_a_program_can_be_run() -> None:
    programs = [path for path, text in TEXTS.items() if text.startswith("#!")]
    assert Path(".ci/run") in programs
    assert not [str(path) for path in programs if not os.access(ROOT / path, os.X_OK)]


def test_every_package_asked_for_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [
        *project["project"]["dependencies"],
        *(one for extra in project["project"]["optional-dependencies"].values() for one in extra),
        *(one for group in project["dependency-groups"].values() for one in group),
    ]
    locked = {name for name, _ in _pins()}
    names = {re.match(r"[A-Za-z\d._-]+", one)[0].lower().replace("_", "-") for one in asked}  # type: ignore[index]
    assert names <= locked, f"`make lock` is due: {', '.join(sorted(names - locked))}"


def test_every_package_has_one_version_in_all_locks() -> None:
    pins: dict[str, set[str]] = {}
    for name, version in _pins():
        pins.setdefault(name, set()).add(version)
    assert pins
    assert not {name: sorted(versions) for name, versions in pins.items() if len(versions) > 1}
