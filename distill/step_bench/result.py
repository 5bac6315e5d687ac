"""The figures of a measured step, as they are written to disk."""

from typing import Any

from distill.step_bench.formulations import Formulation
from distill.step_bench.intervals import Interval
from distill.step_bench.visits import WarmUp
from modelpack.settings import StrictModel

NEEDED_SPEED_UP = 1.5
"""Of the whole step, against the published formulation."""
NEEDED_SHARE_OF_LIMIT = 0.9
"""Or so much of what the share of the loss in the step allows at most."""
MEMORY_NOISE = 0.02
"""Resident sets of equal work differ by this."""


class PartTime(StrictModel):
    """One part of the step."""

    name: str
    ms: Interval
    """Median over steps."""
    share: float
    """Of the time of all steps; the shares of all parts add up to 1."""


class Side(StrictModel):
    """The step with one formulation of the contrastive term."""

    formulation: Formulation
    step_ms: Interval
    images_per_s: Interval
    peak_memory_bytes: int | None
    """Median over rounds. CUDA: tensors; CPU: resident set of the process; None where it is not known."""
    parts: tuple[PartTime, ...]
    """In the order in which they begin."""
    warm_up: WarmUp
    rounds_ms: tuple[tuple[dict[str, float], ...], ...]
    """Raw, by round, step and part."""


class Comparison(StrictModel):
    """Ours against the published formulation, in the same process and rounds."""

    speed_up: Interval
    """Images per second, ours over published."""
    loss_share: Interval
    """Of the published step, forward and backward."""
    limit: Interval
    """Speed-up if the loss cost nothing (Amdahl): 1 / (1 - loss_share)."""
    memory_ratio: float | None
    """Peak memory, published over ours."""

    @property
    def reached(self) -> float:
        """Speed-up relative to the limit."""
        return self.speed_up.value / self.limit.value

    @property
    def is_met(self) -> bool:
        """Fast enough, and no more memory as far as it is known."""
        is_fast = self.speed_up.value >= NEEDED_SPEED_UP or self.reached >= NEEDED_SHARE_OF_LIMIT
        return is_fast and (self.memory_ratio is None or self.memory_ratio >= 1 - MEMORY_NOISE)


class StepBench(StrictModel):
    """Everything that was measured of one recipe, and what it was measured with."""

    name: str
    variant: str | None
    """Whose methods these are: of the recipe's `compare` section; None: the recipe's own."""
    methods: tuple[str, ...]
    student: str
    teacher: str | None
    data: str
    crop: tuple[int, int]
    batch: int
    device: str
    precision: str
    threads: int
    rounds: int
    steps: int
    """Recorded in each round, for each formulation."""
    sides: tuple[Side, ...]
    comparison: Comparison | None
    environment: dict[str, Any]
