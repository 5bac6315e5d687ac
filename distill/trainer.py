"""What a training run holds between steps: networks, methods, optimiser, average; and one step of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from distill.average import Average
from distill.compute import Compute
from distill.config import OptimConfig
from distill.distributed import Processes
from distill.gradients import GradientNorms
from distill.loader import Batch
from distill.methods.method import StepContext
from distill.networks.output import SegNetwork
from distill.schedule import poly_lr
from distill.step import StepLosses, TrainStep
from distill.transfer import to_device
from modelpack.errors import SegError
from modelpack.labels import IGNORE


class DivergedError(SegError):
    """A loss is no longer a number."""


@dataclass
class Trainer:
    """One optimiser step at a time. Everything in `state()` is what an exact resume needs."""

    step: TrainStep
    config: OptimConfig
    compute: Compute
    processes: Processes = field(default_factory=Processes)
    gradients_every: int = 0
    """Steps between measurements of what gradient each term sends into the student; 0: never."""

    def __post_init__(self) -> None:
        self.compute.place(self.step)
        self.objective: nn.Module = self.step
        if self.processes.world_size > 1:
            # Unused parameters are allowed: encoders may hold layers that a decoder does not read.
            self.objective = DistributedDataParallel(
                self.step, broadcast_buffers=False, find_unused_parameters=True
            )
        self.optimiser = build_optimiser(self.step, self.config, self.compute)
        self.scaler = torch.amp.GradScaler(
            self.compute.device.type, enabled=self.compute.dtype == torch.float16
        )
        self.average = Average(self.step.student, self.config.ema) if self.config.ema else None
        self.gradients = GradientNorms(self.step.student, self.processes)
        self._sums: dict[str, Tensor] = {}
        self._own_sums: dict[str, Tensor] = {}
        self.summed_steps = 0
        """Steps since `forget_losses`."""

    @property
    def student(self) -> SegNetwork:
        """The network that is evaluated and saved: the average where there is one."""
        return self.step.student if self.average is None else cast(SegNetwork, self.average.module)

    def lr_at(self, step: int) -> float:
        c = self.config
        return poly_lr(step, peak=c.lr, steps=c.steps, power=c.power, warmup_steps=c.warmup_steps)

    def take_step(self, number: int, batch: Batch) -> None:
        """Forward, backward and update on this process's share of the batch of optimiser step `number`."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.lr_at(number)
        self.step.train()
        images = to_device(batch.images, self.compute.device)
        target = to_device(batch.masks, self.compute.device)
        parts = self.config.accumulate
        valid_pixels = self._valid_pixels(target) / parts
        share = len(images) // parts
        for part in range(parts):
            mine = slice(part * share, (part + 1) * share)
            context = self._context(number, batch.sample_seeds[mine])
            losses: StepLosses = self.objective(images[mine], target[mine], valid_pixels, context)
            if self._measures_gradients(number):
                self.gradients.measure(losses.weighted, part=part, parts=parts, scale=self.scaler.get_scale())
            loss = self.scaler.scale(losses.total / parts)
            loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
            self._remember(losses.raw, parts)
        self._clip()
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)
        self.step.finish_step(self._context(number, batch.sample_seeds))
        _add(self._own_sums, self.step.own_losses())
        if self.average is not None:
            self.average.update_parameters(self.step.student)
        self.summed_steps += 1

    def _measures_gradients(self, number: int) -> bool:
        """The last step is always measured, as it is always evaluated."""
        done, every = number + 1, self.gradients_every
        return every > 0 and (done % every == 0 or done == self.config.steps)

    def _context(self, number: int, sample_seeds: tuple[int, ...]) -> StepContext:
        shards = self.processes.world_size * self.config.accumulate
        return StepContext(number, sample_seeds, self.config.steps, self.processes, shards)

    def mean_losses(self) -> dict[str, float]:
        """Mean raw value of each term since `forget_losses`. Raises DivergedError for NaN and Inf."""
        return self._means(self._sums)

    def mean_losses_on_device(self) -> dict[str, Tensor]:
        """The same, () each, unread: the host need not wait for them. See `checked`."""
        return {name: value / max(self.summed_steps, 1) for name, value in self._sums.items()}

    def mean_own_losses(self) -> dict[str, float]:
        """The same of what methods train themselves by, which is in no sum."""
        return self._means(self._own_sums)

    def _means(self, sums: Mapping[str, Tensor]) -> dict[str, float]:
        return self.checked({name: float(value) / max(self.summed_steps, 1) for name, value in sums.items()})

    def checked(self, means: dict[str, float]) -> dict[str, float]:
        """The same. Raises DivergedError for NaN and Inf."""
        broken = [name for name, value in means.items() if not abs(value) < float("inf")]
        if broken:
            raise DivergedError(
                f"the loss {', '.join(broken)} is no longer a number. Lower optim.lr or the weight of that "
                "loss, or clip all gradients (optim.clip=all)."
            )
        return means

    def weighted(self, raw: Mapping[str, float]) -> dict[str, float]:
        """The same terms as they enter the sum."""
        return {name: self.step.weights.get(name, 1.0) * value for name, value in raw.items()}

    def forget_losses(self) -> None:
        self._sums, self._own_sums, self.summed_steps = {}, {}, 0
        self.gradients.forget()

    def state(self) -> dict[str, Any]:
        return {
            "step": self.step.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.state_dict() if self.average is not None else None,
            "sums": self._sums,
            "own_sums": self._own_sums,
            "summed_steps": self.summed_steps,
            "gradients": self.gradients.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.step.load_state_dict(state["step"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        device = self.compute.device
        self._sums = {name: value.to(device) for name, value in state["sums"].items()}
        self._own_sums = {name: value.to(device) for name, value in state.get("own_sums", {}).items()}
        self.summed_steps = state["summed_steps"]
        if "gradients" in state:  # states of earlier versions have none
            self.gradients.restore(state["gradients"], self.compute.device)

    def _valid_pixels(self, target: Tensor) -> Tensor:
        """What a process divides its cross-entropy sum by: DDP averages to the mean over the global batch."""
        count = (target != IGNORE).sum().float()
        if self.config.loss_mean == "global":
            count = self.processes.sum(count) / self.processes.world_size
        return count.clamp(min=1)

    def _clip(self) -> None:
        if self.config.clip == "none":
            return
        self.scaler.unscale_(self.optimiser)
        covered = self.step.parameters() if self.config.clip == "all" else self.step.adapter_parameters()
        nn.utils.clip_grad_norm_(covered, self.config.clip_norm)

    def _remember(self, raw: Mapping[str, Tensor], parts: int) -> None:
        _add(self._sums, {name: value / parts for name, value in raw.items()})


def _add(sums: dict[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, value in values.items():
        sums[name] = sums.get(name, 0) + value


def build_optimiser(step: nn.Module, config: OptimConfig, compute: Compute) -> torch.optim.Optimizer:
    """SGD or AdamW over student and adapters, one learning rate for all (published).

    Single numbers, which are logarithms of int8 scales, are never decayed: 0 is no smaller a scale.
    """
    trained = [parameter for parameter in step.parameters() if parameter.requires_grad]
    fewest_dims = 1 if config.decay_norm_and_bias else 2
    groups = [
        {"params": [p for p in trained if p.ndim >= fewest_dims], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim < fewest_dims], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if config.name == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr, fused=True)
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, fused=True)
