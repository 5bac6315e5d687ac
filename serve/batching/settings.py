"""What can be set about joining requests."""

from typing import Literal, Self

from pydantic import NonNegativeFloat, PositiveInt, model_validator

from modelpack.settings import StrictModel


class BatchingSettings(StrictModel):
    """How requests are joined into one run of the graph (docs/serving-batching.md)."""

    enabled: bool | Literal["auto"] = "auto"
    """`auto`: where the graph is computed on a GPU and decoding has threads of its own (`codec_threads`). On
    a CPU a batch takes as long as its images one by one, so nothing is joined there unless this says true."""
    max_images: PositiveInt = 8
    """Most images in one run; fewer where the package takes no more, or where they would have more than
    `max_pixels` together. A single request of `/v2` may hold more; it runs alone."""
    max_delay_ms: NonNegativeFloat = 2.0
    """Longest time for which an idle device waits for images that are being decoded. Nobody waits when none
    is, so that a single client loses nothing."""
    preferred_sizes: tuple[PositiveInt, ...] = ()
    """Numbers of images that begin a run at once, such as those that a TensorRT plan was tuned for;
    `max_images` always is one. What is left over waits for the next run."""

    @model_validator(mode="after")
    def _preferred_sizes_are_possible(self) -> Self:
        if any(size > self.max_images for size in self.preferred_sizes):
            raise ValueError(
                f"preferred_sizes ({', '.join(map(str, self.preferred_sizes))}) must not exceed max_images "
                f"({self.max_images})"
            )
        return self
