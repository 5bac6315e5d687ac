"""Attention transfer: the loss, and the method around it."""

import math

import pytest
import torch
from torch import Tensor

from distill.losses.attention import attention_transfer
from modelpack.errors import ShapeError
from tests.distill.feature_pairs import built, noise, output_of, terms_of

EXACT = 1e-12
"""float64, relative."""


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    """Maps of different widths."""
    return noise(3, 4, 5, 6, seed=1), 2 * noise(3, 7, 5, 6, seed=2) + 1


def attention_by_loop(image: Tensor) -> list[float]:
    """One value per pixel of a map (C, H, W)."""
    values = [sum(v * v for v in pixel) / len(pixel) for pixel in image.flatten(1).T.tolist()]
    length = math.sqrt(sum(value * value for value in values))
    return [value / length for value in values]


def test_agrees_with_the_formula_pixel_by_pixel(pair):
    errors = [
        (s - t) ** 2
        for student, teacher in zip(*pair, strict=True)
        for s, t in zip(attention_by_loop(student), attention_by_loop(teacher), strict=True)
    ]
    assert attention_transfer(*pair).item() == pytest.approx(sum(errors) / len(errors), rel=EXACT)


def test_gradient_is_the_numerical_one(pair):
    assert torch.autograd.gradcheck(lambda s: attention_transfer(s, pair[1]), pair[0].requires_grad_())


def test_scale_and_sign_of_a_map_do_not_matter(pair):
    student, teacher = pair
    assert attention_transfer(-3 * teacher, teacher).item() == pytest.approx(0, abs=1e-30)
    expected = attention_transfer(student, teacher)
    torch.testing.assert_close(attention_transfer(-5 * student, teacher), expected, rtol=EXACT, atol=0)


def test_a_batch_costs_the_mean_of_its_images(pair):
    images = [attention_transfer(pair[0][i : i + 1], pair[1][i : i + 1]) for i in range(3)]
    torch.testing.assert_close(attention_transfer(*pair), sum(images) / 3, rtol=EXACT, atol=0)


def test_teacher_receives_no_gradient(pair):
    student, teacher = (m.requires_grad_() for m in pair)
    attention_transfer(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


def test_a_map_of_zeros_costs_the_teachers_attention_and_stays_finite(pair):
    student = torch.zeros_like(pair[0]).requires_grad_()
    loss = attention_transfer(student, pair[1])
    loss.backward()
    assert loss.item() == pytest.approx(1 / 30, rel=EXACT)
    assert student.grad.abs().max() == 0


def test_one_pixel_is_all_the_attention_there_is(pair):
    assert attention_transfer(*(m[..., :1, :1] for m in pair)).item() == pytest.approx(0, abs=1e-30)


def test_extreme_half_precision_maps_give_a_finite_float32():
    student = torch.full((1, 8, 2, 2), 6e4, dtype=torch.float16).requires_grad_()
    loss = attention_transfer(student, torch.tensor([6e4, 0, 0, 0]).view(1, 1, 2, 2).half())
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx((0.25 + 3 * 0.25) / 4, rel=1e-6)
    assert torch.isfinite(student.grad).all()


def test_autocast_around_it_changes_nothing(pair):
    student, teacher = (m.float() for m in pair)
    with torch.autocast("cpu", torch.bfloat16):
        inside = attention_transfer(student, teacher)
    assert torch.equal(inside, attention_transfer(student, teacher))


def test_unequal_grids_are_named(pair):
    with pytest.raises(ShapeError, match=r"student \(3, 4, 5, 5\) and teacher \(3, 7, 5, 6\).*Resize"):
        attention_transfer(pair[0][..., :5], pair[1])


def test_method_compares_heads_of_any_width_on_the_teachers_grid():
    """The teacher's columns stand where the student's do, and between them."""
    coarse = torch.arange(3.0).expand(1, 2, 3, 3)
    fine = torch.nn.functional.interpolate(coarse[:, :1], size=(5, 5), mode="bilinear", align_corners=True)
    terms = terms_of(built("at", 2, 1), output_of(coarse), output_of(fine))
    assert terms["attention"].item() == pytest.approx(0, abs=1e-12)


def test_method_trains_nothing_of_its_own():
    assert list(built("at", 2, 3).parameters()) == []
