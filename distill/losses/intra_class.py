"""Intra-class feature variation (IFVD): a pixel is as like its class in the student as in the teacher.

Source: Wang et al., "Intra-class Feature Variation Distillation for Semantic Segmentation", ECCV 2020, and
the authors' code. Ours takes the centres of all classes at once and never builds a map of them.
"""

import torch
from torch import Tensor

from distill.losses.precision import outside_autocast, widen
from modelpack.errors import ShapeError

_EMPTY = 1e-6
"""Added to the pixels of a class that its features are divided by."""
_SHORTEST = 1e-8
"""Least length of a vector in a cosine."""


@outside_autocast
def intra_class_variation(student: Tensor, teacher: Tensor, labels: Tensor, *, num_classes: int) -> Tensor:
    """Squared difference of the cosines of each pixel with its class's centre, mean over images and pixels.

    A centre is the mean feature of the class in one image. Pixels of no class are their own centre, cosine 1
    in both networks (0 where a feature is 0); they count in the mean.

    Args:
        student, teacher: (N, C, H, W); the widths C may differ.
        labels: (N, H, W) integer, on the grid of the maps; anything outside 0 ... num_classes - 1 is ignored.

    Returns:
        () float32 (float64 for float64 maps), from 0 to 4. The student's gradient passes through its pixels
        and its centres; none reaches the teacher.
    """
    grids = {(maps.shape[0], *maps.shape[2:]) for maps in (student, teacher)} | {tuple(labels.shape)}
    if student.ndim != 4 or teacher.ndim != 4 or len(grids) > 1:
        raise ShapeError(
            f"intra_class_variation needs maps (N, C, H, W) and labels (N, H, W) of one grid, got student "
            f"{tuple(student.shape)}, teacher {tuple(teacher.shape)} and labels {tuple(labels.shape)}. "
            "Resize the student's map and the labels to the teacher's grid."
        )
    flat = labels.flatten(1).long()
    classes = torch.where((flat >= 0) & (flat < num_classes), flat, num_classes)
    difference = _likeness(student, classes, num_classes) - _likeness(teacher.detach(), classes, num_classes)
    return difference.square().mean()


def _likeness(maps: Tensor, classes: Tensor, num_classes: int) -> Tensor:
    """Cosine of each pixel with its class's centre, (N, H*W). classes: (N, H*W), `num_classes` = none."""
    features = widen(maps).flatten(2)
    images, channels, _ = features.shape
    counts = features.new_zeros(images, num_classes + 1)
    counts = counts.scatter_add(1, classes, torch.ones_like(classes, dtype=features.dtype))
    sums = features.new_zeros(images, channels, num_classes + 1)
    sums = sums.scatter_add(2, classes.unsqueeze(1).expand_as(features), features)
    centres = sums / (counts + _EMPTY).unsqueeze(1)
    norms = torch.linalg.vector_norm(features, dim=1)
    lengths = norms.clamp(min=_SHORTEST)
    centre_lengths = torch.linalg.vector_norm(centres, dim=1).clamp(min=_SHORTEST)
    products = torch.einsum("nck,ncp->nkp", centres, features).gather(1, classes.unsqueeze(1)).squeeze(1)
    to_centre = products / (lengths * centre_lengths.gather(1, classes))
    return torch.where(classes == num_classes, (norms / lengths).square(), to_centre)
