"""A bad file never stops a start: what was last taken is in force, and the log says what is wrong with the file."""

import asyncio

import pytest
import structlog

from relay import app
from relay.config.problems import ConfigError
from tests.path.conftest import Start
from tests.path.stage import CHANNELS, OPS, Place

BROKEN_TREE = 'tree: mine\ntitle: Mine?\nstarts: [[alertname="Mine"]]\nask: What?\n'


async def test_a_broken_file_at_start_leaves_the_last_good_configuration_in_force(place: Place, start: Start) -> None:
    async with start():
        pass
    place.write("relay.yaml", place.file.read_text().replace("channels:", "chanels:"))
    async with start() as running:
        await running.fails("apps")
        await running.settled()
        assert len(running.messages()) == 1


async def test_a_broken_file_at_the_first_start_is_refused(place: Place, start: Start) -> None:
    place.write("relay.yaml", place.file.read_text().replace("channels:", "chanels:"))
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
    place.configure(
        f"trees: {{folder: {folder}}}\n", "channels: {ops: {webhook_url_file: discord-ops, status: false}}\n"
    )
    async with start() as running:
        await running.fires()
        await running.settled()
        assert "crash-looping" in running.messages()[0].content


async def test_a_broken_tree_at_a_reload_leaves_the_last_good_set(place: Place, start: Start) -> None:
    folder = place.folder / "trees"
    folder.mkdir()
    place.configure(
        f"trees: {{folder: {folder}}}\n", "channels: {ops: {webhook_url_file: discord-ops, status: false}}\n"
    )
    async with start() as running:
        await running.fires()
        await running.settled()
        before = running.relay.live.library
        (folder / "mine.yaml").write_text(BROKEN_TREE)
        assert not await running.relay.reload()
        assert running.relay.live.library is before


# --- what mends itself --------------------------------------------------------------------------------------------------


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay looks at its files all the time."""
    monkeypatch.setattr(app, "WATCH_EVERY", 0.02)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What `relay.app` logs of its configuration: the sentence, and the problems."""
    lines: list[tuple[str, str]] = []

    def listen(_: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
        if "configuration" in line["event"]:
            lines.append((line["event"], "\n".join(line.get("problems", ()))))
        raise structlog.DropEvent

    monkeypatch.setattr(app, "log", structlog.wrap_logger(structlog.PrintLogger(), processors=[listen]))
    return lines


LATE = f"channels: {{ops: {OPS}, late: {{webhook_url_file: discord-late, status: false}}}}\nroutes: [{{channels: [ops, late]}}]\n"


@pytest.mark.usefixtures("eager")
async def test_a_refused_configuration_is_taken_when_the_secret_it_names_appears(
    place: Place, start: Start, said: list[tuple[str, str]]
) -> None:
    async with start() as running:
        place.configure(LATE)
        await running.until(lambda: len(said) == 1, "the file is refused")
        assert said[0][0] == "configuration refused, the last good one stays"
        assert "channels.late.webhook_url_file" in said[0][1]
        await asyncio.sleep(0.2)  # It is tried again and again by now, and says nothing new.
        assert len(said) == 1
        assert (await running.metrics())["relay_configuration_refused"] == 1
        place.write("discord-late", "this is no webhook")
        await running.until(lambda: len(said) == 2, "what is wrong now is something else, and said")
        place.webhook("late", "12", "other")
        await running.until(lambda: len(said) == 3, "the configuration is taken")
        assert said[2][0] == "configuration taken"
        assert (await running.metrics())["relay_configuration_refused"] == 0
        await running.fires()
        await running.settled()
        assert running.messages("20")
        assert running.messages("21")


@pytest.mark.usefixtures("eager")
async def test_after_a_start_on_the_last_good_one_the_secret_is_waited_for_too(
    place: Place, start: Start, said: list[tuple[str, str]]
) -> None:
    async with start():
        pass
    said.clear()
    place.configure(LATE)
    async with start() as running:
        await asyncio.sleep(0.2)
        assert [line for line, _ in said] == ["configuration refused, the last good one is in use"]
        place.webhook("late", "12", "other")
        await running.until(lambda: "late" in running.relay.live.policy.channels, "the configuration is taken")
        await running.fires()
        await running.settled()
        assert running.messages("21")


@pytest.mark.usefixtures("eager")
async def test_trees_of_a_refused_file_are_watched_where_it_says_they_are(
    place: Place, start: Start, said: list[tuple[str, str]]
) -> None:
    folder = place.folder / "elsewhere"
    folder.mkdir()
    (folder / "mine.yaml").write_text(BROKEN_TREE)
    async with start() as running:
        place.configure(f"trees: {{folder: {folder}}}\n", CHANNELS)
        await running.until(lambda: len(said) == 1, "the trees are refused")
        (folder / "mine.yaml").unlink()
        await running.until(lambda: len(said) == 2, "the configuration is taken")
        assert said[1][0] == "configuration taken"


async def test_who_asks_for_a_reload_is_answered_each_time(
    place: Place, start: Start, said: list[tuple[str, str]]
) -> None:
    async with start() as running:
        place.configure(LATE)
        for _ in range(2):
            assert not await running.relay.reload()
        assert len(said) == 2
