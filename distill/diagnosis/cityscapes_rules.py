"""Masks that are not Cityscapes' label ids, though they bear their name."""

from collections.abc import Iterator

from distill.diagnosis.finding import Finding
from distill.diagnosis.rules import Rules
from distill.diagnosis.scan import Scan
from modelpack.labels import IGNORE

_LAST_TRAIN_ID = 18
"""Of label ids, vegetation (21), sky (23) and cars (26) are in nearly every frame."""


def train_ids(scan: Scan) -> Iterator[Finding]:
    stored = scan.stored_values - {IGNORE}
    if stored and max(stored) <= _LAST_TRAIN_ID:
        yield Finding(
            "error",
            scan.split,
            f"the masks hold no value above {max(stored)}: train ids, where label ids (0 to 33) are read.",
            "Give the *_gtFine_labelIds.png as gtFine_trainvaltest.zip has them; they are converted here.",
        )


CITYSCAPES_RULES: Rules = (train_ids,)
