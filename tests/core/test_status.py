"""What the relay can tell that it cannot see: one row for each blind spot, and none where all is connected."""

from dataclasses import replace

import pytest

from relay.core.card import Brief, Headline, Sign
from relay.core.event import Severity, Source
from relay.core.status import Heard, Seen, Spot, Status, Trouble, blind_spots, is_due, signature

HOUR = 3600.0
NOW = 1_760_000_000.0
FLUX = Heard("flux", Source.FLUX, NOW - 60)
ALERTS = Heard("alertmanager", Source.ALERTMANAGER, NOW - 60)
WELL = Seen(
    now=NOW,
    started_at=NOW - 9 * HOUR,
    sources=(FLUX, ALERTS),
    cluster="homelab",
    failures=True,
    successes=True,
    artifacts=True,
    watchdog=True,
    pings=True,
)
SPOTS = [
    (replace(WELL, successes=False), "no recovery was ever heard from Flux", "eventSeverity: info"),
    (replace(WELL, watchdog=False), "Prometheus may die unnoticed", "relay init"),
    (replace(WELL, cluster=""), "the cluster has no name", "cluster:"),
    (replace(WELL, artifacts=False), "commits have no names", "GitRepository"),
    (replace(WELL, pings=False), "if the relay dies", "ping:"),
    (replace(WELL, sources=(FLUX, replace(ALERTS, at=None))), "nothing was ever heard from alertmanager", "relay init"),
    (replace(WELL, sources=(replace(FLUX, locked="set RELAY_FLUX_HMAC_KEY"), ALERTS)), "set RELAY_FLUX_HMAC_KEY", ""),
    (replace(WELL, sources=(replace(FLUX, at=None, refused=True), ALERTS)), "flux is refused", "type: generic-hmac"),
    (replace(WELL, stopped=("flux-system/apps",)), "flux-system/apps reports no more", "flux get"),
    (replace(WELL, dead=("ops",)), "channel ops shows nothing", "new webhook URL"),
    (replace(WELL, parked=3), "3 cards Discord refused", "relay channels"),
]


@pytest.mark.parametrize("seen,what,cure", SPOTS, ids=[row[1] for row in SPOTS])
def test_each_blind_spot_is_named_with_its_cure(seen: Seen, what: str, cure: str) -> None:
    (spot,) = blind_spots(seen)
    assert what in spot.what
    assert cure in spot.cure


def test_where_all_is_connected_there_is_none() -> None:
    assert blind_spots(WELL) == ()


@pytest.mark.parametrize("change", [{"successes": False}, {"artifacts": False}])
def test_in_the_first_hour_nobody_is_missed_who_may_still_come(change: dict[str, bool]) -> None:
    assert blind_spots(replace(WELL, started_at=NOW - HOUR / 2, **change)) == ()  # type: ignore[arg-type]


def trouble(name: str = "sonarr") -> Trouble:
    headline = Headline(Sign.PAGE, name, "is crash-looping")
    return Trouble(Brief(name, "k7f3", headline, Severity.CRITICAL, "", "media", NOW), "")


STATUS = Status(now=NOW, since=NOW - HOUR, version="1", cluster="homelab", heard=(FLUX,))
MOODS = [
    (replace(STATUS, is_new=True), "🛠️ homelab: the relay is connected, and has heard nothing yet"),
    (STATUS, "🟢 homelab: nothing is wrong that the relay knows of"),
    (
        replace(STATUS, blind=(Spot("x"), Spot("y"))),
        "🟢 homelab: nothing is wrong that the relay knows of, 2 blind spots",
    ),
    (replace(STATUS, open=(trouble(),)), "🚨 homelab: 1 open problem, worst: sonarr is crash-looping"),
    (replace(STATUS, open=(trouble(),), more=11), "🚨 homelab: 12 open problems, worst: sonarr is crash-looping"),
]


@pytest.mark.parametrize("status,mood", MOODS, ids=[row[1] for row in MOODS])
def test_its_first_line_is_its_mood(status: Status, mood: str) -> None:
    assert status.mood == mood


def test_it_is_edited_when_it_says_something_else_and_else_every_ten_minutes() -> None:
    says, other = signature(STATUS), signature(replace(STATUS, open=(trouble(),)))
    assert is_due(None, says, None, NOW)
    assert not is_due(says, says, NOW, NOW + 599)
    assert is_due(says, says, NOW, NOW + 600)
    assert not is_due(says, other, NOW, NOW + 19)
    assert is_due(says, other, NOW, NOW + 20)


def test_the_clock_alone_is_nothing_else() -> None:
    later = replace(STATUS, now=NOW + 60, heard=(replace(FLUX, at=NOW + 30),))
    assert signature(STATUS) == signature(later)
