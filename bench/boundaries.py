"""What the clock is put around: one callable per boundary, fed with the same images again and again."""

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.config import Boundary
from bench.timing import Call
from modelpack.pixels import decode_image
from modelpack.png import encode_png_labels
from modelpack.preprocess import Resizing, resize_mask
from modelpack.runtimes.runtime import Runtime, StageTimes, TimedRuntime

MAX_PIXELS = 64_000_000
"""Largest image that is decoded: beyond any camera frame, below what fills the memory of a small machine."""
MASK = "mask"
"""Output of the deployed graph that every package has."""


class GraphCall:
    """The graph alone, on arrays that were made ready before."""

    def __init__(self, runtime: Runtime, groups: list[list[bytes]], resizing: Resizing) -> None:
        self._runtime = runtime
        self._batches = cycle([np.stack([_ready(image, resizing) for image in group]) for group in groups])

    def __call__(self) -> dict[str, NDArray[Any]]:
        return self._runtime.run(next(self._batches))

    def stages(self) -> StageTimes | None:
        """One call of which the runtime tells the stages; None from a runtime that does not."""
        if not isinstance(self._runtime, TimedRuntime):
            return None
        return self._runtime.run_timed(next(self._batches))[1]


def boundary_call(
    boundary: Boundary, runtime: Runtime, images: Sequence[bytes], resizing: Resizing, batch: int
) -> Call:
    """A callable that handles one batch per call; batches take the encoded `images` in turn.

    Raises ImageError for an image that does not decode, here and not while the clock runs.
    """
    groups = [[images[(first + i) % len(images)] for i in range(batch)] for first in range(len(images))]
    return _BUILDERS[boundary](runtime, groups, resizing)


def _ready(encoded: bytes, resizing: Resizing) -> NDArray[np.uint8]:
    return resizing.resize_image(decode_image(encoded, max_pixels=MAX_PIXELS))


def _image(runtime: Runtime, groups: list[list[bytes]], resizing: Resizing) -> Call:
    for image in groups[0]:
        decode_image(image, max_pixels=MAX_PIXELS)
    requests = cycle(groups)
    return lambda: _answer(runtime, next(requests), resizing)


def _answer(runtime: Runtime, encoded: list[bytes], resizing: Resizing) -> list[bytes]:
    decoded = [decode_image(image, max_pixels=MAX_PIXELS) for image in encoded]
    batch_nhwc: NDArray[np.uint8] = np.stack([resizing.resize_image(image) for image in decoded])
    masks_nhw = runtime.run(batch_nhwc)[MASK]
    return [
        encode_png_labels(resize_mask(mask_hw, *image.shape[:2]))
        for mask_hw, image in zip(masks_nhw, decoded, strict=True)
    ]


_BUILDERS: dict[Boundary, Callable[[Runtime, list[list[bytes]], Resizing], Call]] = {
    "graph": GraphCall,
    "image": _image,
}
