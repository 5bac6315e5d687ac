"""Maps to contrast, and the gradient of a loss of them."""

import torch
from torch import Tensor

EXACT = 1e-12
"""float64, relative: two orders of summation of some hundred terms."""

PUBLISHED = {"groups": 4, "patch": (2, 2), "temperature": 0.5}


def pair(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Student and teacher map."""
    generator = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, *shape, generator=generator, dtype=torch.float64).to(dtype)
    return student, teacher


def gradient(loss_of, *maps: Tensor) -> tuple[Tensor, ...]:
    leaves = [m.detach().clone().requires_grad_() for m in maps]
    return torch.autograd.grad(loss_of(*leaves), leaves)
