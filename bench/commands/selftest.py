"""`afdcd bench selftest`: proof that the tool measures rightly on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from bench.progress import shown
from bench.selftest import selftest as selftests
from bench.selftest.report import conclusion, render_markdown, render_terminal
from modelpack.atomic import write_json, write_text
from modelpack.command import AsJson, finish, show
from modelpack.errors import GateError

RESULT_FILE = "selftest.json"
MARKDOWN_FILE = "selftest.md"


def selftest(
    out: Annotated[
        Path | None, typer.Option(help="Folder to leave selftest.json and selftest.md in.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure fakes of known behaviour and check what the tool says of them; exit 1 if anything is wrong."""
    with shown() as report:
        result = selftests.selftest(report)
    show(render_terminal(result))
    values = result.model_dump(mode="json")
    if out is not None:
        write_json(out / RESULT_FILE, values)
        write_text(out / MARKDOWN_FILE, render_markdown(result))
    finish(values, as_json)
    if result.failures:
        raise GateError(conclusion(result))
