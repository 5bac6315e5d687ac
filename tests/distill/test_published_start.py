"""Every published recipe starts: two steps of its own networks and methods on tiny data in its layout."""

import csv
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from distill.config import TrainConfig
from distill.datasets import open_dataset
from distill.networks import build_network
from distill.run import TrainingRun
from distill.train import train
from distill.weights import save_weights
from modelpack.recipe import read_recipe, training_part
from modelpack.settings import parse_settings
from tests.distill.miniature import EVAL_NAMES, MINIATURES

FOLDER = Path(__file__).parents[2] / "recipes" / "published"
RECIPES = sorted(path.stem for path in FOLDER.glob("[!_]*.yaml"))
QUICK = ("camvid-pspnet-resnet18", "cityscapes-deeplabv3-mobilenetv2")
"""Two datasets, networks, generators and ways to reduce; the others are mixed from these."""
CROP = {"camvid": 64}
OTHER_CROP = 128
"""Pixels per side: maps have an eighth of it, and must hold a patch of 4 after `crop` or `pool(4)`."""
STEPS = 2

MakeTeacher = Callable[[str, int], Path]


@pytest.fixture(scope="module")
def make_teacher(tmp_path_factory: pytest.TempPathFactory) -> MakeTeacher:
    """(network, classes) -> file of random weights; the norms know their input, so outputs stay finite."""
    folder = tmp_path_factory.mktemp("teachers")

    def make(network: str, num_classes: int) -> Path:
        path = folder / f"{network}-{num_classes}.safetensors"
        if not path.is_file():
            torch.manual_seed(0)
            teacher = build_network(network, num_classes)
            for module in teacher.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.momentum = 1.0
            with torch.no_grad():
                teacher(torch.randn(2, 3, 64, 64))
            save_weights(teacher, path)
        return path

    return make


def start(name: str, folder: Path, make_teacher: MakeTeacher) -> TrainingRun:
    """The recipe, with the overrides that its first line names, at a size for one CPU core."""
    recipe = FOLDER / f"{name}.yaml"
    dataset = read_recipe(recipe)["data"]["name"]
    crop = CROP.get(dataset, OTHER_CROP)
    overrides = {
        "data.root": MINIATURES[dataset](folder / "data"),
        "output": folder / "out",
        "student.weights": "null",
        "augment.crop": [crop, crop],
        "optim.steps": STEPS,
        "optim.batch": 2,
        "compute.device": "cpu",
        "compute.workers": 0,
        "compute.threads": 1,
    }
    values = read_recipe(recipe, [f"{key}={value}" for key, value in overrides.items()])
    config = parse_settings(TrainConfig, training_part(values), name)
    if config.teacher is not None:
        num_classes = open_dataset(config.data, "train").labels.num_classes
        checkpoint = make_teacher(config.teacher.network, num_classes)
        teacher = config.teacher.model_copy(update={"checkpoint": checkpoint, "min_miou": 0.0})
        config = config.model_copy(update={"teacher": teacher})
    return train(config)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in RECIPES]
)
def test_recipe_takes_two_steps_and_reports(name: str, tmp_path: Path, make_teacher: MakeTeacher):
    run = start(name, tmp_path, make_teacher)
    row = next(csv.DictReader((run.folder / "results.csv").open()))
    losses = {key.removeprefix("loss/") for key in row if key.startswith("loss/")}
    terms = {f"{method.name}/{term}" for method in run.config.methods for term in method.weights()}
    has_aux = run.config.student.network != "deeplabv3_mobilenetv2"
    assert losses == terms | {"task"} | ({"aux"} if has_aux else set())
    assert all(
        math.isfinite(float(row[f"loss/{name}"])) and float(row[f"loss/{name}"]) > 0 for name in losses
    )
    assert row["step"] == str(STEPS)
    assert run.result["report"]["images"] == len(EVAL_NAMES)
