"""What every response format is made from, and what a format is."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelpack.labels import LabelSet

ORIGIN = "Model"
"""Keyword of the PNG text that says where a mask came from: a saved file keeps no header."""


@dataclass(frozen=True)
class Answer:
    """One segmented image, at the size of the image that was sent."""

    image_hwc: NDArray[np.uint8]
    """RGB, (H, W, 3), upright."""
    mask_hw: NDArray[np.uint8]
    """Class indices, (H, W)."""
    labels: LabelSet
    model: str
    """Name and version, `name:1`."""
    origin: str
    """Name, version, artifact and the manifest's sha256, in one line of ASCII."""


@dataclass(frozen=True)
class Format:
    """One way to write an answer."""

    media_type: str
    summary: str
    """One sentence for the API's documentation."""
    encode: Callable[[Answer], bytes]
