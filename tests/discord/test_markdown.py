import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.core.wording import cut, cut_middle
from relay.discord import markdown
from relay.discord.markdown import clean, code, escape, fence, fenceable, link, mentions, openable, plain, prose
from tests.discord.limits import live, without_code

FRAGMENTS = [
    *("@everyone", "@here", "<@1>", "<@&12>", "<#3>", "<t:1:R>", "</help:1>", "<id:home>", "<:x:1>", "<a:x:1>"),
    *("https://evil.example", "discord.gg/a", "[a](https://b.example)", "my_app"),
    *("**", "*", "_", "__", "~~", "||", "`", "``", "```", "```sh\n", "\\", "\\\\", " "),
    *("\n", "\n# ", "\n> ", "\n- ", "\n1. ", "\n-# "),
    *("\u202e", "\u2066", "\u200b", "\ud800", "\x00", "\x1b[31m", "👩‍👩‍👧", "🇨🇿", "é"),
]
outside = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=6), max_size=12).map("".join)


@given(outside)
@example("@\u200beveryone")
@example("\\`a`")
@example("<\u202e@1>")
def test_escaped_text_is_only_text(text: str) -> None:
    assert live(escape(text)) == []


@given(outside)
@example("|`|")
@example("_`_`_")
@example("\\# a")
def test_plain_text_is_only_text_and_needs_no_backslash(text: str) -> None:
    assert live(plain(text)) == []
    assert "\\" not in plain(text)


@pytest.mark.parametrize(
    "text, shown",
    [
        ("@here **look** at `this`", "@\u200bhere look at this"),
        ("my_app of snake__case is __bold__ and _slanted_", "my_app of snake_case is bold and slanted"),
        ("*/5 * * * *", "∗/5 ∗ ∗ ∗ ∗"),
        ("[prod] 4.1.0 failed", "[prod] 4.1.0 failed"),
        ("[click](https://a.example)", "[click] (https\u200b://a.example)"),
        ("# 1", "\u200b# 1"),
    ],
)
def test_a_lock_screen_reads_as_it_was_written(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(outside)
def test_prose_is_only_text_and_code(text: str) -> None:
    assert live(prose(text)) == []


@given(outside)
def test_inline_code_holds_all_of_it(text: str) -> None:
    assert without_code(code(text)).strip() == ""


@given(outside)
@example("`````")
def test_a_fence_is_closed_by_its_own_end_alone(text: str) -> None:
    assert fence(text).count("```") == 2


@given(outside)
def test_clean_text_can_be_sent(text: str) -> None:
    assert not {"\u202e", "\u2066", "\u200b", "\x00", "\x1b"} & set(clean(text))
    clean(text).encode()


@pytest.mark.parametrize(
    "text, shown",
    [
        ("my_app is not ready", "my_app is not ready"),
        ("5 of 6", "5 of 6"),
        ("*/5 * * * *", r"\*/5 \* \* \* \*"),
        ("1. do this", r"1\. do this"),
        ("4.1.0 failed", "4.1.0 failed"),
        ("see https://a.example/x", "see https\u200b://a.example/x"),
        ("read\nonly", "read only"),
    ],
)
def test_ordinary_text_stays_readable(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_code_in_a_tree_stays_code() -> None:
    assert prose("set `spec.path` to *./apps*") == r"set `spec.path` to \*./apps\*"


def test_code_with_a_backtick_stands_in_two() -> None:
    assert code("a`b") == "`` a`b ``"


def test_a_command_that_a_fence_would_change_is_not_offered() -> None:
    assert fenceable("kubectl get pods -A") == "kubectl get pods -A"
    assert fenceable("echo '```'") == fenceable("rm\u202e -rf") == ""


def test_only_users_and_roles_are_mentions() -> None:
    assert mentions(("<@&1234>", "<@7>", "@everyone", "<@&x>", "<@&1234>")) == ("<@&1234> <@7>", ["7"], ["1234"])


@pytest.mark.parametrize(
    "url, opens",
    [
        ("https://grafana.example.org/d/x?y=1#z", True),
        ("http://prometheus:9090/graph", False),
        ("http://localhost:3000/", False),
        ("https://grafana.monitoring.svc/", False),
        ("https://grafana.monitoring.svc.cluster.local/", False),
        ("https://nas.local/", False),
        ("https://192.0.2.7/", False),
        ("https://[2001:db8::1]/", False),
        ("https://user:word@a.example.org/", False),
        ("https://a.example.org/has space", False),
        ("https://a.example.org:99999/", False),
        ("javascript:alert(1)", False),
        ("ftp://a.example.org/", False),
        ("/relative", False),
        ("https://a.example.org/" + "x" * 600, False),
        ("", False),
    ],
)
def test_a_link_is_one_that_discord_takes_and_a_phone_opens(url: str, opens: bool) -> None:
    assert openable(url) is opens


def test_a_masked_link_to_nowhere_is_only_its_text() -> None:
    assert link("here", "http://prometheus:9090") == "here"
    assert link("here", "https://a.example.org/(x)") == "[here](<https://a.example.org/%28x%29>)"


WHOLE = ["👩‍👩‍👧", "🇨🇿", "é", "👍🏽", "⚠️", "a", " "]


@given(st.lists(st.sampled_from(WHOLE), max_size=30), st.integers(1, 40))
def test_a_cut_never_goes_through_a_character(pieces: list[str], limit: int) -> None:
    text, wholes = "".join(pieces), set()
    for at in range(len(pieces) + 1):
        wholes.add("".join(pieces[:at]).rstrip())
    short = cut(text, limit)
    assert len(short) <= limit
    assert short == text or short.removesuffix("…") in wholes


@given(st.text(max_size=60), st.integers(0, 40))
def test_a_cut_keeps_its_limit(text: str, limit: int) -> None:
    assert len(cut(text, limit)) <= limit
    assert len(cut_middle(text, limit)) <= limit


def test_a_long_error_keeps_its_end() -> None:
    assert cut_middle("kustomize build failed: " + "x" * 200 + ": no such file", 60).endswith(": no such file")


def test_words_are_cut_whole_where_they_are_words() -> None:
    text = "kustomize build failed: accumulating resources from the base of the cluster: open the file: no such file or directory"
    assert cut(text, 80) == "kustomize build failed: accumulating resources from the base of the cluster…"
    assert (
        cut_middle(text, 100)
        == "kustomize build failed: accumulating … of the cluster: open the file: no such file or directory"
    )


def test_a_moment_is_the_readers_own() -> None:
    assert markdown.moment(1_750_000_000.9, "R") == "<t:1750000000:R>"
