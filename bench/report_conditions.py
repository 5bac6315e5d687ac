"""The tables of a latency report that say where the time went and how the machine was meanwhile."""

from collections.abc import Iterable
from dataclasses import fields
from statistics import median

from bench.energy import RAPL
from bench.gpu_state import GPU_BOARD
from bench.result import BenchResult, CaseResult
from bench.table import NOT_TOLD, Table
from bench.wording import figure
from modelpack.runtimes.runtime import StageTimes

STAGE_NAMES = {
    "enqueue_ms": "enqueue",
    "h2d_ms": "H2D",
    "compute_ms": "compute",
    "d2h_ms": "D2H",
    "host_ms": "host",
}
"""Field of StageTimes -> what trtexec calls it."""


def stages(result: BenchResult) -> Table:
    return Table(
        title="Stages of a call",
        caption="ms, medians of further calls, as the runtime tells them; host is what the caller waits.",
        columns=("session", "batch", "calls", *STAGE_NAMES.values()),
        rows=tuple(
            (
                case.session,
                str(case.batch),
                str(len(case.stages)),
                *(_told(stage_median(case, field.name)) for field in fields(StageTimes)),
            )
            for case in result.cases
            if case.stages
        ),
    ).without_untold_columns()


def stage_median(case: CaseResult, name: str) -> float | None:
    """Milliseconds of one stage; None where it was not told."""
    values = [value for stages in case.stages if (value := getattr(stages, name)) is not None]
    return median(values) if values else None


def warm_ups(result: BenchResult) -> Table:
    return Table(
        title="Warm-up and verdict per case",
        caption="Unrecorded runs until the time stood still, and whether the recorded ones can be believed.",
        columns=("session", "boundary", "verdict", "batch", "warm-up runs", "warm-up s"),
        rows=tuple(
            (
                case.session,
                case.boundary,
                str(case.verdict),
                str(case.batch),
                str(case.warm_up.runs),
                figure(case.warm_up.seconds),
            )
            for case in result.cases
        ),
        text_columns=3,
    )


def machine(result: BenchResult) -> Table:
    """Empty for results that hold no readings."""
    return Table(
        title="Clocks, temperature and energy",
        caption="Lowest to highest after the visits of a case. Joules per image include idle power.",
        columns=(
            "session",
            "boundary",
            "batch",
            "CPU MHz",
            "GPU MHz",
            "GPU memory MHz",
            "GPU °C",
            "GPU W",
            "GPU MiB",
            "CPU J/image",
            "GPU J/image",
        ),
        rows=tuple(
            (case.session, case.boundary, str(case.batch), *_machine_cells(case))
            for case in result.cases
            if case.machine
        ),
        text_columns=2,
    ).without_untold_columns()


def _machine_cells(case: CaseResult) -> tuple[str, ...]:
    gpus = [reading.gpu for reading in case.machine if reading.gpu]
    memory = [gpu.process_memory_bytes for gpu in gpus]
    return (
        _span(reading.cpu_clock_mhz for reading in case.machine),
        _span(gpu.core_clock_mhz for gpu in gpus),
        _span(gpu.memory_clock_mhz for gpu in gpus),
        _span(gpu.temperature_c for gpu in gpus),
        _span(gpu.power_w for gpu in gpus),
        _span(None if size is None else size / 2**20 for size in memory),
        *(_told(joules_per_image(case, source)) for source in (RAPL, GPU_BOARD)),
    )


def joules_per_image(case: CaseResult, source: str) -> float | None:
    return next((entry.joules_per_image for entry in case.energy if entry.source == source), None)


def _span(values: Iterable[float | None]) -> str:
    """Lowest to highest of what was told."""
    known = [value for value in values if value is not None]
    if not known:
        return NOT_TOLD
    low, high = f"{min(known):.0f}", f"{max(known):.0f}"
    return low if low == high else f"{low} - {high}"


def _told(value: float | None) -> str:
    return NOT_TOLD if value is None else figure(value)
