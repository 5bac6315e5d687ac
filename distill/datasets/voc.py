"""PASCAL VOC 2012 with additional training masks: 10582 train and 1449 val images, background and 20 classes.

Source: Everingham et al., 2010; additional masks of Hariharan et al., "Semantic contours from inverse
detectors", 2011, as the usual archive `SegmentationClassAug`.
"""

from pathlib import Path

from distill.datasets.dataset import DatasetSettings, MissingSplitError
from distill.datasets.files import FileDataset
from distill.datasets.label_table import index_table
from distill.datasets.pairing import pair_files
from modelpack.errors import DatasetError
from modelpack.labels import IGNORE, LabelSet, distinct_palette

LISTS = {"train": "train_aug.txt", "val": "val.txt"}
"""In ImageSets/Segmentation: one image per line, by name or as the paths of image and mask."""

VOC_LABELS = LabelSet(
    names=(
        *(
            "background",
            "aeroplane",
            "bicycle",
            "bird",
            "boat",
            "bottle",
            "bus",
            "car",
            "cat",
            "chair",
            "cow",
        ),
        *(
            "diningtable",
            "dog",
            "horse",
            "motorbike",
            "person",
            "pottedplant",
            "sheep",
            "sofa",
            "train",
            "tvmonitor",
        ),
    ),
    palette=distinct_palette(21),
)


class VocSettings(DatasetSettings):
    """`root` is the folder VOC2012: JPEGImages/ and ImageSets/ as distributed, and two things added to it:
    SegmentationClassAug/ (masks of both splits) and ImageSets/Segmentation/train_aug.txt (10582 image names).
    """

    name: str = "voc"
    root: Path = Path("data/VOCdevkit/VOC2012")


def open_voc(settings: VocSettings, split: str) -> FileDataset:
    if split not in LISTS:
        raise MissingSplitError(f"voc has no split {split!r}. Splits: {', '.join(LISTS)}.")
    names = _names(settings.root / "ImageSets" / "Segmentation" / LISTS[split])
    entries = pair_files(settings.root, images="JPEGImages", masks="SegmentationClassAug", names=names)
    return FileDataset(VOC_LABELS, split, entries, index_table(VOC_LABELS.num_classes, ignored=[IGNORE]))


def _names(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(
            f"list {path} cannot be read ({error}). It names the images of the split, one per line; "
            "train_aug.txt comes with SegmentationClassAug, not with VOC itself."
        ) from error
    return [Path(line.split()[0]).stem for line in lines if line.strip()]
