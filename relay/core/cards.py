"""A Card says each thing once, in people's words, and claims no more than was said; equal Incidents give equal Cards.

`build` is all: Incident, its Signals, its Hint and a Context go in, a Card comes out. Nothing is escaped here; where it is shown, it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

import re2

from relay.core import own, timeline
from relay.core.card import Brief, Card, Change, Headline, Link, Moment, Row, Sign
from relay.core.event import EMPTY, Instant, Severity, Source, Subject
from relay.core.evidence import MOST, evidence, first_line, quieted
from relay.core.folding import PROGRESS
from relay.core.identity import handle_of, raised
from relay.core.incident import Incident, Reason
from relay.core.saying import called, counted, is_workload, named, root_says, state_of
from relay.core.severities import LOWERED, RAISED
from relay.core.signal import Signal, State
from relay.core.tree import Act, Advice, Certainty, Heals, Hint
from relay.core.wording import cut, duration, lowered, of_many, past, plural, raised_first, step

GROUP_FROM = 3
"""So many things that fail together are rows; fewer are companions."""
ROWS = 5
LOOKS = 3
LINKS = 5
BESIDE_A_CAUSE = 180
"""Code points of evidence where the cause is known: the end of the sender's words, which a person compares."""
CHANGE_WITHIN = 30 * 60.0
"""A change so many seconds before is news on the lock screen."""
SKEW = 600.0
"""Seconds by which a sender's clock may be off; a start longer ago than that was simply not heard of before."""


_NO_HINT: Final = Hint(tree="", title="")
EMPTY_COUNT: Final[Mapping[str, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Context:
    """What a Card needs besides its Incident: the time, and what the rest of the database knows of it."""

    now: Instant
    clusters: int = 1
    """How many are known; with one its name is not said."""
    repositories: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    """`namespace/name` of a source object → its web address."""
    handbook: str | None = None
    """Where the trees are drawn: a page, or with `{tree}` in it one for each tree, with an anchor for each leaf."""
    handles: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    """Incident id → the handle people type, where four characters are not enough."""
    change: Change | None = None
    """The last change of its object before it began."""
    fixed_by: Change | None = None
    healed: int = 0
    """How often its object failed and healed by itself in the last day, before anybody was shown."""
    effects: tuple[Subject, ...] = ()
    """Of the Incidents folded into it, the first ones."""
    kinds: Mapping[str, int] = field(default_factory=lambda: EMPTY_COUNT)
    """How many of its effects are of each kind."""
    probably: bool = False
    """Not all of them are proven."""
    part_of: str = ""
    """The name of the root that it is folded into."""
    part_url: str = ""
    """Where that is shown."""
    timeline: tuple[Moment, ...] = ()
    """`timeline.moments` of the journal; without it what the Signals tell is told."""
    quiet: str = ""
    """`until 07:30, by ada`, while a quiet rule holds."""
    late: float = 0.0
    """Seconds between when it should first have been shown and now; 0 where it is in time or was shown before."""


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
        return len(self.things) >= (2 if self.incident.root else GROUP_FROM)

    @property
    def subject(self) -> Subject:
        """What the card's words are about: the lead's, which still fires while the Incident is open."""
        if self.incident.root:
            return self.incident.subject
        return raised(self.lead.subject if self.lead is not None else self.incident.subject)

    @property
    def is_own(self) -> bool:
        """Whether the relay speaks of itself."""
        return self.incident.source is Source.RELAY and not self.incident.root

    @property
    def since(self) -> Instant:
        """When it began; where what began it is over, when the first of what goes on did."""
        incident = self.incident
        if not incident.is_open or self.lead is None or incident.root or self.subject == raised(incident.subject):
            return incident.since
        return min((signal.since for signal in self.members if signal.keeps_open), default=incident.since)


def leading(incident: Incident, members: Sequence[Signal]) -> Signal | None:
    """Whose words title the card: the Incident's lead, unless that is over while others, of which the worst stands first, go on."""
    lead = next((signal for signal in members if signal.key == incident.lead), None)
    if lead is not None and (lead.keeps_open or not incident.is_open):
        return lead
    return members[0] if members else lead


def build(incident: Incident, members: Sequence[Signal], hint: Hint | None, context: Context) -> Card:
    """The Card of `incident`. `members` are its Signals, firing first, worst first, at most 200 of them; of a root its effects'."""
    lead = leading(incident, members)
    given = _Given(incident, members, lead, hint or _NO_HINT, context, _things(incident, members))
    card = _open(given)
    if not incident.is_open:
        return _record(card, given)
    return _part(card, given) if incident.folded_into else card


# --- who is meant -------------------------------------------------------------------------------------------------------


def _things(incident: Incident, members: Sequence[Signal]) -> tuple[tuple[Subject, tuple[Signal, ...]], ...]:
    found: dict[str, tuple[Subject, list[Signal]]] = {}
    for signal in members:
        if incident.is_open and signal.state is not State.FIRING and incident.firing.total:
            continue
        found.setdefault(_thing(signal), (raised(signal.subject), []))[1].append(signal)
    return tuple((subject, tuple(signals)) for subject, signals in found.values())


def _thing(signal: Signal) -> str:
    """Equal for what people call by one name; the same in several clusters is one."""
    subject = raised(signal.subject)
    kind = "" if is_workload(subject) else subject.kind
    return f"{kind}\n{subject.namespace}\n{subject.name}"


def _recovered(given: _Given) -> str:
    """Who of an open Incident is well again, by name: `sonarr, radarr recovered`."""
    if not given.incident.is_open or given.is_group:
        return ""
    firing = {_thing(signal) for _, signals in given.things for signal in signals}
    over = (signal for signal in given.members if signal.state is State.RESOLVED and _thing(signal) not in firing)
    names = _some(list(dict.fromkeys(name for signal in over if (name := called(raised(signal.subject))))))
    return f"{', '.join(names)} recovered" if names else ""


def _object(given: _Given) -> str:
    """As people say it; what has no object is called by its job, its namespace, or its alert."""
    subject, lead = given.subject, given.lead
    name = called(subject)
    if not name and lead is not None:
        labels = lead.labels
        name = labels.get("job") or labels.get("service") or subject.namespace or lead.alertname
    name = name or subject.namespace or subject.cluster or "something"
    others = len(given.things) - 1
    return f"{name} and {others} more" if given.is_group and not given.incident.root else name


def _place(given: _Given) -> str:
    subject = given.subject
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
    return plural(max(len(given.things), given.incident.effects.total if given.incident.root else 0), noun) + where


def _places(given: _Given) -> str:
    """The place of a group that is over, whose rows have nothing left to tell but their names."""
    names = [name for thing, _ in given.things if (name := called(thing))]
    more = len(names) - ROWS
    return f"{_place(given)}: {', '.join(names[:ROWS])}{f' +{more}' if more > 0 else ''}"


def _companions(given: _Given) -> str:
    """`Flux apps, 2 alerts`: other things by name, then how many more alerts the same thing has."""
    effects = _effects(given)
    if given.incident.root:
        return ""
    if given.is_group:
        firing, all_of_them = given.incident.firing.total, given.incident.members
        many = (
            f"{firing} of {all_of_them} alerts fire"
            if given.incident.is_open and firing < all_of_them
            else f"{all_of_them} alerts"
        )
        return ", ".join([many, *effects])
    own = called(given.subject)
    others = [name for thing, _ in given.things if (name := called(thing)) and name != own]
    same = {signal.alertname for thing, signals in given.things if called(thing) == own for signal in signals} - {
        given.lead.alertname if given.lead else ""
    }
    beside = _some(list(dict.fromkeys(others)))
    return ", ".join([*beside, *effects, *([plural(len(same), "alert")] if same else [])])


NAMED: Final = 5
"""So many effects are called by their names; of more two, and how many they are."""


def _effects(given: _Given) -> list[str]:
    """`Flux apps, radarr, +15 folded`: what is folded into it; of what stock labels cannot prove it says so."""
    total = given.incident.effects.total
    names = [name for subject in given.context.effects if (name := called(raised(subject)))]
    shown = names[: NAMED if total <= NAMED else 2]
    more = total - len(shown)
    said = [*shown, *([f"+{more} folded"] if more > 0 else [])]
    return [f"probably {said[0]}", *said[1:]] if said and given.context.probably else said


def _some(names: list[str]) -> list[str]:
    return [*names[:2], f"{len(names) - 2} more"] if len(names) > 2 else names


def _rows(given: _Given) -> tuple[Row, ...]:
    if not given.is_group:
        return ()
    state = _says(given.lead) if given.incident.root and given.lead is not None else _state(given)
    many = len({thing.namespace for thing, _ in given.things}) > 1
    rows = []
    for thing, signals in given.things:
        worst = max(signals, key=lambda signal: (signal.keeps_open, signal.severity))
        alike = given.lead is not None and (worst.reason, worst.alertname) == (given.lead.reason, given.lead.alertname)
        says = (state if alike else "") or _says(worst)
        firing = sum(signal.keeps_open for signal in signals)
        name = thing.place if many and is_workload(thing) else called(thing) or worst.alertname
        severity = worst.severity if firing or not given.incident.is_open else Severity.NONE
        row = Row(severity, name, says if firing else "", firing, len(signals) - firing)
        rows.append((row, given.lead not in signals))
    ordered = sorted(rows, key=lambda pair: (-pair[0].severity, pair[1], -pair[0].firing, pair[0].name))
    return tuple(row for row, _ in ordered)


# --- what is wrong ------------------------------------------------------------------------------------------------------

_CHART = re2.compile(r" with chart [^@\s]+@v?([0-9A-Za-z.-]{1,24})")
_LEFT_BY_HELM: Final[Mapping[str, str]] = {
    "RollbackSucceeded": "the old version runs",
    "UninstallSucceeded": "nothing of it runs",
}


def _says(signal: Signal) -> str:
    """Its state where no tree knows one."""
    return state_of(signal.reason, signal.alertname) or named(signal.reason, signal.alertname)


def _state(given: _Given) -> str:
    lead = given.lead
    if given.incident.root:
        return root_says(given.incident.root)
    if lead is None:
        return given.hint.says
    state = own.says(lead.labels) if lead.source is Source.RELAY else ""
    state = state or given.hint.says
    if not state:
        version = _CHART.search(lead.message) if lead.reason == "UpgradeFailed" else None
        state = f"{version[1]} failed" if version else _says(lead)
    undone = timeline.UNDONE.get(lead.remediated, "")
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


def _told(given: _Given, state: str) -> str:
    """The sender's own cause, where no tree knows one: an alert whose state is said has none besides."""
    lead = given.lead
    if (
        lead is not None
        and lead.source is Source.ALERTMANAGER
        and state not in ("", named(lead.reason, lead.alertname))
    ):
        return ""
    return _summary(lead)


def _why(given: _Given) -> str:
    hint, lead = given.hint, given.lead
    if hint.cause:
        likely = hint.certainty is Certainty.LIKELY and not given.is_own
        return f"Likely: {lowered(hint.cause)}" if likely else hint.cause
    if hint.question:
        who = {Source.FLUX: "Flux does", Source.ALERTMANAGER: "The alert does"}.get(
            given.incident.source, "Nobody does"
        )
        return f"{hint.question} {who.replace('Nobody does', 'Nobody could')} not say".replace("could not say", "said")
    return raised_first(_summary(lead))


def _title(given: _Given, why: str, headline: Headline) -> str:
    """`why`; the sender's own words only where the headline does not say all of them."""
    if given.hint.cause or given.hint.question:
        return why
    cause = headline.cause.rstrip(".:…").lower()
    said = bool(cause) and why.rstrip(".:").lower() == cause and f": {headline.cause}" in headline.spoken()
    return "" if said else why


_MEASURED = re2.compile(r"\d ?(?:%|[KMGT]i?B\b|bytes|seconds|minutes|hours|days|times|replicas|req)")


def _evidence(given: _Given, *besides: str) -> tuple[str, ...]:
    """The message, where it says more than the Card does: Flux's always, an alert's if no tree knew it or if it measures."""
    lead = given.lead
    if lead is None or lead.source is Source.RELAY or (given.is_group and lead.source is not Source.FLUX):
        return ()
    knows = bool(given.hint.cause or given.hint.question)
    if lead.source is Source.ALERTMANAGER and knows and not _MEASURED.search(lead.message):
        return ()
    said = {text.rstrip(".:").lower() for text in besides}
    return tuple(
        line
        for line in evidence(lead.message, most=BESIDE_A_CAUSE if given.hint.cause else MOST)
        if line.rstrip(".:").lower() not in said
    )


def _sign(given: _Given) -> Sign:
    incident = given.incident
    if not incident.is_open:
        return _ENDS.get(incident.reason, Sign.RECOVERED)
    if incident.root == PROGRESS:
        return Sign.ON_ITS_WAY
    if given.is_own:
        return Sign.RELAY
    if incident.silent_since is not None:
        return Sign.NO_NEWS
    if incident.flapping:
        return Sign.FLAPPING
    if given.context.quiet:
        return Sign.QUIET
    return {Severity.CRITICAL: Sign.PAGE, Severity.ERROR: Sign.BROKEN, Severity.WARNING: Sign.WARNING}.get(
        incident.severity, Sign.INFO
    )


_ENDS: Final = {Reason.EXPIRED: Sign.NO_NEWS, Reason.STALLED: Sign.ON_ITS_WAY}
LATE: Final = 300.0
"""Seconds after which a Card says that it comes late: what it tells may be over, or long known."""


def _after(given: _Given) -> str:
    """Why this is news, in the fewest words."""
    incident, change = given.incident, given.context.change
    if given.context.late > LATE:
        return f"told {duration(given.context.late)} late"
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


def _clusters(given: _Given) -> str:
    """Where it fails: in several clusters, where one failure is the same in all of them."""
    found = {signal.subject.cluster for _, signals in given.things for signal in signals}
    found = found or {given.incident.subject.cluster}
    return ", ".join(sorted(found)) if len(found) <= 2 else f"{len(found)} clusters"


def _headline(given: _Given, state: str) -> Headline:
    hint, incident = given.hint, given.incident
    cause = lowered(hint.cause).replace("`", "")
    knows = hint.cause or hint.question
    if given.is_own or (not knows and not (given.is_group and state)):
        cause = _told(given, state)
    said = of_many(state) if given.is_group and not incident.root else state
    if incident.root or (incident.subject.kind == "Node" and incident.effects.total > 1):
        cause = _consequences(given)
    if incident.silent_since is not None:
        said, cause = "has sent no news", f"it {past(said)}" if said else cause
    elif incident.flapping:
        said, cause = "is flapping", said.removeprefix("is ") or cause
    return Headline(
        sign=_sign(given),
        object=_object(given),
        state=said,
        cause=cut(cause, 160),
        cluster=_clusters(given) if given.context.clusters > 1 else "",
        who=f"quiet {given.context.quiet}" if given.context.quiet else owner_of(given.lead),
        after=_after(given),
    )


def _consequences(given: _Given) -> str:
    """What a cause brings about: `19 Kustomizations cannot be applied`, where all of one kind fail alike; else how many of each."""
    said = counted(given.context.kinds, most=2)
    states = {_says(signal) for signal in given.members}
    if given.incident.root and len(given.context.kinds) == 1 and len(states) == 1 and given.incident.effects.total > 1:
        return f"{said} {of_many(states.pop())}".strip()
    return f"probably {said}" if said and given.context.probably else said


def _parted(headline: Headline, given: _Given) -> Headline:
    """The headline of what is folded, or was to its end: it leads to its root."""
    probably = "probably " if given.incident.probably else ""
    cause = given.context.part_of
    if not given.incident.is_open and given.incident.reason is not Reason.FOLDED:
        return replace(headline, sign=Sign.POINTER, cause=f"part of {cause}" if cause else "")
    return replace(
        headline, sign=Sign.POINTER, state=f"is {probably}part of another problem", cause=cause, after="", who=""
    )


def _part(card: Card, given: _Given) -> Card:
    """The Card of what is folded into another: where that is; what to do stands there."""
    url = given.context.part_url
    return replace(
        card,
        headline=_parted(card.headline, given),
        why="",
        companions="",
        impact="",
        change=None,
        evidence=(),
        rows=(),
        more_rows=0,
        look=(),
        look_at=(),
        checklist=(),
        fix="",
        fix_run="",
        path=(),
        leaf="",
        leaf_url="",
        links=(Link("The cause", url),) if url else (),
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


def _look_of(given: _Given, look: Sequence[str]) -> str:
    """Whose commands they are, where the card is about several."""
    name = given.subject.name
    return called(given.subject) if given.is_group and name and any(name in run for run in look) else ""


def _impact(given: _Given) -> str:
    """The tree's words, of one object; of several they are said in the plural. Without a tree what Helm left running."""
    impact = given.hint.impact or (_LEFT_BY_HELM.get(given.lead.remediated, "") if given.lead is not None else "")
    return f"they {of_many(impact[3:])}" if given.is_group and impact.startswith("it ") else impact


def _alertname(lead: Signal | None, headline: Headline) -> str:
    name = (lead.alertname or lead.reason) if lead is not None else ""
    return "" if name and headline.state.endswith(f" {name}") else name


_COMMITS = re2.compile(r"(?i)\bgit\b|\bcommit|\brevert|\bspec\.|\bvalues\b")


def _fix(hint: Hint, lead: Signal | None) -> tuple[str, str, bool]:
    """The first thing to change: words, command, and whether it is a commit."""
    if lead is not None and (cure := lead.attributes.get(own.CURE, "")) and lead.source is Source.RELAY:
        return cure, "", False
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
    if not hint.path and not hint.leaf and not hint.question:
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
    if given.lead is not None:
        said = (("raised", RAISED), ("lowered", LOWERED))
        notes += [f"{word}: {why}" for word, label in said if (why := given.lead.labels.get(label, ""))]
    if given.lead is not None and given.lead.remediated and incident.is_open:
        notes.append("Flux does not try again")
    if recovered := _recovered(given):
        notes.append(recovered)
    if incident.reopenings:
        notes.append(f"reopened {plural(incident.reopenings, 'time')}")
    if given.lead is not None and given.lead.source is Source.FLUX and step(given.lead.count) >= 5:
        notes.append(f"said {step(given.lead.count)}+ times")
    if given.context.healed:
        notes.append(f"healed by itself {plural(given.context.healed, 'time')} in the last day")
    if incident.follows:
        notes.append(f"after {handles.get(incident.follows, handle_of(incident.follows))}")
    if incident.folded_into:
        notes.append(f"part of {handles.get(incident.folded_into, handle_of(incident.folded_into))}")
    if incident.silent_since is not None:
        notes.append("its next event or alert would tell")
    return tuple(notes)


def owner_of(lead: Signal | None) -> str:
    """Whose it is, by the sender's label, annotation or metadata `owner`, else `team`; never by its text."""
    if lead is None:
        return ""
    for name in ("owner", "team"):
        if owner := lead.labels.get(name, "") or lead.attributes.get(name, ""):
            return cut(" ".join(owner.split()), 63)
    return ""


def _leaf_url(handbook: str | None, hint: Hint) -> str:
    if not handbook or not hint.leaf:
        return ""
    return f"{handbook.replace('{tree}', hint.tree)}#{hint.leaf.lower()}"


def _open(given: _Given) -> Card:
    incident, hint, lead, context = given.incident, given.hint, given.lead, given.context
    state, why = _state(given), _why(given)
    headline = _headline(given, state)
    rows = _rows(given)
    astray = given.is_own and not hint.cause and not hint.question
    look, look_at = _steps(() if astray else hint.steps)
    fix, fix_run, in_git = _fix(hint, lead)
    leaf_url = _leaf_url(context.handbook, hint)
    return Card(
        incident=incident.id,
        handle=context.handles.get(incident.id, incident.handle),
        headline=headline,
        severity=incident.severity,
        state=headline.state if incident.silent_since is None and not incident.flapping else state,
        why=_title(given, why, headline),
        certainty=hint.certainty,
        place=_place(given),
        since=given.since,
        heard=incident.silent_since,
        companions=_companions(given),
        impact=_impact(given),
        change=_with_url(context.change, context.repositories),
        evidence=_evidence(given, why, headline.cause),
        rows=rows[:ROWS],
        more_rows=max(0, max(len(rows), incident.effects.total if incident.root and rows else 0) - ROWS),
        look=look,
        look_at=look_at,
        look_of=_look_of(given, look),
        checklist=hint.checklist[:6],
        fix=fix,
        fix_run=fix_run,
        fix_in_git=in_git,
        path=_path(hint),
        leaf=hint.leaf,
        leaf_url=leaf_url,
        alertname=_alertname(lead, headline),
        links=_links(lead),
        cluster=_clusters(given),
        sources=tuple(sorted({signal.source.value for signal in given.members} or {incident.source.value})),
        notes=_notes(given),
        owner=owner_of(lead),
    )


def _ended(given: _Given) -> tuple[str, str, str]:
    """State and remark of a closed headline, and how it ended."""
    incident, fixed_by = given.incident, given.context.fixed_by
    if incident.reason is Reason.EXPIRED:
        return "is closed without news", "", "nobody said whether it is over"
    if incident.reason is Reason.STALLED:
        return "does not move any more", "", "what still fails is told by itself"
    if incident.root == PROGRESS:
        return f"is ready after {duration(_over(given)[1])}", "", ""
    if incident.reason in {Reason.CLOSED_BY_HAND, Reason.CHANNEL_REMOVED} or incident.closed_by:
        by = incident.closed_by or "hand"
        return f"is closed by {by}", "", f"closed by {by}"
    if fixed_by is not None:
        return "", f"fixed by {fixed_by.revision}", "fixed by"
    return "", "", ""


def _over(given: _Given) -> tuple[Instant, float]:
    """When it ended, and how many seconds it lasted."""
    incident = given.incident
    until = incident.closed_at if incident.closed_at is not None else given.context.now
    # The sender's clock and ours are never subtracted, but where the difference is no skew: then the relay came late.
    began = incident.since if incident.opened_at - incident.since > SKEW else incident.opened_at
    return until, max(0.0, until - began)


def _recovered_after(headline: Headline, given: _Given, lasted: float) -> Headline:
    state, after, _ = _ended(given)
    said = replace(headline, state=state or f"recovered after {duration(lasted)}", cause="", after=after, who="")
    return _parted(said, given) if given.incident.folded_into else said


def brief(incident: Incident, members: Sequence[Signal], hint: Hint | None, context: Context) -> Brief:
    """`build(…).brief` at a fraction of its cost, with the namespace: of one among hundreds nothing more is shown."""
    given = _Given(incident, members, leading(incident, members), hint or _NO_HINT, context, _things(incident, members))
    state = _state(given)
    headline = _headline(given, state)
    short = Brief(
        incident=incident.id,
        handle=context.handles.get(incident.id, incident.handle),
        headline=headline,
        severity=incident.severity,
        state=headline.state if incident.silent_since is None and not incident.flapping else state,
        namespace="" if given.is_group else given.subject.namespace,
        since=given.since,
    )
    if incident.is_open:
        return replace(short, headline=_parted(headline, given)) if incident.folded_into else short
    until, lasted = _over(given)
    return replace(short, headline=_recovered_after(headline, given, lasted), until=until, lasted=lasted)


def _record(card: Card, given: _Given) -> Card:
    """The Card of what is over: past tense, cause, duration, what fixed it, and a short timeline; nothing left to do."""
    hint, context = given.hint, given.context
    incident = given.incident
    until, lasted = _over(given)
    _, _, ended = _ended(given)
    was = past(_state(given)).strip()
    cause = past(hint.cause) or _told(given, _state(given))
    why = f"{was}: {lowered(cause)}" if was and cause else was or cause
    return replace(
        card,
        headline=_recovered_after(card.headline, given, lasted),
        why=raised_first(of_many(why) if given.is_group else why),
        place=_places(given) if given.is_group else card.place,
        rows=(),
        more_rows=0,
        until=until,
        lasted=lasted,
        impact="",
        evidence=(),
        look=(),
        look_at=(),
        checklist=(),
        fix="",
        fix_run="",
        timeline=context.timeline or timeline.moments(incident, given.members, ()),
        ended=ended,
        fixed_by=_with_url(context.fixed_by, context.repositories),
        links=tuple(link for link in card.links if link.label != "Silence"),
    )
