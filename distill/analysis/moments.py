"""Sums over positions of two feature maps, from which all linear comparisons of the two follow.

The maps themselves need not be kept: a split of any length costs as much memory as one image.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

_CONSTANT = 1e-12
"""Spread about the mean, as a share of that about 0, below which only rounding is left in float64."""


@dataclass(frozen=True)
class Products:
    """Of two sets of vectors x (n, p) and y (n, q), row i of both at the same position. All float64."""

    products: Tensor
    """(p, q): sum of x_i y_i^T."""
    first: Tensor
    """(p,): sum of x_i."""
    second: Tensor
    """(q,): sum of y_i."""
    first_by_length: Tensor
    """(p,): sum of |y_i|^2 x_i."""
    second_by_length: Tensor
    """(q,): sum of |x_i|^2 y_i."""
    lengths: Tensor
    """(): sum of |x_i|^2 |y_i|^2."""

    @classmethod
    def of(cls, x: Tensor, y: Tensor) -> "Products":
        x_lengths, y_lengths = x.square().sum(1), y.square().sum(1)
        return cls(x.T @ y, x.sum(0), y.sum(0), y_lengths @ x, x_lengths @ y, x_lengths @ y_lengths)

    def __add__(self, other: "Products") -> "Products":
        mine, theirs = vars(self), vars(other)
        return Products(**{name: mine[name] + theirs[name] for name in mine})

    def about(self, first_mean: Tensor, second_mean: Tensor, count: int) -> Tensor:
        """(p, q): sum of (x_i - first_mean)(y_i - second_mean)^T."""
        return (
            self.products
            - first_mean.outer(self.second)
            - self.first.outer(second_mean)
            + count * first_mean.outer(second_mean)
        )


@dataclass(frozen=True)
class Moments:
    """What is known of a student's and a teacher's map at the same positions."""

    count: int
    """Positions, over all images."""
    student: Products
    """Of the student with itself."""
    teacher: Products
    both: Products
    """Student first."""

    @classmethod
    def of(cls, student: Tensor, teacher: Tensor) -> "Moments":
        """student: (N, p, h, w), teacher: (N, q, h, w), any float dtype, on one grid."""
        x, y = (maps.detach().double().movedim(1, 3).flatten(0, 2) for maps in (student, teacher))
        return cls(len(x), Products.of(x, x), Products.of(y, y), Products.of(x, y))

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(
            self.count + other.count,
            self.student + other.student,
            self.teacher + other.teacher,
            self.both + other.both,
        )

    @property
    def student_mean(self) -> Tensor:
        return self.student.first / self.count

    @property
    def teacher_mean(self) -> Tensor:
        return self.teacher.first / self.count

    @property
    def student_spread(self) -> float:
        """Sum over positions and channels of the squared deviation from the channel's mean; 0: constant."""
        return _spread(self.student, self.student_mean, self.count)

    @property
    def teacher_spread(self) -> float:
        return _spread(self.teacher, self.teacher_mean, self.count)


def _spread(own: Products, mean: Tensor, count: int) -> float:
    spread = float(torch.trace(own.about(mean, mean, count)))
    return spread if spread > _CONSTANT * float(torch.trace(own.products)) else 0.0
