"""Images to calibrate a low-precision graph with: real ones, that the network was trained on."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import overload

import numpy as np
from numpy.typing import NDArray

from distill.datasets.dataset import SegDataset
from modelpack.preprocess import Resizing


class CalibrationImages(Sequence[NDArray[np.uint8]]):
    """`count` images spread over a dataset, each uint8 (1, H, W, 3) as the graph takes it.

    The dataset is opened with the first question: targets that need no images need no training split.
    """

    def __init__(self, open_dataset: Callable[[], SegDataset], resizing: Resizing, count: int) -> None:
        self._open_dataset, self._resizing, self._count = open_dataset, resizing, count

    @cached_property
    def dataset(self) -> SegDataset:
        return self._open_dataset()

    @cached_property
    def indices(self) -> tuple[int, ...]:
        """Places in the split."""
        places = np.linspace(0, len(self.dataset) - 1, self._count).astype(int)
        return tuple(sorted(set(places.tolist())))

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, place: int) -> NDArray[np.uint8]: ...
    @overload
    def __getitem__(self, place: slice) -> "list[NDArray[np.uint8]]": ...
    def __getitem__(self, place: int | slice) -> "NDArray[np.uint8] | list[NDArray[np.uint8]]":
        if isinstance(place, slice):
            return [self[index] for index in range(*place.indices(len(self)))]
        image_hwc = self.dataset[self.indices[place]].image_hwc
        return self._resizing.resize_image(image_hwc)[None]
