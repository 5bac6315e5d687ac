"""Files of method `skd`: the pixel-wise and the pair-wise term (the third is in `adversarial.py`)."""

import torch
from torch import Tensor

from distill.losses.logits import logit_kd
from distill.losses.pair_wise import PairForm, pair_wise
from distill.replay.comparison import Comparison, tolerances
from distill.replay.golden import Golden

PAIR_FORMS: dict[PairForm, str] = {"half_map": "_halfmap", "pool2": "_pool2"}
"""Form -> what the file appends to `loss` and `grad_student`."""


def replay_skd_pixel(golden: Golden) -> Comparison:
    """The authors' loss and its gradient with respect to the student's logits."""
    comparison = Comparison(_tolerances(golden))
    student = golden.input("student_logits", requires_grad=True)
    loss = logit_kd(student, golden.input("teacher_logits"), temperature=1.0, reduction="batch_sum")
    _add(golden, comparison, "", student, loss)
    return comparison


def replay_skd_pair(golden: Golden) -> Comparison:
    """The loss in each form on file and its gradient with respect to the student's feature."""
    comparison = Comparison(_tolerances(golden))
    teacher, pool_scale = golden.input("teacher_feat"), golden.meta.get("pool_scale", 0.5)
    for form, ending in PAIR_FORMS.items():
        if golden.has(f"loss{ending}"):
            student = golden.input("student_feat", requires_grad=True)
            loss = pair_wise(student, teacher, form=form, pool_scale=pool_scale)
            _add(golden, comparison, ending, student, loss)
    return comparison


def _tolerances(golden: Golden) -> dict[str, float]:
    return tolerances(golden.dtype, float64=(1e-10, 1e-9), float32=(1e-4, 1e-4))


def _add(golden: Golden, comparison: Comparison, ending: str, student: Tensor, loss: Tensor) -> None:
    comparison.add("loss", f"loss{ending}", loss, golden.reference(f"loss{ending}"))
    name = f"grad_student{ending}"
    if golden.has(name):
        (gradient,) = torch.autograd.grad(loss, student)
        comparison.add("grad", name, gradient, golden.reference(name))
