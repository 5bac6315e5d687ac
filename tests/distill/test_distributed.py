"""Two processes do what one does on the same global batch."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.distill.tiny_recipe import AFDCD, KD, NETWORK, tiny_config, tiny_values, write_recipe

from distill.train import train

ROUNDING = 2e-4
"""Float32 sums in another order, through a few steps of training."""


def run_two(recipe: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run([*command, "-m", "distill", "train", str(recipe)], check=True, capture_output=True, timeout=240)


@pytest.mark.parametrize("methods", [[], [KD, AFDCD]], ids=["task", "task+kd+afdcd"])
def test_two_gloo_processes_equal_one_process_on_the_same_global_batch(tmp_path: Path, methods: list[dict[str, object]]):
    teacher = train(tiny_config(tmp_path / "teacher", seed=7)).folder
    over = {
        "teacher": {"network": NETWORK["network"], "options": NETWORK["options"], "min_miou": 0, "checkpoint": str(teacher)},
        "methods": methods,
        "evaluation": {"select_on": "last", "every": 4},
        "optim": {"steps": 3},
    }
    one = train(tiny_config(tmp_path / "one", **over))
    run_two(write_recipe(tmp_path / "two.yaml", tiny_values(tmp_path / "two", **over)))
    ours, theirs = load_file(one.folder / "student.safetensors"), load_file(tmp_path / "two/train/student.safetensors")
    for name, value in ours.items():
        torch.testing.assert_close(theirs[name], value, rtol=ROUNDING, atol=ROUNDING, msg=name)
