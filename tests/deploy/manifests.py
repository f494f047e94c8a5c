"""Builds manifests as Flux does, and reads the published schemas to the letter: what they do not name is wrong."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from relay.tools.init import COMPONENTS
from tests.conftest import CORPUS, ROOT

Object = dict[str, Any]

DEPLOY = ROOT / "deploy"
CRDS = CORPUS.parent / "crds" if CORPUS else None
"""The custom resource definitions as their projects publish them."""
NEWEST, OLDEST = "1.37", "1.33"
"""Of Kubernetes, that the manifests are for."""

APART = ({"backup", "backup-local-path"}, {"postgres", "backup"}, {"postgres", "backup-local-path"})
"""Components of which one makes no sense beside the other."""


def program(name: str) -> str:
    """A program that came as a wheel lies beside this Python, others on the PATH."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name) or name


def run(*command: str, at: Path | None = None, given: str = "", env: Mapping[str, str] | None = None) -> str:
    """What a program printed. A failure says what it complained of."""
    done = subprocess.run(
        [program(command[0]), *command[1:]],
        cwd=at,
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **(env or {})},
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr or done.stdout}"
    return done.stdout


class _Loader(yaml.CSafeLoader):
    """YAML as Kubernetes reads it: a bare `=` is a text."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda _, node: str(node.value))


def objects(text: str) -> list[Object]:
    return [one for one in yaml.load_all(text, _Loader) if one]  # a safe loader


def build(folder: Path) -> list[Object]:
    return objects(run("kubectl", "kustomize", str(folder)))


def built(at: Path, resource: str, components: Sequence[str] = ()) -> list[Object]:
    """A folder of `deploy/` with components of it, as an operator's own kustomization names them."""
    at.mkdir(parents=True, exist_ok=True)
    names = [os.path.relpath(DEPLOY / resource, at)]
    parts = [os.path.relpath(DEPLOY / "components" / one, at) for one in components]
    (at / "kustomization.yaml").write_text(yaml.safe_dump({"resources": names, "components": parts}))
    return build(at)


def combinations() -> Iterator[tuple[str, ...]]:
    """None, each alone, each pair, and as many as go together."""
    for count in (0, 1, 2):
        yield from filter(together, itertools.combinations(COMPONENTS, count))
    for odd in ("postgres", "backup", "backup-local-path"):
        yield tuple(one for one in COMPONENTS if one == odd or one not in {"postgres", "backup", "backup-local-path"})


def together(components: Iterable[str]) -> bool:
    chosen = set(components)
    return not any(pair <= chosen for pair in APART)


def place(one: Object) -> str:
    return f"{one['kind']}/{one['metadata'].get('namespace', '')}/{one['metadata']['name']}"


def pods(given: Iterable[Object]) -> Iterator[tuple[str, Object]]:
    """Each object that makes Pods, with their spec."""
    for one in given:
        match one["kind"]:
            case "Deployment" | "StatefulSet" | "DaemonSet" | "Job":
                yield place(one), one["spec"]["template"]["spec"]
            case "CronJob":
                yield place(one), one["spec"]["jobTemplate"]["spec"]["template"]["spec"]
            case "Pod":
                yield place(one), one["spec"]
            case _:
                pass


# --- custom resource definitions ----------------------------------------------------------------------------------------


def is_custom(one: Object) -> bool:
    group = one["apiVersion"].rpartition("/")[0]
    return "." in group and not group.endswith(".k8s.io")


@cache
def _definitions() -> dict[tuple[str, str], Object]:
    """The schema of each served version of each kind."""
    out = {}
    assert CRDS is not None
    for file in sorted(CRDS.glob("*.yaml")):
        for definition in objects(file.read_text()):
            spec = definition["spec"]
            for version in spec["versions"]:
                if version["served"]:
                    key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
                    out[key] = closed(version["schema"]["openAPIV3Schema"], root=True)
    return out


def closed(schema: Any, *, root: bool = False) -> Any:  # noqa: ANN401  # a schema, or a list or word within one
    """A structural schema as JSON Schema that takes no field it does not name, as `kubectl apply --validate=strict` does."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: value for key, value in schema.items() if key not in {"properties", "items", "additionalProperties"}}
    for key in ("allOf", "anyOf", "oneOf", "not"):
        # What stands below these only narrows: Kubernetes allows no new fields there.
        out.pop(key, None)
    if "properties" in schema:
        out["properties"] = {name: closed(one) for name, one in schema["properties"].items()}
    if "items" in schema:
        out["items"] = closed(schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        out["additionalProperties"] = closed(schema["additionalProperties"])
    elif schema.get("type") == "object" and not schema.get("x-kubernetes-preserve-unknown-fields"):
        out["additionalProperties"] = schema.get("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        out["type"] = ["integer", "string"]
    if schema.get("nullable"):
        out["type"] = [out["type"], "null"]
    if root or schema.get("x-kubernetes-embedded-resource"):
        own = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
        out["properties"] = {**out.get("properties", {}), **own}
    narrowing = {key: schema[key] for key in ("allOf", "anyOf", "oneOf", "not") if key in schema}
    return {"allOf": [out, narrowing]} if narrowing else out


def problems_of_custom(one: Object) -> list[str]:
    """What the published definition has against an object; that there is none is one."""
    schema = _definitions().get((one["apiVersion"], one["kind"]))
    if schema is None:
        return [f"{place(one)}: no definition of {one['apiVersion']} {one['kind']}"]
    found = jsonschema.Draft202012Validator(schema).iter_errors(one)
    return [f"{place(one)}: {error.json_path}: {error.message}" for error in found]
