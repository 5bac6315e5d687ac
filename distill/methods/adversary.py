"""An adversary: the discriminator that a student deceives, and its own training inside the student's step.

Used by every method with an adversarial term. Its state (weights, power iterations, optimiser) is saved with
the run.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from distill.distributed import Processes
from distill.losses.adversarial import AdversarialLoss, deceiving_loss, gradient_penalty, telling_loss
from distill.methods.discriminator import SMALLEST_SIDE, Discriminator, check_size
from distill.methods.method import Pair, StepContext
from distill.schedule import poly_lr
from modelpack.errors import SettingsError, ShapeError
from modelpack.settings import StrictModel

Decay = Annotated[float, Field(ge=0, lt=1)]
"""Of a running mean."""


class AdversarySettings(StrictModel):
    """How the discriminator is built and trained. Defaults are the values of CIRKD's comparison.

    SKD's authors: `loss: wgan_gp, optimiser: sgd, weight_decay: 1e-4, schedule: poly`. IFVD's and CWD's:
    `loss: wgan_gp, schedule: poly`.
    """

    loss: AdversarialLoss = "hinge"
    weight: PositiveFloat = 0.1
    """Of the discriminator's own loss."""
    penalty_weight: NonNegativeFloat = 10.0
    """Of the gradient penalty, which only `wgan_gp` has."""
    optimiser: Literal["adam", "sgd"] = "adam"
    lr: PositiveFloat = 4e-4
    betas: tuple[Decay, Decay] = (0.9, 0.99)
    """Adam's."""
    momentum: Decay = 0.9
    """SGD's."""
    weight_decay: NonNegativeFloat = 0.0
    schedule: Literal["constant", "poly"] = "constant"
    """`poly`: lr * (1 - step / steps) ** power."""
    power: PositiveFloat = 0.9
    width: PositiveInt = 64
    """Channels of the first convolution."""
    small_maps: Literal["refuse", "enlarge"] = "refuse"
    """What to do with logits below 64x64, which the published discriminator cannot take.

    `enlarge` resizes both networks' maps bilinearly until the shorter side is 64.
    """


class Adversary(nn.Module):
    """The student's term in `forward`; `train_discriminator` once after each of the student's updates.

    Batch norm covers the images of all processes, and the discriminator's gradients are averaged over them,
    so they are those of one process on the same global batch. Accumulated parts are normed one by one.
    """

    def __init__(self, settings: AdversarySettings, num_classes: int) -> None:
        super().__init__()
        self.settings = settings
        self.discriminator = Discriminator(num_classes, settings.width).requires_grad_(False)
        self.optimiser = _build_optimiser(self.discriminator, settings)
        self.own_losses: dict[str, Tensor] = {}
        """Of the last update, as in `Method.own_losses`: `discriminator`, before its weight."""
        self._seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Minus the discriminator's mean score of the student's logits; () float32.

        student, teacher: logits (N, num_classes, h, w) of the same shape.
        Raises ShapeError for maps that the discriminator cannot take.
        """
        student, teacher = self._fitting(student), self._fitting(teacher)
        if self.training and torch.is_grad_enabled():
            self._seen.append((student.detach(), teacher.detach()))
        return deceiving_loss(self.discriminator(student))

    def train_discriminator(self, context: StepContext) -> None:
        """One update, from the maps that `forward` has seen since the last one."""
        seen, self._seen = self._seen, []
        if not seen:
            return
        settings = self.settings
        if settings.schedule == "poly":
            for group in self.optimiser.param_groups:
                group["lr"] = poly_lr(
                    context.step, peak=settings.lr, steps=context.total_steps, power=settings.power
                )
        draws = context.uniform(1, 1, seen[0][0].device)
        shares = torch.split(draws, [len(student) for student, _ in seen])
        self.discriminator.requires_grad_(True)
        raw = []
        for (student, teacher), share in zip(seen, shares, strict=True):
            raw.append(self._discriminator_loss(student, teacher, share))
            torch.autograd.backward(settings.weight * raw[-1] / len(seen))
        self.own_losses = {"discriminator": torch.stack(raw).detach().mean()}
        _average_gradients(list(self.discriminator.parameters()), context.processes)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.discriminator.requires_grad_(False)

    def _discriminator_loss(self, student: Tensor, teacher: Tensor, share: Tensor) -> Tensor:
        settings, critic = self.settings, self.discriminator
        loss = telling_loss(critic(student), critic(teacher), loss=settings.loss)
        if settings.loss == "wgan_gp" and settings.penalty_weight > 0:
            loss = loss + settings.penalty_weight * gradient_penalty(student, teacher, share, critic)
        return loss

    def _fitting(self, logits: Tensor) -> Tensor:
        smallest = min(logits.shape[2:])
        if self.settings.small_maps == "refuse" or smallest >= SMALLEST_SIDE:
            return logits
        size = [round(side * SMALLEST_SIDE / smallest) for side in logits.shape[2:]]
        return F.interpolate(logits, size=size, mode="bilinear", align_corners=True)

    def get_extra_state(self) -> dict[str, Any]:
        return {"optimiser": self.optimiser.state_dict()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.optimiser.load_state_dict(state["optimiser"])


def build_adversary(settings: AdversarySettings, pair: Pair) -> Adversary:
    """Raises SettingsError where it is known already that the teacher's logits will be too small."""
    head = pair.teacher.get("head")  # the classifier reads it, so it has the grid of the logits
    if settings.small_maps == "refuse" and pair.image_size is not None and head is not None:
        height, width = pair.image_size
        source = f" from crops of {height}x{width} at the teacher's stride {head.stride}"
        try:
            check_size((-(-height // head.stride), -(-width // head.stride)), source=source)
        except ShapeError as error:
            raise SettingsError(str(error)) from error
    return Adversary(settings, pair.num_classes)


def _build_optimiser(discriminator: Discriminator, settings: AdversarySettings) -> torch.optim.Optimizer:
    parameters = list(discriminator.parameters())
    if settings.optimiser == "adam":
        return torch.optim.Adam(
            parameters, lr=settings.lr, betas=settings.betas, weight_decay=settings.weight_decay
        )
    return torch.optim.SGD(
        parameters, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay
    )


def _average_gradients(parameters: Sequence[nn.Parameter], processes: Processes) -> None:
    """In place, over all processes, in one exchange."""
    if processes.world_size == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    means = processes.sum(torch.cat([gradient.flatten() for gradient in gradients])) / processes.world_size
    parts = torch.split(means, [gradient.numel() for gradient in gradients])
    for gradient, mean in zip(gradients, parts, strict=True):
        gradient.copy_(mean.view_as(gradient))
