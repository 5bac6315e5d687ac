"""What was measured of the variants, visit by visit, and the figures made of it."""

from collections.abc import Mapping, Sequence
from statistics import median as median_of
from typing import Any

from distill.step_bench.intervals import Interval, median, median_ratio
from distill.step_cost.settings import CostConfig
from modelpack.settings import StrictModel

_MS_PER_S = 1e3


class PreparationVisit(StrictModel):
    """Some steps of what a method learns from the teacher beforehand."""

    steps: int
    """Of the whole preparation."""
    batch: int
    steps_ms: tuple[float, ...]
    """Of those that were recorded; none where the whole is no longer than the warm-up."""


class Visit(StrictModel):
    """Some steps of one variant, in a process of their own."""

    steps_ms: tuple[float, ...]
    """From asking for the batch to the end of the update, the teacher's forward pass included."""
    peak_memory_bytes: int | None
    """CUDA: tensors; CPU: growth of the resident set since the process had its libraries; None where this
    system does not tell."""
    preparations: dict[str, PreparationVisit]
    """By method."""


class PreparationCost(StrictModel):
    """What a method learns beforehand, once for all seeds."""

    steps: int
    batch: int
    seconds: Interval
    """All steps, at the median of those that were measured."""


class VariantCost(StrictModel):
    """Of one variant."""

    step_ms: Interval
    """Median over all recorded steps."""
    times_first: Interval | None
    """Relative to the first variant, in the same rounds; None for itself."""
    peak_memory_bytes: int | None
    """Median over rounds."""
    preparations: dict[str, PreparationCost]


class Costs(StrictModel):
    """Of all variants, and what they were measured with."""

    rounds: int
    warm_up: int
    steps: int
    threads: int
    """CPU threads asked for; 0: torch's own choice."""
    environment: dict[str, Any]
    variants: dict[str, VariantCost]


def costs_of(
    visits: Mapping[str, Sequence[Visit]], config: CostConfig, threads: int, environment: dict[str, Any]
) -> Costs:
    """visits: by variant, in the order of the rounds, `config.rounds` of each."""
    rounds = {name: [visit.steps_ms for visit in visited] for name, visited in visits.items()}
    first = next(iter(rounds))
    variants = {}
    for name, visited in visits.items():
        peaks = [visit.peak_memory_bytes for visit in visited if visit.peak_memory_bytes is not None]
        variants[name] = VariantCost(
            step_ms=median(rounds[name]),
            times_first=None if name == first else median_ratio(rounds[name], rounds[first]),
            peak_memory_bytes=int(median_of(peaks)) if peaks else None,
            preparations=_preparation_costs(visited),
        )
    return Costs(
        rounds=config.rounds,
        warm_up=config.warm_up,
        steps=config.steps,
        threads=threads,
        environment=environment,
        variants=variants,
    )


def _preparation_costs(visited: Sequence[Visit]) -> dict[str, PreparationCost]:
    costs = {}
    for method, first in visited[0].preparations.items():
        if not first.steps_ms:
            continue
        seconds = [
            [ms * first.steps / _MS_PER_S for ms in visit.preparations[method].steps_ms] for visit in visited
        ]
        costs[method] = PreparationCost(steps=first.steps, batch=first.batch, seconds=median(seconds))
    return costs
