"""The task loss: what is counted, what it is divided by, and where it must not be NaN."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from distill.losses.task import cross_entropy, task_loss
from distill.networks.output import SegOutput
from modelpack.errors import ShapeError

EXACT = 1e-12
"""float64, relative."""


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def target() -> Tensor:
    labels = torch.randint(0, 5, (2, 17, 25), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    labels[:, :6] = 255
    return labels


def test_is_the_mean_over_labelled_pixels_of_the_upsampled_logits(logits, target):
    full = F.interpolate(logits, size=(17, 25), mode="bilinear", align_corners=True)
    log_probability = full.log_softmax(1)
    total, count = 0.0, 0
    for n, y, x in (target != 255).nonzero().tolist():
        total -= log_probability[n, int(target[n, y, x]), y, x].item()
        count += 1
    assert cross_entropy(logits, target).item() == pytest.approx(total / count, rel=EXACT)


def test_ignored_pixels_receive_no_gradient(target):
    full = torch.randn(2, 5, 17, 25, dtype=torch.float64, requires_grad=True)
    cross_entropy(full, target).backward()
    assert full.grad[:, :, :6].abs().max() == 0
    assert (full.grad[:, :, 6:].abs().sum(1) > 0).all()


def test_is_zero_for_a_certain_and_right_prediction(target):
    certain = 100 * F.one_hot(target.long().clamp(max=4), 5).movedim(-1, 1).double()
    assert cross_entropy(certain, target).item() == pytest.approx(0, abs=1e-12)


def test_gradient_is_the_numerical_one(logits, target):
    assert torch.autograd.gradcheck(lambda z: cross_entropy(z, target), logits.requires_grad_())


def test_a_batch_without_labels_costs_zero_and_keeps_its_graph(logits, target):
    loss = cross_entropy(logits.requires_grad_(), torch.full_like(target, 255))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.abs().max() == 0


def test_shards_divided_by_their_share_of_all_labels_average_to_the_whole(logits, target):
    target[1, 6:12] = 255  # the shards differ in their number of labels
    share = (target != 255).sum() / 2
    shards = [cross_entropy(logits[i : i + 1], target[i : i + 1], valid_pixels=share) for i in range(2)]
    whole = cross_entropy(logits, target)
    torch.testing.assert_close(sum(shards) / 2, whole, rtol=1e-6, atol=0)


def test_logits_of_a_padded_image_are_cut_to_the_labels(logits, target):
    full = F.interpolate(logits, size=(32, 32), mode="bilinear", align_corners=True)[..., :17, :25]
    torch.testing.assert_close(
        cross_entropy(logits, target, padded_size=(32, 32)), cross_entropy(full, target), rtol=EXACT, atol=0
    )


def test_extreme_half_precision_logits_give_a_finite_float32(target):
    half = torch.full((2, 5, 3, 4), 6e4, dtype=torch.float16)
    half[:, 0] = -6e4
    loss = cross_entropy(half.requires_grad_(), target)
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    assert torch.isfinite(half.grad).all()


def test_autocast_around_it_changes_nothing(logits, target):
    with torch.autocast("cpu", torch.bfloat16):
        inside = cross_entropy(logits.float(), target)
    assert torch.equal(inside, cross_entropy(logits.float(), target))


def test_both_heads_are_terms_of_their_own(logits, target):
    output = SegOutput(logits, aux_logits=2 * logits, features={}, padded_size=(17, 25))
    terms = task_loss(output, target, size=(17, 25))
    assert terms.keys() == {"task", "aux"}
    assert terms["task"] == cross_entropy(logits, target)
    assert terms["aux"] == cross_entropy(2 * logits, target)


def test_a_network_without_auxiliary_head_has_no_such_term(logits, target):
    output = SegOutput(logits, aux_logits=None, features={}, padded_size=(17, 25))
    assert task_loss(output, target, size=(17, 25)).keys() == {"task"}


def test_shapes_that_do_not_fit_are_named(logits, target):
    with pytest.raises(ShapeError, match=r"got \(2, 5, 3, 4\) and \(1, 17, 25\)"):
        cross_entropy(logits, target[:1])
