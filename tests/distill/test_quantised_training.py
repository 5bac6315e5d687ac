"""`distill train` with `student.quantisation`: from a float run to one that computes with int8 values."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from distill.assemble import assemble
from distill.compare import TEACHER_FOLDER, variant_folder
from distill.compute import Compute
from distill.config import OptimConfig, TrainConfig
from distill.datasets import open_dataset
from distill.distributed import Processes
from distill.quantisation.calibration import activation_quantisers, calibration_images
from distill.quantisation.insert import quantise_network
from distill.quantisation.settings import QuantisationConfig
from distill.run import TrainingRun, load_student
from distill.start import START_FILE
from distill.train import train
from distill.trainer import Trainer, build_optimiser
from distill.weights import STUDENT_FILE
from modelpack.errors import CheckpointError, SettingsError
from modelpack.recipe import read_recipe, training_part
from modelpack.settings import parse_settings
from tests.distill.small_networks import TwoConvolutions
from tests.distill.tiny_recipe import as_config, taught_values, tiny_config, write_recipe

STEPS, SAVED_AFTER = 4, 2
TIMEOUT_S = 200
SHARDS_DIFFER_BY = 1e-4
"""Two processes sum gradients in another order; log scales of 3 steps differ in their last digits."""


def quantised_values(output: Path, start: Path, **over: object) -> dict[str, object]:
    """Both methods go on teaching; the average of the weights is what is kept."""
    return taught_values(
        output,
        start,
        student={"init": str(start), "quantisation": {"calibration_images": 4}},
        optim={"lr": 1e-2, "steps": STEPS, "ema": 0.5},
        evaluation={"every": STEPS, "select_on": "last"},
        compute={"save_every": SAVED_AFTER},
        **over,
    )


@pytest.fixture(scope="module")
def run(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    return train(as_config(quantised_values(tmp_path_factory.mktemp("quantised"), teacher)))


def test_the_run_opens_with_its_quantisers_and_their_learned_scales(run: TrainingRun, teacher: Path):
    quantisers = activation_quantisers(load_student(run))
    saved = load_file(run.folder / STUDENT_FILE)
    assert len(quantisers) == 49
    for name, quantiser in quantisers.items():
        assert torch.equal(quantiser.log_scale, saved[f"{name}.log_scale"])
        assert -20 < quantiser.log_scale < 0
    assert any("norm" in name or ".bn." in name for name in load_file(teacher / STUDENT_FILE))


def test_the_table_begins_with_what_calibration_alone_gives(run: TrainingRun):
    rows = [line.split(",") for line in (run.folder / "results.csv").read_text().splitlines()]
    assert [row[0] for row in rows] == ["step", "0", str(STEPS)]
    assert float(rows[1][rows[0].index("miou")]) > 0


def test_the_result_names_the_float_run_and_what_it_had(run: TrainingRun, trained: TrainingRun):
    start = run.result["started_from"]
    assert start["path"] == str(trained.folder)
    assert start["weights_sha256"] == trained.result["weights_sha256"]
    assert start["report"]["miou"] == trained.result["report"]["miou"]
    assert start["report"]["split"] == "test"
    assert json.loads((run.folder / START_FILE).read_text()) == start


def test_weights_and_scales_were_trained(run: TrainingRun):
    config = run.config
    images = calibration_images(open_dataset(config.data, "train"), 4, config.evaluation.size)
    compute = Compute(torch.device("cpu"), torch.float32, channels_last=True)
    begun = assemble(config, run.labels.num_classes, compute, Processes(), images).student.state_dict()
    ended = load_file(run.folder / STUDENT_FILE)
    moved = [name for name in ended if not torch.equal(begun[name], ended[name])]
    assert sum(name.endswith("log_scale") for name in moved) > 40
    assert sum(name.endswith("weight") for name in moved) > 40


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(
    run: TrainingRun, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class PowerCutError(Exception):
        pass

    take_step = Trainer.take_step

    def cut(trainer: Trainer, number: int, batch: object) -> None:
        if number == SAVED_AFTER + 1:
            raise PowerCutError
        take_step(trainer, number, batch)

    values = quantised_values(tmp_path, teacher)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "take_step", cut)
        with pytest.raises(PowerCutError):
            train(as_config(values))
    resumed = train(as_config(values))
    ours, theirs = load_file(resumed.folder / STUDENT_FILE), load_file(run.folder / STUDENT_FILE)
    assert [name for name in theirs if not torch.equal(ours[name], theirs[name])] == []


@pytest.mark.parametrize("decays_all", [True, False])
def test_scales_are_not_decayed(decays_all: bool):
    network = quantise_network(TwoConvolutions(), QuantisationConfig())
    config = OptimConfig(decay_norm_and_bias=decays_all, weight_decay=0.1)
    compute = Compute(torch.device("cpu"), torch.float32, channels_last=False)
    decayed = {
        parameter
        for group in build_optimiser(network, config, compute).param_groups
        for parameter in group["params"]
        if group["weight_decay"] > 0
    }
    assert {network.stem.weight, network.head.weight} <= decayed
    assert (network.head.bias in decayed) == decays_all
    assert not decayed & {quantiser.log_scale for quantiser in activation_quantisers(network).values()}


@pytest.mark.slow
def test_two_processes_learn_the_scales_of_one(teacher: Path, tmp_path: Path):
    one = train(as_config(quantised_values(tmp_path / "one", teacher, augment={"crop": [48, 64]})))
    recipe = write_recipe(
        tmp_path / "two.yaml", quantised_values(tmp_path / "two", teacher, augment={"crop": [48, 64]})
    )
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*torchrun, "-m", "distill", "train", str(recipe)],
        capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    alone, shared = (load_file(folder / STUDENT_FILE) for folder in (one.folder, tmp_path / "two" / "train"))
    for name in (name for name in alone if name.endswith("log_scale")):
        assert abs(float(alone[name] - shared[name])) < SHARDS_DIFFER_BY, name


def test_the_recipe_for_camvid_starts_where_the_float_one_ends():
    floats, quantised = (
        parse_settings(
            TrainConfig, training_part(read_recipe(f"recipes/{name}.yaml", ["data.root=/camvid"])), name
        )
        for name in ("camvid-cpu", "camvid-cpu-int8")
    )
    assert quantised.student.quantisation is not None
    assert quantised.student.init == variant_folder(floats.output, "afdcd", 0)
    assert quantised.teacher.checkpoint == floats.output / TEACHER_FOLDER
    assert quantised.student.network == floats.student.network


def test_quantisation_without_weights_to_start_from_is_refused(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"student: quantisation fine-tunes a trained network; set init"):
        tiny_config(tmp_path, student={"quantisation": {}})


def test_a_quantised_run_is_no_start_for_another(run: TrainingRun, tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"Give those of the float run that it started from"):
        train(as_config(quantised_values(tmp_path, run.folder)))
