"""`relay quiet` and `relay close`, on the database of a relay: what they write, what they say, and what they refuse."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from relay.core.event import Source
from relay.core.incident import Incident, Reason
from relay.core.quiet import Rules
from relay.storage import lists, quiet
from relay.storage.engine import Database
from relay.tools import quiet as asking
from relay.tools.listing import looked_up
from relay.tools.terminal import RefusedError, spelled
from tests.storage import reading
from tests.tools.payloads import NOW, alert, alertmanager
from tests.tools.test_listing import events, take

HOUR = 3600.0
FILE = """
channels: {ops: {webhook_url_file: a}}
hours: {quiet: "22:00-07:30", zone: Europe/Prague}
quiet: {windows: [{match: ['namespace="lab"'], from: "2025-10-09 20:00", until: "2025-10-09 23:00", why: new disks}]}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "relay.yaml"
    file.write_text(FILE)
    return file


@pytest.fixture
def env(tmp_path: Path) -> Mapping[str, str]:
    """A relay's database in which one incident is open, and who types."""

    async def fill() -> None:
        database = Database.open(f"sqlite:///{tmp_path}/relay.db")
        await database.migrate()
        await take(database, *events(Source.ALERTMANAGER, alertmanager(alert("KubePodCrashLooping"))))
        await database.close()

    asyncio.run(fill())
    return {"RELAY_DATABASE_URL": f"sqlite:///{tmp_path}/relay.db", "USER": "ada"}


def read(lines: object) -> str:
    return "\n".join(spelled(line, colour=False) for line in lines)  # type: ignore[attr-defined]


def rules(env: Mapping[str, str]) -> Rules:
    return looked_up(env, quiet.standing)


def the_one(env: Mapping[str, str]) -> Incident:
    (incident,) = looked_up(env, partial(lists.open_incidents, limit=9))
    return incident


def test_quiet_is_written_down_with_who_and_why_and_says_what_it_is_meant_for(
    env: Mapping[str, str], config: Path
) -> None:
    said = read(asking.ask(env, config, ['namespace="media"'], lasts="2h", why="moving house", now=NOW))
    handle = the_one(env).handle
    assert said.splitlines() == [
        'Quiet 1 until 12:53 Europe/Prague: namespace="media"',
        f"It holds for {handle}, until it becomes worse or another problem.",
        "relay quiet end 1 ends it before; what is left then is told once",
    ]
    (rule,) = rules(env)
    assert (rule.until, rule.by, rule.why) == (NOW + 2 * HOUR, "ada", "moving house")


def test_an_incident_is_acknowledged_by_what_its_card_calls_it(env: Mapping[str, str], config: Path) -> None:
    incident = the_one(env)
    for what in (incident.handle, f'incident="{incident.handle}"', f"incident={incident.handle}"):
        said = read(asking.ask(env, config, [what], until="07:30", by="bob", now=NOW))
        assert f"until Fri 07:30 Europe/Prague: incident {incident.handle}" in said
    assert {rule.incident for rule in rules(env)} == {incident.id}
    assert {rule.by for rule in rules(env)} == {"bob"}


def test_what_opens_later_is_meant_too(env: Mapping[str, str], config: Path) -> None:
    said = read(asking.ask(env, config, ['namespace="lab"'], lasts="2h", now=NOW))
    assert "Nothing that is open is meant; what opens will be." in said


REFUSED = [
    ([], "2h", "", "quiet for what?"),
    (["zzzz"], "2h", "", "no incident is open that is called zzzz"),
    (['incident="aeio"'], "2h", "", "names no incident"),
    (["lab"], "2h", "", "cannot read matcher 'lab'"),
    (["a=b"], "", "", "one of the two"),
    (["a=b"], "2h", "07:30", "one of the two"),
    (["a=b"], "two hours", "", "is no duration"),
    (["a=b"], "60d", "", "30 days at most"),
    (["a=b"], "0s", "", "over already"),
    (["a=b"], "", "tomorrow", "is no time"),
    (["a=b"], "", "25:00", "is no time"),
    (["a=b"] * 30, "2h", "", "quiet for what?"),
]


@pytest.mark.parametrize("what, lasts, until, why", REFUSED)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    env: Mapping[str, str], config: Path, what: list[str], lasts: str, until: str, why: str
) -> None:
    with pytest.raises(RefusedError, match=why.replace("?", r"\?")):
        asking.ask(env, config, what, lasts=lasts, until=until, now=NOW)
    assert rules(env) == ()


def test_hostile_words_stand_on_one_line_and_are_cut(env: Mapping[str, str], config: Path) -> None:
    read(asking.ask(env, config, ["a=b"], lasts="1h", by="\x1b[31mada\n", why="x\r\n" * 500, now=NOW))
    (rule,) = rules(env)
    assert rule.by == "[31mada"
    assert len(rule.why) <= 120
    assert rule.why.isprintable()


def test_the_list_says_what_holds_what_is_planned_and_when_nights_are(env: Mapping[str, str], config: Path) -> None:
    read(asking.ask(env, config, ['namespace="media"'], lasts="2h", why="moving house", now=NOW))
    said = read(asking.listed(env, config, NOW))
    ones, planned, nights = said.splitlines()
    assert ones.split()[:3] == ["1", "until", "12:53"]
    assert ones.endswith('ada                namespace="media"  (moving house)')
    assert "from 20:00 until 23:00" in planned
    assert planned.endswith('namespace="lab"  (new disks)')
    assert nights == "nights  22:00 to 07:30 Europe/Prague: only pages sound"


def test_where_nothing_is_quiet_the_list_says_so(env: Mapping[str, str], tmp_path: Path) -> None:
    (tmp_path / "plain.yaml").write_text("channels: {ops: {webhook_url_file: a}}\n")
    assert read(asking.listed(env, tmp_path / "plain.yaml", NOW)) == "Nothing is quiet."


def test_it_is_ended_by_its_number_and_once(env: Mapping[str, str], config: Path) -> None:
    read(asking.ask(env, config, ['namespace="media"'], lasts="2h", now=NOW))
    assert asking.ended(env, "1", NOW + 5).startswith('Quiet 1 is over: namespace="media".')
    for wrong, why in (("1", "no quiet 1 is in force"), ("file-452051", "stands in the configuration")):
        with pytest.raises(RefusedError, match=why):
            asking.ended(env, wrong, NOW + 6)


def test_an_incident_is_closed_by_hand_and_says_by_whom(env: Mapping[str, str], config: Path) -> None:
    before = the_one(env)
    said = asking.close(env, config, before.handle, why="the alert is gone", now=NOW + 60)
    assert said.startswith(f"{before.handle} is closed.")
    after = looked_up(env, partial(reading.incident_by_id, incident=before.id))
    assert after is not None
    assert (after.closed_at, after.reason, after.closed_by) == (
        NOW + 60,
        Reason.CLOSED_BY_HAND,
        "ada: the alert is gone",
    )
    assert after.firing.total == 0
    with pytest.raises(RefusedError, match="no incident is open"):
        asking.close(env, config, before.handle, now=NOW + 61)
