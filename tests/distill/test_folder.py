"""The dataset `folder`: class lists, colour masks, pairs, splits."""

from pathlib import Path

import numpy as np
import pytest

from distill.datasets import open_dataset
from distill.datasets.folder import FolderSettings
from modelpack.errors import DatasetError, SettingsError
from tests.distill.folder_data import (
    COLOUR_CLASSES,
    INDEX_CLASSES,
    PALETTE,
    bands,
    write_classes,
    write_folder,
    write_image,
    write_mask,
)


def test_colour_masks_are_mapped_by_exact_colour(tmp_path: Path) -> None:
    settings = write_folder(tmp_path, COLOUR_CLASSES, counts={"train": 1})
    colours = np.array([*PALETTE, [0, 0, 0]], np.uint8)
    write_mask(tmp_path / "train/masks/train0.png", colours[bands(3, 2, 0, 1)])
    np.testing.assert_array_equal(open_dataset(settings, "train")[0].mask_hw, bands(255, 2, 0, 1))


def test_a_colour_of_no_class_is_named(tmp_path: Path) -> None:
    settings = write_folder(tmp_path, COLOUR_CLASSES, counts={"train": 1})
    colours = np.array([*PALETTE, [1, 2, 3]], np.uint8)
    write_mask(tmp_path / "train/masks/train0.png", colours[bands(3, 2, 0, 1)])
    with pytest.raises(DatasetError, match=r"rgb\(1, 2, 3\)"):
        open_dataset(settings, "train")[0]


def test_stored_values_may_have_names_of_their_own(tmp_path: Path) -> None:
    settings = write_folder(
        tmp_path, {"names": {0: "background", 255: "object"}, "ignore": [7]}, counts={"train": 1}
    )
    write_mask(tmp_path / "train/masks/train0.png", bands(0, 255, 7))
    np.testing.assert_array_equal(open_dataset(settings, "train")[0].mask_hw, bands(0, 1, 255))


def test_the_rest_can_be_ignored(tmp_path: Path) -> None:
    settings = write_folder(tmp_path, {"names": {4: "road"}, "ignore": "rest"}, counts={"train": 1})
    write_mask(tmp_path / "train/masks/train0.png", bands(0, 4, 99))
    np.testing.assert_array_equal(open_dataset(settings, "train")[0].mask_hw, bands(255, 0, 255))


def test_files_without_a_partner_are_listed(tmp_path: Path) -> None:
    settings = write_folder(tmp_path, counts={"train": 3})
    (tmp_path / "train/masks/train1.png").unlink()
    (tmp_path / "train/images/train2.png").unlink()
    with pytest.raises(DatasetError, match=r"1 without mask: train1; 1 without image: train2"):
        open_dataset(settings, "train")


def test_jpeg_masks_are_explained(tmp_path: Path) -> None:
    settings = write_folder(tmp_path, counts={"train": 1})
    path = tmp_path / "train/masks/train0.png"
    path.rename(path.with_suffix(".jpg"))
    with pytest.raises(DatasetError, match=r"train0.*JPEG files are no masks"):
        open_dataset(settings, "train")


def test_patterns_pair_files_of_one_folder(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_image(tmp_path / "validation" / f"{name}.png", name)
        write_mask(tmp_path / "validation" / f"{name}_label.png", bands())
    write_classes(tmp_path, INDEX_CLASSES)
    settings = FolderSettings(
        root=tmp_path,
        images="{split}/{name}.png",
        masks="{split}/{name}_label.png",
        splits={"val": "validation"},
    )
    dataset = open_dataset(settings, "val")
    assert [dataset[index].name for index in range(len(dataset))] == ["a", "b"]


def test_a_list_file_chooses_the_split(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_image(tmp_path / "images" / f"{name}.jpg", name)
        write_mask(tmp_path / "masks" / f"{name}.png", bands())
    write_classes(tmp_path, INDEX_CLASSES)
    (tmp_path / "train.txt").write_text("c\na\n")
    settings = FolderSettings(root=tmp_path, images="images", masks="masks", list_file="{split}.txt")
    dataset = open_dataset(settings, "train")
    assert [dataset[index].name for index in range(len(dataset))] == ["a", "c"]


@pytest.mark.parametrize(
    ("classes", "complaint"),
    [
        ({"names": ["a", "b"], "masks": "colour"}, "colour masks need a palette"),
        ({"names": ["a", "b"], "palette": [[1, 1, 1], [1, 1, 1]], "masks": "colour"}, "have the same colour"),
        ({"names": ["a", "b"], "ignore": [1]}, "both a class and ignored"),
        ({"names": ["a", "b"], "ignore": [[0, 0, 0]]}, "values 0 to 255"),
        ({"names": ["a", "b"], "colours": []}, "unknown setting 'colours'"),
        ({"names": ["a", "b"], "palette": [[1, 1, 1]]}, "2 class names but 1 colours"),
    ],
)
def test_mistakes_in_the_class_list_are_explained(
    tmp_path: Path, classes: dict[str, object], complaint: str
) -> None:
    settings = write_folder(tmp_path, classes, counts={"train": 1})
    with pytest.raises(SettingsError, match=complaint):
        open_dataset(settings, "train")


def test_a_missing_class_list_is_explained(tmp_path: Path) -> None:
    settings = write_folder(tmp_path, counts={"train": 1})
    (tmp_path / "classes.yaml").unlink()
    with pytest.raises(DatasetError, match=r"classes\.yaml does not exist\. Write one"):
        open_dataset(settings, "train")


def test_a_root_may_start_from_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert FolderSettings(root=Path("~/mydata")).root == tmp_path / "mydata"
