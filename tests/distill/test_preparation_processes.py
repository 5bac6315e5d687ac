"""Preparations in processes of their own: several together, and one that is killed."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from distill.distributed import Processes
from distill.methods.preparation import PreparationSettings
from distill.preparation.folder import WEIGHTS_FILE
from distill.preparation.learning import learn
from distill.preparation.stage import prepare
from distill.run import STATE_FILE, TrainingRun
from distill.train import train
from distill.weights import STUDENT_FILE
from modelpack.errors import SettingsError
from tests.distill.preparation_cases import KA, config, same_bits, values
from tests.distill.test_distributed import ROUNDING, TIMEOUT_S, TORCHRUN, update
from tests.distill.tiny_recipe import write_recipe

PREPARE_AND_DIE = """
import os, signal
from distill.__main__ import main
from distill.preparation.learning import Learner

def lesson_and_die(learner, batch, lesson=Learner._lesson):
    if learner.done == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return lesson(learner, batch)

Learner._lesson = lesson_and_die
main()
"""
"""Prepares as `python -m distill` does, and dies in its fourth step."""


@pytest.fixture(scope="module")
def alone(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    """Prepared and trained by one process that nobody interrupted."""
    return train(config(tmp_path_factory.mktemp("alone"), teacher, **over(teacher)))


def over(teacher: Path) -> dict[str, Any]:
    """A step so small that rounding is not amplified."""
    return {
        "student": {"init": str(teacher)},
        "augment": {"crop": [48, 64]},
        "optim": {"steps": 2, "lr": 1e-5},
        "evaluation": {"every": 2, "select_on": "last"},
        "compute": {"save_every": 2},
    }


def started(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


@pytest.mark.slow
def test_two_gloo_processes_prepare_and_train_as_one_does(alone: TrainingRun, teacher: Path, tmp_path: Path):
    recipe = write_recipe(tmp_path / "two.yaml", values(tmp_path, teacher, **over(teacher)))
    done = started(*TORCHRUN[1:], "-m", "distill", "train", str(recipe))
    assert done.returncode == 0, done.stderr
    for entry in alone.result["prepared"].values():
        folder = Path(entry["folder"])
        own = load_file(folder / WEIGHTS_FILE)
        shared = load_file(tmp_path / "prepared" / folder.name / WEIGHTS_FILE)
        for name, weights in own.items():
            if not name.endswith("num_batches_tracked"):
                assert (shared[name] - weights).norm() <= ROUNDING * weights.norm() + 1e-7, name
    before = load_file(teacher / STUDENT_FILE)
    one = update(before, load_file(alone.folder / STUDENT_FILE))["weights"]
    two = update(before, load_file(tmp_path / "train" / STUDENT_FILE))["weights"]
    assert (two - one).norm() / one.norm() < ROUNDING


def test_a_preparation_killed_in_the_middle_of_a_step_goes_on_to_the_same_bits(
    alone: TrainingRun, teacher: Path, tmp_path: Path
):
    recipe = values(tmp_path, teacher, KA, **over(teacher))
    done = started("-c", PREPARE_AND_DIE, "prepare", str(write_recipe(tmp_path / "recipe.yaml", recipe)))
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert torch.load(next(tmp_path.rglob(STATE_FILE)), weights_only=True)["done"] == 2
    folder = Path(prepare(config(tmp_path, teacher, KA, **over(teacher)))["ka"]["folder"])
    assert same_bits(folder / WEIGHTS_FILE, Path(alone.result["prepared"]["ka"]["folder"]) / WEIGHTS_FILE)


def test_a_batch_that_the_processes_cannot_share_is_refused(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"batch \(3\) cannot be shared equally by 2 processes"):
        learn(
            *(None, PreparationSettings(batch=3), 1, tmp_path),
            teacher=None,
            dataset=None,
            config=None,
            compute=None,
            processes=Processes(0, 2, 0),
        )
