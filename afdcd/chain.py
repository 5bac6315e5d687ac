"""The whole chain of one recipe as a list of stages, from training the teacher to writing the report."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import NonNegativeInt

from afdcd.data_version import data_version
from afdcd.ledger import Ledger, Stage
from afdcd.report import REPORT_FILE, write_report
from afdcd.sample_sheet import draw_sample_sheet
from afdcd.served import SERVED_FOLDER, serve_one_image
from bench.config import BenchConfig
from bench.config import from_recipe as bench_settings
from bench.latency import measure_latency
from distill.compare import (
    COMPARE_FOLDER,
    TEACHER_FOLDER,
    CompareConfig,
    compare,
    teacher_config,
    variant_config,
    variant_folder,
)
from distill.config import TrainConfig
from distill.datasets import open_dataset
from distill.datasets.dataset import MissingSplitError
from distill.same_run import settings_that_matter
from distill.train import train
from export.build import export_model
from export.config import ExportConfig
from modelpack.errors import SettingsError
from modelpack.recipe import section, training_part
from modelpack.settings import StrictModel, parse_settings

PACKAGE_FOLDER = "package"
TEACHER_PACKAGE_FOLDER = "package-teacher"
BENCH_FOLDER = "bench"
LEDGER_FILE = "chain.json"


class ChainConfig(StrictModel):
    """What the chain ships, out of all it trains: two keys of a recipe's `export` section beside its own."""

    variant: str
    """Name of the compared variant that is packaged."""
    seed: NonNegativeInt
    """Its seed."""


class Recipe:
    """A recipe's sections, validated before the first stage starts."""

    def __init__(self, values: Mapping[str, Any], source: str) -> None:
        """Raises SettingsError for anything that a later stage would refuse."""
        self.source = source
        self.training = training_part(values)
        self.config = parse_settings(TrainConfig, self.training, source)
        self.compare = parse_settings(CompareConfig, section(values, "compare"), f"{source} (compare)")
        self.output = self.config.output
        export = section(values, "export")
        self.chosen = parse_settings(
            ChainConfig,
            {
                "variant": export.pop("variant", list(self.compare.variants)[-1]),
                "seed": export.pop("seed", self.compare.seeds[0]),
            },
            f"{source} (export)",
        )
        if self.chosen.variant not in self.compare.variants or self.chosen.seed not in self.compare.seeds:
            raise SettingsError(
                f"{source}: export takes variant {self.chosen.variant!r} of seed {self.chosen.seed}, which "
                f"`compare` does not train (variants {', '.join(self.compare.variants)}; "
                f"seeds {', '.join(map(str, self.compare.seeds))})."
            )
        self.export = self._export_config(export, self.student_run, PACKAGE_FOLDER)
        teacher_export = {**export, "name": f"{self.export.name or self.config.name}-teacher"}
        self.teacher_export = self._export_config(
            teacher_export, self.output / TEACHER_FOLDER, TEACHER_PACKAGE_FOLDER
        )
        self.bench_section = section(values, "bench")
        self.values = values

    @property
    def student_run(self) -> Path:
        return variant_folder(self.output, self.chosen.variant, self.chosen.seed)

    @property
    def trains_teacher(self) -> bool:
        teacher = self.config.teacher
        return teacher is not None and teacher.checkpoint is None

    @property
    def with_teacher(self) -> TrainConfig:
        """The students' settings: with the teacher that the chain trains, where it trains one."""
        if not self.trains_teacher or self.config.teacher is None:
            return self.config
        teacher = self.config.teacher.model_copy(update={"checkpoint": self.output / TEACHER_FOLDER})
        return self.config.model_copy(update={"teacher": teacher})

    def bench(self) -> BenchConfig:
        return bench_settings(self.values, self.source)

    def _export_config(self, values: Mapping[str, Any], run: Path, folder: str) -> ExportConfig:
        merged = {**values, "run_dir": run, "package_dir": self.output / folder}
        return parse_settings(ExportConfig, merged, f"{self.source} (export)")


def run_chain(values: Mapping[str, Any], source: str, *, accepts_other_code: bool = False) -> Path:
    """Run every stage of the recipe that is not done; returns the report's path."""
    recipe = Recipe(values, source)
    for name, several in (("teachers", recipe.compare.teachers), ("settings", recipe.compare.settings)):
        if several:
            raise SettingsError(
                f"{source}: the chain packs a student of one recipe, and `compare.{name}` makes "
                f"{len(several)} of it. Compare them: afdcd distill compare {source}."
            )
    _check_split_of_the_gate(recipe)
    Ledger(recipe.output / LEDGER_FILE, accepts_other_code).run(stages(recipe))
    return recipe.output / REPORT_FILE


def _check_split_of_the_gate(recipe: Recipe) -> None:
    """The export comes after hours of training: raises what it would raise then."""
    split = recipe.export.parity.split
    try:
        open_dataset(recipe.config.data, split)
    except MissingSplitError as error:
        raise MissingSplitError(
            f"{error} The export checks accuracy on {split}; export.parity.split=SPLIT names another."
        ) from None


def stages(recipe: Recipe) -> list[Stage]:
    """The chain, in order."""
    chain = [*_trainings(recipe)]
    trained = tuple(stage.name for stage in chain)
    chain += [_comparison(recipe, trained), *_packages(recipe, trained)]
    packaged = tuple(stage.name for stage in chain if stage.name.startswith("package"))
    chain += [_latency(recipe, packaged), _service(recipe)]
    return [*chain, _report(recipe, tuple(stage.name for stage in chain))]


def _trainings(recipe: Recipe) -> list[Stage]:
    code = ("modelpack", "distill")
    data = data_version(recipe.config.data)
    chain = []
    if recipe.trains_teacher:
        config = teacher_config(recipe.training, recipe.config, recipe.source)
        folder = recipe.output / TEACHER_FOLDER
        chain.append(_training("train teacher", config, folder, code, data, ()))
    needs = tuple(stage.name for stage in chain)
    for seed in recipe.compare.seeds:
        for name, methods in recipe.compare.variants.items():
            config = variant_config(recipe.with_teacher, methods, seed, recipe.source)
            folder = variant_folder(recipe.output, name, seed)
            chain.append(
                _training(f"train {name}, seed {seed}", config, folder, code, data, needs if methods else ())
            )
    return chain


def _training(
    name: str, config: TrainConfig, folder: Path, code: tuple[str, ...], data: str, needs: tuple[str, ...]
) -> Stage:
    return Stage(
        name=name,
        work=partial(train, config, folder),
        outputs=(folder,),
        settings={"train": settings_that_matter(config.model_dump(mode="json")), "data": data},
        packages=code,
        needs=needs,
        resumes=True,
    )


def _comparison(recipe: Recipe, trained: tuple[str, ...]) -> Stage:
    folder = recipe.output / COMPARE_FOLDER
    return Stage(
        name="compare",
        work=lambda: compare(recipe.with_teacher.model_dump(mode="json"), recipe.compare, recipe.source),
        outputs=tuple(folder / f"compare.{suffix}" for suffix in ("json", "md", "png")),
        settings=recipe.compare.model_dump(mode="json"),
        packages=("modelpack", "distill"),
        needs=trained,
    )


def _packages(recipe: Recipe, trained: tuple[str, ...]) -> list[Stage]:
    exports = {"package student": recipe.export}
    if recipe.trains_teacher:
        exports["package teacher"] = recipe.teacher_export
    return [
        Stage(
            name=name,
            work=partial(export_model, config),
            outputs=(config.package_dir,),
            settings=config.model_dump(mode="json"),
            packages=("modelpack", "distill", "export"),
            needs=trained,
        )
        for name, config in exports.items()
    ]


def _latency(recipe: Recipe, packaged: tuple[str, ...]) -> Stage:
    folder = recipe.output / BENCH_FOLDER
    return Stage(
        name="latency",
        work=lambda: measure_latency(recipe.bench(), folder),
        outputs=(folder,),
        settings=recipe.bench_section,
        packages=("modelpack", "bench"),
        needs=packaged,
    )


def _service(recipe: Recipe) -> Stage:
    folder = recipe.output / SERVED_FOLDER
    return Stage(
        name="serve one image",
        work=lambda: serve_one_image(recipe.export.package_dir, folder),
        outputs=(folder,),
        settings={},
        packages=("modelpack", "serve", "afdcd"),
        needs=("package student",),
    )


def _report(recipe: Recipe, done: tuple[str, ...]) -> Stage:
    def work() -> None:
        draw_sample_sheet(recipe.output, recipe.with_teacher, recipe.compare, recipe.chosen.seed)
        write_report(recipe.output, recipe.source)

    return Stage(
        name="report",
        work=work,
        outputs=(recipe.output / REPORT_FILE,),
        settings={},
        packages=("modelpack", "distill", "afdcd"),
        needs=done,
    )
