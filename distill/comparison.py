"""The statistics of a comparison: mean and deviation over seeds, bootstrap interval of a difference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from modelpack.errors import CheckpointError

RESAMPLES = 2000
CONFIDENCE = 0.95

Counts = NDArray[np.int64]
"""(images, 3, num_classes): pixels of intersection, prediction and target per image."""


@dataclass(frozen=True)
class Difference:
    """Of two variants' mIoU, in points (percent)."""

    mean: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


def miou_of(counts: Counts, *, absent_as_zero: bool = False) -> float:
    """Dataset-level mIoU in percent of any collection of images."""
    return 100 * float(_mean_iou(counts.sum(axis=0)[None], absent_as_zero)[0])


def read_counts(path: Path) -> Counts:
    """What a run counted for each image. Raises CheckpointError where the file is damaged."""
    try:
        with np.load(path) as file:
            counts: Counts = file["counts"].astype(np.int64)
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise CheckpointError(f"{path} is damaged ({error}). Remove its folder and train again.") from error
    return counts


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    """The deviation is of the sample (n - 1); None for a single value."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None


def difference(
    ours: Mapping[int, Counts], theirs: Mapping[int, Counts], *, absent_as_zero: bool = False
) -> Difference:
    """Mean over common seeds of (ours - theirs), with a percentile bootstrap interval.

    ours, theirs: per seed, the counts of the same images in the same order. Each resample draws seeds and,
    within them, images with replacement, the same for both sides: the interval covers the luck of the seeds
    that were run and of the images in the split. With few seeds it is too narrow rather than too wide.
    """
    seeds = sorted(ours.keys() & theirs.keys())
    generator = np.random.default_rng(0)
    images = len(ours[seeds[0]])
    drawn = np.empty((RESAMPLES, len(seeds)))
    for column, seed in enumerate(seeds):
        weights = generator.multinomial(images, np.full(images, 1 / images), size=RESAMPLES)
        sides = [_mean_iou(_weighted_sum(weights, side[seed]), absent_as_zero) for side in (ours, theirs)]
        drawn[:, column] = 100 * (sides[0] - sides[1])
    picked = generator.integers(len(seeds), size=drawn.shape)
    resampled = np.take_along_axis(drawn, picked, axis=1).mean(axis=1)
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    exact = [
        miou_of(ours[seed], absent_as_zero=absent_as_zero)
        - miou_of(theirs[seed], absent_as_zero=absent_as_zero)
        for seed in seeds
    ]
    return Difference(float(np.mean(exact)), float(low), float(high))


def _weighted_sum(weights: NDArray[np.int64], counts: Counts) -> NDArray[np.float64]:
    """(resamples, images) x (images, 3, K) -> (resamples, 3, K)."""
    flat = counts.reshape(len(counts), -1).astype(np.float64)
    return (weights.astype(np.float64) @ flat).reshape(len(weights), *counts.shape[1:])


def _mean_iou(sums: NDArray[np.generic], absent_as_zero: bool) -> NDArray[np.float64]:
    """(n, 3, K) sums to (n,) mean IoU."""
    intersection, predicted, target = (sums[:, i].astype(np.float64) for i in range(3))
    union = predicted + target - intersection
    iou = np.where(union > 0, intersection / np.maximum(union, 1), 0.0 if absent_as_zero else np.nan)
    return np.asarray(np.nanmean(iou, axis=1), np.float64)
