"""Commands that write do so on both databases: a relay's own, as it stands beside them."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from relay.storage.engine import Database
from tests.storage.conftest import postgresql, url

__all__ = ["postgresql", "url"]


@pytest.fixture
def beside(url: str) -> Mapping[str, str]:
    """The environment of a command beside a relay whose database holds nothing yet, of each kind."""

    async def made() -> None:
        database = Database.open(url)
        await database.migrate()
        await database.close()

    asyncio.run(made())
    return {"RELAY_DATABASE_URL": url}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with two channels that both take everything, and none of its secrets."""
    file = tmp_path / "relay.yaml"
    file.write_text(
        "channels: {ops: {webhook_url_file: a}, log: {webhook_url_file: b, page: never}}\nroutes: [{channels: [ops, log]}]\n"
    )
    return file
