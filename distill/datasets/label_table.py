"""From the values stored in mask files to class indices: one table of 256 entries per dataset."""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from modelpack.labels import IGNORE

UNKNOWN = 254
"""Table entry of a stored value that has no meaning; reading a mask that holds one is an error."""

MAX_CLASSES = UNKNOWN
"""A mask is uint8 and two of its values are taken."""

LabelTable = NDArray[np.uint8]
"""(256,) stored value -> class index, `IGNORE` or `UNKNOWN`."""


def label_table(
    class_of: Mapping[int, int], ignored: Iterable[int] = (), others: int = UNKNOWN
) -> LabelTable:
    """The table that sends each key of `class_of` to its class, and `ignored` to 255.

    `others` is what every remaining value means: an error (`UNKNOWN`) or no label (`IGNORE`).
    """
    table = np.full(256, others, np.uint8)
    for value, index in class_of.items():
        table[value] = index
    for value in ignored:
        table[value] = IGNORE
    return table


def index_table(num_classes: int, ignored: Iterable[int] = ()) -> LabelTable:
    """The table of masks that hold class indices as they are."""
    return label_table({index: index for index in range(num_classes)}, ignored)
