"""`relay rejects`: what could not be read is listed, shown as it came, and taken once more as any delivery is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from relay.storage import lists
from relay.storage.rejects import Reject, add_reject, get_reject, list_rejects
from relay.tools import rejects
from relay.tools.listing import looked_up, written
from relay.tools.terminal import RefusedError, spelled
from relay.writer import applied
from tests.tools.payloads import NOW, alert, alertmanager, ended, flux


def read(lines: object) -> str:
    return "\n".join(spelled(line, colour=False) for line in lines)  # type: ignore[attr-defined]


def keep(env: Mapping[str, str], *bodies: bytes, sender: str = "alertmanager", cure: str = "set the type") -> list[int]:
    """As the door keeps what it cannot read."""
    return [
        written(
            env,
            partial(add_reject, at=NOW, source=sender, sender=sender, why="not understood", cure=cure, body=body),
        )
        for body in bodies
    ]


def kept(env: Mapping[str, str]) -> list[Reject]:
    return looked_up(env, list_rejects)


def open_now(env: Mapping[str, str]) -> list[str]:
    return [one.subject.name for one in looked_up(env, partial(lists.open_incidents, limit=500))]


# --- list and show ------------------------------------------------------------------------------------------------------


def test_they_are_told_newest_first_with_their_cure(beside: Mapping[str, str]) -> None:
    keep(beside, b"first", b"x" * 3000, sender="flux")
    lines = read(rejects.told(kept(beside), NOW + 60)).splitlines()
    assert lines[0] == "2  1 min ago  flux  2 KiB"
    assert lines[1] == "   not understood; set the type"
    assert read(rejects.told([], NOW)) == "Nothing was rejected."


def test_programs_get_the_same(beside: Mapping[str, str]) -> None:
    keep(beside, b"first", sender="flux", cure="")
    assert json.loads(json.dumps(rejects.as_json(kept(beside)))) == [
        {"id": 1, "at": NOW, "source": "flux", "sender": "flux", "why": "not understood", "cure": None, "size": 5}
    ]


def test_a_body_is_shown_as_it_came(beside: Mapping[str, str], capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    body = b'{"a": "\x1b[31m\x00\xff"}'
    keep(beside, body)
    rejects.write(beside, 1)
    assert capfdbinary.readouterr().out == body
    with pytest.raises(RefusedError, match="There is no reject 2: relay rejects lists them"):
        rejects.write(beside, 2)


def test_a_terminal_is_shown_nothing_that_it_would_obey(
    beside: Mapping[str, str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(beside, b'{"a":\n"\x1b[31m\x9b\x07\xff"}')
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    rejects.write(beside, 1)
    out = capfd.readouterr().out
    assert out.startswith('{"a":\n"')
    assert all(char.isprintable() or char == "\n" for char in out)


# --- replay -------------------------------------------------------------------------------------------------------------


def replay(env: Mapping[str, str], config: Path, *numbers: int, source: str | None = None) -> list[rejects.Replayed]:
    return rejects.replay(env, config, numbers, NOW + 60, source=source)


def test_what_is_accepted_opens_its_incident_and_is_kept_no_longer(beside: Mapping[str, str], config: Path) -> None:
    keep(beside, alertmanager(alert()), b"[]")
    (found,) = replay(beside, config, 1)
    assert (found.accepted, found.events) == (True, 1)
    assert read(rejects.told_replayed([found])) == "1  accepted: 1 event"
    assert open_now(beside) == ["sonarr"]
    assert [one.id for one in kept(beside)] == [2]
    with pytest.raises(RefusedError, match="There is no reject 1"):
        replay(beside, config, 1)


def test_all_are_taken_oldest_first_so_that_an_end_comes_after_its_beginning(
    beside: Mapping[str, str], config: Path
) -> None:
    keep(beside, alertmanager(alert()), alertmanager(ended(alert())), alertmanager(alert("NodeDown", node="pve2")))
    assert [one.number for one in replay(beside, config)] == [1, 2, 3]
    assert kept(beside) == []
    assert len(open_now(beside)) == 1
    assert read(rejects.told_replayed(replay(beside, config))) == "Nothing was rejected."


def test_what_still_cannot_be_read_stays_and_says_why(beside: Mapping[str, str], config: Path) -> None:
    keep(beside, b"{", b'{"embeds": []}')
    found = replay(beside, config)
    assert not any(one.accepted for one in found)
    said = read(rejects.told_replayed(found))
    assert said.startswith("1  stays: ")
    assert "2  stays: " in said
    assert len(kept(beside)) == 2
    assert open_now(beside) == []


def test_what_came_to_the_wrong_path_is_taken_as_what_it_is(beside: Mapping[str, str], config: Path) -> None:
    keep(beside, flux(), sender="alertmanager")
    assert "spec.address" in replay(beside, config, 1)[0].why
    assert replay(beside, config, 1, source="flux")[0].accepted
    assert open_now(beside) == ["apps"]
    keep(beside, flux())
    with pytest.raises(RefusedError, match="there is no source fluxx; did you mean flux"):
        replay(beside, config, source="fluxx")


def test_whose_source_is_gone_stays_and_says_how_it_is_taken(beside: Mapping[str, str], config: Path) -> None:
    keep(beside, flux(), sender="flux-edge")
    assert replay(beside, config)[0].why == "no source is called flux-edge any more: --as NAME takes it as another's"
    assert len(kept(beside)) == 1


def test_a_large_group_is_taken_whole(beside: Mapping[str, str], config: Path) -> None:
    group = alertmanager(*(alert(f"A{number}", pod=f"p{number}-0", namespace=f"n{number}") for number in range(400)))
    keep(beside, group)
    assert replay(beside, config)[0].events == 400
    assert len(open_now(beside)) == 400


def test_what_raises_changes_nothing_and_holds_up_no_other(
    beside: Mapping[str, str], config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug of ours, at one of them: half of what it did before is undone with it."""

    def poisoned(*given: object) -> object:
        done = applied(*given)  # type: ignore[arg-type]
        if "poison" in str(given[1]):
            raise KeyError("poison")
        return done

    monkeypatch.setattr(rejects, "applied", poisoned)
    keep(beside, alertmanager(alert(pod="poison-0")), alertmanager(alert()))
    first, second = replay(beside, config)
    assert first.why == "it cannot be applied (KeyError): a bug of the relay"
    assert second.accepted
    assert [one.id for one in kept(beside)] == [1]
    assert open_now(beside) == ["sonarr"]
    assert looked_up(beside, partial(get_reject, reject_id=1)) is not None
