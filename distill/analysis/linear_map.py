"""How much of the teacher's map the student's holds: what the best 1x1 convolution between them leaves over.

It is fitted by least squares on other images than it is judged on, as a linear probe is (Alain and Bengio,
"Understanding intermediate layers using linear classifier probes", 2016): a wide student gains nothing from
its width alone.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from distill.analysis.moments import Moments

RIDGE = 1e-4
"""Added to the diagonal of the normal equations, as a share of the mean variance of a channel: channels that
are always 0, or more channels than positions, would leave them without a single solution."""


@dataclass(frozen=True)
class LinearMap:
    """teacher ~ (student - student_mean) @ weight + teacher_mean, at each position."""

    weight: Tensor
    """(p, q) float64."""
    student_mean: Tensor
    teacher_mean: Tensor

    @classmethod
    def fit(cls, moments: Moments) -> "LinearMap":
        """By least squares over the positions of `moments`."""
        student_mean, teacher_mean = moments.student_mean, moments.teacher_mean
        own = moments.student.about(student_mean, student_mean, moments.count)
        cross = moments.both.about(student_mean, teacher_mean, moments.count)
        ridge = RIDGE * moments.student_spread / len(own) or 1.0  # a constant map predicts the mean
        own.diagonal().add_(ridge)
        return cls(torch.linalg.solve(own, cross), student_mean, teacher_mean)

    def relative_distance(self, moments: Moments) -> float:
        """Squared error of the prediction as a share of the teacher's variance over the same positions.

        0: everything of the teacher's map can be read off the student's. 1: no better than the mean. Above 1:
        what was fitted does not hold on these images. NaN for a constant teacher.
        """
        own = moments.student.about(self.student_mean, self.student_mean, moments.count)
        cross = moments.both.about(self.student_mean, self.teacher_mean, moments.count)
        taught = torch.trace(moments.teacher.about(self.teacher_mean, self.teacher_mean, moments.count))
        error = taught - 2 * (self.weight * cross).sum() + (self.weight * (own @ self.weight)).sum()
        spread = moments.teacher_spread
        return max(float(error), 0.0) / spread if spread > 0 else math.nan
