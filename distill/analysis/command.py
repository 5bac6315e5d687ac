"""`afdcd distill analyse`: what moved inside the students of finished runs."""

from pathlib import Path
from typing import Annotated

import typer

from modelpack.command import AsJson, finish, show


def analyse(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN... [KEY=VALUE]...",
            help="Finished runs, or outputs of compare; KEY=VALUE replaces settings of all (data.root=...).",
        ),
    ],
    split: Annotated[str, typer.Option(help="Split that the images are of.")] = "val",
    images: Annotated[int, typer.Option(help="Images to measure on; as many others are fitted on.")] = 16,
    window: Annotated[int, typer.Option(help="Side of the square of local self-similarity; odd.")] = 5,
    shown: Annotated[int, typer.Option(help="Images on each sheet of pictures.")] = 3,
    before: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Run that stands for the students before; without it, they are as their training began.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where to; without it: `analysis` in the folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare students with their teacher inside: features, self-similarity, answers; before and after."""
    from distill.analysis import analyse as stage  # noqa: PLC0415  (torch takes seconds to import)
    from distill.analysis.report import render_markdown  # noqa: PLC0415

    folders = [Path(word) for word in words if not _is_override(word)]
    overrides = [word for word in words if _is_override(word)]
    options = stage.AnalyseOptions(split=split, images=images, window=window, shown=shown)
    folder = stage.analyse(folders, overrides, options, before=before, output=output)
    result = stage.read_analysis(folder)
    show(render_markdown(result))
    finish({"folder": str(folder), "rows": result["rows"]}, as_json)


def _is_override(word: str) -> bool:
    return "=" in word and not Path(word).exists()
