"""Omni-contrasting as the definition reads: all distances at once, pairs picked by boolean masks."""

import torch
from torch import Tensor


def omni_contrast_published(
    student: Tensor,
    teacher: Tensor,
    *,
    groups: int,
    patch: tuple[int, int],
    temperature: float,
    negatives: str = "cross_group",
    distance: str = "l1",
) -> Tensor:
    """The `published` normalisation of `distill.losses.contrast.omni_contrast`: sum of row losses / (N*H*W).

    student, teacher: (N, C, H, W), already pooled and cropped. Memory grows with patches * rows^2.
    """
    images, _, height, width = student.shape
    pixels = patch[0] * patch[1]
    rows = pixels * groups
    student_rows = _pixel_major_rows(student, groups, patch)
    teacher_rows = _pixel_major_rows(teacher, groups, patch)
    similarity = -torch.cdist(student_rows, teacher_rows, p=1.0 if distance == "l1" else 2.0) / temperature

    row = torch.arange(rows, device=student.device)
    pixel, group = row // groups, row % groups
    is_positive = (pixel[:, None] == pixel[None, :]) & (group[:, None] == group[None, :])
    is_negative = group[:, None] != group[None, :] if negatives == "cross_group" else ~is_positive
    patches = similarity.shape[0]
    positive = similarity[is_positive.expand(patches, -1, -1)].view(patches * rows, 1)
    negative = similarity[is_negative.expand(patches, -1, -1)].view(patches * rows, -1)

    logits = torch.cat([positive, negative], dim=1)
    row_losses = -logits.log_softmax(dim=1)[:, 0]
    return row_losses.sum() / (images * height * width)


def _pixel_major_rows(maps: Tensor, groups: int, patch: tuple[int, int]) -> Tensor:
    """(N, C, H, W) to (patches, rows, D) with row = pixel * groups + group."""
    rows = []
    for image in maps:
        for top in range(0, maps.shape[2], patch[0]):
            for left in range(0, maps.shape[3], patch[1]):
                window = image[:, top : top + patch[0], left : left + patch[1]]
                vectors = window.flatten(1).transpose(0, 1)
                rows.append(vectors.reshape(-1, maps.shape[1] // groups))
    return torch.stack(rows)
