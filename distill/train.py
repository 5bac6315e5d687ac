"""Train one network, alone or with a teacher: the stage function and its loop.

Teacher and student are trained by the same code: a teacher is a student without methods.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distill.assemble import assemble, assemble_loader
from distill.checkpoint import load_state, restore_rng, save_state
from distill.compute import Compute
from distill.config import TrainConfig
from distill.datasets import open_dataset, open_to_learn_from
from distill.distributed import Processes
from distill.doctor import check_before_training
from distill.evaluate import Evaluation, evaluate
from distill.finish import finish
from distill.history import History, Row
from distill.interrupt import Interrupt, TrainingInterruptedError
from distill.loader import worker_deaths_explained
from distill.preparation.stage import PREPARED_FILE, Preparations
from distill.progress import StepProgress
from distill.quantisation.calibration import calibration_images
from distill.run import LABELS_FILE, RESULT_FILE, SETTINGS_FILE, STATE_FILE, TrainingRun
from distill.same_run import refuse_other_settings
from distill.start import START_FILE, describe_start
from distill.teacher import measure_teacher
from distill.training_data import data_to_learn_from
from distill.transfer import LateValues
from distill.weights import STUDENT_FILE, save_weights
from modelpack.atomic import write_json

log = logging.getLogger(__name__)


def train(config: TrainConfig, folder: Path | None = None) -> TrainingRun:
    """Train `config.student` and return the finished run; a folder that is finished is returned as it is.

    Writes into `folder` (default `config.output / "train"`) and resumes what an interruption left there: on
    the CPU the weights end the same, bit for bit. Raises TrainingInterruptedError after SIGINT or SIGTERM,
    GateError for a teacher that knows nothing, DatasetError for data that `doctor` calls wrong, SettingsError
    for a folder that holds another run.
    """
    folder = folder or config.output / "train"
    refuse_other_settings(folder, config)
    if (folder / RESULT_FILE).is_file():
        log.debug("%s is finished; nothing to do", folder)
        return TrainingRun.open(folder)
    compute = Compute.choose(config.compute)
    processes = Processes.join(compute.device.type)
    try:
        Training(config, folder, compute.on_rank(processes.local_rank), processes).run()
    finally:
        processes.leave()
    return TrainingRun.open(folder)


@dataclass
class Best:
    """The step whose weights are kept so far."""

    step: int = 0
    miou: float = -1.0


class Training:
    """The loop: step, now and then evaluate, now and then save, stop when asked."""

    def __init__(self, config: TrainConfig, folder: Path, compute: Compute, processes: Processes) -> None:
        self.config, self.folder, self.compute, self.processes = config, folder, compute, processes
        evaluation = config.evaluation
        data = data_to_learn_from(config)
        check_before_training(data, config.splits)
        self.training = open_to_learn_from(data)
        self.selection = open_dataset(config.data, evaluation.selection_split)
        self.report = open_dataset(config.data, evaluation.report_on)
        self.preparations = Preparations(config, self.training, self.report, compute, processes)
        self.trainer = assemble(
            config,
            self.training.labels.num_classes,
            compute,
            processes,
            self._calibration_images(),
            self.preparations,
        )
        self.done = 0
        self.best = Best()
        self.rows: list[Row] = []

    def run(self) -> None:
        """From wherever the folder stands to a finished run."""
        self._resume_or_begin()
        measure_teacher(
            self.config, self.folder, self.trainer.step.teacher, self.report, self.compute, self.processes
        )
        config, trainer = self.config, self.trainer
        loader = assemble_loader(config, self.training, trainer)
        steps, late = config.optim.steps, LateValues()
        title = f"{config.name}: {config.student.network}"
        with (
            Interrupt() as interrupt,
            StepProgress(title, self.done, steps, is_shown=self.processes.is_main) as progress,
            History(self.folder, self.rows, is_written=self.processes.is_main) as history,
            worker_deaths_explained(),
        ):
            if self.done == 0 and config.student.quantisation is not None:
                self._evaluate(history, images_per_s=0.0)  # what calibration alone gives
            clock = time.perf_counter()
            for batch in loader.batches(self.done, steps):
                trainer.take_step(self.done, batch)
                self.done += 1
                if self.done % config.compute.log_every == 0 or self.done == steps:
                    late.ask(self.done, trainer.mean_losses_on_device())
                if (told := late.arrived(waits=self.done == steps)) is not None:
                    losses = trainer.weighted(trainer.checked(told[1]))
                    progress.update(told[0], {"loss": sum(losses.values()), **losses})
                if self.done % config.evaluation.every == 0 or self.done == steps:
                    trainer.mean_losses()  # waits for the steps whose time is taken
                    images_per_s = trainer.summed_steps * config.optim.batch / (time.perf_counter() - clock)
                    self._evaluate(history, images_per_s)
                    clock = time.perf_counter()
                must_stop = self._must_stop(interrupt)
                if must_stop or self.done % config.compute.save_every == 0 or self.done == steps:
                    self._save(history)
                if must_stop and self.done < steps:
                    raise TrainingInterruptedError(
                        f"stopped after step {self.done} of {steps}; the state is saved. "
                        "The same command goes on from here."
                    )
            self.rows = history.rows
        finish(
            self.config, self.folder, self.report, self.compute, self.processes, asdict(self.best), self.rows
        )

    def _resume_or_begin(self) -> None:
        path = self.folder / STATE_FILE
        if path.is_file():
            state = load_state(path)
            self.trainer.restore(state["trainer"])
            restore_rng(state["rng"])
            self.done, self.best, self.rows = state["done"], Best(**state["best"]), state["rows"]
            log.info("resuming %s after step %d", self.folder, self.done)
        elif self.processes.is_main:
            write_json(self.folder / LABELS_FILE, self.training.labels.model_dump(mode="json"))
            if self.config.student.init is not None:
                write_json(self.folder / START_FILE, describe_start(self.config.student.init))
            if self.preparations.used:
                write_json(self.folder / PREPARED_FILE, self.preparations.used)
            write_json(self.folder / SETTINGS_FILE, self.config.model_dump(mode="json"))
        self.processes.wait()

    def _calibration_images(self) -> Iterator[NDArray[np.uint8]] | None:
        """For a quantised student that begins; one that goes on has its scales in the saved state."""
        quantisation = self.config.student.quantisation
        if quantisation is None or (self.folder / STATE_FILE).is_file():
            return None
        return calibration_images(self.training, quantisation.calibration_images, self.config.evaluation.size)

    def _evaluate(self, history: History, images_per_s: float) -> None:
        """Measure on the selection split, write the row, keep the weights if they are the best so far."""
        evaluation = self.config.evaluation
        measured = evaluate(
            self.trainer.student,
            self.selection,
            self.compute,
            size=evaluation.size,
            batch=evaluation.batch,
            max_images=evaluation.max_images,
            processes=self.processes,
        )
        miou = measured.confusion.miou(evaluation.absent)
        history.add(self._row(measured, images_per_s))
        self.trainer.forget_losses()
        log.info("step %d: mIoU %.2f on %s", self.done, 100 * miou, measured.split)
        if evaluation.select_on == "last" or miou > self.best.miou:
            self.best = Best(self.done, miou)
            if self.processes.is_main:
                save_weights(self.trainer.student, self.folder / STUDENT_FILE)

    def _row(self, measured: Evaluation, images_per_s: float) -> Row:
        confusion, names = measured.confusion, self.training.labels.names
        raw = self.trainer.mean_losses()
        return {
            "step": self.done,
            "miou": confusion.miou(self.config.evaluation.absent),
            "pixel_accuracy": confusion.pixel_accuracy(),
            **{f"iou/{name}": float(iou) for name, iou in zip(names, confusion.iou_per_class(), strict=True)},
            **{f"loss/{name}": value for name, value in (raw | self.trainer.mean_own_losses()).items()},
            **{f"weighted/{name}": value for name, value in self.trainer.weighted(raw).items()},
            **{f"gradient/{name}": norm for name, norm in self.trainer.gradients.means().items()},
            "lr": self.trainer.lr_at(max(self.done - 1, 0)),
            "images_per_s": images_per_s,
        }

    def _must_stop(self, interrupt: Interrupt) -> bool:
        """Several processes must agree; they ask each other only now and then, because it costs time."""
        if self.processes.world_size > 1 and self.done % self.config.compute.log_every:
            return False
        return self.processes.any(interrupt.requested)

    def _save(self, history: History) -> None:
        self.trainer.mean_losses()  # a run that diverged keeps the state before
        if self.processes.is_main:
            state = {
                "done": self.done,
                "best": asdict(self.best),
                "rows": history.rows,
                "trainer": self.trainer.state(),
            }
            save_state(self.folder / STATE_FILE, state)
        self.processes.wait()
