"""What lies inside each boundary: the right pixels go in and the right answer comes out."""

import cv2
import numpy as np
import pytest

from bench.boundaries import boundary_call
from modelpack.errors import ImageError
from modelpack.png import decode_png_labels, encode_png_rgb
from modelpack.preprocess import Resizing, resize_mask
from modelpack.runtimes import open_runtime
from tests.tiny_package import tiny_answer, write_tiny_package

SIZE = (48, 64)
RESIZING = Resizing(height=SIZE[0], width=SIZE[1])


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    package = write_tiny_package(tmp_path_factory.mktemp("boundaries") / "package", size=SIZE)
    return open_runtime(package, device="cpu", threads=1)


def pictures(*sizes):
    random = np.random.default_rng(3)
    return [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


def test_image_boundary_answers_png_masks_at_the_size_of_each_image(runtime):
    images = pictures((30, 40), (60, 90))
    call = boundary_call("image", runtime, [encode_png_rgb(image) for image in images], RESIZING, batch=2)
    for answer, image in zip(call(), images, strict=True):
        expected = resize_mask(tiny_answer(RESIZING.resize_image(image)), *image.shape[:2])
        np.testing.assert_array_equal(decode_png_labels(answer), expected)


def test_batches_take_the_images_in_turn(runtime):
    images = pictures(SIZE, SIZE, SIZE)
    call = boundary_call("graph", runtime, [encode_png_rgb(image) for image in images], RESIZING, batch=2)
    for first, second in ((0, 1), (1, 2), (2, 0), (0, 1)):
        expected = tiny_answer(np.stack([images[first], images[second]]))
        np.testing.assert_array_equal(call()["mask"], expected)


@pytest.mark.parametrize("boundary", ["graph", "image"])
def test_a_broken_image_is_found_before_the_clock_runs(runtime, boundary):
    _, jpeg = cv2.imencode(".jpg", pictures(SIZE)[0])
    with pytest.raises(ImageError):
        boundary_call(boundary, runtime, [bytes(jpeg)[:200]], RESIZING, batch=1)
