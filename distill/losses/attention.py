"""Attention transfer (AT): the student shall be active where the teacher is.

Source: Zagoruyko and Komodakis, "Paying More Attention to Attention", ICLR 2017, in the form that the CIRKD
authors published for segmentation: a mean over pixels, where the original sums.
"""

from torch import Tensor
from torch.nn import functional as F

from distill.losses.precision import outside_autocast, widen
from modelpack.errors import ShapeError


@outside_autocast
def attention_transfer(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared difference of the attention maps, mean over images and pixels.

    Attention is the mean over channels of the squared feature, each image's map divided by its L2 norm (at
    least 1e-12). Its values are about one over the root of H*W: twice the pixels give half the loss.

    Args:
        student, teacher: (N, C, H, W); the widths C may differ.

    Returns:
        () float32 (float64 for float64 maps), from 0 to 2 / (H*W). No gradient reaches `teacher`.
    """
    if student.ndim != 4 or teacher.ndim != 4 or _extent(student) != _extent(teacher):
        raise ShapeError(
            f"attention_transfer needs maps (N, C, H, W) that differ at most in C, got student "
            f"{tuple(student.shape)} and teacher {tuple(teacher.shape)}. Resize the student's map first."
        )
    return (_attention(student) - _attention(teacher.detach())).square().mean()


def _attention(maps: Tensor) -> Tensor:
    """(N, H*W), each row of length 1, or 0 where a map is 0 everywhere."""
    return F.normalize(widen(maps).square().mean(dim=1).flatten(1), dim=1, eps=1e-12)


def _extent(maps: Tensor) -> tuple[int, int, int]:
    return maps.shape[0], maps.shape[2], maps.shape[3]
