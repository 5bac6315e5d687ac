"""How many pixels of the masks agree: all, those that are no close call, and those beside class edges."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

BAND_PX = 3
"""Pixels to each side of an edge between two classes of the reference that make the boundary band."""


@dataclass
class MaskCounts:
    """Exact counts over all images; figures are shares of pixels, None where there are no such pixels."""

    total: int = 0
    same: int = 0
    confident: int = 0
    same_confident: int = 0
    band: int = 0
    same_band: int = 0

    def add(
        self, mask_hw: NDArray[np.uint8], reference_hw: NDArray[np.uint8], is_confident_hw: NDArray[np.bool_]
    ) -> float:
        """Count one image; gives the share of its pixels that differ."""
        same, band = mask_hw == reference_hw, edge_band(reference_hw)
        self.total += same.size
        self.same += int(same.sum())
        self.confident += int(is_confident_hw.sum())
        self.same_confident += int((same & is_confident_hw).sum())
        self.band += int(band.sum())
        self.same_band += int((same & band).sum())
        return 1 - float(same.mean())

    @property
    def agreement(self) -> float:
        return self.same / self.total

    @property
    def agreement_confident(self) -> float | None:
        return _share(self.same_confident, self.confident)

    @property
    def agreement_band(self) -> float | None:
        return _share(self.same_band, self.band)

    @property
    def agreement_interior(self) -> float | None:
        """Outside the boundary band."""
        return _share(self.same - self.same_band, self.total - self.band)

    @property
    def low_margin_share(self) -> float:
        return 1 - self.confident / self.total

    @property
    def band_share(self) -> float:
        return self.band / self.total


def edge_band(mask_hw: NDArray[np.uint8], width_px: int = BAND_PX) -> NDArray[np.bool_]:
    """Pixels no further than `width_px` from a pixel of another class, (H, W)."""
    beside = np.zeros(mask_hw.shape, np.uint8)
    across, down = mask_hw[:, 1:] != mask_hw[:, :-1], mask_hw[1:] != mask_hw[:-1]
    beside[:, 1:] |= across
    beside[:, :-1] |= across
    beside[1:] |= down
    beside[:-1] |= down
    size = 2 * width_px - 1
    return np.asarray(cv2.dilate(beside, np.ones((size, size), np.uint8)), np.bool_)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
