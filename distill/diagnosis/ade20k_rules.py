"""Masks of ADE20K that were shifted already, or are of the whole dataset and not of the challenge."""

from collections.abc import Iterator

from distill.diagnosis.finding import Finding
from distill.diagnosis.rules import Rules
from distill.diagnosis.scan import Scan
from modelpack.labels import IGNORE

_CLASSES = 150
"""Stored as 1 to 150; 0 is everything else."""


def one_taken_off(scan: Scan) -> Iterator[Finding]:
    if IGNORE in scan.stored_values and not scan.stored_values & set(range(_CLASSES, IGNORE)):
        yield Finding(
            "error",
            scan.split,
            "the masks hold 255 and no 150: 1 is taken off already, so that every class would be one too low "
            "and walls would be ignored.",
            "Give the masks as distributed (0 is everything else); 1 is taken off here.",
        )


def masks_of_the_whole_dataset(scan: Scan) -> Iterator[Finding]:
    if scan.colour_masks or scan.stored_values & set(range(_CLASSES + 1, IGNORE)):
        yield Finding(
            "error",
            scan.split,
            f"the masks hold more than {_CLASSES} classes: those of the whole ADE20K, which has some 3000.",
            "Take the archive of the scene parsing challenge, ADEChallengeData2016.",
        )


ADE20K_RULES: Rules = (one_taken_off, masks_of_the_whole_dataset)
