"""Processes that end with their block, and what the kernel says of them: CPU time, memory, and how long the disk takes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Seconds of CPU that the process has used, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident(pid: int) -> float:
    """Megabytes of memory that the process holds (RSS)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ProcessLookupError(pid)


def fdatasync(folder: Path, times: int = 100) -> float:
    """Seconds that the disk under `folder` takes to keep 16 KiB, median."""
    taken = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(times):
            file.write(b"x" * 16384)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - began)
    return median(taken)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def process(*arguments: str, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m …` until the block ends; its log is shown if it failed."""
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            [sys.executable, "-m", *arguments], env={**os.environ, **(env or {})}, cwd=ROOT, stdout=said, stderr=said
        ) as running,
    ):
        try:
            yield running
        finally:
            running.terminate()
            try:
                code = running.wait(15.0)
            except subprocess.TimeoutExpired:
                running.kill()
                code = running.wait()
            if code not in (0, -15):
                said.seek(0)
                sys.stderr.write(said.read()[-4000:].decode(errors="replace"))


def wait_until_ready(
    port: int, running: subprocess.Popen[bytes], path: str = "/readyz", patience: float = 15.0
) -> None:
    """Returns with the first answer 200. Raises RuntimeError when the process ends or `patience` seconds are over."""
    end = time.monotonic() + patience
    while time.monotonic() < end and running.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=1.0)
        try:
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.005)
    raise RuntimeError("a server did not get ready")
