"""`afdcd bench load`: what clients of a server would see under load."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bench.config import LOAD_SECTION, output_folder
from bench.load.agreement import SHOWN, DisagreementError, render_agreement
from bench.load.config import LoadConfig
from bench.load.report_markdown import render_terminal
from bench.load.report_tables import shown_runs
from bench.load.result import LoadResult
from bench.load.stage import (
    AGREEMENT_FILE,
    HTML_FILE,
    MARKDOWN_FILE,
    RESULT_FILE,
    measure_agreement,
    measure_load,
)
from bench.load.validity import InvalidLoadError
from modelpack.command import AsJson, finish, show
from modelpack.errors import UsageError
from modelpack.recipe import apply_override, read_recipe, section
from modelpack.settings import parse_settings

RECIPE_SUFFIXES = (".yaml", ".yml")
OUT_FOLDER = "load"
"""Default place of the results: below a recipe's output, or beside the package."""
URL_FOLDER = Path("runs") / OUT_FOLDER
"""Default place for a URL, which has no folder."""
PACKAGE = "package"


def load(
    subjects: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[URL_OR_RECIPE] [KEY=VALUE]...",
            help="An address (without a path: our /v1/segment) or a recipe, then settings to change.",
        ),
    ] = None,
    package: Annotated[
        Path | None, typer.Option(help="Serve this model package meanwhile, in place of a URL.")
    ] = None,
    bound: Annotated[
        list[str] | None,
        typer.Option(help="Search the highest rate that keeps it: p99=50ms. May be given again."),
    ] = None,
    scenario: Annotated[
        list[str] | None,
        typer.Option(help="MLPerf scenario: single_stream, multi_stream, server, offline."),
    ] = None,
    method: Annotated[str | None, typer.Option(help="HTTP method (POST).")] = None,
    pid: Annotated[int | None, typer.Option(help="The server's process, for its CPU and memory.")] = None,
    against: Annotated[
        str | None, typer.Option(help="Compare with another load generator, in turn: wrk, hey.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results.")] = None,
    as_json: AsJson = False,
) -> None:
    """Open and closed loops, the highest rate within a bound, MLPerf scenarios; on a URL or a package.

    Exit code 1 when the measurement is INVALID.
    """
    options: dict[str, Any] = {"package": package, "pid": pid, "request.method": method}
    if bound:
        options["sweep.bounds"] = bound
    if scenario:
        options["scenarios"] = scenario
    if against is not None:
        options["against.tool"] = against
    config, default_folder = read_load_subjects(subjects or [], options)
    folder = out or default_folder
    if config.against is not None:
        _compare(config, folder, as_json)
        return
    result = measure_load(config, folder)
    show(render_terminal(result))
    show("\n" + "\n".join(str(folder / name) for name in (RESULT_FILE, MARKDOWN_FILE, HTML_FILE)))
    finish(_summary(result, folder), as_json)
    if result.verdict.state == "invalid":
        raise InvalidLoadError(f"the measurement is INVALID, see {folder / MARKDOWN_FILE}.")


def _compare(config: LoadConfig, folder: Path, as_json: bool) -> None:
    """Raises DisagreementError where the generators lie too far apart."""
    result = measure_agreement(config, folder)
    show(render_agreement(result))
    show(f"\n{folder / AGREEMENT_FILE}")
    ratios = {name: result.ratio(name).value for name in SHOWN}
    finish({"result": str(folder / AGREEMENT_FILE), "ratios": ratios}, as_json)
    if result.differing:
        limit = result.settings.max_difference
        raise DisagreementError(f"{' and '.join(result.differing)} differ by more than {limit:.0%}.")


def read_load_subjects(subjects: list[str], options: dict[str, Any]) -> tuple[LoadConfig, Path]:
    """The settings that the command line means, and where their results go by default.

    `options`: key (dotted) -> value, None where it was not given.
    """
    overrides = [entry for entry in subjects if "=" in entry and "://" not in entry.partition("=")[0]]
    others = [entry for entry in subjects if entry not in overrides]
    if len(others) > 1:
        raise UsageError(f"bench load takes one address or one recipe, got {' and '.join(others)}.")
    settings, source, folder = _base(others[0] if others else None, options.get(PACKAGE))
    for override in overrides:
        apply_override(settings, override.removeprefix("bench.").removeprefix(f"{LOAD_SECTION}."))
    for key, value in options.items():
        if value is not None:
            _set(settings, key, value)
    return parse_settings(LoadConfig, settings, source), folder


def _base(subject: str | None, package: Path | None) -> tuple[dict[str, Any], str, Path]:
    """(settings so far, what they are called in errors, folder of the results)."""
    if subject is None:
        if package is None:
            raise UsageError("bench load needs an address, a recipe, or --package FOLDER.")
        return {}, "load settings", package.resolve().parent / OUT_FOLDER
    if Path(subject).suffix in RECIPE_SUFFIXES:
        values = read_recipe(subject)
        settings = dict(section(values, "bench").get(LOAD_SECTION) or {})
        if not {"url", PACKAGE} & settings.keys():
            settings[PACKAGE] = output_folder(values) / PACKAGE
        return settings, f"{subject}, section bench.load", output_folder(values) / OUT_FOLDER
    return {"url": subject}, "load settings", URL_FOLDER


def _set(settings: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for name in sections:
        settings = settings.setdefault(name, {})
    settings[last] = value


def _summary(result: LoadResult, folder: Path) -> dict[str, object]:
    return {
        "verdict": result.verdict.state,
        "reasons": result.verdict.reasons,
        "result": str(folder / RESULT_FILE),
        "best_rate": result.sweep.best_rate if result.sweep else None,
        "runs": [
            {
                "run": run.name,
                "verdict": run.verdict.state,
                "ok_per_second": run.ok_per_second,
                **{f"p{entry.percent:g}_ms": entry.value for entry in run.latency},
            }
            for run in shown_runs(result)
        ],
        "scenarios": [
            {
                "scenario": entry.scenario,
                "driver": entry.driver,
                "is_valid": entry.is_valid,
                "value": entry.value,
            }
            for entry in result.scenarios
        ],
    }
