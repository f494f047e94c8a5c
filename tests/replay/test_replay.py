"""Each scenario of `scenarios/`, told by real senders' bodies to a real relay: what a person sees and hears is what it says."""

from pathlib import Path

import pytest

from tests.replay.stage import play
from tests.replay.story import Scenario, scenarios
from tests.replay.verdict import differences, reads


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.title)
async def test_it_is_told_as_one_person_would(scenario: Scenario, tmp_path: Path) -> None:
    wrong = differences(await play(scenario, tmp_path))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "expected,content,fits",
    [
        ("✅ apps recovered", "✅ apps recovered\nmore", True),
        ("✅ apps …", "✅ apps recovered after 4 min", True),
        ("✅ … apps …", "✅ radarr recovered", False),
        ("❌ a.b", "❌ axb", False),
    ],
)
def test_any_words_may_stand_where_three_dots_do(expected: str, content: str, fits: bool) -> None:
    assert reads(expected, content) is fits
