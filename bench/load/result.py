"""`load.json`: what was asked, what came, and whether it can be believed. Raw samples lie beside it."""

import json
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field

from bench.load.config import Bound, Driver, LoadConfig, Scenario
from bench.load.early_stopping import EarlyStopping
from bench.load.loops import ClosedLoop, OpenLoop
from bench.load.meters import ServerUse
from bench.load.transport import TransportFacts
from bench.load.validity import LoadVerdict
from bench.statistics import Percentile
from modelpack.errors import SettingsError
from modelpack.settings import StrictModel, parse_settings


class GeneratorUse(StrictModel):
    """What the measuring itself cost, and how late it was."""

    lag_ms: tuple[Percentile, ...]
    """From the intended send to the generator's turning to it."""
    max_lag_ms: float
    cpu: float
    """CPU seconds per second of the busiest generator process; in process, the model's are in it."""
    transport: TransportFacts
    """Of all generator processes together."""


class Curve(StrictModel):
    """The whole distribution, denser towards 100 %."""

    percents: tuple[float, ...]
    milliseconds: tuple[float, ...]


class Timeline(StrictModel):
    """A run in stretches, by intended time; failed queries with the time until they failed."""

    start_s: tuple[float, ...]
    queries: tuple[int, ...]
    median_ms: tuple[float, ...]
    max_ms: tuple[float, ...]


class LoadRun(StrictModel):
    """One loop: warmed up, recorded, judged."""

    name: str
    """Unique; raw samples are `raw/NAME.npz`, the HdrHistogram log `raw/NAME.hlog`."""
    loop: OpenLoop | ClosedLoop = Field(discriminator="kind")
    start_ns: int
    """Begin of the recording by the monotonic clock of the machine, which a server here shares."""
    queries: int
    """Recorded."""
    ok: int
    """Answered rightly."""
    errors: dict[str, int]
    """Kind -> count, kinds that happened."""
    statuses: dict[int, int]
    """HTTP status -> count."""
    seconds: float
    """Recorded time: of the schedule, or until the last answer of a closed loop."""
    ok_per_second: float
    received_bytes: int
    latency: tuple[Percentile, ...]
    """ms from the intended send; queries that timed out count with the time that was waited."""
    mean_ms: float | None
    max_ms: float | None
    service: tuple[Percentile, ...]
    """ms from the actual send: what a tool without intended times would say."""
    curve: Curve
    timeline: Timeline
    generator: GeneratorUse
    server: ServerUse | None
    """None where the server's process is not known."""
    other_load: float | None
    """Share of all CPUs that neither generator nor server used."""
    verdict: LoadVerdict

    def percentile(self, percent: float) -> Percentile | None:
        return next((entry for entry in self.latency if entry.percent == percent), None)


class SweepStep(StrictModel):
    """One rate that was tried."""

    purpose: Literal["bracket", "bisect", "confirm"]
    rate: float
    run: str
    """Name of the run."""
    spoiled: tuple[str, ...] = ()
    """Runs before it that the generator spoiled."""
    keeps_bounds: bool
    is_generators_fault: bool
    """The server was not the one that failed."""
    reasons: tuple[str, ...]
    """Why not."""


class SweepResult(StrictModel):
    """The search for the highest rate."""

    bounds: tuple[Bound, ...]
    probe: str | None
    """Name of the closed loop that told where to begin."""
    steps: tuple[SweepStep, ...]
    best_rate: float | None
    """Requests per second that kept every bound in every confirmation; None: no rate did."""
    lowest_failing: float | None
    note: str = ""
    """What kept the search from its end."""

    @property
    def runs(self) -> set[str]:
        """Names of all its runs."""
        told = {step.run for step in self.steps} | {name for step in self.steps for name in step.spoiled}
        return told | ({self.probe} if self.probe else set())


class ScenarioResult(StrictModel):
    """One MLPerf scenario."""

    scenario: Scenario
    driver: Driver
    metric: str
    unit: str
    value: float | None
    is_valid: bool
    reasons: tuple[str, ...]
    """Why it is INVALID."""
    queries: int
    samples_per_query: int
    seconds: float
    early_stopping: EarlyStopping | None
    """None for Offline, and where MLPerf's generator says it in its own log."""
    is_full_length: bool
    """The published minimum of time and queries was asked for: comparable with what others publish."""
    runs: tuple[str, ...]
    """Names of the runs it rests on."""
    logs: str | None
    """Folder of MLPerf's own logs."""


class LoadResult(StrictModel):
    """One load measurement."""

    format_version: Literal[1] = 1
    created: str
    """UTC, ISO 8601."""
    seconds: float
    verdict: LoadVerdict
    target: str
    """The URL, or the package called in process."""
    bodies: tuple[tuple[str, int], ...]
    """(name, bytes) of what was sent in turn."""
    model: dict[str, Any] | None
    """What the server's `/v1/model` answered, or the manifest's summary of a package in process."""
    settings: LoadConfig
    environment: dict[str, Any]
    rules: dict[str, str]
    runs: tuple[LoadRun, ...]
    sweep: SweepResult | None
    scenarios: tuple[ScenarioResult, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises SettingsError for a file that is no load result."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise SettingsError(f"load result {path} cannot be read: {error}") from error
        return parse_settings(cls, values, str(path))

    def run(self, name: str) -> LoadRun:
        return next(run for run in self.runs if run.name == name)
