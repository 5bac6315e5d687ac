"""Channel-wise distillation (CWD): each channel of the student fires where the teacher's fires.

Source: Shu et al., "Channel-wise Knowledge Distillation for Dense Prediction", ICCV 2021, and the code
of its authors and of CIRKD's. Ours takes a log-softmax: theirs, a logarithm of the softmax, can give -inf.
"""

from typing import Literal

from torch import Tensor

from distill.losses.precision import outside_autocast, widen
from modelpack.errors import SettingsError, ShapeError

ChannelWiseForm = Literal["divergence", "cross_entropy"]
"""`divergence` (authors, CIRKD): 0 for equal maps. `cross_entropy` (mmsegmentation's port) keeps the
teacher's entropy: the same gradient, a larger number."""


@outside_autocast
def channel_wise(
    student: Tensor,
    teacher: Tensor,
    *,
    temperature: float,
    form: ChannelWiseForm = "divergence",
    channels: int | None = None,
) -> Tensor:
    """KL(teacher || student) between the distributions softmax(map / temperature) over a channel's pixels.

    Args:
        student, teacher: logits or features (N, C, H, W), same shape.
        temperature: > 0; larger values flatten both distributions.
        channels: the sum over channels is divided by it. None: by C. CIRKD's code counts the student's
            channels before its adapter.

    Returns:
        () float32 (float64 for float64 maps), in nats: sum over pixels, mean over images and channels, times
        temperature squared. No gradient reaches `teacher`.
    """
    if student.ndim != 4 or student.shape != teacher.shape:
        raise ShapeError(
            f"channel_wise needs equal shapes (N, C, H, W), got student {tuple(student.shape)} and teacher "
            f"{tuple(teacher.shape)}. Align the student's channels and resize its map first."
        )
    if not temperature > 0:
        raise SettingsError(f"channel_wise: temperature is {temperature}, it must be above 0.")
    log_student = (widen(student).flatten(2) / temperature).log_softmax(dim=2)
    log_teacher = (widen(teacher.detach()).flatten(2) / temperature).log_softmax(dim=2)
    compared = -log_student if form == "cross_entropy" else log_teacher - log_student
    total = (log_teacher.exp() * compared).sum()
    return total * temperature**2 / (student.shape[0] * (channels or student.shape[1]))
