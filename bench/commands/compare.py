"""`afdcd bench compare`: one result against another, with an exit code for CI."""

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from bench.comparable import Comparable, comparable_latency
from bench.compare import compare_sides
from bench.compare_report import conclusion, render_markdown, render_terminal
from bench.load.comparable import comparable_load
from bench.load.result import LoadResult
from bench.result import BenchResult
from modelpack.atomic import write_json, write_text
from modelpack.command import AsJson, finish, show
from modelpack.errors import GateError, SettingsError, UsageError
from modelpack.settings import parse_settings

RESULT_FILE = "compare.json"
MARKDOWN_FILE = "compare.md"
_PERCENTAGE = re.compile(r"(\d+(?:\.\d+)?)\s*%")


def compare(
    a: Annotated[Path, typer.Argument(help="Result to compare with: latency.json or load.json.")],
    b: Annotated[Path, typer.Argument(help="Result that is judged, of the same kind.")],
    fail_if_slower: Annotated[
        str | None,
        typer.Option(
            metavar="PERCENT",
            help="As in 5%: exit 1 where a case of B is slower by more, with its whole 95% interval.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to leave compare.json and compare.md in.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two results case by case: interval of the ratio of medians, and what differs around them."""
    limit = None if fail_if_slower is None else read_percentage(fail_if_slower)
    result = compare_sides(read_comparable(a), read_comparable(b), limit=limit, names=(str(a), str(b)))
    show(render_terminal(result))
    if out is not None:
        write_json(out / RESULT_FILE, result.model_dump(mode="json"))
        write_text(out / MARKDOWN_FILE, render_markdown(result))
    finish(result.model_dump(mode="json"), as_json)
    if result.failures:
        raise GateError(conclusion(result))


def read_comparable(file: Path) -> Comparable:
    """Of a result of `bench latency` or `bench load`; raises SettingsError for anything else."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SettingsError(f"result {file} cannot be read: {error}") from error
    if isinstance(values, dict) and "cases" in values:
        return comparable_latency(parse_settings(BenchResult, values, str(file)))
    if isinstance(values, dict) and "runs" in values:
        return comparable_load(parse_settings(LoadResult, values, str(file)), file.parent)
    raise SettingsError(f"{file} is no result of `bench latency` or `bench load`.")


def read_percentage(text: str) -> float:
    """`5%` -> 0.05; raises UsageError for anything else."""
    found = _PERCENTAGE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"--fail-if-slower {text!r} is no percentage; write it as 5% or 2.5%.")
    return float(found[1]) / 100
