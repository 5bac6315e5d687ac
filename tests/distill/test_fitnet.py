"""Hint learning: the loss, and the method around it."""

import pytest
import torch
from torch import Tensor

from distill.losses.hint import hint
from modelpack.errors import ShapeError
from tests.distill.feature_pairs import built, noise, output_of, terms_of

EXACT = 1e-12
"""float64, relative."""


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    return noise(2, 3, 4, 5, seed=1), 2 * noise(2, 3, 4, 5, seed=2) + 1


def test_is_the_mean_over_all_elements(pair):
    errors = [(s - t) ** 2 for s, t in zip(*(m.flatten().tolist() for m in pair), strict=True)]
    assert hint(*pair).item() == pytest.approx(sum(errors) / len(errors), rel=EXACT)


def test_gradient_is_the_numerical_one(pair):
    assert torch.autograd.gradcheck(lambda s: hint(s, pair[1]), pair[0].requires_grad_())


def test_teacher_receives_no_gradient(pair):
    student, teacher = (m.requires_grad_() for m in pair)
    hint(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


def test_squares_beyond_half_precision_do_not_overflow():
    student = torch.full((1, 8, 2, 2), 6e4, dtype=torch.float16, requires_grad=True)
    loss = hint(student, -student.detach())
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx((2 * float(torch.tensor(6e4).half())) ** 2, rel=1e-6)


def test_autocast_around_it_changes_nothing(pair):
    student, teacher = (m.float() for m in pair)
    with torch.autocast("cpu", torch.bfloat16):
        inside = hint(student, teacher)
    assert torch.equal(inside, hint(student, teacher))


def test_unequal_shapes_are_named(pair):
    with pytest.raises(ShapeError, match=r"student \(2, 2, 4, 5\) and teacher \(2, 3, 4, 5\).*Align"):
        hint(pair[0][:, :2], pair[1])


@pytest.mark.parametrize("teacher_channels", [2, 3])
def test_method_aligns_by_a_convolution_without_bias_for_equal_widths_too(teacher_channels):
    method = built("fitnet", 2, teacher_channels)
    student, teacher = noise(1, 2, 3, 3).float(), noise(1, teacher_channels, 3, 3, seed=2).float()
    terms = terms_of(method, output_of(student), output_of(teacher))
    assert {name: tuple(p.shape) for name, p in method.named_parameters()} == {
        "align.weight": (teacher_channels, 2, 1, 1)
    }
    aligned = torch.einsum("oc,nchw->nohw", method.align.weight[:, :, 0, 0], student)
    torch.testing.assert_close(terms["hint"], (aligned - teacher).square().mean())


def test_method_brings_the_student_onto_the_teachers_grid():
    method = built("fitnet", 1, 1)
    torch.nn.init.ones_(method.align.weight)
    coarse = torch.arange(3.0).expand(1, 1, 3, 3)
    fine = torch.arange(0, 2.1, 0.5).expand(1, 1, 5, 5)
    assert terms_of(method, output_of(coarse), output_of(fine))["hint"].item() == pytest.approx(0, abs=1e-12)


def test_convolution_is_trained_with_the_student():
    method = built("fitnet", 2, 3)
    terms = terms_of(method, output_of(noise(1, 2, 3, 3).float()), output_of(noise(1, 3, 3, 3).float()))
    terms["hint"].backward()
    assert method.align.weight.grad.abs().sum() > 0
