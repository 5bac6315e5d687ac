"""Measure a recipe's training step: the stage function of `afdcd distill bench`."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch.profiler import ProfilerActivity, profile

from distill.compute import DTYPES
from distill.config import TrainConfig
from distill.loader import worker_deaths_explained
from distill.methods.afdcd import AfDcdSettings
from distill.step_bench.formulations import Formulation
from distill.step_bench.intervals import FEWEST_ROUNDS
from distill.step_bench.picture import render_picture
from distill.step_bench.report import render_markdown
from distill.step_bench.result import StepBench
from distill.step_bench.subject import Subject, set_up
from distill.step_bench.summary import comparison_of, side_of
from distill.step_bench.visits import measure_rounds, visit
from modelpack.atomic import write_json, write_text
from modelpack.environment import fingerprint
from modelpack.errors import UsageError

log = logging.getLogger(__name__)

FOLDER = "bench-train"
_TRACED_STEPS = 2
NOISE = "noise"


def bench_step(
    config: TrainConfig,
    *,
    against: Literal["published"] | None = None,
    variant: str | None = None,
    is_synthetic: bool = False,
    steps: int = 5,
    rounds: int = 8,
    max_windows: int = 10,
    trace: Path | None = None,
) -> StepBench:
    """Time every part of the step; writes `step.json`, `.md` and `.png` into `config.output / "bench-train"`.

    against: measure this formulation too, before ours in every round. steps: recorded in each round and
    formulation. max_windows: longest warm-up, in windows of `steps`. trace: file for a trace by torch's
    profiler, taken afterwards.

    Raises UsageError for a comparison without a contrastive term, or too few rounds for an interval.
    """
    if rounds < FEWEST_ROUNDS:
        raise UsageError(f"--rounds {rounds}: an interval takes at least {FEWEST_ROUNDS}.")
    _refuse_without_contrast(config, against)
    formulations: Sequence[Formulation] = ("ours",) if against is None else (against, "ours")
    subject = set_up(config, is_synthetic=is_synthetic)
    with worker_deaths_explained():
        measured = measure_rounds(subject, formulations, steps=steps, rounds=rounds, max_windows=max_windows)
        if trace is not None:
            write_trace(subject, trace)
    compute = subject.trainer.compute
    result = StepBench(
        name=config.name,
        variant=variant,
        methods=tuple(method.name for method in config.methods),
        student=config.student.network,
        teacher=config.teacher.network if subject.trainer.step.teacher and config.teacher else None,
        data=NOISE if is_synthetic else config.data.name,
        crop=config.augment.crop,
        batch=config.optim.batch,
        device=device_name(compute.device),
        precision=next(name for name, dtype in DTYPES.items() if dtype == compute.dtype),
        threads=torch.get_num_threads(),
        rounds=rounds,
        steps=steps,
        sides=tuple(side_of(name, visits, config.optim.batch) for name, visits in measured.items()),
        comparison=comparison_of(measured["ours"], measured["published"]) if len(measured) > 1 else None,
        environment=fingerprint(),
    )
    folder = config.output / FOLDER
    write_json(folder / "step.json", result.model_dump(mode="json"))
    write_text(folder / "step.md", render_markdown(result))
    render_picture(result, folder / "step.png")
    return result


def write_trace(subject: Subject, path: Path) -> None:
    """Some steps under torch's profiler, as a file for chrome://tracing or ui.perfetto.dev."""
    activities = [ProfilerActivity.CPU]
    if subject.trainer.compute.device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities, record_shapes=True, profile_memory=True, with_stack=True) as profiler:
        visit(subject, "ours", _TRACED_STEPS)
    path.parent.mkdir(parents=True, exist_ok=True)
    profiler.export_chrome_trace(str(path))
    log.info("trace: %s", path)


def _refuse_without_contrast(config: TrainConfig, against: Literal["published"] | None) -> None:
    contrasting = [m.name for m in config.methods if isinstance(m, AfDcdSettings) and m.contrasts]
    if against is not None and not contrasting:
        listed = ", ".join(method.name for method in config.methods) or "none"
        raise UsageError(
            f"--against {against} compares the contrastive term of afdcd, and no method that would be "
            f"measured has one (methods: {listed}). Choose a variant of the recipe that has: --variant NAME."
        )


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
