"""Open the runs that an analysis is asked for, and refuse what cannot stand in one table."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from distill.compare import COMPARE_FOLDER
from distill.config import TrainConfig
from distill.run import RESULT_FILE, SETTINGS_FILE, TrainingRun
from modelpack.errors import SettingsError
from modelpack.recipe import apply_override
from modelpack.settings import parse_settings

log = logging.getLogger(__name__)


def open_runs(folders: Iterable[Path], overrides: Sequence[str]) -> list[TrainingRun]:
    """The finished runs that are meant: run folders, or outputs of `compare` with all of theirs.

    Those without methods come first. overrides: laid upon each run's settings (`data.root=...`,
    `teacher.checkpoint=...`). Raises CheckpointError where there is no finished run, SettingsError for runs
    that have no teacher or cannot stand in one table.
    """
    runs = [_with_overrides(TrainingRun.open(one), overrides) for path in folders for one in _runs_in(path)]
    for run in runs:
        if run.config.teacher is None:
            raise SettingsError(
                f"{run.folder} was trained without a teacher, so there is none to compare it with. Name one: "
                "teacher.network=NAME teacher.checkpoint=RUN."
            )
    _refuse_different(runs)
    _refuse_same_name(runs)
    return sorted(runs, key=lambda run: bool(run.config.methods))


def _runs_in(path: Path) -> list[Path]:
    """The folder itself, or the finished runs of the comparison in it."""
    compared = path if path.name == COMPARE_FOLDER else path / COMPARE_FOLDER
    if (path / SETTINGS_FILE).is_file() or not compared.is_dir():
        return [path]
    begun = sorted(file.parent for file in compared.glob(f"*/{SETTINGS_FILE}"))
    finished = [folder for folder in begun if (folder / RESULT_FILE).is_file()]
    for folder in begun:
        if folder not in finished:
            log.warning("%s is not finished and is left out", folder)
    return finished or [path]


def _with_overrides(run: TrainingRun, overrides: Sequence[str]) -> TrainingRun:
    values = run.config.model_dump(mode="json")
    for override in overrides:
        apply_override(values, override)
    return replace(run, config=parse_settings(TrainConfig, values, str(run.folder)))


def _refuse_different(runs: Sequence[TrainingRun]) -> None:
    """Numbers of different images say nothing about each other."""
    first = runs[0]
    for run in runs[1:]:
        for key, mine, theirs in (
            ("data", first.config.data, run.config.data),
            ("evaluation.size", first.config.evaluation.size, run.config.evaluation.size),
            ("labels", first.labels, run.labels),
        ):
            if mine != theirs:
                raise SettingsError(
                    f"{first.folder} and {run.folder} differ in {key}, and one table shows all of them the "
                    "same images. Analyse them apart, or set what they shall share, as in data.root=FOLDER."
                )


def open_beginning(folder: Path, runs: Sequence[TrainingRun]) -> TrainingRun:
    """A run that stands for the beginning of others. Raises SettingsError where its classes are others."""
    beginning = TrainingRun.open(folder)
    if beginning.labels != runs[0].labels:
        raise SettingsError(
            f"{folder} was trained on other classes than {runs[0].folder}; give a run on the same dataset."
        )
    return beginning


def variant_of(run: TrainingRun) -> str:
    """The name in a comparison, without its seed; elsewhere the run's folder and the one that it lies in."""
    folder = run.folder.resolve()
    if folder.parent.name == COMPARE_FOLDER:
        return folder.name.removesuffix(f"-seed{run.config.seed}")
    return f"{folder.parent.name}/{folder.name}"


def _refuse_same_name(runs: Sequence[TrainingRun]) -> None:
    """Runs of one name are averaged over their seeds, and may differ in nothing else."""
    named: dict[str, TrainingRun] = {}
    seeds: set[tuple[str, int]] = set()
    for run in runs:
        name = variant_of(run)
        other = named.setdefault(name, run)
        same = (run.config.methods, run.config.student) == (other.config.methods, other.config.student)
        if (name, run.config.seed) in seeds or not same:
            raise SettingsError(
                f"{other.folder} and {run.folder} would both be called {name}. Rename a folder, or analyse "
                "them apart."
            )
        seeds.add((name, run.config.seed))
