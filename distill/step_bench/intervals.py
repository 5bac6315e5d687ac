"""Medians and ratios over rounds, with bootstrap intervals."""

from collections.abc import Callable, Sequence

import numpy as np

from modelpack.settings import StrictModel

RESAMPLES = 1000
CONFIDENCE = 0.95
FEWEST_ROUNDS = 2

Rounds = Sequence[Sequence[float]]
"""Samples by round."""


class Interval(StrictModel):
    """A figure and its 95 % interval."""

    value: float
    lower: float
    upper: float


def over_rounds(statistic: Callable[[Sequence[int]], float], rounds: int, seed: int = 0) -> Interval:
    """`statistic` of the numbers of all rounds, and of rounds drawn with replacement.

    Whole rounds are drawn, because neighbouring samples are alike: n - 1 of n, since drawing n makes
    intervals of few rounds too narrow. Rounds: at least two.
    """
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, rounds, (RESAMPLES, rounds - 1))
    values = [statistic(numbers.tolist()) for numbers in drawn]
    lower, upper = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(value=statistic(range(rounds)), lower=float(lower), upper=float(upper))


def median(samples: Rounds) -> Interval:
    """Of all samples together."""
    return over_rounds(lambda chosen: _median(samples, chosen), len(samples))


def median_ratio(above: Rounds, below: Rounds) -> Interval:
    """median(above) / median(below), measured in the same rounds: what disturbs one, disturbs the other."""
    return over_rounds(lambda chosen: _median(above, chosen) / _median(below, chosen), len(above))


def _median(samples: Rounds, chosen: Sequence[int]) -> float:
    return float(np.median(np.concatenate([samples[number] for number in chosen])))
