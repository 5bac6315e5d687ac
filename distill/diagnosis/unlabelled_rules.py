"""What is wrong with a folder of images without labels: files that are no photographs, too few, too small."""

from collections.abc import Iterator, Sequence

import numpy as np

from distill.datasets.images import ImagesDataset
from distill.diagnosis.finding import Finding, named
from distill.diagnosis.rules import Rules, same_image_twice, unreadable_files
from distill.diagnosis.scan import Scan
from modelpack.errors import DatasetError

MIN_IMAGES = 100
MIN_SIDE = 64
"""Pixels; what is smaller is a thumbnail."""
MAX_COLOURS_OF_A_MASK = 64
MIN_PIXELS = 4096
"""Below this, few colours say nothing."""
MOST_LOOKED_AT = 100


def too_few_to_learn_from(scan: Scan) -> Iterator[Finding]:
    if scan.size < MIN_IMAGES:
        yield Finding(
            "warning",
            scan.split,
            f"only {scan.size} images without labels; little can be learned from so few.",
            "Add more: they cost no labelling.",
        )


def thumbnails(scan: Scan) -> Iterator[Finding]:
    small = sorted(size for size in scan.sizes if min(size) < MIN_SIDE)
    if small:
        sizes = named([f"{height}x{width}" for height, width in small])
        yield Finding(
            "warning",
            scan.split,
            f"some images have fewer than {MIN_SIDE} pixels on a side ({sizes}).",
            "Leave out thumbnails.",
        )


UNLABELLED_RULES: Rules = (unreadable_files, too_few_to_learn_from, thumbnails, same_image_twice)


def masks_among_images(dataset: ImagesDataset, indices: Sequence[int]) -> Iterator[Finding]:
    """The usual mistake: the folder of a labelled dataset, masks included. Looks at some of `indices`."""
    chosen = indices[:: 1 + len(indices) // MOST_LOOKED_AT]
    found = [dataset.entries[index].name for index in chosen if _looks_like_a_mask(dataset, index)]
    if found:
        yield Finding(
            "warning",
            dataset.split,
            f"{len(found)} of {len(chosen)} images have at most {MAX_COLOURS_OF_A_MASK} colours, as masks "
            f"have ({named(found)}).",
            "Give the folder of the images alone.",
        )


def _looks_like_a_mask(dataset: ImagesDataset, index: int) -> bool:
    try:
        image_hwc = dataset.raw_image(index).astype(np.int32)
    except DatasetError:
        return False
    codes = image_hwc[..., 0] << 16 | image_hwc[..., 1] << 8 | image_hwc[..., 2]
    return codes.size >= MIN_PIXELS and len(np.unique(codes)) <= MAX_COLOURS_OF_A_MASK
