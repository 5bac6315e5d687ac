"""Are the edges between classes where the reference has them, or all moved one way?

Rounding moves edges to either side alike. A resize by another rule, a lost half pixel or a wrong padding
moves them together, or apart from the centre, by so little that a rule on mIoU may not notice. That one class
grows at the cost of another is no shift, though it moves edges as well: sky lies above all else, so a larger
sky moves its edge down. Edges of the same two classes in the other order tell growth and shift apart.
"""

import numpy as np
from numpy.typing import NDArray

from modelpack.settings import StrictModel

MIN_EDGES = 5000
"""Along one axis, of classes that meet in both orders. Noise of int8 moves the mean of so many by 0.05 px,
that of a quarter of them by twice as much."""


class AxisShift(StrictModel):
    """Displacement of edges along one axis, in pixels; what one edge contributes is cut at one pixel."""

    at_centre_px: float
    """To the right or down, for an edge in the middle of the image."""
    at_border_px: float
    """How much further outward at the border than at the centre; negative: inward."""
    edges: int
    """How many the estimate rests on; those of two classes that always meet in one order do not count."""

    @property
    def largest_px(self) -> float:
        return max(abs(self.at_centre_px), abs(self.at_border_px))


class EdgeShift:
    """Counts over all images."""

    def __init__(self, num_classes: int) -> None:
        self._across, self._down = _Axis(num_classes), _Axis(num_classes)

    def add(self, mask_hw: NDArray[np.uint8], reference_hw: NDArray[np.uint8]) -> None:
        self._across.add(mask_hw, reference_hw)
        self._down.add(mask_hw.T, reference_hw.T)

    def fit(self) -> dict[str, AxisShift]:
        """`across` and `down`, those that have enough edges."""
        fits = {"across": self._across.fit(), "down": self._down.fit()}
        return {axis: fit for axis, fit in fits.items() if fit is not None}


class _Axis:
    """Sums for a least-squares fit of moved = shift + stretch * place + growth of the pair, by its order.

    Places of edges run from -1 to 1 along the axis.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.sums = np.zeros((5, num_classes, num_classes))
        """Of 1, place, place squared, moved, place times moved; by class before the edge and behind it."""

    def add(self, mask: NDArray[np.uint8], reference: NDArray[np.uint8]) -> None:
        """Edges between neighbours along the last axis of (rows, length)."""
        is_edge = reference[:, 1:] != reference[:, :-1]
        before, behind = reference[:, :-1][is_edge], reference[:, 1:][is_edge]
        moved = (mask[:, 1:][is_edge] == before).astype(float) - (mask[:, :-1][is_edge] == behind)
        place = 2 * (np.nonzero(is_edge)[1] + 1) / reference.shape[1] - 1
        pairs = before.astype(np.intp) * self.num_classes + behind
        weights = (np.ones_like(place), place, place**2, moved, place * moved)
        counts = [np.bincount(pairs, weight, self.num_classes**2) for weight in weights]
        self.sums += np.reshape(counts, self.sums.shape)

    def fit(self) -> AxisShift | None:
        """The growth of every pair is eliminated first, which leaves two equations in shift and stretch."""
        edges = self.sums[0] + self.sums[0].T
        share = np.divide(1, edges, out=np.zeros_like(edges), where=edges > 0)
        one, place, _, moved, _ = self.sums - self.sums.transpose(0, 2, 1)

        def unexplained(total: NDArray[np.float64], by: NDArray[np.float64]) -> float:
            """What growth leaves of a sum; each pair of classes is there in both of its orders."""
            return float((total - by * share / 2).sum())

        count, first, second, due, due_place = (
            unexplained(total, by)
            for total, by in zip(
                self.sums, (one * one, one * place, place * place, one * moved, place * moved), strict=True
            )
        )
        if count < MIN_EDGES:
            return None
        solution = np.linalg.lstsq(np.array([[count, first], [first, second]]), np.array([due, due_place]))
        shift, stretch = solution[0].tolist()
        return AxisShift(at_centre_px=shift, at_border_px=stretch, edges=int(count))
