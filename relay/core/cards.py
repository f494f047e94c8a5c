"""A Card says each thing once, in people's words, and claims no more than was said; equal Incidents give equal Cards.

`build` is all: Incident, its Signals, its Hint and a Context go in, a Card comes out. Nothing is escaped here; where it is shown, it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import re2

from relay.core.card import Card, Change, Headline, Link, Moment, Row, Sign
from relay.core.event import EMPTY, Instant, Severity, Source, Subject
from relay.core.evidence import MOST, evidence, first_line, quieted
from relay.core.identity import raised
from relay.core.incident import Incident, Reason
from relay.core.saying import called, is_workload, state_of
from relay.core.signal import Signal, State
from relay.core.tree import Act, Advice, Certainty, Heals, Hint
from relay.core.wording import cut, duration, lowered, of_many, past, plural, raised_first, step

GROUP_FROM = 3
"""So many things that fail together are rows; fewer are companions."""
ROWS = 5
LOOKS = 3
TIMELINE = 5
LINKS = 5
BESIDE_A_CAUSE = 180
"""Code points of evidence where the cause is known: the end of the sender's words, which a person compares."""
CHANGE_WITHIN = 30 * 60.0
"""A change so many seconds before is news on the lock screen."""
SKEW = 600.0
"""Seconds by which a sender's clock may be off; a start longer ago than that was simply not heard of before."""


_NO_HINT: Final = Hint(tree="", title="")


@dataclass(frozen=True, slots=True)
class Context:
    """What a Card needs besides its Incident: the time, and what the rest of the database knows of it."""

    now: Instant
    clusters: int = 1
    """How many are known; with one its name is not said."""
    repositories: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    """`namespace/name` of a source object → its web address."""
    handbook: str | None = None
    """Where the trees are drawn: a page with an anchor for each leaf."""
    handles: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    """Incident id → the handle people type, where four characters are not enough."""
    change: Change | None = None
    """The last change of its object before it began."""
    fixed_by: Change | None = None
    effects: tuple[Subject, ...] = ()
    """Of the Incidents folded into it."""
    timeline: tuple[Moment, ...] = ()
    """From the journal; without it what the Signals tell is told."""
    quiet: str = ""
    """`until 07:30, by ada`, while a quiet rule holds."""


@dataclass(frozen=True, slots=True)
class _Given:
    incident: Incident
    members: Sequence[Signal]
    lead: Signal | None
    hint: Hint
    context: Context
    things: tuple[tuple[Subject, tuple[Signal, ...]], ...]
    """What is wrong, as people name it, worst first, each with its Signals."""

    @property
    def is_group(self) -> bool:
        return len(self.things) >= GROUP_FROM

    @property
    def subject(self) -> Subject:
        return self.things[0][0] if self.is_group else raised(self.incident.subject)


def leading(incident: Incident, members: Sequence[Signal]) -> Signal | None:
    """Whose words title the card: the Incident's lead, unless that is over while others, of which the worst stands first, go on."""
    lead = next((signal for signal in members if signal.key == incident.lead), None)
    if lead is not None and (lead.keeps_open or not incident.is_open):
        return lead
    return members[0] if members else lead


def build(incident: Incident, members: Sequence[Signal], hint: Hint | None, context: Context) -> Card:
    """The Card of `incident`. `members` are its Signals, firing first, worst first, at most 200 of them."""
    lead = leading(incident, members)
    given = _Given(incident, members, lead, hint or _NO_HINT, context, _things(incident, members))
    card = _open(given)
    return card if incident.is_open else _record(card, given)


# --- who is meant -------------------------------------------------------------------------------------------------------


def _things(incident: Incident, members: Sequence[Signal]) -> tuple[tuple[Subject, tuple[Signal, ...]], ...]:
    found: dict[str, tuple[Subject, list[Signal]]] = {}
    for signal in members:
        if incident.is_open and signal.state is State.RESOLVED and incident.firing.total:
            continue
        subject = raised(signal.subject)
        key = f"{subject.namespace}\n{subject.name}" if is_workload(subject) else subject.key
        found.setdefault(key, (subject, []))[1].append(signal)
    return tuple((subject, tuple(signals)) for subject, signals in found.values())


def _object(given: _Given) -> str:
    """As people say it; what has no object is called by its job, its namespace, or its alert."""
    subject, lead = given.subject, given.lead
    name = called(subject)
    if not name and lead is not None:
        labels = lead.labels
        name = labels.get("job") or labels.get("service") or subject.namespace or lead.alertname
    name = name or subject.namespace or subject.cluster or "something"
    others = len(given.things) - 1
    return f"{name} and {others} more" if given.is_group else name


def _place(given: _Given) -> str:
    subject = raised(given.incident.subject)
    if not given.is_group:
        return subject.place if subject.namespace and subject.place not in called(subject) else ""
    namespaces = list(dict.fromkeys(thing.namespace for thing, _ in given.things if thing.namespace))
    noun = "workload" if all(is_workload(thing) for thing, _ in given.things) else "object"
    where = (
        f" in {', '.join(namespaces)}"
        if 0 < len(namespaces) <= 3
        else f" in {len(namespaces)} namespaces"
        if namespaces
        else ""
    )
    return plural(len(given.things), noun) + where


def _companions(given: _Given) -> str:
    """`Flux apps, 2 alerts`: other things by name, then how many more alerts the same thing has."""
    effects = [called(raised(subject)) for subject in given.context.effects]
    if given.is_group:
        firing, all_of_them = given.incident.firing.total, given.incident.members
        counted = (
            f"{firing} of {all_of_them} alerts fire"
            if given.incident.is_open and firing < all_of_them
            else f"{all_of_them} alerts"
        )
        return ", ".join([counted, *_some(effects)])
    own = called(given.subject)
    others = [name for thing, _ in given.things if (name := called(thing)) and name != own]
    same = {signal.alertname for thing, signals in given.things if called(thing) == own for signal in signals} - {
        given.lead.alertname if given.lead else ""
    }
    return ", ".join([*_some(list(dict.fromkeys(others + effects))), *([plural(len(same), "alert")] if same else [])])


def _some(names: list[str]) -> list[str]:
    return [*names[:2], f"{len(names) - 2} more"] if len(names) > 2 else names


def _rows(given: _Given) -> tuple[Row, ...]:
    if not given.is_group:
        return ()
    state = _state(given)
    many = len({thing.namespace for thing, _ in given.things}) > 1
    rows = []
    for thing, signals in given.things:
        worst = max(signals, key=lambda signal: (signal.keeps_open, signal.severity))
        says = state_of(worst.reason, worst.alertname)
        firing = sum(signal.keeps_open for signal in signals)
        name = thing.place if many and is_workload(thing) else called(thing) or worst.alertname
        severity = worst.severity if firing or not given.incident.is_open else Severity.NONE
        rows.append(Row(severity, name, "" if says == state else says, firing, len(signals) - firing))
    return tuple(sorted(rows, key=lambda row: (-row.severity, -row.firing, row.name)))


# --- what is wrong ------------------------------------------------------------------------------------------------------

_CHART = re2.compile(r" with chart [^@\s]+@v?([0-9A-Za-z.-]{1,24})")
_UNDONE: Final[Mapping[str, str]] = {"RollbackSucceeded": "rolled back", "UninstallSucceeded": "uninstalled"}


def _state(given: _Given) -> str:
    lead = given.lead
    if lead is None:
        return given.hint.says
    state = given.hint.says
    if not state:
        version = _CHART.search(lead.message) if lead.reason == "UpgradeFailed" else None
        state = f"{version[1]} failed" if version else state_of(lead.reason, lead.alertname)
    undone = _UNDONE.get(lead.remediated, "")
    return f"{state}, {undone}" if state and undone and undone not in state else state


def _summary(lead: Signal | None) -> str:
    """What the sender says in short: an alert's summary, the end of Flux's chain of errors."""
    if lead is None:
        return ""
    if summary := lead.attributes.get("summary", ""):
        return quieted(" ".join(summary[:400].split())).rstrip(".:")
    line = first_line(lead.message, 240)
    if lead.source is not Source.FLUX or len(line) <= 60:
        return line.rstrip(".:")
    said = ""
    for part in reversed(line.split(": ")):
        if said and len(said) + len(part) > 60:
            break
        said = f"{part}: {said}" if said else part
    return said.rstrip(".:")


def _why(given: _Given) -> str:
    hint, lead = given.hint, given.lead
    if hint.cause:
        return f"Likely: {lowered(hint.cause)}" if hint.certainty is Certainty.LIKELY else hint.cause
    if hint.question:
        who = {Source.FLUX: "Flux does", Source.ALERTMANAGER: "The alert does"}.get(
            given.incident.source, "Nobody does"
        )
        return f"{hint.question} {who.replace('Nobody does', 'Nobody could')} not say".replace("could not say", "said")
    return raised_first(_summary(lead))


_MEASURED = re2.compile(r"\d ?(?:%|[KMGT]i?B\b|bytes|seconds|minutes|hours|days|times|replicas|req)")


def _evidence(given: _Given, *besides: str) -> tuple[str, ...]:
    """The message, where it says more than the Card does: Flux's always, an alert's if no tree knew it or if it measures."""
    lead = given.lead
    if lead is None or (given.is_group and lead.source is not Source.FLUX):
        return ()
    knows = bool(given.hint.path or given.hint.leaf)
    if lead.source is Source.ALERTMANAGER and knows and not _MEASURED.search(lead.message):
        return ()
    said = {text.rstrip(".:").lower() for text in besides}
    return tuple(
        line
        for line in evidence(lead.message, most=BESIDE_A_CAUSE if given.hint.leaf else MOST)
        if line.rstrip(".:").lower() not in said
    )


def _sign(given: _Given) -> Sign:
    incident = given.incident
    if not incident.is_open:
        return Sign.NO_NEWS if incident.reason is Reason.EXPIRED else Sign.RECOVERED
    if incident.source is Source.RELAY:
        return Sign.RELAY
    if incident.reason is Reason.NO_NEWS:
        return Sign.NO_NEWS
    if incident.flapping:
        return Sign.FLAPPING
    if given.context.quiet:
        return Sign.QUIET
    return {Severity.CRITICAL: Sign.PAGE, Severity.ERROR: Sign.BROKEN, Severity.WARNING: Sign.WARNING}.get(
        incident.severity, Sign.INFO
    )


def _after(given: _Given) -> str:
    """Why this is news, in the fewest words."""
    incident, change = given.incident, given.context.change
    match incident.reason:
        case Reason.ESCALATED:
            return f"now {incident.severity.word}"
        case Reason.REOPENED:
            return "again"
        case Reason.CAUSE:
            return "for another reason"
        case _:
            pass
    if change is not None and 0 <= incident.since - change.at <= CHANGE_WITHIN:
        return f"{duration(incident.since - change.at)} after a change"
    return ""


def _headline(given: _Given, state: str) -> Headline:
    hint, incident = given.hint, given.incident
    cause = lowered(hint.cause).replace("`", "")
    if not hint.cause and not hint.question and not (given.is_group and state):
        cause = _summary(given.lead)
        if state and given.lead is not None and given.lead.source is Source.ALERTMANAGER:
            cause = ""
    said = of_many(state) if given.is_group else state
    if incident.reason is Reason.NO_NEWS:
        said, cause = "has sent no news", f"it {past(said)}" if said else cause
    elif incident.flapping:
        said, cause = "is flapping", said.removeprefix("is ") or cause
    return Headline(
        sign=_sign(given),
        object=_object(given),
        state=said,
        cause=cut(cause, 160),
        cluster=incident.subject.cluster if given.context.clusters > 1 else "",
        who=f"quiet {given.context.quiet}" if given.context.quiet else "",
        after=_after(given),
    )


# --- what to do ---------------------------------------------------------------------------------------------------------

_ON_THE_CLUSTER = ("kubectl", "flux", "helm", "velero", "sudo", "ssh", "systemctl", "k3s", "etcdctl", "amtool")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _steps(steps: Sequence[Advice]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Commands that only read, and what to look for in words."""
    looks = [step_ for step_ in steps if step_.act is Act.LOOK][:LOOKS]
    return tuple(look.run.strip() for look in looks if look.run.strip()), tuple(
        lowered(_one_line(look.text)) for look in looks if look.text.strip()
    )


_COMMITS = re2.compile(r"(?i)\bgit\b|\bcommit|\brevert|\bspec\.|\bvalues\b")


def _fix(hint: Hint) -> tuple[str, str, bool]:
    """The first thing to change: words, command, and whether it is a commit."""
    advice = next((step_ for step_ in hint.steps if step_.act is Act.CHANGE), None)
    if advice is None:
        return "", "", True
    run, text = advice.run.strip(), _one_line(advice.text)
    in_git = not run.startswith(_ON_THE_CLUSTER) and bool(
        hint.heals is Heals.COMMIT or _COMMITS.search(f"{run} {text}")
    )
    return lowered(re2.sub(r",? in Git\b,?", "", text) if in_git else text), run, in_git


def _path(hint: Hint) -> tuple[str, ...]:
    """`Pod › CrashLoopBackOff › how did it end?`: the tree, what was answered, and what was not."""
    if not hint.title:
        return ()
    answers = [answered.answer for answered in hint.path]
    shown = [answers[0], "…", answers[-1]] if len(answers) > 3 else answers
    return (hint.title.rstrip("?"), *shown, *([lowered(hint.question)] if hint.question and not hint.leaf else []))


_STOCK = "https://runbooks.prometheus-operator.dev/"
_NO_PAGE = frozenset(
    """
    alertmanagerclusterfailedpeers kubeapiinstanceunreachable kubecontrollermanagerinstanceunreachable kubeproxyinstanceunreachable
    kubeschedulerinstanceunreachable kubeletinstanceunreachable kubedeploymentrolloutstuck kubejobnotcompleted kubenodeeviction
    kubenodepressure kubepdbnotenoughhealthypods kubepersistentvolumeinodesfillingup nodebondingdegraded nodecpuhighusage
    nodediskiosaturation nodememoryhighutilization nodememorymajorpagesfaults nodesystemsaturation nodesystemdservicecrashlooping
    nodesystemdservicefailed prometheushighqueryload prometheuskuberneteslistwatchfailures prometheussdrefreshfailure
    prometheusscrapebodysizelimithit prometheusscrapesamplelimithit prometheusoperatorstatusupdateerrors grafanarequestsfailing
    etcddatabasehighfragmentationratio etcddatabasequotalowspace etcdexcessivedatabasegrowth etcdhighcommitdurations
    etcdhighnumberoffailedproposals etcdhighnumberofleaderchanges etcdmembercommunicationslow
    """.split()  # noqa: SIM905  # names read better than thirty quoted strings
)
"""Alerts whose stock runbook link leads nowhere (reference: enrichment.md §5.3)."""


def _links(lead: Signal | None) -> tuple[Link, ...]:
    if lead is None:
        return ()
    named = (
        ("Runbook", "runbook_url"),
        ("Dashboard", "dashboard_url"),
        ("Panel", "panel_url"),
        ("Graph", "generator_url"),
        ("Silence", "silence_url"),
    )
    found = [Link(label, url.strip()) for label, key in named if (url := lead.attributes.get(key, ""))]
    dead = [
        link
        for link in found
        if link.url.startswith(_STOCK) and link.url.rstrip("/").rsplit("/", 1)[-1].lower() in _NO_PAGE
    ]
    return tuple(link for link in found if link not in dead)[:LINKS]


def _with_url(change: Change | None, repositories: Mapping[str, str]) -> Change | None:
    """`change` with the page of its commit, where its repository has one."""
    if change is None or change.url:
        return change
    base = repositories.get(change.repository, "").rstrip("/")
    return (
        replace(change, url=f"{base}/commit/{change.revision}")
        if base and re2.fullmatch(r"[0-9a-f]{7,64}", change.revision)
        else change
    )


# --- the card -----------------------------------------------------------------------------------------------------------


def _notes(given: _Given) -> tuple[str, ...]:
    incident, handles = given.incident, given.context.handles
    notes = []
    if incident.reopenings:
        notes.append(f"reopened {plural(incident.reopenings, 'time')}")
    if given.lead is not None and given.lead.source is Source.FLUX and step(given.lead.count) >= 5:
        notes.append(f"said {step(given.lead.count)}+ times")
    if incident.follows:
        notes.append(f"after {handles.get(incident.follows, incident.follows[:4])}")
    if incident.folded_into:
        notes.append(f"part of {handles.get(incident.folded_into, incident.folded_into[:4])}")
    if incident.reason is Reason.NO_NEWS:
        notes.append("its next event or alert would tell")
    return tuple(notes)


def _open(given: _Given) -> Card:
    incident, hint, lead, context = given.incident, given.hint, given.lead, given.context
    state, why = _state(given), _why(given)
    headline = _headline(given, state)
    rows = _rows(given)
    look, look_at = _steps(hint.steps)
    fix, fix_run, in_git = _fix(hint)
    leaf_url = f"{context.handbook}#{hint.leaf.lower()}" if context.handbook and hint.leaf else ""
    return Card(
        incident=incident.id,
        handle=context.handles.get(incident.id, incident.handle),
        headline=headline,
        severity=incident.severity,
        state=headline.state if incident.reason is not Reason.NO_NEWS and not incident.flapping else state,
        why=why,
        certainty=hint.certainty,
        place=_place(given),
        since=incident.since,
        heard=max((signal.seen_at for signal in given.members), default=None)
        if incident.reason is Reason.NO_NEWS
        else None,
        companions=_companions(given),
        impact=hint.impact,
        change=_with_url(context.change, context.repositories),
        evidence=_evidence(given, why, headline.cause),
        rows=rows[:ROWS],
        more_rows=max(0, len(rows) - ROWS),
        look=look,
        look_at=look_at,
        checklist=hint.checklist[:6],
        fix=fix,
        fix_run=fix_run,
        fix_in_git=in_git,
        path=_path(hint),
        leaf=hint.leaf,
        leaf_url=leaf_url,
        alertname=(lead.alertname or lead.reason) if lead else "",
        links=_links(lead),
        cluster=incident.subject.cluster,
        sources=tuple(sorted({signal.source.value for signal in given.members} or {incident.source.value})),
        notes=_notes(given),
    )


def _ended(given: _Given) -> tuple[str, str, str]:
    """State and remark of a closed headline, and how it ended."""
    incident, fixed_by = given.incident, given.context.fixed_by
    if incident.reason is Reason.EXPIRED:
        return "is closed without news", "", "nobody said whether it is over"
    if incident.reason in {Reason.CLOSED_BY_HAND, Reason.CHANNEL_REMOVED} or incident.closed_by:
        by = incident.closed_by or "hand"
        return f"is closed by {by}", "", f"closed by {by}"
    if fixed_by is not None:
        return "", f"fixed by {fixed_by.revision}", "fixed by"
    return "", "", ""


def _record(card: Card, given: _Given) -> Card:
    """The Card of what is over: past tense, cause, duration, what fixed it, and a short timeline; nothing left to do."""
    incident, hint = given.incident, given.hint
    until = incident.closed_at if incident.closed_at is not None else given.context.now
    # The sender's clock and ours are never subtracted, but where the difference is no skew: then the relay came late.
    began = incident.since if incident.opened_at - incident.since > SKEW else incident.opened_at
    lasted = max(0.0, until - began)
    state, after, ended = _ended(given)
    was = past(_state(given) or "").strip()
    cause = past(hint.cause) or ("" if was else _summary(given.lead))
    why = f"{was}: {lowered(cause)}" if was and cause else was or cause
    return replace(
        card,
        headline=replace(
            card.headline, state=state or f"recovered after {duration(lasted)}", cause="", after=after, who=""
        ),
        why=raised_first(of_many(why) if given.is_group else why),
        until=until,
        lasted=lasted,
        impact="",
        evidence=(),
        look=(),
        look_at=(),
        checklist=(),
        fix="",
        fix_run="",
        timeline=_timeline(given, until),
        ended=ended,
        fixed_by=_with_url(given.context.fixed_by, given.context.repositories),
        links=tuple(link for link in card.links if link.label != "Silence"),
    )


def _timeline(given: _Given, until: Instant) -> tuple[Moment, ...]:
    """What happened, oldest first: from the journal where it is known, else from the Signals."""
    incident, context = given.incident, given.context
    moments = list(context.timeline)
    if not moments:
        moments = [Moment(incident.since, _state(given) or _summary(given.lead) or "began")]
        joined: dict[str, Instant] = {}
        for signal in given.members:
            if signal.key != incident.lead and signal.since > incident.since:
                name, state = called(raised(signal.subject)), state_of(signal.reason, signal.alertname)
                said = (state if name == called(given.subject) else f"{name} {state}".strip()) or signal.alertname
                joined[said] = min(signal.since, joined.get(said, signal.since))
        moments += [Moment(at, said) for said, at in joined.items()]
        if given.lead is not None and given.lead.remediated:
            moments.append(Moment(given.lead.sent_at, _UNDONE.get(given.lead.remediated, "undone by Helm")))
    moments = sorted((moment for moment in moments if moment.at <= until), key=lambda moment: moment.at)
    end = {Reason.EXPIRED: "closed without news", Reason.CLOSED_BY_HAND: "closed by hand"}.get(
        incident.reason, "recovered"
    )
    if len(moments) > TIMELINE - 1:
        moments = [*moments[:2], *moments[-(TIMELINE - 3) :]]
    return (*moments, Moment(until, end))
