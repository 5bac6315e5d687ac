"""Feature maps as pictures: three strongest components as red, green, blue; similarities on one scale."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib import colormaps
from numpy.typing import NDArray
from torch import Tensor

_SHOWN_DEVIATIONS = 2.5
"""Scores up to so many standard deviations from the mean are told apart."""
_COMPONENTS = 3
_ROUNDING = 1e-9
"""Share of the largest value below which a component is nothing."""
_SCALE_QUANTILES = (0.02, 0.98)

Picture = NDArray[np.uint8]
"""(h, w, 3) RGB."""


def principal_scores(maps: Sequence[Tensor]) -> list[Tensor]:
    """The first three principal components of all positions of `maps`, each (C, h, w), scaled to deviation 1.

    Each (h, w, 3) float64 on the CPU; 0 for components that a map does not have.
    """
    rows = torch.cat([features.double().flatten(1).T for features in maps]).cpu()
    centred = rows - rows.mean(0)
    directions = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -_COMPONENTS:].flip(1)
    scores = centred @ directions
    deviation = scores.std(0, unbiased=False)
    is_there = deviation > _ROUNDING * rows.abs().amax()
    scores = torch.where(is_there, scores / torch.where(is_there, deviation, 1.0), 0.0)
    scores = torch.nn.functional.pad(scores, (0, _COMPONENTS - scores.shape[1]))
    parts, start = [], 0
    for features in maps:
        height, width = features.shape[1:]
        parts.append(scores[start : start + height * width].view(height, width, _COMPONENTS))
        start += height * width
    return parts


def turned_towards(scores: Sequence[Tensor], others: Sequence[Tensor]) -> list[Tensor]:
    """`scores`, rotated or mirrored to lie as near to `others` as they can (orthogonal Procrustes).

    Order and signs of components are arbitrary: without this, equal maps could get different colours.
    """
    mine, theirs = (torch.cat([part.flatten(0, 1) for part in parts]) for parts in (scores, others))
    left, _, right = torch.linalg.svd(mine.T @ theirs)
    return [part @ (left @ right) for part in scores]


def as_colours(scores: Tensor) -> Picture:
    """(h, w, 3) scores to RGB; the mean is grey."""
    shares = (0.5 + scores / (2 * _SHOWN_DEVIATIONS)).clamp(0, 1)
    colours: Picture = (255 * shares).round().to(torch.uint8).numpy()
    return colours


def scale_of(maps: Sequence[Tensor]) -> tuple[float, float]:
    """Lowest and highest value of one colour scale for all of `maps`, without their outliers."""
    values = torch.cat([part.flatten() for part in maps]).float()
    values = values[~values.isnan()]
    if values.numel() == 0:
        return 0.0, 1.0
    low, high = np.quantile(values.cpu().numpy(), _SCALE_QUANTILES)
    return float(low), float(high)


def on_scale(values_hw: Tensor, scale: tuple[float, float]) -> Picture:
    """Dark for the lowest value of the scale, light for the highest, black for NaN."""
    low, high = scale
    shares = (values_hw.float().cpu().numpy() - low) / max(high - low, 1e-12)
    pictured = colormaps["viridis"].with_extremes(bad="black")(np.ma.masked_invalid(shares.clip(0, 1)))
    return np.asarray(255 * pictured[..., :3]).round().astype(np.uint8)
