"""Files of method `kd`: logit distillation in the reductions on file."""

import torch

from distill.losses.logits import KdReduction, logit_kd
from distill.replay.comparison import Comparison, tolerances
from distill.replay.golden import Golden

REDUCTIONS: dict[KdReduction, str] = {"pixel_mean": "", "element_mean": "_elementwise_mean"}
"""Reduction -> what the file appends to `loss` and `grad_student`."""


def replay_kd(golden: Golden) -> Comparison:
    """Each loss on file and its gradient with respect to the student's logits."""
    teacher = golden.input("teacher_logits")
    comparison = Comparison(tolerances(golden.dtype, float64=(1e-8, 1e-7), float32=(1e-4, 1e-4)))
    for reduction, ending in REDUCTIONS.items():
        if not golden.has(f"loss{ending}"):
            continue
        student = golden.input("student_logits", requires_grad=True)
        loss = logit_kd(student, teacher, temperature=golden.meta["temperature"], reduction=reduction)
        comparison.add("loss", f"loss{ending}", loss, golden.reference(f"loss{ending}"))
        if golden.has(f"grad_student{ending}"):
            torch.autograd.backward(loss)
            assert student.grad is not None
            comparison.add(
                "grad", f"grad_student{ending}", student.grad, golden.reference(f"grad_student{ending}")
            )
    return comparison
