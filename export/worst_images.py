"""Pictures of the images on which artifact and reference disagree most."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distill.datasets.dataset import SegDataset
from export.tally import Disagreement
from modelpack.atomic import write_bytes
from modelpack.labels import LabelSet
from modelpack.png import encode_png_rgb
from modelpack.preprocess import Resizing

_GAP_PX = 4


def write_worst_images(
    folder: Path, worst: Sequence[Disagreement], dataset: SegDataset, resizing: Resizing, labels: LabelSet
) -> None:
    """One PNG each, worst first: image, reference, artifact, and the pixels that differ in white."""
    for rank, case in enumerate(worst):
        sample = dataset[case.index]
        differs = np.repeat(
            np.where(case.mask_hw != case.reference_hw, 255, 0).astype(np.uint8)[..., None], 3, 2
        )
        panels = [
            resizing.resize_image(sample.image_hwc),
            labels.colourise(case.reference_hw),
            labels.colourise(case.mask_hw),
            differs,
        ]
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", sample.name)
        write_bytes(folder / f"{rank:02d}-{stem}.png", encode_png_rgb(_side_by_side(panels)))


def _side_by_side(panels: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    gap = np.full((panels[0].shape[0], _GAP_PX, 3), 128, np.uint8)
    parts = [part for panel in panels for part in (panel, gap)][:-1]
    return np.concatenate(parts, axis=1)
