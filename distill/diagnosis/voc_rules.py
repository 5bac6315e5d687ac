"""Masks of VOC that hold its colours, and lists that are not those of the additional masks."""

from collections.abc import Iterator

from distill.diagnosis.finding import Finding, named
from distill.diagnosis.rules import Rules
from distill.diagnosis.scan import Scan

_OWN_TRAIN_IMAGES = 1464
_AUGMENTED_TRAIN_IMAGES = 10_582


def colours_in_place_of_indices(scan: Scan) -> Iterator[Finding]:
    if scan.colour_masks:
        count = f"{len(scan.colour_masks)} of {scan.looked_at}"
        yield Finding(
            "error",
            scan.split,
            f"{count} masks hold VOC's colours, not its classes ({named(list(scan.colour_masks))}).",
            "Give the files of SegmentationClassAug as they are: what copied these wrote colours into them.",
        )


def another_training_list(scan: Scan) -> Iterator[Finding]:
    if scan.split != "train":
        return
    if scan.size == _OWN_TRAIN_IMAGES:
        yield Finding(
            "warning",
            scan.split,
            f"{scan.size} images are VOC's own train list; published results learn from "
            f"{_AUGMENTED_TRAIN_IMAGES}.",
            "Give the list that comes with SegmentationClassAug as train_aug.txt.",
        )
    elif scan.size > _AUGMENTED_TRAIN_IMAGES:
        yield Finding(
            "warning",
            scan.split,
            f"{scan.size} images are more than the {_AUGMENTED_TRAIN_IMAGES} of train_aug: images of val "
            "seem to be among them.",
            "Take the names in val.txt off the list.",
        )


VOC_RULES: Rules = (colours_in_place_of_indices, another_training_list)
