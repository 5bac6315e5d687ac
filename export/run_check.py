"""Is the exported network the one that the run measured? Weights, data and settings may have moved on."""

from collections.abc import Mapping
from typing import Any

from distill.datasets.dataset import SegDataset
from distill.run import TrainingRun
from distill.weights import STUDENT_FILE
from export.errors import ExportError, ParityError
from export.reference import RecordedAnswers
from export.targets.target import Target
from modelpack.atomic import sha256_file

MAX_DRIFT_POINTS = 1.0
"""Of mIoU. Training brings logits to the size of the labels and may compute in bf16, a graph brings masks."""


def check_weights(run: TrainingRun) -> None:
    """Raises ParityError for weights that are not those of the result beside them."""
    noted = run.result.get("weights_sha256")
    if noted is None:  # a run of an earlier version
        return
    found = sha256_file(run.folder / STUDENT_FILE)
    if found != noted:
        raise ParityError(
            "reference",
            f"{run.folder / STUDENT_FILE} is not what the run finished with: its sha256 is {found[:12]}..., "
            f"the result says {noted[:12]}.... Put the file back, or train again.",
        )


def check_targets(run: TrainingRun, targets: Mapping[str, Target]) -> None:
    """Raises ExportError where a run that was trained with int8 values is to be written in another type.

    Its float twin is a network that nobody trained and nobody measured.
    """
    if run.config.student.quantisation is None:
        return
    others = [name for name, target in targets.items() if target.precision != "int8"]
    if others:
        raise ExportError(
            f"the run {run.folder} was trained with int8 values, so its graph is int8 and "
            f"{', '.join(others)} cannot be made of it. Set export.targets=[onnx-int8], or export the float "
            f"run that it started from, {run.config.student.init}."
        )


def check_accuracy(
    run: TrainingRun, answers: RecordedAnswers, dataset: SegDataset, size: tuple[int, int] | None
) -> None:
    """Hold the network's mIoU here against the run's own, where both were measured alike.

    `size`: of the graph's input, None for any. Raises ParityError where they are apart.
    """
    evaluation = run.config.evaluation
    is_same_size = answers.is_native if evaluation.size is None else size == evaluation.size
    if len(answers.indices) < len(dataset) or not is_same_size:
        return
    for noted in _whole_splits(run):
        found = answers.confusion.miou(evaluation.absent)
        if noted["split"] == dataset.split and not abs(found - noted["miou"]) * 100 <= MAX_DRIFT_POINTS:
            raise ParityError(
                "reference",
                f"the network of {run.folder} has {found:.2%} mIoU on {dataset.split}, the run itself noted "
                f"{noted['miou']:.2%}. Weights, settings or images are not those it was measured with: look "
                "at settings.json there, and at where the data lies (export.data_root).",
            )


def _whole_splits(run: TrainingRun) -> list[dict[str, Any]]:
    """The run's records of mIoU over all images of a split at `evaluation.size`."""
    report = run.result.get("report", {})
    is_measured = "image_size" in report  # a result made by hand may lack it
    chosen = run.result.get("selection", {}) if run.config.evaluation.max_images is None else {}
    return [*([report] if is_measured else []), *([chosen] if "split" in chosen else [])]
