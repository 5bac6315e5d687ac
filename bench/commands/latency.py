"""`afdcd bench latency`: measure packages side by side."""

from pathlib import Path
from typing import Annotated

import typer

from bench.config import BenchConfig, check_recipe_override, from_packages, from_recipe, output_folder
from bench.latency import HTML_FILE, MARKDOWN_FILE, RESULT_FILE, measure_latency
from bench.report_markdown import render_terminal
from bench.result import BenchResult
from modelpack.command import AsJson, finish, show
from modelpack.errors import UsageError
from modelpack.recipe import read_recipe

RECIPE_SUFFIXES = (".yaml", ".yml")
OUT_FOLDER = "bench"
"""Default place of the results: below a recipe's output, or beside the first package."""


def latency(
    subjects: Annotated[
        list[str],
        typer.Argument(
            metavar="PACKAGE_OR_RECIPE [PACKAGE]... [KEY=VALUE]...",
            help="Package folders (the first is the baseline) or one recipe, then settings to change.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the results; without it `bench` in the recipe's output or beside the package."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure packages side by side: percentiles, throughput over batch sizes, memory, size."""
    config, default_folder = read_subjects(subjects)
    folder = out or default_folder
    result = measure_latency(config, folder)
    show(render_terminal(result))
    show("\n" + "\n".join(str(folder / name) for name in (RESULT_FILE, MARKDOWN_FILE, HTML_FILE)))
    finish(_summary(result, folder), as_json)


def read_subjects(subjects: list[str]) -> tuple[BenchConfig, Path]:
    """The settings that the command line means, and where their results go by default."""
    overrides = [entry for entry in subjects if "=" in entry and not Path(entry).exists()]
    paths = [Path(entry) for entry in subjects if entry not in overrides]
    recipes = [path for path in paths if path.suffix in RECIPE_SUFFIXES]
    if not paths or (recipes and len(paths) > 1):
        raise UsageError("bench latency takes either package folders or one recipe (.yaml), then KEY=VALUE.")
    if recipes:
        for override in overrides:
            check_recipe_override(override)
        values = read_recipe(paths[0], overrides)
        return from_recipe(values, str(paths[0])), output_folder(values) / OUT_FOLDER
    return from_packages(paths, overrides), paths[0].resolve().parent / OUT_FOLDER


def _summary(result: BenchResult, folder: Path) -> dict[str, object]:
    return {
        "verdict": str(result.verdict),
        "result": str(folder / RESULT_FILE),
        "cases": [
            {
                "session": case.session,
                "boundary": case.boundary,
                "batch": case.batch,
                **{f"p{entry.percent}_ms": entry.value for entry in case.percentiles},
                "images_per_second": case.images_per_second,
            }
            for case in result.cases
        ],
        "skipped": result.skipped,
    }
