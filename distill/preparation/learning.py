"""The loop that trains a preparation: small, resumable bit for bit, alone or in several processes."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from distill.checkpoint import load_state, restore_rng, save_state
from distill.compute import Compute
from distill.config import TrainConfig
from distill.datasets.dataset import SegDataset
from distill.distributed import Processes
from distill.interrupt import Interrupt, TrainingInterruptedError
from distill.loader import Batch, TrainLoader, worker_deaths_explained
from distill.methods.preparation import Lesson, Preparation, PreparationSettings
from distill.networks.output import SegNetwork, normalise
from distill.progress import StepProgress
from distill.run import STATE_FILE
from distill.schedule import poly_lr
from distill.sync_norm import synchronise_norms
from distill.trainer import DivergedError
from modelpack.errors import SettingsError
from modelpack.labels import IGNORE

log = logging.getLogger(__name__)

ROWS = 50
"""Of the history of losses, at most about this many."""


class Learner:
    """A preparation between two of its steps. Everything in `state()` is what an exact resume needs."""

    def __init__(
        self,
        preparation: Preparation,
        settings: PreparationSettings,
        steps: int,
        teacher: SegNetwork,
        compute: Compute,
        processes: Processes,
        *,
        sync_norm: bool,
    ) -> None:
        self.preparation, self.settings, self.steps = preparation, settings, steps
        self.teacher, self.compute, self.processes = teacher, compute, processes
        compute.place(preparation)
        self.objective: nn.Module = preparation
        if processes.world_size > 1:
            if sync_norm:
                synchronise_norms(preparation, compute.device.type)
            self.objective = DistributedDataParallel(preparation, broadcast_buffers=False)
        self.optimiser = torch.optim.SGD(
            preparation.parameters(),
            lr=settings.lr,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.scaler = torch.amp.GradScaler(compute.device.type, enabled=compute.dtype == torch.float16)
        self.done = 0
        self.rows: list[dict[str, float]] = []
        self._sums: dict[str, Tensor] = {}

    def take_step(self, batch: Batch) -> None:
        """Forward, backward and update on this process's share of the batch."""
        lr = poly_lr(self.done, peak=self.settings.lr, steps=self.steps, power=self.settings.power)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        self.preparation.train()
        with self.compute.autocast():
            terms: Mapping[str, Tensor] = self.objective(self.teacher, self._lesson(batch))
        weights = self.settings.weights()
        total = torch.stack([weights.get(name, 1.0) * value for name, value in terms.items()]).sum()
        self.scaler.scale(total).backward()  # type: ignore[no-untyped-call]  # untyped in torch
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, 0) + value.detach()
        self.done += 1
        every = max(1, self.steps // ROWS)
        if self.done % every == 0 or self.done == self.steps:
            self._add_row((self.done - 1) % every + 1, lr)

    def state(self) -> dict[str, Any]:
        return {
            "preparation": self.preparation.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "done": self.done,
            "rows": self.rows,
            "sums": self._sums,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.preparation.load_state_dict(state["preparation"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        self.done, self.rows = state["done"], state["rows"]
        self._sums = {name: value.to(self.compute.device) for name, value in state["sums"].items()}

    def _lesson(self, batch: Batch) -> Lesson:
        images = batch.images.to(self.compute.device, non_blocking=True)
        target = batch.masks.to(self.compute.device, non_blocking=True)
        shared_by = self.processes.world_size
        valid = self.processes.sum((target != IGNORE).sum().float()) / shared_by
        return Lesson(normalise(images, self.teacher.normalisation), target, valid.clamp(min=1), shared_by)

    def _add_row(self, steps: int, lr: float) -> None:
        """Means over the last `steps` steps and all processes. Raises DivergedError for NaN and Inf."""
        shared_by = steps * self.processes.world_size
        means = {name: float(self.processes.sum(value)) / shared_by for name, value in self._sums.items()}
        broken = [name for name, value in means.items() if not abs(value) < float("inf")]
        if broken:
            raise DivergedError(
                f"the preparation's loss {', '.join(broken)} is no longer a number. Lower its lr."
            )
        self.rows.append({"step": self.done, "lr": lr, **means})
        self._sums = {}


def learn(
    preparation: Preparation,
    settings: PreparationSettings,
    steps: int,
    folder: Path,
    *,
    teacher: SegNetwork,
    dataset: SegDataset,
    config: TrainConfig,
    compute: Compute,
    processes: Processes,
) -> list[dict[str, float]]:
    """Train `preparation` in place, from wherever `folder` stands; returns the history of its losses.

    Raises TrainingInterruptedError after SIGINT or SIGTERM: the same command goes on from there.
    """
    if settings.batch % processes.world_size:
        raise SettingsError(
            f"the preparation's batch ({settings.batch}) cannot be shared equally by "
            f"{processes.world_size} processes; make it a multiple of {processes.world_size}."
        )
    learner = Learner(
        preparation, settings, steps, teacher, compute, processes, sync_norm=config.compute.sync_norm
    )
    path = folder / STATE_FILE
    if path.is_file():
        state = load_state(path)
        learner.restore(state)
        restore_rng(state["rng"])
        log.info("resuming %s after step %d", folder, learner.done)
    processes.wait()
    loader = TrainLoader(
        dataset,
        config.augment,
        mean_rgb=teacher.normalisation.mean_rgb,
        batch=settings.batch,
        seed=settings.seed,
        workers=config.compute.workers,
        cache=config.compute.cache,
        rank=processes.rank,
        world_size=processes.world_size,
    )
    with (
        Interrupt() as interrupt,
        StepProgress(folder.name, learner.done, steps, is_shown=processes.is_main) as progress,
        worker_deaths_explained(),
    ):
        for batch in loader.batches(learner.done, steps):
            learner.take_step(batch)
            if learner.rows and learner.rows[-1]["step"] == learner.done:
                progress.update(learner.done, learner.rows[-1])
            may_ask = processes.world_size == 1 or learner.done % config.compute.log_every == 0
            must_stop = may_ask and processes.any(interrupt.requested)
            if must_stop or learner.done % config.compute.save_every == 0 or learner.done == steps:
                if processes.is_main:
                    save_state(path, learner.state())
                processes.wait()
            if must_stop and learner.done < steps:
                raise TrainingInterruptedError(
                    f"stopped preparing after step {learner.done} of {steps}; the state is saved. "
                    "The same command goes on from here."
                )
    return learner.rows
