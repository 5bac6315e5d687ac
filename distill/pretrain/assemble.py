"""Put a pre-training together from its settings: networks, head, queue, seeds."""

import logging

import torch

from distill.compute import Compute
from distill.distributed import Processes
from distill.networks import build_network
from distill.networks.output import SegNetwork
from distill.pretrain.config import PretrainConfig
from distill.pretrain.ring_queue import RingQueue
from distill.pretrain.step import Contrast, PretrainStep
from distill.pretrain.student_head import student_head
from distill.pretrain.teacher import build_teacher, refuse_padding
from distill.pretrain.trainer import PretrainTrainer
from distill.seeds import sample_seed
from distill.sync_norm import synchronise_norms
from modelpack.errors import UnknownNameError

log = logging.getLogger(__name__)

_CLASSES = 2
"""Of the student's classifier, which is neither trained nor kept."""


def assemble(config: PretrainConfig, compute: Compute, processes: Processes) -> PretrainTrainer:
    """Everything initialised from `config.seed`: alike in every process.

    Raises SettingsError where networks, views and head do not fit each other.
    """
    torch.manual_seed(config.seed)
    student = build_student(config)
    teacher = compute.place(build_teacher(config.teacher, config.views.size))
    channels = student.feature_info[config.feature].channels
    step = PretrainStep(
        student,
        student_head(channels, config.hidden, teacher.width, config.attention_heads),
        RingQueue(teacher.width, config.queue),
        teacher,
        Contrast(config.feature, config.pairing, config.temperature),
        compute,
        processes,
    )
    if processes.world_size > 1 and config.compute.sync_norm:
        synchronise_norms(step, compute.device.type)
    trainer = PretrainTrainer(step, config.optim, compute, processes)
    torch.manual_seed(sample_seed(config.seed, 0, processes.rank))  # dropout differs between processes
    return trainer


def build_student(config: PretrainConfig) -> SegNetwork:
    """The network whose backbone is pre-trained, from `student.weights` or noise."""
    student = config.student
    network = build_network(
        student.network,
        _CLASSES,
        weights=student.weights,
        options=student.options,
        normalisation=student.normalisation,
    )
    backbone = network.backbone_part()
    stages = [name for name in network.feature_info if name.startswith("stage")]
    if config.feature not in stages:
        raise UnknownNameError("feature of the student's backbone", config.feature, stages)
    refuse_padding(network, config.views.size)
    millions = sum(parameter.numel() for parameter in backbone.parameters()) / 1e6
    log.info("pre-training the backbone of %s: %.2f M parameters", student.network, millions)
    return network
