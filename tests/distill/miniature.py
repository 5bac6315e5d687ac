"""Tiny copies of the published datasets in their own layouts: 4 training and 2 evaluation images.

Every writer fills `root` and gives it back: what `data.root` of a recipe wants.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

HEIGHT, WIDTH = 48, 64
TRAIN_NAMES = ("one", "two", "three", "four")
EVAL_NAMES = ("five", "six")


def write_camvid(root: Path) -> Path:
    for split, names in (("train", TRAIN_NAMES), ("val", EVAL_NAMES), ("test", EVAL_NAMES)):
        for name in names:
            _write_image(root / split / f"{split}_{name}.png", f"{split}/{name}")
            _write_mask(root / f"{split}annot" / f"{split}_{name}.png", range(12), name)
    return root


def write_cityscapes(root: Path) -> Path:
    for split, city, names in (("train", "aachen", TRAIN_NAMES), ("val", "lindau", EVAL_NAMES)):
        for name in names:
            stem = f"{city}_{name}"
            _write_image(root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png", name)
            _write_mask(
                root / "gtFine" / split / city / f"{stem}_gtFine_labelIds.png", (*range(34), 255), name
            )
            _write_mask(root / "gtFine" / split / city / f"{stem}_gtFine_instanceIds.png", range(34), name)
    return root


def write_voc(root: Path) -> Path:
    """Masks are palette files, as VOC has them; the training list has both of its usual forms."""
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    lines = [f"/JPEGImages/{name}.jpg /SegmentationClassAug/{name}.png" for name in TRAIN_NAMES[:2]]
    (lists / "train_aug.txt").write_text("\n".join([*lines, *TRAIN_NAMES[2:]]) + "\n")
    (lists / "val.txt").write_text("\n".join(EVAL_NAMES) + "\n")
    for name in (*TRAIN_NAMES, *EVAL_NAMES, "in_no_list"):
        _write_image(root / "JPEGImages" / f"{name}.jpg", name)
        _write_mask(root / "SegmentationClassAug" / f"{name}.png", (*range(21), 255), name, is_palette=True)
    return root


def write_ade20k(root: Path) -> Path:
    for split, names in (("training", TRAIN_NAMES), ("validation", EVAL_NAMES)):
        for name in names:
            _write_image(root / "images" / split / f"ADE_{name}.jpg", name)
            _write_mask(root / "annotations" / split / f"ADE_{name}.png", range(151), name)
    return root


def write_coco_stuff(root: Path) -> Path:
    for split, names in (("train2017", TRAIN_NAMES), ("val2017", EVAL_NAMES)):
        for name in names:
            _write_image(root / "images" / split / f"{name}.jpg", name)
            _write_mask(root / "stuffthingmaps" / split / f"{name}.png", (*range(182), 255), name)
    return root


def write_pascal_context(root: Path) -> Path:
    lists = root / "ImageSets" / "SegmentationContext"
    lists.mkdir(parents=True)
    for split, names in (("train", TRAIN_NAMES), ("val", EVAL_NAMES)):
        (lists / f"{split}.txt").write_text("\n".join(names) + "\n")
        for name in names:
            _write_image(root / "JPEGImages" / f"{name}.jpg", name)
            _write_mask(root / "SegmentationClassContext" / f"{name}.png", range(60), name)
    return root


MINIATURES: dict[str, Callable[[Path], Path]] = {
    "ade20k": write_ade20k,
    "camvid": write_camvid,
    "cityscapes": write_cityscapes,
    "coco_stuff": write_coco_stuff,
    "pascal_context": write_pascal_context,
    "voc": write_voc,
}
"""By the dataset's name in `DATASETS`."""


def _write_image(path: Path, seed: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list(seed.encode()))
    coarse = rng.integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    cv2.imwrite(str(path), cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC))


def _write_mask(path: Path, values: range | tuple[int, ...], seed: str, *, is_palette: bool = False) -> None:
    """Every value at least once, in cells of 4x4 pixels at random places."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list(seed.encode()))
    cells = np.resize(np.array(values, np.uint8), HEIGHT * WIDTH // 16)
    rng.shuffle(cells)
    mask: NDArray[np.uint8] = cells.reshape(HEIGHT // 4, WIDTH // 4).repeat(4, 0).repeat(4, 1)
    picture = Image.fromarray(mask)
    if is_palette:
        picture.putpalette(rng.integers(0, 256, 768, np.uint8).tobytes())
    picture.save(path)
