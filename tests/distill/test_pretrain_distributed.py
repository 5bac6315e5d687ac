"""Two processes pre-train as one does on the same global batch: loss, gradients and queue."""

import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from distill.pretrain.assemble import build_student
from distill.pretrain.config import pretrain_config
from distill.pretrain.stage import pretrain
from distill.weights import BACKBONE_FILE
from tests.distill.test_distributed import ROUNDING, TORCHRUN, update
from tests.distill.test_pretrain import values
from tests.distill.tiny_recipe import write_recipe

TIMEOUT_S = 500


@pytest.mark.slow
@pytest.mark.parametrize("pairing", ["grid", "place"])
def test_two_gloo_processes_equal_one_process_on_the_same_global_batch(
    tmp_path: Path, teacher: Path, pairing: str
):
    optim = {"batch": 4, "steps": 2, "warmup_steps": 1, "name": "sgd", "lr": 0.05}
    over = {"pairing": pairing, "optim": optim, "views": {"size": [32, 64], "area": [0.5, 1.0]}}
    config = pretrain_config(values(tmp_path / "one", teacher, **over), "one")
    alone = pretrain(config)
    recipe = write_recipe(tmp_path / "two.yaml", values(tmp_path / "two", teacher, **over))
    done = subprocess.run(
        [*TORCHRUN, "-m", "distill", "pretrain", str(recipe)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    torch.manual_seed(config.seed)
    before = build_student(config).backbone_part().state_dict()
    one = update(before, load_file(alone / BACKBONE_FILE))
    two = update(before, load_file(tmp_path / "two" / "pretrain" / BACKBONE_FILE))
    for kind in ("weights", "statistics"):
        assert (two[kind] - one[kind]).norm() / one[kind].norm() < ROUNDING, kind
