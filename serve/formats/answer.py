"""What every response format is made from, and what a format is."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from modelpack.labels import LabelSet
from serve.formats.options import Options

ORIGIN = "Model"
"""Keyword of the PNG text that says where a mask came from: a saved file keeps no header."""

_MOST_COUNTED = 1 << 24
"""Pixels that OpenCV counts exactly at once: its histograms are float32."""


@dataclass(frozen=True)
class Answer:
    """One segmented image, at the size that was asked for."""

    image_hwc: NDArray[np.uint8]
    """RGB, (H, W, 3), upright."""
    mask_hw: NDArray[np.uint8]
    """Class indices, (H, W); `modelpack.labels.IGNORE` where the class is not among `classes`."""
    confidence_hw: NDArray[np.uint8] | None
    """Probability of each pixel's class, 255 = 1, (H, W). None where the model has no such output or the
    format does not use it."""
    labels: LabelSet
    classes: tuple[int, ...]
    """The classes that were asked for, in ascending order."""
    options: Options
    model: str
    """Name and version, `name:1`."""
    origin: str
    """Name, version, artifact and the manifest's sha256, in one line of ASCII."""

    @cached_property
    def pixels(self) -> NDArray[np.int64]:
        """Number of pixels of each class of the model, (num_classes,)."""
        counts = np.zeros(256, np.int64)
        rows = max(1, _MOST_COUNTED // self.mask_hw.shape[1])
        for top in range(0, self.mask_hw.shape[0], rows):
            band = self.mask_hw[top : top + rows]
            counts += cv2.calcHist([band], [0], None, [256], [0, 256]).ravel().astype(np.int64)
        return counts[: self.labels.num_classes]

    @property
    def present(self) -> list[int]:
        """The classes asked for that cover at least one pixel, in ascending order."""
        return [index for index in self.classes if self.pixels[index]]

    def region(self, index: int) -> NDArray[np.uint8]:
        """(H, W), 255 where the mask is class `index`, else 0."""
        table = np.zeros(256, np.uint8)
        table[index] = 255
        return np.asarray(cv2.LUT(self.mask_hw, table), np.uint8)

    def mean_confidence(self, index: int) -> float | None:
        """Over the pixels of a class, 0 to 1; None where it has no pixels, or the model no confidence."""
        if self.confidence_hw is None or not self.pixels[index]:
            return None
        return float(cv2.mean(self.confidence_hw, self.region(index))[0] / 255)

    def header(self) -> dict[str, Any]:
        """What JSON answers begin with."""
        height, width = self.mask_hw.shape
        return {"model": self.model, "origin": self.origin, "width": width, "height": height}


@dataclass(frozen=True)
class Format:
    """One way to write an answer."""

    media_type: str
    summary: str
    """One sentence for the API's documentation."""
    encode: Callable[[Answer], bytes]
    uses_confidence: bool = False
    """The model's confidence is computed too, where it has that output."""
    needs_confidence: bool = False
    """Models without that output cannot answer in this format."""
