"""A configuration is taken whole or refused whole, with every error found, and depends on nothing but the file, its secrets and `env`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from relay.config.environment import Environment
from relay.config.model import (
    ChannelModel,
    Folder,
    ListedSource,
    Settings,
    SeverityRuleModel,
    SourceMap,
    SourceModel,
    Trees,
    moment,
    seconds,
    suggestion,
    window,
)
from relay.config.problems import ConfigError, Problem, dotted, explain, path_of, place_of
from relay.config.reader import MAX_FILE, Marked, Place, read, write
from relay.config.reader import Path as Steps
from relay.config.secrets import (
    Check,
    Secret,
    SecretError,
    SecretFile,
    SecretSource,
    SecretValue,
    read_bounded,
    why_not,
)
from relay.config.values import (
    ENVIRONMENT,
    BasicPair,
    ChannelSettings,
    Configuration,
    Credentials,
    PingSettings,
    SourceSettings,
    ping_check,
    webhook_check,
)
from relay.core.attention import ChannelPolicy, Resolved
from relay.core.event import SEVERITY_WORDS, Severity, Source
from relay.core.identity import digest
from relay.core.labels import Matchers
from relay.core.policy import Expected, Grouping, IncidentPolicy, Policy, SeverityRule
from relay.core.quiet import Hours, Rule
from relay.core.routing import Route

MAX_CHANNELS: Final = 50
_PASSWORD: Final = ("basic_auth", "password_file")
_NOTHING: Final = Marked({}, {}, {})
_ELSEWHERE: Final = SecretValue(Secret("not read"))
"""In the place of every secret where none is looked for."""


def load(path: Path | None, env: Mapping[str, str], *, text: str | None = None, mounted: bool = True) -> Configuration:
    """The configuration in the YAML file `path`, else in `RELAY_CONFIG`'s, else of the environment alone.

    With `text` that is taken as the file's content, and `path` only says where it stood. With `mounted=False` neither secrets nor
    folders are looked for, as where the file lies in Git: what is returned decides alike, but opens and sends nothing. Raises ConfigError.
    """
    if path is None and (named := env.get("RELAY_CONFIG", "").strip()):
        path = Path(named)
    return _Loader(path, env, mounted=mounted).load(text)


class _Loader:
    """One attempt: collects what is wrong on the way."""

    def __init__(self, path: Path | None, env: Mapping[str, str], *, mounted: bool) -> None:
        self._path = path
        self._mounted = mounted
        self._marked = _NOTHING
        self._problems: list[Problem] = []
        self._env = Environment(env, self._unusable)
        self._api = self._env.discord_api()
        self._broken: set[str] = set()

    def load(self, text: str | None) -> Configuration:
        listen, database_url = self._env.listen(), self._env.database_url()
        text = self._text() if text is None else text
        settings = self._settings(text)
        channels = self._channels(settings)
        sources = self._sources(settings)
        policy = self._policy(settings, sources, tuple(channel.name for channel in channels))
        configuration = Configuration(
            policy=policy,
            sources=sources,
            channels=channels,
            listen=listen,
            database_url=database_url,
            discord_api=self._api,
            trees_folder=self._folder("trees", settings.trees),
            edges_folder=self._folder("edges", settings.edges),
            handbook=settings.trees.handbook if settings.trees else None,
            hours=_hours(settings),
            quiet=self._who_may_ask(settings),
            ping=self._ping(settings),
            history_keep=seconds(settings.history.keep),
            file=self._path,
            text=write(self._marked.value),
        )
        if self._problems:
            raise self._refusal()
        return configuration

    def _refusal(self) -> ConfigError:
        ordered = sorted(self._problems, key=lambda one: (one.place is not None, one.place or Place(0, 0), one.source))
        return ConfigError(tuple(dict.fromkeys(ordered)))

    def _unusable(self, source: str, text: str) -> None:
        """A variable, or the file as such."""
        self._problems.append(Problem(source, None, "", text))

    def _wrong(self, path: Steps, text: str, *, key: bool = False, setting: str = "") -> None:
        place = place_of(path, self._marked, key=key)
        self._problems.append(Problem(str(self._path or "the file"), place, setting or dotted(path), text))

    # The file

    def _text(self) -> str:
        if self._path is None:
            return ""
        try:
            return read_bounded(self._path, MAX_FILE).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            why = f"it is not UTF-8, from byte {error.start + 1} on"
        except (OSError, ValueError) as error:
            why = why_not(error)
        self._unusable(str(self._path), f"the configuration cannot be read: {why}")
        raise self._refusal()

    def _settings(self, text: str) -> Settings:
        """The sections that are right, each checked by itself so that one error hides no other; the others as if not given."""
        if len(text) > MAX_FILE:
            self._unusable(str(self._path), f"it is longer than {MAX_FILE} characters")
            raise self._refusal()
        self._marked = read(text)
        for place, path, why in self._marked.wrong:
            self._problems.append(Problem(str(self._path or "the file"), place, dotted(path), why))
        given = {} if self._marked.value is None else self._marked.value
        if not isinstance(given, dict):
            self._wrong((), "the file is a mapping, key: value")
        if not isinstance(given, dict) or (self._marked.wrong and not given):
            raise self._refusal()  # What follows from an unreadable file would only be noise.
        right = {key: value for key, value in given.items() if key != "channels" and self._is_right(key, value)}
        self._broken = given.keys() - right.keys() - {"channels"}
        if (channels := given.get("channels")) is not None:
            right["channels"] = self._right_channels(channels)
        return Settings.model_validate(right)

    def _is_right(self, key: str, value: object) -> bool:
        try:
            Settings.model_validate({key: value})
        except ValidationError as error:
            for one in error.errors(include_url=False):
                path = path_of(one["loc"], self._marked)
                missing = one["type"] == "missing"
                setting = dotted((*path, one["loc"][-1])) if missing else ""
                about_key = one["type"] == "extra_forbidden" or one["loc"][-1] == "[key]"
                self._wrong(path, explain(one), key=about_key, setting=setting)
            return False
        return True

    def _right_channels(self, channels: object) -> dict[str, object]:
        if not isinstance(channels, dict):
            self._is_right("channels", channels)
            self._broken.add("channels")
            return {}
        if len(channels) > MAX_CHANNELS:
            self._wrong(("channels",), f"has at most {MAX_CHANNELS} entries")
            self._broken.add("channels")
            return {}
        right = {name: item for name, item in channels.items() if self._is_right("channels", {name: item})}
        if len(right) < len(channels):
            self._broken.add("channels")
        return right

    # Secrets and folders

    def _resolve(self, written: str) -> Path:
        return (self._path.parent if self._path else Path()) / written

    def _secret(self, path: Steps, written: str, check: Check | None = None) -> SecretSource | None:
        file = self._resolve(written)
        if not self._mounted:
            return _ELSEWHERE
        try:
            return SecretFile(file, check)
        except SecretError as error:
            from_here = "" if Path(written).is_absolute() or file.exists() else " (looked for from this file's folder)"
            self._wrong(path, f"that file cannot be used: {error}{from_here}")
            return None

    def _given(self, variable: str, check: Check | None = None) -> tuple[str, SecretSource] | None:
        """The secret that the environment gives, with the variable it came from."""
        return self._env.secret(variable, check) if self._mounted else None

    def _secrets(self, path: Steps, written: list[str] | None) -> tuple[SecretSource, ...]:
        listed = isinstance(self._written(path), list)
        found = (self._secret((*path, index) if listed else path, one) for index, one in enumerate(written or ()))
        return tuple(secret for secret in found if secret)

    def _written(self, path: Steps) -> Any:  # noqa: ANN401  # whatever the YAML holds
        """What stands at `path` in the file; None if nothing does."""
        value: Any = self._marked.value
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def _channel_names(self) -> tuple[str, ...] | None:
        """As they are written, right or wrong; None if nobody can say."""
        written = self._written(("channels",))
        if not written:
            return ("discord",)
        return tuple(written) if isinstance(written, dict) else None

    def _folder(self, key: str, folder: Folder | Trees | None) -> Path | None:
        if folder is None or folder.folder is None:
            return None
        path = self._resolve(folder.folder)
        if self._mounted and not path.is_dir():
            self._wrong((key, "folder"), "there is no such folder")
        return path

    # Channels

    def _channels(self, settings: Settings) -> tuple[ChannelSettings, ...]:
        check = webhook_check(self._api)
        given = self._given("DISCORD_WEBHOOK_URL", check)
        written = bool(settings.channels) or "channels" in self._broken
        if given and written:
            self._unusable(given[0], "the file names channels too: leave one out")
        if given and not written:
            return (ChannelSettings("discord", given[1], self._api),)
        if not written and not self._mounted:
            return (ChannelSettings("discord", _ELSEWHERE, self._api),)
        if not written and not any(problem.source.startswith("DISCORD_WEBHOOK_URL") for problem in self._problems):
            cure = "set it to a Discord webhook's URL, or write channels: in the file"
            self._unusable("DISCORD_WEBHOOK_URL", f"no channel: {cure}")
        found = []
        for name, model in settings.channels.items():
            self._check_fallback(name, settings.channels)
            if url := self._secret(("channels", name, "webhook_url_file"), model.webhook_url_file, check):
                found.append(ChannelSettings(name, url, self._api, model.thread))
        return tuple(found)

    def _check_fallback(self, name: str, channels: Mapping[str, ChannelModel]) -> None:
        path, fallback = ("channels", name, "fallback"), channels[name].fallback
        if fallback is None or not self._check_channel(path, fallback):
            return
        passed = [name]
        while fallback is not None and fallback in channels:
            passed.append(fallback)
            if fallback == name:
                self._wrong(path, f"it comes back to itself: {' → '.join(passed)}")
                return
            fallback = None if passed.count(fallback) > 1 else channels[fallback].fallback

    def _check_channel(self, path: Steps, name: str) -> bool:
        names = self._channel_names()
        if names is not None and name not in names:
            self._wrong(path, f"there is no channel {name}{suggestion(name, names)}")
            return False
        return True

    # Sources

    def _sources(self, settings: Settings) -> tuple[SourceSettings, ...]:
        written: list[tuple[Steps, str, SourceModel]] = []
        match settings.sources:
            case None:
                written = [((), kind.value, SourceModel()) for kind in ENVIRONMENT]
            case SourceMap() as both:
                named = (("flux", both.flux), ("alertmanager", both.alertmanager))
                written = [(("sources", kind), kind, model) for kind, model in named if model]
            case listed:
                written = [(("sources", index), model.source, model) for index, model in enumerate(listed)]
        sources = [self._source(path, Source(kind), model) for path, kind, model in written]
        paths = [path for path, _, _ in written]
        self._check_once(paths, [one.path for one in sources], "path")
        self._check_once(paths, [one.name for one in sources], "name")
        for kind, variable in ENVIRONMENT.items():
            self._lock_from_environment(kind, variable, sources)
        return tuple(sources)

    def _source(self, path: Steps, kind: Source, model: SourceModel) -> SourceSettings:
        name = model.name if isinstance(model, ListedSource) else None
        cluster = re.sub(r"[^a-z0-9-]", "", (model.cluster or "").lower())
        basic = model.basic_auth
        credentials = Credentials(
            hmac_keys=self._secrets((*path, "hmac_key_file"), model.hmac_key_file),
            bearer_tokens=self._secrets((*path, "bearer_token_file"), model.bearer_token_file),
            basic=(BasicPair(basic.username, self._secrets((*path, *_PASSWORD), basic.password_file)),)
            if basic
            else (),
        )
        derived = f"{kind.value}-{cluster}" if cluster and isinstance(model, ListedSource) else kind.value
        return SourceSettings(
            name=name or derived,
            kind=kind,
            path=model.path or f"/{kind.value}",
            cluster=model.cluster,
            credentials=credentials,
            unauthenticated=model.unauthenticated,
            hold=None if model.hold is None else seconds(model.hold),
        )

    def _check_once(self, paths: list[Steps], words: list[str], key: str) -> None:
        seen: dict[str, Steps] = {}
        for path, word in zip(paths, words, strict=True):
            if word in seen:
                self._wrong((*path, key), f"{word} is taken by {dotted(seen[word])}: give each its own {key}")
            seen.setdefault(word, path)

    def _lock_from_environment(self, kind: Source, variable: str, sources: list[SourceSettings]) -> None:
        given = self._given(variable)
        if given is None or "sources" in self._broken:
            return
        named, secret = given
        open_ones = [one for one in sources if one.kind is kind and not one.credentials and not one.unauthenticated]
        if len(open_ones) != 1:
            none = f"no {kind.value} source is without credentials"
            why = "several sources have no credentials" if open_ones else none
            self._unusable(named, f"{why}: write them in the file and leave this out")
            return
        lock = {Source.FLUX: Credentials(hmac_keys=(secret,))}.get(kind, Credentials(bearer_tokens=(secret,)))
        index = sources.index(open_ones[0])
        sources[index] = replace(open_ones[0], credentials=lock)

    def _who_may_ask(self, settings: Settings) -> Credentials:
        model, path = settings.quiet, ("quiet",)
        basic = model.basic_auth
        passwords = self._secrets((*path, *_PASSWORD), basic.password_file) if basic else ()
        return Credentials(
            bearer_tokens=self._secrets((*path, "bearer_token_file"), model.bearer_token_file),
            basic=(BasicPair(basic.username, passwords),) if basic else (),
        )

    # What decides

    def _policy(self, settings: Settings, sources: tuple[SourceSettings, ...], channels: tuple[str, ...]) -> Policy:
        words, rules = _severities(settings)
        return Policy(
            cluster=settings.cluster or "",
            distribution=settings.distribution or "",
            severity_words=MappingProxyType({**SEVERITY_WORDS, **words}),
            severity_rules=rules,
            channels=MappingProxyType(
                {name: _channel_policy(name, settings.channels.get(name), _hours(settings)) for name in channels}
            ),
            routes=self._routes(settings, channels),
            incidents=_incidents(settings),
            holds=MappingProxyType({source.name: source.hold for source in sources if source.hold is not None}),
            heartbeats=self._heartbeats(settings),
            repositories=MappingProxyType({name: url.rstrip("/") for name, url in settings.repositories.items()}),
            quiet=_windows(settings),
            several_clusters=len({source.policy.cluster or settings.cluster for source in sources} - {None}) > 1,
            owners=MappingProxyType({owner.strip().lower(): mention for owner, mention in settings.owners.items()}),
        )

    def _routes(self, settings: Settings, channels: tuple[str, ...]) -> tuple[Route, ...]:
        routes = [Route(Matchers.of(one.match), tuple(one.channels), one.carry_on) for one in settings.routes]
        for index, route in enumerate(routes):
            for position, name in enumerate(route.channels):
                self._check_channel(("routes", index, "channels", position), name)
        final = next((index for index, one in enumerate(routes) if not one.match.all_of and not one.carry_on), None)
        if final is not None and final < len(routes) - 1:
            self._wrong(("routes", final + 1), f"it is never asked: routes[{final}] matches everything")
        if routes and not routes[-1].match.all_of:
            return tuple(routes)
        if len(self._channel_names() or ()) > 1 and "routes" not in self._broken:
            path: Steps = ("routes", len(routes) - 1) if routes else ("channels",)
            self._wrong(path, "the last route matches everything: end with - {channels: […]}", setting="routes")
        return (*routes, Route(Matchers(), channels[:1]))

    def _heartbeats(self, settings: Settings) -> tuple[Expected, ...]:
        paths: list[Steps] = [("heartbeats", index) for index in range(len(settings.heartbeats))]
        self._check_once(paths, [one.name for one in settings.heartbeats], "name")
        return tuple(Expected(one.name, Matchers.of(one.match), seconds(one.every)) for one in settings.heartbeats)

    def _ping(self, settings: Settings) -> PingSettings | None:
        if settings.ping is None:
            return None
        url = self._secret(("ping", "url_file"), settings.ping.url_file, ping_check)
        return PingSettings(url, seconds(settings.ping.every)) if url else None


def _severity(word: str | None) -> Severity | None:
    return None if word in {None, "never"} else Severity[str(word).upper()]


def _severities(settings: Settings) -> tuple[dict[str, Severity], tuple[SeverityRule, ...]]:
    words: dict[str, Severity] = {}
    rules: list[SeverityRule] = []
    for item in settings.severities if isinstance(settings.severities, list) else [settings.severities]:
        if isinstance(item, SeverityRuleModel):
            rules.append(SeverityRule(Matchers.of(item.match), Severity[item.severity.upper()]))
        else:
            words |= {word.strip().lower(): Severity[ours.upper()] for word, ours in item.items()}
    return words, tuple(rules)


def _hours(settings: Settings) -> Hours | None:
    written = settings.hours
    return Hours(*window(written.quiet), ZoneInfo(written.zone)) if written is not None else None


def _windows(settings: Settings) -> tuple[Rule, ...]:
    """Planned quiet. A window's key is of what it says, so that one that is changed is another."""
    zone = ZoneInfo(settings.hours.zone) if settings.hours is not None else UTC
    return tuple(
        Rule(
            key="file-" + digest(*one.match, one.begin, one.until, str(zone))[:6],
            match=Matchers.of(one.match),
            began_at=moment(one.begin, zone),
            until=moment(one.until, zone),
            by="the configuration",
            why=one.why or "",
        )
        for one in settings.quiet.windows
    )


def _channel_policy(name: str, model: ChannelModel | None, hours: Hours | None) -> ChannelPolicy:
    """Without a model, that of the channel a webhook's URL alone makes: the defaults."""
    if model is None:
        return ChannelPolicy(name, hours=hours)
    return ChannelPolicy(
        name=name,
        page=_severity(model.page),
        notify=_severity(model.notify),
        show=_severity(model.show),
        mentions=tuple(dict.fromkeys(model.mention)),
        resolved=Resolved(model.resolved),
        remind=None if model.remind is None else seconds(model.remind),
        fallback=model.fallback,
        status=model.status,
        weekly=model.weekly,
        hours=hours,
    )


def _incidents(settings: Settings) -> IncidentPolicy:
    written = settings.incidents
    return IncidentPolicy(
        settle=seconds(written.settle),
        reopen_within=seconds(written.reopen_within),
        expire_after=seconds(written.expire_after),
        group=Grouping(written.group),
        flap_reopenings=written.flapping.reopenings,
        flap_within=seconds(written.flapping.within),
    )
