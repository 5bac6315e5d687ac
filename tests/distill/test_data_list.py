"""A split's hash changes with its images and masks, and with nothing else."""

import shutil

import numpy as np
import pytest
from PIL import Image

from distill.data_list import HEAD_BYTES, list_data
from distill.datasets.camvid import CamVidSettings
from distill.datasets.streets import StreetsSettings


@pytest.fixture
def root(tmp_path):
    """CamVid with two images in train and one in val."""
    random = np.random.default_rng(0)
    for split, names in {"train": "ab", "val": "c"}.items():
        for folder, shape in {split: (8, 8, 3), f"{split}annot": (8, 8)}.items():
            (tmp_path / "data" / folder).mkdir(parents=True)
            for name in names:
                pixels = random.integers(0, 11, shape, dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "data" / folder / f"{name}.png")
    return tmp_path / "data"


def hashes(root):
    return {split: entry.sha256 for split, entry in list_data(CamVidSettings(root=root)).items()}


def test_splits_are_counted_and_one_that_is_not_there_is_left_out(root):
    assert {split: entry.images for split, entry in list_data(CamVidSettings(root=root)).items()} == {
        "train": 2,
        "val": 1,
    }


def test_the_same_data_elsewhere_has_the_same_hashes(root, tmp_path):
    assert hashes(shutil.copytree(root, tmp_path / "moved")) == hashes(root)


@pytest.mark.parametrize("folder", ["train", "trainannot"])
def test_another_image_or_mask_changes_its_split_alone(root, folder):
    before = hashes(root)
    shutil.copy(root / folder / "a.png", root / folder / "b.png")
    after = hashes(root)
    assert after["train"] != before["train"]
    assert after["val"] == before["val"]


def test_an_image_that_grows_beyond_what_is_read_is_noticed(root):
    before = hashes(root)
    with (root / "train/a.png").open("ab") as file:
        file.write(bytes(2 * HEAD_BYTES))
    assert hashes(root)["train"] != before["train"]


def test_a_renamed_pair_is_noticed(root):
    before = hashes(root)
    for folder in ("val", "valannot"):
        (root / folder / "c.png").rename(root / folder / "d.png")
    assert hashes(root)["val"] != before["val"]


def test_generated_data_is_its_settings():
    first, same, other = (list_data(StreetsSettings(seed=seed)) for seed in (0, 0, 1))
    assert first == same
    assert first["train"].sha256 != other["train"].sha256
    assert first["train"].sha256 != first["val"].sha256
