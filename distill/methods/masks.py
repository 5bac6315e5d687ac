"""Which pixels of the student's map the generator must fill in. Masks are (N, 1, H, W): 1 kept, 0 erased."""

import torch
from torch import Tensor


def random_mask(uniform: Tensor, ratio: float) -> Tensor:
    """Erase about `ratio` of the pixels: those whose draw is above 1 - ratio. Survivors are not rescaled.

    uniform: (N, 1, H, W) draws from [0, 1); the mask has its type.
    """
    return (uniform <= 1 - ratio).to(uniform.dtype)


def centre_mask(height: int, width: int, device: torch.device | None = None) -> Tensor:
    """(1, 1, height, width) float32: the middle third of rows and columns is erased, a ninth of the area."""
    mask = torch.ones(1, 1, height, width, device=device)
    mask[..., height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = 0
    return mask
