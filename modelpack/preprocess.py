"""How pixels reach a network: resizing outside the graph, normalisation inside it."""

from typing import Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt, model_validator

from modelpack.errors import ShapeError
from modelpack.settings import StrictModel

Triple = tuple[float, float, float]


class Normalisation(StrictModel):
    """What a network expects of its pixels, in the units of 0-255 images. Part of the deployed graph."""

    order: Literal["rgb", "bgr"] = "rgb"
    """Channel order that the network sees. `mean` and `std` are in this order."""
    mean: Triple = (123.675, 116.28, 103.53)
    std: Triple = (58.395, 57.12, 57.375)

    @property
    def mean_rgb(self) -> Triple:
        """The mean colour as RGB, whatever the network's order: what padding is filled with."""
        return self.mean if self.order == "rgb" else (self.mean[2], self.mean[1], self.mean[0])

    @property
    def std_rgb(self) -> Triple:
        """The deviations as RGB, whatever the network's order."""
        return self.std if self.order == "rgb" else (self.std[2], self.std[1], self.std[0])


IMAGENET = Normalisation()
"""The mean and deviation of torchvision's and timm's ImageNet weights."""

CAFFE_BGR = Normalisation(order="bgr", mean=(104.00698793, 116.66876762, 122.67891434), std=(1.0, 1.0, 1.0))
"""The published networks' input: BGR, 0-255, mean subtracted, not divided (`CIRKD`, `Af-DCD`)."""


class Resizing(StrictModel):
    """How an image of any size becomes the model's input, and the mask the image's size again."""

    height: PositiveInt | None = None
    """Pixels. None: the graph takes any height, and images enter at their own size."""
    width: PositiveInt | None = None
    """Given or left out together with the height."""
    filter: Literal["bilinear", "area"] = "bilinear"
    """OpenCV's INTER_LINEAR (no antialias) or INTER_AREA. Masks go back with nearest neighbour."""

    @model_validator(mode="after")
    def _whole_size(self) -> Self:
        if (self.height is None) != (self.width is None):
            raise ValueError(
                f"height and width are given together or not at all, got {self.height} and {self.width}"
            )
        return self

    def resize_image(self, image_hwc: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) to (height, width, 3); the same array where the size already fits."""
        if image_hwc.ndim != 3 or image_hwc.shape[2] != 3 or image_hwc.dtype != np.uint8:
            raise ShapeError(f"an image is uint8 (H, W, 3), got {image_hwc.dtype} {image_hwc.shape}.")
        if self.height is None or self.width is None or image_hwc.shape[:2] == (self.height, self.width):
            return image_hwc
        flag = cv2.INTER_AREA if self.filter == "area" else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(image_hwc, (self.width, self.height), interpolation=flag), np.uint8)


def resize_mask(mask_hw: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Nearest neighbour, pixel centres aligned (OpenCV's INTER_NEAREST_EXACT)."""
    if mask_hw.shape == (height, width):
        return mask_hw
    return np.asarray(cv2.resize(mask_hw, (width, height), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
