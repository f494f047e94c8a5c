"""Any Card and any Incident, with the worst that the outside can say in every text of theirs."""

from hypothesis import strategies as st

from relay.core.card import Card, Change, Form, Headline, Link, Moment, Row, Sign
from relay.core.cards import Context
from relay.core.event import Severity, Source, Subject
from relay.core.incident import Firing, Incident, Reason
from relay.core.signal import Signal, State
from relay.core.tree import Act, Advice, Answered, Certainty, Hint
from tests.discord.scenes import NOW

FRAGMENTS = [
    *(
        "@everyone",
        "@here",
        "<@1>",
        "<@&12>",
        "<#3>",
        "<t:1:R>",
        "</help:1>",
        "<:x:1>",
        "https://evil.example/a",
        "discord.gg/a",
    ),
    *(
        "[a](https://b.example)",
        "[a](<https://b.example>)",
        "`",
        "``",
        "```",
        "\n```\n",
        "**",
        "_",
        "||",
        "\\",
        "\n",
        "\n# ",
        "\n> ",
    ),
    *("\u202e", "\u200b", "\ud800", "\x00", "👩‍👩‍👧", "é", "x" * 300, "🔷" * 120, "_" * 200, "word ", "is not ready"),
]
outside = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=8), max_size=4).map("".join)
cleaned = outside.map(lambda text: text.encode(errors="ignore").decode())
"""As `sources` gives it: without lone surrogates."""
urls = st.sampled_from(
    [
        "https://a.example.org/x",
        "http://prometheus:9090/g",
        "javascript:x",
        "https://a.example.org/" + "y" * 500,
        "https://b.example.org",
    ]
)
instants = st.floats(NOW - 1e6, NOW)
names = st.sampled_from(["sonarr", "sonarr-66cc5c9fcf-9rccg", "radarr", "node-1", ""]) | cleaned

changes = st.builds(
    Change, at=instants, revision=st.sampled_from(["3ebb95c", ""]) | outside, text=outside, repository=outside, url=urls
)
links = st.lists(st.builds(Link, label=outside, url=urls | outside), max_size=6).map(tuple)
headlines = st.builds(
    Headline,
    sign=st.sampled_from(Sign),
    object=outside,
    state=outside,
    cause=outside,
    cluster=outside,
    who=outside,
    after=st.just(""),
)
rows = st.builds(
    Row,
    severity=st.sampled_from(Severity),
    name=outside,
    says=outside,
    firing=st.integers(0, 99),
    resolved=st.integers(0, 99),
)
texts = st.lists(outside, max_size=6).map(tuple)
cards = st.builds(
    Card,
    incident=outside,
    handle=outside,
    headline=headlines,
    severity=st.sampled_from(Severity),
    state=outside,
    why=outside,
    certainty=st.sampled_from(Certainty),
    place=outside,
    since=instants,
    heard=st.none() | instants,
    until=st.none() | instants,
    lasted=st.floats(0, 1e6),
    companions=outside,
    impact=outside,
    change=st.none() | changes,
    evidence=texts,
    rows=st.lists(rows, max_size=6).map(tuple),
    more_rows=st.integers(0, 10_000),
    look=texts,
    look_at=texts,
    checklist=st.lists(st.tuples(outside, outside), max_size=6).map(tuple),
    fix=outside,
    fix_run=outside,
    path=texts,
    leaf=outside,
    leaf_url=urls,
    alertname=outside,
    timeline=st.lists(st.builds(Moment, at=instants, text=outside), max_size=6).map(tuple),
    ended=outside,
    fixed_by=st.none() | changes,
    links=links,
    cluster=outside,
    sources=texts,
    notes=texts,
)
parts = st.lists(st.tuples(cards, st.sampled_from(Form)), min_size=1, max_size=4)
many = st.tuples(parts, st.integers(1, 6)).map(lambda drawn: drawn[0] * drawn[1])
"""Up to 24 parts, more than a Message has room for."""

subjects = st.builds(
    Subject,
    cluster=cleaned,
    kind=st.sampled_from(["Pod", "Kustomization", "Node", "PersistentVolumeClaim", "Instance", ""]) | cleaned,
    namespace=names,
    name=names,
)
labels = st.dictionaries(
    st.sampled_from(["alertname", "job", "service"]), st.sampled_from(["KubePodNotReady", "TargetDown"]) | cleaned
)
attributes = st.dictionaries(
    st.sampled_from(["summary", "runbook_url", "generator_url", "silence_url", "dashboard_url"]), urls | cleaned
)
signals = st.builds(
    Signal,
    key=st.text(max_size=4),
    source=st.sampled_from(Source),
    subject=subjects,
    aspect=st.just(""),
    severity=st.sampled_from(Severity),
    since=instants,
    sent_at=instants,
    seen_at=instants,
    state=st.sampled_from(State),
    reason=st.sampled_from(["BuildFailed", "UpgradeFailed", ""]) | cleaned,
    message=cleaned,
    labels=labels,
    attributes=attributes,
    count=st.integers(1, 10_000),
    remediated=st.sampled_from(["", "RollbackSucceeded"]) | cleaned,
)
firings = st.builds(Firing, *(st.integers(0, 99),) * 4)
incidents = st.builds(
    Incident,
    id=st.text("abc", min_size=4, max_size=26),
    subject=subjects,
    source=st.sampled_from(Source),
    lead=st.text(max_size=4),
    since=instants,
    opened_at=instants,
    visible_at=instants,
    changed_at=instants,
    severity=st.sampled_from(Severity),
    peak=st.sampled_from(Severity),
    firing=firings,
    members=st.integers(0, 10_000),
    closed_at=st.none() | instants,
    reason=st.sampled_from(Reason),
    reopenings=st.integers(0, 9),
    flapping=st.booleans(),
    folded_into=st.none() | st.just("abcdef"),
    follows=st.none() | st.just("abcdef"),
    closed_by=cleaned,
)
advice = st.builds(Advice, act=st.sampled_from(Act), text=cleaned, run=cleaned)
hints = st.builds(
    Hint,
    tree=cleaned,
    title=cleaned,
    path=st.lists(st.builds(Answered, cleaned, cleaned, cleaned), max_size=5).map(tuple),
    certainty=st.sampled_from(Certainty),
    leaf=cleaned,
    cause=cleaned,
    question=cleaned,
    says=cleaned,
    impact=cleaned,
    steps=st.lists(advice, max_size=5).map(tuple),
    checklist=st.lists(st.tuples(cleaned, cleaned), max_size=7).map(tuple),
)
contexts = st.builds(
    Context,
    now=st.just(NOW),
    clusters=st.integers(1, 3),
    repositories=st.just({"a/b": "https://a.example.org/x"}),
    handbook=st.none() | urls,
    change=st.none() | changes,
    fixed_by=st.none() | changes,
    effects=st.lists(subjects, max_size=4).map(tuple),
    timeline=st.lists(st.builds(Moment, at=instants, text=cleaned), max_size=7).map(tuple),
    quiet=cleaned,
)
