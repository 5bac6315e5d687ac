"""The embedded dataset: the same pixels for the same settings, all classes, nothing trivial."""

import numpy as np
import pytest

from distill.datasets import open_dataset
from distill.datasets.streets import StreetsSettings
from modelpack.labels import IGNORE

SMALL = StreetsSettings(height=48, width=64, train=40, val=10, test=10)


def test_a_scene_depends_on_seed_split_and_index_alone() -> None:
    first = open_dataset(SMALL, "train")[3]
    larger_split = open_dataset(SMALL.model_copy(update={"train": 1000}), "train")[3]
    np.testing.assert_array_equal(first.image_hwc, larger_split.image_hwc)
    np.testing.assert_array_equal(first.mask_hw, larger_split.mask_hw)


@pytest.mark.parametrize(
    "other", [(SMALL, "train", 4), (SMALL, "val", 3), (SMALL.model_copy(update={"seed": 1}), "train", 3)]
)
def test_another_index_split_or_seed_gives_another_scene(other: tuple[StreetsSettings, str, int]) -> None:
    settings, split, index = other
    assert (open_dataset(settings, split)[index].image_hwc != open_dataset(SMALL, "train")[3].image_hwc).any()


def test_the_splits_have_the_sizes_asked_for() -> None:
    assert [len(open_dataset(SMALL, split)) for split in ("train", "val", "test")] == [40, 10, 10]


@pytest.mark.parametrize(("height", "width"), [(33, 47), (96, 128), (300, 1200)])
def test_scenes_come_in_any_size(height: int, width: int) -> None:
    sample = open_dataset(StreetsSettings(height=height, width=width), "train")[0]
    assert sample.image_hwc.shape == (height, width, 3)
    assert sample.mask_hw.shape == (height, width)


def test_all_eleven_classes_occur_often_and_little_is_ignored() -> None:
    dataset = open_dataset(StreetsSettings(), "train")
    masks = [dataset[index].mask_hw for index in range(40)]
    for index, name in enumerate(dataset.labels.names):
        assert sum((mask == index).any() for mask in masks) >= 10, name
    assert np.mean(np.stack(masks) == IGNORE) < 0.05


def test_classes_cannot_be_told_by_their_mean_colour() -> None:
    """Nearest mean colour gets most pixels wrong, or a network had nothing to learn."""
    dataset = open_dataset(SMALL, "train")
    samples = [dataset[index] for index in range(40)]
    pixels = np.concatenate([sample.image_hwc.reshape(-1, 3) for sample in samples]).astype(np.float32)
    labels = np.concatenate([sample.mask_hw.ravel() for sample in samples])
    means = np.stack([pixels[labels == index].mean(0) for index in range(11)])
    guess = np.argmin(((pixels[:, None] - means) ** 2).sum(-1), axis=1)
    recall = [np.mean(guess[labels == index] == index) for index in range(11)]
    assert np.mean(recall) < 0.4


def test_an_index_beyond_the_split_is_an_index_error() -> None:
    with pytest.raises(IndexError, match="0 to 9, not 10"):
        open_dataset(SMALL, "val")[10]
