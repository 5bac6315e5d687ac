"""Memory-based distillation: to the student a pixel is as like remembered embeddings as to the teacher.

Source: Yang et al., "Cross-Image Relational Knowledge Distillation for Semantic Segmentation" (CIRKD), CVPR
2022, and the authors' code. Pixel-to-pixel where pixels are remembered, pixel-to-region where means of
regions are. The cosines of a pixel with all remembered embeddings, divided by the temperature, are the logits
whose softmaxes are compared by KL divergence.

Ours never holds the similarities of all pixels: see `row_divergence.py`.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from distill.losses.precision import outside_autocast, widen
from distill.losses.row_divergence import row_blocks, row_divergence
from modelpack.errors import SettingsError, ShapeError


@outside_autocast
def memory_relations(
    student: Tensor,
    teacher: Tensor,
    remembered: Tensor,
    is_valid: Tensor,
    *,
    temperature: float,
    kd_temperature: float = 1.0,
    valid_pixels: Tensor | None = None,
) -> Tensor:
    """Sum over valid pixels of KL(teacher || student), times `kd_temperature` squared, over `valid_pixels`.

    Args:
        student, teacher: unit vectors (N, C, H, W), same shape.
        remembered: unit vectors (M, C); no gradient reaches them.
        is_valid: (N, H, W) bool, the pixels that count.
        temperature: > 0, of the cosines.
        kd_temperature: > 0, divides the logits once more.
        valid_pixels: divisor. None: those of `is_valid`. Where gradients are averaged over processes, give
            the count over all of them divided by their number.

    Returns:
        () float32 (float64 for float64 maps), in nats. 0 for equal vectors and, with a gradient of 0, if no
        pixel is valid. No gradient reaches `teacher`.

    Memory beyond the maps' own: one map's gradient, and a block of similarities.
    """
    _check(student, teacher, remembered, is_valid)
    if not min(temperature, kd_temperature) > 0:
        raise SettingsError(
            f"memory_relations: temperatures are {temperature} and {kd_temperature}; both must be above 0."
        )
    student, teacher = widen(student), widen(teacher.detach())
    if not torch.is_grad_enabled():
        student = student.detach()
    if valid_pixels is None:
        valid_pixels = is_valid.sum()
    weights = is_valid.to(student.dtype) * kd_temperature**2 / torch.where(valid_pixels > 0, valid_pixels, 1)
    loss: Tensor = _MemoryRelations.apply(
        student.flatten(2),
        teacher.flatten(2),
        remembered.detach().to(student.dtype),
        weights.flatten(1),
        temperature * kd_temperature,
    )
    return loss


class _MemoryRelations(torch.autograd.Function):
    """student, teacher: (N, C, pixels); weights: (N, pixels)."""

    @staticmethod
    def forward(
        ctx: Any, student: Tensor, teacher: Tensor, remembered: Tensor, weights: Tensor, temperature: float
    ) -> Tensor:
        gradient = torch.zeros_like(student) if ctx.needs_input_grad[0] else None
        total = student.new_zeros(())
        for image in range(student.shape[0]):
            for rows in row_blocks(student.shape[2], len(remembered), student.device):
                divergence, slope = row_divergence(
                    *(units[image][:, rows].mT / temperature @ remembered.mT for units in (student, teacher))
                )
                total += divergence @ weights[image, rows]
                if gradient is not None:
                    slope *= weights[image, rows, None]
                    torch.mul((slope @ remembered).mT, 1 / temperature, out=gradient[image][:, rows])
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_total: Tensor) -> tuple[Tensor | None, None, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return None if gradient is None else gradient * grad_total, None, None, None, None


def _check(student: Tensor, teacher: Tensor, remembered: Tensor, is_valid: Tensor) -> None:
    if student.ndim != 4 or student.shape != teacher.shape:
        raise ShapeError(
            f"memory_relations needs equal shapes (N, C, H, W), got student {tuple(student.shape)} and "
            f"teacher {tuple(teacher.shape)}. Project the student's embedding and resize its map first."
        )
    pixels = (student.shape[0], *student.shape[2:])
    if tuple(is_valid.shape) != pixels or remembered.ndim != 2 or remembered.shape[1] != student.shape[1]:
        raise ShapeError(
            f"memory_relations: maps {tuple(student.shape)} need validity {pixels} and remembered embeddings "
            f"(M, {student.shape[1]}), got {tuple(is_valid.shape)} and {tuple(remembered.shape)}."
        )
