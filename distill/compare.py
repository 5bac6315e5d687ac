"""Train the same student under several lists of methods and seeds, and put the results into one table."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field, NonNegativeInt, field_validator, model_validator

from distill.compare_picture import render_picture
from distill.compare_report import render_markdown
from distill.compare_table import Variant, summarise
from distill.config import TrainConfig
from distill.run import TrainingRun, read_json
from distill.step_cost.measure import measure_costs, refuse_several_processes
from distill.step_cost.settings import CostConfig
from distill.train import train
from modelpack.atomic import write_json, write_text
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


BASELINES = ("alone", "kd")


class CompareConfig(StrictModel):
    """What is compared. Everything else of the recipe is the same for all variants."""

    variants: dict[str, list[dict[str, Any]]] = PAPER_VARIANTS
    """Name -> list of methods, as in `methods:`. null: not this one, which an included recipe has."""
    teachers: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Name -> settings laid upon the section `teacher`: each variant with methods learns from each of them,
    as the row `VARIANT, teacher NAME`. Empty: from the recipe's."""
    settings: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Name -> settings laid upon the recipe: each variant is trained under each of them, as the row
    `VARIANT, NAME`, and so is the teacher where they change its own training. Empty: as the recipe is."""
    against: tuple[str, ...] | None = None
    """Variants that every other one is compared with. None: those of `alone` and `kd` that are trained,
    under the same settings."""
    seeds: tuple[NonNegativeInt, ...] = (0, 1, 2)
    cost: CostConfig | None = None
    """Also measure time and memory of a training step of each variant, once all are trained; `{}` for the
    defaults. None: not."""

    @field_validator("variants", mode="before")
    @classmethod
    def _without_dropped(cls, variants: Any) -> Any:
        if not isinstance(variants, dict):
            return variants
        return {name: methods for name, methods in variants.items() if methods is not None}

    @model_validator(mode="after")
    def _against_is_there(self) -> Self:
        if self.teachers and self.settings:
            raise ValueError("teachers and settings cannot both be given; settings may hold a teacher each")
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
    def baselines(self) -> dict[str, dict[str, str]]:
        """`against`, resolved: by the name of a column, for each row the one that it is compared with."""
        if self.against is None and self.settings:
            return {
                other: {
                    f"{name}, {setting}": f"{other}, {setting}"
                    for setting in self.settings
                    for name in self.variants
                    if name != other
                }
                for other in BASELINES
                if other in self.variants
            }
        others = self.against
        if others is None:
            others = tuple(name for name in BASELINES if name in self.trained)
        return {other: {name: other for name in self.trained if name != other} for other in others}

    @property
    def trained(self) -> dict[str, Variant]:
        """What is trained, by the name of its row. Without methods, a teacher makes no difference."""
        if self.settings:
            return {
                f"{name}, {setting}": Variant(methods, None, setting)
                for setting in self.settings
                for name, methods in self.variants.items()
            }
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

    values: the training part of a recipe. Finished runs are kept, interrupted ones resumed, and so is the
    measurement of costs.
    """
    base, cost = parse_settings(TrainConfig, values, source), compare_config.cost
    folder = base.output / COMPARE_FOLDER
    if cost is not None:
        refuse_several_processes()
    bases = trained_bases(values, base, compare_config, source)
    runs: dict[str, dict[int, TrainingRun]] = {name: {} for name in compare_config.trained}
    configs: dict[str, TrainConfig] = {}
    for seed in compare_config.seeds:
        for name, variant in compare_config.trained.items():
            log.info("%s, seed %d", name, seed)
            config = variant_config(bases[variant.base], variant.methods, seed, source)
            runs[name][seed] = train(config, variant_folder(base.output, name, seed))
            configs.setdefault(name, config)
    result = summarise(
        base,
        compare_config.trained,
        runs,
        against=compare_config.baselines,
        costs=None if cost is None else measure_costs(configs, cost, folder),
    )
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


def trained_bases(
    values: Mapping[str, Any], config: TrainConfig, compared: CompareConfig, source: str
) -> dict[str | None, TrainConfig]:
    """The recipe under each of `settings`, or with each of `teachers`, or under None as it is; all teachers
    are trained. Raises SettingsError where one checkpoint is given for several teachers.
    """
    if compared.settings:
        return _under_each_setting(values, config, compared.settings, source)
    return _with_each_teacher(values, config, compared.teachers, source) or {
        None: with_teacher(values, config, source)
    }


def _under_each_setting(
    values: Mapping[str, Any], config: TrainConfig, settings: Mapping[str, Any], source: str
) -> dict[str | None, TrainConfig]:
    """A teacher that is trained as without the setting is the same one, in `output/teacher`."""
    bases: dict[str | None, TrainConfig] = {}
    for name, over in settings.items():
        merged = merge(values, over)
        base = parse_settings(TrainConfig, merged, f"{source} (compare.settings.{name})")
        folder = TEACHER_FOLDER
        if base.teacher is not None and base.teacher.checkpoint is None:
            own = teacher_config(merged, base, source)
            is_the_same = config.teacher is not None and own == teacher_config(values, config, source)
            folder = TEACHER_FOLDER if is_the_same else f"{TEACHER_FOLDER}-{name}"
        bases[name] = with_teacher(merged, base, source, folder)
    return bases


def _with_each_teacher(
    values: Mapping[str, Any], config: TrainConfig, teachers: Mapping[str, Any], source: str
) -> dict[str | None, TrainConfig]:
    """Each is trained into `output/teacher-NAME`."""
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
    return bases


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


def read_comparison(folder: Path) -> dict[str, Any]:
    """What `compare` left there. Raises CheckpointError where it is damaged."""
    return read_json(folder / "compare.json")
