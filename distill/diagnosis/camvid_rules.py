"""Masks of the original CamVid, with its 32 classes, where SegNet's 11 are read."""

from collections.abc import Iterator

from distill.datasets.camvid import VOID
from distill.diagnosis.finding import Finding
from distill.diagnosis.rules import Rules
from distill.diagnosis.scan import Scan
from modelpack.labels import IGNORE

_ORIGINAL_CLASSES = 32


def original_classes(scan: Scan) -> Iterator[Finding]:
    has_more = any(VOID < value < _ORIGINAL_CLASSES for value in scan.stored_values - {IGNORE})
    if scan.colour_masks or has_more:
        what = "are colour pictures" if scan.colour_masks else f"hold values above {VOID}"
        yield Finding(
            "error",
            scan.split,
            f"the masks {what}: the {_ORIGINAL_CLASSES} classes of the original CamVid.",
            "Take the 11 classes that SegNet's authors made of them (0 to 10, and 11 for void), or train on "
            "these as the dataset `folder`.",
        )


CAMVID_RULES: Rules = (original_classes,)
