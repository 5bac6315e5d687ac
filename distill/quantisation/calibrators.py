"""From the values that were seen to the largest one that int8 shall hold; what is larger is clipped."""

from collections.abc import Callable

import torch
from torch import Tensor

from distill.quantisation.fake_quantise import HIGHEST
from distill.quantisation.histogram import BINS, Histogram

_PERCENTILE = 0.9999
"""Share of the values that are not clipped."""
_CANDIDATE_STEP = 16
"""Bins between two thresholds that are tried."""
_SMOOTHING = 1e-4
"""Values in a bin that has none, where a level clips: a divergence needs a chance for everything seen."""


def minmax(histogram: Histogram) -> float:
    """The largest value seen: nothing is clipped."""
    return histogram.largest


def percentile(histogram: Histogram, share: float = _PERCENTILE) -> float:
    """The value that a `share` of all stays below."""
    below = histogram.counts.cumsum(0) / histogram.counts.sum()
    return min(float((below < share).sum() + 1) * histogram.width, histogram.largest)


def mse(histogram: Histogram) -> float:
    """The threshold with the least mean squared error of rounding and clipping together."""
    centres = (torch.arange(BINS, dtype=torch.float64) + 0.5) * histogram.width
    thresholds = torch.arange(HIGHEST + 1, BINS + 1, _CANDIDATE_STEP, dtype=torch.float64) * histogram.width
    scales = thresholds[:, None] / HIGHEST
    errors = (centres / scales).round().clamp(max=HIGHEST) * scales - centres
    best = int((errors.square() @ histogram.counts).argmin())
    return min(float(thresholds[best]), histogram.largest)


def entropy(histogram: Histogram) -> float:
    """The threshold whose 128 levels, clipping included, tell least of the distribution of values apart.

    Source: Migacz, "8-bit Inference with TensorRT", GTC 2017: KL divergence from the clipped distribution to
    the one that is spread evenly over the bins of each level. Here zeros do not count: they are exact.
    """
    counts = histogram.counts.clone()
    counts[0] = counts[1]
    candidates = range(HIGHEST + 1, BINS + 1, _CANDIDATE_STEP)
    best = min(candidates, key=lambda bins: _divergence(counts, bins))
    return min(best * histogram.width, histogram.largest)


def _divergence(counts: Tensor, bins: int) -> float:
    """In nats, with everything from `bins` on clipped."""
    kept = counts[:bins]
    is_seen = kept > 0
    level = torch.arange(bins) * (HIGHEST + 1) // bins
    in_level = torch.zeros(HIGHEST + 1, dtype=torch.float64).index_add_(0, level, kept)
    seen_in_level = torch.zeros_like(in_level).index_add_(0, level, is_seen.double())
    spread = in_level[level] / seen_in_level[level].clamp(min=1) * is_seen
    clipped = kept.clone()
    clipped[-1] += counts[bins:].sum()
    p, q = clipped / clipped.sum(), (spread + _SMOOTHING) / (spread + _SMOOTHING).sum()
    return float(torch.special.xlogy(p, p / q).sum())


CALIBRATORS: dict[str, Callable[[Histogram], float]] = {
    "minmax": minmax,
    "entropy": entropy,
    "mse": mse,
    "percentile": percentile,
}
