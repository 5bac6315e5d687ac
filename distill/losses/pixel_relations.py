"""Mini-batch pixel-to-pixel distillation: pixels of two images are alike for the student as for the teacher.

Source: Yang et al., "Cross-Image Relational Knowledge Distillation for Semantic Segmentation" (CIRKD), CVPR
2022, and the authors' code. With u the unit vectors of a map's pixels, M_ij = u_i^T u_j holds the cosines of
all pixels of image i with all of image j, for every ordered pair of a group, i = j included. Its rows,
divided by the temperature and softmaxed, are compared by KL divergence, averaged over rows and pairs, without
the temperature's square.

Ours never holds a matrix M: see `row_divergence.py`.
"""

from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from distill.losses.precision import outside_autocast
from distill.losses.row_divergence import row_blocks, row_divergence
from distill.losses.unit_vectors import unit_vectors
from modelpack.errors import SettingsError, ShapeError


@outside_autocast
def pixel_relations(student: Tensor, teacher: Tensor, *, temperature: float, group: int) -> Tensor:
    """Mean over images of the divergence of their pixels' relations to all images of the same group.

    Args:
        student, teacher: (N, C, H, W) of the same N, H and W; widths may differ.
        temperature: > 0, in units of the cosine.
        group: images that are related to each other, in the order of the batch: the published batch of one
            GPU. The last group is smaller where it does not divide N; every image weighs the same.

    Returns:
        () float32 (float64 for float64 maps), in nats, 0 for equal maps. No gradient reaches `teacher`.

    Memory beyond the maps' own: three maps of unit vectors or gradients, and a block of similarities.
    """
    _check(student, teacher, temperature, group)
    units = unit_vectors(student).flatten(2)
    if not torch.is_grad_enabled():
        units = units.detach()
    loss: Tensor = _PixelRelations.apply(units, unit_vectors(teacher.detach()).flatten(2), temperature, group)
    return loss


class _PixelRelations(torch.autograd.Function):
    """student, teacher: unit vectors (N, C, pixels)."""

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, temperature: float, group: int) -> Tensor:
        gradient = torch.zeros_like(student) if ctx.needs_input_grad[0] else None
        total = student.new_zeros(())
        images, _, pixels = student.shape
        for first in range(0, images, group):
            members = range(first, min(first + group, images))
            weight = 1 / (images * len(members) * pixels)
            for i, j in product(members, repeat=2):
                for rows in row_blocks(pixels, pixels, student.device):
                    divergence, slope = row_divergence(
                        *(units[i][:, rows].mT / temperature @ units[j] for units in (student, teacher))
                    )
                    total += weight * divergence.sum()
                    if gradient is not None:
                        scale = weight / temperature
                        gradient[i][:, rows].addmm_(student[j], slope.mT, alpha=scale)
                        gradient[j].addmm_(student[i][:, rows], slope, alpha=scale)
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_total: Tensor) -> tuple[Tensor | None, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return None if gradient is None else gradient * grad_total, None, None, None


def _check(student: Tensor, teacher: Tensor, temperature: float, group: int) -> None:
    is_pair = student.ndim == teacher.ndim == 4 and student.shape[0] == teacher.shape[0]
    if not is_pair or student.shape[2:] != teacher.shape[2:]:
        raise ShapeError(
            f"pixel_relations needs maps (N, C, H, W) of equal N, H and W, got student "
            f"{tuple(student.shape)} and teacher {tuple(teacher.shape)}. Resize the student's map first."
        )
    if not temperature > 0 or group < 1:
        raise SettingsError(
            f"pixel_relations: temperature is {temperature} and group {group}; both must be above 0."
        )
