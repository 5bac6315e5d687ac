"""Pascal Context: 59 or 60 classes in one order, whichever masks are read; and what doctor knows of them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from distill.datasets import open_dataset
from distill.datasets.pascal_context import PascalContextSettings
from distill.doctor import examine
from distill.train import train
from modelpack.errors import DatasetError
from tests.distill.miniature import HEIGHT, WIDTH, write_pascal_context
from tests.distill.tiny_recipe import as_config, tiny_values


def change_mask(root: Path, values: list[int], folder: str = "SegmentationClassContext") -> None:
    """Every mask of the folder becomes stripes of these values."""
    rows = np.resize(np.array(values, np.uint8), HEIGHT)
    for path in (root / folder).iterdir():
        Image.fromarray(np.repeat(rows[:, None], WIDTH, 1)).save(path)


@pytest.mark.parametrize(("masks", "value"), [("SegmentationClassContext", 47), ("59_context_labels", 50)])
@pytest.mark.parametrize("classes", [59, 60])
def test_sky_is_sky_in_either_order_of_the_masks(tmp_path: Path, masks: str, value: int, classes: int):
    write_pascal_context(tmp_path)
    if masks != "SegmentationClassContext":
        (tmp_path / "SegmentationClassContext").rename(tmp_path / masks)
    change_mask(tmp_path, [value], masks)
    settings = PascalContextSettings(root=tmp_path, masks=masks, classes=classes)
    dataset = open_dataset(settings, "train")
    assert dataset.labels.num_classes == classes
    assert {dataset.labels.names[index] for index in np.unique(dataset[0].mask_hw)} == {"sky"}


@pytest.mark.parametrize(("classes", "meaning"), [(59, 255), (60, 0)])
def test_the_background_is_ignored_or_the_first_class(tmp_path: Path, classes: int, meaning: int):
    write_pascal_context(tmp_path)
    change_mask(tmp_path, [0])
    settings = PascalContextSettings(root=tmp_path, classes=classes)
    assert np.unique(open_dataset(settings, "val")[0].mask_hw).tolist() == [meaning]


def test_the_original_archive_is_answered_with_how_to_convert_it(tmp_path: Path):
    write_pascal_context(tmp_path)
    (tmp_path / "SegmentationClassContext").rename(tmp_path / "trainval")
    with pytest.raises(DatasetError, match=r"459 classes: make SegmentationClassContext of"):
        open_dataset(PascalContextSettings(root=tmp_path), "train")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([0, 1, 15, 20, 255], "those of VOC's 20 classes"),
        ([0, 1, 59, 200], "the archive's 459 classes"),
        ([0, 1, 58, 255], "the background seems to be taken off already"),
    ],
)
def test_doctor_knows_the_usual_mistakes(tmp_path: Path, values: list[int], sentence: str):
    write_pascal_context(tmp_path)
    change_mask(tmp_path, values)
    findings = examine(PascalContextSettings(root=tmp_path), ("train",), ()).findings
    assert any(sentence in finding.sentence for finding in findings)


def test_doctor_finds_none_of_them_in_sound_masks(tmp_path: Path):
    findings = examine(PascalContextSettings(root=write_pascal_context(tmp_path)), ("train", "val")).findings
    assert {finding.severity for finding in findings} <= {"warning", "info"}
    assert not any("background" in finding.sentence for finding in findings)


def test_two_steps_train_and_are_measured(tmp_path: Path):
    data = {"name": "pascal_context", "root": str(write_pascal_context(tmp_path / "data"))}
    values = tiny_values(tmp_path, optim={"steps": 2}) | {"data": data}
    run = train(as_config(values))
    assert run.labels.num_classes == 59
    assert run.result["report"]["images"] == 2
