"""Omni-contrasting: a student vector shall be nearer to its own teacher vector than to its patch's others.

Source: Fan et al., "Augmentation-free Dense Contrastive Knowledge Distillation for Efficient Semantic
Segmentation" (Af-DCD), NeurIPS 2023, and the authors' code. Channels are cut into `groups` of D contiguous
channels and the map into patches; every (pixel, group) of a patch is a row of D numbers. With d(r, k)
the distance between student row r and teacher row k of the same patch, the loss of a row is

    log(1 + sum over negatives k of exp((d(r, r) - d(r, k)) / temperature)).

Ours takes no gathers and keeps no distances for the backward pass. Who computes it, by device and type, is
decided in `contrasting/`.
"""

import math

import torch
from torch import Tensor

from distill.losses.contrasting.differentiable import sum_of_row_losses
from distill.losses.contrasting.problem import Distance, Negatives
from distill.losses.precision import outside_autocast, widen
from distill.losses.spread import LossNormalisation, mean_absolute_deviation, standard_deviation
from modelpack.errors import SettingsError, ShapeError


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
    images, channels, height, width = student.shape
    dtype = torch.float64 if torch.float64 in (student.dtype, teacher.dtype) else torch.float32
    inverse_temperature = student.new_full((images,), 1 / temperature, dtype=dtype)
    if normalisation == "per_element":
        inverse_temperature /= _unit(widen(teacher), distance, channels // groups)
    total = sum_of_row_losses(student, teacher, inverse_temperature, groups, patch, negatives, distance)
    rows_per_pixel = groups if normalisation == "per_element" else 1
    return total / (images * height * width * rows_per_pixel)


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
