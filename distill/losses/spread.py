"""How far one image's teacher features are spread: the unit in which `per_element` losses measure errors.

The statistic is taken over each image's own map, not over the batch, so splitting a batch over processes or
accumulation steps changes no gradient. No gradient passes through it.
"""

from typing import Literal

import torch
from torch import Tensor

LossNormalisation = Literal["published", "per_element"]
"""`published`: the authors' sums. `per_element`: means in units of the teacher's spread."""

_FLAT = 1e-5
"""A map whose spread is below this share of its magnitude is flat up to rounding, and left unscaled."""


def variance(teacher: Tensor) -> Tensor:
    """Mean squared deviation of (N, C, H, W) from each image's mean, (N,)."""
    values = teacher.detach().flatten(1)
    return _or_one(values.var(dim=1, correction=0), _FLAT**2 * values.square().mean(dim=1))


def standard_deviation(teacher: Tensor) -> Tensor:
    """Square root of `variance`, (N,)."""
    return variance(teacher).sqrt()


def mean_absolute_deviation(teacher: Tensor) -> Tensor:
    """Mean absolute deviation of (N, C, H, W) from each image's mean, (N,)."""
    values = teacher.detach().flatten(1)
    deviation = (values - values.mean(dim=1, keepdim=True)).abs().mean(dim=1)
    return _or_one(deviation, _FLAT * values.abs().mean(dim=1))


def _or_one(spread: Tensor, floor: Tensor) -> Tensor:
    return torch.where(spread > floor, spread, torch.ones_like(spread))
