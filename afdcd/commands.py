"""`afdcd run RECIPE` and `afdcd demo`."""

import importlib.resources
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from modelpack import command
from modelpack.recipe import read_recipe

DEMO_RECIPE = "streets-demo.yaml"

run_app = command.new_app("run", "The whole chain on a recipe.")
demo_app = command.new_app("demo", "The whole chain on the embedded dataset.")

AcceptsOtherCode = Annotated[
    bool,
    typer.Option("--accept-other-code", help="Keep finished stages that another version of the code made."),
]


@run_app.command()
def run(
    recipe: command.Recipe,
    overrides: command.Overrides = None,
    accept_other_code: AcceptsOtherCode = False,
    as_json: command.AsJson = False,
) -> None:
    """Train, compare, export, measure and serve; finished stages are skipped, interrupted ones resumed."""
    _run(recipe, overrides or [], accept_other_code, as_json)


@demo_app.command()
def demo(overrides: command.Overrides = None, as_json: command.AsJson = False) -> None:
    """Run recipes/streets-demo.yaml into runs/streets-demo."""
    with importlib.resources.as_file(importlib.resources.files("recipes") / DEMO_RECIPE) as recipe:
        _run(recipe, overrides or [], False, as_json)


def _run(recipe: Path, overrides: Sequence[str], accept_other_code: bool, as_json: bool) -> None:
    from afdcd.chain import PACKAGE_FOLDER, run_chain  # noqa: PLC0415  (brings torch)

    report = run_chain(read_recipe(recipe, overrides), str(recipe), accepts_other_code=accept_other_code)
    command.show(f"report: {report}")
    command.show(f"serve it: afdcd serve start {shlex.quote(str(report.parent / PACKAGE_FOLDER))}")
    command.finish({"report": str(report)}, as_json)
