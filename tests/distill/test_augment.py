"""Random scale, padding, crop and flip: published values, image and mask together, one seed per sample."""

import numpy as np
import pytest

from distill.augment import Augmentation
from distill.config import AugmentConfig
from modelpack.preprocess import CAFFE_BGR, IMAGENET

HEIGHT, WIDTH = 40, 60
MEAN_RGB = IMAGENET.mean_rgb
PLAIN = AugmentConfig(crop=(HEIGHT, WIDTH), scale=(1, 1), flip=0)


def picture() -> tuple[np.ndarray, np.ndarray]:
    """A mask of 9 blocks and an image whose three channels are the mask's value times 20."""
    mask = (np.arange(3).repeat(14)[:HEIGHT, None] * 3 + np.arange(3).repeat(20)[:WIDTH]).astype(np.uint8)
    return np.repeat(mask[..., None] * 20, 3, axis=2), mask


def many(config: AugmentConfig, count: int = 60) -> list[tuple[np.ndarray, np.ndarray]]:
    augment = Augmentation(config, MEAN_RGB)
    return [augment(*picture(), seed) for seed in range(count)]


def test_equal_seeds_give_equal_pixels_whatever_came_before() -> None:
    config = AugmentConfig(crop=(32, 32), jitter=0.3)
    used = Augmentation(config, MEAN_RGB)
    for seed in range(5):
        used(*picture(), seed)
    for again, fresh in zip(
        used(*picture(), 77), Augmentation(config, MEAN_RGB)(*picture(), 77), strict=True
    ):
        np.testing.assert_array_equal(again, fresh)


def test_different_seeds_give_different_pixels() -> None:
    assert len({image.tobytes() for image, _ in many(AugmentConfig(crop=(32, 32)), 30)}) > 25


def test_nothing_asked_for_changes_nothing() -> None:
    image, mask = picture()
    done = Augmentation(PLAIN, MEAN_RGB)(image, mask, 5)
    np.testing.assert_array_equal(done[0], image)
    np.testing.assert_array_equal(done[1], mask)


def test_image_and_mask_stay_together() -> None:
    for image, mask in many(AugmentConfig(crop=(32, 32))):
        inside = mask != 255
        # Bilinear blending across block borders is the only difference; most pixels are inside a block.
        assert np.mean(image[inside][:, 0] == mask[inside] * 20) > 0.5


def test_padding_is_the_mean_colour_below_and_right_and_ignored() -> None:
    image, mask = Augmentation(PLAIN.model_copy(update={"crop": (50, 80)}), MEAN_RGB)(*picture(), 0)
    assert (mask[:HEIGHT, :WIDTH] != 255).all()
    assert (mask[HEIGHT:] == 255).all()
    assert (mask[:, WIDTH:] == 255).all()
    assert (image[mask == 255] == np.round(MEAN_RGB)).all()


def test_padding_follows_the_normalisation_of_the_network() -> None:
    config = PLAIN.model_copy(update={"crop": (50, 80)})
    image, _ = Augmentation(config, CAFFE_BGR.mean_rgb)(*picture(), 0)
    assert image[-1, -1].tolist() == [123, 117, 104]


def test_only_the_published_scales_are_drawn() -> None:
    config = AugmentConfig(crop=(2 * HEIGHT, 2 * WIDTH), flip=0)
    widths = {int((mask != 255).any(0).sum()) for _, mask in many(config, 200)}
    assert widths == {round(WIDTH * (0.5 + 0.1 * step)) for step in range(16)}


def test_a_step_of_zero_draws_from_the_whole_interval() -> None:
    config = AugmentConfig(crop=(2 * HEIGHT, 2 * WIDTH), flip=0, scale_step=0)
    assert len({int((mask != 255).any(0).sum()) for _, mask in many(config, 200)}) > 16


def test_half_of_the_images_are_flipped() -> None:
    flipped = [mask[0, 0] > mask[0, -1] for _, mask in many(PLAIN.model_copy(update={"flip": 0.5}), 200)]
    assert 0.4 < np.mean(flipped) < 0.6


def test_flips_do_not_follow_scales() -> None:
    """One stream per sample: with one stream per transform the same number would decide both."""
    config = AugmentConfig(crop=(2 * HEIGHT, 2 * WIDTH))
    sizes, flipped = [], []
    for _, mask in many(config, 300):
        columns = np.flatnonzero((mask != 255).any(0))
        sizes.append(len(columns))
        flipped.append(columns[0] > 0 or mask[0, 0] > mask[0, columns[-1]])
    assert abs(np.corrcoef(sizes, flipped)[0, 1]) < 0.2


def test_resize_comes_before_the_scale() -> None:
    image, mask = Augmentation(PLAIN.model_copy(update={"resize": (20, 30), "crop": (20, 30)}), MEAN_RGB)(
        *picture(), 0
    )
    assert image.shape == (20, 30, 3)
    assert set(np.unique(mask)) == set(range(9))


@pytest.mark.parametrize("jitter", [0.1, 0.5])
def test_jitter_changes_colours_and_never_the_mask(jitter: float) -> None:
    image, mask = picture()
    done = Augmentation(PLAIN.model_copy(update={"jitter": jitter}), MEAN_RGB)(image, mask, 3)
    assert (done[0] != image).any()
    np.testing.assert_array_equal(done[1], mask)
