"""Vectors divided by their length: what cosine similarities are taken of."""

import torch
from torch import Tensor

from distill.losses.precision import outside_autocast, widen

SHORTEST = 1e-12
"""Published: lengths are clamped below at this."""


@outside_autocast
def unit_vectors(maps: Tensor, dim: int = 1) -> Tensor:
    """Of length 1 along `dim`, same shape, float32 (float64 for float64 maps); a zero vector stays zero.

    A zero vector receives the gradient 0. By the clamp it would be 1e12 times the one that comes in: harmless
    where a ReLU stops it, as in the published networks, but infinite in half precision, and then NaN.
    """
    maps = widen(maps)
    length = torch.linalg.vector_norm(maps, dim=dim, keepdim=True)
    return maps * torch.where(length > 0, 1 / length.clamp(min=SHORTEST), 0)
