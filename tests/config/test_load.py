"""What an operator writes is taken whole or refused whole."""

from __future__ import annotations

import re
from datetime import time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from relay.config.load import load
from relay.config.problems import ConfigError
from relay.config.values import Credentials, Listen, Webhook
from relay.core.attention import ChannelPolicy, Resolved
from relay.core.event import SEVERITY_WORDS, Severity, Source
from relay.core.labels import Matchers
from relay.core.policy import Expected, IncidentPolicy, Policy, SeverityRule
from relay.core.quiet import Hours, Rule
from relay.core.routing import Route
from tests.config.folder import HOOK, KEY, TOKEN, fill, given, refused
from tests.conftest import ROOT

OPS = "channels: {ops: {webhook_url_file: hook}}\n"
EXAMPLE = (ROOT / "docs/relay.yaml").read_text()
NIGHTS = Hours(time(22), time(7, 30), ZoneInfo("Europe/Prague"))
REBUILT = Rule(
    key="file-452051",
    match=Matchers.of(['namespace="lab"']),
    began_at=1773522000.0,
    until=1773550800.0,
    by="the configuration",
    why="the lab is rebuilt",
)


def in_etc(folder: Path) -> str:
    """The full example with its files in `folder`."""
    fill(folder)
    for name, secret in (
        ("flux-hmac", KEY),
        ("alertmanager-token", "t"),
        ("discord-ops", HOOK),
        ("discord-deploys", HOOK),
        ("quiet-token", "q"),
    ):
        (folder / name).write_text(secret)
    (folder / "edges").mkdir()
    return EXAMPLE.replace("/etc/relay", str(folder))


# A relay without a file


def test_a_webhook_url_alone_makes_a_relay() -> None:
    found = load(None, {"DISCORD_WEBHOOK_URL": HOOK})
    assert [channel.name for channel in found.channels] == ["discord"]
    webhook = found.channels[0].webhook()
    assert (webhook.id, webhook.token.reveal(), webhook.thread) == ("123", TOKEN, None)
    assert found.policy == Policy(
        channels={"discord": ChannelPolicy("discord")}, routes=(Route(Matchers(), ("discord",)),)
    )
    assert [(source.name, source.path, source.kind) for source in found.sources] == [
        ("flux", "/flux", Source.FLUX),
        ("alertmanager", "/alertmanager", Source.ALERTMANAGER),
    ]
    assert found.listen == ("127.0.0.1", 8080)
    assert found.database_url.reveal() == "sqlite:///relay.db"
    assert found.discord_api == "https://discord.com/api/v10"
    assert (found.file, found.text, found.hours, found.ping, found.policy.heartbeats) == (None, "", None, None, ())
    assert found.history_keep == 90 * 86400


def test_an_empty_file_says_no_more_than_none(tmp_path: Path) -> None:
    for text in ("", "# nothing yet\n", "incidents:\nroutes:\nhistory:\nsources:\nchannels:\nseverities:\n"):
        found = given(tmp_path, text, {"DISCORD_WEBHOOK_URL": HOOK})
        assert found.policy == load(None, {"DISCORD_WEBHOOK_URL": HOOK}).policy
        assert found.policy.incidents == IncidentPolicy()


def test_every_secret_of_the_environment_may_be_a_file(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "database").write_text("postgresql://relay:pw@db.example.org/relay\n")
    found = load(
        None,
        {
            "DISCORD_WEBHOOK_URL_FILE": str(tmp_path / "hook2"),
            "RELAY_FLUX_HMAC_KEY_FILE": str(tmp_path / "key"),
            "RELAY_ALERTMANAGER_TOKEN_FILE": str(tmp_path / "bearer"),
            "RELAY_DATABASE_URL_FILE": str(tmp_path / "database"),
            "RELAY_LISTEN": "[::]:9000",
        },
    )
    assert found.channels[0].webhook().thread == "789"
    flux, alertmanager = found.sources
    assert flux.credentials.hmac_keys[0].current().matches(KEY.encode())
    assert alertmanager.credentials.bearer_tokens[0].current().matches(b"bearer-token-of-a-test")
    assert found.database_url.reveal() == "postgresql://relay:pw@db.example.org/relay"
    assert found.listen == Listen("::", 9000)
    assert len(found.secrets()) == 3


def test_relay_config_names_the_file_and_the_command_line_wins(tmp_path: Path) -> None:
    given(tmp_path, OPS + "cluster: one\n")
    (tmp_path / "other.yaml").write_text(OPS + "cluster: two\n")
    env = {"RELAY_CONFIG": str(tmp_path / "relay.yaml")}
    assert load(None, env).policy.cluster == "one"
    assert load(tmp_path / "other.yaml", env).policy.cluster == "two"


ENVIRONMENT = [
    ({}, "DISCORD_WEBHOOK_URL: no channel: set it to a Discord webhook's URL, or write channels: in the file"),
    ({"DISCORD_WEBHOOK_URL": " "}, "DISCORD_WEBHOOK_URL: it is blank"),
    ({"DISCORD_WEBHOOK_URL_FILE": ""}, "DISCORD_WEBHOOK_URL_FILE: it is blank"),
    ({"DISCORD_WEBHOOK_URL_FILE": "not/there"}, "DISCORD_WEBHOOK_URL_FILE: no such file or directory"),
    ({"DISCORD_WEBHOOK_URL_FILE": "/"}, "DISCORD_WEBHOOK_URL_FILE: it is not a regular file"),
    (
        {"DISCORD_WEBHOOK_URL_FILE": HOOK},
        "DISCORD_WEBHOOK_URL_FILE: it takes the path of a file; what holds the secret itself is DISCORD_WEBHOOK_URL",
    ),
    (
        {"DISCORD_WEBHOOK_URL": HOOK, "DISCORD_WEBHOOK_URL_FILE": "hook"},
        "DISCORD_WEBHOOK_URL_FILE: DISCORD_WEBHOOK_URL is set too: leave one out",
    ),
    (
        {"DISCORD_WEBHOOK_URL": "https://hooks.example.org/123/x"},
        "DISCORD_WEBHOOK_URL: it is not the URL of a Discord webhook: https://discord.com/api/webhooks/…",
    ),
    (
        {"DISCORD_WEBHOOK_URL": HOOK, "RELAY_LISTEN": ":8080"},
        "RELAY_LISTEN: write host:port, such as 127.0.0.1:8080, or 0.0.0.0:8080 for every address",
    ),
    (
        {"DISCORD_WEBHOOK_URL": HOOK, "RELAY_LISTEN": "h:65536"},
        "RELAY_LISTEN: write host:port, such as 127.0.0.1:8080, or 0.0.0.0:8080 for every address",
    ),
    (
        {"DISCORD_WEBHOOK_URL": HOOK, "RELAY_DISCORD_API": "http://discord.example.org"},
        "RELAY_DISCORD_API: http is for loopback only: webhook tokens would travel in the open",
    ),
    ({"DISCORD_WEBHOOK_URL": HOOK, "RELAY_DISCORD_API": "discord.com"}, "RELAY_DISCORD_API: it is not a web address"),
    (
        {"DISCORD_WEBHOOK_URL": HOOK, "RELAY_DATABASE_URL": "mysql://x"},
        "RELAY_DATABASE_URL: it is neither sqlite:///path nor postgresql://…",
    ),
    (
        {"DISCORD_WEBHOOK_URL": HOOK, "RELAY_DATABASE_URL": "postgres://x"},
        "RELAY_DATABASE_URL: write postgresql:// instead of postgres://",
    ),
    ({"DISCORD_WEBHOOK_URL": HOOK, "RELAY_FLUX_HMAC_KEY": ""}, "RELAY_FLUX_HMAC_KEY: it is blank"),
    (
        {"RELAY_CONFIG": "not-there.yaml"},
        "not-there.yaml: the configuration cannot be read: no such file or directory",
    ),
]


@pytest.mark.parametrize("env, line", ENVIRONMENT)
def test_a_wrong_environment_is_refused_by_its_variable(env: dict[str, str], line: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(None, env)
    assert str(raised.value) == line


def test_wrong_variables_are_shown_together() -> None:
    with pytest.raises(ConfigError) as raised:
        load(None, {"RELAY_LISTEN": "x", "RELAY_DATABASE_URL": "", "RELAY_DISCORD_API": "x"})
    assert [problem.source for problem in raised.value.problems] == [
        "DISCORD_WEBHOOK_URL",
        "RELAY_DATABASE_URL",
        "RELAY_DISCORD_API",
        "RELAY_LISTEN",
    ]


# The file


def test_the_full_example_loads(tmp_path: Path) -> None:
    (tmp_path / "relay.yaml").write_text(in_etc(tmp_path))
    found = load(tmp_path / "relay.yaml", {})
    assert found.policy == Policy(
        cluster="homelab",
        distribution="k3s",
        severity_words=SEVERITY_WORDS,
        channels={
            "ops": ChannelPolicy("ops", mentions=("<@&1234>",), hours=NIGHTS),
            "deploys": ChannelPolicy("deploys", fallback="ops", hours=NIGHTS),
        },
        heartbeats=(Expected("prometheus", Matchers.of(['alertname="Watchdog"']), 300.0),),
        quiet=(REBUILT,),
        owners={"media": "<@&5678>"},
        routes=(Route(Matchers.of(['type="rollout"']), ("deploys",)), Route(Matchers(), ("ops",))),
        repositories={"flux-system/flux-system": "https://git.example.org/ops/cluster"},
    )
    assert found.hours == NIGHTS
    assert found.zone == NIGHTS.zone
    assert [secret.current().reveal() for secret in found.quiet.bearer_tokens] == ["q"]
    assert found.policy.heartbeats == (Expected("prometheus", Matchers.of(['alertname="Watchdog"']), 300.0),)
    assert found.ping is not None
    assert (found.ping.url.current().reveal(), found.ping.every) == ("https://ping.example.org/uuid-of-a-test", 60.0)
    assert (found.trees_folder, found.edges_folder) == (tmp_path / "trees", tmp_path / "edges")
    assert found.handbook == "https://git.example.org/ops/relay/docs/trees/{tree}.md"
    assert all(source.credentials for source in found.sources)


def test_every_setting_stands_in_the_full_example() -> None:
    from relay.config import model as models
    from relay.config.model import (
        ChannelModel,
        Flapping,
        HeartbeatModel,
        Incidents,
        Ping,
        QuietModel,
        QuietWindow,
        RouteModel,
        Settings,
        Trees,
    )

    for model in (
        Settings,
        ChannelModel,
        Flapping,
        HeartbeatModel,
        models.Hours,
        Incidents,
        Ping,
        QuietModel,
        QuietWindow,
        RouteModel,
        Trees,
    ):
        for name, field in model.model_fields.items():
            assert re.search(rf"\b{field.alias or name}\b", EXAMPLE), f"{model.__name__}.{name}"


def test_what_a_file_says_can_be_kept_and_read_again_without_it(tmp_path: Path) -> None:
    (tmp_path / "relay.yaml").write_text(f"# {HOOK}\n{in_etc(tmp_path)}")
    found = load(tmp_path / "relay.yaml", {})
    assert TOKEN not in found.text
    (tmp_path / "relay.yaml").write_text("broken: [")
    assert load(tmp_path / "relay.yaml", {}, text=found.text) == found


def test_several_clusters_are_a_list_of_sources(tmp_path: Path) -> None:
    found = given(
        tmp_path,
        OPS
        + """\
sources:
  - {source: flux, cluster: Home Lab, path: /home/flux, hmac_key_file: [key, key2], hold: 30s}
  - {source: flux, cluster: edge, path: /edge/flux/, basic_auth: {username: flux, password_file: bearer}}
  - {source: alertmanager, name: grafana, path: /grafana, unauthenticated: true, hold: 0}
""",
    )
    home, edge, grafana = found.sources
    assert found.policy.several_clusters
    assert not given(tmp_path, OPS).policy.several_clusters
    assert [(one.name, one.path, one.cluster) for one in found.sources] == [
        ("flux-homelab", "/home/flux", "Home Lab"),
        ("flux-edge", "/edge/flux", "edge"),
        ("grafana", "/grafana", None),
    ]
    assert [secret.current().reveal() for secret in home.credentials.hmac_keys] == [KEY, "the-key-before"]
    assert edge.credentials.basic[0].username == "flux"
    assert edge.credentials.basic[0].passwords[0].current().matches(b"bearer-token-of-a-test")
    assert found.policy.holds == {"flux-homelab": 30.0, "grafana": 0.0}
    assert (home.policy.name, home.policy.cluster, home.policy.hold) == ("flux-homelab", "Home Lab", 30.0)
    assert grafana.credentials == Credentials()


@pytest.mark.parametrize(
    "listen, extra, served",
    [
        ("127.0.0.1:1", "", True),
        ("127.8.8.8:1", "", True),
        ("[::1]:1", "", True),
        ("localhost:1", "", True),
        ("0.0.0.0:1", "", False),
        ("[::]:1", "", False),
        ("relay.example.org:1", "", False),
        ("0.0.0.0:1", "unauthenticated: true", True),
        ("0.0.0.0:1", "hmac_key_file: key", True),
        ("0.0.0.0:1", "bearer_token_file: [bearer]", True),
    ],
)
def test_a_source_without_credentials_is_served_on_loopback_only(
    tmp_path: Path, listen: str, extra: str, served: bool
) -> None:
    found = given(tmp_path, f"{OPS}sources: {{flux: {{{extra}}}}}\n", {"RELAY_LISTEN": listen})
    assert [source.served(found.listen) for source in found.sources] == [served]


def test_a_locked_source_says_which_variable_opens_it() -> None:
    flux, alertmanager = load(None, {"DISCORD_WEBHOOK_URL": HOOK}).sources
    assert (
        "/flux answers 401: set RELAY_FLUX_HMAC_KEY or RELAY_FLUX_HMAC_KEY_FILE, or hmac_key_file"
        in flux.locked_because
    )
    assert "set RELAY_ALERTMANAGER_TOKEN or" in alertmanager.locked_because


def test_the_environment_locks_the_one_source_that_the_file_leaves_open(tmp_path: Path) -> None:
    found = given(tmp_path, OPS + "sources: {flux: {path: /hook}}\n", {"RELAY_FLUX_HMAC_KEY": KEY})
    assert found.sources[0].credentials.hmac_keys[0].current().matches(KEY.encode())
    assert refused(tmp_path, OPS + "sources: {flux: {hmac_key_file: key}}\n", {"RELAY_FLUX_HMAC_KEY": KEY}) == [
        "RELAY_FLUX_HMAC_KEY: no flux source is without credentials: write them in the file and leave this out"
    ]
    two = OPS + "sources: [{source: flux}, {source: flux, name: b, path: /b}]\n"
    assert refused(tmp_path, two, {"RELAY_FLUX_HMAC_KEY_FILE": str(tmp_path / "key")}) == [
        "RELAY_FLUX_HMAC_KEY_FILE: several sources have no credentials: write them in the file and leave this out"
    ]


def test_channels_of_the_file_and_of_the_environment_exclude_each_other(tmp_path: Path) -> None:
    assert refused(tmp_path, OPS, {"DISCORD_WEBHOOK_URL": HOOK}) == [
        "DISCORD_WEBHOOK_URL: the file names channels too: leave one out"
    ]


def test_the_channel_of_the_environment_may_be_routed_by_the_file(tmp_path: Path) -> None:
    routes = "routes: [{match: ['severity=\"info\"'], channels: []}]\n"
    found = given(tmp_path, routes, {"DISCORD_WEBHOOK_URL": HOOK})
    assert found.policy.routes == (Route(Matchers.of(['severity="info"']), ()), Route(Matchers(), ("discord",)))


def test_thresholds_say_never_in_two_ways(tmp_path: Path) -> None:
    found = given(
        tmp_path,
        'channels: {ops: {webhook_url_file: hook, page: null, notify: never, show: error, resolved: edit, remind: 4h, mention: "<@7>"}}',
    )
    assert found.policy.channels["ops"] == ChannelPolicy(
        "ops", None, None, Severity.ERROR, ("<@7>",), resolved=Resolved.EDIT, remind=14400.0
    )


def test_a_configured_thread_wins_over_the_one_in_the_url(tmp_path: Path) -> None:
    found = given(tmp_path, "channels: {ops: {webhook_url_file: hook2, thread: 1}}")
    assert found.channels[0].webhook() == Webhook("456", found.channels[0].webhook().token, "1")


@pytest.mark.parametrize(
    "text",
    [
        "severities: {P1: critical, noise: none}",
        "severities: [{p1: critical}, {noise: none}]",
    ],
)
def test_severity_words_extend_the_table(tmp_path: Path, text: str) -> None:
    words = given(tmp_path, OPS + text).policy.severity_words
    assert (words["p1"], words["noise"], words["page"]) == (Severity.CRITICAL, Severity.NONE, Severity.CRITICAL)


def test_severity_rules_stand_in_a_list_beside_words(tmp_path: Path) -> None:
    found = given(tmp_path, OPS + "severities: [{p1: critical}, {match: [namespace=dev], severity: info}]").policy
    assert found.severity_rules == (SeverityRule(Matchers.of(["namespace=dev"]), Severity.INFO),)


def test_an_alias_repeats_a_value(tmp_path: Path) -> None:
    found = given(tmp_path, "channels: {a: &a {webhook_url_file: hook}, b: *a}\nroutes: [{channels: [a, b]}]")
    assert found.policy.routes == (Route(Matchers(), ("a", "b")),)


def test_a_key_is_its_text_even_where_yaml_sees_a_boolean(tmp_path: Path) -> None:
    assert given(tmp_path, "channels: {no: {webhook_url_file: hook}}").channels[0].name == "no"


# What is refused

HOOKED = "webhook_url_file: hook"
MANY = (
    "channels: {"
    + ", ".join(f"c{number}: {{webhook_url_file: hook}}" for number in range(51))
    + "}\nroutes: [{channels: [c0]}]"
)
REFUSED = {
    "an unknown section": (OPS + "incident: {}", ["2:1: incident: there is no such setting; did you mean incidents?"]),
    "an unknown key of a channel": (
        f"channels:\n  ops:\n    {HOOKED}\n    mentions: []\n",
        ["4:5: channels.ops.mentions: there is no such setting; did you mean mention?"],
    ),
    "an unknown key deep below": (
        OPS + "incidents: {flapping: {reopening: 3}}",
        ["2:24: incidents.flapping.reopening: there is no such setting; did you mean reopenings?"],
    ),
    "an unknown key of a listed source": (
        OPS + "sources:\n- source: flux\n  paths: /flux\n",
        ["4:3: sources[0].paths: there is no such setting; did you mean path?"],
    ),
    "an unknown source": (
        OPS + "sources: {fluxx: {}}",
        ["2:11: sources.fluxx: there is no such setting; did you mean flux?"],
    ),
    "a secret in the file": (
        "channels: {ops: {webhook_url: https://discord.com/api/webhooks/123/oops}}",
        [
            "1:17: channels.ops.webhook_url_file: is missing",
            "1:18: channels.ops.webhook_url: secrets never stand in this file: write webhook_url_file with the path of a file",
        ],
    ),
    "a secret where a path belongs": (
        "channels: {ops: {webhook_url_file: https://discord.com/api/webhooks/123/oops}}",
        ["1:36: channels.ops.webhook_url_file: the path of a file that holds it, not the secret itself"],
    ),
    "a key that stands twice": (OPS + "cluster: a\ncluster: b", ["3:1: cluster: stands twice, first on line 2"]),
    "a tag": (OPS + "cluster: !!python/name:os.system x", ["2:10: cluster: a tag means nothing here"]),
    "a merge": (
        "channels: {a: &a {webhook_url_file: hook}, b: {<<: *a}}\nroutes: [{channels: [a]}]",
        [
            "1:47: channels.b.webhook_url_file: is missing",
            "1:48: channels.b: `<<` is not followed: write the keys out, or give one whole value an anchor",
        ],
    ),
    "no YAML": (OPS + "cluster: [a", ["2:12: not YAML: expected ',' or ']', but got '<stream end>'"]),
    "two documents": (OPS + "---\n" + OPS, ["2:1: not YAML: but found another document"]),
    "a tab": (OPS + "hours:\n\tquiet: x", ["3:1: not YAML: found character '\\t' that cannot start any token"]),
    "a list": ("- a", ["1:1: the file is a mapping, key: value"]),
    "a number for a name": (OPS + "cluster: 7", ["2:10: cluster: is text; put it in quotes"]),
    "a bad channel name": (
        "channels: {Ops: {webhook_url_file: hook}}",
        ["1:12: channels.Ops: 'Ops' is no name: lower case letters, digits and -, at most 32, a letter or digit first"],
    ),
    "too many channels": (MANY, ["1:11: channels: has at most 50 entries"]),
    "a bare id": (
        f"channels: {{ops: {{{HOOKED}, mention: [1234]}}}}",
        [
            '1:52: channels.ops.mention[0]: an id alone does not say of whom: write "<@&1234>" for a role or "<@1234>" for a person'
        ],
    ),
    "everyone": (
        f"channels: {{ops: {{{HOOKED}, mention: ['@everyone']}}}}",
        ['1:52: channels.ops.mention[0]: only a role or a person is mentioned: write "<@&1234>" or "<@1234>"'],
    ),
    "a sender's severity": (
        f"channels: {{ops: {{{HOOKED}, page: high}}}}",
        [
            "1:48: channels.ops.page: 'high' is no severity of ours: critical, error, warning or info; did you mean error?"
        ],
    ),
    "thresholds in disorder": (
        f"channels: {{ops: {{{HOOKED}, page: warning}}}}",
        [
            "1:17: channels.ops: page (warning) is below notify (error): page ≥ notify ≥ show, so that what pages is also shown"
        ],
    ),
    "what is heard but never shown": (
        f"channels: {{ops: {{{HOOKED}, show: never}}}}",
        [
            "1:17: channels.ops: notify (error) is below show (never): page ≥ notify ≥ show, so that what pages is also shown"
        ],
    ),
    "a wrong choice": (
        f"channels: {{ops: {{{HOOKED}, resolved: posts}}}}",
        ["1:52: channels.ops.resolved: is edit or post; did you mean post?"],
    ),
    "reminding all the time": (
        f"channels: {{ops: {{{HOOKED}, remind: 1m}}}}",
        ["1:50: channels.ops.remind: at least 5m"],
    ),
    "a thread that is no id": (
        f"channels: {{ops: {{{HOOKED}, thread: general}}}}",
        ["1:50: channels.ops.thread: a thread is its id, digits only"],
    ),
    "an absent file": (
        "channels: {ops: {webhook_url_file: nowhere}}",
        [
            "1:36: channels.ops.webhook_url_file: that file cannot be used: no such file or directory (looked for from this file's folder)"
        ],
    ),
    "a blank file": (
        "channels: {ops: {webhook_url_file: blank}}",
        ["1:36: channels.ops.webhook_url_file: that file cannot be used: it is blank"],
    ),
    "a file with something else": (
        "channels: {ops: {webhook_url_file: key}}",
        [
            "1:36: channels.ops.webhook_url_file: that file cannot be used: it is not the URL of a Discord webhook: https://discord.com/api/webhooks/…"
        ],
    ),
    "the second of a list": (
        OPS + "sources: {flux: {hmac_key_file: [key, blank]}}",
        ["2:39: sources.flux.hmac_key_file[1]: that file cannot be used: it is blank"],
    ),
    "a fallback nobody has": (
        f"channels: {{ops: {{{HOOKED}, fallback: opps}}}}",
        ["1:52: channels.ops.fallback: there is no channel opps; did you mean ops?"],
    ),
    "a fallback to itself": (
        f"channels: {{ops: {{{HOOKED}, fallback: ops}}}}",
        ["1:52: channels.ops.fallback: it comes back to itself: ops → ops"],
    ),
    "a circle of fallbacks": (
        (
            f"routes: [{{channels: [a]}}]\nchannels:\n  a: {{{HOOKED}, fallback: b}}\n"
            f"  b: {{{HOOKED}, fallback: c}}\n  c: {{{HOOKED}, fallback: b}}"
        ),
        [
            "4:41: channels.b.fallback: it comes back to itself: b → c → b",
            "5:41: channels.c.fallback: it comes back to itself: c → b → c",
        ],
    ),
    "a route to nowhere": (
        OPS + "routes: [{channels: [opps]}]",
        ["2:22: routes[0].channels[0]: there is no channel opps; did you mean ops?"],
    ),
    "a route without channels": (OPS + "routes: [{match: [a=b]}]", ["2:10: routes[0].channels: is missing"]),
    "a route that is never asked": (
        OPS + "routes: [{channels: [ops]}, {match: [a=b], channels: []}]",
        ["2:29: routes[1]: it is never asked: routes[0] matches everything"],
    ),
    "two channels and no last route": (
        f"channels: {{a: {{{HOOKED}}}, b: {{{HOOKED}}}}}",
        ["1:11: routes: the last route matches everything: end with - {channels: […]}"],
    ),
    "two channels and a last route that picks": (
        f"channels: {{a: {{{HOOKED}}}, b: {{{HOOKED}}}}}\nroutes: [{{match: [a=b], channels: [a]}}]",
        ["2:10: routes: the last route matches everything: end with - {channels: […]}"],
    ),
    "a matcher": (
        OPS + "routes: [{match: ['a b'], channels: [ops]}]",
        ["2:19: routes[0].match[0]: cannot read matcher 'a b': write it as name=\"value\", with one of = != =~ !~"],
    ),
    "a pattern": (
        OPS + "routes: [{match: ['a=~\"(\"'], channels: [ops]}]",
        ["2:19: routes[0].match[0]: bad regular expression '(': missing ): ^(?:()$"],
    ),
    "a matcher that is no list": (
        OPS + "routes: [{match: a=b, channels: [ops]}]",
        ["2:18: routes[0].match: is a list, [one, two]"],
    ),
    "a number for a time": (
        OPS + "incidents: {settle: 120}",
        ["2:21: incidents.settle: a duration has a unit: write 120s, 120m, 120h or 120d"],
    ),
    "no duration": (
        OPS + "incidents: {settle: 2 min}",
        ["2:21: incidents.settle: '2 min' is no duration: write 30s, 5m, 2h or 7d"],
    ),
    "settled after it is new": (
        OPS + "incidents: {settle: 1h}",
        ["2:12: incidents: reopen_within (30m) is shorter than settle (1h)"],
    ),
    "never flapping": (
        OPS + "incidents: {flapping: {reopenings: 0}}",
        ["2:36: incidents.flapping.reopenings: is at least 1"],
    ),
    "a group": (OPS + "incidents: {group: all}", ["2:20: incidents.group: is alertname or whole"]),
    "a zone": (
        OPS + "hours: {quiet: '22:00-07:30', zone: Europe/Prag}",
        [
            "2:37: hours.zone: 'Europe/Prag' is no time zone: write its name as in Europe/Prague; did you mean Europe/Prague?"
        ],
    ),
    "a zone that is a path": (
        OPS + "hours: {quiet: '22:00-07:30', zone: ../../etc/passwd}",
        ["2:37: hours.zone: '../../etc/passwd' is no time zone: write its name as in Europe/Prague"],
    ),
    "a window": (OPS + "hours: {quiet: 22-7}", ["2:16: hours.quiet: '22-7' is no window: write \"22:00-07:30\""]),
    "quiet that never ends": (
        OPS + 'quiet: {windows: [{match: [a=b], from: "2026-03-14 22:00"}]}',
        ["2:19: quiet.windows[0].until: is missing"],
    ),
    "quiet that ends before it begins": (
        OPS + 'quiet: {windows: [{match: [a=b], from: "2026-03-14 22:00", until: "2026-03-14 21:00"}]}',
        ["2:19: quiet.windows[0]: it ends (2026-03-14 21:00) before it begins (2026-03-14 22:00)"],
    ),
    "quiet for good": (
        OPS + 'quiet: {windows: [{match: [a=b], from: "2026-03-14 22:00", until: "2027-03-14 22:00"}]}',
        ["2:19: quiet.windows[0]: it lasts longer than 30 days: that is a severity, write it in severities"],
    ),
    "quiet for everything": (
        OPS + 'quiet: {windows: [{match: [], from: "2026-03-14 22:00", until: "2026-03-15 22:00"}]}',
        ["2:27: quiet.windows[0].match: has at least 1 entry"],
    ),
    "a day that is no time": (
        OPS + 'quiet: {windows: [{match: [a=b], from: 2026-03-14, until: "2026-03-15 22:00"}]}',
        ["2:40: quiet.windows[0].from: '2026-03-14' is no time: write \"2026-03-14 22:00\""],
    ),
    "an owner without a role": (
        OPS + "owners: {media: everyone}",
        ['2:17: owners.media: only a role or a person is mentioned: write "<@&1234>" or "<@1234>"'],
    ),
    "a window of no length": (OPS + "hours: {quiet: '22:00-22:00'}", ["2:16: hours.quiet: it begins when it ends"]),
    "heartbeats of one name": (
        OPS + "heartbeats: [{name: a, match: [a=b], every: 5m}, {name: a, match: [a=c], every: 5m}]",
        ["2:57: heartbeats[1].name: a is taken by heartbeats[0]: give each its own name"],
    ),
    "a heartbeat that everything is": (
        OPS + "heartbeats: [{name: a, match: [], every: 5m}]",
        ["2:31: heartbeats[0].match: has at least 1 entry"],
    ),
    "sources at one path": (
        OPS + "sources: [{source: flux, name: a}, {source: flux, name: b}]",
        ["2:36: sources[1].path: /flux is taken by sources[0]: give each its own path"],
    ),
    "sources of one name": (
        OPS + "sources: [{source: flux}, {source: flux, path: /b}]",
        ["2:27: sources[1].name: flux is taken by sources[0]: give each its own name"],
    ),
    "a source of another kind": (
        OPS + "sources: [{source: grafana}]",
        ["2:20: sources[0].source: is flux or alertmanager"],
    ),
    "no source": (OPS + "sources: {}", ["2:10: sources: names no source: write flux:, alertmanager: or both"]),
    "a source at an endpoint": (
        OPS + "sources: {flux: {path: /metrics/}}",
        ["2:24: sources.flux.path: /metrics is the relay's own"],
    ),
    "a source nowhere": (
        OPS + "sources: {flux: {path: flux}}",
        ["2:24: sources.flux.path: 'flux' is no path: write /flux"],
    ),
    "locked and open": (
        OPS + "sources: {flux: {hmac_key_file: key, unauthenticated: true}}",
        ["2:17: sources.flux: it is unauthenticated and has credentials: leave one out"],
    ),
    "a word for a switch": (
        OPS + "sources: {flux: {unauthenticated: 'yes'}}",
        ["2:35: sources.flux.unauthenticated: is true or false"],
    ),
    "a severity in a list": (
        OPS + "severities: [{match: [a=b], severity: bad}]",
        ["2:39: severities[0].severity: 'bad' is no severity of ours: critical, error, warning or info"],
    ),
    "a distribution": (OPS + "distribution: k8s", ["2:15: distribution: is k3s; did you mean k3s?"]),
    "a repository": (
        OPS + "repositories: {a/b: 'git@git.example.org:a'}",
        ["2:21: repositories.a/b: a web address: https://git.example.org/ops/cluster"],
    ),
    "a repository with a password": (
        OPS + "repositories: {a/b: 'https://u:pw@git.example.org/a'}",
        ["2:21: repositories.a/b: an address without a user or a password: secrets never stand in this file"],
    ),
    "no folder": (
        OPS + "trees: {folder: nowhere}\nedges: {folder: hook}",
        ["2:17: trees.folder: there is no such folder", "3:17: edges.folder: there is no such folder"],
    ),
    "no ping": (
        OPS + "ping: {url_file: key}",
        ["2:18: ping.url_file: that file cannot be used: it is not a web address"],
    ),
    "a section that is a word": (OPS + "incidents: 5m", ["2:12: incidents: is a mapping, key: value"]),
    "a history of hours": (OPS + "history: {keep: 5h}", ["2:17: history.keep: at least 1d"]),
    "several at once, in the order of the file": (
        (
            "cluster: 1\nchannels: {ops: {webhook_url_file: blank, pge: error}, b: {webhook_url_file: blank}}\n"
            "routes: [{channels: [oops]}]\ntrees: {folder: x}"
        ),
        [
            "1:10: cluster: is text; put it in quotes",
            "2:43: channels.ops.pge: there is no such setting; did you mean page?",
            "2:78: channels.b.webhook_url_file: that file cannot be used: it is blank",
            "3:22: routes[0].channels[0]: there is no channel oops; did you mean ops?",
            "4:17: trees.folder: there is no such folder",
        ],
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused_with_its_place(tmp_path: Path, what: str) -> None:
    text, lines = REFUSED[what]
    assert refused(tmp_path, text) == [f"relay.yaml:{line}" for line in lines]


@pytest.mark.parametrize(
    "content, why",
    [
        (b"cluster: \xff", "it is not UTF-8, from byte 10 on"),
        (b"#" * (1024 * 1024 + 1), "it is longer than 1048576 bytes"),
    ],
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "relay.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=why):
        load(file, {})


def test_a_pipe_is_no_file_and_is_not_waited_for(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "relay.yaml")
    with pytest.raises(ConfigError, match="it is not a regular file"):
        load(tmp_path / "relay.yaml", {})


def test_a_refusal_is_not_longer_than_anybody_reads() -> None:
    with pytest.raises(ConfigError) as raised:
        load(
            Path("relay.yaml"),
            {"DISCORD_WEBHOOK_URL": HOOK},
            text="".join(f"key{number}: 1\n" for number in range(130)),
        )
    lines = str(raised.value).splitlines()
    assert (len(lines), lines[-1], len(raised.value.problems)) == (101, "… and 30 more", 130)
