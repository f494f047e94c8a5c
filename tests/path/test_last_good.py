"""A bad file never stops a start: what was last taken is in force, and the log says what is wrong with the file."""

import pytest

from relay.config.problems import ConfigError
from tests.path.conftest import Start
from tests.path.stage import Place

BROKEN_TREE = 'tree: mine\ntitle: Mine?\nstarts: [[alertname="Mine"]]\nask: What?\n'


async def test_a_broken_file_at_start_leaves_the_last_good_configuration_in_force(place: Place, start: Start) -> None:
    async with start():
        pass
    place.file.write_text(place.file.read_text().replace("channels:", "chanels:"))
    async with start() as running:
        await running.fails("apps")
        await running.settled()
        assert len(running.messages()) == 1


async def test_a_broken_file_at_the_first_start_is_refused(place: Place, start: Start) -> None:
    place.file.write_text(place.file.read_text().replace("channels:", "chanels:"))
    with pytest.raises(ConfigError, match="did you mean"):
        async with start():
            pass


async def test_what_is_kept_holds_no_secret(place: Place, start: Start) -> None:
    async with start() as running:
        secrets = [(place.folder / name).read_text().strip() for name in ("discord-ops", "token", "flux-hmac")]
        await running.settled()
    kept = (
        place.database.read_bytes() + place.database.with_name("relay.db-wal").read_bytes()
        if (place.database.with_name("relay.db-wal").exists())
        else place.database.read_bytes()
    )
    for secret in secrets:
        assert secret.encode() not in kept


async def test_a_broken_tree_of_the_operators_leaves_those_that_ship(place: Place, start: Start) -> None:
    folder = place.folder / "trees"
    folder.mkdir()
    (folder / "mine.yaml").write_text(BROKEN_TREE)
    place.configure(f"trees: {{folder: {folder}}}\n", "channels: {ops: {webhook_url_file: discord-ops}}\n")
    async with start() as running:
        await running.fires()
        await running.settled()
        assert "crash-looping" in running.messages()[0].content


async def test_a_broken_tree_at_a_reload_leaves_the_last_good_set(place: Place, start: Start) -> None:
    folder = place.folder / "trees"
    folder.mkdir()
    place.configure(f"trees: {{folder: {folder}}}\n", "channels: {ops: {webhook_url_file: discord-ops}}\n")
    async with start() as running:
        await running.fires()
        await running.settled()
        before = running.relay.live.library
        (folder / "mine.yaml").write_text(BROKEN_TREE)
        assert not await running.relay.reload()
        assert running.relay.live.library is before
