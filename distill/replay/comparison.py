"""Worst relative errors of a replayed file, and whether every one of them is within its tolerance."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distill.replay.golden import GoldenError

SINGLE_PRECISION = 1e-6
"""Least tolerance towards a reference that is kept in single precision."""


@dataclass
class Comparison:
    """Collects errors by quantity (`loss`, `grad` or `output`)."""

    tolerances: Mapping[str, float]
    worst: dict[str, float] = field(default_factory=dict)
    """Largest error by quantity."""
    is_within_tolerance: bool = False
    """Of everything that was added; nothing added is not enough."""
    _count: int = 0

    def __post_init__(self) -> None:
        self.worst = dict.fromkeys(self.tolerances, 0.0) | self.worst

    def add(
        self, quantity: str, name: str, ours: Tensor | NDArray[Any] | float, reference: NDArray[Any]
    ) -> None:
        """Norm of the difference over norm of the reference (over 1 where that is 0).

        A reference kept in single precision is compared with ours rounded to it.
        Raises GoldenError where the shapes differ.
        """
        tolerance = self.tolerances[quantity]
        values = np.asarray(ours.detach().cpu() if isinstance(ours, Tensor) else ours)
        if values.shape != reference.shape:
            raise GoldenError(f"{name}: got shape {values.shape}, the file holds {reference.shape}.")
        if reference.dtype == np.float32:
            values = values.astype(np.float32)
            tolerance = max(tolerance, SINGLE_PRECISION)
        wide = reference.astype(np.float64)
        norm = float(np.linalg.norm(wide))
        error = float(np.linalg.norm(values.astype(np.float64) - wide)) / (norm or 1.0)
        self.worst[quantity] = error if np.isnan(error) else max(self.worst[quantity], error)
        self.is_within_tolerance = error <= tolerance and (self.is_within_tolerance or self._count == 0)
        self._count += 1

    def join(self, other: "Comparison") -> "Comparison":
        """Both as one, for quantities that each has of its own."""
        return Comparison(
            {**self.tolerances, **other.tolerances},
            {**self.worst, **other.worst},
            self.is_within_tolerance and other.is_within_tolerance,
        )


def tolerances(
    dtype: torch.dtype, *, float64: tuple[float, float], float32: tuple[float, float]
) -> dict[str, float]:
    """(loss, gradient) of the type at hand, as `Comparison` takes them."""
    loss, grad = float64 if dtype == torch.float64 else float32
    return {"loss": loss, "grad": grad}
