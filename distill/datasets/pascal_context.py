"""Pascal Context on VOC 2010's images: 4998 train and 5105 val images, 59 classes, or 60 with the background.

Source: Mottaghi et al., "The Role of Context for Object Detection and Semantic Segmentation in the Wild",
2014. Two sets of masks with two orders of the same classes are in use: those that MMSegmentation's script
makes of `trainval_merged.json` count the names alphabetically, the authors' `59_context_labels` put VOC's 20
first. Classes here are alphabetical, whichever masks are read. Colours are ours, the archive has none.
"""

from pathlib import Path
from typing import Literal

from distill.datasets.dataset import DatasetSettings, MissingSplitError
from distill.datasets.files import FileDataset
from distill.datasets.label_table import LabelTable, label_table
from distill.datasets.pairing import pair_files
from modelpack.errors import DatasetError
from modelpack.labels import IGNORE, LabelSet, distinct_palette

SPLITS = ("train", "val")
LISTS = "ImageSets/SegmentationContext"
"""Folder of train.txt and val.txt: one image name per line."""

_OFFICIAL = """
aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, table, dog, horse, motorbike, person,
pottedplant, sheep, sofa, train, tvmonitor, bag, bed, bench, book, building, cabinet, ceiling, cloth,
computer, cup, door, fence, floor, flower, food, grass, ground, keyboard, light, mountain, mouse, curtain,
platform, sign, plate, road, rock, shelves, sidewalk, sky, snow, bedclothes, track, tree, truck, wall, water,
window, wood
"""
OFFICIAL_ORDER = tuple(" ".join(name.split()) for name in _OFFICIAL.split(","))
"""Of the authors' 59_labels.txt; the first is stored as 1."""
ALPHABETICAL_ORDER = tuple(sorted(OFFICIAL_ORDER))

ORDERS = {"SegmentationClassContext": ALPHABETICAL_ORDER, "59_context_labels": OFFICIAL_ORDER}
"""Folder of masks -> names of the stored values 1 to 59. 0 is the background."""
_BACKGROUND = 0


class PascalContextSettings(DatasetSettings):
    """`root` is the folder VOC2010: JPEGImages/ as distributed, and two things added to it: the masks of both
    splits and ImageSets/SegmentationContext/ with train.txt and val.txt.
    """

    name: str = "pascal_context"
    root: Path = Path("data/VOCdevkit/VOC2010")
    masks: Literal["SegmentationClassContext", "59_context_labels"] = "SegmentationClassContext"
    """The folder of masks, which says their order: MMSegmentation's conversion, or the authors' archive."""
    classes: Literal[59, 60] = 59
    """60: the background is a class, the first; 59: it is ignored."""


def open_pascal_context(settings: PascalContextSettings, split: str) -> FileDataset:
    if split not in SPLITS:
        raise MissingSplitError(f"pascal_context has no split {split!r}. Splits: {', '.join(SPLITS)}.")
    names = _names(settings.root / LISTS / f"{split}.txt")
    labels = pascal_context_labels(settings.classes)
    try:
        entries = pair_files(settings.root, images="JPEGImages", masks=settings.masks, names=names)
    except MissingSplitError as error:
        raise DatasetError(f"{error} {_ABOUT_MASKS}") from None
    return FileDataset(labels, split, entries, _table(settings.masks, labels))


_ABOUT_MASKS = (
    "The .mat files of trainval.tar.gz hold 459 classes: make SegmentationClassContext of "
    "trainval_merged.json with MMSegmentation's converter, or unpack the authors' 59_context_labels and set "
    "data.masks=59_context_labels."
)


def pascal_context_labels(classes: Literal[59, 60]) -> LabelSet:
    names = (*(("background",) if classes == 60 else ()), *ALPHABETICAL_ORDER)
    return LabelSet(names=names, palette=distinct_palette(60)[60 - classes :])


def _table(masks: str, labels: LabelSet) -> LabelTable:
    class_of = {value: labels.names.index(name) for value, name in enumerate(ORDERS[masks], start=1)}
    if "background" in labels.names:
        return label_table(class_of | {_BACKGROUND: labels.names.index("background")}, ignored=[IGNORE])
    return label_table(class_of, ignored=[_BACKGROUND, IGNORE])


def _names(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(
            f"list {path} cannot be read ({error}). It names the images of the split, one per line; "
            "MMSegmentation's converter writes it."
        ) from error
    return [Path(line.split()[0]).stem for line in lines if line.strip()]
