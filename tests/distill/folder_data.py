"""Small folders of images and masks to test `folder` and the doctor: sound, or to plant mistakes in."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from distill.datasets.folder import FolderSettings

HEIGHT, WIDTH = 24, 32
PALETTE = [[200, 0, 0], [0, 200, 0], [0, 0, 200]]
INDEX_CLASSES: dict[str, Any] = {"names": ["sky", "road", "car"], "palette": PALETTE}
COLOUR_CLASSES: dict[str, Any] = {**INDEX_CLASSES, "masks": "colour", "ignore": [[0, 0, 0]]}


def write_folder(
    root: Path, classes: dict[str, Any] = INDEX_CLASSES, counts: dict[str, int] | None = None
) -> FolderSettings:
    """A dataset without mistakes: index masks of three vertical bands, 0, 1 and 2; every image differs."""
    for split, count in (counts or {"train": 20, "val": 5, "test": 5}).items():
        for index in range(count):
            write_image(root / split / "images" / f"{split}{index}.png", f"{split}{index}")
            write_mask(root / split / "masks" / f"{split}{index}.png", bands())
    write_classes(root, classes)
    return FolderSettings(root=root)


def write_classes(root: Path, classes: dict[str, Any]) -> None:
    (root / "classes.yaml").write_text(yaml.safe_dump(classes), encoding="utf-8")


def write_image(path: Path, seed: str, height: int = HEIGHT, width: int = WIDTH) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(list(seed.encode())).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(noise).save(path)


def write_mask(path: Path, mask: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)


def bands(*values: int) -> NDArray[np.uint8]:
    """Vertical bands of these values, (HEIGHT, WIDTH)."""
    row = np.repeat(np.array(values or (0, 1, 2), np.uint8), -(-WIDTH // len(values or (0, 1, 2))))[:WIDTH]
    return np.tile(row, (HEIGHT, 1))


def change_masks(root: Path, split: str, mask: NDArray[Any]) -> None:
    """Write the same mask over every mask of a split."""
    for path in sorted((root / split / "masks").iterdir()):
        write_mask(path, mask)
