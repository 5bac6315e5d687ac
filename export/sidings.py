"""Does an artifact answer as the reference, or as a usual mistake made with the reference would?

A rule that leaves int8 its noise leaves room for a small mistake too. Noise, however, takes no side: in the
pixels in which a mistake makes a difference, a right artifact says mostly what the reference says, a wrong
one what the mistaken reference says. This also gives a refusal its reason.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from modelpack.settings import StrictModel

MIN_PIXELS = 200
"""Fewer pixels that tell a mistake from the reference say nothing."""
MIN_EXPLAINED = 0.3
"""Of all pixels in which an artifact is off, the share that a mistake must account for. Other faults brush
against many mistakes and are none of them."""


class Siding(StrictModel):
    """An artifact between the reference and a mistake made with it."""

    share: float
    """Of the pixels that took one of the two sides, how many took that of the mistake, 0..1."""
    explains: float
    """Of the pixels in which the artifact is off, how many fewer it would be from the mistake, 0..1."""


@dataclass
class Sidings:
    """Counts over the images on which mistakes were made."""

    _with_mistake: Counter[str] = field(default_factory=Counter)
    _with_reference: Counter[str] = field(default_factory=Counter)
    _off: int = 0
    """Pixels in which the artifact is not with the reference."""

    def add(
        self,
        mask_hw: NDArray[np.uint8],
        reference_hw: NDArray[np.uint8],
        mistaken: Mapping[str, NDArray[np.uint8]],
    ) -> None:
        """One image and, by mistake, what the reference gives with it."""
        if mistaken:
            self._off += int((mask_hw != reference_hw).sum())
        for mistake, mistaken_hw in mistaken.items():
            tells = mistaken_hw != reference_hw
            self._with_mistake[mistake] += int((mask_hw[tells] == mistaken_hw[tells]).sum())
            self._with_reference[mistake] += int((mask_hw[tells] == reference_hw[tells]).sum())

    def shares(self) -> dict[str, Siding]:
        """By mistake; those that make too little difference are left out."""
        found = {}
        for mistake, with_mistake in self._with_mistake.items():
            with_reference = self._with_reference[mistake]
            if with_mistake + with_reference >= MIN_PIXELS:
                found[mistake] = Siding(
                    share=with_mistake / (with_mistake + with_reference),
                    explains=max(0, with_mistake - with_reference) / max(1, self._off),
                )
        return found


def convicted(sidings: Mapping[str, Siding], most: float) -> Iterator[str]:
    """One sentence for the mistake that explains the artifact best, where one explains it."""
    guilty = {
        mistake: siding
        for mistake, siding in sidings.items()
        if siding.share > most and siding.explains > MIN_EXPLAINED
    }
    if guilty:
        mistake = max(guilty, key=lambda mistake: guilty[mistake].explains)
        yield (
            f"it answers as the network does {mistake}, in {guilty[mistake].share:.0%} of the pixels "
            "in which that makes a difference"
        )
