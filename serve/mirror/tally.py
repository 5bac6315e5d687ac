"""How far two models agreed over many images: exact counts, which add up over processes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelpack.metrics import ConfusionMatrix
from modelpack.preprocess import resize_mask


def compare_masks(
    answered_hw: NDArray[np.uint8], other_hw: NDArray[np.uint8], num_classes: int
) -> ConfusionMatrix:
    """Count two masks of one image, (H, W) class indices; the other's size may differ, the classes not."""
    confusion = ConfusionMatrix(num_classes)
    confusion.update(resize_mask(other_hw, *answered_hw.shape), answered_hw)
    return confusion


class Tally:
    """Sums over the compared images of one pair of models."""

    def __init__(self, num_classes: int) -> None:
        self.compared = self.failed = self.dropped = self.slower = 0
        """Images: compared; that the second model failed on; not taken because it was busy; for which its
        graph took longer than it may."""
        self.both: NDArray[np.int64] = np.zeros(num_classes, np.int64)
        """Pixels by class to which both models gave it."""
        self.either: NDArray[np.int64] = np.zeros(num_classes, np.int64)
        """Pixels by class to which at least one model gave it."""
        self.pixels = 0

    def take(self, confusion: ConfusionMatrix) -> None:
        """One compared image."""
        both, either = both_and_either(confusion)
        self.both += both
        self.either += either
        self.pixels += int(confusion.counts.sum())
        self.compared += 1

    @property
    def agreement(self) -> float | None:
        """Share of equal pixels; None before the first image."""
        return int(self.both.sum()) / self.pixels if self.pixels else None

    def iou_per_class(self) -> list[float | None]:
        """Intersection over union of the two models' pixels; None for a class that neither has seen."""
        pairs = zip(self.both.tolist(), self.either.tolist(), strict=True)
        return [both / either if either else None for both, either in pairs]

    def tell(self) -> dict[str, Any]:
        """Everything, as plain JSON types."""
        return {
            "compared": self.compared,
            "failed": self.failed,
            "dropped": self.dropped,
            "slower": self.slower,
            "pixels": self.pixels,
            "both": self.both.tolist(),
            "either": self.either.tolist(),
        }

    def add(self, told: Mapping[str, Any]) -> None:
        """What another process's tally of the same pair told."""
        for name in ("compared", "failed", "dropped", "slower", "pixels"):
            setattr(self, name, getattr(self, name) + told[name])
        self.both += np.asarray(told["both"], np.int64)
        self.either += np.asarray(told["either"], np.int64)

    def describe(self, classes: Sequence[str]) -> dict[str, Any]:
        """For people: what `/v1/models` shows."""
        return {
            "compared": self.compared,
            "failed": self.failed,
            "dropped": self.dropped,
            "agreement": self.agreement,
            "iou_per_class": dict(zip(classes, self.iou_per_class(), strict=True)),
        }


def both_and_either(confusion: ConfusionMatrix) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pixels by class that both masks have, and that at least one has; (num_classes,) int64 each."""
    counts = confusion.counts
    both = counts.diagonal()
    return both, counts.sum(0) + counts.sum(1) - both
