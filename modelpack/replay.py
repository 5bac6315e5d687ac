"""Replay a package's samples: does this machine compute what the package was built for?"""

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from modelpack.manifest import Artifact, Manifest
from modelpack.package import ModelPackage
from modelpack.pixels import decode_image
from modelpack.runtimes.runtime import Runtime

MASK = "mask"
"""Output of the deployed graph that every package has."""
LEAST_AGREEMENT = {"fp32": 0.99, "fp16": 0.99, "bf16": 0.98, "int8": 0.95}
"""Least share of equal pixels for each sample, by precision: a sample has few pixels, and other machines
round otherwise. How good an artifact is was decided by the stricter gates of the export."""
COMPUTES_IN = {"openvino-bf16": "bf16"}
"""Runtimes that compute in another type than the artifact's."""


@dataclass(frozen=True)
class Replayed:
    """One sample, answered here."""

    image: str
    """Path in the package."""
    agreement: float
    """Share of pixels that equal the packaged mask; 0 where the sizes differ."""
    infer_ms: float
    """Time of the graph alone."""


def least_agreement(artifact: Artifact, runtime: str) -> float:
    """What is asked for where nobody says otherwise."""
    precisions = (artifact.precision, COMPUTES_IN.get(runtime, artifact.precision))
    return min(LEAST_AGREEMENT[precision] for precision in precisions)


def replay(package: ModelPackage, runtime: Runtime, *, max_pixels: int) -> Iterator[Replayed]:
    """Answer sample after sample with a loaded artifact; raises an ImageError where one does not decode."""
    manifest = package.manifest
    for sample, image_bytes, expected_hw in package.samples():
        image_hwc = manifest.resizing.resize_image(decode_image(image_bytes, max_pixels=max_pixels))
        start = perf_counter()
        mask_hw = infer_mask(runtime, manifest, image_hwc)
        infer_ms = (perf_counter() - start) * 1000
        agreement = float((mask_hw == expected_hw).mean()) if mask_hw.shape == expected_hw.shape else 0.0
        yield Replayed(sample.image, agreement, infer_ms)


def infer_mask(runtime: Runtime, manifest: Manifest, image_hwc: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) RGB, resized as the manifest says, to (H, W) class indices.

    A graph of dynamic size sees the image padded (right, bottom) with the mean colour to `size_multiple`.
    """
    height, width = image_hwc.shape[:2]
    masks_nhw = runtime.run(pad_to_multiple(image_hwc, manifest)[None])[MASK]
    return np.ascontiguousarray(masks_nhw[0, :height, :width])


def pad_to_multiple(image_hwc: NDArray[np.uint8], manifest: Manifest) -> NDArray[np.uint8]:
    """(H, W, 3) padded (right, bottom) with the mean colour to multiples of `size_multiple`."""
    height, width = image_hwc.shape[:2]
    multiple = manifest.size_multiple
    padded_size = -(-height // multiple) * multiple, -(-width // multiple) * multiple
    if padded_size == (height, width):
        return image_hwc
    padded = np.empty((*padded_size, 3), np.uint8)
    padded[:] = np.rint(manifest.normalisation.mean_rgb).astype(np.uint8)
    padded[:height, :width] = image_hwc
    return padded
