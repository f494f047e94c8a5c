"""A command that runs until it is told to stop runs on the fastest loop there is, and its threads need not wait for each other."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

SWITCH: Final = 0.001
"""Seconds for which a busy thread keeps the interpreter. Python's 5 ms would let each answer of the database wait for that long."""

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns, on uvloop where it is installed."""
    sys.setswitchinterval(SWITCH)
    try:
        from uvloop import new_event_loop
    except ModuleNotFoundError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(work)
