"""Which classes an artifact takes for which others."""

import numpy as np

from modelpack.labels import LabelSet
from modelpack.metrics import ConfusionMatrix
from modelpack.settings import StrictModel

LARGEST = 5


class ClassFlip(StrictModel):
    """Pixels that the reference gives one class and the artifact another."""

    reference: str
    artifact: str
    pixels: int
    share: float
    """Of all pixels that the reference gives that class."""


def largest_flips(matrix: ConfusionMatrix, labels: LabelSet, count: int = LARGEST) -> tuple[ClassFlip, ...]:
    """By pixels, most first. Rows of the matrix are the reference's classes, columns the artifact's."""
    flipped = matrix.counts.copy()
    np.fill_diagonal(flipped, 0)
    places = np.argsort(-flipped, axis=None, kind="stable")[:count]
    pairs = zip(*np.unravel_index(places, flipped.shape), strict=True)
    return tuple(
        ClassFlip(
            reference=labels.names[row],
            artifact=labels.names[column],
            pixels=int(flipped[row, column]),
            share=float(flipped[row, column] / matrix.counts[row].sum()),
        )
        for row, column in pairs
        if flipped[row, column]
    )
