"""Does an artifact answer twice alike, in a batch as alone, and at another size as at its own?

Single images in a row show none of this, and a service meets all of it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from export.graph import MASK
from modelpack.errors import SegError
from modelpack.runtimes.runtime import Runtime
from modelpack.settings import StrictModel

BATCHES = (2, 3)
OTHER_SIZES = ((192, 160), (105, 171))
"""(height, width) for graphs of dynamic size: one larger and one smaller than they are traced with, neither
square, one no multiple of anything."""
MIN_REPEAT_AGREEMENT_CUDA = 0.9999
"""Sums may be added in another order there; a CPU must give the same bytes."""
MIN_BATCH_AGREEMENT = 0.995
"""Kernels for larger batches may round otherwise, which flips pixels that are close calls."""
MAX_DROP_ELSEWHERE = 0.05
"""How much smaller the agreement with the reference may be at another size. Frozen windows cost far more."""

ImageAndMask = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""(H, W, 3) pixels and the reference's (H, W) classes."""


class Behaviour(StrictModel):
    """Shares of pixels, 0..1; null where it was not asked or got no answer."""

    repeat_agreement: float
    """Of two answers to the same pixels, the worst of several."""
    batch_agreement: float | None
    """Of answers in a batch with the answer alone."""
    other_size_agreement: float | None
    """With the reference, for images of other sizes; null for a graph of fixed size."""
    broken: tuple[str, ...]
    """One sentence for each thing that is not as it must be."""


def observe(
    runtime: Runtime, image_hwc: NDArray[np.uint8], elsewhere: Sequence[ImageAndMask], agreement: float
) -> Behaviour:
    """Run one image again, in batches with its mirror image, and images of other sizes.

    `agreement`: with the reference, at the gate's own size.
    """
    image, mirrored = image_hwc[None], np.ascontiguousarray(image_hwc[None, :, ::-1])
    alone, mirrored_alone = runtime.run(image)[MASK], runtime.run(mirrored)[MASK]
    repeat = min(_same(runtime.run(image)[MASK], alone) for _ in range(2))
    faults: list[str] = []
    least = MIN_REPEAT_AGREEMENT_CUDA if runtime.device.startswith("cuda") else 1.0
    if repeat < least:
        faults.append(f"two answers to the same pixels differ in {1 - repeat:.2%} of them")
    batch = _in_batches(runtime, (image, mirrored), (alone, mirrored_alone), faults)
    return Behaviour(
        repeat_agreement=repeat,
        batch_agreement=batch,
        other_size_agreement=_elsewhere(runtime, elsewhere, agreement, faults),
        broken=tuple(faults),
    )


def _in_batches(
    runtime: Runtime,
    images: Sequence[NDArray[np.uint8]],
    alone: Sequence[NDArray[np.uint8]],
    faults: list[str],
) -> float | None:
    shares = []
    for size in BATCHES:
        order = [place % len(images) for place in range(size)]
        expected = np.concatenate([alone[place] for place in order])
        try:
            masks = runtime.run(np.concatenate([images[place] for place in order]))[MASK]
        except SegError as error:
            faults.append(f"it does not answer a batch of {size}: {error}".rstrip("."))
            return None
        if masks.shape != expected.shape:
            faults.append(f"a batch of {size} gives masks of shape {masks.shape}, due is {expected.shape}")
            return None
        shares += [_same(mask, due) for mask, due in zip(masks, expected, strict=True)]
    if min(shares) < MIN_BATCH_AGREEMENT:
        faults.append(
            f"an image in a batch is answered otherwise than alone in {1 - min(shares):.2%} of its pixels, "
            f"allowed are {1 - MIN_BATCH_AGREEMENT:.2%}"
        )
    return min(shares)


def _elsewhere(
    runtime: Runtime, elsewhere: Sequence[ImageAndMask], agreement: float, faults: list[str]
) -> float | None:
    shares = []
    for image_hwc, expected_hw in elsewhere:
        where = "x".join(map(str, expected_hw.shape))
        try:
            mask_hw = runtime.run(image_hwc[None])[MASK][0]
        except SegError as error:
            faults.append(f"it does not answer an image of {where}: {error}".rstrip("."))
            return None
        share = _same(mask_hw, expected_hw)
        if share < agreement - MAX_DROP_ELSEWHERE:
            faults.append(
                f"mask agreement is {share:.5f} for an image of {where}, {agreement:.5f} at the gate's sizes"
            )
        shares.append(share)
    return min(shares, default=None)


def _same(mask: NDArray[np.uint8], expected: NDArray[np.uint8]) -> float:
    return float((mask == expected).mean()) if mask.shape == expected.shape else 0.0
