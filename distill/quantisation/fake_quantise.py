"""Fake quantisation: values are put on the int8 grid that the deployed graph has, and stay float.

Symmetric, without a zero point, which is what TensorRT takes: scale * clamp(round(x / scale), -128, 127).
Gradients are straight-through: 1 where nothing is clipped, 0 elsewhere. The gradient of an activation's
scale is that of Esser et al., "Learned Step Size Quantization", ICLR 2020, with its factor
1 / sqrt(values * 127). Ours differs in that the logarithm is learned, so that the scale stays positive; its
gradient is theirs divided by the scale, so that plain gradient descent changes the scale as theirs would.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

LOWEST, HIGHEST = -128, 127
"""Of int8."""
_SMALLEST_SCALE = 1e-8
"""For channels whose weights are all zero."""


def weight_scales(weight: Tensor, *, per_channel: bool = True) -> Tensor:
    """The largest absolute weight / 127, float32: of each output channel, (out,), or of all, ().

    No gradient reaches the weight.
    """
    sizes = weight.detach().float().abs()
    largest = sizes.flatten(1).amax(1) if per_channel else sizes.amax()
    return (largest / HIGHEST).clamp(min=_SMALLEST_SCALE)


def fake_quantise_weight(weight: Tensor, scales: Tensor) -> Tensor:
    """weight: (out, ...) on the grid of each output channel, float32; scales: (out,), or () for one grid."""
    zeros = torch.zeros_like(scales, dtype=torch.int32)
    if scales.ndim == 0:
        return torch.fake_quantize_per_tensor_affine(weight.float(), scales, zeros, LOWEST, HIGHEST)
    return torch.fake_quantize_per_channel_affine(weight.float(), scales, zeros, 0, LOWEST, HIGHEST)


def fake_quantise(values: Tensor, log_scale: Tensor) -> Tensor:
    """values: float32 of any shape, images first; log_scale: () natural logarithm of their one scale."""
    quantised: Tensor = _FakeQuantise.apply(values, log_scale)
    return quantised


class _FakeQuantise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, values: Tensor, log_scale: Tensor) -> Tensor:
        scale = log_scale.exp()
        ctx.save_for_backward(values, scale)
        zero = torch.zeros((), dtype=torch.int32, device=values.device)
        return torch.fake_quantize_per_tensor_affine(values, scale, zero, LOWEST, HIGHEST)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        values, scale = ctx.saved_tensors
        steps = values / scale
        rounded = steps.round()
        is_inside = (rounded >= LOWEST) & (rounded <= HIGHEST)
        # d(scale * clamp(round(x / scale))) / d(scale), the rounding straight-through
        slope = rounded.clamp(LOWEST, HIGHEST) - steps * is_inside
        factor = (values[0].numel() * HIGHEST) ** -0.5
        return gradient * is_inside, (gradient * slope).sum() * factor / scale
