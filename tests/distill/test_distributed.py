"""Two processes do what one does on the same global batch."""

import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from distill.train import train
from distill.weights import STUDENT_FILE
from tests.distill.tiny_recipe import as_config, taught_values, write_recipe

TIMEOUT_S = 200
ROUNDING = 0.005
"""Share of the whole update that may differ by the order of float32 sums. It is 0.0004.

A loss averaged by each process alone differs by 0.07, norms that are not synchronised by more than 1.
"""
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


def test_two_gloo_processes_equal_one_process_on_the_same_global_batch(tmp_path: Path, teacher: Path):
    over = {
        "student": {"init": str(teacher)},
        "augment": {"crop": [48, 64]},
        "optim": {"steps": 3, "lr": 1e-4},
        "evaluation": {"every": 3, "select_on": "last"},
    }
    one = train(as_config(taught_values(tmp_path / "one", teacher, **over)))
    recipe = write_recipe(tmp_path / "two.yaml", taught_values(tmp_path / "two", teacher, **over))
    done = subprocess.run(
        [*TORCHRUN, "-m", "distill", "train", str(recipe)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    before = load_file(teacher / STUDENT_FILE)
    alone = update(before, load_file(one.folder / STUDENT_FILE))
    shared = update(before, load_file(tmp_path / "two" / "train" / STUDENT_FILE))
    for kind in ("weights", "statistics"):
        difference = (shared[kind] - alone[kind]).norm() / alone[kind].norm()
        assert difference < ROUNDING, kind


def update(before: dict[str, Tensor], after: dict[str, Tensor]) -> dict[str, Tensor]:
    """What training changed: all weights, and all statistics of norms, as one vector each."""
    parts: dict[str, list[Tensor]] = {"weights": [], "statistics": []}
    for name, value in after.items():
        if name.endswith("num_batches_tracked"):
            continue
        kind = "statistics" if "running" in name else "weights"
        parts[kind].append((value.double() - before[name].double()).flatten())
    return {kind: torch.cat(values) for kind, values in parts.items()}
