"""A figure of several rounds with the interval that the rounds support."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from bench.statistics import CONFIDENCE, RESAMPLES, Ratio

RoundT = TypeVar("RoundT")


def over_rounds(
    rounds: Sequence[RoundT],
    figure: Callable[[Sequence[RoundT]], float],
    seed: int,
    resamples: int = RESAMPLES,
) -> Ratio:
    """`figure(rounds)`, with a bootstrap interval over whole rounds, of which there are at least two.

    All that a figure compares comes from the same draw, because drift of the machine hits all alike. Of n
    rounds n - 1 are drawn, as in `bench.statistics.median_ratio`.
    """
    if len(rounds) < 2:
        raise ValueError(f"an interval over {len(rounds)} round(s): at least 2 are needed")
    random = np.random.default_rng(seed)
    draws = [
        figure([rounds[index] for index in chosen])
        for chosen in random.integers(0, len(rounds), (resamples, len(rounds) - 1)).tolist()
    ]
    lower, upper = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Ratio(value=figure(rounds), lower=float(lower), upper=float(upper))
