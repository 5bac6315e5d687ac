"""What a method must learn from the teacher alone, before the student's first step.

A method that needs it says so in `MethodSettings.preparation` and names a `Preparation` in the table
`METHODS`; `distill/preparation/` trains that once, keeps it, and hands it to the method's `build` as
`Pair.prepared`.
"""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from distill.networks.output import SegNetwork
from modelpack.settings import StrictModel


class PreparationSettings(StrictModel):
    """How it is learned: SGD with polynomial decay, on the recipe's training images, augmented as there."""

    steps: PositiveInt | None = None
    """Optimiser steps. None: as many as show every training image once."""
    batch: PositiveInt = 16
    """Images per optimiser step, over all processes."""
    lr: PositiveFloat = 0.1
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=1e-4, ge=0)
    power: PositiveFloat = 0.9
    seed: NonNegativeInt = 0
    """Not the run's, so that runs under different seeds share what was learned."""

    def weights(self) -> dict[str, float]:
        """Weight of each term that the preparation returns, by its name; 1 where none is given."""
        return {}


@dataclass(frozen=True)
class PreparationPlan:
    """What is to be learned, as a method's settings ask for it."""

    settings: PreparationSettings
    reads: tuple[str, ...]
    """`logits`, or names of the teacher's features."""
    finished: Path | None = None
    """Folder of a finished preparation, to be taken as it is."""


@dataclass(frozen=True)
class Lesson:
    """The share of one process in the images of one optimiser step."""

    images: Tensor
    """(N, 3, H, W), normalised as the teacher wants them."""
    target: Tensor
    """(N, H, W) uint8 labels, 255 = ignored."""
    valid_pixels: Tensor
    """What a sum of cross-entropies is divided by, so that the mean over processes is that of the whole
    batch."""
    processes: int = 1
    """Gradients are averaged over so many: a sum over the batch is multiplied by it."""


class Preparation(nn.Module):
    """Its parameters are what is learned, its forward is the objective. Parameters and buffers are kept."""

    @abstractmethod
    def forward(self, teacher: SegNetwork, lesson: Lesson) -> dict[str, Tensor]:
        """Raw (unweighted) loss terms by name, each () float32.

        teacher: frozen, in evaluation mode. What is learned depends on nothing else that is random.
        """
