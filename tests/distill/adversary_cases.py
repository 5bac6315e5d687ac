"""Maps and settings that several tests of the adversarial term use."""

import copy

import torch
from torch import Tensor

from distill.losses.adversarial import gradient_penalty, telling_loss
from distill.methods.adversary import Adversary, AdversarySettings
from distill.methods.method import StepContext

CLASSES = 3
PLAIN_SGD = {"optimiser": "sgd", "lr": 0.5, "momentum": 0.0, "width": 4}
"""An update is the learning rate times the gradient."""


def logits(role: str, count: int = 4, side: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed({"student": 0, "teacher": 1}[role])
    return torch.randn(count, CLASSES, side, side, generator=generator, dtype=torch.float64)


def adversary(**settings: object) -> Adversary:
    """In float64, always with the same first weights."""
    torch.manual_seed(0)
    made = Adversary(AdversarySettings(**{"width": 4, **settings}), CLASSES).double()
    for attention in (made.discriminator.layers[6], made.discriminator.layers[9]):
        attention.gamma.data.fill_(0.5)  # so that its weights matter from the first step on
    return made


def context(count: int = 4, step: int = 0, total_steps: int = 10) -> StepContext:
    return StepContext(step, tuple(range(100, 100 + count)), total_steps)


def updated_by_hand(before: Adversary, parts: list[slice]) -> dict[str, Tensor]:
    """Weights after one plain SGD step: D(student) and D(teacher) of each part, after the student's turn."""
    settings, critic = before.settings, copy.deepcopy(before.discriminator).requires_grad_(True)
    student, teacher = logits("student"), logits("teacher")
    for part in parts:
        critic(student[part])  # the power iterations of the student's own forward passes
    draws = context().uniform(1, 1, student.device).double()
    for part in parts:
        loss = telling_loss(critic(student[part]), critic(teacher[part]), loss=settings.loss)
        if settings.loss == "wgan_gp":
            penalty = gradient_penalty(student[part], teacher[part], draws[part], critic)
            loss = loss + settings.penalty_weight * penalty
        (settings.weight * loss / len(parts)).backward()
    return {name: p.detach() - settings.lr * p.grad for name, p in critic.named_parameters()}
