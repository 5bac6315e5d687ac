"""The arithmetic of omni-contrasting: distances block by block, with the gradient taken on the way.

A block is a few patches, or some student rows of one large patch, sized to stay in the cache. Its distances
are built up channel by channel, used for the loss and the gradient, and forgotten; what is kept for the
backward pass is the gradient itself.
"""

import math
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Distance = Literal["l1", "l2"]

_BLOCK_ELEMENTS = {"cpu": 1 << 16, "cuda": 1 << 22}
"""Distances held at a time. CPU: three float32 buffers of 256 KiB share a core's second-level cache."""


def sum_of_row_losses(
    student: Tensor, teacher: Tensor, inverse_temperature: Tensor, excluded: Tensor | None, distance: Distance
) -> Tensor:
    """Sum over rows r of logsumexp over k of (d(r, r) - d(r, k)) * inverse_temperature, without excluded k.

    student, teacher: (P, D, R), float32 or float64. inverse_temperature: (P,). excluded: (R, R) bool or None.
    Both sides receive gradients when they require them; no second derivatives.
    """
    if not torch.is_grad_enabled():
        student, teacher = student.detach(), teacher.detach()
    total: Tensor = _RowLosses.apply(student, teacher, inverse_temperature, excluded, distance)
    return total


class _RowLosses(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        student: Tensor,
        teacher: Tensor,
        inverse_temperature: Tensor,
        excluded: Tensor | None,
        distance: Distance,
    ) -> Tensor:
        grad_student = torch.zeros_like(student) if ctx.needs_input_grad[0] else None
        grad_teacher = torch.zeros_like(teacher) if ctx.needs_input_grad[1] else None
        total = student.new_zeros(())
        for patches, rows in _blocks(student):
            block = _Block(student[patches, :, rows], teacher[patches], distance)
            distances = block.distances()
            slope = -inverse_temperature[patches, None, None]
            row_losses, weights = _softmax_against_own(distances * slope, rows.start, excluded)
            total += row_losses.sum()
            if grad_student is not None or grad_teacher is not None:
                block.add_gradients(
                    weights.mul_(slope),
                    distances,
                    None if grad_student is None else grad_student[patches, :, rows],
                    None if grad_teacher is None else grad_teacher[patches],
                )
        ctx.save_for_backward(grad_student, grad_teacher)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_total: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        grad_student, grad_teacher = ctx.saved_tensors
        return (
            None if grad_student is None else grad_student * grad_total,
            None if grad_teacher is None else grad_teacher * grad_total,
            None,
            None,
            None,
        )


def _softmax_against_own(
    similarity: Tensor, first_row: int, excluded: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Row losses (p, r) and their derivative by similarity (p, r, R), which is overwritten.

    Row i of the block is row `first_row + i` of its patch; its positive is the teacher row of that number.
    """
    own = similarity.diagonal(first_row, dim1=1, dim2=2)
    relative = similarity.sub_(own.clone().unsqueeze(-1))
    if excluded is not None:
        relative.masked_fill_(excluded[first_row : first_row + similarity.shape[1]], -torch.inf)
    top = relative.amax(dim=-1, keepdim=True)
    # exp is ten times slower where its result is not a normal number: such terms become an exact 0 instead.
    lowest = math.log(torch.finfo(similarity.dtype).tiny) + 7
    weights = relative.sub_(top).clamp_(min=lowest).exp_()
    torch.threshold_(weights, 2 * math.exp(lowest), 0.0)
    normaliser = weights.sum(dim=-1, keepdim=True)
    row_losses = (normaliser.log() + top).squeeze(-1)
    weights /= normaliser
    own.copy_(torch.expm1(-row_losses))  # probability of the positive minus 1, exact when that is tiny
    return row_losses, weights


class _Block:
    """Some student rows (p, D, r) against all teacher rows (p, D, R) of the same patches."""

    def __init__(self, student: Tensor, teacher: Tensor, distance: Distance) -> None:
        self.student_columns = student.unsqueeze(3).unbind(1)
        self.teacher_rows = teacher.unsqueeze(2).unbind(1)
        self.is_l1 = distance == "l1"
        self.difference = student.new_empty(student.shape[0], student.shape[2], teacher.shape[2])

    def distances(self) -> Tensor:
        total = torch.zeros_like(self.difference)
        for difference in self._differences():
            if self.is_l1:
                total += difference.abs_()
            else:
                total.addcmul_(difference, difference)
        return total if self.is_l1 else total.sqrt_()

    def add_gradients(
        self, weights: Tensor, distances: Tensor, grad_student: Tensor | None, grad_teacher: Tensor | None
    ) -> None:
        """Add d loss / d rows to the two views, given `weights` = d loss / d distance (overwritten)."""
        if not self.is_l1:
            weights.div_(distances).masked_fill_(distances == 0, 0)
        for channel, difference in enumerate(self._differences()):
            if self.is_l1:
                difference.sign_()
            difference.mul_(weights)
            if grad_student is not None:
                grad_student[:, channel] += difference.sum(dim=2)
            if grad_teacher is not None:
                grad_teacher[:, channel] -= difference.sum(dim=1)

    def _differences(self) -> Iterator[Tensor]:
        """Channel by channel, student minus teacher (p, r, R), in a buffer that the caller may overwrite."""
        for column, row in zip(self.student_columns, self.teacher_rows, strict=True):
            torch.sub(column, row, out=self.difference)
            yield self.difference


def _blocks(student: Tensor) -> Iterator[tuple[slice, slice]]:
    """Slices over patches and over student rows that cover everything once."""
    patches, _, rows = student.shape
    budget = _BLOCK_ELEMENTS.get(student.device.type, _BLOCK_ELEMENTS["cpu"])
    rows_at_once = min(rows, max(1, budget // rows))
    patches_at_once = max(1, budget // (rows_at_once * rows))
    for first_patch in range(0, patches, patches_at_once):
        for first_row in range(0, rows, rows_at_once):
            yield (
                slice(first_patch, min(first_patch + patches_at_once, patches)),
                slice(first_row, min(first_row + rows_at_once, rows)),
            )
