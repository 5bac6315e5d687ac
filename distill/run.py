"""The folder of one training run: what is in it, and how the next stage opens it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.config import NetworkConfig, TrainConfig
from distill.networks import build_network
from distill.networks.output import SegNetwork
from distill.quantisation.insert import quantise_network
from distill.weights import STUDENT_FILE, load_weights
from modelpack.errors import CheckpointError
from modelpack.labels import LabelSet
from modelpack.settings import parse_settings

SETTINGS_FILE = "settings.json"
"""The fully resolved settings."""
LABELS_FILE = "labels.json"
STATE_FILE = "state.pt"
"""Everything needed to go on; removed when the run is finished."""
RESULT_FILE = "result.json"
"""Written last: its presence says that the run is finished."""


@dataclass(frozen=True)
class TrainingRun:
    """A finished run."""

    folder: Path
    config: TrainConfig
    labels: LabelSet
    result: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> "TrainingRun":
        """Raises CheckpointError for a folder that holds no run, or one that is not finished."""
        if not (folder / SETTINGS_FILE).is_file():
            raise CheckpointError(
                f"{folder} is no training run (it has no {SETTINGS_FILE}). "
                "Train one first: afdcd distill train RECIPE."
            )
        if not (folder / RESULT_FILE).is_file() or not (folder / STUDENT_FILE).is_file():
            raise CheckpointError(
                f"the training run {folder} is not finished. Start its command again: it resumes."
            )
        settings = read_json(folder / SETTINGS_FILE)
        return cls(
            folder=folder,
            config=parse_settings(TrainConfig, settings, str(folder / SETTINGS_FILE)),
            labels=parse_settings(LabelSet, read_json(folder / LABELS_FILE), str(folder / LABELS_FILE)),
            result=read_json(folder / RESULT_FILE),
        )


def load_student(run: TrainingRun) -> SegNetwork:
    """The run's network with its selected weights, in evaluation mode, float32, on the CPU."""
    network = student_network(run.config.student, run.labels.num_classes)
    load_weights(network, run.folder / STUDENT_FILE)
    return network.eval()


def student_network(student: NetworkConfig, num_classes: int) -> SegNetwork:
    """The network that a run's weights belong to, filled with noise."""
    network = build_network(
        student.network, num_classes, options=student.options, normalisation=student.normalisation
    )
    return quantise_network(network, student.quantisation) if student.quantisation else network


def read_json(path: Path) -> dict[str, Any]:
    """One of the files above. Raises CheckpointError where it is damaged."""
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}). Remove its folder and train again."
        ) from error
    return values
