"""What a pre-training holds between steps, and one step of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from distill.compute import Compute
from distill.distributed import Processes
from distill.pretrain.config import PretrainOptimConfig
from distill.pretrain.lars import Lars
from distill.pretrain.step import PretrainStep
from distill.pretrain.views import ViewBatch
from distill.schedule import cosine_lr
from distill.trainer import DivergedError


@dataclass
class PretrainTrainer:
    """One optimiser step at a time. Everything in `state()` is what an exact resume needs."""

    step: PretrainStep
    config: PretrainOptimConfig
    compute: Compute
    processes: Processes = field(default_factory=Processes)

    def __post_init__(self) -> None:
        self.compute.place(self.step)
        self.objective: nn.Module = self.step
        if self.processes.world_size > 1:
            self.objective = DistributedDataParallel(
                self.step, broadcast_buffers=False, find_unused_parameters=True
            )
        self.optimiser = build_optimiser(self.step, self.config)
        self.scaler = torch.amp.GradScaler(
            self.compute.device.type, enabled=self.compute.dtype == torch.float16
        )
        self._sum = torch.zeros((), device=self.compute.device)
        self._summed_steps = 0

    def lr_at(self, step: int) -> float:
        config = self.config
        return cosine_lr(step, peak=config.peak_lr, steps=config.steps, warmup_steps=config.warmup_steps)

    def take_step(self, number: int, batch: ViewBatch) -> None:
        """Forward, backward, update and queue on this process's share of optimiser step `number`."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.lr_at(number)
        self.step.train()
        images, places = (
            tuple(view.to(self.compute.device, non_blocking=True) for view in views) for views in batch
        )
        loss, keys = self.objective(images, places)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)
        self.step.remember(keys)
        self._sum = self._sum + loss.detach()
        self._summed_steps += 1

    def mean_loss(self) -> float:
        """Mean of this process's losses since `forget_losses`. Raises DivergedError for NaN and Inf."""
        mean = float(self._sum) / max(self._summed_steps, 1)
        if not abs(mean) < float("inf"):
            raise DivergedError("the loss pcd is no longer a number. Lower pretrain.optim.lr.")
        return mean

    def forget_losses(self) -> None:
        self._sum, self._summed_steps = torch.zeros_like(self._sum), 0

    def state(self) -> dict[str, Any]:
        return {
            "step": self.step.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "sum": self._sum,
            "summed_steps": self._summed_steps,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.step.load_state_dict(state["step"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        self._sum = state["sum"].to(self.compute.device)
        self._summed_steps = state["summed_steps"]


def build_optimiser(step: nn.Module, config: PretrainOptimConfig) -> torch.optim.Optimizer:
    """Over everything that requires a gradient; tensors of one dimension are not decayed."""
    trained = [parameter for parameter in step.parameters() if parameter.requires_grad]
    if config.name == "lars":
        return Lars(
            trained,
            lr=config.peak_lr,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            trust=config.trust,
        )
    groups: list[dict[str, list[Tensor] | float]] = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.name == "adamw":
        return torch.optim.AdamW(groups, lr=config.peak_lr)
    return torch.optim.SGD(groups, lr=config.peak_lr, momentum=config.momentum)
