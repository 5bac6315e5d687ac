"""API keys: who may ask what. The service's file holds their hashes only.

A line of the file is `NAME SCOPES sha256:HEX`, as `afdcd serve key` writes it; `#` begins a comment. A key is
256 random bits, so a plain SHA-256 cannot be searched backwards and no slow password hash is needed.
"""

import hashlib
import hmac
import logging
import os
import re
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from modelpack.errors import SettingsError

logger = logging.getLogger(__name__)


class Scope(StrEnum):
    """What a key is good for; neither holds the other."""

    INFER = "infer"
    """Whatever changes nothing."""
    ADMIN = "admin"
    """Loading, unloading and whatever else changes the service."""


KEY_PREFIX = "afdcd_"
"""Lets scanners for leaked secrets find keys in code and logs."""
KEY_BYTES = 32
HASH_PREFIX = "sha256:"
LOOK_EVERY_S = 1.0
"""How often the file is looked at for changes, at most."""
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LINE = re.compile(
    rf"(?P<name>{_NAME.pattern})\s+(?P<scopes>[a-z,]+)\s+{HASH_PREFIX}(?P<hash>[0-9a-f]{{64}})"
)


@dataclass(frozen=True)
class Key:
    """What is known of one key: not the key itself."""

    name: str
    scopes: frozenset[str]
    sha256: bytes


class KeyFile:
    """The keys of one file; a change on disk counts a second later at most, without a restart."""

    def __init__(self, path: Path) -> None:
        """Raises SettingsError for a file that cannot be read, holds no key, or breaks the format."""
        self._path = path
        self._keys = read_keys(path)
        self._state = _state_of(path)
        self._looked_at = time.monotonic()

    def find(self, secret: bytes) -> Key | None:
        """Compares with every key, each in constant time: how long it takes tells nothing about any."""
        self._look()
        digest = hashlib.sha256(secret).digest()
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.sha256, digest):
                found = key
        return found

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = now
        state = _state_of(self._path)
        if state == self._state:
            return
        self._state = state
        try:
            self._keys = read_keys(self._path)
        except SettingsError as error:
            logger.error("the keys stay as they were: %s", error)
        else:
            logger.info("%s has changed: %d keys", self._path, len(self._keys))


def read_keys(path: Path) -> tuple[Key, ...]:
    """Raises SettingsError as `KeyFile` does. A wrong line is named by its number and not repeated."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SettingsError(
            f"the key file {path} cannot be read: {reason}. `afdcd serve key` makes one."
        ) from error
    keys = []
    for number, line in enumerate(lines, start=1):
        words = line.partition("#")[0].strip()
        if not words:
            continue
        match = _LINE.fullmatch(words)
        scopes = frozenset(match["scopes"].split(",")) if match else frozenset()
        if match is None or not scopes <= set(Scope):
            raise SettingsError(
                f"{path} line {number} is not 'NAME SCOPES {HASH_PREFIX}HEX' with SCOPES of "
                f"{', '.join(Scope)}. Make it with `afdcd serve key`."
            )
        keys.append(Key(match["name"], scopes, bytes.fromhex(match["hash"])))
    if not keys:
        raise SettingsError(f"the key file {path} holds no key. Make one with `afdcd serve key`.")
    return tuple(keys)


def add_key(path: Path, name: str, scopes: Collection[Scope]) -> str:
    """A new key, whose hash is appended to the file (readable by its owner only). The key is kept nowhere.

    Raises SettingsError for a name that is taken or has other characters than letters, digits, `.`, `_`, `-`.
    """
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"{name!r} cannot name a key: use up to 64 letters, digits, dots, underscores, dashes."
        )
    if path.exists() and name in {key.name for key in read_keys(path)}:
        raise SettingsError(
            f"{path} has a key {name!r} already. Take another name, or delete that line to revoke it."
        )
    secret = KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)
    digest = hashlib.sha256(secret.encode()).hexdigest()
    line = f"{name} {','.join(scope for scope in Scope if scope in scopes)} {HASH_PREFIX}{digest}\n"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "w") as file:
        file.write(line)
    return secret


def _state_of(path: Path) -> tuple[int, int, int] | None:
    """What tells one version of the file from the next; None where there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
