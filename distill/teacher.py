"""The teacher: loaded whole, frozen, and measured before anyone learns from it."""

import logging
from pathlib import Path

from distill.compute import Compute
from distill.config import TeacherConfig, TrainConfig
from distill.datasets.dataset import SegDataset
from distill.distributed import Processes
from distill.evaluate import Evaluation, evaluate
from distill.networks import build_network
from distill.networks.output import SegNetwork
from distill.weights import load_weights, weights_file
from modelpack.atomic import sha256_file, write_json
from modelpack.errors import CheckpointError, GateError

log = logging.getLogger(__name__)

TEACHER_FILE = "teacher.json"
"""Beside the run: what the teacher scored before the student's first step."""

WORTH_LEARNING_FROM = 0.1
"""Share of the way from the best constant answer (one class everywhere) to perfection that is asked for."""


def load_teacher(config: TeacherConfig, num_classes: int, compute: Compute) -> SegNetwork:
    """The network with its checkpoint, in evaluation mode on the device.

    Raises CheckpointError where there is no checkpoint, or one of another network or class count.
    """
    if config.checkpoint is None:
        raise CheckpointError(
            "the teacher has no checkpoint. Give one (teacher.checkpoint=PATH), train one from this recipe "
            "(afdcd distill train RECIPE --teacher), or let `afdcd run RECIPE` do both."
        )
    network = build_network(
        config.network, num_classes, options=config.options, normalisation=config.normalisation
    )
    load_weights(network, config.checkpoint)
    network.requires_grad_(False)
    return compute.place(network.eval())


def measure_teacher(
    config: TrainConfig,
    folder: Path,
    teacher: SegNetwork | None,
    dataset: SegDataset,
    compute: Compute,
    processes: Processes,
) -> None:
    """Evaluate the teacher on the split of the final number and write `teacher.json`; once per run folder.

    Raises GateError when the teacher is near what a constant answer gets, or below `teacher.min_miou`.
    """
    path = folder / TEACHER_FILE
    if teacher is None or config.teacher is None or path.is_file():
        return
    options = config.evaluation
    evaluation = evaluate(
        teacher, dataset, compute, size=options.size, batch=options.batch, processes=processes
    )
    refuse_weak_teacher(evaluation, config.teacher.min_miou)
    checkpoint = config.teacher.checkpoint
    if processes.is_main:
        write_json(
            path,
            {
                "network": config.teacher.network,
                "weights_sha256": checkpoint and sha256_file(weights_file(checkpoint)),
                "split": evaluation.split,
                "images": evaluation.images,
                "miou": evaluation.confusion.miou(options.absent),
                "pixel_accuracy": evaluation.confusion.pixel_accuracy(),
                "iou_per_class": evaluation.confusion.iou_per_class().tolist(),
            },
        )


def refuse_weak_teacher(evaluation: Evaluation, min_miou_percent: float | None) -> None:
    """Raises GateError for a teacher whose mIoU is below the bound, or near what a constant answer gets."""
    miou = 100 * evaluation.confusion.miou()
    bound = 100 * least_useful_miou(evaluation) if min_miou_percent is None else min_miou_percent
    log.info("teacher: mIoU %.2f on %d images of %s", miou, evaluation.images, evaluation.split)
    if not miou >= bound:
        raise GateError(
            f"the teacher has mIoU {miou:.2f} on {evaluation.split}, below the {bound:.2f} that is worth "
            "learning from. Check teacher.checkpoint, teacher.normalisation (imagenet or caffe_bgr) and the "
            "order of classes; teacher.min_miou=0 goes on all the same."
        )


def least_useful_miou(evaluation: Evaluation) -> float:
    """The default bound, as a fraction: `WORTH_LEARNING_FROM` of the way up from the best constant answer."""
    pixels = evaluation.confusion.counts.sum(axis=1)
    present = int((pixels > 0).sum())
    constant = float(pixels.max() / max(pixels.sum(), 1) / max(present, 1))
    return constant + WORTH_LEARNING_FROM * (1 - constant)
