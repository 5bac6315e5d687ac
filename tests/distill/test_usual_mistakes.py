"""The doctor knows what is usually given in place of each published dataset, and lets the right one be."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from distill.datasets import DATASETS
from distill.datasets.dataset import DatasetSettings
from distill.diagnosis import voc_rules
from distill.diagnosis.finding import Finding
from distill.diagnosis.usual_mistakes import USUAL_MISTAKES
from distill.doctor import examine
from tests.distill.miniature import HEIGHT, MINIATURES, TRAIN_NAMES, WIDTH

MASKS = {
    "ade20k": "annotations/training/*.png",
    "camvid": "trainannot/*.png",
    "cityscapes": "gtFine/train/*/*_labelIds.png",
    "coco_stuff": "stuffthingmaps/train2017/*.png",
    "voc": "SegmentationClassAug/*.png",
}
COLOUR = (128, 0, 0)


def miniature(name: str, folder: Path) -> DatasetSettings:
    return DATASETS[name].settings(name=name, root=MINIATURES[name](folder))


def with_masks(name: str, folder: Path, values: Sequence[object]) -> DatasetSettings:
    """Every training mask holds these values, or these colours, in turn."""
    settings = miniature(name, folder)
    given = np.array([*values], np.uint8)
    pixels = given[np.arange(HEIGHT * WIDTH) % len(given)]
    for path in folder.glob(MASKS[name]):
        Image.fromarray(pixels.reshape(HEIGHT, WIDTH, *given.shape[1:])).save(path)
    return settings


def findings(settings: DatasetSettings, severity: str) -> list[Finding]:
    return [found for found in examine(settings, ("train",), ()).findings if found.severity == severity]


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        ("ade20k", [0, 7, 149, 255], "1 is taken off already"),
        ("ade20k", [0, 7, 150, 201], "the whole ADE20K"),
        ("ade20k", [COLOUR], "the whole ADE20K"),
        ("camvid", [0, 7, 11, 30], r"values above 11: the 32 classes of the original CamVid"),
        ("camvid", [COLOUR], "colour pictures: the 32 classes of the original CamVid"),
        ("cityscapes", [0, 7, 13, 18, 255], "train ids, where label ids"),
        ("coco_stuff", [0, 7, 181, 182], "count from 1"),
        ("coco_stuff", [0, 92, 182, 183], "those of stuff alone"),
        ("coco_stuff", range(171), "the 171 train ids"),
        ("voc", [COLOUR], "masks hold VOC's colours"),
    ],
)
def test_a_usual_mistake_is_the_one_error_that_is_told(
    tmp_path: Path, name: str, values: Sequence[object], sentence: str
) -> None:
    (error,) = findings(with_masks(name, tmp_path, values), "error")
    assert sentence in error.sentence
    assert "classes.yaml" not in error.way_out


@pytest.mark.parametrize("name", sorted(USUAL_MISTAKES))
def test_none_of_them_is_found_in_the_right_masks(tmp_path: Path, name: str) -> None:
    assert findings(miniature(name, tmp_path), "error") == []


def test_cityscapes_without_label_ids_is_told_which_files_to_unpack(tmp_path: Path) -> None:
    settings = miniature("cityscapes", tmp_path)
    for path in tmp_path.glob(MASKS["cityscapes"]):
        path.rename(path.with_name(path.name.replace("labelIds", "labelTrainIds")))
    (error,) = findings(settings, "error")
    assert "labelIds are read: unpack them from gtFine_trainvaltest.zip" in str(error)


@pytest.mark.parametrize(
    ("constant", "images", "sentence"),
    [
        ("_OWN_TRAIN_IMAGES", len(TRAIN_NAMES), "VOC's own train list"),
        ("_AUGMENTED_TRAIN_IMAGES", len(TRAIN_NAMES) - 1, "images of val seem to be among them"),
    ],
)
def test_voc_lists_of_another_length_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, constant: str, images: int, sentence: str
) -> None:
    monkeypatch.setattr(voc_rules, constant, images)
    assert any(sentence in warning.sentence for warning in findings(miniature("voc", tmp_path), "warning"))
