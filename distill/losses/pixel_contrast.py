"""Pixel-wise contrast (PCD): a student pixel is nearer to its teacher pixel than to a queue of other images.

Source: Huang et al., "Pixel-Wise Contrastive Distillation", ICCV 2023, and the authors' code. With unit
vectors s (student), t (teacher) and q_k (queue) the loss of a pixel is

    -log(exp(s.t / temperature) / (exp(s.t / temperature) + sum over k of exp(s.q_k / temperature))).

Negatives are the queue alone: one vector per past image. Reduction: mean over images and pixels. Ours takes
the pixels in pieces and keeps no similarities for the backward pass.
"""

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from distill.losses.precision import outside_autocast, widen
from distill.losses.unit_vectors import unit_vectors
from modelpack.errors import SettingsError, ShapeError

_MOST_SIMILARITIES = 1 << 24
"""Held at once: 64 MB in float32."""


@outside_autocast
def pixel_contrast(
    student: Tensor,
    teacher: Tensor,
    queue: Tensor,
    *,
    temperature: float,
    is_paired: Tensor | None = None,
    pairs: Tensor | None = None,
) -> Tensor:
    """Contrast every student pixel with the teacher pixel of the same index and with the queue.

    Args:
        student, teacher: (N, D, H, W), same shape, any length of vectors. No gradient reaches `teacher`.
        queue: (D, size), columns of length 1; receives no gradient.
        temperature: > 0.
        is_paired: (N, H, W) bool; pixels that have no partner are left out. None: all have one.
        pairs: () what the sum over pixels is divided by. None: the pixels that count. Where gradients are
            averaged over processes, give those of the whole batch divided by the number of processes.

    Returns:
        () float32 (float64 for float64 maps), in nats; 0, with a gradient of 0, where no pixel has a partner.

    Raises ShapeError for maps that differ, or a queue of another width.
    """
    if student.ndim != 4 or student.shape != teacher.shape:
        raise ShapeError(
            f"pixel_contrast needs equal shapes (N, D, H, W), got student {tuple(student.shape)} and teacher "
            f"{tuple(teacher.shape)}. Give the student's head the teacher's width and bring both to one grid."
        )
    if queue.ndim != 2 or queue.shape[0] != student.shape[1]:
        raise ShapeError(
            f"pixel_contrast needs a queue ({student.shape[1]}, size), got {tuple(queue.shape)}."
        )
    if not temperature > 0:
        raise SettingsError(f"pixel_contrast: temperature is {temperature}, it must be above 0.")
    own, taught = _rows(student), _rows(teacher.detach())
    if is_paired is not None:
        own, taught = own[is_paired.flatten()], taught[is_paired.flatten()]
    negatives = queue.detach().to(own.dtype)
    rows = max(1, _MOST_SIMILARITIES // max(1, negatives.shape[1]))
    total = own.sum() * 0  # keeps the graph where no row is left
    for piece, partners in zip(torch.split(own, rows), torch.split(taught, rows), strict=True):
        total = total + _sum_of_losses(piece, partners, negatives, temperature, is_whole=len(own) <= rows)
    if pairs is None:
        pairs = torch.tensor(len(own), device=total.device)
    return total / torch.where(pairs > 0, pairs, 1)


def _rows(maps: Tensor) -> Tensor:
    """(N, D, H, W) to (N*H*W, D), unit vectors, image by image and row by row."""
    return unit_vectors(maps).movedim(1, -1).flatten(0, 2)


def _sum_of_losses(
    student: Tensor, teacher: Tensor, queue: Tensor, temperature: float, *, is_whole: bool
) -> Tensor:
    """student, teacher: (rows, D). Pieces compute their similarities again when gradients are asked for."""
    if is_whole:
        return _losses(student, teacher, queue, temperature).sum()
    losses: Tensor = checkpoint(
        _losses, student, teacher, queue, temperature, use_reentrant=False, preserve_rng_state=False
    )
    return losses.sum()


def _losses(student: Tensor, teacher: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """(rows,)."""
    positive = (student * teacher).sum(dim=1, keepdim=True)
    similarities = torch.cat([positive, student @ queue], dim=1) / temperature
    return similarities.logsumexp(dim=1) - similarities[:, 0]


def image_keys(teacher: Tensor) -> Tensor:
    """What the queue remembers of each image: the mean over positions of its raw map, at length 1.

    teacher: (N, D, H, W). Returns (N, D) float32 (float64 for float64 maps), without gradient.
    """
    return unit_vectors(widen(teacher.detach()).mean(dim=(2, 3)))
