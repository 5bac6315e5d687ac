"""A run with a discriminator that was killed goes on and ends with the same bits."""

import csv
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from distill.run import TrainingRun
from distill.train import train
from distill.weights import STUDENT_FILE
from tests.distill.test_resume import SAVE_EVERY, STEPS, TIMEOUT_S, TRAIN_AND_DIE, started
from tests.distill.tiny_recipe import as_config, taught_values, write_recipe

SKD = {
    "name": "skd",
    "pair_form": "half_map",
    "adversarial_weight": 1.0,
    "adversary": {"loss": "wgan_gp", "schedule": "poly", "width": 4, "small_maps": "enlarge"},
}
ADVERSARIAL = {
    "name": "adversarial",
    "weight": 1.0,
    "adversary": {"optimiser": "sgd", "width": 4, "small_maps": "enlarge"},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, teacher: Path) -> dict[str, TrainingRun]:
    """The same run twice, once killed in the middle of a step and resumed. Do not change them."""
    folder = tmp_path_factory.mktemp("adversary")
    values = {
        name: taught_values(
            folder / name,
            teacher,
            methods=[SKD, ADVERSARIAL],
            optim={"steps": STEPS},
            evaluation={"every": STEPS, "select_on": "last"},
            compute={"save_every": SAVE_EVERY},
        )
        for name in ("whole", "killed")
    }
    whole = train(as_config(values["whole"]))
    recipe = write_recipe(folder / "recipe.yaml", values["killed"])
    with started("-c", TRAIN_AND_DIE, "train", str(recipe)) as process:
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == -signal.SIGKILL, errors
    return {"whole": whole, "resumed": train(as_config(values["killed"]))}


def last_row(run: TrainingRun) -> dict[str, str]:
    with (run.folder / "results.csv").open() as file:
        return list(csv.DictReader(file))[-1]


def test_a_resumed_run_ends_with_the_same_bits(runs: dict[str, TrainingRun]):
    ours, theirs = (load_file(runs[name].folder / STUDENT_FILE) for name in ("resumed", "whole"))
    assert [name for name in theirs if not torch.equal(ours[name], theirs[name])] == []


@pytest.mark.parametrize("method", ["skd", "adversarial"])
def test_the_discriminators_own_loss_is_logged_and_enters_no_sum(runs: dict[str, TrainingRun], method: str):
    row = last_row(runs["whole"])
    assert float(row[f"loss/{method}/discriminator"]) != 0
    assert f"weighted/{method}/discriminator" not in row


@pytest.mark.parametrize("method", ["skd", "adversarial"])
def test_its_mean_over_steps_goes_on_after_a_kill(runs: dict[str, TrainingRun], method: str):
    key = f"loss/{method}/discriminator"
    assert last_row(runs["resumed"])[key] == last_row(runs["whole"])[key]
