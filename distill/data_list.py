"""What a network was trained and measured on: the images of each split, counted and hashed."""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import NonNegativeInt

from distill.datasets import UNLABELLED_SPLIT, open_dataset
from distill.datasets.dataset import DatasetSettings, SegDataset
from distill.datasets.files import FileDataset
from distill.datasets.images import find_images
from modelpack.errors import DatasetError
from modelpack.settings import StrictModel

if TYPE_CHECKING:
    from hashlib import _Hash

SPLITS = ("train", "val", "test")
HEAD_BYTES = 1 << 16
"""Of every file; enough to notice a replaced image or mask without reading a large dataset whole."""


class SplitList(StrictModel):
    """One split of a dataset, as it lay on the disk."""

    images: NonNegativeInt
    sha256: str
    """Over name, size and first `HEAD_BYTES` of every image and mask in order, paths relative to the root.
    Of a generated dataset: over its settings."""


def list_data(settings: DatasetSettings) -> dict[str, SplitList]:
    """Every split that the dataset has, by name, and the images of `settings.unlabelled`."""
    splits = {}
    for split in SPLITS:
        try:
            dataset = open_dataset(settings, split)
        except DatasetError:
            continue  # a dataset without this split
        splits[split] = SplitList(images=len(dataset), sha256=_hash(settings, dataset))
    if settings.unlabelled is not None:
        images = find_images(settings.unlabelled)
        splits[UNLABELLED_SPLIT] = SplitList(
            images=len(images), sha256=_hash_files(images, settings.unlabelled)
        )
    return splits


def add_file(digest: "_Hash", path: Path, name: str) -> None:
    """Name, size and start of one file."""
    digest.update(f"{name}:{path.stat().st_size}".encode())
    with path.open("rb") as file:
        digest.update(file.read(HEAD_BYTES))


def _hash(settings: DatasetSettings, dataset: SegDataset) -> str:
    if isinstance(dataset, FileDataset):
        return _hash_files(dataset, settings.root)
    generated = settings.model_dump_json(exclude={"unlabelled", "learn_from"})
    return hashlib.sha256(f"{dataset.split}:{generated}".encode()).hexdigest()


def _hash_files(dataset: FileDataset, root: Path | None) -> str:
    digest = hashlib.sha256()
    for entry in dataset.entries:
        for path in dict.fromkeys((entry.image_path, entry.mask_path)):  # an image without labels is both
            add_file(digest, path, Path(os.path.relpath(path, root)).as_posix())
    return digest.hexdigest()
