"""Percentiles with intervals that assume no distribution, and the bootstrap of a ratio over rounds."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from modelpack.settings import StrictModel

PERCENTILES = (50, 90, 95, 99)
CONFIDENCE = 0.95
MIN_TAIL_SAMPLES = 5
"""Expected samples on the thinner side of a percentile; with fewer, the figure is one or two outliers."""
ROUNDING = 1e-6
"""Room for 5 / 0.001 to be 5000 and not the next number above."""
RESAMPLES = 2000
"""Bootstrap draws: the ends of a 95% interval then rest on 50 draws each."""

RULES = {
    "percentile": "linear interpolation between the two nearest order statistics of the raw samples",
    "percentile_interval": f"{CONFIDENCE:.0%}, between two order statistics, exact binomial",
    "n_too_small": f"no percentile with fewer than {MIN_TAIL_SAMPLES} samples expected on one side of it",
    "ratio_interval": f"{CONFIDENCE:.0%}, bootstrap: {RESAMPLES} draws of whole rounds, the same for both",
}
"""How each figure is made, stated in every result."""


class Percentile(StrictModel):
    """One percentile of the samples, or why there is none."""

    percent: int | float
    """95, 99, 99.9, ..."""
    value: float | None
    """In the samples' unit."""
    lower: float | None
    upper: float | None
    note: str = ""
    """`n too small for p99 (needs 500)` in place of a value."""


class Ratio(StrictModel):
    """How many times larger one median is than another."""

    value: float
    lower: float
    upper: float

    @property
    def is_different(self) -> bool:
        return self.lower > 1 or self.upper < 1


def percentile_interval(samples: NDArray[np.float64], percent: int | float) -> Percentile:
    """The `percent`-th percentile of `samples` (n,), with its order-statistic interval.

    No value where fewer than `MIN_TAIL_SAMPLES` samples are expected above or below it: `note` says how many
    it takes.
    """
    needed = samples_needed(percent)
    if len(samples) < needed:
        note = f"n too small for p{percent:g} (needs {needed})"
        return Percentile(percent=percent, value=None, lower=None, upper=None, note=note)
    ordered = np.sort(samples)
    first, last = interval_ranks(len(ordered), percent / 100)
    return Percentile(
        percent=percent,
        value=float(np.quantile(ordered, percent / 100)),
        lower=float(ordered[first - 1]),
        upper=float(ordered[last - 1]),
    )


def samples_needed(percent: int | float) -> int:
    """Fewest samples that give a percentile a value; `percent` lies between 0 and 100."""
    thinner_share = min(percent, 100 - percent) / 100
    return math.ceil(MIN_TAIL_SAMPLES / thinner_share - ROUNDING)


def interval_ranks(n: int, share: float, confidence: float = CONFIDENCE) -> tuple[int, int]:
    """1-based ranks (r, s) so that the quantile lies between the r-th and s-th of n ordered samples.

    The number of samples below the quantile is binomial(n, share): r and s leave at most half of
    `1 - confidence` on each side. Ranks outside the samples are clamped to 1 and n; coverage is then smaller,
    and `percentile_interval` refuses those cases.
    """
    tail = (1 - confidence) / 2
    cumulative = np.cumsum(_binomial(n, share))
    lower = int(np.searchsorted(cumulative, tail, side="right"))
    upper = int(np.searchsorted(cumulative, 1 - tail, side="left")) + 1
    return max(lower, 1), min(upper, n)


def median_ratio(
    above: Sequence[Sequence[float]], below: Sequence[Sequence[float]], seed: int, resamples: int = RESAMPLES
) -> Ratio:
    """median(above) / median(below) of two cases measured in the same rounds, with a bootstrap interval.

    Whole rounds are drawn, because neighbouring samples are alike, and the same ones for both cases, because
    drift of the machine hits both. Of n rounds n - 1 are drawn: drawing n makes intervals of few rounds too
    narrow by sqrt((n - 1) / n). Rounds: at least two.
    """
    if len(above) != len(below):
        raise ValueError(f"median_ratio needs the same rounds of both, got {len(above)} and {len(below)}")
    rng = np.random.default_rng(seed)
    tops, bottoms = [np.asarray(r) for r in above], [np.asarray(r) for r in below]
    draws = np.empty(resamples)
    for i, chosen in enumerate(rng.integers(0, len(tops), (resamples, len(tops) - 1))):
        draws[i] = _median_of(tops, chosen) / _median_of(bottoms, chosen)
    everything = np.arange(len(tops))
    lower, upper = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    value = _median_of(tops, everything) / _median_of(bottoms, everything)
    return Ratio(value=value, lower=float(lower), upper=float(upper))


def independent_ratio(
    above: Sequence[Sequence[float]], below: Sequence[Sequence[float]], seed: int, resamples: int = RESAMPLES
) -> Ratio:
    """median(above) / median(below) of two cases measured at different times, with a bootstrap interval.

    Hierarchical: rounds are drawn first, n - 1 of n as in `median_ratio`, and samples within them after, for
    each case by itself. Rounds: at least two of each.
    """
    rng = np.random.default_rng(seed)
    tops, bottoms = ([np.asarray(r) for r in rounds] for rounds in (above, below))
    draws = _drawn_medians(tops, rng, resamples) / _drawn_medians(bottoms, rng, resamples)
    lower, upper = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    value = float(np.median(np.concatenate(tops)) / np.median(np.concatenate(bottoms)))
    return Ratio(value=value, lower=float(lower), upper=float(upper))


def _drawn_medians(
    rounds: list[NDArray[np.float64]], rng: np.random.Generator, resamples: int
) -> NDArray[np.float64]:
    if len(rounds) < 2:
        raise ValueError(f"a case of {len(rounds)} round(s) has no interval: at least 2 are needed")
    samples, sizes = np.concatenate(rounds), np.array([len(r) for r in rounds])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    medians = np.empty(resamples)
    for i, chosen in enumerate(rng.integers(0, len(rounds), (resamples, len(rounds) - 1))):
        size_of_own_round = np.repeat(sizes[chosen], sizes[chosen])
        within = (rng.random(len(size_of_own_round)) * size_of_own_round).astype(np.int64)
        medians[i] = np.median(samples[np.repeat(starts[chosen], sizes[chosen]) + within])
    return medians


def _median_of(rounds: list[NDArray[np.float64]], chosen: NDArray[np.int64]) -> float:
    return float(np.median(np.concatenate([rounds[i] for i in chosen])))


def _binomial(n: int, share: float) -> NDArray[np.float64]:
    """Probabilities of 0 to n successes, by logarithms so that no n overflows."""
    counts = np.arange(n + 1)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    log_choose = log_factorial[n] - log_factorial[counts] - log_factorial[n - counts]
    log_shares = counts * np.log(share) + (n - counts) * np.log1p(-share)
    return np.asarray(np.exp(log_choose + log_shares), np.float64)
