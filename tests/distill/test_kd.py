"""Logit distillation: the loss in its three reductions, and the method around it."""

import math
from typing import get_args

import pytest
import torch
from torch import Tensor

from distill.losses.logits import KdReduction, logit_kd
from distill.methods import METHODS
from distill.methods.method import Pair, StepContext
from distill.networks.output import SegOutput
from modelpack.errors import SettingsError, ShapeError

EXACT = 1e-12
"""float64, relative."""


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    student, teacher = 3 * torch.randn(2, 2, 4, 3, 2, generator=generator, dtype=torch.float64)
    return student, teacher


def divergence_by_loop(student: Tensor, teacher: Tensor, temperature: float) -> float:
    """Sum over all pixels of KL(teacher || student), one pixel at a time."""
    total = 0.0
    for s, t in zip(
        student.movedim(1, -1).flatten(0, 2).tolist(),
        teacher.movedim(1, -1).flatten(0, 2).tolist(),
        strict=True,
    ):
        p, q = ([math.exp(v / temperature) for v in row] for row in (s, t))
        p, q = ([v / sum(row) for v in row] for row in (p, q))
        total += sum(b * math.log(b / a) for a, b in zip(p, q, strict=True))
    return total


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_pixel_mean_is_the_mean_over_pixels_times_squared_temperature(pair, temperature):
    expected = divergence_by_loop(*pair, temperature) / (2 * 3 * 2) * temperature**2
    assert logit_kd(*pair, temperature=temperature).item() == pytest.approx(expected, rel=EXACT)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_element_mean_also_divides_by_the_classes(pair, temperature):
    expected = divergence_by_loop(*pair, temperature) / (2 * 3 * 2 * 4)
    got = logit_kd(*pair, temperature=temperature, reduction="element_mean")
    assert got.item() == pytest.approx(expected, rel=EXACT)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_batch_sum_keeps_the_teachers_entropy_and_divides_by_pixels_alone(pair, temperature):
    total = divergence_by_loop(*pair, temperature)
    for pixel in pair[1].movedim(1, -1).flatten(0, 2).tolist():
        exponentials = [math.exp(value / temperature) for value in pixel]
        shares = [value / sum(exponentials) for value in exponentials]
        total -= sum(share * math.log(share) for share in shares)
    got = logit_kd(*pair, temperature=temperature, reduction="batch_sum")
    assert got.item() == pytest.approx(total / (3 * 2), rel=EXACT)


@pytest.mark.parametrize("reduction", ["pixel_mean", "element_mean"])
def test_is_zero_with_zero_gradient_for_equal_logits(pair, reduction):
    student = pair[1].clone().requires_grad_()
    loss = logit_kd(student, pair[1], temperature=2.0, reduction=reduction)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-15)
    assert student.grad.abs().max() < 1e-15


def test_teacher_receives_no_gradient(pair):
    student, teacher = (m.requires_grad_() for m in pair)
    logit_kd(student, teacher, temperature=1.0).backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_extreme_half_precision_logits_give_a_finite_float32(dtype):
    student = torch.tensor([6e4, -6e4, 0.0]).view(1, 3, 1, 1).to(dtype).requires_grad_()
    loss = logit_kd(student, -student.detach(), temperature=1.0)
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    assert torch.isfinite(student.grad).all()


def test_autocast_around_it_changes_nothing(pair):
    student, teacher = (m.float() for m in pair)
    with torch.autocast("cpu", torch.bfloat16):
        inside = logit_kd(student, teacher, temperature=4.0)
    assert torch.equal(inside, logit_kd(student, teacher, temperature=4.0))


def test_unequal_shapes_are_named(pair):
    with pytest.raises(ShapeError, match=r"student \(2, 3, 3, 2\) and teacher \(2, 4, 3, 2\).*classes"):
        logit_kd(pair[0][:, :3], pair[1], temperature=1.0)


def test_temperature_must_be_positive(pair):
    with pytest.raises(SettingsError, match="temperature is -1"):
        logit_kd(*pair, temperature=-1.0)


def output(logits: Tensor, padded_size: tuple[int, int]) -> SegOutput:
    return SegOutput(logits, aux_logits=None, features={}, padded_size=padded_size)


def run_method(student: SegOutput, teacher: SegOutput, *, shards: int = 1, **settings: str) -> Tensor:
    entry = METHODS["kd"]
    method = entry.build(entry.settings(name="kd", **settings), Pair({}, {}, num_classes=4))
    context = StepContext(step=0, sample_seeds=(0,), shards=shards)
    return method(student, teacher, torch.zeros(1, 16, 16, dtype=torch.uint8), context)["logits"]


def test_method_brings_the_student_onto_the_teachers_grid():
    ramp = torch.linspace(0, 1, 5).view(1, 1, 1, 5).expand(1, 4, 5, 5) * torch.arange(4.0).view(1, 4, 1, 1)
    coarse = torch.nn.functional.interpolate(ramp, size=(3, 3), mode="bilinear", align_corners=True)
    loss = run_method(output(coarse, (33, 33)), output(ramp, (33, 33)))
    assert loss.item() == pytest.approx(0, abs=1e-7)


def test_method_compares_the_same_places_of_differently_padded_images():
    def plane(padded: int, cells: int) -> SegOutput:
        """Logits that are a linear function of the pixel, sampled on `cells` cells over `padded` pixels."""
        x = torch.linspace(0, padded - 1, cells) / 100
        return output(
            torch.arange(4.0).view(1, 4, 1, 1) * x.view(1, 1, 1, -1).expand(1, 1, cells, -1), (padded, padded)
        )

    loss = run_method(plane(49, 13), plane(33, 9))
    assert loss.item() == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("reduction", get_args(KdReduction))
def test_the_mean_over_shards_of_a_batch_is_the_batchs_loss_in_every_reduction(pair, reduction):
    """Processes and accumulation average gradients; a sum over the batch must add up all the same."""
    student, teacher = (output(maps, (17, 17)) for maps in pair)
    whole = run_method(student, teacher, reduction=reduction)
    shards = [
        run_method(*(output(maps[i : i + 1], (17, 17)) for maps in pair), reduction=reduction, shards=2)
        for i in (0, 1)
    ]
    torch.testing.assert_close(sum(shards) / 2, whole, rtol=EXACT, atol=0)


def test_method_keeps_its_coordinates_exact_in_half_precision():
    x = torch.linspace(0, 1, 61).bfloat16()
    fine = torch.arange(4.0).view(1, 4, 1, 1) * x.view(1, 1, 1, -1).expand(1, 1, 61, -1)
    student = output(fine.bfloat16(), (61, 61))
    teacher = output(fine[..., :49, :49].bfloat16(), (49, 49))
    assert run_method(student, teacher).item() == pytest.approx(0, abs=1e-7)
