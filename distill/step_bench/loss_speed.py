"""The contrastive loss alone: ours and the published one in turn, forward and backward, on one thread."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from distill.step_bench.formulations import FORMULATIONS, Formulation, gradient_of, random_maps
from distill.step_bench.intervals import Interval, median, median_ratio
from distill.step_bench.shapes import MapShape, written
from modelpack.errors import SegError
from modelpack.settings import StrictModel

_MIN_VISIT_S = 0.3
_MIN_VISIT_CALLS = 3
_MS_PER_S = 1e3


class LossBenchError(SegError):
    """A process that measured memory failed."""


class Bars(NamedTuple):
    """What ours must reach at least, in times."""

    speed_up: float
    saving: float


BARS: dict[MapShape, Bars] = {(4, 256, 16, 32): Bars(4.0, 15.0), (2, 2048, 16, 32): Bars(1.4, 5.0)}
"""Also the shapes that are measured when none is given."""


class LossSide(StrictModel):
    """One formulation at one shape."""

    ms: Interval
    """Median of forward and backward pass."""
    extra_bytes: int | None
    """Peak of memory beyond the inputs, in a process of its own; None where this system does not tell."""
    gradient_error: float
    """Norm of the difference to the float64 gradient of the definition, relative to that gradient's norm."""
    rounds_ms: tuple[tuple[float, ...], ...]


class LossRow(StrictModel):
    """Both formulations at one shape."""

    shape: MapShape
    ours: LossSide
    published: LossSide
    speed_up: Interval
    """Times that ours is faster."""
    saving: float | None
    """Times less extra memory of ours."""
    needed_speed_up: float | None
    needed_saving: float | None

    @property
    def is_met(self) -> bool | None:
        """Whether both bars are reached; None where there are none, or memory is not known."""
        if self.needed_speed_up is None or self.needed_saving is None or self.saving is None:
            return None
        return self.speed_up.value >= self.needed_speed_up and self.saving >= self.needed_saving


def compare_losses(shapes: Sequence[MapShape], rounds: int) -> list[LossRow]:
    """One row for each shape, or for those of `BARS`.

    Raises LossBenchError where a process that measures memory fails, ShapeError for maps that do not divide.
    """
    with _one_thread():
        return [_row(shape, rounds) for shape in shapes or BARS]


def _row(shape: MapShape, rounds: int) -> LossRow:
    student, teacher = random_maps(shape)
    exact = gradient_of("published", student.detach().double().requires_grad_(), teacher.double())
    errors = {name: _relative(gradient_of(name, student, teacher), exact) for name in FORMULATIONS}
    times: dict[Formulation, list[tuple[float, ...]]] = {name: [] for name in FORMULATIONS}
    for _ in range(rounds):
        for name, visits in times.items():
            visits.append(_visit(name, student, teacher))
    sides = {
        name: LossSide(
            ms=median(times[name]),
            extra_bytes=_extra_bytes(name, shape),
            gradient_error=errors[name],
            rounds_ms=tuple(times[name]),
        )
        for name in FORMULATIONS
    }
    ours, published = sides["ours"], sides["published"]
    bars = BARS.get(shape)
    return LossRow(
        shape=shape,
        ours=ours,
        published=published,
        speed_up=median_ratio(times["published"], times["ours"]),
        saving=_times_less(ours.extra_bytes, published.extra_bytes),
        needed_speed_up=None if bars is None else bars.speed_up,
        needed_saving=None if bars is None else bars.saving,
    )


def _visit(name: Formulation, student: Tensor, teacher: Tensor) -> tuple[float, ...]:
    """Milliseconds of calls after one that is not counted, which brings back what the other one displaced."""
    gradient_of(name, student, teacher)
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < _MIN_VISIT_CALLS or time.perf_counter() - start < _MIN_VISIT_S:
        began = time.perf_counter()
        gradient_of(name, student, teacher)
        times.append((time.perf_counter() - began) * _MS_PER_S)
    return tuple(times)


def _extra_bytes(name: Formulation, shape: MapShape) -> int | None:
    command = [sys.executable, "-m", "distill.step_bench.loss_memory", name, written(shape)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    if done.returncode:
        last_words = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise LossBenchError(
            f"the process that measures the memory of {name} at {written(shape)} failed: {last_words}. "
            "Most likely memory ran out; give a smaller --shape."
        )
    told: int | None = json.loads(done.stdout)
    return told


def _times_less(ours: int | None, published: int | None) -> float | None:
    return None if published is None or not ours else published / ours


def _relative(gradient: Tensor, exact: Tensor) -> float:
    return float((gradient.double() - exact).norm() / exact.norm())


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
