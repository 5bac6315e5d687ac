"""Put a trainer together from its settings: networks, methods, norms, seeds."""

import logging
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from distill.compute import Compute
from distill.config import TrainConfig
from distill.datasets.dataset import SegDataset
from distill.distributed import Processes
from distill.loader import TrainLoader
from distill.networks import build_network
from distill.networks.backbone_weights import load_start
from distill.networks.output import SegNetwork
from distill.networks.published import PublishedNetwork
from distill.preparation.begin import Prepare, begin_preparations
from distill.quantisation.calibration import calibrate
from distill.quantisation.insert import quantise_network
from distill.seeds import sample_seed
from distill.step import TrainStep, build_methods
from distill.sync_norm import synchronise_norms
from distill.teacher import load_teacher
from distill.trainer import Trainer
from distill.weights import load_weights
from modelpack.errors import SettingsError

log = logging.getLogger(__name__)


def assemble(
    config: TrainConfig,
    num_classes: int,
    compute: Compute,
    processes: Processes,
    calibration: Iterable[NDArray[np.uint8]] | None = None,
    prepare: Prepare = begin_preparations,
) -> Trainer:
    """Networks and adapters, initialised from `config.seed`: alike in every process, whatever the methods.

    calibration: images, each (1, H, W, 3), that a quantised student takes its first scales from. None: a
    checkpoint will set them.
    prepare: gives what the methods learned from the teacher beforehand; by default they learned nothing.
    Raises SettingsError where the batch cannot be shared out, or a method asks for what a network has not.
    """
    shares = processes.world_size * config.optim.accumulate
    if config.optim.batch % shares:
        raise SettingsError(
            f"optim.batch ({config.optim.batch}) must be a multiple of processes x accumulate "
            f"({processes.world_size} x {config.optim.accumulate} = {shares})."
        )
    torch.manual_seed(config.seed)
    student = build_student(config, num_classes)
    millions = sum(parameter.numel() for parameter in student.parameters()) / 1e6
    log.info("training %s: %.2f M parameters", config.student.network, millions)
    quantisation = config.student.quantisation
    if quantisation is not None:
        quantise_network(student, quantisation)
        if calibration is not None:
            calibrate(compute.place(student), calibration, quantisation.calibrator)
    teacher = (
        load_teacher(config.teacher, num_classes, compute) if config.teacher and config.methods else None
    )
    if isinstance(teacher, PublishedNetwork) and any(m.needs_teacher_aux() for m in config.methods):
        teacher.aux_in_eval = True
    methods, weights = build_methods(config.methods, student, teacher, config.augment.crop, prepare)
    step = TrainStep(student, teacher, methods, {"aux": config.optim.aux_weight, **weights}, compute)
    if processes.world_size > 1 and config.compute.sync_norm:
        synchronise_norms(step, compute.device.type)
    gradients_every = config.compute.gradients_every
    if gradients_every is None:
        gradients_every = config.evaluation.every
    trainer = Trainer(step, config.optim, compute, processes, gradients_every)
    torch.manual_seed(sample_seed(config.seed, 0, processes.rank))  # dropout differs between processes
    return trainer


def assemble_loader(config: TrainConfig, dataset: SegDataset, trainer: Trainer) -> TrainLoader:
    """What the trainer's process reads of each batch."""
    return TrainLoader(
        dataset,
        config.augment,
        mean_rgb=trainer.step.student.normalisation.mean_rgb,
        batch=config.optim.batch,
        seed=config.seed,
        workers=config.compute.workers,
        cache=config.compute.cache,
        rank=trainer.processes.rank,
        world_size=trainer.processes.world_size,
        pins=trainer.compute.device.type == "cuda",
    )


def build_student(config: TrainConfig, num_classes: int) -> SegNetwork:
    """The student with the weights it starts from."""
    network = build_network(
        config.student.network,
        num_classes,
        weights=config.student.weights,
        options=config.student.options,
        normalisation=config.student.normalisation,
    )
    if config.student.init is not None and config.student.quantisation is not None:
        load_weights(network, config.student.init)  # fine-tunes a whole network; a backbone is refused
    elif config.student.init is not None:
        load_start(network, config.student.init)
    return network
