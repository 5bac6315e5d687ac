"""What can be set about models that run beside the answers."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from modelpack.settings import StrictModel

MIB = 1 << 20


class ShadowSettings(StrictModel):
    """A model, the teacher say, whose masks are compared with the answers and never sent."""

    package: Path | None = None
    """Folder of its package, of the same classes as the default model. None: there is no shadow."""
    share: float = Field(default=0.05, gt=0, le=1)
    """Share of the images that it computes too, drawn at random."""
    keep: Path | None = None
    """Folder for the images on which the two disagree most. None: no image is written."""
    keep_below: float = Field(default=0.95, ge=0, le=1)
    """Only images in which a smaller share of the pixels agrees are kept."""
    keep_images: PositiveInt = 500
    """Most images in that folder; then a worse one takes the place of the best one."""
    keep_bytes: PositiveInt = 512 * MIB
    """Most bytes in that folder, in the same way."""
    keep_format: Literal["jpg", "png"] = "jpg"
    """How images are written: JPEG of quality 95, or without loss and several times as large."""

    @model_validator(mode="after")
    def _keeps_what_a_shadow_sees(self) -> Self:
        if self.keep is not None and self.package is None:
            raise ValueError("keep needs a shadow whose masks are compared: set shadow.package too")
        return self


class CanarySettings(StrictModel):
    """When a model on trial takes over. Each trial may ask for something else."""

    share: float = Field(default=0.2, gt=0, le=1)
    """Share of the images that the canary computes too, drawn at random."""
    min_images: PositiveInt = 200
    """Images to compare before the trial is decided, over all workers."""
    at_least_s: NonNegativeFloat = 60.0
    """Shortest trial."""
    at_most_s: PositiveFloat = 3600.0
    """Longest trial: a canary that has not seen `min_images` by then is rolled back."""
    min_agreement: float = Field(default=0.95, ge=0, le=1)
    """Least share of equal pixels, over all compared images."""
    min_class_iou: float = Field(default=0.0, ge=0, le=1)
    """Least intersection over union of both models' pixels of each class that one has seen. 0: not asked."""
    max_latency_factor: PositiveFloat = 1.5
    """In at least half of the images the canary's graph takes at most this multiple of the other's time."""
