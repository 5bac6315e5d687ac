"""The picture and its mask, drawn together: what covers a pixel of one covers it in the other."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from distill.datasets.street.camera import Camera, Point
from distill.datasets.street.light import Light, Rgb

SUPERSAMPLING = 2
"""Drawn pixels per pixel and axis; the average of them smooths the edges."""

_FRACTION_BITS = 4
_FIXED = SUPERSAMPLING * (1 << _FRACTION_BITS)


class Canvas:
    """Paints from far to near. Outlines are in pixels of the final picture, distances in metres (for haze).

    The label is the fourth channel, so that one fill paints both.
    """

    def __init__(self, camera: Camera, light: Light) -> None:
        self.camera = camera
        self.light = light
        self._pixels = np.zeros((camera.height * SUPERSAMPLING, camera.width * SUPERSAMPLING, 4), np.uint8)

    def polygon(
        self, outline: Sequence[Point], colour: Rgb, label: int, distance: float, brightness: float = 1.0
    ) -> None:
        lit = (*self.light.lit(colour, brightness, distance), label)
        cv2.fillPoly(self._pixels, [_fixed(outline)], lit, 8, _FRACTION_BITS)

    def polygons(
        self, outlines: NDArray[np.float64], colour: Rgb, label: int, distance: float, brightness: float = 1.0
    ) -> None:
        """(n, corners, 2), all of one colour; they must not overlap."""
        lit = (*self.light.lit(colour, brightness, distance), label)
        cv2.fillPoly(self._pixels, list((outlines * _FIXED).astype(np.int32)), lit, 8, _FRACTION_BITS)

    def disc(
        self, centre: Point, radii: Point, colour: Rgb, label: int, distance: float, brightness: float = 1.0
    ) -> None:
        """An upright ellipse."""
        where = (int(centre[0] * _FIXED), int(centre[1] * _FIXED))
        axes = (int(radii[0] * _FIXED) + 1, int(radii[1] * _FIXED) + 1)
        lit = (*self.light.lit(colour, brightness, distance), label)
        if axes[0] == axes[1]:
            cv2.circle(self._pixels, where, axes[0], lit, -1, 8, _FRACTION_BITS)
            return
        cv2.ellipse(self._pixels, where, axes, 0, 0, 360, lit, -1, 8, _FRACTION_BITS)

    def rod(
        self,
        start: Point,
        end: Point,
        width: float,
        colour: Rgb,
        label: int,
        distance: float,
        brightness: float = 1.0,
    ) -> None:
        """A straight bar of `width` pixels, but never thinner than the mask can show."""
        first, last = ((int(x * _FIXED), int(y * _FIXED)) for x, y in (start, end))
        thickness = max(SUPERSAMPLING, round(width * SUPERSAMPLING))
        lit = (*self.light.lit(colour, brightness, distance), label)
        cv2.line(self._pixels, first, last, lit, thickness, 8, _FRACTION_BITS)

    def fill_rows(self, first: int, end: int, colours: NDArray[np.float32] | Rgb, label: int) -> None:
        """Rows of the final picture, in one colour or (rows, width, 3) of them, as they are."""
        rows = self._pixels[first * SUPERSAMPLING : end * SUPERSAMPLING]
        clipped = np.clip(colours, 0, 255).astype(np.uint8)
        if clipped.ndim == 3:
            clipped = clipped.repeat(SUPERSAMPLING, axis=0).repeat(SUPERSAMPLING, axis=1)
        rows[..., :3] = clipped
        rows[..., 3] = label

    def mark(self, outline: Sequence[Point], label: int) -> None:
        """The mask alone: what shows through a fence still belongs to the fence."""
        inside = np.zeros(self._pixels.shape[:2], np.uint8)
        cv2.fillPoly(inside, [_fixed(outline)], 1, 8, _FRACTION_BITS)
        self._pixels[..., 3][inside > 0] = label

    def darken(self, outlines: Sequence[Sequence[Point]], brightness: float) -> None:
        """The picture alone: a shadow on what is there already. Overlaps are not darker."""
        shade = np.full(self._pixels.shape, 255, np.uint8)
        dark = (*(int(255 * brightness),) * 3, 255)
        for outline in outlines:
            cv2.fillPoly(shade, [_fixed(outline)], dark, 8, _FRACTION_BITS)
        cv2.multiply(self._pixels, shade, dst=self._pixels, scale=1 / 255)

    def finished(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The smoothed picture (H, W, 3) and its mask (H, W)."""
        size = (self.camera.width, self.camera.height)
        smooth = np.asarray(cv2.resize(self._pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        return smooth[..., :3], np.ascontiguousarray(self._pixels[::SUPERSAMPLING, ::SUPERSAMPLING, 3])


def _fixed(outline: Sequence[Point]) -> NDArray[np.int32]:
    return np.array([(int(x * _FIXED), int(y * _FIXED)) for x, y in outline], np.int32)
