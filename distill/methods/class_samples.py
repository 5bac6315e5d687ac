"""What a batch leaves for the memory: for each image and class some pixels' embeddings, and their mean."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from distill.losses.precision import outside_autocast
from distill.losses.unit_vectors import unit_vectors

Enqueue = Literal["per_class", "published"]
"""`per_class` (the paper): random pixels of the class. `published` (the authors' code): a permutation of
0 ... n - 1, n being the pixels of the class, taken as positions in the whole map, so pixels of any class."""

Permute = Callable[[int, int], Tensor]
"""(image, n) -> a permutation of 0 ... n - 1, int64 on the CPU; asked image by image, classes ascending."""


@dataclass(frozen=True)
class ClassSamples:
    """Unit vectors, by image and class; those of classes that an image lacks mean nothing."""

    pixels: Tensor
    """(N, classes, at most, channels)."""
    pixel_counts: Tensor
    """(N, classes) int64: how many of `pixels` are meant."""
    regions: Tensor
    """(N, classes, 1, channels): the mean over the class's pixels, at length 1."""
    region_counts: Tensor
    """(N, classes) int64: 1 where the image holds the class."""


@outside_autocast
@torch.no_grad()
def class_samples(
    units: Tensor, labels: Tensor, *, num_classes: int, most: int, enqueue: Enqueue, permute: Permute
) -> ClassSamples:
    """Choose at most `most` pixels of each class in each image.

    units: unit vectors (N, C, H, W), float32 or float64; labels: (N, H, W) integers, those from `num_classes`
    up belong to no class.
    """
    flat = units.flatten(2)
    positions, counts = _choose(labels.flatten(1).cpu().long(), num_classes, most, enqueue, permute)
    index = positions.to(units.device).flatten(1).unsqueeze(1).expand(-1, flat.shape[1], -1)
    pixels = flat.gather(2, index).mT.reshape(*positions.shape, -1)
    classes = torch.arange(num_classes, device=units.device)
    sums = [
        (of_image.unsqueeze(0) == classes.unsqueeze(1)).to(flat.dtype) @ embedding.mT
        for embedding, of_image in zip(flat, labels.flatten(1), strict=True)
    ]
    counts = counts.to(units.device)
    means = torch.stack(sums) / counts.clamp(min=1).unsqueeze(2)
    return ClassSamples(
        pixels=unit_vectors(pixels, dim=3),
        pixel_counts=counts.clamp(max=most),
        regions=unit_vectors(means, dim=2).unsqueeze(2),
        region_counts=counts.clamp(max=1),
    )


def _choose(
    labels: Tensor, num_classes: int, most: int, enqueue: Enqueue, permute: Permute
) -> tuple[Tensor, Tensor]:
    """Positions (N, classes, most) in the flat map, and all pixels of each class (N, classes)."""
    positions = torch.zeros(len(labels), num_classes, most, dtype=torch.int64)
    counts = torch.zeros(len(labels), num_classes, dtype=torch.int64)
    for image, of_image in enumerate(labels):
        for index in of_image[of_image < num_classes].unique().tolist():
            of_class = (of_image == index).nonzero().flatten()
            chosen = permute(image, len(of_class))[:most]
            if enqueue == "per_class":
                chosen = of_class[chosen]
            positions[image, index, : len(chosen)] = chosen
            counts[image, index] = len(of_class)
    return positions, counts
