import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config.trees import load_trees
from relay.core.labels import MatcherError, Op, pattern
from relay.core.patterns import PatternSet
from relay.core.tree import matchers

LIBRARY = load_trees()
TEXTS = sorted(
    {one.value for tree in LIBRARY.trees for one in matchers(tree) if one.name == "message" and one.op is Op.MATCHES}
)
SAID = sorted(
    {example.given["message"] for tree in LIBRARY.trees for example in tree.examples if "message" in example.given}
)
ALL = PatternSet(TEXTS)


@given(st.lists(st.sampled_from(SAID) | st.text(max_size=20), min_size=1, max_size=3).map("\n".join))
def test_a_set_matches_exactly_what_its_patterns_match_one_by_one(text: str) -> None:
    assert ALL.fitting(text) == tuple(one for one in TEXTS if pattern(one).search(text) is not None)


def test_a_pattern_is_anchored_and_a_dot_matches_newlines() -> None:
    assert PatternSet(["a", "a.b", "a|x"]).fitting("a\nb") == ("a.b",)
    assert PatternSet(["a", "a.b", "a|x"]).fitting("a") == ("a", "a|x")
    assert PatternSet([]).fitting("a") == ()


def test_a_bad_pattern_is_refused() -> None:
    with pytest.raises(MatcherError):
        PatternSet(["("])
