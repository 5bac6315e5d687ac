"""The one input of a deployed graph: what it takes, and the sentence for what it does not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from modelpack.errors import PackageError, ShapeError
from modelpack.runtimes.gathered import Gathered

DIMENSIONS = ("batch", "height", "width", "channels")
"""What the axes of the input are called where the graph leaves one open."""


@dataclass(frozen=True)
class ImageInput:
    """A uint8 tensor (N, H, W, 3)."""

    name: str
    shape: tuple[int | str, ...]
    """Fixed sizes as numbers, open ones by name."""

    @classmethod
    def of_graph(cls, source: object, inputs: Sequence[tuple[str, str, Sequence[int | str | None]]]) -> Self:
        """From (name, element type as numpy calls it, shape) of every input of the graph in `source`.

        Raises PackageError for anything but one uint8 input of four axes.
        """
        if len(inputs) == 1:
            name, dtype, shape = inputs[0]
            if dtype == "uint8" and len(shape) == len(DIMENSIONS):
                named = zip(shape, DIMENSIONS, strict=True)
                return cls(name, tuple(axis if size is None else size for size, axis in named))
        found = ", ".join(f"{name} {dtype} {list(shape)}" for name, dtype, shape in inputs)
        raise PackageError(
            f"{source} is no deployed graph: it takes {found}, and must take one uint8 (N, H, W, 3)."
        )

    def check(self, images: NDArray[Any] | Gathered) -> None:
        """Raises ShapeError for images that the graph cannot take."""
        fits = images.dtype == np.uint8 and images.ndim == len(self.shape) and images.size > 0
        if fits and all(
            not isinstance(size, int) or size == got
            for size, got in zip(self.shape, images.shape, strict=True)
        ):
            return
        shape = ", ".join(str(size) for size in self.shape)
        raise ShapeError(
            f"the graph takes {self.name} uint8 ({shape}), got {images.dtype} {images.shape}. "
            "Resize the images to that size and pass RGB with the channels last."
        )
