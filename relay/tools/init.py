"""`relay init` writes what goes into the operator's repository, and nothing over what is there; no secret is printed or has a known value.

Its words stand in `snippets/`, as files with `$names`. What it writes for the default names is committed in `deploy/flux` and
`deploy/alertmanager`, so that it can be read without being run; a test keeps them equal.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.resources import files
from pathlib import Path, PurePosixPath
from string import Template
from typing import Final

from relay import __version__
from relay.config.model import suggestion
from relay.core.wording import plural
from relay.tools.terminal import Ink, Line, RefusedError

TO_ENCRYPT: Final = ".sops-me.yaml"
"""How the name of a file ends that must not be committed as it is."""
BLANK: Final = "REPLACE-ME"
"""Stands where only the operator knows what belongs there."""


class Alertmanager(StrEnum):
    """How the Alertmanager is configured that shall speak to the relay."""

    STACK = "kube-prometheus-stack"
    CRD = "crd"
    PLAIN = "plain"
    NONE = "none"


def alertmanager(word: str) -> Alertmanager:
    """The kind that `word` names. Raises RefusedError."""
    try:
        return Alertmanager(word)
    except ValueError:
        known = [one.value for one in Alertmanager]
        raise RefusedError(
            f"--alertmanager: {word[:80]!r} is none of {', '.join(known)}{suggestion(word, known)}"
        ) from None


COMPONENTS: Final = (
    "network-policy",
    "pdb",
    "limits",
    "monitoring",
    "postgres",
    "backup",
    "backup-local-path",
    "image-automation",
)
"""Those of `deploy/components`, in the order in which they are applied."""
HARDENED: Final = ("network-policy", "pdb", "limits")
_APART: Final = (("backup", "backup-local-path"), ("postgres", "backup"), ("postgres", "backup-local-path"))

_SNIPPETS: Final[Mapping[Alertmanager, tuple[str, str]]] = {
    Alertmanager.STACK: ("kube-prometheus-stack.yaml", "alertmanager/kube-prometheus-stack.yaml"),
    Alertmanager.CRD: ("alertmanagerconfig.yaml", "alertmanager/alertmanagerconfig.yaml"),
    Alertmanager.PLAIN: ("alertmanager.yaml", "alertmanager/alertmanager.yml"),
}


@dataclass(frozen=True, slots=True)
class Names:
    """What the operator calls things. Raises RefusedError for what cannot be a name."""

    cluster: str
    namespace: str = "relay"
    channels: tuple[str, ...] = ("ops",)
    """The first takes what no other takes."""
    watched: tuple[str, ...] = ()
    """Namespaces whose Flux objects are told of, beside Flux's own."""
    flux: str = "flux-system"
    monitoring: str = "monitoring"
    alertmanager: Alertmanager = Alertmanager.STACK
    components: tuple[str, ...] = HARDENED

    def __post_init__(self) -> None:
        named = [("cluster", self.cluster), ("namespace", self.namespace), ("flux-namespace", self.flux)]
        named += [("monitoring-namespace", self.monitoring), *(("watch", one) for one in self.watched)]
        for option, name in named:
            _checked(option, name, 63)
        for name in self.channels:
            _checked("channel", name, 32)
        if not self.channels or len(set(self.channels)) < len(self.channels):
            raise RefusedError("--channel: each channel is named once, and there is at least one")
        for name in self.components:
            if name not in COMPONENTS:
                raise RefusedError(f"--component: there is no {name!r}{suggestion(name, COMPONENTS)}")
        for one, other in _APART:
            if {one, other} <= set(self.components):
                raise RefusedError(f"--component: {one} and {other} exclude each other")


_NO_TEXTS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})
"""What YAML takes for something else than a text."""


def _checked(option: str, name: str, most: int) -> None:
    """A DNS label that is a text to YAML: it begins with a letter, where Kubernetes would let `007` and `1e3` be names too."""
    if len(name) > most or not re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name):
        raise RefusedError(
            f"--{option}: {name[:80]!r} is no name: a-z first, then a-z, 0-9 and - within, at most {most}"
        )
    if name in _NO_TEXTS:
        raise RefusedError(f"--{option}: {name!r} is not a name but a value to YAML")


@dataclass(frozen=True, slots=True)
class Keys:
    """What only the relay and its senders may know."""

    hmac: str = field(repr=False)
    token: str = field(repr=False)

    @classmethod
    def made(cls) -> Keys:
        """256 bits of chance each, in letters that no YAML and no header takes for anything else."""
        return cls(secrets.token_hex(32), secrets.token_hex(32))


def init(folder: Path, names: Names) -> Iterator[Line | str]:
    """Write the files, and yield what to do next. Raises RefusedError where something is there already, or OSError."""
    path = in_repository(folder)
    written = rendered(names, path, Keys.made())
    _write(folder, written)
    return _next_steps(folder, path, names, written)


# --- what is written ----------------------------------------------------------------------------------------------------


def rendered(names: Names, path: str, keys: Keys) -> dict[str, str]:
    """All files by their place below the folder; `path` is the folder's own within its repository."""
    known = _known(names, path, keys)
    out = {
        ".gitignore": _filled("gitignore", known),
        ".sops.yaml": _filled("sops.yaml", known),
        "kustomization.yaml": _filled("kustomization.yaml", known),
        "sync.yaml": _filled("sync.yaml", known),
        "config/kustomization.yaml": _filled("config-kustomization.yaml", known),
        "config/namespace.yaml": _filled("namespace.yaml", known),
        "config/relay.yaml": _filled("relay.yaml", known),
        "config/notifications.yaml": _filled("provider.yaml", known) + _alerts(names, known),
        f"config/relay{TO_ENCRYPT}": _filled("secret-relay.yaml", known),
        f"config/relay-hmac{TO_ENCRYPT}": _filled("secret-hmac.yaml", known),
    }
    if names.alertmanager in _SNIPPETS:
        snippet, place = _SNIPPETS[names.alertmanager]
        out[place] = _filled(snippet, known)
        out[f"config/relay-alertmanager{TO_ENCRYPT}"] = _filled("secret-alertmanager.yaml", known)
    return out


def _filled(snippet: str, known: Mapping[str, str]) -> str:
    text = files("relay.tools").joinpath("snippets", snippet).read_text("utf-8")
    return Template(text).substitute(known)


def _known(names: Names, path: str, keys: Keys) -> dict[str, str]:
    """What each `$name` of the snippets stands for. Several lines at a time are whole lines, or begin with a line's end."""
    told = names.alertmanager is not Alertmanager.NONE
    return {
        "cluster": names.cluster,
        "namespace": names.namespace,
        "flux": names.flux,
        "monitoring": names.monitoring,
        "path": path,
        "tag": f"v{__version__}",
        "hmac": keys.hmac,
        "token": keys.token,
        "workload": "Deployment" if "postgres" in names.components else "StatefulSet",
        "components": _components(names),
        "target": _target(names),
        "token_file": "\n- relay-alertmanager.sops.yaml" if told else "",
        "alertmanager": _ALERTMANAGER if told else "",
        "relay_token": f"\n  alertmanager-token: {keys.token}" if told else "",
        "heartbeats": _HEARTBEATS if told else "",
        "channels": "\n".join(f"  {name}:\n    webhook_url_file: /etc/relay/discord-{name}" for name in names.channels),
        "routes": _routes(names.channels),
        "webhooks": _webhooks(names),
    }


_ALERTMANAGER: Final = "  alertmanager:\n    bearer_token_file: /etc/relay/alertmanager-token\n"
_HEARTBEATS: Final = """

heartbeats:
- name: prometheus
  match: ['alertname="Watchdog"']
  every: 5m"""


def _alerts(names: Names, known: Mapping[str, str]) -> str:
    watched = dict.fromkeys((names.flux, *names.watched))
    return "".join(_filled("alert.yaml", {**known, "watched": one}) for one in watched)


def _components(names: Names) -> str:
    chosen = [f"\n  - ../components/{name}" for name in COMPONENTS if name in names.components]
    return "\n  components:" + "".join(chosen) if chosen else ""


def _target(names: Names) -> str:
    """Where the release's manifests name other namespaces than the operator."""
    out = "" if names.namespace == "relay" else f"\n  targetNamespace: {names.namespace}"
    moved = [(0, names.flux)] * (names.flux != "flux-system")
    moved += [(at, names.monitoring) for at in (1, 2) if names.monitoring != "monitoring"]
    if moved and "network-policy" in names.components:
        out += "\n  patches:\n  - target: {kind: NetworkPolicy, name: relay}\n    patch: |"
        for at, namespace in moved:
            place = f"/spec/ingress/0/from/{at}/namespaceSelector/matchLabels/kubernetes.io~1metadata.name"
            out += f"\n      - {{op: replace, path: {place}, value: {namespace}}}"
    return out


def _routes(channels: tuple[str, ...]) -> str:
    """The first channel is the last route. What belongs to the others is a guess, and says so."""
    first, *others = channels
    if not others:
        return ""
    lines = [
        f"- match: ['namespace=\"{name}\"']   # a guess: which labels are theirs?\n  channels: [{name}]"
        for name in others
    ]
    return "\n".join(["\n\nroutes:", *lines, f"- channels: [{first}]"])


def _webhooks(names: Names) -> str:
    lines = [f"  discord-{name}: https://discord.com/api/webhooks/{BLANK}" for name in names.channels]
    if "postgres" in names.components:
        lines.append(f"  database-url: postgresql://{BLANK}")
    return "\n".join(lines)


# --- where it is written ------------------------------------------------------------------------------------------------


def in_repository(folder: Path) -> str:
    """The folder's path within its Git repository, or within the working directory where there is none. Raises RefusedError."""
    whole = Path(os.path.normpath(folder.absolute()))
    root = next((one for one in whole.parents if (one / ".git").exists()), Path.cwd())
    if not whole.is_relative_to(root) or whole == root:
        raise RefusedError(f"{folder} is no folder within {root}, which Flux shall read")
    path = PurePosixPath(*whole.relative_to(root).parts)
    if not re.fullmatch(r"[A-Za-z0-9._][A-Za-z0-9._/-]*", str(path)):
        raise RefusedError(f"{str(path)!r}: a path in YAML and in a shell is made of letters, digits, . _ - and /")
    return str(path)


def _write(folder: Path, written: Mapping[str, str]) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RefusedError(f"{folder} is there already, and not empty: nothing is written over it")
    for place, text in written.items():
        file = folder / place
        file.parent.mkdir(parents=True, exist_ok=True)
        mode = 0o600 if place.endswith(TO_ENCRYPT) else 0o644
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as out:
            out.write(text)


def _next_steps(folder: Path, path: str, names: Names, written: Mapping[str, str]) -> Iterator[Line | str]:
    blanks = [place for place, text in written.items() if BLANK in text]
    snippet = _SNIPPETS[names.alertmanager][1] if names.alertmanager in _SNIPPETS else None
    yield [(Ink.GREEN, f"{folder}"), f": {plural(len(written), 'file')}"]
    yield ""
    yield [(Ink.BOLD, "1. Fill in"), f" what only you know: {BLANK} in {' and '.join(blanks)}"]
    yield [(Ink.BOLD, "2. Encrypt"), " the secrets; as they are, they must not be committed (.gitignore knows)"]
    yield f"     cd {shlex.quote(str(folder))}"
    yield f'     for file in config/*{TO_ENCRYPT}; do sops -e "$file" >"${{file%-me.yaml}}.yaml" && rm "$file"; done'
    yield [(Ink.BOLD, "3. Check"), " what the relay will read"]
    yield "     relay check --without-secrets --config config/relay.yaml"
    if snippet:
        yield [(Ink.BOLD, "4. Tell Alertmanager"), f": {snippet} goes where it is configured"]
    yield [(Ink.BOLD, f"{5 if snippet else 4}. Commit"), f" and push; {path} must be among what Flux reads"]
    yield f"     flux reconcile kustomization {names.flux} --with-source -n {names.flux}"
    yield f"     flux get kustomizations -n {names.flux}"
