"""The images of an analysis: some to fit on and others to measure on, alternating over one split."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distill.config import TrainConfig
from distill.datasets import open_dataset
from modelpack.errors import DatasetError
from modelpack.labels import LabelSet
from modelpack.preprocess import Resizing


@dataclass(frozen=True)
class ImageSets:
    """Images as the networks see them, each uint8 (H, W, 3); no image is in both."""

    split: str
    labels: LabelSet
    fitted: tuple[NDArray[np.uint8], ...]
    measured: tuple[NDArray[np.uint8], ...]

    @classmethod
    def open(cls, config: TrainConfig, split: str, images: int) -> "ImageSets":
        """`images` of each kind, evenly spaced over the split; fewer where the split has not as many.

        They have the size at which the run is evaluated. Raises DatasetError for a split of one image.
        """
        dataset = open_dataset(config.data, split)
        each = min(images, len(dataset) // 2)
        if each == 0:
            raise DatasetError(
                f"{split} has {len(dataset)} images; an analysis needs two at least, "
                "one to fit on and one to measure on."
            )
        size = config.evaluation.size
        resizing = Resizing(height=size[0], width=size[1]) if size else Resizing()
        chosen = [
            resizing.resize_image(dataset[index * len(dataset) // (2 * each)].image_hwc)
            for index in range(2 * each)
        ]
        return cls(split, dataset.labels, tuple(chosen[0::2]), tuple(chosen[1::2]))
