"""What a library would bring along, and serving never uses, is not loaded."""

import subprocess
import sys

import pytest

from relay.observe.lean import without
from tests.conftest import ROOT


def test_what_is_not_to_be_found_is_found_again_afterwards() -> None:
    with without("this", "json"):
        with pytest.raises(ModuleNotFoundError):
            import this  # noqa: F401
        import json  # noqa: F401  # It is there already.
    assert "this" not in sys.modules


@pytest.mark.parametrize(
    "code",
    [
        "import relay.app; from relay.discord.message import _package; _package().DiscordWebhook",
        "from relay.storage import tables, ledger, delivery",
    ],
)
def test_serving_loads_no_console_no_alphabets_and_no_other_database(code: str) -> None:
    code = f"import sys; from relay.observe.lean import without\nwith without('rich'): {code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stderr == "", "nobody is told that something is missing"
    loaded = set(done.stdout.split())
    assert "relay.storage.tables" in loaded
    assert not loaded & {
        "rich",
        "pygments",
        "charset_normalizer",
        "alembic",
        "psycopg",
        "sqlalchemy.dialects.postgresql",
    }
