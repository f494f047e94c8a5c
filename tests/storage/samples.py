"""Values to store: plain ones by name, and any that the types allow, for Hypothesis."""

from typing import Any

from hypothesis import strategies as st

from relay.core.attention import Loudness
from relay.core.event import Severity, Source, Subject
from relay.core.incident import Firing, Incident, Reason
from relay.core.known import Entry, KnownObject
from relay.core.policy import Hold
from relay.core.posting import Degraded, Posting
from relay.core.signal import Signal, State

NOW = 1_760_000_000.25
DAY = 86400.0

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
"""As `sources` lets it through: no lone surrogates, no NUL."""
names = texts.filter(bool)
instants = st.floats(min_value=-1e12, max_value=1e12, allow_nan=False)
perhaps = st.none() | instants
numbers = st.integers(min_value=0, max_value=2**31 - 1)
severities = st.sampled_from(Severity)
sources = st.sampled_from(Source)
pairs = st.dictionaries(texts, texts, max_size=4)
subjects = st.builds(Subject, texts, texts, texts, texts)

signals = st.builds(
    Signal,
    key=names,
    source=sources,
    subject=subjects,
    aspect=texts,
    severity=severities,
    since=instants,
    sent_at=instants,
    seen_at=instants,
    state=st.sampled_from(State),
    semantic_key=texts,
    group_key=texts,
    reason=texts,
    message=texts,
    cause=texts,
    labels=pairs,
    attributes=pairs,
    names=st.lists(subjects, max_size=3).map(tuple),
    episode=numbers,
    count=numbers,
    resolved_at=perhaps,
    closed_since=perhaps,
    held_until=perhaps,
    superseded=st.booleans(),
    incident=st.none() | names,
    longest_gap=instants,
    gaps=numbers,
    remediated=texts,
)
incidents = st.builds(
    Incident,
    id=names,
    subject=subjects,
    source=sources,
    lead=texts,
    since=instants,
    opened_at=instants,
    visible_at=instants,
    changed_at=instants,
    severity=severities,
    peak=severities,
    firing=st.builds(Firing, numbers, numbers, numbers, numbers),
    members=numbers,
    closed_at=perhaps,
    reason=st.sampled_from(Reason),
    version=numbers,
    reopenings=numbers,
    flapping=st.booleans(),
    folded_into=st.none() | names,
    follows=st.none() | names,
    expires_at=perhaps,
    closed_by=texts,
    root=texts,
    hold=st.sampled_from(Hold),
    probably=st.booleans(),
    effects=st.builds(Firing, numbers, numbers, numbers, numbers),
    tend_at=perhaps,
    silent_since=perhaps,
    change_revision=texts,
    change_at=perhaps,
    change=texts,
    reopened_at=st.lists(instants, max_size=3).map(tuple),
    calm_at=perhaps,
    loud_since=perhaps,
)
postings = st.builds(
    Posting,
    incident=names,
    channel=names,
    severity=severities,
    wanted=numbers,
    shown=numbers,
    pages_owed=numbers,
    pages_made=numbers,
    paged_severity=severities,
    paged_for=st.lists(texts, max_size=3).map(tuple),
    paged_at=perhaps,
    end_due_at=perhaps,
    end_shown_at=perhaps,
    due_at=perhaps,
    rank=numbers,
    message=st.none() | st.integers(min_value=1, max_value=2**63 - 1),
    shown_at=perhaps,
    tries=numbers,
    degraded=st.sampled_from(Degraded),
    parked=texts,
    deleted_at=perhaps,
    closed=st.booleans(),
    quiet=texts,
    quiet_until=perhaps,
    tell=st.sampled_from(Loudness),
    arrived=st.booleans(),
)
objects = st.builds(
    KnownObject,
    subject=subjects,
    seen_at=instants,
    revision=texts,
    revision_since=perhaps,
    succeeded_at=perhaps,
    beats=numbers,
    beat_at=perhaps,
    longest_gap=instants,
    healed=numbers,
    healed_at=perhaps,
    uid=texts,
    uid_before=texts,
    twin=st.booleans(),
    changed_at=perhaps,
    changed_by=texts,
    change=texts,
)
entries = st.builds(
    Entry,
    at=instants,
    reason=st.sampled_from(Reason),
    source=sources,
    signal=texts,
    incident=names,
    channel=texts,
    other=texts,
)


def signal(key: str, **more: Any) -> Signal:  # noqa: ANN401  # The value's own fields.
    plain: dict[str, Any] = {
        "source": Source.ALERTMANAGER,
        "subject": Subject("homelab", "Pod", "media", "sonarr"),
        "aspect": "",
        "severity": Severity.ERROR,
        "since": NOW,
        "sent_at": NOW,
        "seen_at": NOW,
        "labels": {"alertname": "KubePodCrashLooping", "namespace": "media"},
    }
    return Signal(key=key, **(plain | more))


def incident(name: str, **more: Any) -> Incident:  # noqa: ANN401  # The value's own fields.
    plain: dict[str, Any] = {
        "subject": Subject("homelab", "Pod", "media", "sonarr"),
        "source": Source.ALERTMANAGER,
        "lead": "",
        "since": NOW,
        "opened_at": NOW,
        "visible_at": NOW,
        "changed_at": NOW,
        "severity": Severity.ERROR,
        "peak": Severity.ERROR,
    }
    return Incident(id=name, **(plain | more))


def posting(of: str, channel: str = "ops", **more: Any) -> Posting:  # noqa: ANN401  # The value's own fields.
    return Posting(incident=of, channel=channel, **({"severity": Severity.ERROR} | more))


def subject(name: str) -> Subject:
    return Subject("homelab", "Kustomization", "flux-system", name)
