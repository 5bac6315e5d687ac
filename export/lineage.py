"""Where a package came from: enough to make it again, and to prove that a mask came from these weights."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from distill.data_list import list_data
from distill.datasets.dataset import DatasetSettings
from distill.networks.output import SegNetwork
from distill.run import TrainingRun
from distill.weights import STUDENT_FILE, weights_file
from export.config import ExportConfig
from modelpack.atomic import sha256_file
from modelpack.environment import code_version
from modelpack.errors import CheckpointError


def describe_lineage(
    run: TrainingRun, data: DatasetSettings, network: SegNetwork, config: ExportConfig
) -> dict[str, Any]:
    """Plain JSON types: network, weights, training and export settings, dataset, teacher, code.

    `dataset.sha256` is of the images as they lie there now; `run.result.data` of those trained on, where the
    run noted it.
    """
    splits = list_data(data)
    return {
        "network": run.config.student.network,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "weights_sha256": hash_weights(network),
        "weights_file_sha256": sha256_file(run.folder / STUDENT_FILE),
        "teacher": _teacher(run),
        "methods": [method.model_dump(mode="json") for method in run.config.methods],
        "dataset": {
            "name": run.config.data.name,
            "images": {split: entry.images for split, entry in splits.items()},
            "sha256": {split: entry.sha256 for split, entry in splits.items()},
        },
        "run": {"settings": run.config.model_dump(mode="json"), "result": run.result},
        "export": config.model_dump(mode="json"),
        "code_version": code_version(),
    }


def hash_weights(network: SegNetwork) -> str:
    """sha256 over names, shapes and bytes of all parameters and buffers, whatever file they came from."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        values = np.ascontiguousarray(tensor.detach().cpu().numpy())
        digest.update(f"{name} {values.dtype} {values.shape}\n".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def _teacher(run: TrainingRun) -> dict[str, Any] | None:
    """Network, checkpoint and sha256 of its file: noted by the run, else of what lies there now, or null."""
    teacher = run.config.teacher
    if teacher is None:
        return None
    noted = (run.result.get("teacher") or {}).get("weights_sha256")
    return {
        "network": teacher.network,
        "checkpoint": teacher.checkpoint and str(teacher.checkpoint),
        "weights_file_sha256": noted or _hash_now(teacher.checkpoint),
    }


def _hash_now(checkpoint: Path | None) -> str | None:
    if checkpoint is None:
        return None
    try:
        return sha256_file(weights_file(checkpoint))
    except (CheckpointError, FileNotFoundError):  # it was moved since
        return None
