"""Remember which stage of a chain is done, and by what: settings, code and inputs.

A stage whose key is unchanged is skipped; one that was interrupted goes on where it stopped; one whose key
changed has its old outputs moved aside before it starts anew.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelpack.atomic import write_json
from modelpack.environment import code_version
from modelpack.errors import CheckpointError

log = logging.getLogger(__name__)

STALE_FOLDER = "stale"


@dataclass(frozen=True)
class Stage:
    """One link of the chain."""

    name: str
    work: Callable[[], object]
    outputs: tuple[Path, ...]
    """Files or folders that the work leaves; all must be there for the stage to be skipped."""
    settings: Mapping[str, Any]
    """Everything that decides the result, as plain data."""
    packages: tuple[str, ...] = ()
    """Packages of this project whose code decides the result."""
    needs: tuple[str, ...] = ()
    """Names of stages that must have run before; their keys are part of this one's."""
    resumes: bool = False
    """Whether the work goes on from what an interruption left in `outputs`."""


@dataclass
class Ledger:
    """The record of one chain, in one JSON file beside its results."""

    path: Path
    accepts_other_code: bool = False
    """Skip finished stages also when the code has changed since."""
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path.is_file():
            try:
                self.entries = json.loads(self.path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise CheckpointError(
                    f"{self.path} is damaged ({error}). Remove it: finished trainings are kept all the same."
                ) from error

    def run(self, stages: Sequence[Stage]) -> None:
        """Run what is not done, in order."""
        keys: dict[str, Key] = {}
        for number, stage in enumerate(stages, 1):
            title = f"[{number}/{len(stages)}] {stage.name}"
            key = keys[stage.name] = _key(stage, keys)
            if self._holds(stage, key) and self.entries[stage.name]["status"] == "finished":
                log.info("%s: done before, skipped", title)
                continue
            is_same = self._holds(stage, key, started=True)
            if not (stage.resumes and (stage.name not in self.entries or is_same)):
                self._move_aside(stage, self._why_anew(stage, key))
            log.info("%s ...", title)
            start = time.monotonic()
            self._record(stage, key, "started", None)
            stage.work()
            self._record(stage, key, "finished", time.monotonic() - start)
            log.info("%s: %.0f s", title, time.monotonic() - start)

    def seconds(self) -> dict[str, float]:
        """How long each finished stage took."""
        return {
            name: entry["seconds"] for name, entry in self.entries.items() if entry["seconds"] is not None
        }

    def _holds(self, stage: Stage, key: "Key", *, started: bool = False) -> bool:
        """Whether the recorded outputs are those of `key`; they must exist unless `started` is enough."""
        entry = self.entries.get(stage.name)
        if entry is None or not (started or all(path.exists() for path in stage.outputs)):
            return False
        same = entry["settings"] == key.settings if self.accepts_other_code else entry["code"] == key.code
        return bool(same)

    def _why_anew(self, stage: Stage, key: "Key") -> str:
        entry = self.entries.get(stage.name)
        if entry is None:
            return "is in no record of this chain"
        if entry["code"] == key.code:
            return "was not finished"
        if entry["settings"] == key.settings:
            return "the code has changed (--accept-other-code keeps finished results)"
        return "its settings or inputs have changed"

    def _move_aside(self, stage: Stage, reason: str) -> None:
        there = [path for path in stage.outputs if path.exists()]
        if not there:
            return
        aside = self.path.parent / STALE_FOLDER / datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        for path in there:
            target = aside / path.relative_to(self.path.parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
        log.info("%s: %s; what was there is now in %s", stage.name, reason, aside)

    def _record(self, stage: Stage, key: "Key", status: str, seconds: float | None) -> None:
        self.entries[stage.name] = {**asdict(key), "status": status, "seconds": seconds}
        write_json(self.path, self.entries)


@dataclass(frozen=True)
class Key:
    """Two hashes of what decides a stage's result: of settings and inputs alone, and of the code as well."""

    settings: str
    code: str


def _key(stage: Stage, keys: Mapping[str, Key]) -> Key:
    settings = _sha256([stage.name, stage.settings, [keys[name].settings for name in stage.needs]])
    code = code_version(stage.packages) if stage.packages else ""
    return Key(settings, _sha256([settings, code, [keys[name].code for name in stage.needs]]))


def _sha256(parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
