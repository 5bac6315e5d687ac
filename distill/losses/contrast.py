"""Omni-contrasting: a student vector shall be nearer to its own teacher vector than to its patch's others.

Source: Fan et al., "Augmentation-free Dense Contrastive Knowledge Distillation for Efficient Semantic
Segmentation" (Af-DCD), NeurIPS 2023, and the authors' code. Channels are cut into `groups` of D contiguous
channels and the map into patches; every (pixel, group) of a patch is a row of D numbers. With d(r, k)
the distance between student row r and teacher row k of the same patch, the loss of a row is

    log(1 + sum over negatives k of exp((d(r, r) - d(r, k)) / temperature)).

Ours takes no gathers and keeps no distances for the backward pass: see `patch_rows.py`.
"""

import math
from typing import Literal

import torch
from torch import Tensor

from distill.losses.patch_rows import Distance, sum_of_row_losses
from distill.losses.precision import outside_autocast, widen
from distill.losses.spread import LossNormalisation, mean_absolute_deviation, standard_deviation
from modelpack.errors import SettingsError, ShapeError

Negatives = Literal["cross_group", "all"]
"""`cross_group` (published code): rows of other groups, at any pixel. `all`: every row but the positive."""


@outside_autocast
def omni_contrast(
    student: Tensor,
    teacher: Tensor,
    *,
    groups: int,
    patch: tuple[int, int],
    temperature: float,
    negatives: Negatives = "cross_group",
    distance: Distance = "l1",
    normalisation: LossNormalisation = "published",
) -> Tensor:
    """Contrast rows of pixels and channel groups within patches.

    Spatial contrasting is groups=1 with negatives="all"; channel contrasting is patch=(1, 1).

    Args:
        student, teacher: (N, C, H, W), same shape, after `Reduce`. Each receives a gradient if it requires
            one: detach the teacher to train with it.
        groups: divides C.
        patch: (height, width) in pixels; divides H and W.
        temperature: > 0, in units of the distance.
        distance: `l1` sums absolute differences over the D channels of a row, `l2` is the Euclidean norm (not
            squared); both have gradient 0 where they vanish.
        normalisation: `published` divides the sum over all rows by N*H*W, so the groups are *summed*.
            `per_element` takes the mean over all rows, and distances are means too: mean absolute difference
            over D in units of the teacher map's mean absolute deviation (l1), or root mean square difference
            in units of its standard deviation (l2), so that one temperature and one weight mean the same for
            every width.

    Returns:
        () float32 (float64 for float64 maps), >= 0, in nats.

    Raises ShapeError for maps that differ or do not divide, SettingsError for a temperature that is not
    positive.
    """
    _check(student, teacher, groups, patch)
    if not temperature > 0:
        raise SettingsError(f"omni_contrast: temperature is {temperature}, it must be above 0.")
    student, teacher = widen(student), widen(teacher)
    images, channels, height, width = student.shape
    pixels = patch[0] * patch[1]
    inverse_temperature = student.new_full((images,), 1 / temperature)
    if normalisation == "per_element":
        inverse_temperature /= _unit(teacher, distance, channels // groups)
    total = sum_of_row_losses(
        to_rows(student, groups, patch),
        to_rows(teacher, groups, patch),
        inverse_temperature.repeat_interleave(height * width // pixels),
        _same_group(groups, pixels, student.device) if negatives == "cross_group" else None,
        distance,
    )
    rows_per_pixel = groups if normalisation == "per_element" else 1
    return total / (images * height * width * rows_per_pixel)


def to_rows(maps: Tensor, groups: int, patch: tuple[int, int]) -> Tensor:
    """(N, C, H, W) to (patches, D, rows): patches row by row and image by image, rows group by group."""
    images, channels, height, width = maps.shape
    patch_height, patch_width = patch
    split = maps.reshape(
        images,
        groups,
        channels // groups,
        height // patch_height,
        patch_height,
        width // patch_width,
        patch_width,
    )
    rows = split.permute(0, 3, 5, 2, 1, 4, 6)
    return rows.reshape(-1, channels // groups, groups * patch_height * patch_width)


def _same_group(groups: int, pixels: int, device: torch.device) -> Tensor:
    """(rows, rows) bool: pairs of one group at different pixels, which are neither positive nor negative."""
    group = torch.arange(groups, device=device).repeat_interleave(pixels)
    same: Tensor = group[:, None] == group[None, :]
    return same.fill_diagonal_(False)


def _unit(teacher: Tensor, distance: Distance, row_channels: int) -> Tensor:
    """(N,) what the published distance is divided by to become a mean in units of the teacher's spread."""
    if distance == "l1":
        return mean_absolute_deviation(teacher) * row_channels
    return standard_deviation(teacher) * math.sqrt(row_channels)


def _check(student: Tensor, teacher: Tensor, groups: int, patch: tuple[int, int]) -> None:
    if student.ndim != 4 or student.shape != teacher.shape:
        raise ShapeError(
            f"omni_contrast needs equal shapes (N, C, H, W), got student {tuple(student.shape)} and teacher "
            f"{tuple(teacher.shape)}. Align the student's channels and resize its map first."
        )
    check_groups(student.shape[1], groups)
    for name, size, side in (("height", student.shape[2], patch[0]), ("width", student.shape[3], patch[1])):
        if side < 1 or size % side or size == 0:
            raise ShapeError(
                f"omni_contrast: patch {name} {side} does not divide the map's {name} {size}. "
                "Crop the maps first (Reduce does), or choose another patch."
            )


def check_groups(channels: int, groups: int) -> None:
    """Raises ShapeError, naming the group counts that would work, unless `groups` divides `channels`."""
    if groups < 1 or channels % groups:
        divisors = [str(count) for count in range(1, channels + 1) if channels % count == 0]
        raise ShapeError(
            f"{groups} groups do not divide {channels} channels. Choose groups from: {', '.join(divisors)}."
        )
