"""The doctor finds each planted mistake, says how to mend it, and leaves sound data alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill import doctor
from distill.datasets.camvid import CamVidSettings
from distill.datasets.folder import FolderSettings
from distill.datasets.streets import StreetsSettings
from distill.diagnosis.finding import Finding
from distill.doctor import check_before_training, examine
from modelpack.errors import DatasetError
from tests.distill.folder_data import (
    COLOUR_CLASSES,
    HEIGHT,
    INDEX_CLASSES,
    PALETTE,
    WIDTH,
    bands,
    change_masks,
    write_classes,
    write_folder,
    write_image,
    write_mask,
)


def the_finding(settings: FolderSettings, severity: str, containing: str) -> Finding:
    """The one finding of this severity; it must hold the text."""
    found = [finding for finding in examine(settings).findings if finding.severity == severity]
    assert len(found) == 1, [str(finding) for finding in found]
    assert containing in str(found[0])
    return found[0]


def test_sound_data_has_no_errors_and_no_warnings(tmp_path: Path) -> None:
    diagnosis = examine(write_folder(tmp_path))
    assert [str(finding) for finding in diagnosis.findings] == []
    assert diagnosis.render().endswith("no errors.")


def test_generated_data_is_sound() -> None:
    check_before_training(StreetsSettings(height=48, width=64, train=30, val=10), ["train", "val"])


def test_black_and_white_masks(tmp_path: Path) -> None:
    settings = write_folder(tmp_path)
    change_masks(tmp_path, "train", bands(0, 255))
    finding = the_finding(settings, "error", "only 0 and 255")
    assert "{0: background, 255: object}" in finding.way_out


def test_the_way_out_for_black_and_white_masks_works(tmp_path: Path) -> None:
    settings = write_folder(tmp_path)
    for split in ("train", "val", "test"):
        change_masks(tmp_path, split, bands(0, 255))
    write_classes(tmp_path, {"names": {0: "background", 255: "object"}})
    assert examine(settings).findings == []


def test_masks_that_count_from_one(tmp_path: Path) -> None:
    settings = write_folder(tmp_path)
    change_masks(tmp_path, "train", bands(1, 2, 3))
    finding = the_finding(settings, "error", "off by one")
    assert "{1: road" in finding.way_out


def test_one_value_more_than_classes(tmp_path: Path) -> None:
    settings = write_folder(tmp_path)
    change_masks(tmp_path, "val", bands(0, 1, 2, 3))
    finding = the_finding(settings, "error", "one more than the 3 classes")
    assert "ignore: [0]" in finding.way_out


def test_colour_masks_where_indices_are_expected(tmp_path: Path) -> None:
    settings = write_folder(tmp_path)
    change_masks(tmp_path, "train", np.array(PALETTE, np.uint8)[bands()])
    assert "masks: colour" in the_finding(settings, "error", "20 of 20 samples cannot be read").way_out


def test_index_masks_where_colours_are_expected(tmp_path: Path) -> None:
    settings = write_folder(tmp_path, COLOUR_CLASSES, counts={"train": 20})
    assert "masks: index" in the_finding(settings, "error", "20 of 20 samples").way_out


def test_colours_that_no_class_has(tmp_path: Path) -> None:
    settings = write_folder(tmp_path, COLOUR_CLASSES, counts={"train": 20})
    change_masks(
        tmp_path, "train", np.array([*PALETTE[:2], [9, 8, 7], PALETTE[2]], np.uint8)[bands(0, 1, 2, 3)]
    )
    the_finding(settings, "error", "20 of 20 masks hold rgb(9, 8, 7)")


def test_blended_masks(tmp_path: Path) -> None:
    settings = write_folder(tmp_path)
    change_masks(tmp_path, "train", np.tile(np.arange(WIDTH, dtype=np.uint8), (HEIGHT, 1)))
    the_finding(settings, "error", "resized with blending")


def test_a_stray_value_in_one_mask(tmp_path: Path) -> None:
    settings = write_folder(tmp_path)
    write_mask(tmp_path / "train/masks/train7.png", bands(0, 1, 2, 77))
    the_finding(settings, "error", "1 of 20 masks hold 77")


def test_missing_partners(tmp_path: Path) -> None:
    settings = write_folder(tmp_path)
    (tmp_path / "val/masks/val3.png").unlink()
    the_finding(settings, "error", "1 without mask: val3")


def test_sizes_that_differ(tmp_path: Path) -> None:
    settings = write_folder(tmp_path)
    write_image(tmp_path / "train/images/train4.png", "x", HEIGHT + 2, WIDTH)
    the_finding(settings, "error", "differ in size in 1 pairs (train4)")


def test_damaged_files(tmp_path: Path) -> None:
    settings = write_folder(tmp_path)
    (tmp_path / "test/images/test1.png").write_bytes(b"\x89PNG nothing")
    the_finding(settings, "error", "1 of 5 samples cannot be read (test1)")


def test_masks_that_are_mostly_ignored(tmp_path: Path) -> None:
    settings = write_folder(tmp_path)
    change_masks(tmp_path, "train", bands(0, 1, 2, 255, 255, 255, 255, 255))
    the_finding(settings, "warning", "62% of the pixels are ignored (stored value 255)")


def test_masks_that_are_wholly_ignored(tmp_path: Path) -> None:
    settings = write_folder(tmp_path, {**INDEX_CLASSES, "ignore": [9]}, counts={"train": 20})
    change_masks(tmp_path, "train", bands(9))
    the_finding(settings, "error", "every pixel is ignored")


def test_training_masks_of_one_class(tmp_path: Path) -> None:
    settings = write_folder(tmp_path, counts={"train": 20})
    change_masks(tmp_path, "train", bands(1))
    the_finding(settings, "error", "every labelled pixel is road")


def test_a_class_that_is_never_learned_but_asked_for(tmp_path: Path) -> None:
    settings = write_folder(tmp_path, counts={"train": 20, "val": 5})
    change_masks(tmp_path, "train", bands(0, 1))
    warnings = [str(finding) for finding in examine(settings).findings if finding.severity == "warning"]
    assert any("1 of 3 classes never occur (car)" in warning for warning in warnings)
    assert any("car: in val, but not in train" in warning for warning in warnings)


def test_identical_images_in_two_splits(tmp_path: Path) -> None:
    settings = write_folder(tmp_path)
    (tmp_path / "test/images/test2.png").write_bytes((tmp_path / "train/images/train9.png").read_bytes())
    the_finding(settings, "warning", "train+test: 1 identical images are in both splits (train9 = test2)")


def test_a_tiny_dataset(tmp_path: Path) -> None:
    the_finding(write_folder(tmp_path, counts={"train": 3}), "warning", "only 3 images")


def test_a_missing_test_split_is_no_mistake_until_it_is_asked_for(tmp_path: Path) -> None:
    settings = write_folder(tmp_path, counts={"train": 20, "val": 5})
    assert examine(settings).errors == []
    assert len(examine(settings, ["train", "test"]).errors) == 1


def test_a_split_that_the_recipe_needs_must_be_there(tmp_path: Path) -> None:
    settings = write_folder(tmp_path, counts={"train": 20, "test": 5})
    diagnosis = examine(settings, ["train", "val"])
    assert [finding.split for finding in diagnosis.errors] == ["val"]
    assert "holds classes.yaml, test/, train/." in str(diagnosis.errors[0])
    assert "data.splits.val=validation" in str(diagnosis.errors[0])


def test_a_folder_of_another_name_is_shown_with_what_is_there(tmp_path: Path) -> None:
    settings = write_folder(tmp_path, counts={"train": 20})
    (tmp_path / "train" / "masks").rename(tmp_path / "train" / "labels")
    finding = the_finding(settings, "error", "train holds images/, labels/.")
    assert "data.masks={split}/annotations" in str(finding)


def test_what_holds_for_all_splits_is_said_once(tmp_path: Path) -> None:
    settings = write_folder(tmp_path)
    (tmp_path / "classes.yaml").write_text("names: [a, b")
    found = the_finding(settings, "error", "train+val+test: ")
    assert str(found).endswith(
        "cannot be read: line 1, column 13: expected ',' or ']', but got '<stream end>'."
    )


def test_class_shares_are_of_all_pixels(tmp_path: Path) -> None:
    settings = write_folder(tmp_path, counts={"train": 20})
    change_masks(tmp_path, "train", bands(0, 1, 2, 255))
    facts: dict[str, Any] = examine(settings, ["train"]).to_dict()["splits"][0]
    assert [entry["share"] for entry in facts["classes"]] == [0.25, 0.25, 0.25]
    assert facts["ignored_share"] == 0.25


def test_the_report_has_a_row_per_class_and_a_column_per_split(tmp_path: Path) -> None:
    lines = examine(write_folder(tmp_path)).render().splitlines()
    assert lines[2].split() == ["class", "train", "val", "test"]
    assert [line.split()[0] for line in lines[3:6]] == ["sky", "road", "car"]


def test_training_is_refused_with_every_error_and_its_way_out(tmp_path: Path) -> None:
    settings = write_folder(tmp_path)
    change_masks(tmp_path, "train", bands(1, 2, 3))
    (tmp_path / "val/masks/val0.png").unlink()
    with pytest.raises(DatasetError, match=r"(?s)\(1\) train: .*off by one.*\(2\) val: .*without mask: val0"):
        check_before_training(settings, ["train", "val"])


def test_training_is_not_refused_for_a_warning(tmp_path: Path) -> None:
    check_before_training(write_folder(tmp_path, counts={"train": 3, "val": 1}), ["train", "val"])


def test_the_check_before_training_says_that_it_looked_at_a_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(doctor, "QUICK_FILES", 8)
    with caplog.at_level("INFO"):
        check_before_training(write_folder(tmp_path), ["train"])
    assert "train: looked at 8 of 20 samples" in caplog.text


def test_camvid_masks_with_a_value_of_no_class(tmp_path: Path) -> None:
    for index in range(2):
        write_image(tmp_path / "train" / f"{index}.png", str(index))
        write_mask(tmp_path / "trainannot" / f"{index}.png", bands(0, 3, 5, 77))
    with pytest.raises(DatasetError, match=r"2 of 2 masks hold 77, .* as the dataset's authors distribute"):
        check_before_training(CamVidSettings(root=tmp_path), ["train"])
