"""Pair-wise distillation: both published forms, whatever the size of the map."""

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from distill.losses.pair_wise import pair_wise
from modelpack.errors import SettingsError, ShapeError

EXACT = 1e-12
"""float64, relative."""
FORMS = ["pool2", "half_map"]


def maps(channels: int, height: int, width: int, seed: int = 0, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, height, width, generator=generator, dtype=torch.float64)


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    """Maps of odd sides and different widths."""
    return maps(4, 5, 7), maps(6, 5, 7, seed=1)


def cosines_by_loop(image: Tensor, window: tuple[int, int]) -> list[float]:
    """Of all ordered pairs of max-pooled nodes of (C, H, W), one number at a time."""
    nodes = []
    for top, left in itertools.product(
        range(0, image.shape[1], window[0]), range(0, image.shape[2], window[1])
    ):
        cell = image[:, top : top + window[0], left : left + window[1]].flatten(1).tolist()
        nodes.append([max(channel) for channel in cell])
    unit = [[value / math.hypot(*node) for value in node] for node in nodes]
    return [sum(a * b for a, b in zip(one, other, strict=True)) for one in unit for other in unit]


@pytest.mark.parametrize(
    ("form", "scale", "window"),
    [("pool2", 0.5, (2, 2)), ("half_map", 0.5, (2, 3)), ("half_map", 0.3, (1, 2))],
)
def test_is_the_mean_squared_difference_of_all_cosines(pair, form, scale, window):
    squares = []
    for student, teacher in zip(*pair, strict=True):
        both = zip(cosines_by_loop(student, window), cosines_by_loop(teacher, window), strict=True)
        squares += [(s - t) ** 2 for s, t in both]
    got = pair_wise(*pair, form=form, pool_scale=scale).item()
    assert got == pytest.approx(sum(squares) / len(squares), rel=1e-7 if form == "half_map" else EXACT)


def by_whole_matrices(student: Tensor, teacher: Tensor) -> Tensor:
    """`pool2` as autograd has it."""
    units = [F.normalize(F.max_pool2d(m, 2, ceil_mode=True).flatten(2), dim=1) for m in (student, teacher)]
    ours, theirs = (unit.mT @ unit for unit in units)
    return (ours - theirs).square().mean()


@pytest.mark.parametrize(("count", "height", "width"), [(3, 6, 4), (2, 51, 64)])
def test_maps_of_one_block_and_of_many_give_the_loss_and_gradient_of_whole_matrices(count, height, width):
    student, teacher = (maps(3, height, width, seed=seed, count=count) for seed in (0, 1))
    leaf = student.requires_grad_()
    losses = [function(leaf, teacher) for function in (pair_wise, by_whole_matrices)]
    ours, theirs = (torch.autograd.grad(loss, leaf)[0] for loss in losses)
    torch.testing.assert_close(losses[0], losses[1], rtol=EXACT, atol=0)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-15)


def test_keeps_nothing_larger_than_the_map_for_the_backward_pass():
    student, teacher = maps(2, 64, 64).requires_grad_(), maps(2, 64, 64, seed=1)
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
        pair_wise(student, teacher)
    assert 0 < max(sizes) <= student.numel()


def test_gradient_of_pool2_is_the_numerical_one(pair):
    student, teacher = pair
    assert torch.autograd.gradcheck(lambda s: pair_wise(s, teacher), student.requires_grad_())


def test_norm_of_half_map_is_a_constant_in_the_backward_pass():
    """So a pair of parallel nodes is not left in peace: its cosine could grow by longer vectors."""
    student, teacher = torch.ones(1, 1, 1, 2).requires_grad_(), torch.tensor([[[[1.0, -1.0]]]])
    gradients = {}
    for form in FORMS:
        (gradients[form],) = torch.autograd.grad(
            pair_wise(student.expand(1, 1, 2, 2), teacher.expand(1, 1, 2, 2), form=form), student
        )
    assert gradients["pool2"].abs().max() < 1e-6
    assert gradients["half_map"].abs().min() > 1


@pytest.mark.parametrize("form", FORMS)
def test_is_zero_with_zero_gradient_for_equal_maps(pair, form):
    student = pair[0].clone().requires_grad_()
    loss = pair_wise(student, pair[0], form=form)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-15)
    assert student.grad.abs().max() < 1e-15


@pytest.mark.parametrize("form", FORMS)
def test_teacher_receives_no_gradient(pair, form):
    student, teacher = (m.requires_grad_() for m in pair)
    pair_wise(student, teacher, form=form).backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


@pytest.mark.parametrize("form", FORMS)
def test_a_node_that_is_zero_in_all_channels_receives_no_gradient(form):
    student = torch.cat([torch.zeros(1, 3, 4, 2), torch.ones(1, 3, 4, 2)], dim=3).requires_grad_()
    pair_wise(student, maps(3, 4, 4, count=1).float(), form=form).backward()
    assert torch.isfinite(student.grad).all()
    assert student.grad[..., :2].abs().max() == 0


@pytest.mark.parametrize("form", FORMS)
def test_a_map_of_one_pixel_has_nothing_to_say(form):
    assert pair_wise(maps(3, 1, 1), maps(3, 1, 1, seed=1), form=form).item() == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_extreme_half_precision_gives_a_finite_float32(dtype):
    student = (6e4 * maps(3, 4, 4).clamp(-1, 1)).to(dtype).requires_grad_()
    loss = pair_wise(student, maps(3, 4, 4, seed=1).to(dtype))
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    assert torch.isfinite(student.grad).all()


def test_autocast_around_it_changes_nothing(pair):
    student, teacher = (m.float() for m in pair)
    with torch.autocast("cpu", torch.bfloat16):
        inside = pair_wise(student, teacher)
    assert torch.equal(inside, pair_wise(student, teacher))


def test_unequal_grids_are_named(pair):
    with pytest.raises(ShapeError, match=r"student \(2, 4, 4, 7\) and teacher \(2, 6, 5, 7\).*Resize"):
        pair_wise(pair[0][:, :, :4], pair[1])


@pytest.mark.parametrize("scale", [0.0, 1.5])
def test_windows_larger_than_the_map_or_empty_are_refused(pair, scale):
    with pytest.raises(SettingsError, match=f"pool_scale is {scale}"):
        pair_wise(*pair, form="half_map", pool_scale=scale)
