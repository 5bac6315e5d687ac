"""Outlines of the classes as GeoJSON (RFC 7946), with holes.

Coordinates are pixels: x to the right, y down, (0, 0) the upper left corner of the image, so that a single
pixel is a square of side 1. Pixels of one class that touch at a corner only belong to two polygons: so that
every geometry is valid, for readers that ask for it (shapely, PostGIS).
"""

import json
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from serve.formats.answer import Answer, Format
from serve.formats.rings import Ring, doubled_area, in_conflict, simple_loops

_SCALE = 2
"""Every pixel becomes 2x2, so that the outline of a region one pixel wide still has two sides."""
_FEWEST_CORNERS = 3
MOST_SIMPLIFIED = 20_000
"""Corners of a class that are looked at for conflicts; where there are more, outlines stay exact."""


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
    simplified ring is from the exact one (Douglas-Peucker); rings that lose their area are dropped, and those
    that would touch or cross others stay exact.
    """
    exact, parents = _traced(is_class_hw)
    kept: dict[int, Ring] = {}
    for index, (ring, parent) in enumerate(zip(exact, parents, strict=True)):
        simplified = _simplified(ring, tolerance_px) if parent is None or parent in kept else None
        if simplified is not None:
            kept[index] = simplified
    rings = _without_conflicts(list(kept.values()), [exact[index] for index in kept])
    polygons: dict[int, list[Ring]] = {}
    for index, ring in zip(kept, rings, strict=True):
        parent = parents[index]
        polygons.setdefault(index if parent is None else parent, []).append(ring)
    return list(polygons.values())


def _traced(is_class_hw: NDArray[np.uint8]) -> tuple[list[Ring], list[int | None]]:
    """Exact rings, and for each hole the index of the ring around it.

    What surrounds the class is traced, with a frame of it: there pixels hang together that touch at a corner,
    so that within the class they do not, and no polygon hangs together by a point alone.
    """
    x, y, width, height = cv2.boundingRect(is_class_hw)
    around = np.pad(is_class_hw[y : y + height, x : x + width] == 0, 1, constant_values=True)
    large = cv2.resize(around.astype(np.uint8), None, fx=_SCALE, fy=_SCALE, interpolation=cv2.INTER_NEAREST)
    contours, hierarchy = cv2.findContours(large, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE, offset=(1, 1))
    rings: list[Ring] = []
    parents: list[int | None] = []
    outer: dict[int, int] = {}
    holes: list[tuple[int, Ring]] = []
    for number, contour in enumerate(contours):
        parent = int(hierarchy[0][number][3])
        if parent < 0:
            continue  # the frame
        # A contour runs on the pixels around: halved and rounded up they are the edges they lie along.
        corners = np.asarray(contour[:, 0, :], np.int32) // _SCALE + (x - 1, y - 1)
        ring = _without_straight_points(corners)
        is_hole = _depth(hierarchy[0], number) % 2 == 0
        for loop in simple_loops(ring if (doubled_area(ring) > 0) != is_hole else ring[::-1]):
            if doubled_area(loop) > 0:
                outer[number] = len(rings)
                rings.append(loop)
                parents.append(None)
            else:
                holes.append((parent if is_hole else number, loop))
    rings += [loop for _, loop in holes]
    parents += [outer[number] for number, _ in holes]
    return rings, parents


def _depth(hierarchy: NDArray[np.int32], number: int) -> int:
    """Of a contour: 0 for the frame, 1 for outer rings, 2 for their holes, 3 for what lies in these."""
    depth = 0
    while (number := int(hierarchy[number][3])) >= 0:
        depth += 1
    return depth


def _without_conflicts(simplified: list[Ring], exact: list[Ring]) -> list[Ring]:
    """Each ring simplified where that brings it into no conflict, else exact."""
    rings = [_turned(ring, before) for ring, before in zip(simplified, exact, strict=True)]
    is_exact = np.array([len(ring) == len(before) for ring, before in zip(rings, exact, strict=True)], bool)
    if sum(map(len, rings)) > MOST_SIMPLIFIED:
        return exact
    while not is_exact.all() and (stays := in_conflict(rings, is_exact) & ~is_exact).any():
        for index in np.flatnonzero(stays):
            rings[index] = exact[index]
        is_exact |= stays
    return rings


def _without_straight_points(ring: NDArray[np.int64]) -> Ring:
    """The corners alone: no point twice in a row, none on the line between its neighbours."""
    ring = ring[(ring != np.roll(ring, 1, axis=0)).any(axis=1)]
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return np.ascontiguousarray(ring[turns], np.int32)


def _simplified(ring: Ring, tolerance_px: float) -> Ring | None:
    if tolerance_px > 0:
        ring = np.asarray(cv2.approxPolyDP(ring[:, None, :], tolerance_px, True), np.int32)[:, 0, :]
    return ring if len(ring) >= _FEWEST_CORNERS and doubled_area(ring) else None


def _turned(simplified: Ring, exact: Ring) -> Ring:
    """In the direction of the exact one."""
    return simplified if (doubled_area(simplified) > 0) == (doubled_area(exact) > 0) else simplified[::-1]


def _closed(ring: Ring) -> Any:
    return [*ring.tolist(), ring[0].tolist()]


POLYGONS = Format(
    "application/geo+json",
    "Outlines of each class present with holes, GeoJSON in pixels; see `tolerance`.",
    encode_polygons,
)
