"""Every shipped recipe of pre-training takes steps: its teacher's, its own, and those that start from it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision

from distill.__main__ import app
from distill.pretrain.config import PretrainConfig, pretrain_config
from modelpack.command import run
from modelpack.recipe import read_recipe
from tests.distill.folder_data import (
    HEIGHT,
    INDEX_CLASSES,
    WIDTH,
    bands,
    write_classes,
    write_image,
    write_mask,
)
from tests.distill.miniature import write_camvid

RECIPES = ("pretrain-camvid-cpu", "pretrain-images", "pretrain-streets")
STEPS = 2
FEW = {
    "student.weights": "null",
    "optim.steps": STEPS,
    "optim.warmup_steps": 1,
    "optim.batch": 2,
    "evaluation.every": STEPS,
    "teacher.train.optim.steps": STEPS,
    "teacher.train.evaluation.every": STEPS,
    "pretrain.optim.steps": STEPS,
    "pretrain.optim.warmup_steps": 1,
    "pretrain.optim.batch": 2,
    "compute.device": "cpu",
    "compute.threads": 1,
}


def labelled_folder(root: Path) -> Path:
    for split, count in (("train", 4), ("val", 2)):
        for index in range(count):
            write_image(root / split / "images" / f"{index}.png", f"{split}{index}", 2 * HEIGHT, 2 * WIDTH)
            write_mask(root / split / "masks" / f"{index}.png", np.tile(bands(), (2, 2)))
    write_classes(root, INDEX_CLASSES)
    return root


def data_of(name: str, folder: Path) -> dict[str, Any]:
    """What the recipe's first line asks for, on tiny data; images without labels, and a backbone of noise."""
    if name == "pretrain-streets":
        return {"data.train": 4, "data.val": 2, "data.test": 2}
    if name == "pretrain-camvid-cpu":
        return {"data.root": write_camvid(folder / "camvid")}
    for index in range(4):
        write_image(folder / "images" / f"{index}.png", str(index), 180, 200)
    torch.save(torchvision.models.resnet50().state_dict(), folder / "resnet50.pth")
    return {
        "data.root": labelled_folder(folder / "labelled"),
        "pretrain.data.root": folder / "images",
        "pretrain.teacher.weights": folder / "resnet50.pth",
    }


def do(verb: str, recipe: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert run(app, [verb, str(recipe), *words, "--json"], "afdcd distill") == 0
    last: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return last


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_takes_its_steps_and_a_training_starts_from_what_it_leaves(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, output = Path("recipes") / f"{name}.yaml", tmp_path / "out"
    words = [f"{key}={value}" for key, value in {**FEW, **data_of(name, tmp_path), "output": output}.items()]
    if name != "pretrain-images":
        do("train", recipe, [*words, "--teacher"], capsys)
        words.append(f"pretrain.teacher.run={output / 'teacher'}")
    done = do("pretrain", recipe, words, capsys)
    assert done["result"]["steps"] == STEPS
    assert 0 < done["result"]["loss"] < float("inf")
    trained = do("train", recipe, [*words, f"student.init={done['folder']}"], capsys)
    result = json.loads((Path(trained["run"]) / "result.json").read_text())
    assert result["started_from"]["weights_sha256"] == done["result"]["weights_sha256"]


def settings_of(name: str, words: list[str]) -> PretrainConfig:
    return pretrain_config(read_recipe(f"recipes/{name}.yaml", words), name)


def test_the_recipe_for_camvid_learns_the_teachers_encoder_on_training_frames_by_either_pairing() -> None:
    by_place = settings_of("pretrain-camvid-cpu", ["data.root=/camvid"])
    assert (by_place.data.name, by_place.feature, by_place.pairing) == ("camvid", "stage4", "place")
    by_grid = settings_of("pretrain-camvid-cpu", ["data.root=/camvid", "pretrain.pairing=grid"])
    assert by_grid == by_place.model_copy(update={"pairing": "grid"})
