"""Settings of quantisation-aware training."""

from typing import Literal

from pydantic import PositiveInt, field_validator

from distill.quantisation.calibrators import CALIBRATORS
from modelpack.settings import StrictModel
from modelpack.tables import lookup


class QuantisationConfig(StrictModel):
    """Convolutions and linear layers compute with int8 weights and int8 inputs while the student goes on
    learning; batch norms are folded before. Both are symmetric, and an input has one scale.
    """

    calibration_images: PositiveInt = 64
    """Images spread over the training split that show the range of every input."""
    calibrator: str = "mse"
    """A name of `CALIBRATORS`: how the first scale follows from the values seen."""
    learn_scales: bool = True
    """Whether the scales of inputs are trained on. False: they stay as calibrated."""
    weights: Literal["per_channel", "per_tensor"] = "per_channel"
    """A scale for each output channel of a weight, or one for all: some accelerators take no more."""
    skip: tuple[str, ...] = ()
    """Layers that stay in float, by their names in the network; `*` stands for anything."""
    skip_first: bool = False
    """Whether the layer that reads the image stays in float."""
    skip_last: bool = False
    """Whether the layer that is computed last, the classifier, stays in float."""

    @field_validator("calibrator")
    @classmethod
    def _calibrator_of_the_table(cls, name: str) -> str:
        lookup(CALIBRATORS, "calibrator", name)
        return name
