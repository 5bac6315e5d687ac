"""The stage function: compare every student with its teacher, before and after, and write the report."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.analysis.chart import draw_chart
from distill.analysis.image_sets import ImageSets
from distill.analysis.measure import measure
from distill.analysis.pairs import FeaturePair, find_pairs, used_pairs
from distill.analysis.report import DEFINITIONS, render_markdown
from distill.analysis.rows import rows_of
from distill.analysis.runs import open_beginning, open_runs
from distill.analysis.self_similarity import check_window
from distill.analysis.sheets import Sheets
from distill.analysis.subjects import Taught, by_teacher, subjects_of
from distill.compute import Compute
from distill.run import TrainingRun, read_json
from distill.teacher import load_teacher
from modelpack.atomic import write_json, write_text
from modelpack.environment import fingerprint
from modelpack.errors import SettingsError

log = logging.getLogger(__name__)

ANALYSIS_FOLDER = "analysis"
DATA_FILE = "analysis.json"


@dataclass(frozen=True)
class AnalyseOptions:
    """What is looked at, the same for all students."""

    split: str = "val"
    images: int = 16
    """To measure on; as many others are fitted on."""
    window: int = 5
    """Side, in positions, of the square of neighbours in local self-similarity; odd."""
    shown: int = 3
    """Images on each sheet of pictures."""

    def check(self) -> None:
        """Raises SettingsError for a value that cannot be."""
        check_window(self.window)
        if min(self.images, self.shown) < 1:
            raise SettingsError(
                f"an analysis measures and shows at least one image, got {self.images} and {self.shown}."
            )


def analyse(
    folders: Sequence[Path],
    overrides: Sequence[str] = (),
    options: AnalyseOptions | None = None,
    *,
    before: Path | None = None,
    output: Path | None = None,
) -> Path:
    """Write `analysis.json`, `.md`, `.png` and sheets of pictures; returns their folder.

    Args:
        folders: finished runs, or outputs of `compare`; runs without methods are the student alone.
        overrides: KEY=VALUE, laid upon the settings of every run.
        before: a run that stands for the beginning of all. None: each student as its training began.
        output: None: `analysis` in the only one of `folders`.
    """
    options = options or AnalyseOptions()
    options.check()
    if not folders:
        raise SettingsError("name a finished run to analyse, or the output of a comparison.")
    target = output or _only(folders) / ANALYSIS_FOLDER
    runs = open_runs(folders, overrides)
    groups = by_teacher(runs)
    beginning = open_beginning(before, runs) if before is not None else None
    config = runs[0].config
    used = used_pairs(method for run in runs for method in run.config.methods)
    compute = Compute.choose(config.compute.model_copy(update={"precision": "fp32"}))
    images = ImageSets.open(config, options.split, options.images)
    features: dict[str, FeaturePair] = {}
    students: list[dict[str, Any]] = []
    for group in groups:
        pairs, found, sheets = _compare(group, beginning, images, used, compute, options)
        features |= {pair.name: pair for pair in pairs}
        students += found
        sheets.write(target, f"-{group.name}" if len(groups) > 1 else "")
    result = {
        "dataset": config.data.name,
        "split": options.split,
        "images": len(images.measured),
        "images_fitted": len(images.fitted),
        "image_size": list(config.evaluation.size) if config.evaluation.size else None,
        "window": options.window,
        "device": str(compute.device),
        "definitions": DEFINITIONS,
        "features": [
            {"name": name, "student": pair.student, "teacher": pair.teacher, "is_used": pair in used}
            for name, pair in features.items()
        ],
        "teachers": [group.describe() for group in groups],
        "rows": rows_of(students),
        "students": students,
        "environment": fingerprint(),
    }
    write_json(target / DATA_FILE, result)
    write_text(target / "analysis.md", render_markdown(result))
    draw_chart(result, target / "analysis.png")
    return target


def _compare(
    group: Taught,
    before: TrainingRun | None,
    images: ImageSets,
    used: set[FeaturePair],
    compute: Compute,
    options: AnalyseOptions,
) -> tuple[list[FeaturePair], list[dict[str, Any]], Sheets]:
    """One teacher with all of its students: what was compared, one entry for each, and their pictures."""
    teacher = load_teacher(group.teacher, images.labels.num_classes, compute)
    pairs = find_pairs(group.student_features(), teacher.feature_info, used)
    window, device = options.window, compute.device
    drawn = [pair for pair in pairs if pair in used] or pairs
    sheets = Sheets(images.measured[: options.shown], drawn, teacher, window=window, device=device)
    found: list[dict[str, Any]] = []
    for subject in subjects_of(group.runs, before):
        log.info("%s, seed %d", subject.row, subject.run.config.seed)
        student = compute.place(subject.load())
        measured = measure(student, teacher, images, pairs, window=window, device=device)
        if all(entry["row"] != subject.row for entry in found):
            sheets.add(subject.row, student)  # one seed is enough to look at
        found.append({**subject.describe(), "teacher": group.name, **measured})
    return pairs, found, sheets


def read_analysis(folder: Path) -> dict[str, Any]:
    """What `analyse` left there. Raises CheckpointError where it is damaged."""
    return read_json(folder / DATA_FILE)


def _only(folders: Sequence[Path]) -> Path:
    if len(folders) != 1:
        raise SettingsError(f"the report on {len(folders)} folders needs a place: --output FOLDER.")
    return folders[0]
