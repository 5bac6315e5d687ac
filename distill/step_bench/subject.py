"""What is timed: the trainer and the batches of a recipe, as a training run would have them."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from distill.assemble import assemble, assemble_loader
from distill.compare import TEACHER_FOLDER
from distill.compute import Compute
from distill.config import TrainConfig
from distill.datasets import open_dataset, open_to_learn_from
from distill.datasets.dataset import SegDataset
from distill.distributed import Processes
from distill.loader import Batch
from distill.networks import build_network
from distill.preparation.begin import Prepare, begin_preparations
from distill.preparation.stage import Preparations
from distill.quantisation.calibration import calibration_images
from distill.step_bench.measured_trainer import MeasuredTrainer
from distill.step_bench.noise import noise_like
from distill.step_bench.timeline import Timeline, clock_for
from distill.training_data import data_to_learn_from
from distill.weights import STUDENT_FILE, save_weights

log = logging.getLogger(__name__)

DATA = "waiting for data"
_TEACHER_FILE = "teacher.safetensors"


@dataclass
class Subject:
    """Takes one measured step after the other."""

    trainer: MeasuredTrainer
    batches: Iterator[Batch]
    done: int = 0

    def take_step(self) -> None:
        """The next step; after the last one of the schedule, further ones at its learning rate."""
        number = min(self.done, self.trainer.config.steps - 1)
        with self.trainer.timeline.step():
            with self.trainer.timeline.part(DATA):
                batch = next(self.batches)
            self.trainer.take_step(number, batch)
        self.done += 1


def set_up(config: TrainConfig, *, is_synthetic: bool = False, is_prepared: bool = False) -> Subject:
    """Networks, methods, optimiser and loader of `config`.

    is_synthetic: noise in the place of the recipe's images. A teacher without a checkpoint is that of the
    recipe's own chain, or an untrained one. is_prepared: methods have what they learn beforehand, as in a
    training run; otherwise what they hold is untrained, which costs the same.
    """
    compute = Compute.choose(config.compute)
    dataset: SegDataset
    if is_synthetic:
        dataset = noise_like(config)
    else:
        dataset = open_to_learn_from(data_to_learn_from(config))
        config = with_own_teacher(config)
    prepare: Prepare = begin_preparations
    if is_prepared:
        report = open_dataset(config.data, config.evaluation.report_on)
        prepare = Preparations(config, dataset, report, compute, Processes())
    trainer = _assembled(config, dataset, compute, prepare)
    return Subject(trainer, assemble_loader(config, dataset, trainer).batches())


def _assembled(
    config: TrainConfig, dataset: SegDataset, compute: Compute, prepare: Prepare
) -> MeasuredTrainer:
    quantisation, classes = config.student.quantisation, dataset.labels.num_classes
    calibration = None
    if quantisation is not None:
        calibration = calibration_images(dataset, quantisation.calibration_images, config.evaluation.size)
    with TemporaryDirectory() as folder:
        config = with_untrained_teacher(config, classes, Path(folder))
        trainer = assemble(config, classes, compute, Processes(), calibration, prepare)
    timeline = Timeline(clock_for(compute.device))
    return MeasuredTrainer(trainer.step, config.optim, compute, timeline=timeline)


def with_own_teacher(config: TrainConfig) -> TrainConfig:
    """With the teacher that the recipe's chain trained, where it did."""
    folder = config.output / TEACHER_FOLDER
    if config.teacher is None or config.teacher.checkpoint or not (folder / STUDENT_FILE).is_file():
        return config
    return _with_checkpoint(config, folder)


def with_untrained_teacher(config: TrainConfig, classes: int, folder: Path) -> TrainConfig:
    """With one that is made now, in `folder`, where methods need a teacher and none is given."""
    teacher = config.teacher
    if teacher is None or teacher.checkpoint is not None or not config.methods:
        return config
    log.info("the teacher has no checkpoint: it is timed as it is initialised")
    torch.manual_seed(config.seed)
    network = build_network(
        teacher.network, classes, options=teacher.options, normalisation=teacher.normalisation
    )
    save_weights(network, folder / _TEACHER_FILE)
    return _with_checkpoint(config, folder / _TEACHER_FILE)


def _with_checkpoint(config: TrainConfig, checkpoint: Path) -> TrainConfig:
    assert config.teacher is not None
    teacher = config.teacher.model_copy(update={"checkpoint": checkpoint})
    return config.model_copy(update={"teacher": teacher})
