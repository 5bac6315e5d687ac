"""What the clock is put around: one callable per boundary, fed with the same images again and again."""

from collections.abc import Callable, Sequence
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from bench.config import Boundary
from bench.timing import Call
from modelpack.pixels import decode_image
from modelpack.png import encode_png_labels
from modelpack.preprocess import Resizing, resize_mask
from modelpack.runtimes.runtime import Runtime

MAX_PIXELS = 64_000_000
"""Largest image that is decoded: beyond any camera frame, below what fills the memory of a small machine."""
MASK = "mask"
"""Output of the deployed graph that every package has."""


def boundary_call(
    boundary: Boundary, runtime: Runtime, images: Sequence[bytes], resizing: Resizing, batch: int
) -> Call:
    """A callable that handles one batch per call; batches take the encoded `images` in turn.

    Raises ImageError for an image that does not decode, here and not while the clock runs.
    """
    groups = [[images[(first + i) % len(images)] for i in range(batch)] for first in range(len(images))]
    return _BUILDERS[boundary](runtime, groups, resizing)


def _graph(runtime: Runtime, groups: list[list[bytes]], resizing: Resizing) -> Call:
    ready = [
        np.stack([resizing.resize_image(decode_image(image, max_pixels=MAX_PIXELS)) for image in group])
        for group in groups
    ]
    batches = cycle(ready)
    return lambda: runtime.run(next(batches))


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
    "graph": _graph,
    "image": _image,
}
