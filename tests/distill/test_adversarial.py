"""Losses of student and discriminator, and the gradient penalty."""

import pytest
import torch
from torch import Tensor

from distill.losses.adversarial import deceiving_loss, gradient_penalty, telling_loss
from modelpack.errors import ShapeError

EXACT = 1e-12
"""float64, relative."""
LOSSES = ["hinge", "wgan_gp"]


@pytest.fixture
def scores() -> tuple[Tensor, Tensor]:
    student, teacher = torch.randn(2, 3, 1, 2, 4, generator=seeded(), dtype=torch.float64)
    return 2 * student, 2 * teacher


@pytest.fixture
def maps() -> tuple[Tensor, Tensor]:
    student, teacher = torch.randn(2, 3, 2, 4, 5, generator=seeded(), dtype=torch.float64)
    return student, teacher


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_student_minimises_minus_the_mean_score(scores):
    expected = -sum(scores[0].flatten().tolist()) / 24
    assert deceiving_loss(scores[0]).item() == pytest.approx(expected, rel=EXACT)


def test_hinge_asks_for_a_margin_of_one_on_both_sides(scores):
    student, teacher = (s.flatten().tolist() for s in scores)
    expected = sum(max(0, 1 - t) for t in teacher) / 24 + sum(max(0, 1 + s) for s in student) / 24
    assert telling_loss(*scores, loss="hinge").item() == pytest.approx(expected, rel=EXACT)


def test_wasserstein_is_the_difference_of_the_mean_scores(scores):
    student, teacher = (sum(s.flatten().tolist()) / 24 for s in scores)
    assert telling_loss(*scores, loss="wgan_gp").item() == pytest.approx(student - teacher, rel=1e-10)


@pytest.mark.parametrize("loss", LOSSES)
def test_discriminator_lowers_the_students_scores_and_raises_the_teachers(scores, loss):
    student, teacher = (0.1 * s for s in scores)
    student.requires_grad_()
    teacher.requires_grad_()
    telling_loss(student, teacher, loss=loss).backward()
    assert (student.grad > 0).all()
    assert (teacher.grad < 0).all()


def test_penalty_of_a_linear_critic_is_the_squared_distance_of_its_norm_from_one(maps):
    slope = torch.randn(2, 4, 5, generator=seeded(), dtype=torch.float64)
    share = torch.rand(3, 1, 1, 1, generator=seeded())
    penalty = gradient_penalty(*maps, share, lambda m: (m * slope).sum((1, 2, 3)))
    assert penalty.item() == pytest.approx((slope.norm().item() - 1) ** 2, rel=EXACT)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_penalty_is_taken_between_the_two_maps_image_by_image(maps, share):
    """The gradient of half the sum of squares is the map itself."""
    student, teacher = maps
    between = share * teacher + (1 - share) * student
    expected = sum((image.norm().item() - 1) ** 2 for image in between) / 3
    penalty = gradient_penalty(*maps, torch.full((3, 1, 1, 1), share), lambda m: m.square() / 2)
    assert penalty.item() == pytest.approx(expected, rel=EXACT)


def test_penalty_trains_the_critic_and_neither_network(maps):
    student, teacher = (m.requires_grad_() for m in maps)
    slope = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    gradient_penalty(student, teacher, torch.rand(3, 1, 1, 1), lambda m: slope * m).backward()
    count = 2 * 4 * 5
    assert slope.grad.item() == pytest.approx(2 * (2 * count**0.5 - 1) * count**0.5, rel=EXACT)
    assert student.grad is None
    assert teacher.grad is None


def test_penalty_of_a_critic_without_slope_is_one_with_finite_gradient(maps):
    slope = torch.zeros((), dtype=torch.float64, requires_grad=True)
    penalty = gradient_penalty(*maps, torch.rand(3, 1, 1, 1), lambda m: slope * m)
    penalty.backward()
    assert penalty.item() == 1
    assert torch.isfinite(slope.grad)


@pytest.mark.parametrize("loss", LOSSES)
def test_half_precision_scores_give_a_float32(scores, loss):
    student, teacher = (s.half() for s in scores)
    assert telling_loss(student, teacher, loss=loss).dtype == torch.float32
    assert deceiving_loss(student).dtype == torch.float32


def test_unequal_shapes_are_named(scores, maps):
    with pytest.raises(ShapeError, match=r"student scores \(3, 1, 1, 4\) and teacher scores \(3, 1, 2, 4\)"):
        telling_loss(scores[0][:, :, :1], scores[1], loss="hinge")
    with pytest.raises(ShapeError, match=r"student \(3, 2, 3, 5\) and teacher \(3, 2, 4, 5\)"):
        gradient_penalty(maps[0][:, :, :3], maps[1], torch.rand(3, 1, 1, 1), torch.sum)
