"""MLPerf's early stopping: are so many queries enough to claim a percentile with 99 % confidence?

Source: MLPerf Inference rules, "early stopping criterion": with t queries over the latency, at least h must
lie under it so that, were a share below p of all queries under it, a run this good would have a chance of
at most 1 - confidence. That chance is P[Binomial(h + t, 1 - p) <= t]; tolerance 0, as the rules set it.
"""

import math

import numpy as np
from numpy.typing import NDArray

from modelpack.settings import StrictModel

CONFIDENCE = 0.99


class EarlyStopping(StrictModel):
    """What the criterion says of one run."""

    is_met: bool
    needed_queries: int
    """In all, if every further query were under the latency."""
    estimate_ms: float | None
    """The percentile to report: an upper bound at that confidence. None where a bound was given."""


def chance(under: int, over: int, share: float) -> float:
    """P[Binomial(under + over, 1 - share) <= over]."""
    n = under + over
    counts = np.arange(1, over + 1)
    log_choose = np.concatenate([[0.0], np.cumsum(np.log((n - counts + 1) / counts))])
    over_counts = np.arange(over + 1)
    log_share, log_rest = math.log(share), math.log1p(-share)
    return float(np.exp(log_choose + over_counts * log_rest + (n - over_counts) * log_share).sum())


def min_under(over: int, share: float, confidence: float = CONFIDENCE) -> int:
    """Fewest queries under the latency that `over` ones above it allow."""
    low, high = 0, 1
    while chance(high, over, share) > 1 - confidence:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if chance(middle, over, share) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def judge_percentile(latencies_ms: NDArray[np.float64], share: float) -> EarlyStopping:
    """SingleStream and MultiStream: the smallest latency (n,) that the run may claim for `share`.

    The slowest t - 1 queries are set aside, with the largest t that n allows.
    """
    n = len(latencies_ms)
    needed = min_under(1, share) + 1
    if n < needed:
        return EarlyStopping(is_met=False, needed_queries=needed, estimate_ms=None)
    low, high = 1, n + 1
    while high - low > 1:
        middle = (low + high) // 2
        if chance(n - middle, middle, share) <= 1 - CONFIDENCE:
            low = middle
        else:
            high = middle
    return EarlyStopping(
        is_met=True, needed_queries=needed, estimate_ms=float(np.sort(latencies_ms)[n - low])
    )


def judge_bound(latencies_ms: NDArray[np.float64], share: float, bound_ms: float) -> EarlyStopping:
    """Server: whether `share` of the queries (n,) are within `bound_ms`."""
    over = int((latencies_ms > bound_ms).sum())
    needed = min_under(over, share) + over
    return EarlyStopping(is_met=len(latencies_ms) >= needed, needed_queries=needed, estimate_ms=None)
