"""Where a package came from: enough to make it again, and to prove that a mask came from these weights."""

import hashlib
from typing import Any

import numpy as np

from distill.datasets import open_dataset
from distill.datasets.dataset import DatasetSettings
from distill.networks.output import SegNetwork
from distill.run import TrainingRun
from export.config import ExportConfig
from modelpack.environment import code_version
from modelpack.errors import DatasetError

SPLITS = ("train", "val", "test")


def describe_lineage(
    run: TrainingRun, data: DatasetSettings, network: SegNetwork, config: ExportConfig
) -> dict[str, Any]:
    """Plain JSON types: network, weights, training and export settings, dataset, teacher, code."""
    student, teacher = run.config.student, run.config.teacher
    return {
        "network": student.network,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "weights_sha256": hash_weights(network),
        "teacher": teacher
        and {"network": teacher.network, "checkpoint": teacher.checkpoint and str(teacher.checkpoint)},
        "methods": [method.model_dump(mode="json") for method in run.config.methods],
        "dataset": {"name": run.config.data.name, "images": _split_sizes(data)},
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


def _split_sizes(data: DatasetSettings) -> dict[str, int]:
    sizes = {}
    for split in SPLITS:
        try:
            sizes[split] = len(open_dataset(data, split))
        except DatasetError:
            continue  # a dataset without this split
    return sizes
