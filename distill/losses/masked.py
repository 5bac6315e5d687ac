"""MasKD: squared errors within the receptive regions that learned tokens find in the teacher's map.

Source: Huang et al., "Masked Distillation with Receptive Tokens", ICLR 2023, and the authors' code. A mask is
multiplied with both maps before they are compared, so it counts squared in the error and once in what the
error is divided by. Ours holds no masked copies of the maps: the sums over pixels are one matrix product.
"""

import torch
from torch import Tensor

from distill.losses.precision import outside_autocast, widen
from modelpack.errors import ShapeError

_NO_AREA = 1e-5
"""Published: added to the area of a mask."""
_NO_OVERLAP = 1e-12
"""Published: added to the squared area of each of two masks."""


@outside_autocast
def receptive_masks(maps: Tensor, tokens: Tensor) -> Tensor:
    """How much each pixel belongs to each token: sigmoid of their inner products.

    Args:
        maps: (N, C, H, W), the teacher's logits or features.
        tokens: (T, C).

    Returns:
        (N, T, H, W) in (0, 1), float32 (float64 for float64 maps).
    """
    if maps.ndim != 4 or tokens.ndim != 2 or maps.shape[1] != tokens.shape[1]:
        raise ShapeError(
            f"receptive_masks needs maps (N, C, H, W) and tokens (T, C) of one width, got "
            f"{tuple(maps.shape)} and {tuple(tokens.shape)}. Learn the tokens on the map they are used on."
        )
    products = widen(tokens) @ widen(maps).flatten(2)
    return products.sigmoid().reshape(maps.shape[0], -1, *maps.shape[2:])


@outside_autocast
def mask_overlap(masks: Tensor) -> Tensor:
    """Dice coefficient of two masks, mean over images and over ordered pairs of different tokens.

    What keeps tokens from finding the same region. masks: (N, T, H, W). Returns (), 0 for a single token.
    """
    flat = widen(masks).flatten(2)
    if flat.shape[1] == 1:
        return flat.sum() * 0
    products = flat @ flat.mT
    areas = products.diagonal(dim1=1, dim2=2)
    dice = 2 * products / (areas[:, :, None] + areas[:, None, :] + 2 * _NO_OVERLAP)
    is_pair = ~torch.eye(flat.shape[1], dtype=torch.bool, device=flat.device)
    return dice[:, is_pair].mean()


@outside_autocast
def masked_error(student: Tensor, teacher: Tensor, masks: Tensor) -> Tensor:
    """The published form for segmentation: half the mean over images, tokens and channels.

    Args:
        student, teacher: (N, C, H, W), same shape.
        masks: (N, T, H, W), of the teacher.

    Returns:
        () float32 (float64 for float64 maps), >= 0. No gradient reaches `teacher` or `masks`.
    """
    sums, areas = _sums_and_areas(student, teacher, masks)
    return 0.5 * (sums / (areas + _NO_AREA)).mean()


@outside_autocast
def weighted_masked_error(student: Tensor, teacher: Tensor, masks: Tensor, token_weights: Tensor) -> Tensor:
    """The published form for detection: tokens count by their weights, nothing is halved or added to areas.

    token_weights: (N, T), of the teacher, summing to 1 for each image. The rest: see `masked_error`.
    """
    sums, areas = _sums_and_areas(student, teacher, masks)
    errors = (sums / areas.clamp(min=torch.finfo(areas.dtype).tiny)).mean(dim=2)
    return (errors * widen(token_weights.detach())).sum(dim=1).mean()


def _sums_and_areas(student: Tensor, teacher: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Masked squared errors summed over pixels (N, T, C), and what each mask covers (N, T, 1)."""
    is_fit = masks.ndim == 4 and masks.shape[::2] == student.shape[::2] and masks.shape[3] == student.shape[3]
    if student.ndim != 4 or student.shape != teacher.shape or not is_fit:
        raise ShapeError(
            f"masked errors need equal maps (N, C, H, W) and masks (N, T, H, W), got student "
            f"{tuple(student.shape)}, teacher {tuple(teacher.shape)} and masks {tuple(masks.shape)}. "
            "Align the student's channels and resize its map first."
        )
    flat = widen(masks.detach()).flatten(2)
    squared_error = (widen(student) - widen(teacher.detach())).square().flatten(2)
    return flat.square() @ squared_error.mT, flat.sum(dim=2, keepdim=True)
