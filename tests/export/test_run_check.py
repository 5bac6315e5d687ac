"""The network that is exported is the one that the run measured, on the data it was measured on."""

import json
from pathlib import Path

import numpy as np
import pytest

from distill.datasets import open_dataset
from distill.run import RESULT_FILE, TrainingRun
from export.build import export_model
from export.config import ExportConfig
from export.errors import ParityError
from export.reference import RecordedAnswers
from export.run_check import MAX_DRIFT_POINTS, check_accuracy, check_weights
from modelpack.atomic import sha256_file
from modelpack.metrics import ConfusionMatrix
from tests.export.tiny_run import HEIGHT, WIDTH, write_tiny_run

MIOU = 0.5
WITHIN, BEYOND = MIOU + 0.8 * MAX_DRIFT_POINTS / 100, MIOU + 1.2 * MAX_DRIFT_POINTS / 100


@pytest.fixture
def run_dir(tmp_path):
    return write_tiny_run(tmp_path / "train")


def note(run_dir, **more) -> TrainingRun:
    file = run_dir / RESULT_FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | more))
    return TrainingRun.open(run_dir)


def check(
    run: TrainingRun, *, split: str = "val", images: int | None = None, size=None, is_native: bool = True
) -> None:
    dataset = open_dataset(run.config.data, split)
    matrix = ConfusionMatrix(11)
    matrix.update(np.array([0, 1, 1], np.uint8), np.array([0, 0, 1], np.uint8))
    assert matrix.miou() == MIOU
    indices = tuple(range(len(dataset) if images is None else images))
    answers = RecordedAnswers(Path(), indices, 0.1, 1.0, (HEIGHT, WIDTH), is_native, matrix, ())
    check_accuracy(run, answers, dataset, size)


def test_weights_that_were_exchanged_are_refused_before_any_work(run_dir, tmp_path):
    note(run_dir, weights_sha256="0" * 64)
    with pytest.raises(ParityError, match="is not what the run finished with") as refusal:
        export_model(ExportConfig(run_dir=run_dir, package_dir=tmp_path / "package"))
    assert refusal.value.stage == "reference"


def test_the_weights_of_the_result_pass(run_dir):
    check_weights(note(run_dir, weights_sha256=sha256_file(run_dir / "student.safetensors")))


def test_a_network_that_measures_otherwise_than_the_run_noted_is_refused(run_dir, tmp_path):
    note(run_dir, report={"split": "val", "image_size": "native", "miou": 0.9})
    with pytest.raises(ParityError, match=r"the run itself noted 90.00%") as refusal:
        export_model(ExportConfig(run_dir=run_dir, package_dir=tmp_path / "package"))
    assert refusal.value.stage == "reference"
    assert not (tmp_path / "package").exists()


@pytest.mark.parametrize("record", ["selection", "report"])
def test_rounding_is_allowed_and_more_is_not(run_dir, record):
    entry = {"split": "val", "step": 1, "image_size": "native"}
    check(note(run_dir, **{record: {**entry, "miou": WITHIN}}))
    with pytest.raises(ParityError):
        check(note(run_dir, **{record: {**entry, "miou": BEYOND}}))


@pytest.mark.parametrize(
    "otherwise", [{"split": "test"}, {"images": 3}, {"size": (32, 48), "is_native": False}]
)
def test_what_was_measured_otherwise_is_not_compared(run_dir, otherwise):
    check(note(run_dir, selection={"split": "val", "step": 1, "miou": 0.99}), **otherwise)
