"""The gradient that each loss term sends into the student: its norm, and that looking changes nothing."""

import csv
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from distill.compute import Compute
from distill.config import OptimConfig
from distill.distributed import Processes
from distill.gradients import GradientNorms
from distill.loader import Batch
from distill.losses.logits import KdReduction
from distill.methods import METHODS
from distill.run import TrainingRun
from distill.step import TrainStep, build_methods
from distill.train import train
from distill.trainer import Trainer
from distill.weights import STUDENT_FILE
from modelpack.settings import parse_settings
from tests.distill.small_networks import CLASSES, TwoConvolutions
from tests.distill.tiny_recipe import as_config, taught_values


@pytest.fixture
def student() -> nn.Module:
    """Two trained weights, a third that no term reads, and one that is not trained."""
    module = nn.ParameterDict({name: nn.Parameter(torch.ones(1)) for name in ("a", "b", "unread", "frozen")})
    module["frozen"].requires_grad_(False)
    return module


@pytest.fixture
def norms(student: nn.Module) -> GradientNorms:
    return GradientNorms(student, Processes())


def test_norm_is_taken_over_all_parameters(student, norms):
    norms.measure(
        {"far": 3 * student["a"].sum() + 4 * student["b"].sum(), "near": student["b"].square().sum()}
    )
    assert norms.means() == {"far": 5.0, "near": 2.0}


def test_parts_of_a_batch_give_the_norm_of_their_mean_gradient(student, norms):
    """Gradients of (6, 0) and (0, 8) average to (3, 4)."""
    for part, term in enumerate((6 * student["a"].sum(), 8 * student["b"].sum())):
        norms.measure({"term": term}, part=part, parts=2)
    assert norms.means() == {"term": 5.0}


def test_several_steps_are_averaged_until_they_are_forgotten(student, norms):
    for slope in (1.0, 2.0):
        norms.measure({"term": slope * student["a"].sum()})
    assert norms.means() == {"term": 1.5}
    norms.forget()
    assert norms.means() == {}


def test_scale_of_half_precision_gradients_is_taken_out_again(student, norms):
    norms.measure({"term": 3 * student["a"].sum()}, scale=2.0**16)
    assert norms.means() == {"term": 3.0}


def test_a_term_that_the_student_cannot_change_sends_nothing(student, norms):
    norms.measure({"constant": torch.tensor(2.0), "frozen": student["frozen"].sum() + 0 * student["a"].sum()})
    assert norms.means() == {"constant": 0.0, "frozen": 0.0}


def test_terms_can_still_be_learned_from_and_no_gradient_is_left_behind(student, norms):
    term = student["a"].square().sum()
    norms.measure({"term": term})
    assert student["a"].grad is None
    term.backward()
    assert student["a"].grad.item() == 2.0


def test_a_state_restored_goes_on_where_it_was(student, norms):
    norms.measure({"term": 1.0 * student["a"].sum()})
    resumed = GradientNorms(student, Processes())
    resumed.restore(norms.state(), torch.device("cpu"))
    resumed.measure({"term": 2.0 * student["a"].sum()})
    assert resumed.means() == {"term": 1.5}


def norms_after_a_step(accumulate: int, reduction: str) -> dict[str, float]:
    """Of a student without batch norm, whose images do not know of each other, taught by logits."""
    torch.manual_seed(0)
    student, teacher = TwoConvolutions(), TwoConvolutions()
    student.norm = nn.Identity()
    settings = parse_settings(METHODS["kd"].settings, {"name": "kd", "reduction": reduction}, "methods.0")
    methods, weights = build_methods([settings], student, teacher)
    compute = Compute(torch.device("cpu"), torch.float32, channels_last=False)
    step = TrainStep(student, teacher, methods, weights, compute)
    trainer = Trainer(step, OptimConfig(steps=1, batch=4, accumulate=accumulate), compute, gradients_every=1)
    images = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8)
    trainer.take_step(0, Batch(images, images[..., 0] % CLASSES, (0, 1, 2, 3)))
    return trainer.gradients.means()


@pytest.mark.parametrize("reduction", get_args(KdReduction))
def test_accumulation_changes_no_gradient_whatever_the_reduction(reduction):
    whole, parts = (norms_after_a_step(accumulate, reduction) for accumulate in (1, 4))
    assert whole.keys() == {"task", "kd/logits"}
    assert parts == pytest.approx(whole, rel=1e-4)


@pytest.fixture(scope="module")
def runs(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, TrainingRun]:
    """The same run, measured as by default (every two steps) and never."""
    settings: dict[str, dict[str, Any]] = {"default": {}, "never": {"gradients_every": 0}}
    return {
        name: train(as_config(_with_every_kind_of_term(tmp_path_factory.mktemp(name), teacher, compute)))
        for name, compute in settings.items()
    }


def _with_every_kind_of_term(output: Path, teacher: Path, compute: dict[str, Any]) -> dict[str, Any]:
    values = taught_values(output, teacher, compute=compute, optim={"accumulate": 2})
    values["methods"] += [{"name": name} for name in ("at", "cwd", "fitnet", "ifvd")]
    return values


def rows_of(run: TrainingRun) -> list[dict[str, str]]:
    with (run.folder / "results.csv").open() as file:
        return list(csv.DictReader(file))


def weights_of(run: TrainingRun) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = load_file(run.folder / STUDENT_FILE)
    return weights


def test_measuring_changes_no_bit_of_the_run(runs):
    measured, unmeasured = weights_of(runs["default"]), weights_of(runs["never"])
    assert [name for name in unmeasured if not torch.equal(measured[name], unmeasured[name])] == []


def test_every_term_of_a_run_has_a_column_beside_its_loss(runs):
    rows = rows_of(runs["default"])
    terms = [key.removeprefix("weighted/") for key in rows[0] if key.startswith("weighted/")]
    assert "task" in terms
    assert {"kd/logits", "afdcd/contrast", "at/attention", "cwd/feature", "ifvd/variation"} <= set(terms)
    for row in rows:
        assert all(0 < float(row[f"gradient/{term}"]) < float("inf") for term in terms)


def test_a_run_that_measures_never_has_no_such_column(runs):
    assert not any(key.startswith("gradient/") for key in rows_of(runs["never"])[0])
