"""How many steps fit into the minutes: a short measurement, then arithmetic."""

import math
import time
from pathlib import Path

import torch

from afdcd.gpu.pair import PublishedPair
from afdcd.gpu.timing import synchronise
from distill.assemble import assemble, build_student
from distill.compute import Compute
from distill.config import TrainConfig
from distill.datasets import open_dataset
from distill.distributed import Processes
from distill.evaluate import evaluate
from distill.loader import TrainLoader
from distill.weights import save_weights
from modelpack.settings import StrictModel

EVALUATIONS = 4
"""On the selection split, spread over a run; and one on the report split at its end."""
TEACHER_SHARE = 0.5
"""Of the time for optimiser steps."""
START_S = 10.0
"""Of each run: looking at the data, starting the workers, drawing the pictures."""
SAFETY = 0.85
WARM_UP_STEPS = 5
MEASURED_SECONDS = 10.0
MEASURED_STEPS = 60
"""At most; more than the batches that the loader has prepared during the warm-up."""
LEAST_MEASURED_STEPS = 5
MEASURED_IMAGES = 24
MOST_STEPS = 40_000
"""As published."""
LEAST_STEPS = 20


class Speed(StrictModel):
    """Seconds, measured on this machine."""

    step_s: float
    """One optimiser step, loading included."""
    image_s: float
    """One image evaluated."""


class RunPlan(StrictModel):
    """One training run."""

    steps: int
    every: int
    """Steps between evaluations."""
    speed: Speed

    def row(self) -> dict[str, float]:
        return {"steps": self.steps, "every": self.every, **self.speed.model_dump()}


class Plan(StrictModel):
    """Made once; a resumed run must have the same number of steps."""

    seconds: float
    """For both runs."""
    teacher: RunPlan
    student: RunPlan

    def runs(self) -> dict[str, RunPlan]:
        return {"teacher": self.teacher, "student": self.student}


def make_plan(pair: PublishedPair, seconds: float, scratch: Path) -> Plan:
    """Measure both trainings for some steps; what that takes is part of `seconds`.

    The student's is measured with a teacher of random weights, kept in `scratch` meanwhile.
    """
    begun = time.monotonic()
    teacher = measure_speed(pair.teacher)
    untrained = scratch / "untrained-teacher.safetensors"
    num_classes = open_dataset(pair.teacher.data, "train").labels.num_classes
    save_weights(build_student(pair.teacher, num_classes), untrained)
    assert pair.student.teacher is not None
    learns_from = pair.student.teacher.model_copy(update={"checkpoint": untrained})
    student = measure_speed(pair.student.model_copy(update={"teacher": learns_from}))
    untrained.unlink()
    evaluation = pair.student.evaluation
    selected_on = evaluation.report_on if evaluation.select_on == "last" else evaluation.select_on
    selection, report = (
        len(open_dataset(pair.student.data, split)) for split in (selected_on, evaluation.report_on)
    )
    return share_out(seconds - (time.monotonic() - begun), teacher, student, selection, report)


def share_out(seconds: float, teacher: Speed, student: Speed, selection: int, report: int) -> Plan:
    """What evaluations cost is taken off first; the rest is steps of the teacher and steps of the student.

    selection, report: images of the two splits.
    """
    evaluated = EVALUATIONS * selection + report
    fixed = 2 * START_S + evaluated * (teacher.image_s + student.image_s) + report * teacher.image_s
    left = max(0.0, SAFETY * seconds - fixed)
    return Plan(
        seconds=seconds,
        teacher=_run_plan(TEACHER_SHARE * left, teacher),
        student=_run_plan((1 - TEACHER_SHARE) * left, student),
    )


def _run_plan(seconds: float, speed: Speed) -> RunPlan:
    steps = max(LEAST_STEPS, min(MOST_STEPS, int(seconds / speed.step_s)))
    return RunPlan(steps=steps, every=math.ceil(steps / EVALUATIONS), speed=speed)


def measure_speed(config: TrainConfig) -> Speed:
    """Of the training that `config` describes, without writing anything."""
    compute = Compute.choose(config.compute)
    dataset = open_dataset(config.data, "train")
    trainer = assemble(config, dataset.labels.num_classes, compute, Processes())
    loader = TrainLoader(
        dataset,
        config.augment,
        mean_rgb=trainer.step.student.normalisation.mean_rgb,
        batch=config.optim.batch,
        seed=config.seed,
        workers=config.compute.workers,
    )
    steps, begun = 0, time.perf_counter()
    for number, batch in enumerate(loader.batches(0, WARM_UP_STEPS + MEASURED_STEPS)):
        trainer.take_step(number, batch)
        synchronise(compute.device)
        steps = number + 1 - WARM_UP_STEPS
        if steps == 0:
            begun = time.perf_counter()
        elif steps >= LEAST_MEASURED_STEPS and time.perf_counter() - begun > MEASURED_SECONDS:
            break
    step_s = (time.perf_counter() - begun) / steps
    measured = evaluate(
        trainer.student, dataset, compute, size=config.evaluation.size, max_images=MEASURED_IMAGES
    )
    if compute.device.type == "cuda":
        torch.cuda.empty_cache()
    return Speed(step_s=step_s, image_s=1 / measured.images_per_s)
