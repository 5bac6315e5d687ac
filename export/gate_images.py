"""On which images, and at what size, the gate compares: from the settings of the export and of the run."""

import logging
from pathlib import Path

import onnx

from distill.datasets.dataset import DatasetSettings, SegDataset
from distill.run import TrainingRun
from export.config import ExportConfig
from export.errors import ExportError
from export.gate import Gate
from export.reference import Reference, record_answers
from export.run_check import check_accuracy
from modelpack.preprocess import Resizing

log = logging.getLogger(__name__)


def run_data(config: ExportConfig, run: TrainingRun) -> DatasetSettings:
    """The run's dataset, where it lies now."""
    data = run.config.data
    return data if config.data_root is None else data.model_copy(update={"root": config.data_root})


def input_size(config: ExportConfig, run: TrainingRun, dataset: SegDataset) -> tuple[int, int] | None:
    """(height, width) of the graph's input; None for any. Raises ExportError for a split without images."""
    if len(dataset) == 0:
        raise ExportError(
            f"{run.config.data.name} {dataset.split} has no images to check the export on. "
            "Set export.parity.split."
        )
    if config.size == "dynamic":
        return None
    if config.size is not None:
        return config.size
    if run.config.evaluation.size is not None:
        return run.config.evaluation.size
    first, *others = (_size(dataset, index) for index in range(_count(config, dataset)))
    if any(size != first for size in others):
        log.info(
            "images of %s differ in size: the graph takes any (export.size=[height, width] fixes one)",
            dataset.split,
        )
        return None
    return first


def open_gate(
    config: ExportConfig,
    run: TrainingRun,
    reference: Reference,
    dataset: SegDataset,
    resizing: Resizing,
    scratch: Path,
    exported: onnx.ModelProto,
) -> Gate:
    """Record the reference's answers in `scratch` and hold its mIoU against the run's own.

    Raises ParityError for a reference that is not what the run measured.
    """
    answers = record_answers(
        reference,
        dataset,
        resizing,
        scratch,
        count=_count(config, dataset),
        logit_images=config.parity.logit_images,
        low_margin=config.parity.low_margin,
    )
    size = None if resizing.height is None or resizing.width is None else (resizing.height, resizing.width)
    check_accuracy(run, answers, dataset, size)
    absent = run.config.evaluation.absent
    return Gate(config, run.config.data.name, dataset, resizing, answers, absent, exported)


def _size(dataset: SegDataset, index: int) -> tuple[int, int]:
    height, width = dataset[index].image_hwc.shape[:2]
    return height, width


def _count(config: ExportConfig, dataset: SegDataset) -> int:
    """How many images the gate looks at."""
    return min(len(dataset), config.parity.max_images or len(dataset))
