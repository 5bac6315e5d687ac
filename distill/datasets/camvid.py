"""CamVid as SegNet's authors distribute it: 367 train, 101 val and 233 test frames of 480x360, 11 classes.

Source: Brostow et al., "Semantic object classes in video", 2009; classes and splits of Badrinarayanan et al.,
2017.
"""

from pathlib import Path

from distill.datasets.dataset import DatasetSettings, MissingSplitError
from distill.datasets.files import FileDataset
from distill.datasets.label_table import index_table
from distill.datasets.pairing import pair_files
from modelpack.labels import LabelSet

SPLITS = ("train", "val", "test")

VOID = 11
"""Stored value of pixels without a label."""

CAMVID_LABELS = LabelSet(
    names=(
        *("Sky", "Building", "Pole", "Road", "Pavement", "Tree"),
        *("SignSymbol", "Fence", "Car", "Pedestrian", "Bicyclist"),
    ),
    palette=(
        *((128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0)),
        *((192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192)),
    ),
)


class CamVidSettings(DatasetSettings):
    """`root` holds train/ trainannot/ val/ valannot/ test/ testannot/; images .png or .jpg, masks .png."""

    name: str = "camvid"
    root: Path = Path("data/camvid")


def open_camvid(settings: CamVidSettings, split: str) -> FileDataset:
    if split not in SPLITS:
        raise MissingSplitError(f"camvid has no split {split!r}. Splits: {', '.join(SPLITS)}.")
    entries = pair_files(settings.root, images=split, masks=f"{split}annot")
    return FileDataset(CAMVID_LABELS, split, entries, index_table(CAMVID_LABELS.num_classes, ignored=[VOID]))
