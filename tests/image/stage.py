"""The image, built and run where there is no registry: on Debian's own Python, by buildah, in namespaces of its own.

The base is Debian's release of the Dockerfile's first line with its Python, under the very name that stands there; the digest is what
cannot be had. What takes long is kept in the user's cache: the base as an archive, and the locked packages, each once per lock.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp

from tests.conftest import ROOT
from tests.path.stage import Clock, Process

DAY: Final = 86_400.0
FRESH: Final = 30 * DAY
"""Seconds for which an archived base serves; Debian mends its packages."""
SLOW: Final = 600.0
"""Seconds in which a step ends on a machine that does other things too."""
STRANGER: Final = "4242:0"
"""A uid that no file knows, in group 0: what OpenShift gives, and who says `runAsUser`."""
LOCKS: Final = [ROOT / "requirements" / name for name in ("build.txt", "runtime.txt")]

# Read-only but for /data; and no shell, which nothing may need. `exec` all the way down: who is told to stop is the relay.
IN_THE_IMAGE: Final = """
set -eu
root=$1 data=$2 user=$3
shift 3
mount --bind "$root" "$root"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount --bind "$data" "$root/data"
for shell in bash dash; do
    [ ! -e "$root/usr/bin/$shell" ] || mount --bind /dev/null "$root/usr/bin/$shell"
done
mount -o remount,bind,ro "$root"
exec chroot --userspec="$user" --groups=0 "$root" /usr/bin/env --ignore-environment "$@"
"""


class Base(NamedTuple):
    """The Dockerfile's first line: what it builds upon."""

    name: str
    python: str
    release: str


def base_named() -> Base:
    """Read from the Dockerfile, digest aside."""
    line = re.compile(r"^FROM (python:(3\.\d+)\.\d+-slim-([a-z]+))(?:@sha256:[0-9a-f]{64})? AS base$", re.MULTILINE)
    found = line.findall((ROOT / "Dockerfile").read_text())
    assert len(found) == 1, "the base is named once, with its whole version and Debian's release"
    name, python, release = found[0]
    return Base(f"docker.io/library/{name}", python, release)


def as_root(*command: str | Path) -> list[str | Path]:
    """`command` by who may mount and be somebody else."""
    return [*command] if os.geteuid() == 0 else ["sudo", "-n", *command]


def said(command: Sequence[str | Path]) -> str:
    """What a program prints; its complaint is the test's."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=SLOW, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command[:4]))} …: {(done.stdout + done.stderr)[-3000:]}"
    return done.stdout.strip()


def cache() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flux-relay"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def debian(base: Base) -> Path:
    """An archive of Debian's release with its Python, as old as it may be."""
    kept = cache() / f"debian-{base.release}-{platform.machine()}.tar"
    if not kept.exists() or time.time() - kept.stat().st_mtime > FRESH:
        made = kept.with_suffix(".part.tar")
        packages = "ca-certificates,python3,python3-venv"
        said(as_root("mmdebstrap", "--variant=apt", f"--include={packages}", base.release, made))
        made.rename(kept)
    return kept


def wheels(base: Base, machine: str) -> Path:
    """A folder with what the locks name, ready made for this Python on `machine`; hashes are compared."""
    print_ = hashlib.sha256(b"".join(lock.read_bytes() for lock in LOCKS)).hexdigest()[:16]
    kept = cache() / f"wheels-{base.python}-{machine}-{print_}"
    if not kept.is_dir():
        made = kept.with_suffix(".part")
        shutil.rmtree(made, ignore_errors=True)
        # Every C library from the oldest anybody builds for to the one of Debian 13.
        known = [f"--platform=manylinux_2_{minor}_{machine}" for minor in range(5, 42)]
        locked = [f"--requirement={lock}" for lock in LOCKS]
        pip = [
            sys.executable,
            "-m",
            "pip",
            "--quiet",
            "download",
            "--require-hashes",
            "--no-deps",
            "--only-binary=:all:",
        ]
        said(
            [*pip, f"--python-version={base.python}", *known, f"--platform=linux_{machine}", *locked, f"--dest={made}"]
        )
        made.rename(kept)
    return kept


def committed(to: Path) -> Path:
    """A copy of what is committed, or would be; a build that runs while somebody types reads one state of it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, to / name)
    return to


@dataclass(frozen=True, slots=True)
class Store:
    """Where buildah keeps images for this session."""

    folder: Path

    def buildah(self, *words: str | Path) -> str:
        store = ("--root", self.folder / "root", "--runroot", self.folder / "run", "--storage-driver", "vfs")
        return said(as_root("buildah", *store, *words))

    def bring(self, base: Base, archive: Path) -> None:
        """Make an image of Debian's Python, with what the image of that name has beside: `python`, and a PATH."""
        container = self.buildah("from", "scratch")
        self.buildah("add", container, archive, "/")
        self.buildah("run", "--isolation", "chroot", container, "--", "ln", "-s", "python3", "/usr/bin/python")
        self.buildah("config", "--env", "PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin", container)
        self.buildah("commit", "--rm", "--quiet", container, base.name)

    def build(self, tag: str, base: Base, context: Path, packages: Path) -> Image:
        """Build as the README says to, without a network: pip's settings come as a secret, the packages as a volume."""
        settings = self.folder / "pip.conf"
        settings.write_text("[global]\nno-index = true\nfind-links = /mnt\n")
        self.buildah(
            "build",
            "--isolation=chroot",
            "--format=docker",
            "--pull=never",
            f"--from={base.name}",
            f"--secret=id=pip,src={settings}",
            f"--volume={packages}:/mnt:ro",
            "--timestamp=0",
            f"--tag={tag}",
            f"--file={context / 'Dockerfile'}",
            context,
        )
        config = json.loads(self.buildah("inspect", "--type=image", tag))["Docker"]
        return Image(config["config"], config["rootfs"]["diff_ids"])

    def unpacked(self, tag: str) -> Path:
        """The image's files."""
        return Path(self.buildah("mount", self.buildah("from", "--pull=never", tag)))

    def emptied(self) -> None:
        self.buildah("umount", "--all")
        subprocess.run(as_root("rm", "-rf", self.folder), check=True, timeout=SLOW)


@dataclass(frozen=True, slots=True)
class Image:
    """What an image says of itself."""

    config: Mapping[str, Any]
    layers: Sequence[str]

    @property
    def env(self) -> dict[str, str]:
        return dict(one.split("=", 1) for one in self.config["Env"])


class Entry(NamedTuple):
    """A file of the image, as `find` prints it."""

    kind: str
    mode: int
    owner: tuple[int, int]
    size: int
    path: str


def listed(root: Path, *below: str) -> list[Entry]:
    """All there is of an image's files, from each of `below` down; what is not there is not listed."""
    shown = ("-printf", r"%y %m %U %G %s %P\n")
    lines = said(as_root("find", root, "-xdev", *shown)).splitlines()
    split = (line.split(" ", 5) for line in lines)
    all_ = (
        Entry(kind, int(mode, 8), (int(uid), int(gid)), int(size), path) for kind, mode, uid, gid, size, path in split
    )
    return [one for one in all_ if f"{one.path}/".startswith(tuple(f"{part}/" for part in below))]


@dataclass(frozen=True, slots=True)
class Container:
    """The image with its /data, for whoever runs it."""

    image: Image
    root: Path
    data: Path
    env: Mapping[str, str]

    def command(self, *arguments: str, user: str = STRANGER, entrypoint: Sequence[str] = ()) -> list[str | Path]:
        """As a container's runtime starts it: the image's environment and working directory, then its entry point."""
        variables = [f"{name}={value}" for name, value in (self.image.env | dict(self.env)).items()]
        words = [*(entrypoint or self.image.config["Entrypoint"]), *(arguments or self.image.config["Cmd"])]
        inside = ["--chdir", self.image.config["WorkingDir"], *variables, *words]
        held = as_root("unshare", "--mount", "--propagation=private", "sh", "-c", IN_THE_IMAGE, "sh")
        return [*held, self.root, self.data, user, *inside]

    def run(self, *arguments: str, **how: Any) -> subprocess.CompletedProcess[str]:  # noqa: ANN401  # as in `command`
        """Run a command to its end."""
        return subprocess.run(
            self.command(*arguments, **how), capture_output=True, text=True, timeout=60, check=False, cwd="/"
        )

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Process]:
        """The image as it starts by itself, ready; it ends with the block, if not before."""
        log = self.data.parent / "log"
        with log.open("ab") as written:
            child = await asyncio.create_subprocess_exec(
                *self.command(), stdout=written, stderr=written, cwd="/", start_new_session=True
            )
        try:
            async with aiohttp.ClientSession() as session:
                process = Process(f"http://{self.env['RELAY_LISTEN']}", session, Clock(), child, log)
                await process.ready()
                yield process
        finally:
            with suppress(ProcessLookupError):
                child.terminate()
            async with asyncio.timeout(30):
                await child.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
