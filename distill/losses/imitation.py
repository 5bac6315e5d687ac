"""Feature imitation: squared error between the generated student features and the teacher's.

Source: the authors' Af-DCD code. All pixels count, masked in the student or not, at full feature resolution.
"""

from torch import Tensor

from distill.losses.precision import outside_autocast, widen
from distill.losses.spread import LossNormalisation, variance
from modelpack.errors import ShapeError


@outside_autocast
def imitation(student: Tensor, teacher: Tensor, *, normalisation: LossNormalisation = "published") -> Tensor:
    """Squared error to the teacher's features.

    Args:
        student, teacher: (N, C, H, W), same shape.
        normalisation: `published` *sums* over channels and pixels and takes the mean over images: C*H*W times
            the usual mean squared error. `per_element` takes the mean over all elements, each image's errors
            divided by the variance of its teacher map: 1 is the error of predicting the teacher's mean.

    Returns:
        () float32 (float64 for float64 maps), >= 0. No gradient reaches `teacher`.
    """
    if student.ndim != 4 or student.shape != teacher.shape:
        raise ShapeError(
            f"imitation needs equal shapes (N, C, H, W), got student {tuple(student.shape)} and teacher "
            f"{tuple(teacher.shape)}. Align the student's channels and resize its map first."
        )
    teacher = widen(teacher.detach())
    squared_error = (widen(student) - teacher).square().flatten(1)
    if normalisation == "published":
        return squared_error.sum(dim=1).mean()
    return (squared_error.mean(dim=1) / variance(teacher)).mean()
