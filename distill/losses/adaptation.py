"""Knowledge adaptation's feature term: the student's adapted map points where the teacher's code points.

Source: He et al., "Knowledge Adaptation for Efficient Semantic Segmentation", CVPR 2019 (no code was
published) for `position`, torchdistill for `map`, which is the scale that the published weight 50 goes with
there.
"""

from typing import Literal

import torch
from torch import Tensor

from distill.losses.precision import outside_autocast
from distill.losses.unit_vectors import unit_vectors
from modelpack.errors import ShapeError

CodeUnit = Literal["map", "position"]
"""What is divided by its Euclidean length: an image's whole map (torchdistill), or the channels of each
position (the paper's equation)."""
Distance = Literal["l1", "l2"]


@outside_autocast
def adaptation(student: Tensor, code: Tensor, *, unit: CodeUnit = "map", distance: Distance = "l1") -> Tensor:
    """Distance between normalised maps.

    Args:
        student: (N, C, H, W), adapted to the code's width and grid. code: (N, C, H, W), the encoded feature
        of the teacher. unit: `position` sums absolute differences over channels (`l2`: takes their Euclidean
        norm) and takes the
            mean over images and positions. `map` takes the mean over all elements (`l2`: the norm of an
            image's difference, mean over images): with `l1` it shrinks with the root of C*H*W.

    Returns:
        () float32 (float64 for float64 maps), >= 0. No gradient reaches `code`.
    """
    if student.ndim != 4 or student.shape != code.shape:
        raise ShapeError(
            f"adaptation needs equal shapes (N, C, H, W), got student {tuple(student.shape)} and code "
            f"{tuple(code.shape)}. Adapt the student's channels and resize its map first."
        )
    if unit == "map":
        difference = unit_vectors(student.flatten(1)) - unit_vectors(code.detach().flatten(1))
        return difference.abs().mean() if distance == "l1" else _norm(difference).mean()
    difference = unit_vectors(student) - unit_vectors(code.detach())
    return (difference.abs().sum(dim=1) if distance == "l1" else _norm(difference)).mean()


def _norm(difference: Tensor) -> Tensor:
    """Along axis 1, with the gradient 0 at 0."""
    norms: Tensor = torch.linalg.vector_norm(difference, dim=1)
    return norms
