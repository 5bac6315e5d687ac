"""Local self-similarity: how much each position of a map resembles the positions around it.

Idea: Shechtman and Irani, "Matching Local Self-Similarities across Images and Videos", CVPR 2007; here of
feature vectors and by their cosine, as in pair-wise distillation (Liu et al., "Structured Knowledge
Distillation", CVPR 2019). It has no channels, so maps of any two networks can be compared.
"""

import torch
from torch import Tensor

from distill.losses.unit_vectors import unit_vectors
from modelpack.errors import SettingsError, ShapeError


def check_window(window: int) -> None:
    """Raises SettingsError for a window without a centre or without neighbours."""
    if window < 3 or window % 2 == 0:
        raise SettingsError(f"the window of local self-similarity is odd and at least 3, got {window}.")


def local_similarities(maps: Tensor, window: int) -> Tensor:
    """Cosine of each position with its neighbours in a `window` x `window` square around it.

    Args:
        maps: (N, C, H, W), any float dtype.

    Returns:
        (N, window**2 - 1, H, W) float32 in -1..1, neighbours in row-major order; NaN where the neighbour lies
        outside the map. A position whose features are all 0 has cosine 0 with every other.
    """
    check_window(window)
    unit, reach = unit_vectors(maps), window // 2
    height, width = maps.shape[2:]
    steps = range(-reach, reach + 1)
    offsets = [(down, right) for down in steps for right in steps if (down, right) != (0, 0)]
    found = unit.new_full((maps.shape[0], len(offsets), height, width), torch.nan)
    for index, (down, right) in enumerate(offsets):
        top, bottom = max(0, -down), min(height, height - down)
        left, end = max(0, -right), min(width, width - right)
        if top >= bottom or left >= end:
            continue  # the map is smaller than the window
        here = unit[:, :, top:bottom, left:end]
        there = unit[:, :, top + down : bottom + down, left + right : end + right]
        found[:, index, top:bottom, left:end] = (here * there).sum(1)
    return found


def similarity_differences(student: Tensor, teacher: Tensor) -> Tensor:
    """(n,) |student - teacher| over every position and neighbour inside the map.

    student, teacher: two results of `local_similarities` of equal shape.
    """
    if student.shape != teacher.shape:
        raise ShapeError(
            f"self-similarities are compared on one grid, got {tuple(student.shape)} of the student and "
            f"{tuple(teacher.shape)} of the teacher."
        )
    differences = (student - teacher).abs()
    return differences[~differences.isnan()]


def mean_similarity(maps: Tensor, window: int) -> Tensor:
    """(N, H, W): mean cosine of each position with its neighbours; low along the edges that the map holds."""
    return local_similarities(maps, window).nanmean(dim=1)
