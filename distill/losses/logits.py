"""Logit distillation (KD): the student's class probabilities at every pixel follow the teacher's.

Source: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, in the three reductions that
published code uses. All pixels count, labelled or not.
"""

from typing import Literal

from torch import Tensor

from distill.losses.precision import outside_autocast, widen
from modelpack.errors import SettingsError, ShapeError

KdReduction = Literal["pixel_mean", "element_mean", "batch_sum"]
"""`pixel_mean` (CIRKD, Af-DCD): sum over classes, mean over images and pixels, times temperature squared.
`element_mean` (IFVD and CWD authors): also divided by the classes, without the temperature's square.
`batch_sum` (SKD authors): cross-entropy, so with the teacher's entropy; sum over classes and images, mean
over pixels, without the temperature's square."""


@outside_autocast
def logit_kd(
    student: Tensor, teacher: Tensor, *, temperature: float, reduction: KdReduction = "pixel_mean"
) -> Tensor:
    """KL(teacher || student) between the class distributions softmax(logits / temperature) of each pixel.

    Args:
        student, teacher: logits (N, classes, H, W), same shape.
        temperature: > 0; larger values flatten both distributions.

    Returns:
        () float32 (float64 for float64 logits), in nats. 0 for equal inputs, or with `batch_sum` the sum of
        the teacher's entropy. No gradient reaches `teacher`.
    """
    if student.ndim != 4 or student.shape != teacher.shape:
        raise ShapeError(
            f"logit_kd needs equal shapes (N, classes, H, W), got student {tuple(student.shape)} and teacher "
            f"{tuple(teacher.shape)}. Resize the student's logits; the classes must be the same."
        )
    if not temperature > 0:
        raise SettingsError(f"logit_kd: temperature is {temperature}, it must be above 0.")
    log_student = (widen(student) / temperature).log_softmax(dim=1)
    log_teacher = (widen(teacher.detach()) / temperature).log_softmax(dim=1)
    if reduction == "batch_sum":
        return -(log_teacher.exp() * log_student).sum(dim=(0, 1)).mean()
    divergence = log_teacher.exp() * (log_teacher - log_student)
    if reduction == "element_mean":
        return divergence.mean()
    return divergence.sum(dim=1).mean() * temperature**2
