"""A recipe that trains in a second: small generated streets, a small network."""

from pathlib import Path
from typing import Any

import yaml

from distill.config import TrainConfig
from modelpack.recipe import merge
from modelpack.settings import parse_settings

NETWORK = {
    "network": "smp:FPN/tu-regnetx_002",
    "options": {"decoder_pyramid_channels": 16, "decoder_segmentation_channels": 32, "decoder_dropout": 0.0},
}
KD = {"name": "kd"}
AFDCD = {
    "name": "afdcd",
    "student_feature": "head",
    "teacher_feature": "head",
    "normalisation": "per_element",
    "imitation_weight": 1.0,
    "contrast_weight": 1.0,
    "groups": 4,
    "temperature": 1.0,
    "reduce": "pool(2)",
}
"""The method at the size of these networks."""


def tiny_values(output: Path, **over: Any) -> dict[str, Any]:
    """The recipe as plain data, with `over` merged in."""
    base = {
        "name": "tiny",
        "output": str(output),
        "data": {"name": "streets", "height": 48, "width": 64, "train": 12, "val": 4, "test": 4},
        "augment": {"crop": [32, 64]},
        "student": NETWORK,
        "optim": {"lr": 0.01, "batch": 4, "steps": 4},
        "evaluation": {"every": 2, "batch": 4},
        "compute": {"device": "cpu", "precision": "fp32", "threads": 1, "save_every": 1, "log_every": 1},
    }
    return merge(base, over)


def taught_values(output: Path, teacher: Path, **over: Any) -> dict[str, Any]:
    """The same, distilled with logits and Af-DCD from the checkpoint `teacher`."""
    lesson = {"teacher": {**NETWORK, "min_miou": 0, "checkpoint": str(teacher)}, "methods": [KD, AFDCD]}
    return tiny_values(output, **merge(lesson, over))


def tiny_config(output: Path, **over: Any) -> TrainConfig:
    return as_config(tiny_values(output, **over))


def as_config(values: dict[str, Any]) -> TrainConfig:
    return parse_settings(TrainConfig, values, "tiny")


def write_recipe(path: Path, values: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path
