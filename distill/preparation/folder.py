"""The folder of one preparation: its name, what is in it, and how a run opens it."""

import hashlib
import json
from pathlib import Path
from typing import Any

from distill.compute import Compute
from distill.config import TrainConfig
from distill.data_list import list_data
from distill.datasets import UNLABELLED_SPLIT
from distill.methods.preparation import Preparation, PreparationPlan
from distill.run import RESULT_FILE, SETTINGS_FILE, read_json
from distill.training_data import data_to_learn_from
from distill.weights import load_into, read_state, weights_file
from modelpack.atomic import sha256_file
from modelpack.errors import CheckpointError

PREPARED_FOLDER = "prepared"
"""In a recipe's output. What two runs would learn alike, they share."""
WEIGHTS_FILE = "prepared.safetensors"
_HASH_LETTERS = 8
_LEARNED = ("train", UNLABELLED_SPLIT)
"""Splits whose images are learned from."""

Description = dict[str, Any]
"""Everything that decides what is learned, as plain data."""


def describe(
    config: TrainConfig, method: str, plan: PreparationPlan, steps: int, compute: Compute
) -> Description:
    """steps: of the optimiser, resolved. The student and the run's seed are not in it."""
    data = data_to_learn_from(config)
    assert config.teacher is not None
    assert config.teacher.checkpoint is not None
    return {
        "method": method,
        "reads": list(plan.reads),
        "settings": plan.settings.model_dump(mode="json") | {"steps": steps},
        "teacher": {
            "network": config.teacher.network,
            "options": config.teacher.options,
            "normalisation": config.teacher.model_dump(mode="json")["normalisation"],
            "weights_sha256": sha256_file(weights_file(config.teacher.checkpoint)),
        },
        "data": data.model_dump(mode="json"),
        "images": {split: entry.sha256 for split, entry in list_data(data).items() if split in _LEARNED},
        "augment": config.augment.model_dump(mode="json"),
        "precision": str(compute.dtype).removeprefix("torch."),
    }


def folder_of(config: TrainConfig, description: Description) -> Path:
    """`OUTPUT/prepared/METHOD-HASH`; the hash is of the description."""
    text = json.dumps(description, sort_keys=True)
    letters = hashlib.sha256(text.encode()).hexdigest()[:_HASH_LETTERS]
    return config.output / PREPARED_FOLDER / f"{description['method']}-{letters}"


def is_finished(folder: Path) -> bool:
    return (folder / RESULT_FILE).is_file()


def open_prepared(folder: Path, preparation: Preparation, description: Description) -> str:
    """Fill `preparation` with what was learned there; returns the sha256 of those weights.

    Raises CheckpointError for a folder that is not finished, was changed since, or was learned for another
    method, from another teacher or from another of its maps.
    """
    if not is_finished(folder):
        raise CheckpointError(
            f"{folder} holds no finished preparation (it has no {RESULT_FILE}). "
            "Make one with: afdcd distill prepare RECIPE."
        )
    there, weights = read_json(folder / SETTINGS_FILE), folder / WEIGHTS_FILE
    for what, own, asked in (
        ("method", there.get("method"), description["method"]),
        ("teacher", there.get("teacher"), description["teacher"]),
        ("map of the teacher", there.get("reads"), description["reads"]),
    ):
        if own != asked:
            raise CheckpointError(
                f"{folder} was learned for another {what} ({own}; asked: {asked}). "
                "Leave it out of the recipe, and it is learned anew."
            )
    if not weights.is_file() or sha256_file(weights) != read_json(folder / RESULT_FILE)["weights_sha256"]:
        raise CheckpointError(f"{weights} is missing or damaged. Remove its folder and prepare again.")
    load_into(preparation, read_state(weights), weights)
    return sha256_file(weights)
