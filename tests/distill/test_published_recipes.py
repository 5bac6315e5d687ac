"""Every published recipe says what the paper's table says, and its dataset reads as distributed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill.config import TrainConfig
from distill.datasets import DATASETS, open_dataset
from distill.networks import NETWORKS
from modelpack.errors import DatasetError
from modelpack.labels import IGNORE
from modelpack.recipe import read_recipe, training_part
from modelpack.settings import parse_settings
from tests.distill.miniature import EVAL_NAMES, HEIGHT, MINIATURES, TRAIN_NAMES, WIDTH

FOLDER = Path(__file__).parents[2] / "recipes" / "published"
RECIPES = sorted(path.stem for path in FOLDER.glob("[!_]*.yaml"))

# Settings table of the Af-DCD code: student, kd, imitation, contrast, steps, crop, generator, mask.
PLAIN, ENHANCED = ("plain", "random"), ("enhanced", "centre")
DEEPLAB_18, PSP_18, DEEPLAB_MOBILE = "deeplabv3_resnet18", "pspnet_resnet18", "deeplabv3_mobilenetv2"
TABLE: dict[str, tuple[str, str, float, float, float, int, tuple[int, int], tuple[str, str]]] = {
    "cityscapes-deeplabv3-resnet18": ("cityscapes", DEEPLAB_18, 1, 2e-6, 5e-3, 40_000, (512, 1024), ENHANCED),
    "cityscapes-deeplabv3-mobilenetv2": (
        "cityscapes",
        DEEPLAB_MOBILE,
        1,
        2e-6,
        5e-3,
        40_000,
        (512, 1024),
        PLAIN,
    ),
    "voc-deeplabv3-resnet18": ("voc", DEEPLAB_18, 1, 1e-6, 5e-3, 40_000, (512, 512), PLAIN),
    "voc-pspnet-resnet18": ("voc", PSP_18, 1, 1e-6, 5e-3, 40_000, (512, 512), PLAIN),
    "camvid-deeplabv3-resnet18": ("camvid", DEEPLAB_18, 1, 8e-6, 1e-2, 40_000, (360, 360), PLAIN),
    "camvid-pspnet-resnet18": ("camvid", PSP_18, 1, 8e-6, 1e-2, 40_000, (360, 360), PLAIN),
    "ade20k-deeplabv3-resnet18": ("ade20k", DEEPLAB_18, 0.5, 1e-6, 4e-2, 40_000, (512, 512), PLAIN),
    "coco-stuff-deeplabv3-resnet18": ("coco_stuff", DEEPLAB_18, 0.5, 5e-6, 5e-3, 80_000, (512, 512), PLAIN),
}
CLASSES = {"cityscapes": 19, "voc": 21, "camvid": 11, "ade20k": 150, "coco_stuff": 182}

# Some stored values, and the class each stands for.
STORED = {
    "cityscapes": {7: 0, 8: 1, 11: 2, 26: 13, 33: 18, 0: IGNORE, 9: IGNORE, 29: IGNORE, 255: IGNORE},
    "voc": {0: 0, 15: 15, 20: 20, 255: IGNORE},
    "camvid": {0: 0, 10: 10, 11: IGNORE},
    "ade20k": {1: 0, 150: 149, 0: IGNORE},
    "coco_stuff": {0: 0, 11: 11, 181: 181, 255: IGNORE},
}
NAMED = {
    "cityscapes": {13: "car", 18: "bicycle"},
    "voc": {15: "person", 20: "tvmonitor"},
    "camvid": {8: "Car"},
    "ade20k": {12: "person", 20: "car", 100: "poster", 127: "bicycle", 149: "flag"},
    "coco_stuff": {11: "street sign", 90: "hair brush", 91: "banner", 148: "road", 168: "tree", 181: "wood"},
}

COLOURED = {
    "cityscapes": {"road": (128, 64, 128), "car": (0, 0, 142), "bicycle": (119, 11, 32)},
    "voc": {"background": (0, 0, 0), "person": (192, 128, 128), "tvmonitor": (0, 64, 128)},
    "camvid": {"Sky": (128, 128, 128), "Car": (64, 0, 128), "Bicyclist": (0, 128, 192)},
    "ade20k": {
        **{"wall": (120, 120, 120), "building": (180, 120, 120), "sky": (6, 230, 230)},
        **{"person": (150, 5, 61), "car": (0, 102, 200), "pillow": (0, 235, 255), "bus": (255, 0, 245)},
        **{"poster": (143, 255, 0), "bicycle": (255, 245, 0), "flag": (92, 0, 255)},
    },
}
"""The published colours of some classes."""


def config(name: str) -> TrainConfig:
    return parse_settings(TrainConfig, training_part(read_recipe(FOLDER / f"{name}.yaml")), name)


def method(settings: TrainConfig, name: str) -> Any:
    return next(entry for entry in settings.methods if entry.name == name)


def test_every_row_of_the_table_and_every_teacher_has_its_recipe():
    teachers = {f"{dataset.replace('_', '-')}-teacher" for dataset in CLASSES}
    assert set(RECIPES) == set(TABLE) | teachers


@pytest.mark.parametrize("name", TABLE)
def test_student_recipe_is_the_published_row(name):
    dataset, student, kd, imitation, contrast, steps, crop, (generator, mask) = TABLE[name]
    settings = config(name)
    assert (settings.data.name, settings.student.network) == (dataset, student)
    assert settings.teacher is not None
    assert settings.teacher.network == "deeplabv3_resnet101"
    assert (settings.optim.steps, settings.augment.crop) == (steps, crop)
    assert (method(settings, "kd").weight, method(settings, "kd").temperature) == (kd, 1)
    afdcd = method(settings, "afdcd")
    assert (afdcd.imitation_weight, afdcd.contrast_weight) == (imitation, contrast)
    assert (afdcd.generator, afdcd.mask, afdcd.mask_ratio) == (generator, mask, 0.75)
    assert (afdcd.student_feature, afdcd.teacher_feature) == ("stage4", "stage4")
    assert (afdcd.groups, afdcd.patch, afdcd.temperature) == (16, (4, 4), 0.07)
    assert (afdcd.normalisation, afdcd.negatives, afdcd.distance) == ("published", "cross_group", "l1")
    assert str(afdcd.reduce) == ("crop" if dataset == "camvid" else "pool(4)")


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_the_published_optimiser_and_protocol(name):
    settings = config(name)
    optim = settings.optim
    assert (optim.name, optim.lr, optim.momentum, optim.weight_decay) == ("sgd", 0.02, 0.9, 1e-4)
    assert (optim.batch, optim.power, optim.warmup_steps, optim.ema) == (16, 0.9, 0, 0)
    assert (optim.clip, optim.clip_norm, optim.aux_weight) == ("adapters", 15, 0.4)
    assert (optim.decay_norm_and_bias, optim.loss_mean) == (True, "local")
    assert (settings.augment.scale, settings.augment.scale_step, settings.augment.flip) == (
        (0.5, 2.0),
        0.1,
        0.5,
    )
    assert (settings.augment.resize, settings.augment.jitter) == (None, 0)
    assert (settings.evaluation.every, settings.evaluation.absent, settings.evaluation.size) == (
        800,
        "zero",
        None,
    )
    assert settings.evaluation.report_on == ("test" if settings.data.name == "camvid" else "val")
    assert (settings.student.weights, settings.student.normalisation) == ("imagenet", None)
    assert settings.compute.precision == "fp32"
    assert settings.student.network in NETWORKS


@pytest.mark.parametrize("name", [name for name in RECIPES if name.endswith("teacher")])
def test_teacher_recipe_is_plain_training_on_the_students_data(name):
    teacher = config(name)
    assert (teacher.student.network, teacher.methods, teacher.teacher) == ("deeplabv3_resnet101", (), None)
    students = [config(row) for row in TABLE if config(row).data.name == teacher.data.name]
    assert students
    for student in students:
        assert (student.data, student.augment, student.optim) == (
            teacher.data,
            teacher.augment,
            teacher.optim,
        )


@pytest.mark.parametrize("name", RECIPES)
def test_first_line_is_the_command_that_runs_it(name):
    first = (FOLDER / f"{name}.yaml").read_text().splitlines()[0]
    assert first.startswith(f"# afdcd distill train recipes/published/{name}.yaml data.root=/")
    assert "student.weights=/" in first
    assert ("teacher.checkpoint=/" in first) == (name in TABLE)
    assert config(name).name == name
    assert config(name).output == Path("runs/published") / name


@pytest.mark.parametrize("dataset", CLASSES)
def test_dataset_reads_in_its_layout(dataset, tmp_path):
    settings = DATASETS[dataset].settings(name=dataset, root=MINIATURES[dataset](tmp_path / "data"))
    splits = {"train": TRAIN_NAMES, "val": EVAL_NAMES}
    for split, names in splits.items():
        opened = open_dataset(settings, split)
        assert (len(opened), opened.split, opened.labels.num_classes) == (len(names), split, CLASSES[dataset])
        samples = [opened[index] for index in range(len(opened))]
        assert len({sample.name for sample in samples}) == len(names)
        for sample in samples:
            assert sample.image_hwc.shape == (HEIGHT, WIDTH, 3)
            values = set(np.unique(sample.mask_hw))
            assert values == set(range(CLASSES[dataset])) | {IGNORE}


@pytest.mark.parametrize("dataset", CLASSES)
def test_stored_values_become_classes(dataset, tmp_path):
    settings = DATASETS[dataset].settings(name=dataset, root=MINIATURES[dataset](tmp_path / "data"))
    opened = open_dataset(settings, "train")
    stored, mask = opened.raw_mask(0), opened[0].mask_hw
    for value, index in STORED[dataset].items():
        assert set(np.unique(mask[stored == value])) == {index}, value
    for index, name in NAMED[dataset].items():
        assert opened.labels.names[index] == name


@pytest.mark.parametrize("dataset", COLOURED)
def test_classes_have_the_published_colours(dataset, tmp_path):
    settings = DATASETS[dataset].settings(name=dataset, root=MINIATURES[dataset](tmp_path / "data"))
    labels = open_dataset(settings, "val").labels
    for name, colour in COLOURED[dataset].items():
        assert labels.palette[labels.names.index(name)] == colour


@pytest.mark.parametrize("dataset", CLASSES)
def test_unknown_split_and_missing_folder_are_named(dataset, tmp_path):
    settings = DATASETS[dataset].settings(name=dataset, root=tmp_path / "nothing")
    with pytest.raises(DatasetError, match=f"{dataset} has no split 'trainval'. Splits: train, "):
        open_dataset(settings, "trainval")
    with pytest.raises(DatasetError, match="nothing"):
        open_dataset(settings, "train")
