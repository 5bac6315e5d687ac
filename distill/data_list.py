"""What a network was trained and measured on: the images of each split, counted and hashed."""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import NonNegativeInt

from distill.datasets import open_dataset
from distill.datasets.dataset import DatasetSettings, SegDataset
from distill.datasets.files import FileDataset
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
    """Every split that the dataset has, by name."""
    splits = {}
    for split in SPLITS:
        try:
            dataset = open_dataset(settings, split)
        except DatasetError:
            continue  # a dataset without this split
        splits[split] = SplitList(images=len(dataset), sha256=_hash(settings, dataset))
    return splits


def add_file(digest: "_Hash", path: Path, name: str) -> None:
    """Name, size and start of one file."""
    digest.update(f"{name}:{path.stat().st_size}".encode())
    with path.open("rb") as file:
        digest.update(file.read(HEAD_BYTES))


def _hash(settings: DatasetSettings, dataset: SegDataset) -> str:
    digest = hashlib.sha256()
    if not isinstance(dataset, FileDataset):
        digest.update(f"{dataset.split}:{settings.model_dump_json()}".encode())
        return digest.hexdigest()
    for entry in dataset.entries:
        for path in (entry.image_path, entry.mask_path):
            add_file(digest, path, Path(os.path.relpath(path, settings.root)).as_posix())
    return digest.hexdigest()
