"""`latency.json`: raw samples first, every derived figure beside the rule that made it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from bench.config import BenchConfig, Boundary
from bench.energy import Energy
from bench.json_text import json_text
from bench.machine_watch import MachineReading, MachineState
from bench.messages import WarmUp
from bench.statistics import PERCENTILES, Percentile, Ratio, percentile_interval
from bench.validity import Verdict
from modelpack.errors import SettingsError
from modelpack.manifest import Claim
from modelpack.runtimes.runtime import StageTimes
from modelpack.settings import StrictModel, parse_settings


class ImageUsed(StrictModel):
    """One image that the cases were fed with."""

    name: str
    sha256: str
    size: tuple[int, int]
    """(height, width)."""


class SessionResult(StrictModel):
    """One loaded graph: what it was, where it ran, and what its package claims of it."""

    name: str
    label: str
    package_name: str
    package_version: str
    artifact: str
    precision: str
    sha256: str
    size_bytes: int
    input_size: tuple[int, int]
    """(height, width) of what the graph was fed with."""
    runtime: str
    threads: int
    """0: the runtime's choice."""
    device: str
    provider: str
    description: dict[str, Any]
    """The runtime's own words: versions, threads."""
    open_ms: float
    choice: str = ""
    """Why this artifact and runtime, where the loader chose them (artifacts=best)."""
    claims: tuple[Claim, ...]
    """Measured by export for a file with this sha256."""

    def miou(self) -> Claim | None:
        return next((claim for claim in self.claims if claim.name == "miou"), None)


class CaseResult(StrictModel):
    """One session at one boundary and one batch size."""

    session: str
    boundary: Boundary
    batch: int
    samples: int
    mean_ms: float
    deviation_ms: float
    min_ms: float
    max_ms: float
    percentiles: tuple[Percentile, ...]
    """Milliseconds per call of the whole batch."""
    images_per_second: float
    """Batch over mean: one caller, one call after the other."""
    peak_memory_bytes: int
    """Largest resident set of the worker (interpreter, runtime, graph) up to this batch size."""
    warm_up: WarmUp
    verdict: Verdict
    rounds_ms: tuple[tuple[float, ...], ...]
    """Raw samples in order of time, one list per round."""
    stages: tuple[StageTimes, ...] = ()
    """Further calls, split; none where boundary or runtime cannot. In results of 0.1: none."""
    energy: tuple[Energy, ...] = ()
    machine: tuple[MachineReading, ...] = ()
    """After each round's visit."""

    @classmethod
    def of_rounds(
        cls,
        session: str,
        boundary: Boundary,
        batch: int,
        rounds_ms: list[tuple[float, ...]],
        *,
        peak_memory_bytes: int,
        warm_up: WarmUp,
        verdict: Verdict,
        stages: Sequence[StageTimes] = (),
        energy: Sequence[Energy] = (),
        machine: Sequence[MachineReading] = (),
    ) -> Self:
        samples = np.concatenate([np.asarray(r, np.float64) for r in rounds_ms])
        return cls(
            session=session,
            boundary=boundary,
            batch=batch,
            samples=len(samples),
            mean_ms=float(samples.mean()),
            deviation_ms=float(samples.std(ddof=1)),
            min_ms=float(samples.min()),
            max_ms=float(samples.max()),
            percentiles=tuple(percentile_interval(samples, percent) for percent in PERCENTILES),
            images_per_second=batch * 1000.0 / float(samples.mean()),
            peak_memory_bytes=peak_memory_bytes,
            warm_up=warm_up,
            verdict=verdict,
            rounds_ms=tuple(rounds_ms),
            stages=tuple(stages),
            energy=tuple(energy),
            machine=tuple(machine),
        )

    def percentile(self, percent: int) -> Percentile:
        return next(entry for entry in self.percentiles if entry.percent == percent)


class Comparison(StrictModel):
    """How many times as fast a session is as the baseline: baseline's median over its own."""

    baseline: str
    session: str
    boundary: Boundary
    batch: int
    speedup: Ratio


class BenchResult(StrictModel):
    """One latency measurement."""

    format_version: Literal[1] = 1
    created: str
    """UTC, ISO 8601."""
    seconds: float
    """Wall clock of the whole measurement."""
    verdict: Verdict
    other_load: float | None
    """Share of all CPUs that other processes used meanwhile; None where the system does not say."""
    machine: MachineState | None = None
    settings: BenchConfig
    environment: dict[str, Any]
    boundaries: dict[Boundary, str]
    rules: dict[str, str]
    """How every figure was made."""
    images: tuple[ImageUsed, ...]
    skipped: tuple[str, ...]
    """Asked for, but not possible, and why."""
    sessions: tuple[SessionResult, ...]
    cases: tuple[CaseResult, ...]
    comparisons: tuple[Comparison, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises SettingsError for a file that is no latency result."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise SettingsError(f"latency result {path} cannot be read: {error}") from error
        return parse_settings(cls, values, str(path))

    def to_json(self) -> str:
        """Indented, with every list of numbers on one line: the raw samples would fill thousands."""
        return json_text(self.model_dump(mode="json"))

    def session(self, name: str) -> SessionResult:
        return next(session for session in self.sessions if session.name == name)

    def cases_at(self, boundary: Boundary, batch: int | None = None) -> list[CaseResult]:
        """Cases of one boundary in the order of the sessions; all batch sizes, or one."""
        return [case for case in self.cases if case.boundary == boundary and batch in (None, case.batch)]

    @property
    def smallest_batch(self) -> int:
        return min(case.batch for case in self.cases)
