"""What happens to an image before it is learned from: jitter, random scale, padding, random crop, flip.

Order and values as published (spec: Af-DCD, section 5), through albumentations. Every sample brings its own
seed, and all transforms of a sample draw from one stream of it.
"""

from collections.abc import Sequence
from random import Random
from typing import Any

import albumentations
import cv2
import numpy as np
from numpy.typing import NDArray

from distill.config import AugmentConfig
from modelpack.labels import IGNORE


class Augmentation:
    """Deterministic in (image, mask, seed).

    mean_rgb: 0-255; what the padding is filled with, so that it is about zero once normalised.
    """

    def __init__(self, config: AugmentConfig, mean_rgb: Sequence[float]) -> None:
        height, width = config.crop
        transforms = [
            albumentations.RandomCrop(
                height,
                width,
                pad_if_needed=True,
                pad_position="top_left",
                border_mode=cv2.BORDER_CONSTANT,
                fill=tuple(round(channel) for channel in mean_rgb),
                fill_mask=IGNORE,
            ),
            albumentations.HorizontalFlip(p=config.flip),
        ]
        if config.scale != (1.0, 1.0):
            transforms.insert(0, _scale(config))
        if config.jitter:
            strength = (1 - config.jitter, 1 + config.jitter)
            transforms.insert(0, albumentations.ColorJitter(strength, strength, strength, hue=(0, 0), p=1))
        if config.resize is not None:
            transforms.insert(
                0, albumentations.Resize(*config.resize, mask_interpolation=cv2.INTER_NEAREST_EXACT)
            )
        self._transform = albumentations.Compose(transforms)

    def __call__(
        self, image_hwc: NDArray[np.uint8], mask_hw: NDArray[np.uint8], seed: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """(crop height, crop width, 3) RGB and (crop height, crop width), 255 where the image was padded."""
        # Compose.set_random_seed would start every transform on the same stream: flips would follow scales.
        self._transform.set_random_state(np.random.default_rng(seed), Random(seed))
        done = self._transform(image=image_hwc, mask=mask_hw)
        return np.ascontiguousarray(done["image"]), np.ascontiguousarray(done["mask"])


class _SteppedScale(albumentations.RandomScale):  # type: ignore[misc]  # albumentations is untyped
    """Draws from a list of factors instead of an interval."""

    factors: Sequence[float]

    def get_params(self) -> dict[str, Any]:
        return {"scale": self.py_random.choice(self.factors)}


def _scale(config: AugmentConfig) -> albumentations.BasicTransform:
    low, high = config.scale
    how = {"interpolation": cv2.INTER_LINEAR, "mask_interpolation": cv2.INTER_NEAREST_EXACT, "p": 1}
    if config.scale_step == 0:
        return albumentations.RandomScale((low - 1, high - 1), **how)
    stepped = _SteppedScale((low - 1, high - 1), **how)
    count = int((high - low) / config.scale_step + 1e-6) + 1
    stepped.factors = [low + config.scale_step * i for i in range(count)]
    return stepped
