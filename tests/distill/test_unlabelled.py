"""Images without labels: found in any folder, learned from by methods that need none, refused elsewhere."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from distill.config import TrainConfig
from distill.datasets import DATASETS, open_dataset, open_to_learn_from
from distill.datasets.camvid import CamVidSettings
from distill.datasets.images import ImagesSettings
from distill.doctor import examine
from distill.methods.kd import KdSettings
from distill.train import train
from distill.training_data import data_to_learn_from
from modelpack.errors import DatasetError, SettingsError
from tests.distill.folder_data import write_image
from tests.distill.miniature import write_camvid
from tests.distill.tiny_recipe import KD, as_config, taught_values, tiny_config


@pytest.fixture
def collected(tmp_path: Path) -> Path:
    """What a service might have kept: pictures of any size and kind, in folders, beside other files."""
    folder = tmp_path / "collected"
    for index, name in enumerate(("a.png", "monday/b.JPG", "monday/deep/c.webp")):
        write_image(folder / name, name, 64 + index, 80)
    write_image(folder / ".thumbnails" / "a.png", "hidden")
    (folder / "monday" / "b.json").write_text("{}")
    return folder


def lesson(tmp_path: Path, teacher: Path, **data: object) -> TrainConfig:
    optim = {"steps": 2, "batch": 4}
    return as_config(taught_values(tmp_path / "out", teacher, data=data, methods=[KD], optim=optim))


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open() as file:
        return list(csv.DictReader(file))


def test_every_image_is_found_with_a_void_mask_and_nothing_else_is(collected: Path):
    dataset = open_dataset(ImagesSettings(root=collected), "train")
    samples = [dataset[index] for index in range(len(dataset))]
    assert [sample.name for sample in samples] == ["a.png", "monday/b.JPG", "monday/deep/c.webp"]
    for sample in samples:
        assert sample.image_hwc.shape == (*sample.mask_hw.shape, 3)
        assert np.unique(sample.mask_hw).tolist() == [255]


def test_a_folder_without_images_is_answered_with_what_it_holds(tmp_path: Path):
    (tmp_path / "photo.heic").touch()
    with pytest.raises(DatasetError, match=r"holds no image, but 1 \.heic\. Images end in \.png"):
        open_dataset(ImagesSettings(root=tmp_path), "train")
    with pytest.raises(DatasetError, match="nowhere does not exist"):
        open_dataset(ImagesSettings(root=tmp_path / "nowhere"), "train")


def test_images_have_nothing_to_measure_with(collected: Path):
    with pytest.raises(DatasetError, match=r"no split 'val', only train.*data\.unlabelled"):
        open_dataset(ImagesSettings(root=collected), "val")


def test_a_student_learns_from_labelled_and_collected_images_together(
    collected: Path, tmp_path: Path, teacher: Path
):
    config = lesson(tmp_path, teacher, unlabelled=str(collected))
    learned = open_to_learn_from(config.data)
    assert len(learned) == 12 + 3
    assert learned.labels.num_classes == 11
    assert np.unique(learned[14].mask_hw).tolist() == [255]
    run = train(config)
    assert run.result["data"]["unlabelled"]["images"] == 3
    assert run.result["report"]["split"] == "val"


def test_a_student_learns_from_collected_images_alone_and_its_task_loss_is_zero(
    collected: Path, tmp_path: Path, teacher: Path
):
    run = train(lesson(tmp_path, teacher, unlabelled=str(collected), learn_from="unlabelled"))
    (row,) = rows(run.folder)
    assert float(row["loss/task"]) == 0
    assert float(row["loss/kd/logits"]) > 0


def test_a_run_without_methods_learns_from_labels_only(collected: Path, tmp_path: Path):
    data = data_to_learn_from(tiny_config(tmp_path, data={"unlabelled": str(collected)}))
    assert len(open_to_learn_from(data)) == 12


@pytest.mark.parametrize(
    "data",
    [{"learn_from": "unlabelled"}, {"name": "images"}],
    ids=["unlabelled alone", "images"],
)
def test_a_method_that_needs_labels_is_refused_before_training(
    collected: Path, tmp_path: Path, teacher: Path, data: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(KdSettings, "needs_labels", lambda settings: True)
    if data.get("name") == "images":
        values = taught_values(tmp_path / "out", teacher, methods=[KD])
        config = as_config(values | {"data": {"name": "images", "root": str(collected)}})
    else:
        config = lesson(tmp_path, teacher, unlabelled=str(collected), **data)
    with pytest.raises(SettingsError, match="method kd needs labels, and the training images have none"):
        train(config)
    assert not (tmp_path / "out" / "train").exists()


def test_a_segmentation_run_on_images_is_told_how(collected: Path, tmp_path: Path, teacher: Path):
    values = taught_values(tmp_path, teacher, methods=[KD]) | {
        "data": {"name": "images", "root": str(collected)}
    }
    with pytest.raises(SettingsError, match=r"neither classes .* data\.unlabelled .* afdcd distill pretrain"):
        train(as_config(values))


def test_learning_from_a_folder_that_is_not_named_is_refused(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"learn_from needs the folder"):
        tiny_config(tmp_path, data={"learn_from": "unlabelled"})


def test_a_labelled_dataset_without_its_train_split_can_learn_from_images(collected: Path, tmp_path: Path):
    root = write_camvid(tmp_path / "camvid")
    (root / "train").rename(root / "train_elsewhere")
    settings = CamVidSettings(root=root, unlabelled=collected, learn_from="unlabelled")
    assert open_to_learn_from(settings).labels == open_dataset(settings, "val").labels


def test_doctor_looks_at_the_images_and_calls_missing_labels_no_mistake(collected: Path, tmp_path: Path):
    settings = CamVidSettings(root=write_camvid(tmp_path / "camvid"), unlabelled=collected)
    diagnosis = examine(settings, ("train", "val"), ())
    assert [scan.split for scan in diagnosis.scans] == ["train", "unlabelled", "val"]
    assert not [finding for finding in diagnosis.errors if "unlabelled" in finding.split]
    assert any("only 3 images without labels" in finding.sentence for finding in diagnosis.findings)


def test_doctor_knows_the_usual_mistakes_of_a_folder_of_images(collected: Path):
    Image.fromarray(np.arange(6400, dtype=np.uint8).reshape(80, 80) // 32).save(collected / "mask.png")
    write_image(collected / "small.png", "small", 20, 30)
    (collected / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    (collected / "again.png").write_bytes((collected / "a.png").read_bytes())
    found = {str(finding) for finding in examine(ImagesSettings(root=collected)).findings}
    for sentence in (
        "1 of 7 images have at most 64 colours, as masks have (mask.png)",
        "fewer than 64 pixels on a side (20x30)",
        "1 of 7 samples cannot be read (cut.jpg)",
        "a.png = again.png",
    ):
        assert any(sentence in text for text in found), (sentence, found)


def test_every_dataset_of_the_table_can_be_joined_with_images():
    assert all("unlabelled" in entry.settings.model_fields for entry in DATASETS.values())
