"""Two random views of one image, and where in the image each of them lies.

Source: BYOL's augmentation as PCD's authors use it, through albumentations: random resized crop, flip, colour
jitter, grey, blur (always in view 1, seldom in view 2), solarisation (in view 2). Each view draws from a
stream of its own, seeded by the sample.
"""

from random import Random
from typing import Any, NamedTuple

import albumentations
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt, model_validator
from torch import Tensor

from distill.datasets.dataset import SegDataset
from distill.sampling import Draw
from distill.seeds import mix
from modelpack.settings import StrictModel


class ViewsConfig(StrictModel):
    """Defaults are the published values."""

    size: tuple[PositiveInt, PositiveInt] = (224, 224)
    """(height, width) of both views in pixels; a multiple of the networks' largest stride."""
    area: tuple[PositiveFloat, PositiveFloat] = (0.08, 1.0)
    """Smallest and largest share of the image that a view shows."""
    flip: float = Field(default=0.5, ge=0, le=1)
    jitter: float = Field(default=0.8, ge=0, le=1)
    """Probability of the colour jitter (0.4, 0.4, 0.2, 0.1)."""
    grey: float = Field(default=0.2, ge=0, le=1)
    blur: tuple[float, float] = (1.0, 0.1)
    """Probability in view 1 and in view 2; sigma is 0.1 to 2 pixels."""
    solarise: tuple[float, float] = (0.0, 0.2)

    @model_validator(mode="after")
    def _fits(self) -> "ViewsConfig":
        if not self.area[0] <= self.area[1] <= 1:
            raise ValueError(f"area {self.area} must rise and end at 1 at most")
        if not all(0 <= share <= 1 for share in (*self.blur, *self.solarise)):
            raise ValueError("blur and solarise are probabilities, from 0 to 1")
        return self


class View(NamedTuple):
    """What one sees of the image."""

    image_hwc: NDArray[np.uint8]
    place: tuple[float, float, float, float]
    """Left, top, right and bottom edge as fractions of the image; left is above right where it is flipped."""


class ViewBatch(NamedTuple):
    """The share of one process in the images of one optimiser step, twice."""

    images: tuple[Tensor, Tensor]
    """(N, H, W, 3) uint8 RGB of each view."""
    places: tuple[Tensor, Tensor]
    """(N, 4) float32 of each view; see `View.place`."""


class Views:
    """Two views of the sample of a draw. Labels are not looked at."""

    def __init__(self, dataset: SegDataset, config: ViewsConfig) -> None:
        self._dataset = dataset
        self._transforms = tuple(_transform(config, view) for view in (0, 1))

    def __call__(self, draw: Draw) -> tuple[View, View]:
        image_hwc = self._dataset[draw.index].image_hwc
        first, second = (
            _view(transform, image_hwc, mix("view", draw.seed, number))
            for number, transform in enumerate(self._transforms)
        )
        return first, second


def stack_views(pairs: list[tuple[View, View]]) -> ViewBatch:
    first, second = zip(*pairs, strict=True)
    return ViewBatch((_images(first), _images(second)), (_places(first), _places(second)))


def _images(views: tuple[View, ...]) -> Tensor:
    return torch.from_numpy(np.stack([view.image_hwc for view in views]))


def _places(views: tuple[View, ...]) -> Tensor:
    return torch.tensor([view.place for view in views], dtype=torch.float32)


def _transform(config: ViewsConfig, view: int) -> albumentations.Compose:
    jitter = albumentations.ColorJitter((0.6, 1.4), (0.6, 1.4), (0.8, 1.2), (-0.1, 0.1), p=config.jitter)
    return albumentations.Compose(
        [
            albumentations.RandomResizedCrop(config.size, scale=config.area),
            albumentations.HorizontalFlip(p=config.flip),
            jitter,
            albumentations.ToGray(p=config.grey),
            albumentations.GaussianBlur(blur_limit=0, sigma_limit=(0.1, 2.0), p=config.blur[view]),
            albumentations.Solarize(threshold_range=(0.5, 0.5), p=config.solarise[view]),
        ],
        save_applied_params=True,
    )


def _view(transform: albumentations.Compose, image_hwc: NDArray[np.uint8], seed: int) -> View:
    transform.set_random_state(np.random.default_rng(seed), Random(seed))
    done = transform(image=image_hwc)
    applied: dict[str, Any] = dict(done["applied_transforms"])
    left, top, right, bottom = applied["RandomResizedCrop"]["crop_coords"]
    height, width = image_hwc.shape[:2]
    place = (left / width, top / height, right / width, bottom / height)
    if "HorizontalFlip" in applied:
        place = (place[2], place[1], place[0], place[3])
    return View(np.ascontiguousarray(done["image"]), place)
