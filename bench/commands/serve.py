"""`afdcd bench serve`: our service beside a naive endpoint and the same work without HTTP."""

from pathlib import Path
from typing import Annotated

import typer

from bench.load.validity import InvalidLoadError
from bench.service.config import read_service_config
from bench.service.report_facts import summary
from bench.service.report_markdown import PICTURE_FILE, render_terminal
from bench.service.result import ServiceResult
from bench.service.stage import HTML_FILE, MARKDOWN_FILE, RESULT_FILE, measure_service
from modelpack.command import AsJson, Overrides, finish, show
from modelpack.errors import GateError


def serve(
    package: Annotated[
        Path, typer.Argument(help="Folder of a model package, or the recipe (.yaml) that made one.")
    ],
    overrides: Overrides = None,
    fail_on_miss: Annotated[
        bool, typer.Option("--fail-on-miss", help="Exit 1 where a bar is missed.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the results; else `service` beside the package.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Our service, a naive FastAPI endpoint and the same work in process, in turn, with the bars beside.

    Exit code 1 when the measurement is INVALID.
    """
    config, default_folder = read_service_config(package, overrides or ())
    folder = out or default_folder
    result = measure_service(config, folder)
    show(render_terminal(result))
    files = (RESULT_FILE, MARKDOWN_FILE, HTML_FILE, PICTURE_FILE)
    show("\n" + "\n".join(str(folder / name) for name in files))
    finish(_summary(result, folder), as_json)
    if result.verdict.state == "invalid":
        raise InvalidLoadError(f"the measurement is INVALID, see {folder / MARKDOWN_FILE}.")
    if fail_on_miss and result.missed:
        raise GateError(f"{summary(result)}; see {folder / MARKDOWN_FILE}.")


def _summary(result: ServiceResult, folder: Path) -> dict[str, object]:
    return {
        "verdict": result.verdict.state,
        "result": str(folder / RESULT_FILE),
        "bars": [
            {
                "bar": entry.name,
                "state": entry.state,
                "value": entry.value,
                "lower": entry.lower,
                "upper": entry.upper,
                "limit": entry.limit,
            }
            for entry in result.bars
        ],
    }
