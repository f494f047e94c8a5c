"""`relay init` into a repository, and on from there as its own words say: encrypt, check, and build what Flux would apply."""

import re
import shutil
import stat
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from relay.cli import app
from relay.config.load import load
from relay.tools.init import BLANK, COMPONENTS, HARDENED, TO_ENCRYPT, Alertmanager, Keys, Names, init, rendered
from relay.tools.terminal import RefusedError
from tests.conftest import ROOT
from tests.deploy.example import example
from tests.deploy.manifests import (
    CRDS,
    DEPLOY,
    NEWEST,
    Object,
    build,
    is_custom,
    objects,
    place,
    problems_of_custom,
    run,
)

PATH = "clusters/homelab/relay"
WEBHOOK = "https://discord.com/api/webhooks/11/" + "x" * 68


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An operator's repository, and the operator in it."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def age(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A throw-away key: whom to encrypt for, and the file that decrypts."""
    file = tmp_path_factory.mktemp("age") / "keys.txt"
    run("age-keygen", "-o", str(file))
    return run("age-keygen", "-y", str(file)).strip(), file


def commands(said: str) -> list[str]:
    """What a person would paste: the lines that are set off."""
    return [line.strip() for line in said.splitlines() if line.startswith("     ")]


def fill_in(folder: Path, recipient: str) -> None:
    """Step 1."""
    sops = folder / ".sops.yaml"
    sops.write_text(sops.read_text().replace(f"age1-{BLANK}", recipient))
    for file in folder.glob(f"config/*{TO_ENCRYPT}"):
        text = file.read_text().replace(f"https://discord.com/api/webhooks/{BLANK}", WEBHOOK)
        file.write_text(text.replace(BLANK, "relay:secret@database.example.org/relay"))


def encrypted(folder: Path, said: str) -> None:
    """Step 2, in its own words."""
    line = next(one for one in commands(said) if "sops -e" in one)
    run("sh", "-euc", line, at=folder)


def decrypted(config: Path, key: Path) -> Iterator[tuple[Path, Object]]:
    for file in sorted(config.glob("*.sops.yaml")):
        clear = run("sops", "-d", str(file), env={"SOPS_AGE_KEY_FILE": str(key)})
        yield file, yaml.safe_load(clear)


def sync(folder: Path) -> dict[str, Object]:
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in objects((folder / "sync.yaml").read_text())}


# --- one truth ----------------------------------------------------------------------------------------------------------


def test_what_is_in_deploy_is_what_init_writes() -> None:
    """`python -m tests.deploy.example` writes it anew."""
    told = example()
    assert {name: (DEPLOY / name).read_text() for name in told} == told
    ours = {str(file.relative_to(DEPLOY)) for name in ("flux", "alertmanager") for file in (DEPLOY / name).rglob("*")}
    files = {name for name in ours if (DEPLOY / name).is_file()}
    assert files == {name for name in told if not name.startswith("base/")}


def test_the_wheel_carries_the_words(tmp_path: Path) -> None:
    run("hatchling", "build", "--target", "wheel", "--directory", str(tmp_path), at=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    carried = set(zipfile.ZipFile(wheel).namelist())
    snippets = {str(file.relative_to(ROOT)) for file in (ROOT / "relay/tools/snippets").iterdir()}
    assert snippets <= carried
    assert len(snippets) > 10


# --- as an operator -----------------------------------------------------------------------------------------------------


def test_from_nothing_to_what_flux_applies(fleet: Path, age: tuple[str, Path]) -> None:
    folder = fleet / PATH
    done = CliRunner().invoke(app, ["init", PATH, "--cluster", "homelab", "--watch", "media"])
    assert done.exit_code == 0, done.output
    fill_in(folder, age[0])
    encrypted(folder, done.output)
    assert not list(folder.rglob(f"*{TO_ENCRYPT}"))
    secrets = {place(one): one["stringData"] for _, one in decrypted(folder / "config", age[1])}
    assert set(secrets) == {
        "Secret/relay/relay",
        "Secret/flux-system/relay-hmac",
        "Secret/monitoring/relay-alertmanager",
    }
    relay = secrets["Secret/relay/relay"]
    assert relay["flux-hmac"] == secrets["Secret/flux-system/relay-hmac"]["token"]
    assert relay["alertmanager-token"] == secrets["Secret/monitoring/relay-alertmanager"]["token"]
    assert relay["discord-ops"] == WEBHOOK
    applied = build(folder / "config")
    assert [one["kind"] for one in applied if one["kind"] == "Alert"] == ["Alert", "Alert"]
    assert {place(one) for one in applied} >= {*secrets, "ConfigMap/relay/relay", "Namespace//relay"}
    assert {place(one) for one in build(folder)} == {place(one) for one in sync(folder).values()}


def test_nothing_secret_stands_in_what_is_committed(fleet: Path, age: tuple[str, Path]) -> None:
    folder = fleet / PATH
    said = CliRunner().invoke(app, ["init", PATH, "--cluster", "homelab"]).output
    keys = re.findall(
        r"(?:token|hmac): ([0-9a-f]{64})", "".join(one.read_text() for one in folder.rglob(f"*{TO_ENCRYPT}"))
    )
    assert len(set(keys)) == 2
    committed = run("git", "ls-files", "--others", "--exclude-standard", at=fleet).split()
    assert not [name for name in committed if name.endswith(TO_ENCRYPT)], "before they are encrypted"
    fill_in(folder, age[0])
    encrypted(folder, said)
    committed = run("git", "ls-files", "--others", "--exclude-standard", at=fleet).split()
    assert len([name for name in committed if name.endswith(".sops.yaml") and "/config/" in name]) == 3
    text = said + "".join((fleet / name).read_text() for name in committed)
    assert not [key for key in (*keys, WEBHOOK) if key in text]


def test_sops_keeps_all_but_the_values_and_a_change_is_found(fleet: Path, age: tuple[str, Path]) -> None:
    """Kustomize adds nothing to what it covers, and Git shows which keys there are."""
    folder = fleet / PATH
    fill_in_said = CliRunner().invoke(app, ["init", PATH, "--cluster", "homelab"]).output
    fill_in(folder, age[0])
    encrypted(folder, fill_in_said)
    for file, clear in decrypted(folder / "config", age[1]):
        locked = yaml.safe_load(file.read_text())
        assert locked["metadata"] == clear["metadata"]
        assert set(locked["stringData"]) == set(clear["stringData"])
        assert all(value.startswith("ENC[AES256_GCM,") for value in locked["stringData"].values())
    file = folder / "config/relay.sops.yaml"
    locked = yaml.safe_load(file.read_text())
    locked["stringData"].pop("flux-hmac")
    file.write_text(yaml.safe_dump(locked))
    with pytest.raises(AssertionError, match="MAC"):
        list(decrypted(folder / "config", age[1]))


def test_keys_are_written_for_their_owner_alone_and_differ_each_time(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    texts = []
    for name in ("a", "b"):
        list(init(tmp_path / name, Names("homelab")))
        for file in sorted((tmp_path / name).rglob("*")):
            mode = stat.S_IMODE(file.stat().st_mode)
            assert file.is_dir() or (mode == 0o600) == file.name.endswith(TO_ENCRYPT), file
        texts.append((tmp_path / name / f"config/relay{TO_ENCRYPT}").read_text())
    assert texts[0] != texts[1]


def test_the_configuration_can_be_served(fleet: Path) -> None:
    for at, channels in enumerate((("ops",), ("ops", "media", "deploys"))):
        for kind in Alertmanager:
            folder = fleet / f"{at}-{kind}"
            list(init(folder, Names("homelab", channels=channels, alertmanager=kind)))
            configuration = load(folder / "config/relay.yaml", {}, mounted=False)
            assert [one.name for one in configuration.channels] == list(channels)
            files = yaml.safe_load((folder / f"config/relay{TO_ENCRYPT}").read_text())["stringData"]
            etc = fleet / f"etc-{at}-{kind}"
            etc.mkdir()
            for name, text in files.items():
                (etc / name).write_text(text.replace(f"https://discord.com/api/webhooks/{BLANK}", WEBHOOK))
            here = (folder / "config/relay.yaml").read_text().replace("/etc/relay/", f"{etc}/")
            (etc / "relay.yaml").write_text(here)
            assert load(etc / "relay.yaml", {}).sources, "with what the Secret holds where the Pod mounts it"
            named = set(re.findall(r"/etc/relay/([a-z-]+)", (folder / "config/relay.yaml").read_text()))
            assert named == set(files), "each file that it names is a key of the Secret"


# --- as Flux ------------------------------------------------------------------------------------------------------------

CHOICES = [
    Names("homelab"),
    Names("homelab", components=()),
    Names("prod-eu", namespace="alerts", flux="gitops", monitoring="observability", watched=("apps",)),
    Names("homelab", components=("postgres", *HARDENED), alertmanager=Alertmanager.CRD),
    Names("homelab", components=tuple(one for one in COMPONENTS if one not in {"postgres", "backup-local-path"})),
    Names("homelab", alertmanager=Alertmanager.NONE, components=("backup-local-path", "image-automation")),
]


def applied_by_flux(folder: Path, at: Path) -> list[Object]:
    """The release's manifests as kustomize-controller builds them: it adds to the kustomization what its object says."""
    told = sync(folder)["Kustomization/relay"]["spec"]
    shutil.copytree(DEPLOY, at / "deploy")
    file = at / told["path"] / "kustomization.yaml"
    text = yaml.safe_load(file.read_text())
    text["components"] = told.get("components", [])
    text["patches"] = told.get("patches", [])
    if "targetNamespace" in told:
        text["namespace"] = told["targetNamespace"]
    file.write_text(yaml.safe_dump(text))
    return build(file.parent)


@pytest.mark.parametrize("names", CHOICES, ids=range(len(CHOICES)))
def test_whatever_the_names_flux_builds_a_relay_that_fits_together(
    fleet: Path, tmp_path_factory: pytest.TempPathFactory, names: Names
) -> None:
    folder = fleet / PATH
    list(init(folder, names))
    given = applied_by_flux(folder, tmp_path_factory.mktemp("release"))
    assert {one["metadata"]["namespace"] for one in given} == {names.namespace}
    health = sync(folder)["Kustomization/relay"]["spec"]["healthChecks"]
    assert [f"{one['kind']}/{one['namespace']}/{one['name']}" for one in health] == [
        place(one) for one in given if one["kind"] in {"StatefulSet", "Deployment"}
    ]
    policies = [one for one in given if place(one) == f"NetworkPolicy/{names.namespace}/relay"]
    for policy in policies:
        peers = policy["spec"]["ingress"][0]["from"]
        said = [one["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for one in peers]
        assert said == [names.flux, names.monitoring, names.monitoring]
    assert bool(policies) == ("network-policy" in names.components)


@pytest.mark.corpus
@pytest.mark.parametrize("names", CHOICES, ids=range(len(CHOICES)))
def test_whatever_the_names_every_object_is_one_that_its_project_publishes(names: Names) -> None:
    for file, text in rendered(names, PATH, Keys("x", "y")).items():
        if file.endswith("kustomization.yaml") or not file.endswith("yaml") or file.startswith("."):
            continue
        for one in objects(text):
            if not {"apiVersion", "kind"} <= set(one):
                continue
            if is_custom(one):
                assert problems_of_custom(one) == []
            else:
                kubernetes_validate.validate(one, NEWEST, strict=True)


@pytest.mark.corpus
def test_flux_tells_of_every_kind_it_can_and_leaves_nothing_out() -> None:
    assert CRDS is not None
    (definition,) = objects((CRDS / "notification.toolkit.fluxcd.io_alerts.yaml").read_text())
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    kinds = schema["eventSources"]["items"]["properties"]["kind"]["enum"]
    for alert in objects((DEPLOY / "flux/config/notifications.yaml").read_text())[1:]:
        spec = alert["spec"]
        assert sorted(one["kind"] for one in spec["eventSources"]) == sorted(kinds)
        assert {one["name"] for one in spec["eventSources"]} == {"*"}
        assert spec["eventSeverity"] == "info"
        assert spec["eventMetadata"] == {"cluster": "homelab"}
        assert not {"exclusionList", "inclusionList", "summary"} & set(spec)


def test_flux_waits_and_tries_again_as_it_should() -> None:
    told = sync(DEPLOY / "flux")
    config, relay = told["Kustomization/relay-config"]["spec"], told["Kustomization/relay"]["spec"]
    assert relay["dependsOn"] == [{"name": "relay-config"}]
    assert config["decryption"] == {"provider": "sops", "secretRef": {"name": "sops-age"}}
    for one in (config, relay):
        assert {"interval", "retryInterval", "timeout", "prune"} <= set(one)
        assert "postBuild" not in one
    assert relay["path"] == "./deploy/workload"
    tag = told["GitRepository/relay"]["spec"]["ref"]["tag"]
    assert f'tag: {tag} # {{"$imagepolicy": "relay:relay:tag"}}' in (DEPLOY / "flux/sync.yaml").read_text()


# --- what is refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        ["--cluster", "Home Lab"],
        ["--cluster", "homelab\n"],
        ["--cluster", "x" * 64],
        ["--cluster", ""],
        ["--cluster", "on"],
        ["--cluster", "007"],
        ["--cluster", "homelab", "--namespace", "re.lay"],
        ["--cluster", "homelab", "--channel", "-ops"],
        ["--cluster", "homelab", "--channel", "x" * 33],
        ["--cluster", "homelab", "--channel", "ops", "--channel", "ops"],
        ["--cluster", "homelab", "--watch", "a: {b}"],
        ["--cluster", "homelab", "--flux-namespace", "$HOME"],
        ["--cluster", "homelab", "--monitoring-namespace", "é"],
        ["--cluster", "homelab", "--component", "postgress"],
        ["--cluster", "homelab", "--component", "postgres", "--component", "backup"],
        ["--cluster", "homelab", "--alertmanager", "helm"],
    ],
    ids=str,
)
def test_what_is_no_name_is_refused_in_a_line_and_nothing_is_written(fleet: Path, options: list[str]) -> None:
    done = CliRunner().invoke(app, ["init", "relay", *options])
    assert isinstance(done.exception, RefusedError)
    assert "\n" not in str(done.exception)
    assert not (fleet / "relay").exists()


def test_nothing_is_written_over_what_is_there(fleet: Path) -> None:
    (fleet / "relay").mkdir()
    (fleet / "relay/sync.yaml").write_text("mine\n")
    for place_ in ("relay", "relay/sync.yaml"):
        with pytest.raises(RefusedError, match="nothing is written over it"):
            list(init(fleet / place_, Names("homelab")))
    assert [one.name for one in (fleet / "relay").rglob("*")] == ["sync.yaml"]
    assert (fleet / "relay/sync.yaml").read_text() == "mine\n"


@pytest.mark.parametrize("folder", ["../elsewhere", ".", "a b", "$(id)", "x;y", "-x"])
def test_a_folder_that_flux_could_not_read_is_refused(fleet: Path, folder: str) -> None:
    with pytest.raises(RefusedError):
        list(init(fleet / folder, Names("homelab")))


WORDS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,6}[a-z0-9])?", fullmatch=True) | st.sampled_from(
    ["on", "null", "007", "1e3", "0x1f", "2026-01-01", "y", "inf"]
)


@given(cluster=WORDS, namespace=WORDS, channels=st.lists(WORDS, min_size=1, max_size=3, unique=True), flux=WORDS)
def test_what_is_taken_as_a_name_stays_a_text(cluster: str, namespace: str, channels: list[str], flux: str) -> None:
    """`on`, `1e3` and `007` could be names to Kubernetes, and are something else to YAML."""
    try:
        names = Names(cluster, namespace, tuple(channels), flux=flux)
    except RefusedError:
        return
    texts = rendered(names, PATH, Keys("aa", "bb"))
    (provider, alert, *_) = objects(texts["config/notifications.yaml"])
    assert provider["metadata"]["namespace"] == names.flux
    assert alert["spec"]["eventMetadata"]["cluster"] == names.cluster
    assert yaml.safe_load(texts["config/relay.yaml"])["cluster"] == names.cluster
    assert list(yaml.safe_load(texts["config/relay.yaml"])["channels"]) == list(names.channels)
    assert objects(texts["config/namespace.yaml"])[0]["metadata"]["name"] == names.namespace
