"""What comes back for a good image, against numpy."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from starlette.testclient import TestClient

from modelpack.labels import distinct_palette
from modelpack.preprocess import resize_mask
from serve import ServeSettings
from serve.formats import FORMATS
from tests.serve.conftest import app_client
from tests.serve.pictures import gradient, png
from tests.tiny_package import tiny_answer, write_tiny_package

IMAGE = gradient()
MASK = tiny_answer(IMAGE)
PALETTE = np.array(distinct_palette(4), np.uint8)
JPEG_TOLERANCE = 24
"""Grey levels that JPEG at quality 90 may be away from the exact overlay, at edges between classes."""


def picture(content: bytes) -> NDArray[np.uint8]:
    return np.array(Image.open(io.BytesIO(content)))


def segment(client: TestClient, **params: str) -> bytes:
    response = client.post("/v1/segment", params=params, content=png(IMAGE))
    assert response.status_code == 200, response.text
    return response.content


def test_label_map_holds_the_class_indices(client):
    np.testing.assert_array_equal(picture(segment(client, format="png")), MASK)


def test_colour_is_the_palette_at_each_class(client):
    np.testing.assert_array_equal(picture(segment(client, format="color")), PALETTE[MASK])


def test_overlay_is_half_image_half_colour(client):
    expected = (IMAGE.astype(int) + PALETTE[MASK]) / 2
    difference = np.abs(picture(segment(client, format="overlay")) - expected)
    assert difference.max() < JPEG_TOLERANCE


def test_statistics_count_every_pixel(client):
    response = client.post("/v1/segment", params={"format": "stats"}, content=png(IMAGE)).json()
    counts = np.bincount(MASK.ravel(), minlength=4)
    assert (response["width"], response["height"], response["model"]) == (64, 48, "tiny:1")
    assert [entry["pixels"] for entry in response["classes"]] == counts.tolist()
    assert [entry["share"] for entry in response["classes"]] == pytest.approx((counts / MASK.size).tolist())
    assert [entry["name"] for entry in response["classes"]] == ["class0", "class1", "class2", "class3"]


@pytest.fixture(scope="module")
def sure_client(tmp_path_factory):
    """A package with the confidence output: it can answer in every format."""
    package = write_tiny_package(tmp_path_factory.mktemp("sure") / "sure", size=(48, 64), confidence=True)
    with app_client(ServeSettings(package=package.path, threads=1)) as client:
        yield client


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_declares_the_type_it_sends(sure_client, name):
    response = sure_client.post("/v1/segment", params={"format": name}, content=png(IMAGE))
    assert (response.status_code, response.headers["content-type"]) == (200, FORMATS[name].media_type)


@pytest.mark.parametrize(("height", "width"), [(31, 17), (96, 128), (1, 1), (480, 360)])
def test_mask_comes_back_at_the_size_of_the_image(client, height, width):
    image = np.full((height, width, 3), 200, np.uint8)
    mask = picture(client.post("/v1/segment", content=png(image)).content)
    np.testing.assert_array_equal(mask, np.full((height, width), tiny_answer(image)[0, 0]))


def test_mask_is_enlarged_by_nearest_neighbour(client):
    enlarged = np.repeat(np.repeat(IMAGE, 2, axis=0), 2, axis=1)
    mask = picture(client.post("/v1/segment", content=png(enlarged)).content)
    np.testing.assert_array_equal(mask, resize_mask(MASK, 96, 128))


def test_multipart_field_gives_the_same_answer_as_the_raw_body(client):
    files = {"note": ("note.txt", b"not this one"), "image": ("photo.png", png(IMAGE), "image/png")}
    response = client.post("/v1/segment", files=files)
    np.testing.assert_array_equal(picture(response.content), MASK)


def test_graph_of_dynamic_size_sees_a_padded_image_and_the_answer_is_cut(tmp_path):
    package = write_tiny_package(tmp_path / "dynamic", size=None)
    image = gradient(37, 53)
    with app_client(ServeSettings(package=package.path, threads=1)) as client:
        response = client.post("/v1/segment", content=png(image))
    np.testing.assert_array_equal(picture(response.content), tiny_answer(image))
