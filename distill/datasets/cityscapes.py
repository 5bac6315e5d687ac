"""Cityscapes as distributed: 2975 train and 500 val frames of 2048x1024, 19 evaluated classes.

Source: Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", 2016.
The masks are the `labelIds` files of `gtFine_trainvaltest.zip`; no conversion to train ids is needed.
"""

from pathlib import Path

from distill.datasets.dataset import DatasetSettings, MissingSplitError
from distill.datasets.files import Entry, FileDataset
from distill.datasets.label_table import label_table
from distill.datasets.pairing import pair_files
from modelpack.errors import DatasetError
from modelpack.labels import LabelSet

SPLITS = ("train", "val")
"""The test split's masks are not public."""

CITYSCAPES_LABELS = LabelSet(
    names=(
        *(
            "road",
            "sidewalk",
            "building",
            "wall",
            "fence",
            "pole",
            "traffic light",
            "traffic sign",
            "vegetation",
        ),
        *("terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"),
    ),
    palette=(
        *((128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153)),
        *((250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60)),
        *((255, 0, 0), (0, 0, 142), (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32)),
    ),
)

_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""Stored ids of the classes, in the order of the names."""
_LAST_ID = 33
_LICENCE_PLATE = 255
"""Id -1, as a uint8 file stores it."""

_ABOUT_TRAIN_IDS = (
    "There are *_labelTrainIds.png, but labelIds are read: unpack them from gtFine_trainvaltest.zip."
)


class CityscapesSettings(DatasetSettings):
    """`root` holds leftImg8bit/SPLIT/CITY/*_leftImg8bit.png and gtFine/SPLIT/CITY/*_gtFine_labelIds.png."""

    name: str = "cityscapes"
    root: Path = Path("data/cityscapes")


def open_cityscapes(settings: CityscapesSettings, split: str) -> FileDataset:
    if split not in SPLITS:
        raise MissingSplitError(f"cityscapes has no split {split!r}. Splits: {', '.join(SPLITS)}.")
    class_of = {stored: index for index, stored in enumerate(_IDS)}
    ignored = [stored for stored in (*range(_LAST_ID + 1), _LICENCE_PLATE) if stored not in class_of]
    return FileDataset(
        CITYSCAPES_LABELS, split, _entries(settings.root, split), label_table(class_of, ignored)
    )


def _entries(root: Path, split: str) -> list[Entry]:
    images = root / "leftImg8bit" / split
    if not images.is_dir():
        raise DatasetError(
            f"image folder {images} does not exist. Check data.root, or download the data to it."
        )
    entries: list[Entry] = []
    for city in sorted(folder.name for folder in images.iterdir() if folder.is_dir()):
        try:
            entries += pair_files(
                root,
                images=f"leftImg8bit/{split}/{city}/{{name}}_leftImg8bit.png",
                masks=f"gtFine/{split}/{city}/{{name}}_gtFine_labelIds.png",
            )
        except DatasetError as error:
            if any((root / "gtFine" / split / city).glob("*_gtFine_labelTrainIds.png")):
                raise DatasetError(f"{error} {_ABOUT_TRAIN_IDS}") from None
            raise
    return entries
