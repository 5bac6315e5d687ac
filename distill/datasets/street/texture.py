"""Grain of surfaces, clouds and noise of the sensor, cut from fields that are drawn once per process."""

from functools import cache
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray

from distill.datasets.street.classes import (
    BICYCLIST,
    BUILDING,
    CAR,
    FENCE,
    PAVEMENT,
    PEDESTRIAN,
    POLE,
    ROAD,
    SIGN,
    SKY,
    TREE,
)

_FIELD_SIZE = 1024
_BLURS = (0.7, 2.5, 9.0)
"""Standard deviations in pixels of the fine, middle and coarse field."""

_GRAIN = {
    SKY: (0.0, 0.0, 0.01),
    BUILDING: (0.05, 0.03, 0.07),
    POLE: (0.04, 0.05, 0.0),
    ROAD: (0.05, 0.03, 0.07),
    PAVEMENT: (0.05, 0.03, 0.06),
    TREE: (0.15, 0.22, 0.1),
    SIGN: (0.02, 0.02, 0.0),
    FENCE: (0.06, 0.08, 0.04),
    CAR: (0.02, 0.04, 0.04),
    PEDESTRIAN: (0.05, 0.07, 0.0),
    BICYCLIST: (0.05, 0.07, 0.0),
}
"""Relative contrast of each class in the three fields."""


def clouds(rng: Random, height: int, width: int) -> NDArray[np.float32]:
    """(height, width) cover in 0-1."""
    size = (max(2, height // 3), max(2, width // 5))
    field = _cut(_fields()[2], rng, *size) + 0.35 * _cut(_fields()[1], rng, *size)
    smooth = cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(smooth * 0.55 + 0.25, 0, 1), np.float32)


def grain(rng: Random, mask_hw: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W) factor about 1 by which the surface of each pixel differs from its even colour."""
    strength = rng.uniform(0.5, 1.6)
    factor = np.ones(mask_hw.shape, np.float32)
    for field, contrast in zip(_fields(), _contrasts(), strict=True):
        factor += _cut(field, rng, *mask_hw.shape) * (contrast * strength)[mask_hw]
    return factor


def sensor_noise(rng: Random, height: int, width: int) -> NDArray[np.float32]:
    """(height, width, 3), standard deviation 1: mostly brightness, some colour."""
    return _cut(_sensor_field(), rng, height, width)


def _cut(field: NDArray[np.float32], rng: Random, height: int, width: int) -> NDArray[np.float32]:
    """A random window of the field, mirrored where the picture is larger than the field."""
    top = int(rng.random() * max(1, _FIELD_SIZE - height))
    left = int(rng.random() * max(1, _FIELD_SIZE - width))
    window = field[top : top + height, left : left + width]
    missing = (height - window.shape[0], width - window.shape[1])
    if any(missing):
        margins = [(0, missing[0]), (0, missing[1]), (0, 0)]
        return np.pad(window, margins[: window.ndim], mode="symmetric")
    return window


@cache
def _white() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((_FIELD_SIZE, _FIELD_SIZE), np.float32)


@cache
def _sensor_field() -> NDArray[np.float32]:
    shares = (0.8 * _white(), *(0.6 * np.roll(_white(), shift) for shift in (311, 5003, 90001)))
    return np.stack([shares[0] + colour for colour in shares[1:]], axis=-1)


@cache
def _fields() -> tuple[NDArray[np.float32], ...]:
    """Fine, middle and coarse noise of standard deviation 1."""
    fields = [cv2.GaussianBlur(np.roll(_white(), 97 * i), (0, 0), blur) for i, blur in enumerate(_BLURS)]
    return tuple(np.asarray(field / field.std(), np.float32) for field in fields)


@cache
def _contrasts() -> tuple[NDArray[np.float32], ...]:
    table = np.zeros((len(_BLURS), 256), np.float32)
    for label, contrasts in _GRAIN.items():
        table[:, label] = contrasts
    return tuple(table)
