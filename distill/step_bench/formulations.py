"""The two ways to compute omni-contrasting that are compared, under one signature and with equal values."""

from collections.abc import Callable
from functools import wraps
from typing import Literal

import torch
from torch import Tensor

from distill.baselines.omni_contrast import omni_contrast_published
from distill.losses.contrast import omni_contrast
from distill.losses.contrasting.problem import Distance, Negatives
from distill.losses.precision import outside_autocast, widen
from distill.losses.spread import LossNormalisation, mean_absolute_deviation, standard_deviation
from distill.step_bench.shapes import MapShape

Formulation = Literal["ours", "published"]


@wraps(omni_contrast)
@outside_autocast
def omni_contrast_as_published(
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
    """`omni_contrast`'s value, by all distances at once, gathers and a cross-entropy.

    `per_element`, which is ours, is brought to it by scaling the maps: distances scale with them.
    """
    student, teacher = widen(student), widen(teacher)
    rows_per_pixel = 1
    if normalisation == "per_element":
        row_channels, rows_per_pixel = student.shape[1] // groups, groups
        if distance == "l1":
            unit = mean_absolute_deviation(teacher) * row_channels
        else:
            unit = standard_deviation(teacher) * row_channels**0.5
        student, teacher = (maps / unit.view(-1, 1, 1, 1) for maps in (student, teacher))
    value = omni_contrast_published(
        student,
        teacher,
        groups=groups,
        patch=patch,
        temperature=temperature,
        negatives=negatives,
        distance=distance,
    )
    return value / rows_per_pixel


FORMULATIONS: dict[Formulation, Callable[..., Tensor]] = {
    "ours": omni_contrast,
    "published": omni_contrast_as_published,
}

GROUPS, PATCH, TEMPERATURE = 16, (4, 4), 0.07
"""The published values, which `gradient_of` uses."""


def random_maps(shape: MapShape, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Student, which requires a gradient, and teacher: (N, C, H, W) float32 normal noise."""
    generator = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, *shape, generator=generator)
    return student.clone().requires_grad_(), teacher.clone()


def gradient_of(formulation: Formulation, student: Tensor, teacher: Tensor) -> Tensor:
    """One forward and backward pass; the student's gradient, which is also what is timed."""
    loss = FORMULATIONS[formulation](student, teacher, groups=GROUPS, patch=PATCH, temperature=TEMPERATURE)
    (gradient,) = torch.autograd.grad(loss, student)
    return gradient
