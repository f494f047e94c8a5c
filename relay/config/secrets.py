"""A secret has no string form, and a file that holds one is followed: what changes is taken, what breaks later keeps the last good."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hmac import compare_digest
from pathlib import Path
from typing import Final, NoReturn, final

MAX_SECRET: Final = 64 * 1024
"""Bytes of a secret's file: more is another file than was meant."""
_SETTLED_NS: Final = 1_000_000_000
_RECENT: Final = 1.0
"""Seconds between two looks at a file by those whom its secret lets in."""

Check = Callable[["Secret"], str | None]
"""Says in a few words, which hold nothing of the secret, why it cannot be used; None if it can."""


class SecretError(ValueError):
    """A secret that cannot be used; the text holds nothing of it, nor its path."""


@final
class Secret:
    """Bytes that only `reveal` and `raw` give away. `str`, `format`, `json` and `pickle` fail, `repr` says `<secret>`."""

    __slots__ = ("_value",)

    def __init__(self, value: str | bytes) -> None:
        self._value = value.encode(errors="surrogateescape") if isinstance(value, str) else bytes(value)

    def reveal(self) -> str:
        """Its text, without the white space around it that editors and `echo` leave."""
        return self._value.strip().decode(errors="surrogateescape")

    def raw(self) -> bytes:
        """Its bytes as they stand in the file: a sender may have signed with the newline."""
        return self._value

    @property
    def blank(self) -> bool:
        return not self._value.strip()

    def matches(self, candidate: bytes) -> bool:
        """Whether `candidate` is it, white space around the secret aside, in a time that does not tell; a blank one never opens."""
        return compare_digest(self._value.strip(), candidate) and not self.blank

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return "<secret>"

    def __str__(self) -> NoReturn:
        raise TypeError("a secret has no string form")

    def __format__(self, spec: str) -> NoReturn:
        raise TypeError("a secret has no string form")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not stored")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a secret is not stored")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self


def read_bounded(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most `limit` bytes. Raises OSError, whose `strerror` names no path."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "it is not a regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise OSError(0, f"it is longer than {limit} bytes")
    return content


def why_not(error: OSError | ValueError) -> str:
    """An error of the operating system in words, without the path it names."""
    reason = error.strerror if isinstance(error, OSError) else "the path is none"
    return (reason or "it cannot be read").lower()


def _refusal(secret: Secret, check: Check | None) -> str | None:
    if secret.blank:
        return "it is blank"
    return check(secret) if check else None


@dataclass(frozen=True, slots=True)
class SecretValue:
    """A secret from the environment: it never changes. Raises SecretError if it cannot be used."""

    value: Secret
    check: Check | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if refusal := _refusal(self.value, self.check):
            raise SecretError(refusal)

    def current(self) -> Secret:
        return self.value

    def recent(self) -> Secret:
        return self.value

    @property
    def warning(self) -> str:
        """Always empty: what never changes never breaks."""
        return ""


class SecretFile:
    """A secret in a file, read when made (SecretError if it cannot be used) and again whenever the file changed."""

    __slots__ = ("_check", "_looked_at", "_secret", "_seen", "_warning", "path")

    def __init__(self, path: Path, check: Check | None = None) -> None:
        self.path = path
        self._check = check
        self._warning = ""
        self._seen: tuple[int, ...] | None = None
        self._looked_at = 0.0
        self._secret = self._read()

    def recent(self) -> Secret:
        """The secret as the file held it at most a second ago: who is refused by it must ask `current`."""
        settled = self._seen is not None and time.monotonic() - self._looked_at < _RECENT
        return self._secret if settled else self.current()

    def current(self) -> Secret:
        """The secret as the file holds it now; the last good one while the file cannot be used, and `warning` says why."""
        self._looked_at = time.monotonic()
        try:
            if self._seen is None or self._seen != self._stamp():
                self._secret, self._warning = self._read(), ""
        except SecretError as error:
            self._warning = f"{self.path}: {error}; the last good one stays in use"
        return self._secret

    @property
    def warning(self) -> str:
        """One line for the log when the last `current` had to keep an older secret, else empty."""
        return self._warning

    def _stamp(self) -> tuple[int, ...] | None:
        """What changes with the file, through symbolic links; None while a second write could still leave it equal."""
        try:
            found = self.path.stat()
        except (OSError, ValueError):
            return None
        settled = time.time_ns() - found.st_mtime_ns > _SETTLED_NS
        return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size) if settled else None

    def _read(self) -> Secret:
        stamp = self._stamp()
        try:
            secret = Secret(read_bounded(self.path, MAX_SECRET))
        except (OSError, ValueError) as error:
            raise SecretError(why_not(error)) from None
        if refusal := _refusal(secret, self._check):
            raise SecretError(refusal)
        self._seen = stamp
        return secret

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretFile) and self.path == other.path and self._secret == other._secret

    def __hash__(self) -> int:
        return hash((SecretFile, self.path))

    def __repr__(self) -> str:
        return f"SecretFile({str(self.path)!r})"

    def __copy__(self) -> SecretFile:
        return self

    def __deepcopy__(self, memo: object) -> SecretFile:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not stored")


SecretSource = SecretFile | SecretValue
