"""Pair-wise distillation (SKD): regions of the student's map resemble each other as the teacher's do.

Source: Liu et al., "Structured Knowledge Distillation for Semantic Segmentation", CVPR 2019, in the two forms
of public code. Both max-pool the map to nodes (the journal's paper speaks of average pooling) and compare
the cosines of all pairs of nodes. Ours keeps no node-by-node matrix: blocks of it are used for the loss and
the gradient, and forgotten. A node that is zero in all channels gets gradient 0, where public code multiplies
it by 1e12 or 1e8.
"""

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from distill.losses.precision import outside_autocast, widen
from distill.losses.unit_vectors import unit_vectors
from modelpack.errors import SettingsError, ShapeError

PairForm = Literal["pool2", "half_map"]
"""`pool2` (CIRKD): windows of 2x2. `half_map` (SKD authors): windows of half the map, so 2x2 nodes, or 3x3;
vectors are divided by their norm + 1e-8, and that counts as a constant in the backward pass."""

_EPSILON = 1e-8
_BLOCK_ELEMENTS = {"cpu": 1 << 18, "cuda": 1 << 24}
"""Cosines held at a time: 1 MiB of float32 on a CPU, 64 MiB on a GPU."""


@outside_autocast
def pair_wise(
    student: Tensor, teacher: Tensor, *, form: PairForm = "pool2", pool_scale: float = 0.5
) -> Tensor:
    """Mean over images and ordered pairs of nodes of the squared difference of their cosines.

    Args:
        student, teacher: (N, C, H, W); the channels may differ.
        pool_scale: above 0, at most 1; side of a `half_map` window as a share of the map's.

    Returns:
        () float32 (float64 for float64 maps), >= 0. No gradient reaches `teacher`; no second derivatives.

    Raises ShapeError for maps of different batch or grid, SettingsError for the pool_scale.
    """
    if student.ndim != 4 or teacher.ndim != 4 or _size(student) != _size(teacher):
        raise ShapeError(
            f"pair_wise needs maps (N, C, H, W) of equal N, H and W, got student {tuple(student.shape)} and "
            f"teacher {tuple(teacher.shape)}. Resize the student's map first."
        )
    if not 0 < pool_scale <= 1:
        raise SettingsError(f"pair_wise: pool_scale is {pool_scale}, it must be above 0 and at most 1.")
    window = (2, 2)
    if form == "half_map":
        window = (max(1, int(student.shape[2] * pool_scale)), max(1, int(student.shape[3] * pool_scale)))
    students, teachers = _nodes(student, window, form), _nodes(teacher.detach(), window, form)
    if not torch.is_grad_enabled():
        students = students.detach()
    total: Tensor = _SquaredDifferences.apply(students, teachers)
    return total / (students.shape[0] * students.shape[2] ** 2)


def _size(maps: Tensor) -> tuple[int, int, int]:
    return maps.shape[0], maps.shape[2], maps.shape[3]


def _nodes(maps: Tensor, window: tuple[int, int], form: PairForm) -> Tensor:
    """(N, C, nodes) unit vectors; windows that stick out at the bottom or right count."""
    pooled = widen(F.max_pool2d(maps, window, ceil_mode=True)).flatten(2)
    if form == "pool2":
        return unit_vectors(pooled)
    length = torch.linalg.vector_norm(pooled.detach(), dim=1, keepdim=True)
    return pooled * torch.where(length > 0, 1 / (length + _EPSILON), 0)


class _SquaredDifferences(torch.autograd.Function):
    """Sum over images and pairs (i, j) of (s_i . s_j - t_i . t_j)^2, for (N, C, m) and (N, C', m)."""

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor) -> Tensor:
        gradient = torch.empty_like(student) if ctx.needs_input_grad[0] else None
        total = student.new_zeros(())
        for images, nodes in _blocks(student):
            students, teachers = student[images], teacher[images]
            difference = students[..., nodes].mT @ students
            difference.baddbmm_(teachers[..., nodes].mT, teachers, alpha=-1)
            total += torch.linalg.vector_norm(difference).square()
            if gradient is not None:
                gradient[images, :, nodes] = 4 * students @ difference.mT
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_total: Tensor) -> tuple[Tensor | None, None]:
        (gradient,) = ctx.saved_tensors
        return None if gradient is None else gradient * grad_total, None


def _blocks(student: Tensor) -> Iterator[tuple[slice, slice]]:
    """Images, and nodes of them, whose cosines with all nodes are computed at a time."""
    count, _, nodes = student.shape
    budget = _BLOCK_ELEMENTS.get(student.device.type, _BLOCK_ELEMENTS["cuda"])
    nodes_at_once = max(1, min(nodes, budget // nodes))
    images_at_once = max(1, budget // nodes**2)
    for image in range(0, count, images_at_once):
        for node in range(0, nodes, nodes_at_once):
            yield slice(image, image + images_at_once), slice(node, node + nodes_at_once)
