"""Take steps with one formulation after the other, round after round, once their time stands still."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

import distill.methods.afdcd
from distill.step_bench.formulations import FORMULATIONS, Formulation
from distill.step_bench.instrument import instrumented, replaced
from distill.step_bench.memory import PeakMemory
from distill.step_bench.subject import Subject
from modelpack.settings import StrictModel

log = logging.getLogger(__name__)

LEAD_STEPS = 1
"""Not counted, at the beginning of every visit: they bring back what the other formulation displaced."""
WINDOWS_ALIKE, TOLERANCE = 3, 0.05
"""Warm-up ends when the medians of so many windows in a row lie within this of each other."""


class WarmUp(StrictModel):
    """The unrecorded steps before the first round."""

    is_stationary: bool
    """Whether the time stood still at the end of it."""
    window_medians_ms: tuple[float, ...]


@dataclass
class Visits:
    """What was measured of one formulation."""

    warm_up: WarmUp
    rounds: list[list[dict[str, float]]] = field(default_factory=list)
    """By round and step, milliseconds by part."""
    peaks_bytes: list[int] = field(default_factory=list)
    """By round; empty where memory is not known."""


def measure_rounds(
    subject: Subject, formulations: Sequence[Formulation], *, steps: int, rounds: int, max_windows: int
) -> dict[Formulation, Visits]:
    """`rounds` times `steps` recorded steps of each formulation, in turn, in the order given.

    max_windows: of `steps` steps each, after which warm-up ends also if the time does not stand still.
    """
    measured = {name: Visits(_warm_up(subject, name, steps, max_windows)) for name in formulations}
    for number in range(rounds):
        for name, visits in measured.items():
            parts, peak_bytes = visit(subject, name, steps)
            visits.rounds.append(parts)
            if peak_bytes is not None:
                visits.peaks_bytes.append(peak_bytes)
            log.info(
                "round %d of %d, %s: %.1f ms a step", number + 1, rounds, name, median(map(step_ms, parts))
            )
    return measured


def visit(
    subject: Subject, formulation: Formulation, steps: int
) -> tuple[list[dict[str, float]], int | None]:
    """Milliseconds by part of `steps` steps, and the peak of memory in bytes."""
    timeline = subject.trainer.timeline
    with _formulated(formulation), instrumented(subject.trainer.step, timeline):
        memory = PeakMemory(subject.trainer.compute.device)
        for _ in range(LEAD_STEPS + steps):
            subject.take_step()
        return timeline.collect()[LEAD_STEPS:], memory.bytes()


def step_ms(parts: dict[str, float]) -> float:
    """The whole step: its parts leave nothing out."""
    return sum(parts.values())


def _warm_up(subject: Subject, formulation: Formulation, steps: int, max_windows: int) -> WarmUp:
    medians: list[float] = []
    while len(medians) < max_windows and not stands_still(medians):
        parts, _ = visit(subject, formulation, steps)
        medians.append(median(map(step_ms, parts)))
    return WarmUp(is_stationary=stands_still(medians), window_medians_ms=tuple(medians))


def stands_still(medians: Sequence[float]) -> bool:
    """Whether a warm-up with these medians of windows may end."""
    last = medians[-WINDOWS_ALIKE:]
    return len(last) == WINDOWS_ALIKE and max(last) <= min(last) * (1 + TOLERANCE)


@contextmanager
def _formulated(formulation: Formulation) -> Iterator[None]:
    """Af-DCD contrasts by this formulation meanwhile."""
    with replaced(distill.methods.afdcd, "omni_contrast", FORMULATIONS[formulation]):
        yield
