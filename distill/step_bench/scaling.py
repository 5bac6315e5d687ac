"""Measure what several processes gain over one: the stage function of `afdcd distill bench --processes N`."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from distill.compute import DTYPES, Compute
from distill.config import TrainConfig
from distill.datasets import open_to_learn_from
from distill.datasets.dataset import SegDataset
from distill.step_bench.intervals import FEWEST_ROUNDS
from distill.step_bench.noise import noise_like
from distill.step_bench.scaling_report import render_scaling
from distill.step_bench.scaling_result import StepScaling, figures_of
from distill.step_bench.scaling_worker import ScalingTask, ScalingTimes
from distill.step_bench.stage import FOLDER, NOISE, device_name
from distill.step_bench.subject import with_own_teacher, with_untrained_teacher
from distill.training_data import data_to_learn_from
from modelpack.atomic import write_json, write_text
from modelpack.environment import fingerprint
from modelpack.errors import RuntimeUnavailableError, SegError, UsageError

log = logging.getLogger(__name__)


class ScalingError(SegError):
    """The processes that were to be measured failed."""


def bench_scaling(
    config: TrainConfig,
    processes: int,
    *,
    variant: str | None = None,
    is_synthetic: bool = False,
    steps: int = 5,
    rounds: int = 8,
    max_windows: int = 10,
) -> StepScaling:
    """Time one process, `processes` apart and as many together; writes `scaling.json` and `.md`.

    Each has `config.optim.batch` images a step and `config.compute.threads` threads, or one if that is 0.
    Folder: `config.output / "bench-train"`. Other arguments: as in `bench_step`.

    Raises RuntimeUnavailableError for more processes than GPUs, ScalingError where one of them fails.
    """
    if processes < 2 or rounds < FEWEST_ROUNDS:
        raise UsageError(f"scaling takes at least 2 processes and {FEWEST_ROUNDS} rounds.")
    threads = config.compute.threads or 1
    config = config.model_copy(update={"compute": config.compute.model_copy(update={"threads": threads})})
    compute = Compute.choose(config.compute)
    if compute.device.type == "cuda" and processes > torch.cuda.device_count():
        raise RuntimeUnavailableError(
            f"{processes} processes need as many GPUs, and {torch.cuda.device_count()} are here. "
            "Use fewer, or compute.device=cpu."
        )
    dataset: SegDataset
    if is_synthetic:
        dataset = noise_like(config)
    else:
        dataset = open_to_learn_from(data_to_learn_from(config))
        config = with_own_teacher(config)
    with TemporaryDirectory() as folder:
        taught = with_untrained_teacher(config, dataset.labels.num_classes, Path(folder))
        task = ScalingTask(
            config=taught.model_dump(mode="json"),
            is_synthetic=is_synthetic,
            steps=steps,
            rounds=rounds,
            max_windows=max_windows,
        )
        measured = _start(task, processes, threads, Path(folder))
    modes, ratios = figures_of(measured.times, processes, config.optim.batch)
    result = StepScaling(
        name=config.name,
        variant=variant,
        methods=tuple(method.name for method in config.methods),
        student=config.student.network,
        teacher=config.teacher.network if config.methods and config.teacher else None,
        data=NOISE if is_synthetic else config.data.name,
        crop=config.augment.crop,
        batch=config.optim.batch,
        processes=processes,
        backend=measured.backend,
        sync_norm=config.compute.sync_norm,
        device=device_name(compute.device),
        precision=next(name for name, dtype in DTYPES.items() if dtype == compute.dtype),
        threads=threads,
        rounds=rounds,
        steps=steps,
        modes=modes,
        **ratios,
        environment=fingerprint(),
    )
    folder_of_results = config.output / FOLDER
    write_json(folder_of_results / "scaling.json", result.model_dump(mode="json"))
    write_text(folder_of_results / "scaling.md", render_scaling(result))
    return result


def _start(task: ScalingTask, processes: int, threads: int, folder: Path) -> ScalingTimes:
    """Let torchrun run the task on this machine. What the processes log goes to standard error."""
    task_path, times_path = folder / "task.json", folder / "times.json"
    write_json(task_path, task.model_dump(mode="json"))
    torchrun = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    worker = ["distill.step_bench.scaling_worker", str(task_path), str(times_path)]
    done = subprocess.run(
        [sys.executable, "-m", *torchrun, "-m", *worker],
        stdout=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        check=False,
    )
    answer = json.loads(times_path.read_text(encoding="utf-8")) if times_path.is_file() else {}
    if "error" in answer:
        raise ScalingError(answer["error"])
    if done.returncode or not answer:
        raise ScalingError(
            f"the {processes} processes ended with {done.returncode}; their own messages stand above. "
            "Most likely memory ran out: each holds the training twice. Use a smaller optim.batch."
        )
    return ScalingTimes.model_validate(answer)
