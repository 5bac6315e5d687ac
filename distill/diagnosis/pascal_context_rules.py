"""Masks that are not Pascal Context's 59 classes, though they lie where those belong."""

from collections.abc import Iterator

from distill.diagnosis.finding import Finding
from distill.diagnosis.rules import Rules
from distill.diagnosis.scan import Scan
from modelpack.labels import IGNORE

_VALUES = 60
"""0 is the background, 1 to 59 the classes."""
_VOC_VALUES = 21


def masks_of_voc(scan: Scan) -> Iterator[Finding]:
    stored = scan.stored_values - {IGNORE}
    if stored and max(stored) < _VOC_VALUES:
        yield Finding(
            "error",
            scan.split,
            f"the masks hold no value above {max(stored)}: those of VOC's 20 classes, not of Context's 59.",
            "Give Context's masks, or use the dataset voc.",
        )


def masks_of_459_classes(scan: Scan) -> Iterator[Finding]:
    above = [value for value in scan.stored_values if _VALUES <= value < IGNORE]
    if above:
        yield Finding(
            "error",
            scan.split,
            f"the masks hold values up to {max(above)}: the archive's 459 classes, or a part of them.",
            "Convert them to the 59 (MMSegmentation's pascal_context converter), or take 59_context_labels.",
        )


def background_taken_off(scan: Scan) -> Iterator[Finding]:
    has_void_and_no_last = IGNORE in scan.stored_values and _VALUES - 1 not in scan.stored_values
    if has_void_and_no_last and _VALUES - 2 in scan.stored_values:
        yield Finding(
            "warning",
            scan.split,
            "the masks run from 0 to 58 with 255 as void: the background seems to be taken off already, so "
            "that every class is one too low and 0, the first class, is ignored.",
            "Give the masks as converted, with 0 as background.",
        )


PASCAL_CONTEXT_RULES: Rules = (masks_of_voc, masks_of_459_classes, background_taken_off)
