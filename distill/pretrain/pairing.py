"""Which teacher pixel is the partner of a student pixel: the one of the same index, or of the same place."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from distill.losses.precision import outside_autocast, widen

Pairing = Literal["grid", "place"]
"""`grid` (published code): the same index on the grid, though two views show different places there.
`place`: what the other view shows of the same place in the image; what it does not show does not count."""


def on_one_grid(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both (N, D, h, w) on the coarser grid of the two; the finer one is averaged, as published for ViTs."""
    height, width = (min(pair) for pair in zip(student.shape[2:], teacher.shape[2:], strict=True))
    pooled = [
        maps if tuple(maps.shape[2:]) == (height, width) else F.adaptive_avg_pool2d(maps, (height, width))
        for maps in (student, teacher)
    ]
    return pooled[0], pooled[1]


@outside_autocast
def at_same_place(
    teacher: Tensor, teacher_place: Tensor, student_place: Tensor, grid: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """The teacher's map at the places in the image that a student's grid cells look at.

    Args:
        teacher: (N, D, h, w) of the teacher's view; a cell looks at its centre, between cells it is bilinear.
        teacher_place, student_place: (N, 4) edges of the two views in the image; see `View.place`.
        grid: (height, width) of the student's map.

    Returns:
        (N, D, *grid) float32 (float64 for float64 maps), and (N, *grid) bool: whether the teacher's view
        shows that place.
    """
    teacher = widen(teacher)
    points, is_shown = [], []
    for edges, cells in (((0, 2), grid[1]), ((1, 3), grid[0])):
        centres = (torch.arange(cells, device=teacher.device, dtype=teacher.dtype) + 0.5) / cells
        start, end = (student_place[:, edge, None].to(teacher) for edge in edges)
        own_start, own_end = (teacher_place[:, edge, None].to(teacher) for edge in edges)
        along = (start + (end - start) * centres - own_start) / (own_end - own_start)
        points.append(2 * along - 1)
        is_shown.append((along >= 0) & (along <= 1))
    xs, ys = points
    where = torch.stack(
        [xs[:, None, :].expand(-1, grid[0], -1), ys[:, :, None].expand(-1, -1, grid[1])], dim=-1
    )
    sampled = F.grid_sample(teacher, where, mode="bilinear", padding_mode="border", align_corners=False)
    return sampled, is_shown[0][:, None, :] & is_shown[1][:, :, None]
