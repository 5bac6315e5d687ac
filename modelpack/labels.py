"""Classes of a segmentation task: names, colours, and what a mask looks like to a person."""

from typing import Annotated, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from modelpack.errors import ShapeError
from modelpack.settings import StrictModel

IGNORE = 255
"""Mask value of pixels that have no label; the same in every dataset once it is read."""

Channel = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[Channel, Channel, Channel]


class LabelSet(StrictModel):
    """Names and colours, in the order of the class index. `num_classes` excludes the ignore value."""

    names: tuple[str, ...]
    palette: tuple[Colour, ...]
    """RGB, 0-255, one per class."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not 1 <= len(self.names) <= IGNORE:
            raise ValueError(
                f"a label set has 1 to {IGNORE} classes (masks are uint8), got {len(self.names)}"
            )
        if len(self.palette) != len(self.names):
            raise ValueError(f"{len(self.names)} class names but {len(self.palette)} colours; give one each")
        if len(set(self.names)) != len(self.names):
            raise ValueError("class names must differ from each other")
        return self

    @property
    def num_classes(self) -> int:
        return len(self.names)

    def colourise(self, mask_hw: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W) class indices to (H, W, 3) RGB; ignored and unknown values are black."""
        if mask_hw.ndim != 2:
            raise ShapeError(f"colourise needs a mask (H, W), got shape {mask_hw.shape}.")
        table = np.zeros((256, 3), np.uint8)
        table[: self.num_classes] = self.palette
        indices_hw = mask_hw.astype(np.uint8, copy=False)
        return np.asarray(cv2.applyColorMap(indices_hw, table[:, None, :]), np.uint8)

    def overlay(
        self, image_hwc: NDArray[np.uint8], mask_hw: NDArray[np.uint8], alpha: float = 0.5
    ) -> NDArray[np.uint8]:
        """The mask's colours over the image with opacity `alpha`; ignored pixels show the image alone."""
        if image_hwc.shape[:2] != mask_hw.shape:
            raise ShapeError(
                f"overlay: image is {image_hwc.shape[:2]}, mask {mask_hw.shape}; they must be equal."
            )
        mixed_hwc = np.asarray(
            cv2.addWeighted(image_hwc, 1 - alpha, self.colourise(mask_hw), alpha, 0.0), np.uint8
        )
        is_ignored = mask_hw >= self.num_classes
        if is_ignored.any():
            mixed_hwc[is_ignored] = image_hwc[is_ignored]
        return mixed_hwc


def distinct_palette(num_classes: int) -> tuple[Colour, ...]:
    """Colours for classes that came without any: PASCAL VOC's bit-interleaved map, which never repeats."""
    return tuple(_voc_colour(index) for index in range(num_classes))


def _voc_colour(index: int) -> Colour:
    channels = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            channels[channel] |= ((index >> (3 * bit + channel)) & 1) << (7 - bit)
    return channels[0], channels[1], channels[2]
