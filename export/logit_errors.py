"""How far the logits of an artifact are from the reference's: at most, and on the whole."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SMALLEST = float(np.finfo(np.float32).tiny)


@dataclass
class LogitErrors:
    """Sums over the images on which logits are compared."""

    images: int = 0
    largest: float | None = None
    """Largest absolute difference; None where an image had logits that are not finite."""
    non_finite: int = 0
    _error: float = 0.0
    _signal: float = 0.0

    def add(self, logits_chw: NDArray[np.floating], reference_chw: NDArray[np.float32]) -> None:
        self.images += 1
        finite = np.isfinite(logits_chw)
        self.non_finite += int(finite.size - finite.sum())
        if not finite.all():
            return
        difference = logits_chw.astype(np.float32) - reference_chw
        self.largest = max(self.largest or 0.0, float(np.abs(difference).max()))
        self._error += _energy_between_classes(difference)
        self._signal += _energy_between_classes(reference_chw)

    def largest_share(self, largest_logit: float) -> float | None:
        """The largest difference as a share of the reference's largest absolute logit."""
        return None if self.largest is None else self.largest / max(largest_logit, _SMALLEST)

    @property
    def noise(self) -> float | None:
        """Root mean square of the error over that of the logits, both as differences between classes.

        What is added to all classes of a pixel alike moves no decision and is left out.
        """
        return None if self.largest is None else float(np.sqrt(self._error / max(self._signal, _SMALLEST)))


def probability_of_the_largest(logits_chw: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest softmax over classes, (H, W)."""
    shifted = logits_chw - logits_chw.max(0)
    return np.asarray(1 / np.exp(shifted).sum(0), np.float32)


def _energy_between_classes(values_chw: NDArray[np.float32]) -> float:
    return float(np.square(values_chw - values_chw.mean(0), dtype=np.float64).sum())
