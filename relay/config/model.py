"""What may stand in the YAML file, and what each setting means: the JSON Schema and the reference are made from here.

The models hold what was written, checked; `relay.config.load` makes the frozen values. Secrets never stand in them, only paths.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from relay.core.event import SEVERITY_WORDS, Severity
from relay.core.labels import MatcherError, parse
from relay.core.quiet import LONGEST

DAY: Final = 86400.0
_UNITS: Final = {"d": DAY, "h": 3600.0, "m": 60.0, "s": 1.0}
_DURATION: Final = r"^(?:0|(?=[0-9])(?:[0-9]{1,5}d)?(?:[0-9]{1,6}h)?(?:[0-9]{1,7}m)?(?:[0-9]{1,8}s)?)$"
_CLOCK: Final = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
_WINDOW: Final = r"^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$"
_NAME: Final = r"^[a-z0-9][a-z0-9-]{0,31}$"
_MENTION: Final = r"^<@&?[0-9]{1,20}>$"
_OBJECT: Final = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
_PATH: Final = r"^(/[A-Za-z0-9._~-]+)+/?$"


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean …?` for the nearest of `known`, else nothing."""
    near = difflib.get_close_matches(word.lower()[:64], list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def shown(text: str) -> str:
    """What somebody wrote, on one short line."""
    return repr(text if len(text) <= 60 else text[:60] + "…")


def seconds(text: str) -> float:
    """`30s 5m 2h 7d`, also together as `1h30m`, in seconds. Raises ValueError."""
    if not re.fullmatch(_DURATION, text):
        raise ValueError(f"{shown(text)} is no duration: write 30s, 5m, 2h or 7d")
    return sum(float(count) * _UNITS[unit] for count, unit in re.findall(r"([0-9]+)([dhms])", text))


def window(text: str) -> tuple[time, time]:
    """`22:00-07:30` as its begin and end, by the wall clock of a zone. Raises ValueError."""
    if not re.fullmatch(_WINDOW, text):
        raise ValueError(f'{shown(text)} is no window: write "22:00-07:30"')
    begin, end = (time.fromisoformat(clock) for clock in text.split("-"))
    if begin == end:
        raise ValueError("it begins when it ends")
    return begin, end


def _duration(least: str = "0s", most: str = "3650d") -> Callable[[str], str]:
    def check(text: str) -> str:
        value = seconds(text)
        if value < seconds(least):
            raise ValueError(f"at least {least}")
        if value > seconds(most):
            raise ValueError(f"at most {most}")
        return text

    return check


def _zero(value: object) -> object:
    """YAML's bare 0 is a duration too; another number lacks its unit."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value == 0:
            return "0s"
        raise ValueError(f"a duration has a unit: write {value}s, {value}m, {value}h or {value}d")
    return value


def _window(text: str) -> str:
    window(text)
    return text


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ValueError, OSError, KeyError):
        zones = {zone.lower(): zone for zone in available_timezones()}
        near = suggestion(text, zones)
        for low, zone in zones.items():
            near = near.replace(f" {low}?", f" {zone}?")
        raise ValueError(f"{shown(text)} is no time zone: write its name as in Europe/Prague{near}") from None
    return text


def moment(text: str, zone: tzinfo) -> float:
    """`2026-03-14 22:00`, by the wall clock of `zone` unless it says its own offset, in seconds since the epoch. Raises ValueError."""
    try:
        at = datetime.fromisoformat(text if len(text) >= len("2026-03-14 22:00") else "")
        return (at if at.tzinfo is not None else at.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f'{shown(text)} is no time: write "2026-03-14 22:00"') from None


def end_of(lasts: str, until: str, now: float, zone: tzinfo) -> float:
    """When something ends that `lasts` so long (`2h`) or goes on `until` then: `07:30`, the next one, or `2026-03-14 22:00`.

    Exactly one of the two is given. Raises ValueError.
    """
    if bool(lasts) == bool(until):
        raise ValueError("say how long (2h) or until when (07:30): one of the two")
    if lasts:
        return now + seconds(lasts)
    if not re.fullmatch(_CLOCK, until):
        return moment(until, zone)
    here = datetime.fromtimestamp(now, zone)
    today = datetime.combine(here.date(), time.fromisoformat(until), zone)
    return (today if today > here else today + timedelta(days=1)).timestamp()


def _moment(text: str) -> str:
    moment(text, UTC)
    return text


def _matcher(text: str) -> str:
    try:
        parse(text)
    except MatcherError as error:
        raise ValueError(str(error)) from None
    return text


def _named(text: str) -> str:
    if not re.fullmatch(_NAME, text):
        raise ValueError(
            f"{shown(text)} is no name: lower case letters, digits and -, at most 32, a letter or digit first"
        )
    return text


def _label(text: str) -> str:
    if not text.strip() or text != text.strip() or len(text) > 63 or not text.isprintable():
        raise ValueError("one line of at most 63 characters, without spaces around it")
    return text


def _mention(text: str) -> str:
    if re.fullmatch(_MENTION, text):
        return text
    if text.isascii() and text.isdigit() and len(text) <= 20:
        raise ValueError(f'an id alone does not say of whom: write "<@&{text}>" for a role or "<@{text}>" for a person')
    raise ValueError('only a role or a person is mentioned: write "<@&1234>" or "<@1234>"')


def _digits(value: object) -> object:
    """An id without quotes is a number to YAML."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _thread_id(text: str) -> str:
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise ValueError("a thread is its id, digits only")
    return text


def _address(text: str) -> str:
    try:
        parts = urlsplit(text)
        whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
        parts = urlsplit("")
    if not whole or not text.isprintable() or " " in text or len(text) > 1024:
        raise ValueError("a web address: https://git.example.org/ops/cluster")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address without a user or a password: secrets never stand in this file")
    if parts.query or parts.fragment:
        raise ValueError("an address without ? and #: links are made from it")
    return text


def _repository(text: str) -> str:
    if len(text) > 317 or not re.fullmatch(_OBJECT, text):
        raise ValueError(f"{shown(text)} is no source object: write namespace/name")
    return text


def _url_path(text: str) -> str:
    if len(text) > 128 or not re.fullmatch(_PATH, text) or "/." in text:
        raise ValueError(f"{shown(text)} is no path: write /flux")
    if (plain := text.rstrip("/")) in OWN_PATHS:
        raise ValueError(f"{plain} is the relay's own")
    return plain


def _file(text: str) -> str:
    if "://" in text:
        raise ValueError("the path of a file that holds it, not the secret itself")
    if not text.strip() or "\0" in text or "\n" in text:
        raise ValueError("the path of a file")
    return text


def _severity(value: object) -> object:
    """A sender's word where ours is due gets ours named."""
    words = [severity.word for severity in Severity]
    if isinstance(value, str) and value not in (*words, "never"):
        ours = SEVERITY_WORDS.get(value.lower())
        near = f"; did you mean {ours.word}?" if ours is not None else suggestion(value, words)
        raise ValueError(f"{shown(value)} is no severity of ours: critical, error, warning or info{near}")
    return value


def _one_is_a_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


OWN_PATHS: Final = frozenset({"/healthz", "/livez", "/readyz", "/metrics", "/health", "/live", "/ready", "/quiet"})
"""Where no source can be: the relay's own endpoints."""


def _is(what: str, *examples: str, pattern: str | None = None) -> Any:  # noqa: ANN401  # what pydantic's Field is
    """For editors and the reference: what a text is, in a few words."""
    said: dict[str, Any] = {"$comment": what} | ({"examples": list(examples)} if examples else {})
    return Field(json_schema_extra=said | ({"pattern": pattern} if pattern else {}))


def _lasting(least: str = "0s", most: str = "3650d") -> tuple[Any, ...]:
    bounds = " and ".join([f"at least {least}"] * (least != "0s") + [f"at most {most}"] * (most != "3650d"))
    said = _is("a duration" + bounds.join([", ", ""]) * bool(bounds), "30s", "5m", "2h", "7d", pattern=_DURATION)
    return (BeforeValidator(_zero), AfterValidator(_duration(least, most)), said)


Duration = Annotated[str, *_lasting()]
Hold = Annotated[str, *_lasting(most="1h")]
Minute = Annotated[str, *_lasting(least="1m")]
FiveMinutes = Annotated[str, *_lasting(least="5m")]
Ticking = Annotated[str, *_lasting(least="10s", most="1d")]
Days = Annotated[str, *_lasting(least="1d")]
Window = Annotated[str, AfterValidator(_window), _is("`from-until`", "22:00-07:30", pattern=_WINDOW)]
Moment = Annotated[str, AfterValidator(_moment), _is("a time", "2026-03-14 22:00")]
Zone = Annotated[str, AfterValidator(_zone), _is("a time zone", "Europe/Prague", "UTC")]
MatcherText = Annotated[
    str, AfterValidator(_matcher), _is("matchers", 'severity="critical"', 'namespace=~"media|apps"')
]
Name = Annotated[str, AfterValidator(_named), _is("a name", "ops", pattern=_NAME)]
Label = Annotated[str, AfterValidator(_label)]
Mention = Annotated[
    str,
    BeforeValidator(_digits, json_schema_input_type=str),
    AfterValidator(_mention),
    _is("a mention", "<@&1234>", pattern=_MENTION),
]
Thread = Annotated[
    str, BeforeValidator(_digits, json_schema_input_type=str | int), AfterValidator(_thread_id), _is("an id")
]
Address = Annotated[
    str, AfterValidator(_address), _is("a web address", "https://git.example.org/ops/cluster", pattern="^https?://")
]
Repository = Annotated[str, AfterValidator(_repository), _is("an object", "flux-system/flux-system", pattern=_OBJECT)]
UrlPath = Annotated[str, AfterValidator(_url_path), _is("a URL's path", "/flux", pattern=_PATH)]
FilePath = Annotated[str, AfterValidator(_file), _is("a path")]
Files = Annotated[
    list[FilePath],
    BeforeValidator(_one_is_a_list, json_schema_input_type=str | list[str]),
    Field(min_length=1, max_length=8),
    _is("a path or a list of paths"),
]
Mentions = Annotated[
    list[Mention],
    BeforeValidator(_one_is_a_list, json_schema_input_type=Mention | list[Mention]),
    Field(max_length=5),
    _is("a mention or a list of them"),
]
Matches = Annotated[list[MatcherText], Field(max_length=32)]
Threshold = Annotated[Literal["critical", "error", "warning", "info", "never"] | None, BeforeValidator(_severity)]
SeverityWord = Annotated[Literal["critical", "error", "warning", "info", "none"], BeforeValidator(_severity)]


class Model(BaseModel):
    """Strict, closed, and silent about what it was given."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        hide_input_in_errors=True,
        validate_default=False,
        use_attribute_docstrings=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_the_defaults(cls, value: object) -> object:
        """`incidents:` with every line below it commented out is empty, not wrong."""
        return {} if value is None else value


class BasicAuth(Model):
    """HTTP Basic, as Alertmanager's `basic_auth` sends it."""

    username: Annotated[str, Field(min_length=1, max_length=255, json_schema_extra={"pattern": "^[^:]+$"})]
    """The name the sender gives."""
    password_file: Files
    """File that holds the password; a list while it is rotated, any of them opens."""

    @model_validator(mode="after")
    def _colon_ends_a_name(self) -> BasicAuth:
        if ":" in self.username or not self.username.isprintable():
            raise ValueError("a username has no colon")
        return self


class SourceModel(Model):
    """One source. Without credentials it is served only while the relay is bound to loopback."""

    path: UrlPath | None = None
    """Where it posts to; `/` and the source's word if not given. No two sources share one."""
    cluster: Label | None = None
    """The cluster that everything from here is about, whatever the payload says."""
    hmac_key_file: Files | None = None
    """File that holds the key of Flux's `generic-hmac` Provider, or of Grafana's signature; a list while it is rotated."""
    bearer_token_file: Files | None = None
    """File that holds the token of `Authorization: Bearer`; a list while it is rotated."""
    basic_auth: BasicAuth | None = None
    """A user name and the file of its password."""
    unauthenticated: bool = False
    """`true` lets anybody in who can reach the port: only where the network itself keeps others out."""
    hold: Hold | None = None
    """How long a problem from here is held back to see whether it heals; replaces what the decision trees say."""

    @model_validator(mode="after")
    def _open_or_locked(self) -> SourceModel:
        if self.unauthenticated and (self.hmac_key_file or self.bearer_token_file or self.basic_auth):
            raise ValueError("it is unauthenticated and has credentials: leave one out")
        return self


class ListedSource(SourceModel):
    """One of several sources."""

    source: Literal["flux", "alertmanager"]
    """Who speaks: `flux`, or `alertmanager` (Grafana too)."""
    name: Name | None = None
    """Its name in metrics and logs; if not given the source's word, followed by the cluster's if that is set."""


class SourceMap(Model):
    """At most one of each. A source that is not named here is not served."""

    flux: SourceModel | None = None
    """Flux's notification-controller: a Provider of type `generic-hmac`."""
    alertmanager: SourceModel | None = None
    """Alertmanager's webhook, or Grafana's."""

    @model_validator(mode="before")
    @classmethod
    def _named_is_served(cls, value: object) -> object:
        if value == {}:
            raise ValueError("names no source: write flux:, alertmanager: or both")
        return {key: {} if item is None else item for key, item in value.items()} if isinstance(value, dict) else value


class SeverityRuleModel(Model):
    """What matches gets this severity, whatever the sender said."""

    match: Annotated[Matches, Field(min_length=1)]
    """Matchers on the labels; all of them fit."""
    severity: SeverityWord
    """The severity it gets; `none` is never shown."""


class ChannelModel(Model):
    """A named Discord webhook (and thread) that the relay keeps reconciled."""

    webhook_url_file: FilePath
    """File that holds the webhook's URL as Discord shows it. Only its id, token and thread are taken."""
    page: Threshold = "critical"
    """From which severity an opening is a new message with the mention; `never` for none."""
    notify: Threshold = "error"
    """From which severity an opening is a new message that makes a sound; `never` for none."""
    show: Threshold = "warning"
    """From which severity an opening is a message at all, without a sound; `never` for none."""
    mention: Mentions = []
    """Whom a page mentions: `<@&id>` is a role, `<@id>` a person."""
    resolved: Literal["edit", "post"] = "post"
    """How the end of what paged is shown: `edit` only turns its card into a record, `post` also says so once."""
    remind: FiveMinutes | None = None
    """Page again this long after the last page while it goes on; `null` for never."""
    thread: Thread | None = None
    """Id of the thread to post into; else the one of the webhook's URL, if it names one."""
    fallback: Name | None = None
    """The channel that shows this one's pages too while its webhook is dead."""
    status: bool = True
    """Keep the status message, made to be pinned."""
    weekly: bool = False
    """On Monday morning say in one quiet line what the last week came to."""

    @model_validator(mode="after")
    def _louder_is_rarer(self) -> ChannelModel:
        for louder, softer in (("page", "notify"), ("notify", "show")):
            high, low = (rank(getattr(self, key)) for key in (louder, softer))
            if high < low:
                words = f"{louder} ({getattr(self, louder)}) is below {softer} ({getattr(self, softer) or 'never'})"
                raise ValueError(f"{words}: page ≥ notify ≥ show, so that what pages is also shown")
        return self


def rank(threshold: str | None) -> int:
    """A threshold's order; never is above every severity."""
    return len(Severity) if threshold in (None, "never") else Severity[threshold.upper()]


class RouteModel(Model):
    """What matches goes to these channels."""

    match: Matches = []
    """Matchers on the labels, all of which fit; none match everything."""
    channels: Annotated[list[Name], Field(max_length=50)]
    """Names of channels; `[]` counts it and shows it nowhere."""
    carry_on: Annotated[bool, Field(alias="continue")] = False
    """Ask the routes below too."""


class Flapping(Model):
    """When coming and going is said once instead of each time."""

    reopenings: Annotated[int, Field(ge=1, le=100)] = 3
    """So many reopenings …"""
    within: Minute = "1h"
    """… within this time."""


class Incidents(Model):
    """From open to over."""

    settle: Duration = "2m"
    """How long an end must have held before it makes a sound; coming back within it is an edit."""
    reopen_within: Duration = "30m"
    """Coming back within this is the same incident again; later it is a new one that names the old."""
    flapping: Flapping = Flapping()
    """When coming and going is said once."""
    expire_after: Days = "7d"
    """How long after the last news an incident is closed as expired."""
    group: Literal["alertname", "whole"] = "alertname"
    """What one Alertmanager group means: `alertname` joins one alert name within it, `whole` all of it."""

    @model_validator(mode="after")
    def _settled_before_new(self) -> Incidents:
        if seconds(self.reopen_within) < seconds(self.settle):
            raise ValueError(f"reopen_within ({self.reopen_within}) is shorter than settle ({self.settle})")
        return self


class Hours(Model):
    """Nights: what is below a page makes no sound."""

    quiet: Window
    """From when until when, over midnight too."""
    zone: Zone = "UTC"
    """The time zone of that clock, by its IANA name."""


class QuietWindow(Model):
    """Planned work: what fits makes no sound from then until then."""

    match: Annotated[Matches, Field(min_length=1)]
    """Matchers on the labels; all of them fit."""
    begin: Annotated[Moment, Field(alias="from")]
    """When it begins, by the clock of `hours.zone`, else UTC, or with an offset."""
    until: Moment
    """When it ends, 30 days later at most; what is left then is told once."""
    why: Label | None = None
    """What for, in a few words."""

    @model_validator(mode="after")
    def _ends(self) -> QuietWindow:
        lasts = moment(self.until, UTC) - moment(self.begin, UTC)
        if lasts <= 0:
            raise ValueError(f"it ends ({self.until}) before it begins ({self.begin})")
        if lasts > LONGEST:
            raise ValueError("it lasts longer than 30 days: that is a severity, write it in severities")
        return self


class QuietModel(Model):
    """Acknowledging, snoozing and maintenance: who may ask for it by HTTP, and what is planned."""

    bearer_token_file: Files | None = None
    """File that holds the token of `Authorization: Bearer` for `/quiet`; a list while it is rotated."""
    basic_auth: BasicAuth | None = None
    """A user name and the file of its password for `/quiet`, as a browser asks for them. Without either nothing is served there."""
    windows: Annotated[list[QuietWindow], Field(max_length=100)] = []
    """Planned work, written down beforehand."""


class HeartbeatModel(Model):
    """An event that is expected and whose absence is the problem."""

    name: Name
    """What it is called when it is silent."""
    match: Annotated[Matches, Field(min_length=1)]
    """Matchers on the labels of the event that is the heartbeat."""
    every: Minute
    """How often it is expected."""


class Folder(Model):
    """A folder of YAML files."""

    folder: FilePath
    """Adds to what ships with the relay, or replaces one of it by name."""


class Trees(Model):
    """Decision trees of your own, and where all of them can be read."""

    folder: FilePath | None = None
    """Adds to what ships with the relay, or replaces one of it by name."""
    handbook: Address | None = None
    """Where `relay trees handbook` was published, for a link on each card; `{tree}` in it stands for the tree's page."""


class Ping(Model):
    """The ping out: somebody else notices when the relay is dead."""

    url_file: FilePath
    """File that holds the URL, which may be a secret; `/fail` is added to it for trouble."""
    every: Ticking = "1m"
    """How often."""


class History(Model):
    """What is over."""

    keep: Days = "90d"
    """How long closed incidents are kept."""


def _list_or_mapping(value: object) -> str:
    """Tags that no key is called, since they stand in an error's path."""
    return "(list)" if isinstance(value, list) else "(mapping)"


def _rule_kind(value: object) -> str:
    return "(rule)" if isinstance(value, dict) and "match" in value else "(words)"


Sources = Annotated[
    Annotated[SourceMap, Tag("(mapping)")]
    | Annotated[list[ListedSource], Field(min_length=1, max_length=50), Tag("(list)")],
    Discriminator(_list_or_mapping),
]
Words = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=63)], SeverityWord],
    Field(max_length=200),
    _is("a mapping of words to severities"),
]
SeverityItem = Annotated[
    Annotated[SeverityRuleModel, Tag("(rule)")] | Annotated[Words, Tag("(words)")], Discriminator(_rule_kind)
]
Severities = Annotated[
    Annotated[Words, Tag("(mapping)")] | Annotated[list[SeverityItem], Field(max_length=200), Tag("(list)")],
    Discriminator(_list_or_mapping),
]


class Settings(Model):
    """The relay's configuration file."""

    cluster: Label | None = None
    """The cluster's name where neither source nor payload gives another."""
    distribution: Literal["k3s"] | None = None
    """What the cluster runs; lowers the alarms that are known to be false there."""
    sources: Sources | None = None
    """Who may speak: a mapping with `flux` and `alertmanager`, or a list for several clusters; both, without credentials, if not given."""
    severities: Severities = {}
    """Senders' words for our severities, or a list of such words and of rules with matchers."""
    channels: Annotated[dict[Name, ChannelModel], Field(max_length=50)] = {}
    """Discord webhooks by name; if not given, one called `discord` with the URL of `DISCORD_WEBHOOK_URL`."""
    routes: Annotated[list[RouteModel], Field(max_length=200)] = []
    """Which channels: the first that matches wins; the last one matches everything, and is implied with one channel."""
    incidents: Incidents = Incidents()
    """When an incident is settled, the same again, flapping or expired."""
    hours: Hours | None = None
    """Nights."""
    quiet: QuietModel = QuietModel()
    """Acknowledging, snoozing and maintenance."""
    owners: Annotated[
        dict[Annotated[str, Field(min_length=1, max_length=63)], Mention],
        Field(max_length=200),
        _is("a mapping of owners to mentions"),
    ] = {}
    """Whom a page mentions besides the channel's, by the label, annotation or metadata `owner`, else `team`, of what it is about."""
    heartbeats: Annotated[list[HeartbeatModel], Field(max_length=100)] = []
    """Events whose absence is the problem."""
    repositories: Annotated[
        dict[Repository, Address], Field(max_length=1000), _is("a mapping of objects to web addresses")
    ] = {}
    """Web addresses of Git repositories by `namespace/name` of their source object, for links to commits."""
    trees: Trees | None = None
    """Decision trees."""
    edges: Folder | None = None
    """Edges from cause to effect of your own."""
    ping: Ping | None = None
    """The ping out."""
    history: History = History()
    """What is kept of what is over."""

    @model_validator(mode="before")
    @classmethod
    def _empty_sections(cls, value: object) -> object:
        """`routes:` with nothing below it is as good as no `routes:`."""
        return {key: item for key, item in value.items() if item is not None} if isinstance(value, dict) else value
