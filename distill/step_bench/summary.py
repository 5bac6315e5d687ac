"""From milliseconds by part to medians, shares and the comparison of two formulations."""

from collections.abc import Sequence
from statistics import median as median_of

from distill.step_bench.formulations import Formulation
from distill.step_bench.instrument import backward_of
from distill.step_bench.intervals import Interval, median, median_ratio, over_rounds
from distill.step_bench.result import Comparison, PartTime, Side
from distill.step_bench.visits import Visits, step_ms

CONTRAST = "afdcd: omni_contrast"
"""The part that the formulations do differently."""
_MS_PER_S = 1e3


def side_of(formulation: Formulation, visits: Visits, batch: int) -> Side:
    """batch: images per step."""
    steps = _step_times(visits)
    whole, in_step = sum(map(sum, steps)), median(steps)
    names = dict.fromkeys(name for steps in visits.rounds for parts in steps for name in parts)
    parts = []
    for name in names:
        times = _times_of(visits, (name,))
        parts.append(PartTime(name=name, ms=median(times), share=sum(map(sum, times)) / whole))
    return Side(
        formulation=formulation,
        step_ms=in_step,
        images_per_s=Interval(
            value=batch * _MS_PER_S / in_step.value,
            lower=batch * _MS_PER_S / in_step.upper,
            upper=batch * _MS_PER_S / in_step.lower,
        ),
        peak_memory_bytes=int(median_of(visits.peaks_bytes)) if visits.peaks_bytes else None,
        parts=tuple(parts),
        warm_up=visits.warm_up,
        rounds_ms=tuple(map(tuple, visits.rounds)),
    )


def comparison_of(ours: Visits, published: Visits) -> Comparison:
    """Of two formulations that were measured in the same rounds."""
    steps, losses = _step_times(published), _times_of(published, (CONTRAST, backward_of(CONTRAST)))

    def share(chosen: Sequence[int]) -> float:
        return sum(sum(losses[n]) for n in chosen) / sum(sum(steps[n]) for n in chosen)

    memory_ratio = None
    if ours.peaks_bytes and published.peaks_bytes:
        memory_ratio = median_of(published.peaks_bytes) / median_of(ours.peaks_bytes)
    return Comparison(
        speed_up=median_ratio(steps, _step_times(ours)),
        loss_share=over_rounds(share, len(steps)),
        limit=over_rounds(lambda chosen: 1 / (1 - share(chosen)), len(steps)),
        memory_ratio=memory_ratio,
    )


def _step_times(visits: Visits) -> list[list[float]]:
    return [[step_ms(parts) for parts in steps] for steps in visits.rounds]


def _times_of(visits: Visits, names: Sequence[str]) -> list[list[float]]:
    return [[sum(parts.get(name, 0.0) for name in names) for parts in steps] for steps in visits.rounds]
