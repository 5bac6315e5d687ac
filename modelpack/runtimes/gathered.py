"""Several arrays that are one batch, not yet put together."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelpack.errors import ShapeError


class Gathered:
    """Arrays (N, H, W, 3) of one image size and type, one after the other; at least one."""

    def __init__(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Raises ShapeError for arrays that are no batch together."""
        first = arrays[0]
        self._arrays = arrays
        self.dtype, self.ndim = first.dtype, first.ndim
        if any(array.shape[1:] != first.shape[1:] or array.dtype != first.dtype for array in arrays):
            found = ", ".join(f"{array.dtype} {array.shape}" for array in arrays)
            raise ShapeError(f"images of one batch have one size and type, got {found}.")
        self.shape: tuple[int, ...] = (sum(len(array) for array in arrays), *first.shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        """Elements."""
        return int(np.prod(self.shape))

    def part(self, start: int, size: int) -> "Gathered":
        """The images from `start` on, without a copy."""
        found = []
        for array in self._arrays:
            if start < len(array) and size > 0:
                found.append(array[start : start + size])
                size -= len(found[-1])
            start = max(0, start - len(array))
        return Gathered(found)

    def copy_into(self, target: NDArray[Any]) -> None:
        """target: of this shape and type."""
        np.concatenate(self._arrays, out=target)
