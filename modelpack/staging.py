"""Folders that are there whole or not at all: filled beside their target, flushed to disk, then renamed."""

import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_counter = itertools.count()
_open_here: set[Path] = set()
"""Folders that this process is filling: others with its pid are left from an earlier process."""


@contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside `target`; on clean exit it takes the target's place, else it is removed.

    An existing target stays as it is until the swap (two renames: a kill between them leaves the old folder
    under a hidden name, and the next call for the same target puts it back). What killed processes left is
    removed on entry.
    """
    target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    _clear_leftovers(target)
    staging = _hidden(target, "staging")
    staging.mkdir()
    _open_here.add(staging)
    try:
        yield staging
        _flush(staging)
        _swap(staging, target)
    finally:
        _open_here.discard(staging)
        shutil.rmtree(staging, ignore_errors=True)


def _hidden(target: Path, purpose: str) -> Path:
    return target.with_name(f".{target.name}.{purpose}.{os.getpid()}.{next(_counter)}")


def _clear_leftovers(target: Path) -> None:
    for old in _leftovers(target, "old"):
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(target)
    for staging in _leftovers(target, "staging"):
        shutil.rmtree(staging, ignore_errors=True)


def _leftovers(target: Path, purpose: str) -> list[Path]:
    """Hidden folders of `target` whose process is gone."""
    prefix = f".{target.name}.{purpose}."
    found = []
    for path in target.parent.iterdir():
        pid = path.name.removeprefix(prefix).partition(".")[0]
        if path.name.startswith(prefix) and pid.isdigit() and not _is_in_use(path, int(pid)):
            found.append(path)
    return found


def _is_in_use(path: Path, pid: int) -> bool:
    if pid == os.getpid():
        return path in _open_here
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _swap(staging: Path, target: Path) -> None:
    if not target.exists():
        staging.rename(target)
        _sync(target.parent)
        return
    old = _hidden(target, "old")
    _open_here.add(old)
    try:
        target.rename(old)
        try:
            staging.rename(target)
        except OSError:
            old.rename(target)
            raise
        _sync(target.parent)
    finally:
        _open_here.discard(old)
        shutil.rmtree(old, ignore_errors=True)


def _flush(folder: Path) -> None:
    """Bring every file and folder below to the disk, so that no rename can outrun the content."""
    for parent, _, files in os.walk(folder):
        for name in files:
            _sync(Path(parent, name))
        _sync(Path(parent))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
