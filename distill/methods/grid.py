"""Bring a student map onto the teacher's grid: cell (i, j) of both looks at the same place then."""

import torch
from torch import Tensor
from torch.nn import functional as F

from distill.losses.precision import widen
from distill.networks.output import SegOutput


def onto_grid_of(taught: Tensor, maps: Tensor, *, student: SegOutput, teacher: SegOutput) -> Tensor:
    """`maps` (N, C, h, w) of the student on the grid of `taught`, a map of the teacher; see `onto_grid`."""
    grid = (taught.shape[2], taught.shape[3])
    return onto_grid(maps, covers=student.padded_size, grid=grid, grid_covers=teacher.padded_size)


def onto_grid(
    student: Tensor,
    *,
    covers: tuple[int, int],
    grid: tuple[int, int],
    grid_covers: tuple[int, int],
) -> Tensor:
    """Bilinear with aligned corners, as in the published networks; the same tensor where nothing differs.

    Args:
        student: (N, C, h, w).
        covers: (height, width) in pixels of the padded image that the student saw.
        grid: (height, width) of the teacher's map.
        grid_covers: padded image that the teacher saw. Both paddings are at the bottom and right; beyond the
            student's image its border is repeated.

    Returns:
        (N, C, *grid).
    """
    if covers == grid_covers:
        if tuple(student.shape[2:]) == grid:
            return student
        return F.interpolate(student, size=grid, mode="bilinear", align_corners=True)
    wide = widen(student)
    ys, xs = (
        torch.linspace(-1, 2 * (theirs - 1) / (own - 1) - 1, steps, device=wide.device, dtype=wide.dtype)
        for theirs, own, steps in zip(grid_covers, covers, grid, strict=True)
    )
    points = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), dim=-1)
    sampled = F.grid_sample(
        wide,
        points.expand(student.shape[0], -1, -1, -1),
        mode="bilinear",
        padding_mode="border",
        align_corners=True,
    )
    return sampled.to(student.dtype)
