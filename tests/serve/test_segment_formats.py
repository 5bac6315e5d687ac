"""Formats that other programs read, against those programs."""

import io
from itertools import chain

import huggingface_hub.constants
import numpy as np
import pytest
from huggingface_hub import InferenceClient
from pycocotools import mask as coco
from shapely.geometry import MultiPolygon, Polygon

from serve import ServeSettings
from serve.formats.polygons import outline
from serve.formats.rle import class_counts, compress
from tests.serve.conftest import SIZE, app_client
from tests.serve.pictures import gradient, png
from tests.tiny_package import tiny_answer, tiny_confidence, write_tiny_package

IMAGE = gradient()
MASK = tiny_answer(IMAGE)


def speckled(height, width, num_values, seed=0):
    return np.random.default_rng(seed).integers(0, num_values, (height, width), dtype=np.uint8)


def blobs(height=96, width=128):
    """Regions with holes, islands in the holes, and pixels that touch at corners."""
    y, x = np.mgrid[:height, :width]
    mask = ((np.hypot(x - 60, y - 45) // 12) % 3).astype(np.uint8)
    mask[5:9, 5:9] = [[0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 1, 1], [1, 0, 0, 1]]
    return mask


@pytest.mark.parametrize(
    "mask",
    [
        pytest.param(MASK, id="stripes"),
        pytest.param(blobs(), id="blobs"),
        pytest.param(speckled(61, 47, 3), id="noise"),
        pytest.param(speckled(40, 30, 255), id="many classes"),
        pytest.param(np.zeros((1, 1), np.uint8), id="one pixel"),
        pytest.param(np.full((2000, 3000), 7, np.uint8), id="one large class"),
        pytest.param(
            (np.arange(3_000_000).reshape(1500, 2000) == 1_600_000).astype(np.uint8), id="long runs"
        ),
    ],
)
def test_run_lengths_equal_those_of_pycocotools_byte_for_byte(mask):
    counts = class_counts(mask)
    assert sorted(counts) == np.unique(mask).tolist()
    for value in counts:
        expected = coco.encode(np.asfortranarray(mask == value, dtype=np.uint8))
        assert compress(counts[value]).encode() == expected["counts"]


def test_rle_answer_is_read_by_pycocotools_as_it_is(client):
    answer = client.post("/v1/segment?format=rle", content=png(IMAGE)).json()
    assert [segment["name"] for segment in answer["segments"]] == ["class0", "class1", "class2", "class3"]
    for segment in answer["segments"]:
        decoded = coco.decode(segment["segmentation"])
        np.testing.assert_array_equal(decoded, segment["index"] == MASK)
        assert segment["area"] == coco.area(segment["segmentation"])


def test_npy_is_loaded_by_numpy_as_the_label_map(client):
    content = client.post("/v1/segment?format=npy", content=png(IMAGE)).content
    loaded = np.load(io.BytesIO(content), allow_pickle=False)
    assert loaded.dtype == np.uint8
    np.testing.assert_array_equal(loaded, MASK)


def test_huggingface_client_reads_the_answer(server, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)  # the address is on loopback
    answered = InferenceClient().image_segmentation(png(IMAGE), model=f"{server.url}/v1/segment?format=hf")
    assert [element.label for element in answered] == ["class0", "class1", "class2", "class3"]
    for index, element in enumerate(answered):
        np.testing.assert_array_equal(np.array(element.mask), np.where(index == MASK, 255, 0))
        assert element.score is None


def test_huggingface_score_is_the_mean_confidence(tmp_path):
    package = write_tiny_package(tmp_path / "sure", size=SIZE, confidence=True)
    with app_client(ServeSettings(package=package.path, threads=1)) as client:
        answer = client.post("/v1/segment?format=hf&classes=1", content=png(IMAGE)).json()
    (element,) = answer
    assert element["score"] == pytest.approx(tiny_confidence(IMAGE)[MASK == 1].mean() / 255)


def signed_area(ring):
    x, y = np.asarray(ring, float).T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


def inside(rings, height, width):
    """(H, W): an odd number of edges lies to the right of the pixel's centre."""
    crossings = np.zeros((height, width), int)
    centre_y, centre_x = np.mgrid[:height, :width] + 0.5
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            if y0 != y1:
                at = x0 + (centre_y - y0) * (x1 - x0) / (y1 - y0)
                crossings += (min(y0, y1) < centre_y) & (centre_y < max(y0, y1)) & (centre_x < at)
    return crossings % 2 == 1


@pytest.mark.parametrize("mask", [blobs(), speckled(14, 17, 2), MASK], ids=["blobs", "noise", "stripes"])
def test_outlines_without_tolerance_hold_exactly_the_pixels_of_the_class(mask):
    for value in np.unique(mask):
        polygons = outline((mask == value).astype(np.uint8), 0)
        rings = [ring for polygon in polygons for ring in polygon]
        np.testing.assert_array_equal(inside(rings, *mask.shape), mask == value)
        assert all(signed_area(polygon[0]) > 0 for polygon in polygons)
        assert all(signed_area(hole) < 0 for polygon in polygons for hole in polygon[1:])
        assert sum(map(signed_area, rings)) == (mask == value).sum()


TOUCHING = {
    "blobs": lambda: blobs() == 1,
    "noise": lambda: speckled(40, 50, 2) == 1,
    "a diagonal": lambda: np.eye(6, dtype=bool),
    "holes that touch": lambda: ~np.eye(8, dtype=bool)[1:-1, 1:-1].repeat(2, 0),
    "rings in rings": lambda: (np.abs(np.mgrid[-7:8, -7:8]).sum(axis=0) // 2) % 2 == 0,
}


@pytest.mark.parametrize("tolerance", [0, 1, 2.5])
@pytest.mark.parametrize("name", TOUCHING)
def test_every_geometry_is_valid(name, tolerance):
    polygons = outline(TOUCHING[name]().astype(np.uint8), tolerance)
    assert MultiPolygon([Polygon(outer, holes) for outer, *holes in polygons]).is_valid


def test_polygons_are_closed_rings_with_holes(client):
    image = np.full((*SIZE, 3), 10, np.uint8)
    image[10:30, 10:40] = 250
    image[15:20, 15:30] = 10
    answer = client.post("/v1/segment?format=polygons&tolerance=0&classes=class3", content=png(image)).json()
    (feature,) = answer["features"]
    assert (answer["type"], feature["geometry"]["type"]) == ("FeatureCollection", "MultiPolygon")
    assert feature["properties"] == {"index": 3, "name": "class3", "area": 20 * 30 - 5 * 15}
    ((outer, hole),) = feature["geometry"]["coordinates"]
    assert {tuple(point) for point in outer} == {(10, 10), (40, 10), (40, 30), (10, 30)}
    assert {tuple(point) for point in hole} == {(15, 15), (30, 15), (30, 20), (15, 20)}
    assert outer[0] == outer[-1]
    assert hole[0] == hole[-1]


def test_tolerance_leaves_fewer_corners_near_the_same_outline():
    disc = blobs() == 1
    exact, coarse = (list(chain(*outline(disc.astype(np.uint8), tolerance))) for tolerance in (0, 1.5))
    assert sum(map(len, coarse)) < sum(map(len, exact)) / 3
    assert inside(coarse, *disc.shape).sum() == pytest.approx(disc.sum(), rel=0.05)
