"""`python -m afdcd.gpu`: run every step that is not finished, until the deadline."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from afdcd.gpu import STEPS
from afdcd.gpu.runner import Runner, skip_all
from afdcd.gpu.step import Context
from afdcd.gpu.summary import MARKDOWN_FILE, write_summary
from distill.interrupt import Interrupt
from modelpack import command
from modelpack.runtimes.cuda_libraries import missing_device
from modelpack.tables import lookup

DEFAULT_OUT = Path("runs/gpu/results")
DEFAULT_WORK = Path("runs/gpu/work")

app = command.new_app("gpu", "What only a GPU can prove.")


@app.command()
def prove(
    out: Annotated[
        Path | None, typer.Option(help=f"Folder of the results, one JSON per step [{DEFAULT_OUT}].")
    ] = None,
    data_root: Annotated[
        Path | None,
        typer.Option(help="CamVid (train/ trainannot/ ...); generated scenes stand in for it."),
    ] = None,
    deadline_minutes: Annotated[float, typer.Option(min=0, help="Nothing runs longer than that.")] = 25.0,
    train_minutes: Annotated[
        float | None,
        typer.Option(min=0, help="Of training, over several calls. Without it: what this call has."),
    ] = None,
    work: Annotated[Path, typer.Option(help="Folder of training runs and packages.")] = DEFAULT_WORK,
    only: Annotated[list[str] | None, typer.Option(help="A step to run; may be given several times.")] = None,
    as_json: command.AsJson = False,
) -> None:
    """Run the steps that are not finished yet; a second call goes on where the first was stopped."""
    steps = {name: lookup(STEPS, "step", name) for name in only or STEPS}
    context = Context(
        out=(out or DEFAULT_OUT).resolve(),
        work=work.resolve(),
        data_root=data_root and data_root.resolve(),
        seconds=max(60 * deadline_minutes, 1e-3),
        train_seconds=60 * train_minutes if train_minutes else None,
    )
    if (reason := missing_device()) is not None:
        command.show(f"No GPU to prove anything on: {reason}. Every step is skipped.")
        if out is not None:
            skip_all(steps, context.out, f"no GPU: {reason}")
            write_summary(context.out, STEPS)
        command.finish({"status": "skipped", "reason": reason}, as_json)
        return
    with Interrupt() as interrupt:
        records = Runner(steps, context, interrupt).run()
    write_summary(context.out, STEPS)
    for name, record in records.items():
        command.show(f"{name:>8}  {record.status:<11}  {record.seconds:6.1f} s  {record.reason}")
    command.show(f"summary: {context.out / MARKDOWN_FILE}")
    command.finish({name: record.status for name, record in records.items()}, as_json)
    if interrupt.requested or any(record.status == "failed" for record in records.values()):
        raise typer.Exit(1)


def main() -> None:
    sys.exit(command.run(app, sys.argv[1:], "python -m afdcd.gpu"))


if __name__ == "__main__":
    main()
