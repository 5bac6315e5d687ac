"""Datasets that are pairs of files, an image and a mask: what CamVid, Cityscapes and folders share."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distill.datasets.dataset import Sample
from distill.datasets.label_table import MAX_CLASSES, UNKNOWN, LabelTable
from distill.datasets.mask_formats import IndexMasks, MaskFormat
from distill.datasets.reading import read_image
from modelpack.errors import DatasetError
from modelpack.labels import LabelSet

_MAX_VALUES_NAMED = 8


@dataclass(frozen=True)
class Entry:
    """One pair of files."""

    name: str
    """Unique in the split; names the sample in reports."""
    image_path: Path
    mask_path: Path


class FileDataset:
    """A `SegDataset` over `entries`; files are read when asked for, nothing is kept.

    label_table: (256,) uint8, stored value -> class index, 255 = ignored, 254 = unknown (`label_table.py`).
    masks: how stored values are read; None takes one-channel and palette files as indices.
    """

    def __init__(
        self,
        labels: LabelSet,
        split: str,
        entries: Sequence[Entry],
        label_table: LabelTable,
        masks: MaskFormat | None = None,
    ) -> None:
        if labels.num_classes > MAX_CLASSES:
            raise DatasetError(f"{labels.num_classes} classes; datasets of files hold at most {MAX_CLASSES}.")
        if not entries:
            raise DatasetError(f"split {split!r} has no images.")
        self.labels = labels
        self.split = split
        self.entries = tuple(entries)
        self.label_table = label_table
        self.masks = masks or IndexMasks()

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Sample:
        """Raises DatasetError naming the file: unreadable, sizes that differ, values without a meaning."""
        entry = self.entries[index]
        image_hwc = self.raw_image(index)
        raw_hw = self.raw_mask(index)
        if image_hwc.shape[:2] != raw_hw.shape:
            raise DatasetError(
                f"image {entry.image_path} is {_size(image_hwc)} (width x height) but its mask "
                f"{entry.mask_path} is {_size(raw_hw)}; they must be equal. `afdcd distill doctor` lists all."
            )
        mask_hw = self.label_table[raw_hw]
        unknown_hw = mask_hw == UNKNOWN
        if unknown_hw.any():
            self._refuse_values(entry, unknown_hw)
        return Sample(entry.name, image_hwc, mask_hw)

    def raw_image(self, index: int) -> NDArray[np.uint8]:
        """(H, W, 3) RGB."""
        return read_image(self.entries[index].image_path)

    def raw_mask(self, index: int) -> NDArray[np.uint8]:
        """(H, W) values as stored in the file, before the label table."""
        return self.masks.read(self.entries[index].mask_path)

    def _refuse_values(self, entry: Entry, unknown_hw: NDArray[np.bool_]) -> None:
        values = self.masks.name_values(entry.mask_path, unknown_hw)
        named = ", ".join(values[:_MAX_VALUES_NAMED]) + (", ..." if len(values) > _MAX_VALUES_NAMED else "")
        raise DatasetError(
            f"mask {entry.mask_path} holds {named}, which stands for none of the {self.labels.num_classes} "
            "classes. Run `afdcd distill doctor` to see what is wrong and how to mend it."
        )


def _size(array: NDArray[np.uint8]) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"
