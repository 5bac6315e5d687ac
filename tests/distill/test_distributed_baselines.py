"""Two processes teach by every simple baseline what one does, and measure the same gradients."""

import csv
import subprocess
from pathlib import Path

import pytest
from safetensors.torch import load_file

from distill.history import CSV_FILE
from distill.train import train
from distill.weights import STUDENT_FILE
from tests.distill.test_distributed import ROUNDING, TIMEOUT_S, TORCHRUN, update
from tests.distill.tiny_recipe import as_config, taught_values, write_recipe

METHODS = [
    {"name": "kd", "reduction": "batch_sum"},
    {"name": "at"},
    {"name": "cwd", "student_feature": "stage4", "adapter": "convolution_norm_relu"},
    {"name": "fitnet"},
    {"name": "ifvd"},
]


@pytest.mark.slow
def test_two_gloo_processes_equal_one_process_on_the_same_global_batch(tmp_path: Path, teacher: Path):
    over = {
        "student": {"init": str(teacher)},
        "augment": {"crop": [48, 64]},
        "optim": {"steps": 2, "lr": 1e-5},
        "evaluation": {"every": 2, "select_on": "last"},
    }
    values = [taught_values(tmp_path / name, teacher, **over, methods=METHODS) for name in ("one", "two")]
    one = train(as_config(values[0]))
    done = subprocess.run(
        [*TORCHRUN, "-m", "distill", "train", str(write_recipe(tmp_path / "two.yaml", values[1]))],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    two = tmp_path / "two" / "train"
    before = load_file(teacher / STUDENT_FILE)
    alone = update(before, load_file(one.folder / STUDENT_FILE))["weights"]
    shared = update(before, load_file(two / STUDENT_FILE))["weights"]
    assert (shared - alone).norm() / alone.norm() < ROUNDING
    assert measured(two) == pytest.approx(measured(one.folder), rel=ROUNDING)


def measured(folder: Path) -> dict[str, float]:
    """The gradient norms of the only row."""
    (row,) = csv.DictReader((folder / CSV_FILE).open())
    return {key: float(value) for key, value in row.items() if key.startswith("gradient/")}
