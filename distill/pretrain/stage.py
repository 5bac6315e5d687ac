"""Pre-train a student's backbone without labels: the stage function and its loop."""

import logging
import time
from pathlib import Path
from typing import Any

from distill.checkpoint import load_state, restore_rng, save_state
from distill.compute import Compute
from distill.data_list import list_data
from distill.datasets import open_to_learn_from
from distill.datasets.cached import cached
from distill.distributed import Processes
from distill.doctor import check_before_training
from distill.history import History
from distill.interrupt import Interrupt, TrainingInterruptedError
from distill.loader import worker_deaths_explained
from distill.pretrain.assemble import assemble
from distill.pretrain.config import PretrainConfig
from distill.pretrain.teacher import describe_teacher
from distill.pretrain.views import Views, stack_views
from distill.progress import StepProgress
from distill.run import RESULT_FILE, SETTINGS_FILE, STATE_FILE, read_json
from distill.same_run import refuse_other_settings
from distill.sampling import Sampling
from distill.step_loader import StepLoader
from distill.weights import BACKBONE_FILE, save_backbone
from modelpack.atomic import sha256_file, write_json
from modelpack.environment import fingerprint

log = logging.getLogger(__name__)

FOLDER = "pretrain"
"""Below a recipe's output."""


def pretrain(config: PretrainConfig, folder: Path | None = None) -> Path:
    """Pre-train and return the folder of the result; one that is finished is returned as it is.

    Writes `backbone.safetensors`, which `student.init=FOLDER` starts a training from, and resumes what an
    interruption left: on the CPU the weights end the same, bit for bit. Raises TrainingInterruptedError after
    SIGINT or SIGTERM, DatasetError for images that cannot be used, SettingsError for a folder of another run.
    """
    folder = folder or config.output / FOLDER
    refuse_other_settings(folder, config)
    if (folder / RESULT_FILE).is_file():
        log.debug("%s is finished; nothing to do", folder)
        return folder
    compute = Compute.choose(config.compute)
    processes = Processes.join(compute.device.type)
    try:
        Pretraining(config, folder, compute.on_rank(processes.local_rank), processes).run()
    finally:
        processes.leave()
    return folder


class Pretraining:
    """The loop: step, now and then save, stop when asked."""

    def __init__(self, config: PretrainConfig, folder: Path, compute: Compute, processes: Processes) -> None:
        self.config, self.folder, self.compute, self.processes = config, folder, compute, processes
        check_before_training(config.data, ("train",))
        images = open_to_learn_from(config.data)
        sampling = Sampling(
            len(images), config.optim.batch, config.seed, processes.rank, processes.world_size
        )
        views = Views(cached(images) if config.compute.cache else images, config.views)
        self.loader = StepLoader(sampling, views, stack_views, config.compute.workers)
        self.images = len(images)
        self.trainer = assemble(config, compute, processes)
        self.done = 0
        self.rows: list[dict[str, Any]] = []

    def run(self) -> None:
        """From wherever the folder stands to a finished pre-training."""
        self._resume_or_begin()
        config, steps = self.config, self.config.optim.steps
        title = f"{config.name}: pre-training {config.student.network}"
        with (
            Interrupt() as interrupt,
            StepProgress(title, self.done, steps, is_shown=self.processes.is_main) as progress,
            History(self.folder, self.rows, is_written=self.processes.is_main) as history,
            worker_deaths_explained(),
        ):
            since, begun = time.perf_counter(), self.done
            for batch in self.loader.batches(self.done, steps):
                self.trainer.take_step(self.done, batch)
                self.done += 1
                must_stop = self._must_stop(interrupt)
                if self.done % config.compute.log_every == 0 or self.done == steps:
                    progress.update(self.done, {"pcd": self.trainer.mean_loss()})
                if must_stop or self.done % config.compute.save_every == 0 or self.done == steps:
                    elapsed = time.perf_counter() - since
                    self._add_row(history, config.optim.batch * (self.done - begun) / elapsed)
                    since, begun = time.perf_counter(), self.done
                    self._save(history)
                if must_stop and self.done < steps:
                    raise TrainingInterruptedError(
                        f"stopped after step {self.done} of {steps}; the state is saved. "
                        "The same command goes on from here."
                    )
            self.rows = history.rows
        self._finish()

    def _resume_or_begin(self) -> None:
        path = self.folder / STATE_FILE
        if path.is_file():
            state = load_state(path)
            self.trainer.restore(state["trainer"])
            restore_rng(state["rng"])
            self.done, self.rows = state["done"], state["rows"]
            log.info("resuming %s after step %d", self.folder, self.done)
        elif self.processes.is_main:
            write_json(self.folder / SETTINGS_FILE, self.config.model_dump(mode="json"))
        self.processes.wait()

    def _must_stop(self, interrupt: Interrupt) -> bool:
        """Several processes must agree; they ask each other only now and then, because it costs time."""
        if self.processes.world_size > 1 and self.done % self.config.compute.log_every:
            return False
        return self.processes.any(interrupt.requested)

    def _add_row(self, history: History, images_per_s: float) -> None:
        loss, lr = self.trainer.mean_loss(), self.trainer.lr_at(self.done - 1)
        history.add({"step": self.done, "loss/pcd": loss, "lr": lr, "images_per_s": images_per_s})
        self.trainer.forget_losses()

    def _save(self, history: History) -> None:
        if self.processes.is_main:
            state = {"done": self.done, "rows": history.rows, "trainer": self.trainer.state()}
            save_state(self.folder / STATE_FILE, state)
        self.processes.wait()

    def _finish(self) -> None:
        """The backbone, and `result.json` as the last file."""
        if self.processes.is_main:
            config, backbone = self.config, self.trainer.step.student.backbone_part()
            save_backbone(backbone, self.folder / BACKBONE_FILE)
            result = {
                "name": config.name,
                "seed": config.seed,
                "network": config.student.network,
                "method": "pcd",
                "parameters": sum(parameter.numel() for parameter in backbone.parameters()),
                "steps": config.optim.steps,
                "images": self.images,
                "dataset": config.data.name,
                "data": {split: entry.model_dump() for split, entry in list_data(config.data).items()},
                "loss": self.rows[-1]["loss/pcd"],
                "teacher": describe_teacher(config.teacher),
                "precision": str(self.compute.dtype).removeprefix("torch."),
                "device": str(self.compute.device),
                "processes": self.processes.world_size,
                "weights_sha256": sha256_file(self.folder / BACKBONE_FILE),
                "environment": fingerprint(),
            }
            write_json(self.folder / RESULT_FILE, result)
            (self.folder / STATE_FILE).unlink(missing_ok=True)
        self.processes.wait()


def pretrain_result(folder: Path) -> dict[str, Any]:
    """What a finished pre-training noted."""
    return read_json(folder / RESULT_FILE)
