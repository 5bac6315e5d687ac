"""The discriminator's layers against their definitions."""

import pytest
import torch
from torch import Tensor, nn

from distill.methods.discriminator import Discriminator, LogitNorm, SelfAttention, SpectralConv
from modelpack.errors import ShapeError

ROUNDING = 1e-5


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("size", "scores"), [((64, 64), (1, 1)), ((79, 128), (1, 5)), ((96, 65), (3, 1))])
def test_scores_are_as_many_as_published(size, scores):
    assert Discriminator(3, width=2)(noise(2, 3, *size)).shape == (2, 1, *scores)


def test_published_width_has_the_published_layers():
    """4x4 convolutions with biases, attention with an eighth of the channels, one gamma each, the norm."""
    widths = [19, 64, 128, 256, 512]
    convolutions = sum(16 * a * b + b for a, b in zip(widths, [*widths[1:], 1], strict=True))
    attentions = sum(2 * (c // 8) * (c + 1) + c * (c + 1) + 1 for c in (256, 512))
    parameters = sum(p.numel() for p in Discriminator(19, width=64).parameters())
    assert parameters == convolutions + attentions + 2 * 19


def test_a_map_that_is_too_small_is_named():
    with pytest.raises(
        ShapeError, match=r"at least 64x64, got 63x128\. Use larger crops.*small_maps=enlarge"
    ):
        Discriminator(3, width=2)(noise(2, 3, 63, 128))


def test_computes_in_float32_under_autocast():
    discriminator, maps = Discriminator(3, width=2), noise(2, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        inside = discriminator(maps)
    assert inside.dtype == torch.float32


def test_weight_in_use_is_divided_by_one_step_of_power_iteration():
    layer = SpectralConv(3, 5)
    matrix, v = layer.weight.detach().flatten(1), layer.weight.detach().flatten(1).T @ layer.u
    v = v / v.norm()
    u = matrix @ v / (matrix @ v).norm()
    torch.testing.assert_close(layer.next_weight(), layer.weight / (u @ matrix @ v))
    torch.testing.assert_close((layer.u, layer.v), (u, v))


def test_power_iteration_goes_on_in_evaluation_and_finds_the_largest_singular_value():
    layer = SpectralConv(3, 5).eval()
    with torch.no_grad():
        for _ in range(100):
            layer(noise(1, 3, 4, 4))
        largest = torch.linalg.svdvals(layer.next_weight().flatten(1))[0]
    assert largest.item() == pytest.approx(1, rel=ROUNDING)


def test_u_and_v_are_constants_in_the_backward_pass():
    layer = SpectralConv(2, 3).double()
    effective = layer.next_weight()
    (gradient,) = torch.autograd.grad(effective.square().sum(), layer.weight)
    matrix, u, v = layer.weight.detach().flatten(1), layer.u, layer.v
    sigma = u @ matrix @ v
    expected = 2 * matrix / sigma**2 - 2 * matrix.square().sum() / sigma**3 * torch.outer(u, v)
    torch.testing.assert_close(gradient.flatten(1), expected)


def test_norm_is_batch_norm_of_the_batch_at_hand():
    ours, theirs = LogitNorm(3), nn.BatchNorm2d(3)
    for norm in (ours, theirs):
        norm.weight.data.copy_(torch.tensor([0.5, 1.0, 2.0]))
        norm.bias.data.copy_(torch.tensor([0.1, 0.0, -1.0]))
    maps = 3 * noise(4, 3, 5, 6) + 2
    leaves = [maps.clone().requires_grad_() for _ in range(2)]
    outputs = [norm(leaf) for norm, leaf in zip((ours, theirs), leaves, strict=True)]
    for output in outputs:
        (output * noise(4, 3, 5, 6, seed=1)).sum().backward()
    torch.testing.assert_close(outputs[0], outputs[1], rtol=ROUNDING, atol=ROUNDING)
    torch.testing.assert_close(leaves[0].grad, leaves[1].grad, rtol=ROUNDING, atol=ROUNDING)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, rtol=ROUNDING, atol=ROUNDING)


def test_norm_can_be_differentiated_twice():
    assert torch.autograd.gradgradcheck(LogitNorm(2).double(), noise(2, 2, 2, 1).double().requires_grad_())


def test_attention_begins_as_identity():
    maps = noise(2, 8, 3, 4)
    assert torch.equal(SelfAttention(8)(maps), maps)


def test_attention_adds_the_values_of_all_positions_by_softmax_over_keys():
    torch.manual_seed(0)
    layer, maps = SelfAttention(8), noise(1, 8, 2, 3)
    layer.gamma.data.fill_(0.7)
    query, key, value = (part(maps)[0].flatten(1).T for part in (layer.query, layer.key, layer.value))
    expected = maps[0].flatten(1).T.clone()
    for position in range(6):
        weights = torch.softmax(torch.stack([query[position] @ key[other] for other in range(6)]), 0)
        expected[position] += 0.7 * sum(weights[other] * value[other] for other in range(6))
    torch.testing.assert_close(layer(maps)[0].flatten(1).T, expected)
