"""The table of a comparison as plain data, from finished runs and measured costs."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from distill.comparison import Counts, difference, mean_and_deviation, read_counts
from distill.config import TrainConfig
from distill.finish import PER_IMAGE_FILE
from distill.run import TrainingRun
from distill.step_cost.result import Costs
from modelpack.environment import fingerprint

Runs = Mapping[str, Mapping[int, TrainingRun]]
"""Finished runs by variant and seed."""
PerClass = dict[str, float | None]
"""By class, percent or points; None where the class was nowhere."""


class Variant(NamedTuple):
    """One row of the table."""

    methods: list[dict[str, Any]]
    teacher: str | None
    """Of `CompareConfig.teachers`; None: the recipe's."""
    settings: str | None = None
    """Of `CompareConfig.settings`; None: the recipe as it is."""

    @property
    def base(self) -> str | None:
        """Whichever of the two there are several of."""
        return self.teacher or self.settings


def summarise(
    base: TrainConfig,
    variants: Mapping[str, Variant],
    runs: Runs,
    *,
    against: Mapping[str, Mapping[str, str]],
    costs: Costs | None = None,
) -> dict[str, Any]:
    """Everything that `compare.json` holds.

    against: by the name of a column, for each variant the one that it is compared with; gains per class are
    those of the first column, or over the first row.
    """
    counts = {
        name: {seed: read_counts(run.folder / PER_IMAGE_FILE) for seed, run in by_seed.items()}
        for name, by_seed in runs.items()
    }
    zero = base.evaluation.absent == "zero"
    per_class = {name: _mean_per_class(by_seed) for name, by_seed in runs.items()}
    gain_over = next(iter([*against, *runs]))
    gain_base = against.get(gain_over, {name: gain_over for name in runs if name != gain_over})
    rows = []
    for name, by_seed in runs.items():
        mious = [100 * run.result["report"]["miou"] for run in by_seed.values()]
        mean, deviation = mean_and_deviation(mious)
        rows.append(
            {
                "variant": name,
                "methods": variants[name].methods,
                "teacher": variants[name].teacher,
                "settings": variants[name].settings,
                "image_size": next(iter(by_seed.values())).result["report"]["image_size"],
                "miou_percent": mious,
                "mean": mean,
                "deviation": deviation,
                "difference": _differences(name, counts, against, absent_as_zero=zero),
                "iou_per_class": per_class[name],
                "gain_per_class": _gain(per_class[name], per_class[gain_base[name]])
                if name in gain_base
                else None,
                "cost": costs.variants[name].model_dump(mode="json") if costs else None,
            }
        )
    first = next(iter(next(iter(runs.values())).values()))
    start = first.result.get("started_from")
    teachers = _teachers(variants, runs)
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
        "seeds": list(next(iter(runs.values()))),
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
        "against": list(against),
        "gain_over": gain_over,
        "cost": costs.model_dump(mode="json", exclude={"variants"}) if costs else None,
        "rows": rows,
        "environment": fingerprint(),
    }


def _differences(
    name: str,
    counts: Mapping[str, Mapping[int, Counts]],
    against: Mapping[str, Mapping[str, str]],
    *,
    absent_as_zero: bool,
) -> dict[str, Any]:
    return {
        column: vars(difference(counts[name], counts[others[name]], absent_as_zero=absent_as_zero))
        for column, others in against.items()
        if name in others
    }


def _teachers(variants: Mapping[str, Variant], runs: Runs) -> dict[str | None, Any]:
    """By what there are several of; under None if one is measured alike under all settings."""
    teachers = {
        variants[name].base: run.result["teacher"]
        for name, by_seed in runs.items()
        for run in by_seed.values()
        if run.result["teacher"]
    }
    first = next(iter(teachers.values()), None)
    is_shared = all(teacher == first for teacher in teachers.values())
    if first and is_shared and any(variant.settings for variant in variants.values()):
        return {None: first}
    return teachers


def _mean_per_class(runs: Mapping[int, TrainingRun]) -> PerClass:
    """Percent, mean over the seeds in which the class was there."""
    per_seed = [run.result["report"]["iou_per_class"] for run in runs.values()]
    means: PerClass = {}
    for name in per_seed[0]:
        there = [values[name] for values in per_seed if values[name] is not None]
        means[name] = 100 * float(np.mean(there)) if there else None
    return means


def _gain(ours: PerClass, base: PerClass) -> PerClass:
    """In points."""
    gains: PerClass = {}
    for name, value in ours.items():
        other = base[name]
        gains[name] = None if value is None or other is None else value - other
    return gains
