import cv2
import numpy as np
import pytest

from modelpack.errors import SettingsError, ShapeError
from modelpack.preprocess import CAFFE_BGR, IMAGENET, Resizing, resize_mask
from modelpack.settings import parse_settings

IMAGE = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)


@pytest.mark.parametrize(("filter_name", "flag"), [("bilinear", cv2.INTER_LINEAR), ("area", cv2.INTER_AREA)])
def test_images_are_resized_with_the_filter_of_the_manifest(filter_name, flag):
    resized = Resizing(height=12, width=20, filter=filter_name).resize_image(IMAGE)
    assert np.array_equal(resized, cv2.resize(IMAGE, (20, 12), interpolation=flag))


@pytest.mark.parametrize("resizing", [Resizing(), Resizing(height=30, width=40)])
def test_an_image_that_fits_is_passed_on_without_a_copy(resizing):
    assert resizing.resize_image(IMAGE) is IMAGE


@pytest.mark.parametrize("wrong", [IMAGE[..., :1], IMAGE[..., 0], IMAGE.astype(np.float32)])
def test_only_rgb_bytes_are_images(wrong):
    with pytest.raises(ShapeError, match=r"an image is uint8 \(H, W, 3\), got "):
        Resizing(height=8, width=8).resize_image(wrong)


def test_half_a_size_is_refused():
    with pytest.raises(
        SettingsError, match=r"height and width are given together or not at all, got 8 and None"
    ):
        parse_settings(Resizing, {"height": 8}, "resizing")


def test_a_mask_goes_back_by_nearest_neighbour_with_centres_aligned():
    mask = np.array([[0, 1], [2, 3]], np.uint8)
    assert resize_mask(mask, 4, 4).tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    assert resize_mask(resize_mask(mask, 6, 6), 2, 2).tolist() == mask.tolist()


def test_the_mean_colour_is_given_as_rgb_whatever_the_network_wants():
    assert IMAGENET.mean_rgb == IMAGENET.mean
    assert CAFFE_BGR.mean_rgb == CAFFE_BGR.mean[::-1]
