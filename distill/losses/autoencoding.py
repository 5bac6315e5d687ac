"""What an auto-encoder of the teacher's feature is trained for: to reconstruct it from a sparse code.

Source: He et al., "Knowledge Adaptation for Efficient Semantic Segmentation", CVPR 2019; it gives no
reductions. Those here are torchdistill's.
"""

from torch import Tensor

from distill.losses.precision import outside_autocast, widen
from modelpack.errors import ShapeError


@outside_autocast
def reconstruction(decoded: Tensor, feature: Tensor) -> Tensor:
    """Mean squared error over all elements of two maps (N, C, H, W); () float32 (float64 for float64)."""
    if decoded.shape != feature.shape:
        raise ShapeError(
            f"reconstruction needs equal shapes, got decoded {tuple(decoded.shape)} and feature "
            f"{tuple(feature.shape)}."
        )
    return (widen(decoded) - widen(feature.detach())).square().mean()


@outside_autocast
def code_size(code: Tensor) -> Tensor:
    """Sum of absolute values over everything, images included: its weight (1e-7) goes with that."""
    return widen(code).abs().sum()
