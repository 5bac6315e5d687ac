"""What several processes gain over one: the figures, as they are written to disk."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from distill.step_bench.intervals import Interval, median, median_ratio
from distill.step_bench.visits import WarmUp
from modelpack.settings import StrictModel

Mode = Literal["one", "apart", "together"]
"""One process; several, each for itself; several that share the training. Each on as many images a step."""
MODES: tuple[Mode, ...] = ("one", "apart", "together")
_MS_PER_S = 1e3


class ModeTimes(StrictModel):
    """What was recorded of one mode."""

    warm_up: WarmUp
    rounds_ms: tuple[tuple[float, ...], ...]
    """By round, the steps of all processes that took part."""


class ModeFigures(StrictModel):
    """The step in one mode."""

    mode: Mode
    processes: int
    step_ms: Interval
    """Median over the steps of all processes."""
    images_per_s: Interval
    """Of all processes together."""
    warm_up: WarmUp
    rounds_ms: tuple[tuple[float, ...], ...]


class StepScaling(StrictModel):
    """Everything that was measured of one recipe, and what it was measured with."""

    name: str
    variant: str | None
    methods: tuple[str, ...]
    student: str
    teacher: str | None
    data: str
    crop: tuple[int, int]
    batch: int
    """Images of each process in a step."""
    processes: int
    backend: str
    sync_norm: bool
    device: str
    precision: str
    threads: int
    """Of each process."""
    rounds: int
    steps: int
    """Recorded in each round and mode, by each process."""
    modes: tuple[ModeFigures, ...]
    efficiency: Interval
    """Images per second of `together`, over `processes` times those of `one`."""
    machine: Interval
    """The same of `apart`: what cores, caches and memory allow at most."""
    exchange: Interval
    """Images per second of `together` over those of `apart`: what sharing the training costs."""
    environment: dict[str, Any]


def figures_of(
    times: Mapping[Mode, ModeTimes], processes: int, batch: int
) -> tuple[tuple[ModeFigures, ...], dict[str, Interval]]:
    """The modes, and the ratios `efficiency`, `machine` and `exchange`; all take `batch` images a process."""
    rounds = {mode: measured.rounds_ms for mode, measured in times.items()}
    modes = tuple(
        _figures(mode, 1 if mode == "one" else processes, measured, batch) for mode, measured in times.items()
    )
    return modes, {
        "efficiency": median_ratio(rounds["one"], rounds["together"]),
        "machine": median_ratio(rounds["one"], rounds["apart"]),
        "exchange": median_ratio(rounds["apart"], rounds["together"]),
    }


def _figures(mode: Mode, processes: int, measured: ModeTimes, batch: int) -> ModeFigures:
    step_ms = median(measured.rounds_ms)
    images = processes * batch * _MS_PER_S
    return ModeFigures(
        mode=mode,
        processes=processes,
        step_ms=step_ms,
        images_per_s=Interval(
            value=images / step_ms.value, lower=images / step_ms.upper, upper=images / step_ms.lower
        ),
        warm_up=measured.warm_up,
        rounds_ms=measured.rounds_ms,
    )


def by_round(visits: Sequence[Sequence[float]]) -> tuple[tuple[float, ...], ...]:
    """As they are kept."""
    return tuple(map(tuple, visits))
