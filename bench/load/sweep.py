"""The highest rate that keeps the bounds: bracket by growth, bisect, confirm. Every step is told."""

from collections.abc import Callable, Iterator
from typing import Literal

from bench.load.config import Bound, SweepConfig
from bench.load.result import LoadRun, SweepResult, SweepStep
from bench.statistics import ROUNDING, samples_needed

MARGIN = 1.1
"""More arrivals than a percentile needs, since Poisson's number of them varies."""

SPOILED_STEPS = 3
"""So many at the beginning that the generator spoiled, and a search would say nothing of the server."""

Purpose = Literal["bracket", "bisect", "confirm"]
Attempt = Callable[[Purpose, float], SweepStep]
"""Load with a rate and judge it."""


class _EndError(Exception):
    """The search cannot go on; the message is the result's note."""


class _Search:
    """What is known so far: the best rate that passed, the lowest that failed, all steps."""

    def __init__(self, config: SweepConfig, attempt: Attempt) -> None:
        self._config, self._attempt = config, attempt
        self.lowest = samples_of(config) / config.max_step_seconds
        """Below this rate no step is long enough for its percentiles."""
        self.steps: list[SweepStep] = []
        self.best: float | None = None
        self.failing: float | None = None

    def run(self, rate: float) -> float:
        """The confirmed rate. Raises _EndError."""
        while True:
            self._bracket(rate)
            best = self._bisected()
            if self._is_confirmed(best):
                return best
            # A rate that passed once and then failed is too high: search below it.
            self.failing, self.best = best, None
            rate = best / (1 + self._config.resolution)

    def _bracket(self, rate: float) -> None:
        """Up from a rate that passes, down from one that fails, until both sides are known."""
        while self.best is None or self.failing is None:
            if rate < self.lowest:
                raise _EndError(f"no rate down to {rate * self._config.growth:.3g} kept the bounds")
            self._try("bracket", rate)
            rate = rate * self._config.growth if self.failing is None else rate / self._config.growth

    def _bisected(self) -> float:
        """The passing rate, once the failing one is near enough."""
        assert self.best is not None
        assert self.failing is not None
        while self.failing / self.best > 1 + self._config.resolution + ROUNDING:
            self._try("bisect", (self.best * self.failing) ** 0.5)
        return self.best

    def _is_confirmed(self, rate: float) -> bool:
        return all(self._step("confirm", rate).keeps_bounds for _ in range(self._config.confirmations))

    def _try(self, purpose: Purpose, rate: float) -> None:
        if self._step(purpose, rate).keeps_bounds:
            self.best = max(self.best or 0.0, rate)
        else:
            self.failing = min(self.failing or rate, rate)

    def _step(self, purpose: Purpose, rate: float) -> SweepStep:
        if len(self.steps) >= self._config.max_steps:
            passed = f"; {self.best:.4g} passed once" if self.best else ""
            raise _EndError(f"ended after {self._config.max_steps} steps without a confirmed rate{passed}")
        self.steps.append(self._attempt(purpose, rate))
        if len(self.steps) == SPOILED_STEPS and all(step.is_generators_fault for step in self.steps):
            raise _EndError(
                f"the generator spoiled all of the first {SPOILED_STEPS} steps; use a quieter machine, or "
                "more processes"
            )
        return self.steps[-1]


def sweep(config: SweepConfig, start_rate: float, attempt: Attempt, probe: str | None = None) -> SweepResult:
    """Search from `start_rate` (requests per second), which the run `probe` told."""
    search = _Search(config, attempt)
    best: float | None = None
    note = ""
    try:
        best = search.run(max(start_rate, search.lowest))
    except _EndError as end:
        note = str(end)
    failed = [step for step in search.steps if step.rate == search.failing]
    if best is not None and any(step.is_generators_fault for step in failed):
        note = "the next higher rate failed for the generator's sake: the server may take more"
    return SweepResult(
        bounds=config.bounds,
        probe=probe,
        steps=tuple(search.steps),
        best_rate=best,
        lowest_failing=search.failing,
        note=note,
    )


def step_seconds(config: SweepConfig, rate: float) -> float:
    """Long enough for every bound's percentile to have a value, within the limits."""
    return min(max(config.step_seconds, samples_of(config) / rate), config.max_step_seconds)


def samples_of(config: SweepConfig) -> float:
    """Requests that a step takes for every bound's percentile to have a value."""
    return MARGIN * max(samples_needed(bound.percent) for bound in config.bounds)


def judge_step(bounds: tuple[Bound, ...], run: LoadRun) -> Iterator[str]:
    """Why a run does not keep the bounds; nothing where it does. Faults of the server break them too."""
    yield from run.verdict.faults
    for bound in bounds:
        entry = run.percentile(bound.percent)
        if entry is None or entry.value is None:
            yield f"p{bound.percent:g}: {entry.note if entry else 'not measured'}"
        elif entry.value > bound.milliseconds:
            yield f"p{bound.percent:g} is {entry.value:.4g} ms, beyond {bound.milliseconds:g} ms"
