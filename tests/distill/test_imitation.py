"""The imitation loss in both normalisations."""

import pytest
import torch
from torch import Tensor

from distill.losses.imitation import imitation
from modelpack.errors import ShapeError

EXACT = 1e-12
"""float64, relative."""


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 3, 5, 4, 6, generator=generator, dtype=torch.float64)
    return student, 2 * teacher + 1


def test_published_sums_over_an_image_and_averages_over_images(pair):
    student, teacher = pair
    expected = sum(
        (s - t) ** 2 for s, t in zip(student.flatten().tolist(), teacher.flatten().tolist(), strict=True)
    )
    assert imitation(student, teacher).item() == pytest.approx(expected / 3, rel=EXACT)


def test_per_element_of_the_teachers_mean_is_one(pair):
    _, teacher = pair
    mean = teacher.mean(dim=(1, 2, 3), keepdim=True).expand_as(teacher)
    assert imitation(mean, teacher, normalisation="per_element").item() == pytest.approx(1, rel=EXACT)


def test_per_element_does_not_depend_on_scale_size_or_width(pair):
    student, teacher = pair
    expected = imitation(student, teacher, normalisation="per_element")
    larger = [(100 * m).repeat(1, 2, 3, 1) for m in (student, teacher)]
    torch.testing.assert_close(imitation(*larger, normalisation="per_element"), expected, rtol=EXACT, atol=0)


def test_per_element_gradient_of_a_batch_is_the_mean_over_its_shards(pair):
    student, teacher = pair
    leaf = student.requires_grad_()
    (whole,) = torch.autograd.grad(imitation(leaf, teacher, normalisation="per_element"), leaf)
    shards = [
        torch.autograd.grad(imitation(leaf[i : i + 1], teacher[i : i + 1], normalisation="per_element"), leaf)
        for i in range(3)
    ]
    torch.testing.assert_close(sum(grad for (grad,) in shards) / 3, whole, rtol=EXACT, atol=EXACT)


def test_per_element_survives_a_flat_teacher_map(pair):
    student = pair[0].float()
    for value in (0.0, 0.1, 1000.0):
        teacher = torch.full_like(student, value)
        loss = imitation(student, teacher, normalisation="per_element")
        torch.testing.assert_close(loss, (student - teacher).square().mean())


@pytest.mark.parametrize("normalisation", ["published", "per_element"])
def test_is_zero_with_zero_gradient_for_equal_maps(pair, normalisation):
    _, teacher = pair
    student = teacher.clone().requires_grad_()
    loss = imitation(student, teacher, normalisation=normalisation)
    loss.backward()
    assert loss.item() == 0
    assert student.grad.abs().max() == 0


@pytest.mark.parametrize("normalisation", ["published", "per_element"])
def test_gradient_is_the_numerical_one(pair, normalisation):
    student, teacher = pair
    assert torch.autograd.gradcheck(
        lambda s: imitation(s, teacher, normalisation=normalisation), student.requires_grad_()
    )


def test_teacher_receives_no_gradient(pair):
    student, teacher = (m.requires_grad_() for m in pair)
    imitation(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


def test_squares_beyond_half_precision_do_not_overflow():
    student = torch.full((1, 64, 8, 8), 60_000.0, dtype=torch.float16, requires_grad=True)
    loss = imitation(student, -student.detach())
    loss.backward()
    assert loss.item() == pytest.approx(64 * 64 * 120_000.0**2, rel=1e-3)
    assert loss.dtype == torch.float32


def test_autocast_around_it_changes_nothing(pair):
    student, teacher = (m.float() for m in pair)
    with torch.autocast("cpu", torch.bfloat16):
        inside = imitation(student, teacher)
    assert torch.equal(inside, imitation(student, teacher))


def test_unequal_shapes_are_named(pair):
    student, teacher = pair
    with pytest.raises(ShapeError, match=r"student \(3, 4, 4, 6\) and teacher \(3, 5, 4, 6\).*Align"):
        imitation(student[:, :4], teacher)
