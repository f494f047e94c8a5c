"""Every collected test runs: a skip fails the session, and what needs the corpus is collected only where the corpus is.

`CORPUS` is the folder of captured payloads, or None: `from tests.conftest import CORPUS`, and mark the test `corpus`.
Such a module is imported also where the folder is absent, so it reads `CORPUS` within `if CORPUS:` or within the test.
"""

import os
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent


def _corpus() -> Path | None:
    named = os.environ.get("RELAY_CORPUS")
    folder = Path(named) if named else ROOT.parent / "shared" / "corpus"
    if named and not folder.is_dir():
        raise pytest.UsageError(f"RELAY_CORPUS names no folder: {named}")
    return folder if folder.is_dir() else None


CORPUS: Path | None = _corpus()

# Two cores shared with a database and a browser say nothing about one example's time. In CI Hypothesis takes its own
# profile, where every run tries the same examples.
if "CI" not in os.environ:
    hypothesis.settings.register_profile("relay", deadline=None)
    hypothesis.settings.load_profile("relay")


def pytest_report_header() -> str | None:
    """Say in one line what is not collected, and why."""
    return None if CORPUS else "corpus: neither RELAY_CORPUS nor ../shared/corpus is there, its tests are not collected"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of an absent corpus, as if they had not been written."""
    if CORPUS:
        return
    absent = [item for item in items if item.get_closest_marker("corpus")]
    items[:] = [item for item in items if item not in absent]
    config.hook.pytest_deselected(items=absent)


def _unread(config: pytest.Config) -> int:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return sum(len(reporter.stats.get(word, ())) for word in ("skipped", "xfailed", "xpassed")) if reporter else 0


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a session that skipped: a sentence nobody read is not kept."""
    if _unread(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why a session without a failed test failed."""
    if count := _unread(terminalreporter.config):
        terminalreporter.write_line(f"{count} skipped or expected to fail: here that fails the session", red=True)
