"""Outlines of the classes as GeoJSON (RFC 7946), with holes.

Coordinates are pixels: x to the right, y down, (0, 0) the upper left corner of the image, so that a single
pixel is a square of side 1. Pixels of one class that touch at a corner belong to one polygon.
"""

import json
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from serve.formats.answer import Answer, Format

Ring = NDArray[np.int32]
"""(K, 2) corners x, y; the first is not repeated."""
_SCALE = 2
"""Every pixel becomes 2x2, so that the outline of a region one pixel wide still has two sides."""
_FEWEST_CORNERS = 3


def encode_polygons(answer: Answer) -> bytes:
    """A FeatureCollection with one MultiPolygon for each class present that has an area left."""
    features = []
    for index in answer.present:
        polygons = outline(answer.region(index), answer.options.tolerance_px)
        if polygons:
            properties = {
                "index": index,
                "name": answer.labels.names[index],
                "area": int(answer.pixels[index]),
            }
            coordinates = [[_closed(ring) for ring in rings] for rings in polygons]
            geometry = {"type": "MultiPolygon", "coordinates": coordinates}
            features.append({"type": "Feature", "properties": properties, "geometry": geometry})
    return json.dumps({"type": "FeatureCollection", **answer.header(), "features": features}).encode()


def outline(is_class_hw: NDArray[np.uint8], tolerance_px: float) -> list[list[Ring]]:
    """Polygons of what is not 0 in (H, W): each its outer ring, then its holes, along the edges of pixels.

    Outer rings have a positive area in these coordinates, holes a negative one. tolerance_px: farthest that a
    simplified ring is from the exact one (Douglas-Peucker); rings that lose their area are dropped.
    """
    x, y, width, height = cv2.boundingRect(is_class_hw)
    cut = is_class_hw[y : y + height, x : x + width]
    large = cv2.resize(cut, None, fx=_SCALE, fy=_SCALE, interpolation=cv2.INTER_NEAREST)
    contours, hierarchy = cv2.findContours(large, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=(1, 1))
    polygons: dict[int, list[Ring]] = {}
    holes: list[tuple[int, Ring]] = []
    for number, contour in enumerate(contours):
        # A contour runs on the region's own pixels: halved and rounded up they are the edges they lie along.
        corners = _without_straight_points(np.asarray(contour[:, 0, :], np.int32) // _SCALE + (x, y))
        ring = _simplified(corners, tolerance_px)
        if ring is None:
            continue
        parent = int(hierarchy[0][number][3])
        if parent < 0:
            polygons[number] = [_turned(ring, is_positive=True)]
        else:
            holes.append((parent, _turned(ring, is_positive=False)))
    for parent, ring in holes:
        if parent in polygons:
            polygons[parent].append(ring)
    return list(polygons.values())


def _without_straight_points(ring: NDArray[np.int64]) -> Ring:
    """The corners alone: no point twice in a row, none on the line between its neighbours."""
    ring = ring[(ring != np.roll(ring, 1, axis=0)).any(axis=1)]
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return np.ascontiguousarray(ring[turns], np.int32)


def _simplified(ring: Ring, tolerance_px: float) -> Ring | None:
    if tolerance_px > 0:
        ring = np.asarray(cv2.approxPolyDP(ring[:, None, :], tolerance_px, True), np.int32)[:, 0, :]
    return ring if len(ring) >= _FEWEST_CORNERS and _doubled_area(ring) else None


def _turned(ring: Ring, *, is_positive: bool) -> Ring:
    return ring if (_doubled_area(ring) > 0) == is_positive else ring[::-1]


def _doubled_area(ring: Ring) -> int:
    """Signed, by the shoelace formula."""
    x, y = ring.astype(np.int64).T
    return int((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())


def _closed(ring: Ring) -> Any:
    return [*ring.tolist(), ring[0].tolist()]


POLYGONS = Format(
    "application/geo+json",
    "Outlines of each class present with holes, GeoJSON in pixels; see `tolerance`.",
    encode_polygons,
)
