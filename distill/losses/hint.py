"""Hint learning (FitNet): the student's feature, brought to the teacher's width, becomes the teacher's.

Source: Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015, in the form that the CIRKD authors
published for segmentation: a plain mean over all elements.
"""

from torch import Tensor

from distill.losses.precision import outside_autocast, widen
from modelpack.errors import ShapeError


@outside_autocast
def hint(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared error over all elements.

    Args:
        student, teacher: (N, C, H, W), same shape.

    Returns:
        () float32 (float64 for float64 maps), >= 0. No gradient reaches `teacher`.
    """
    if student.ndim != 4 or student.shape != teacher.shape:
        raise ShapeError(
            f"hint needs equal shapes (N, C, H, W), got student {tuple(student.shape)} and teacher "
            f"{tuple(teacher.shape)}. Align the student's channels and resize its map first."
        )
    return (widen(student) - widen(teacher.detach())).square().mean()
