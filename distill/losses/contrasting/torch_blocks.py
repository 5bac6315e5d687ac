"""Omni-contrasting in PyTorch, for any device and type: distances block by block.

A block is a few patches, or some student rows of one large patch, sized to stay in the cache. Its distances
are built up channel by channel, used for the loss and the gradient, and forgotten.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from distill.losses.contrasting.problem import Answer, Distance, Problem

_BLOCK_ELEMENTS = {"cpu": 1 << 16, "cuda": 1 << 22}
"""Distances held at a time. CPU: three float32 buffers of 256 KiB share a core's second-level cache."""

_STEP = 8
"""Channels after which the distance to the row's own teacher row is taken off (l1), so that totals stay
small: whole distances lose a digit when subtracted."""


class TorchBlocks:
    """Always there."""

    def obstacle(self, problem: Problem) -> str | None:
        return None

    def solve(self, problem: Problem) -> Answer:
        dtype = problem.inverse_temperature.dtype
        groups, patch = problem.groups, problem.patch
        student, teacher = (
            to_rows(maps.to(dtype), groups, patch) for maps in (problem.student, problem.teacher)
        )
        inverse_temperature = problem.inverse_temperature.repeat_interleave(
            problem.patches // problem.student.shape[0]
        )
        excluded = None
        if problem.negatives == "cross_group":
            excluded = _same_group(groups, problem.pixels, student.device)
        grad_student = torch.zeros_like(student) if problem.wants_student else None
        grad_teacher = torch.zeros_like(teacher) if problem.wants_teacher else None
        total = student.new_zeros(())
        for patches, rows in _blocks(student):
            block = _Block(student[patches, :, rows], teacher[patches], problem.distance, rows.start)
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
        shape = problem.student.shape
        return Answer(
            total,
            None if grad_student is None else _to_maps(grad_student, shape, groups, patch),
            None if grad_teacher is None else _to_maps(grad_teacher, shape, groups, patch),
        )


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


def _to_maps(rows: Tensor, shape: torch.Size, groups: int, patch: tuple[int, int]) -> Tensor:
    """`to_rows` the other way."""
    images, channels, height, width = shape
    split = rows.reshape(
        images, height // patch[0], width // patch[1], channels // groups, groups, patch[0], patch[1]
    )
    return split.permute(0, 4, 3, 1, 5, 2, 6).reshape(shape)


def _same_group(groups: int, pixels: int, device: torch.device) -> Tensor:
    """(rows, rows) bool: pairs of one group at different pixels, which are neither positive nor negative."""
    group = torch.arange(groups, device=device).repeat_interleave(pixels)
    same: Tensor = group[:, None] == group[None, :]
    return same.fill_diagonal_(False)


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

    def __init__(self, student: Tensor, teacher: Tensor, distance: Distance, first_row: int) -> None:
        self.student_columns = student.unsqueeze(3).unbind(1)
        self.teacher_rows = teacher.unsqueeze(2).unbind(1)
        self.is_l1 = distance == "l1"
        self.first_row = first_row
        self.difference = student.new_empty(student.shape[0], student.shape[2], teacher.shape[2])

    def distances(self) -> Tensor:
        """Euclidean ones (l2); those of l1 less nearly all of that to the own row."""
        total = torch.zeros_like(self.difference)
        own = total.diagonal(self.first_row, dim1=1, dim2=2)
        for channel, difference in enumerate(self._differences(), start=1):
            if not self.is_l1:
                total.addcmul_(difference, difference)
                continue
            total += difference.abs_()
            if channel % _STEP == 0:
                total -= own.clone().unsqueeze(-1)
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
