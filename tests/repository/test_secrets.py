"""A Secret in Git is encrypted by sops, or says REPLACE-ME in each of its values; what is neither is a secret no more."""

import base64
import binascii
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

BLANK = "REPLACE-ME"
"""What stands where a secret will stand."""


def _said(value: object, *, encoded: bool) -> str:
    """A value as it would be mounted."""
    try:
        return base64.b64decode(str(value), validate=True).decode(errors="replace") if encoded else str(value)
    except binascii.Error:
        return str(value)


def plain(document: Any) -> Iterator[str]:  # noqa: ANN401  # whatever a file holds
    """The names of values that anybody could read."""
    if not isinstance(document, Mapping):
        return
    for one in document.get("items") or []:
        yield from plain(one)
    if document.get("kind") == "Secret":
        for part in ("data", "stringData"):
            for name, value in (document.get(part) or {}).items():
                sealed = "sops" in document and str(value).startswith("ENC[")
                if not sealed and BLANK not in _said(value, encoded=part == "data"):
                    yield f"{part}.{name}"
    for made in document.get("secretGenerator") or []:
        yield from (f"secretGenerator.{one}" for one in made.get("literals") or [] if BLANK not in one)


def _manifests() -> dict[str, list[Any]]:
    """What is committed of YAML, or would be; what is only YAML once its blanks are filled is no manifest yet."""
    ask = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.yaml", "*.yml"]
    listed = subprocess.run(ask, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    found: dict[str, list[Any]] = {}
    for name in filter(None, listed.split("\0")):
        if name.startswith(("relay/", "tests/")) or not (ROOT / name).is_file():
            continue
        found[name] = list(yaml.safe_load_all((ROOT / name).read_text()))
    return found


def test_no_secret_in_git_can_be_read() -> None:
    found = {name: list(leaks) for name, all_ in _manifests().items() if (leaks := [x for d in all_ for x in plain(d)])}
    assert not found


def test_the_scan_sees_the_secrets_there_are() -> None:
    kinds = [doc.get("kind") for docs in _manifests().values() for doc in docs if isinstance(doc, dict)]
    assert kinds.count("Secret") >= 3


SEALED = "ENC[AES256_GCM,data:p673w==,iv:YY=,tag:UQ==,type:str]"


@pytest.mark.parametrize(
    "document, leaks",
    [
        ({"kind": "Secret", "stringData": {"token": "hunter2"}}, ["stringData.token"]),
        ({"kind": "Secret", "data": {"token": base64.b64encode(b"hunter2").decode()}}, ["data.token"]),
        ({"kind": "Secret", "data": {"token": base64.b64encode(b"REPLACE-ME").decode()}}, []),
        ({"kind": "Secret", "stringData": {"a": "https://example.org/REPLACE-ME", "b": "x"}}, ["stringData.b"]),
        ({"kind": "Secret", "stringData": {"token": SEALED}, "sops": {"age": []}}, []),
        ({"kind": "Secret", "stringData": {"token": SEALED}}, ["stringData.token"]),
        ({"kind": "Secret", "stringData": {"token": SEALED, "b": "x"}, "sops": {}}, ["stringData.b"]),
        ({"kind": "List", "items": [{"kind": "Secret", "stringData": {"b": "x"}}]}, ["stringData.b"]),
        ({"kind": "Secret", "data": None}, []),
        ({"kind": "ConfigMap", "data": {"relay.yaml": "cluster: homelab"}}, []),
        ({"secretGenerator": [{"name": "s", "literals": ["a=REPLACE-ME", "b=x"]}]}, ["secretGenerator.b=x"]),
        (["not", "a", "manifest"], []),
    ],
)
def test_what_could_be_read_is_found(document: Any, leaks: list[str]) -> None:  # noqa: ANN401  # as above
    assert list(plain(document)) == leaks
