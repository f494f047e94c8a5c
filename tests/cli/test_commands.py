"""The real command, as a person or CI runs it: exit codes, where words go, and what hostile input does."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from select import select
from types import MappingProxyType

import pytest
from typer.testing import CliRunner

from relay.cli import app
from tests.conftest import ROOT
from tests.tools.payloads import alert, alertmanager, flux

PROMPT = 20.0
"""Seconds in which any command answers, on a busy machine too."""


def relay(
    *arguments: str, at: Path, given: bytes = b"", env: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "relay", *arguments]
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        command,
        cwd=at,
        input=given,
        capture_output=True,
        env={**kept, "PYTHONPATH": str(ROOT), **env},
        timeout=PROMPT,
        check=False,
    )


def complaint(done: subprocess.CompletedProcess[bytes], code: int = 1) -> str:
    """What stands on standard error of a command that was refused: words, no traceback, and nothing beside."""
    text = done.stderr.decode()
    assert done.returncode == code, text
    assert not done.stdout
    assert "Traceback" not in text
    assert 0 < len(text.splitlines()) <= 6
    return text


# --- what each command is called ----------------------------------------------------------------------------------------


def test_help_names_every_command_on_a_line_that_fits() -> None:
    said = CliRunner().invoke(app, ["--help"])
    assert said.exit_code == 0
    assert "..." not in said.output.partition("\n")[2]
    for word in (
        "serve",
        "demo",
        "check",
        "explain",
        "report",
        "list",
        "channels",
        "quiet",
        "close",
        "rejects",
        "trees",
        "backup",
        "init",
        "schema",
    ):
        assert f"\n  {word} " in said.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve"],
        ["demo"],
        ["check"],
        ["explain"],
        ["list"],
        ["channels", "list"],
        ["channels", "retry"],
        ["channels", "test"],
        ["quiet", "for"],
        ["quiet", "list"],
        ["quiet", "end"],
        ["close"],
        ["rejects", "list"],
        ["rejects", "show"],
        ["rejects", "replay"],
        ["backup"],
        ["init"],
        ["schema"],
    ]
    + [["trees", word] for word in ("list", "show", "test", "lint", "coverage", "handbook", "facts")],
    ids=" ".join,
)
def test_each_command_explains_itself(arguments: list[str]) -> None:
    said = CliRunner().invoke(app, [*arguments, "--help"])
    assert said.exit_code == 0
    assert len(said.output.splitlines()) < 30


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["explain"],
        ["list", "--limit", "0"],
        ["rejects", "show", "x"],
        ["rejects", "replay", "0"],
        ["channels", "ops"],
        ["serve", "--log-level", "loud"],
        ["check", "--trees", "no-such-folder"],
        ["demo", "--port", "99999"],
        ["init", "relay"],
        ["backup"],
        [],
    ],
    ids=str,
)
def test_what_is_not_understood_is_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_help_imports_nothing_that_serving_needs(tmp_path: Path) -> None:
    heavy = ("pydantic", "sqlalchemy", "aiohttp", "yaml", "re2", "rich", "asyncio")
    program = f"import sys, relay.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_version_is_the_distributions(tmp_path: Path) -> None:
    assert relay("--version", at=tmp_path).stdout.decode().startswith("relay 0.")


def test_the_schema_is_the_committed_one(tmp_path: Path) -> None:
    assert relay("schema", at=tmp_path).stdout == (ROOT / "docs/relay.schema.json").read_bytes()


# --- explain ------------------------------------------------------------------------------------------------------------


def test_a_payload_is_explained_from_a_file_and_from_standard_input(tmp_path: Path) -> None:
    (tmp_path / "body.json").write_bytes(flux())
    from_file = relay("explain", "body.json", at=tmp_path)
    from_input = relay("explain", "-", at=tmp_path, given=flux())
    assert from_file.returncode == from_input.returncode == 0
    assert from_file.stdout == from_input.stdout
    assert b"Event 1  FluxKustomizationBuildFailed" in from_file.stdout
    assert list(tmp_path.iterdir()) == [tmp_path / "body.json"]


def test_no_colour_where_nobody_sees_it_and_no_escape_from_outside(tmp_path: Path) -> None:
    hostile = alertmanager(alert(pod="x\x1b[31m\x9b2J\x07-0"))
    for options in ((), ("--json",)):
        done = relay("explain", "-", *options, at=tmp_path, given=hostile)
        assert done.returncode == 0
        assert all(char.isprintable() or char == "\n" for char in done.stdout.decode())


@pytest.mark.parametrize("mood,coloured", [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_a_terminal_gets_colour_unless_it_says_no(tmp_path: Path, mood: dict[str, str], coloured: bool) -> None:
    (tmp_path / "body.json").write_bytes(alertmanager(alert(pod="x\x1b[35mpink-0")))
    ours, theirs = os.openpty()
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TERM": "xterm", **mood}
    with subprocess.Popen(
        [sys.executable, "-m", "relay", "explain", "body.json"], cwd=tmp_path, stdout=theirs, stdin=theirs, env=env
    ) as running:
        os.close(theirs)
        text = b"".join(_until_closed(ours)).decode()
        assert running.wait(PROMPT) == 0
    assert ("\x1b[1m" in text) is coloured
    assert "\x1b[35m" not in text


def _until_closed(terminal: int) -> Iterator[bytes]:
    try:
        while select([terminal], [], [], PROMPT)[0] and (piece := os.read(terminal, 65536)):
            yield piece
    except OSError:  # How Linux says that the other end is closed.
        pass
    finally:
        os.close(terminal)


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "body.json").write_bytes(b"\n".join([flux()] * 200))
    shell = f"{sys.executable} -m relay explain body.json | head -1"
    done = subprocess.run(
        ["bash", "-c", shell],
        cwd=tmp_path,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.stdout.count(b"\n") == 1
    assert b"Traceback" not in done.stderr


def test_a_terminal_without_our_signs_gets_question_marks(tmp_path: Path) -> None:
    done = relay("explain", "-", at=tmp_path, given=flux(), env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert done.stdout.isascii()


def test_what_is_no_payload_is_refused_in_a_line_or_few(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\x00\xff\x1b[31m" * 1000)
    with (tmp_path / "huge").open("wb") as huge:
        huge.truncate(200 * 1024 * 1024)
    for name, says in (
        ("absent", "no such file"),
        ("folder", "is a directory"),
        ("binary", "not JSON"),
        ("huge", "longer than 16 MiB"),
        ("/dev/zero", "longer than 16 MiB"),
    ):
        assert says in complaint(relay("explain", name, at=tmp_path))
    assert "generic-hmac" in complaint(relay("explain", "-", at=tmp_path, given=b'{"embeds": []}'))


# --- check, trees, serve ------------------------------------------------------------------------------------------------


def test_a_gate_needs_no_secrets_and_says_what_it_found(tmp_path: Path) -> None:
    (tmp_path / "relay.yaml").write_text("channels: {ops: {webhook_url_file: /absent}}\n")
    well = relay("check", "--config", "relay.yaml", "--without-secrets", at=tmp_path)
    assert (well.returncode, well.stderr) == (0, b"")
    assert b"relay.yaml can be served" in well.stdout
    assert "relay.yaml:1:36" in complaint(relay("check", "--config", "relay.yaml", at=tmp_path))
    (tmp_path / "relay.yaml").write_text("chanels: {}\n")
    assert "did you mean channels?" in complaint(
        relay("check", "--config", "relay.yaml", "--without-secrets", at=tmp_path)
    )


@pytest.mark.parametrize("command", ["serve", "check", "channels", "channels test", "explain -", "trees list"])
def test_a_configuration_that_is_not_there_is_said_by_every_command(tmp_path: Path, command: str) -> None:
    done = relay(*command.split(), "--config", "absent.yaml", at=tmp_path, given=flux())
    assert "absent.yaml: the configuration cannot be read" in complaint(done)


@pytest.mark.parametrize(
    "command",
    ["list", "channels", "channels retry", "rejects", "rejects list", "rejects show 1", "rejects replay --all"],
)
def test_without_a_database_each_command_says_so_and_makes_none(tmp_path: Path, command: str) -> None:
    assert "no database yet" in complaint(relay(*command.split(), at=tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "relay.db").write_bytes(b"hello, this is no database" * 100)
    assert "database" in complaint(relay("list", at=tmp_path))


def test_a_relay_serves_is_listed_beside_and_stops_when_told(tmp_path: Path) -> None:
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "DISCORD_WEBHOOK_URL": "http://127.0.0.1:9/api/webhooks/1/token",
        "RELAY_DISCORD_API": "http://127.0.0.1:9",
        "RELAY_LISTEN": "127.0.0.1:0",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "relay", "serve", "--log-json"], cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=env
    ) as serving:
        assert serving.stderr is not None
        assert any('"serving"' in line for line in serving.stderr)
        listed = relay("list", at=tmp_path)
        second = relay("serve", at=tmp_path, env=env)
        serving.send_signal(signal.SIGTERM)
        assert serving.wait(PROMPT) == 0
    assert listed.stdout.decode() == "Nothing is wrong: no incident is open.\n"
    assert "Another relay serves from this database" in second.stderr.decode()
    assert second.returncode == 1
