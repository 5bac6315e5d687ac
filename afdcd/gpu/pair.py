"""The published CamVid pair as two training runs that fit the minutes at hand."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import recipes
from distill.config import TrainConfig
from modelpack.recipe import merge, read_recipe
from modelpack.settings import parse_settings

log = logging.getLogger(__name__)

PUBLISHED = Path(recipes.__file__).parent / "published"
TEACHER_RECIPE = PUBLISHED / "camvid-teacher.yaml"
STUDENT_RECIPE = PUBLISHED / "camvid-deeplabv3-resnet18.yaml"
MOST_WORKERS = 8
STAND_IN = {
    "name": "streets",
    "root": None,
    "height": 360,
    "width": 480,
    "train": 367,
    "val": 101,
    "test": 233,
}
"""As many generated scenes as CamVid has frames, of its size and classes."""


@dataclass(frozen=True)
class PublishedPair:
    """Both from scratch, in mixed precision; all else is published."""

    teacher: TrainConfig
    student: TrainConfig

    @classmethod
    def of_recipes(
        cls, data: Mapping[str, Any], teacher_run: Path, over: Mapping[str, Any] | None = None
    ) -> "PublishedPair":
        """over: settings laid upon both recipes."""
        workers = min(MOST_WORKERS, len(os.sched_getaffinity(0)) - 1)
        shared = {
            "data": data,
            "student": {"weights": None},
            "compute": {"precision": "auto", "cache": True, "workers": workers},
        }
        learns_from = {"teacher": {"checkpoint": str(teacher_run), "min_miou": 0.0}}
        configs = {}
        for recipe, own in ((TEACHER_RECIPE, {}), (STUDENT_RECIPE, learns_from)):
            values = merge(merge(merge(read_recipe(recipe), shared), own), over or {})
            configs[recipe] = parse_settings(TrainConfig, values, str(recipe))
        return cls(configs[TEACHER_RECIPE], configs[STUDENT_RECIPE])


def camvid_or_stand_in(root: Path | None) -> tuple[dict[str, Any], str | None]:
    """Settings of the data, and why CamVid is skipped where it is."""
    if root is not None and (root / "train").is_dir():
        return {"name": "camvid", "root": str(root)}, None
    looked = "no data root was given" if root is None else f"{root} holds no folder train"
    reason = f"CamVid is skipped: {looked}. Generated scenes (streets) of its size stand in."
    log.warning("%s", reason)
    return STAND_IN, reason


def with_steps(config: TrainConfig, steps: int, every: int) -> TrainConfig:
    return config.model_copy(
        update={
            "optim": config.optim.model_copy(update={"steps": steps}),
            "evaluation": config.evaluation.model_copy(update={"every": every}),
            "compute": config.compute.model_copy(update={"save_every": every}),
        }
    )
