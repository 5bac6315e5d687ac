"""A run with a discriminator that was killed goes on and ends with the same bits."""

import signal
from pathlib import Path

import torch
from safetensors.torch import load_file

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


def test_killed_in_the_middle_of_a_step_and_resumed(tmp_path: Path, teacher: Path):
    values = {
        name: taught_values(
            tmp_path / name,
            teacher,
            methods=[SKD, ADVERSARIAL],
            optim={"steps": STEPS},
            evaluation={"every": STEPS, "select_on": "last"},
            compute={"save_every": SAVE_EVERY},
        )
        for name in ("whole", "killed")
    }
    whole = train(as_config(values["whole"]))
    recipe = write_recipe(tmp_path / "recipe.yaml", values["killed"])
    with started("-c", TRAIN_AND_DIE, "train", str(recipe)) as process:
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == -signal.SIGKILL, errors
    resumed = train(as_config(values["killed"]))
    ours, theirs = load_file(resumed.folder / STUDENT_FILE), load_file(whole.folder / STUDENT_FILE)
    assert [name for name in theirs if not torch.equal(ours[name], theirs[name])] == []
