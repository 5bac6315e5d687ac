"""Images of noise in the place of a dataset that is not at hand."""

import numpy as np

from distill.config import TrainConfig
from distill.datasets import open_to_learn_from
from distill.datasets.dataset import Sample
from distill.seeds import mix
from modelpack.errors import DatasetError
from modelpack.labels import LabelSet, distinct_palette

CLASSES = 19
"""Of a dataset that cannot be opened; those of Cityscapes."""
_IMAGES = 64


class NoiseDataset:
    """A `SegDataset` of uniform noise in images and masks."""

    split = "noise"

    def __init__(self, size: tuple[int, int], labels: LabelSet) -> None:
        """size: (height, width) in pixels."""
        self.size, self.labels = size, labels

    def __len__(self) -> int:
        return _IMAGES

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < _IMAGES:
            raise IndexError(f"there are {_IMAGES} images of noise, no number {index}.")
        generator = np.random.default_rng(mix("noise", index))
        image_hwc = generator.integers(0, 256, (*self.size, 3), np.uint8)
        mask_hw = generator.integers(0, self.labels.num_classes, self.size, np.uint8)
        return Sample(f"noise-{index:02d}", image_hwc, mask_hw)


def noise_like(config: TrainConfig) -> NoiseDataset:
    """Of the recipe's crop, in the classes of its dataset where that can be opened."""
    try:
        labels = open_to_learn_from(config.data).labels
    except DatasetError:
        names = tuple(f"class {number}" for number in range(CLASSES))
        labels = LabelSet(names=names, palette=distinct_palette(CLASSES))
    return NoiseDataset(config.augment.crop, labels)
