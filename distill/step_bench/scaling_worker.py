"""One of the processes that `distill.step_bench.scaling` starts: take steps alone and together, in turn.

    torchrun --nproc-per-node=N -m distill.step_bench.scaling_worker TASK.json TIMES.json

Every process holds the recipe's training twice: once by itself, once shared with the others. The first one
writes what was measured, or why nothing was.
"""

import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import distributed as dist

from distill.assemble import assemble, assemble_loader
from distill.compute import Compute
from distill.config import TrainConfig
from distill.datasets import open_to_learn_from
from distill.datasets.dataset import SegDataset
from distill.distributed import Processes
from distill.loader import Batch
from distill.quantisation.calibration import calibration_images
from distill.step_bench.noise import noise_like
from distill.step_bench.scaling_result import MODES, Mode, ModeTimes, by_round
from distill.step_bench.timeline import Timeline, clock_for
from distill.step_bench.visits import LEAD_STEPS, WarmUp, stands_still, step_ms
from distill.trainer import Trainer
from distill.training_data import data_to_learn_from
from modelpack.atomic import write_json
from modelpack.errors import SegError
from modelpack.settings import StrictModel, parse_settings

log = logging.getLogger(__name__)


class ScalingTask(StrictModel):
    """What the processes are told."""

    config: dict[str, Any]
    is_synthetic: bool
    steps: int
    rounds: int
    max_windows: int


class ScalingTimes(StrictModel):
    """What they answer."""

    backend: str
    times: dict[Mode, ModeTimes]


@dataclass
class Lane:
    """A trainer with the batches that it takes."""

    trainer: Trainer
    batches: Iterator[Batch]
    timeline: Timeline
    done: int = 0

    def take_steps(self, count: int) -> list[float]:
        """Milliseconds of each."""
        for _ in range(count):
            with self.timeline.step():
                self.trainer.take_step(min(self.done, self.trainer.config.steps - 1), next(self.batches))
            self.done += 1
        return [step_ms(parts) for parts in self.timeline.collect()]


class Scaling:
    """The same training in all modes; every process must call the same methods in the same order."""

    def __init__(self, config: TrainConfig, compute: Compute, processes: Processes, dataset: SegDataset):
        self._processes, self._device = processes, compute.device
        batch = config.optim.batch * processes.world_size
        shared = config.model_copy(update={"optim": config.optim.model_copy(update={"batch": batch})})
        alone = lane_of(config, compute, Processes(), dataset)
        together = lane_of(shared, compute, processes, dataset)
        self._lanes: dict[Mode, Lane] = {"one": alone, "apart": alone, "together": together}

    def measure(self, *, steps: int, rounds: int, max_windows: int) -> dict[Mode, ModeTimes]:
        """`rounds` times `steps` recorded steps in each mode, in turn, after a warm-up of each."""
        warm_ups = {mode: self._warm_up(mode, steps, max_windows) for mode in MODES}
        visits: dict[Mode, list[list[float]]] = {mode: [] for mode in MODES}
        for number in range(rounds):
            for mode in MODES:
                visits[mode].append(self.visit(mode, steps))
                log.info(
                    "round %d of %d, %s: %.1f ms a step", number + 1, rounds, mode, median(visits[mode][-1])
                )
        return {mode: ModeTimes(warm_up=warm_ups[mode], rounds_ms=by_round(visits[mode])) for mode in MODES}

    def visit(self, mode: Mode, steps: int) -> list[float]:
        """Milliseconds of the steps of all processes that take part; the others wait, without computing."""
        takes_part = mode != "one" or self._processes.is_main
        self._processes.wait()
        mine = self._lanes[mode].take_steps(LEAD_STEPS + steps)[LEAD_STEPS:] if takes_part else [0.0] * steps
        self._processes.wait()
        everyone = self._processes.gather(torch.tensor(mine, device=self._device, dtype=torch.float64))
        measured: list[float] = (everyone[:steps] if mode == "one" else everyone).tolist()
        return measured

    def _warm_up(self, mode: Mode, steps: int, max_windows: int) -> WarmUp:
        """All processes see the same times, so they end it together."""
        medians: list[float] = []
        while len(medians) < max_windows and not stands_still(medians):
            medians.append(median(self.visit(mode, steps)))
        return WarmUp(is_stationary=stands_still(medians), window_medians_ms=tuple(medians))


def lane_of(config: TrainConfig, compute: Compute, processes: Processes, dataset: SegDataset) -> Lane:
    """The recipe's training as these processes would do it."""
    quantisation, calibration = config.student.quantisation, None
    if quantisation is not None:
        calibration = calibration_images(dataset, quantisation.calibration_images, config.evaluation.size)
    trainer = assemble(config, dataset.labels.num_classes, compute, processes, calibration)
    batches = assemble_loader(config, dataset, trainer).batches()
    return Lane(trainer, batches, Timeline(clock_for(compute.device)))


def run(task: ScalingTask) -> ScalingTimes:
    """Measure, as one of the processes that torchrun describes in the environment."""
    config = parse_settings(TrainConfig, task.config, "the task")
    compute = Compute.choose(config.compute)
    processes = Processes.join(compute.device.type)
    try:
        dataset = noise_like(config) if task.is_synthetic else open_to_learn_from(data_to_learn_from(config))
        scaling = Scaling(config, compute.on_rank(processes.local_rank), processes, dataset)
        times = scaling.measure(steps=task.steps, rounds=task.rounds, max_windows=task.max_windows)
        backend = dist.get_backend() if dist.is_initialized() else "none"
    finally:
        processes.leave()
    return ScalingTimes(backend=backend, times=times)


def main() -> None:
    task_path, times_path = map(Path, sys.argv[1:])
    is_main = os.environ.get("RANK", "0") == "0"
    logging.basicConfig(level=logging.INFO if is_main else logging.WARNING, format="%(message)s")
    try:
        told = run(ScalingTask.model_validate_json(task_path.read_text(encoding="utf-8")))
    except SegError as error:
        write_json(times_path, {"error": str(error)})
        sys.exit(1)
    if is_main:
        write_json(times_path, told.model_dump(mode="json"))


if __name__ == "__main__":
    main()
