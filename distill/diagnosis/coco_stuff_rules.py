"""Masks of COCO-Stuff that count from 1, lack the things, or were renumbered without the unused labels."""

from collections.abc import Iterator

from distill.diagnosis.finding import Finding
from distill.diagnosis.rules import Rules
from distill.diagnosis.scan import Scan
from modelpack.labels import IGNORE

_UNUSED = {11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90}
"""Labels that no pixel of the distributed masks has: street sign, hat, shoe, eye glasses, plate, ..."""
_LAST_TRAIN_ID = 170
_LAST_CATEGORY, _OTHER = 182, 183


def stuff_alone(scan: Scan) -> Iterator[Finding]:
    if _OTHER in scan.stored_values:
        yield Finding(
            "error",
            scan.split,
            f"the masks hold {_OTHER}, which is `other`: those of stuff alone (*_pixelmaps), without things.",
            "Take stuffthingmaps_trainval2017.zip.",
        )


def counted_from_one(scan: Scan) -> Iterator[Finding]:
    if _LAST_CATEGORY in scan.stored_values and _OTHER not in scan.stored_values:
        yield Finding(
            "error",
            scan.split,
            f"the masks hold {_LAST_CATEGORY}: category ids, which count from 1, so that every class "
            "would be one too high.",
            "Take stuffthingmaps_trainval2017.zip, or subtract 1 (0, unlabelled, becomes 255).",
        )


def renumbered(scan: Scan) -> Iterator[Finding]:
    stored = scan.stored_values - {IGNORE}
    if len(stored & _UNUSED) > len(_UNUSED) / 2 and max(stored) <= _LAST_TRAIN_ID:
        yield Finding(
            "error",
            scan.split,
            f"the masks hold labels that never occur and none above {_LAST_TRAIN_ID}: the 171 train ids that "
            "MMSegmentation makes.",
            "Give the masks as distributed, or train on these as the dataset `folder`.",
        )


COCO_STUFF_RULES: Rules = (stuff_alone, counted_from_one, renumbered)
