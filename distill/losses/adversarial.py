"""Adversarial distillation: a discriminator tells the teacher's maps from the student's, which deceives it.

Source: Liu et al., "Structured Knowledge Distillation for Semantic Segmentation", CVPR 2019 (its holistic
term), and the code of its authors and of CIRKD. The teacher's maps are the real ones, with high scores.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from distill.losses.precision import outside_autocast, widen
from modelpack.errors import ShapeError

AdversarialLoss = Literal["hinge", "wgan_gp"]
"""What the discriminator learns by: `hinge` (CIRKD), or `wgan_gp` (SKD, IFVD and CWD authors)."""


@outside_autocast
def deceiving_loss(student_scores: Tensor) -> Tensor:
    """What the student minimises, alike in both forms: minus the mean score; () float32 or float64."""
    return -widen(student_scores).mean()


@outside_autocast
def telling_loss(student_scores: Tensor, teacher_scores: Tensor, *, loss: AdversarialLoss) -> Tensor:
    """What the discriminator minimises, but for the gradient penalty of `wgan_gp`.

    Args:
        student_scores, teacher_scores: of any, but the same shape.

    Returns:
        () float32 (float64 for float64 scores). Means over all scores; both sides receive gradients.
    """
    if student_scores.shape != teacher_scores.shape:
        raise ShapeError(
            f"telling_loss needs equal shapes, got student scores {tuple(student_scores.shape)} and teacher "
            f"scores {tuple(teacher_scores.shape)}. Resize the student's map first."
        )
    student, teacher = widen(student_scores), widen(teacher_scores)
    if loss == "hinge":
        return F.relu(1 - teacher).mean() + F.relu(1 + student).mean()
    return student.mean() - teacher.mean()


@outside_autocast
def gradient_penalty(
    student: Tensor, teacher: Tensor, share: Tensor, critic: Callable[[Tensor], Tensor]
) -> Tensor:
    """Mean over images of (norm of the critic's gradient - 1) squared, on maps between both networks'.

    Source: Gulrajani et al., "Improved Training of Wasserstein GANs", NeurIPS 2017. The gradient is that of
    the sum of all scores. There is no weight in it; published code multiplies by 10.

    Args:
        student, teacher: (N, C, H, W), same shape; neither receives a gradient, the critic's parameters do.
        share: (N, 1, 1, 1) in [0, 1], how much of the teacher's map is mixed in.
    """
    if student.ndim != 4 or student.shape != teacher.shape:
        raise ShapeError(
            f"gradient_penalty needs equal shapes (N, C, H, W), got student {tuple(student.shape)} and "
            f"teacher {tuple(teacher.shape)}. Resize the student's map first."
        )
    student, teacher = widen(student.detach()), widen(teacher.detach())
    mixed = torch.lerp(student, teacher, share.to(student.dtype)).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
    norms: Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    return (norms - 1).square().mean()
