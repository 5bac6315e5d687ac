"""Files of kind `contrastive_term_only`: the omni-contrasting term of two given maps."""

import torch
from torch import Tensor

from distill.losses.contrast import omni_contrast
from distill.losses.reduce import Reduce
from distill.replay.comparison import Comparison, tolerances
from distill.replay.golden import Golden

CAMVID_SIDE = 44
"""The published code keeps this many rows and columns of CamVid's 45, and does not pool there."""


def replay_contrast(golden: Golden) -> Comparison:
    """Loss and its sum over the batch; gradients with respect to both maps."""
    student = golden.input("pred", requires_grad=True)
    teacher = golden.input("target", requires_grad=True)
    loss = published_contrast(golden, student, teacher)
    torch.autograd.backward(loss)
    comparison = Comparison(contrast_tolerances(golden.dtype))
    for name, value in {"loss": loss, "loss_sum_over_batch": loss * student.shape[0]}.items():
        if golden.has(name):
            comparison.add("loss", name, value, golden.reference(name))
    for name, maps in {"grad_pred": student, "grad_target": teacher}.items():
        if golden.has(name) and maps.grad is not None:
            comparison.add("grad", name, maps.grad, golden.reference(name))
    return comparison


def published_contrast(golden: Golden, student: Tensor, teacher: Tensor) -> Tensor:
    """The term with the file's hyper-parameters; maps reduced as the published code does for its dataset."""
    meta = golden.meta
    patch = (int(meta["patch"][0]), int(meta["patch"][1]))
    reduce = Reduce(pool=meta.get("pool") or 1)
    if meta.get("dataset") == "camvid":
        student, teacher = (maps[..., :CAMVID_SIDE, :CAMVID_SIDE] for maps in (student, teacher))
        reduce = Reduce()
    return omni_contrast(
        reduce(student, patch), reduce(teacher, patch), groups=meta["M"], patch=patch, temperature=meta["tau"]
    )


def contrast_tolerances(dtype: torch.dtype) -> dict[str, float]:
    """Wide for float32 gradients: those of |x| and max-pooling jump where rounding changes a sign."""
    return tolerances(dtype, float64=(1e-10, 1e-9), float32=(1e-4, 5e-2))
