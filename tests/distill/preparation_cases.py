"""Recipes whose methods learn something from the teacher first, in a few steps."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from distill.config import TrainConfig
from tests.distill.tiny_recipe import as_config, taught_values

STEPS = 6
LEARNED = {"steps": STEPS, "batch": 4, "lr": 0.05}
MASKD = {"name": "maskd", "feature_weight": 1, "tokens": LEARNED}
KA = {"name": "ka", "autoencoder": LEARNED}


def values(output: Path, teacher: Path, *methods: dict[str, Any], **over: Any) -> dict[str, Any]:
    """methods: by default both."""
    over = {"optim": {"steps": 2}, "evaluation": {"every": 2}, **over}
    return taught_values(output, teacher, methods=list(methods or (MASKD, KA)), **over)


def config(output: Path, teacher: Path, *methods: dict[str, Any], **over: Any) -> TrainConfig:
    return as_config(values(output, teacher, *methods, **over))


def same_bits(one: Path, other: Path) -> bool:
    """Of two .safetensors files."""
    ours, theirs = load_file(one), load_file(other)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
