"""`python -m distill.step_cost.visit WARM_UP STEPS < SETTINGS`: a variant's steps, alone in a process.

Prints the visit as JSON, as its last line.
"""

import json
import math
import sys

import torch

from distill.compute import Compute
from distill.config import TrainConfig
from distill.datasets import open_to_learn_from
from distill.distributed import Processes
from distill.loader import TrainLoader, worker_deaths_explained
from distill.methods.method import MethodSettings, Pair
from distill.methods.preparation import PreparationPlan
from distill.networks.output import SegNetwork
from distill.preparation.begin import begin
from distill.preparation.learning import Learner
from distill.step_bench.memory import PeakMemory
from distill.step_bench.subject import set_up
from distill.step_bench.timeline import Timeline, clock_for
from distill.step_cost.result import PreparationVisit, Visit
from distill.training_data import data_to_learn_from
from modelpack.settings import parse_settings


def visit(config: TrainConfig, *, warm_up: int, steps: int) -> Visit:
    """The run's first `warm_up` + `steps` steps, then as many of what its methods learn beforehand.

    The peak of memory is that from now on to the student's last step: networks, methods, optimiser, what a
    step holds, and the images read by then, of which a whole run may keep more (`compute.cache`).
    """
    compute = Compute.choose(config.compute)
    if compute.device.type == "cuda":
        torch.cuda.init()  # type: ignore[no-untyped-call]  # untyped in torch
    memory = PeakMemory(compute.device)
    with worker_deaths_explained():
        subject = set_up(config, is_prepared=True)
        timeline = subject.trainer.timeline
        for _ in range(warm_up + steps):
            subject.take_step()
        steps_ms = _recorded(timeline, warm_up)
        peak_memory_bytes = memory.extra_bytes()
        preparations = {}
        for method in config.methods:
            plan, teacher = method.preparation(), subject.trainer.step.teacher
            if plan is not None and plan.finished is None and teacher is not None:
                learned = _visit_preparation(method, plan, config, teacher, compute, warm_up, steps)
                preparations[method.name] = learned
    return Visit(steps_ms=steps_ms, peak_memory_bytes=peak_memory_bytes, preparations=preparations)


def _visit_preparation(
    method: MethodSettings,
    plan: PreparationPlan,
    config: TrainConfig,
    teacher: SegNetwork,
    compute: Compute,
    warm_up: int,
    steps: int,
) -> PreparationVisit:
    """Its first steps; what was learned by those of the real one stays as it is."""
    dataset, settings = open_to_learn_from(data_to_learn_from(config)), plan.settings
    whole = settings.steps or math.ceil(len(dataset) / settings.batch)
    pair = Pair({}, teacher.feature_info, teacher.num_classes)
    learner = Learner(
        begin(method, plan, pair), settings, whole, teacher, compute, Processes(), sync_norm=False
    )
    loader = TrainLoader(
        dataset,
        config.augment,
        mean_rgb=teacher.normalisation.mean_rgb,
        batch=settings.batch,
        seed=settings.seed,
        workers=config.compute.workers,
        cache=config.compute.cache,
    )
    timeline = Timeline(clock_for(compute.device))
    batches = loader.batches()
    for _ in range(min(warm_up + steps, whole)):
        with timeline.step():
            learner.take_step(next(batches))
    return PreparationVisit(steps=whole, batch=settings.batch, steps_ms=_recorded(timeline, warm_up))


def _recorded(timeline: Timeline, warm_up: int) -> tuple[float, ...]:
    """Milliseconds of the steps after the warm-up."""
    return tuple(sum(parts.values()) for parts in timeline.collect()[warm_up:])


def main() -> None:
    warm_up, steps = map(int, sys.argv[1:])
    config = parse_settings(TrainConfig, json.load(sys.stdin), "standard input")
    measured = visit(config, warm_up=warm_up, steps=steps)
    sys.stdout.write(f"\n{measured.model_dump_json()}\n")


if __name__ == "__main__":
    main()
