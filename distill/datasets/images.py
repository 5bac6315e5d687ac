"""Plain images without labels: for pre-training, and as more to learn from beside a labelled dataset."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from distill.datasets.dataset import DatasetSettings, MissingSplitError, Sample
from distill.datasets.files import Entry, FileDataset
from distill.datasets.label_table import label_table
from distill.datasets.pairing import listed
from distill.datasets.reading import IMAGE_SUFFIXES
from modelpack.errors import DatasetError
from modelpack.labels import IGNORE, LabelSet

UNLABELLED = LabelSet(names=("unlabelled",), palette=((0, 0, 0),))
"""In the place of classes, which such images have not."""


class ImagesSettings(DatasetSettings):
    """`root` is any folder; every image in it and in the folders below belongs to the one split, `train`.

    A segmentation network needs classes to learn and labels to be measured with: there, name such a folder as
    `data.unlabelled` of a labelled dataset.
    """

    name: str = "images"
    root: Path = Path("data")

    @field_validator("root", mode="before")
    @classmethod
    def _is_given(cls, root: Any) -> Any:
        if root is None:
            raise ValueError("say where your images are, as in data.root=/path/to/images")
        return root


class ImagesDataset(FileDataset):
    """A `SegDataset` whose masks are void: 255 at every pixel."""

    def __init__(self, split: str, entries: tuple[Entry, ...], labels: LabelSet = UNLABELLED) -> None:
        super().__init__(labels, split, entries, label_table({}, ignored=[IGNORE]))

    def __getitem__(self, index: int) -> Sample:
        """Raises DatasetError naming an image that does not decode."""
        image_hwc = self.raw_image(index)
        return Sample(self.entries[index].name, image_hwc, _void(image_hwc))

    def raw_mask(self, index: int) -> NDArray[np.uint8]:
        return _void(self.raw_image(index))


def open_images(settings: ImagesSettings, split: str) -> ImagesDataset:
    if split != "train":
        raise MissingSplitError(
            f"images has no split {split!r}, only train: without labels nothing can be measured. To train a "
            "segmentation network, name a labelled dataset and give this folder as data.unlabelled."
        )
    return find_images(settings.root)


def find_images(folder: Path, split: str = "train", labels: LabelSet = UNLABELLED) -> ImagesDataset:
    """Every image in `folder` and below, sorted by path; hidden files and folders are passed over.

    Raises DatasetError for a folder that is missing or holds no image.
    """
    if not folder.is_dir():
        raise DatasetError(f"image folder {folder} does not exist. Check data.root or data.unlabelled.")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not _is_hidden(path, folder)]
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        counts = Counter(path.suffix for path in files).most_common()
        kinds = [f"{count} {suffix}" for suffix, count in counts]
        raise DatasetError(
            f"{folder} holds no image, but {listed(kinds) or 'nothing'}. Images end in "
            f"{', '.join(IMAGE_SUFFIXES)}; convert others."
        )
    entries = (Entry(path.relative_to(folder).as_posix(), path, path) for path in images)
    return ImagesDataset(split, tuple(entries), labels)


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _void(image_hwc: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.full(image_hwc.shape[:2], IGNORE, np.uint8)
