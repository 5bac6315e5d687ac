"""Train the same student under several lists of methods and seeds, and put the results into one table."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from pydantic import Field, NonNegativeInt, model_validator

from distill.compare_report import render_markdown, render_picture
from distill.comparison import difference, mean_and_deviation, read_counts
from distill.config import TrainConfig
from distill.finish import PER_IMAGE_FILE
from distill.run import TrainingRun, read_json
from distill.train import train
from modelpack.atomic import write_json, write_text
from modelpack.environment import fingerprint
from modelpack.errors import SettingsError
from modelpack.recipe import merge
from modelpack.settings import StrictModel, parse_settings

log = logging.getLogger(__name__)

TEACHER_FOLDER = "teacher"
COMPARE_FOLDER = "compare"


PAPER_VARIANTS: dict[str, list[dict[str, Any]]] = {
    "alone": [],
    "kd": [{"name": "kd"}],
    "afdcd": [{"name": "kd"}, {"name": "afdcd"}],
}


class Variant(NamedTuple):
    """One row of the table."""

    methods: list[dict[str, Any]]
    teacher: str | None
    """Of `CompareConfig.teachers`; None: the recipe's."""


class CompareConfig(StrictModel):
    """What is compared. Everything else of the recipe is the same for all variants."""

    variants: dict[str, list[dict[str, Any]]] = PAPER_VARIANTS
    """Name -> list of methods, as in `methods:`."""
    teachers: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Name -> settings laid upon the section `teacher`: each variant with methods learns from each of them,
    as the row `VARIANT, teacher NAME`. Empty: from the recipe's."""
    against: tuple[str, ...] | None = None
    """Variants that every other one is compared with. None: those of `alone` and `kd` that are trained."""
    seeds: tuple[NonNegativeInt, ...] = (0, 1, 2)

    @model_validator(mode="after")
    def _against_is_there(self) -> Self:
        if not self.variants:
            raise ValueError("variants must name at least one list of methods")
        unknown = [name for name in self.against or () if name not in self.trained]
        if unknown:
            raise ValueError(
                f"against names {', '.join(unknown)}, which is no variant; "
                f"there are {', '.join(self.trained)}"
            )
        if not self.seeds:
            raise ValueError("seeds must name at least one seed")
        return self

    @property
    def baselines(self) -> tuple[str, ...]:
        """`against`, resolved."""
        if self.against is not None:
            return self.against
        return tuple(name for name in ("alone", "kd") if name in self.trained)

    @property
    def trained(self) -> dict[str, Variant]:
        """What is trained, by the name of its row. Without methods, a teacher makes no difference."""
        found = {}
        for name, methods in self.variants.items():
            if not methods or not self.teachers:
                found[name] = Variant(methods, next(reversed(self.teachers), None))
                continue
            for teacher in self.teachers:
                found[f"{name}, teacher {teacher}"] = Variant(methods, teacher)
        return found


def compare(values: Mapping[str, Any], compare_config: CompareConfig, source: str) -> Path:
    """Train what is missing and write `compare.json`, `compare.md` and `compare.png`; returns their folder.

    values: the training part of a recipe. Finished runs are kept, interrupted ones resumed.
    """
    base = parse_settings(TrainConfig, values, source)
    folder = base.output / COMPARE_FOLDER
    bases = with_each_teacher(values, base, compare_config.teachers, source)
    for seed in compare_config.seeds:
        for name, variant in compare_config.trained.items():
            run = variant_folder(base.output, name, seed)
            log.info("%s, seed %d", name, seed)
            train(variant_config(bases[variant.teacher], variant.methods, seed, source), run)
    result = summarise(base, compare_config)
    write_json(folder / "compare.json", result)
    write_text(folder / "compare.md", render_markdown(result))
    render_picture(result, folder / "compare.png")
    return folder


def teacher_config(values: Mapping[str, Any], config: TrainConfig, source: str) -> TrainConfig:
    """Settings of the teacher's own run: the recipe without methods, `teacher.train` laid upon it."""
    teacher = config.teacher
    if teacher is None or teacher.train is None:
        raise SettingsError(
            f"{source}: no `teacher.train` section says how to train a teacher, and none is given."
        )
    student = {"network": teacher.network, "options": teacher.options, "normalisation": teacher.normalisation}
    name = f"{config.name}-teacher"
    plain = {**values, "name": name, "teacher": None, "methods": [], "student": student}
    return parse_settings(TrainConfig, merge(plain, teacher.train), f"{source} (teacher.train)")


def with_each_teacher(
    values: Mapping[str, Any], config: TrainConfig, teachers: Mapping[str, Any], source: str
) -> dict[str | None, TrainConfig]:
    """The same settings with each teacher of `CompareConfig.teachers`, trained into `output/teacher-NAME`.

    Without such, with the recipe's, under None. Raises SettingsError where they would all be one checkpoint.
    """
    bases: dict[str | None, TrainConfig] = {}
    for name, over in teachers.items():
        merged = merge(values, {"teacher": over})
        base = parse_settings(TrainConfig, merged, f"{source} (compare.teachers.{name})")
        if base.teacher is not None and base.teacher.checkpoint is not None and "checkpoint" not in over:
            raise SettingsError(
                f"{source}: teacher.checkpoint is one teacher for all of compare.teachers. Leave it out, "
                f"and {name!r} is trained, or give each its own checkpoint."
            )
        bases[name] = with_teacher(merged, base, source, f"{TEACHER_FOLDER}-{name}")
    return bases or {None: with_teacher(values, config, source)}


def with_teacher(
    values: Mapping[str, Any], config: TrainConfig, source: str, folder_name: str = TEACHER_FOLDER
) -> TrainConfig:
    """The same settings with a teacher checkpoint: as given, or trained now into `output/folder_name`."""
    if config.teacher is None or config.teacher.checkpoint is not None:
        return config
    folder = config.output / folder_name
    train(teacher_config(values, config, source), folder)
    return config.model_copy(update={"teacher": config.teacher.model_copy(update={"checkpoint": folder})})


def variant_folder(output: Path, name: str, seed: int) -> Path:
    return output / COMPARE_FOLDER / f"{name}-seed{seed}"


def variant_config(base: TrainConfig, methods: list[dict[str, Any]], seed: int, source: str) -> TrainConfig:
    values = base.model_dump(mode="json") | {"methods": methods, "seed": seed}
    return parse_settings(TrainConfig, values, f"{source} (compare)")


def summarise(base: TrainConfig, compare_config: CompareConfig) -> dict[str, Any]:
    """The table as plain data, from the finished run folders."""
    runs = {
        name: {
            seed: TrainingRun.open(variant_folder(base.output, name, seed)) for seed in compare_config.seeds
        }
        for name in compare_config.trained
    }
    counts = {
        name: {seed: read_counts(run.folder / PER_IMAGE_FILE) for seed, run in by_seed.items()}
        for name, by_seed in runs.items()
    }
    zero = base.evaluation.absent == "zero"
    rows = []
    for name, by_seed in runs.items():
        mious = [100 * run.result["report"]["miou"] for run in by_seed.values()]
        mean, deviation = mean_and_deviation(mious)
        differences = {
            other: vars(difference(counts[name], counts[other], absent_as_zero=zero))
            for other in compare_config.baselines
            if other != name
        }
        rows.append(
            {
                "variant": name,
                "methods": compare_config.trained[name].methods,
                "teacher": compare_config.trained[name].teacher,
                "miou_percent": mious,
                "mean": mean,
                "deviation": deviation,
                "difference": differences,
                "iou_per_class": _mean_per_class(by_seed),
            }
        )
    first = next(iter(next(iter(runs.values())).values()))
    start = first.result.get("started_from")
    teachers = {
        compare_config.trained[name].teacher: run.result["teacher"]
        for name, by_seed in runs.items()
        for run in by_seed.values()
        if run.result["teacher"]
    }
    return {
        "name": base.name,
        "student": {
            "network": base.student.network,
            "parameters": first.result["parameters"],
            "quantisation": base.student.quantisation and base.student.quantisation.model_dump(mode="json"),
            "started_from": start and {key: start[key] for key in ("network", "weights_sha256", "report")},
        },
        "teacher": next(reversed(teachers.values()), None),
        "teachers": {name: teacher for name, teacher in teachers.items() if name is not None},
        "seeds": list(compare_config.seeds),
        "steps": base.optim.steps,
        "batch": base.optim.batch,
        "crop": list(base.augment.crop),
        "selection": base.evaluation.select_on,
        "report": {
            key: first.result["report"][key]
            for key in ("dataset", "split", "images", "image_size", "absent_classes")
        },
        "precision": first.result["precision"],
        "device": first.result["device"],
        "rows": rows,
        "environment": fingerprint(),
    }


def _mean_per_class(runs: Mapping[int, TrainingRun]) -> dict[str, float | None]:
    """Percent, mean over the seeds in which the class was there."""
    per_seed = [run.result["report"]["iou_per_class"] for run in runs.values()]
    means = {}
    for name in per_seed[0]:
        there = [values[name] for values in per_seed if values[name] is not None]
        means[name] = 100 * float(np.mean(there)) if there else None
    return means


def read_comparison(folder: Path) -> dict[str, Any]:
    """What `compare` left there. Raises CheckpointError where it is damaged."""
    return read_json(folder / "compare.json")
