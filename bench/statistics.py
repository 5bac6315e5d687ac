"""Percentiles with intervals that assume no distribution, and the bootstrap of a ratio over rounds."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from modelpack.settings import StrictModel

PERCENTILES = (50, 90, 95, 99)
CONFIDENCE = 0.95
MIN_TAIL_SAMPLES = 5
"""Expected samples on the thinner side of a percentile; with fewer, the figure is one or two outliers."""
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

    percent: int
    value: float | None
    """In the samples' unit."""
    lower: float | None
    upper: float | None
    note: str = ""
    """`n too small for p99` in place of a value."""


class Ratio(StrictModel):
    """How many times larger one median is than another."""

    value: float
    lower: float
    upper: float

    @property
    def is_different(self) -> bool:
        return self.lower > 1 or self.upper < 1


def percentile(samples: NDArray[np.float64], percent: int) -> Percentile:
    """The `percent`-th percentile of `samples` (n,), with its order-statistic interval.

    No value where fewer than `MIN_TAIL_SAMPLES` samples are expected above or below it.
    """
    n, share = len(samples), percent / 100
    if n * min(share, 1 - share) < MIN_TAIL_SAMPLES - 1e-9:
        return Percentile(
            percent=percent, value=None, lower=None, upper=None, note=f"n too small for p{percent}"
        )
    ordered = np.sort(samples)
    first, last = interval_ranks(n, share)
    return Percentile(
        percent=percent,
        value=float(np.quantile(ordered, share)),
        lower=float(ordered[first - 1]),
        upper=float(ordered[last - 1]),
    )


def interval_ranks(n: int, share: float, confidence: float = CONFIDENCE) -> tuple[int, int]:
    """1-based ranks (r, s) so that the quantile lies between the r-th and s-th of n ordered samples.

    The number of samples below the quantile is binomial(n, share): r and s leave at most half of
    `1 - confidence` on each side. Ranks outside the samples are clamped to 1 and n; coverage is then smaller,
    and `percentile` refuses those cases.
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
    drift of the machine hits both.
    """
    if len(above) != len(below):
        raise ValueError(f"median_ratio needs the same rounds of both, got {len(above)} and {len(below)}")
    rng = np.random.default_rng(seed)
    tops, bottoms = [np.asarray(r) for r in above], [np.asarray(r) for r in below]
    draws = np.empty(resamples)
    for i, chosen in enumerate(rng.integers(0, len(tops), (resamples, len(tops)))):
        draws[i] = _median_of(tops, chosen) / _median_of(bottoms, chosen)
    everything = np.arange(len(tops))
    lower, upper = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    value = _median_of(tops, everything) / _median_of(bottoms, everything)
    return Ratio(value=value, lower=float(lower), upper=float(upper))


def _median_of(rounds: list[NDArray[np.float64]], chosen: NDArray[np.int64]) -> float:
    return float(np.median(np.concatenate([rounds[i] for i in chosen])))


def _binomial(n: int, share: float) -> NDArray[np.float64]:
    """Probabilities of 0 to n successes, by logarithms so that no n overflows."""
    counts = np.arange(n + 1)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    log_choose = log_factorial[n] - log_factorial[counts] - log_factorial[n - counts]
    log_shares = counts * np.log(share) + (n - counts) * np.log1p(-share)
    return np.asarray(np.exp(log_choose + log_shares), np.float64)
