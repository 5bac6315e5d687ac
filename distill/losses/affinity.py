"""Knowledge adaptation's affinity term: positions of the student's map are as alike as the teacher's.

Source: He et al., "Knowledge Adaptation for Efficient Semantic Segmentation", CVPR 2019 (no code was
published), and torchdistill for `per_channel`. A(x) is (positions, positions): the cosines of all pairs of
positions of an image.

Ours never holds A of a whole batch: differences of affinities are formed for some rows of one image at a
time, and the gradient is taken on the way; what is kept for the backward pass is that gradient, as large as
the map.
"""

import math
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from distill.losses.precision import outside_autocast
from distill.losses.unit_vectors import unit_vectors
from modelpack.errors import ShapeError

AffinityForm = Literal["published", "unscaled", "mean_square", "per_channel"]
"""`published`: Euclidean norms of the rows of A(student) - A(code), summed and divided by the positions (the
paper's spatial normalisation), mean over images. `unscaled`: without that division. `mean_square`: mean of
squares over all elements. `per_channel` (torchdistill, another quantity): each channel is normalised over
positions, its outer product is A; Frobenius norms summed over channels and divided by the positions."""

_CHUNK_ELEMENTS = 1 << 22
"""Affinities formed at a time: 16 MiB in float32 for each side."""


@outside_autocast
def affinity(student: Tensor, code: Tensor, *, form: AffinityForm = "published") -> Tensor:
    """Distance between the affinities of two maps, whose widths may differ except for `per_channel`.

    Args:
        student, code: (N, C, H, W), same N, H and W.

    Returns:
        () float32 (float64 for float64 maps), >= 0, mean over images. No gradient reaches `code`; no second
        derivatives. A position whose vector is zero is like no other, and receives no gradient.
    """
    same_width = form != "per_channel" or student.shape[1:2] == code.shape[1:2]
    is_fit = student.shape[:1] == code.shape[:1] and student.shape[2:] == code.shape[2:] and same_width
    if student.ndim != 4 or not is_fit:
        widths = " of one width" if form == "per_channel" else ""
        raise ShapeError(
            f"affinity needs maps (N, C, H, W) of one grid{widths}, got student {tuple(student.shape)} and "
            f"code {tuple(code.shape)}. Resize the student's map first."
        )
    images, positions = student.shape[0], student.shape[2] * student.shape[3]
    if form == "per_channel":
        return _per_channel(student.flatten(2), code.detach().flatten(2)) / (images * positions)
    total: Tensor = _Differences.apply(
        unit_vectors(student).flatten(2), unit_vectors(code.detach()).flatten(2), form == "mean_square"
    )
    return total / (images * {"published": positions, "unscaled": 1, "mean_square": positions**2}[form])


class _Differences(torch.autograd.Function):
    """Row norms, or squares, of the differences of affinities, summed over images; maps (N, C, positions)."""

    @staticmethod
    def forward(ctx: Any, student: Tensor, code: Tensor, is_squared: bool) -> Tensor:
        gradient = torch.zeros_like(student) if ctx.needs_input_grad[0] else None
        total = student.new_zeros(())
        positions = student.shape[2]
        rows_at_once = max(1, _CHUNK_ELEMENTS // positions)
        for image in range(student.shape[0]):
            own, taught = student[image], code[image]
            for first in range(0, positions, rows_at_once):
                rows = slice(first, first + rows_at_once)
                slope = own[:, rows].mT @ own - taught[:, rows].mT @ taught
                if is_squared:
                    total += slope.square().sum()
                    slope *= 2
                else:
                    norms = torch.linalg.vector_norm(slope, dim=1, keepdim=True)
                    total += norms.sum()
                    slope /= norms.clamp(min=torch.finfo(norms.dtype).tiny)
                if gradient is not None:
                    gradient[image] += own[:, rows] @ slope
                    gradient[image][:, rows] += own @ slope.mT
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_total: Tensor) -> tuple[Tensor | None, None, None]:
        (gradient,) = ctx.saved_tensors
        return None if gradient is None else gradient * grad_total, None, None


def _per_channel(student: Tensor, code: Tensor) -> Tensor:
    """Sum over images and channels of || s s' - t t' || for unit vectors s and t over positions.

    Without any outer product: the norm's square is half of |s - t|^2 |s + t|^2 + (|s|^2 - |t|^2)^2.
    """
    own, taught = unit_vectors(student, dim=2), unit_vectors(code, dim=2)
    across = _norm(own - taught) * _norm(own + taught)
    along = own.square().sum(dim=2) - taught.square().sum(dim=2)
    return _norm(torch.stack([across, along], dim=2)).sum() / math.sqrt(2)


def _norm(vectors: Tensor) -> Tensor:
    """Along axis 2, with the gradient 0 at 0."""
    norms: Tensor = torch.linalg.vector_norm(vectors, dim=2)
    return norms
