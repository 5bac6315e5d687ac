"""`afdcd distill VERB`: pretrain, prepare, train, evaluate, compare, analyse, bench, doctor, replay, list."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from distill.analysis.command import analyse
from distill.step_bench.command import bench
from modelpack import command
from modelpack.recipe import read_recipe, section, training_part
from modelpack.settings import parse_settings

app = command.new_app("distill", "Train a student, alone or with a teacher.")
app.command()(analyse)


@app.command()
def train(
    recipe: command.Recipe,
    overrides: command.Overrides = None,
    teacher: Annotated[
        bool, typer.Option("--teacher", help="Train the recipe's teacher instead (teacher.train).")
    ] = False,
    as_json: command.AsJson = False,
) -> None:
    """Train the recipe's student into OUTPUT/train (its teacher: into OUTPUT/teacher); resumes by itself."""
    from distill.compare import TEACHER_FOLDER, teacher_config
    from distill.config import TrainConfig
    from distill.train import train as run_training

    values = training_part(read_recipe(recipe, overrides or []))
    config = parse_settings(TrainConfig, values, str(recipe))
    if teacher:
        run = run_training(teacher_config(values, config, str(recipe)), config.output / TEACHER_FOLDER)
    else:
        run = run_training(config)
    report = run.result["report"]
    command.show(
        f"{run.folder}: mIoU {100 * report['miou']:.2f} on {report['split']} ({report['images']} images), "
        f"step {run.result['selection']['step']} selected on {run.result['selection']['split']}"
    )
    command.finish({"run": str(run.folder), "report": report}, as_json)


@app.command()
def prepare(
    recipe: command.Recipe, overrides: command.Overrides = None, as_json: command.AsJson = False
) -> None:
    """Learn what the recipe's methods need before a student's first step; its runs find it and share it."""
    from distill.preparation.recipe import prepare_recipe

    prepared = prepare_recipe(read_recipe(recipe, overrides or []), str(recipe))
    for folder in prepared:
        command.show(folder)
    if not prepared:
        command.show("nothing to prepare: no method of this recipe learns from the teacher beforehand")
    command.finish({"prepared": prepared}, as_json)


@app.command()
def pretrain(
    recipe: command.Recipe, overrides: command.Overrides = None, as_json: command.AsJson = False
) -> None:
    """Pre-train the recipe's student without labels (section `pretrain`) into OUTPUT/pretrain; resumes."""
    from distill.pretrain.config import pretrain_config
    from distill.pretrain.stage import pretrain as run_pretraining
    from distill.pretrain.stage import pretrain_result

    config = pretrain_config(read_recipe(recipe, overrides or []), str(recipe))
    folder = run_pretraining(config)
    result = pretrain_result(folder)
    command.show(
        f"{folder}: {result['steps']} steps on {result['images']} images, loss {result['loss']:.3f}. "
        f"Start a training from it: student.init={folder}"
    )
    command.finish({"folder": str(folder), "result": result}, as_json)


@app.command()
def evaluate(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished training run.")],
    overrides: command.Overrides = None,
    split: Annotated[str, typer.Option(help="Split to measure on.")] = "val",
    as_json: command.AsJson = False,
) -> None:
    """Measure a finished run's student on a split; KEY=VALUE replaces settings of the run (data.root=...)."""
    from distill.compute import Compute
    from distill.config import TrainConfig
    from distill.datasets import open_dataset
    from distill.evaluate import evaluate as measure
    from distill.run import TrainingRun, load_student
    from modelpack.recipe import apply_override

    run = TrainingRun.open(run_folder)
    values = run.config.model_dump(mode="json")
    for override in overrides or []:
        apply_override(values, override)
    config = parse_settings(TrainConfig, values, str(run_folder))
    compute = Compute.choose(config.compute)
    network = compute.place(load_student(run))
    measured = measure(
        network,
        open_dataset(config.data, split),
        compute,
        size=config.evaluation.size,
        batch=config.evaluation.batch,
    )
    for name, iou in zip(run.labels.names, measured.confusion.iou_per_class(), strict=True):
        command.show(f"{name:>20}  {100 * iou:6.2f}")
    miou = measured.confusion.miou(config.evaluation.absent)
    command.show(f"{'mIoU':>20}  {100 * miou:6.2f}   {split}, {measured.images} images")
    command.finish(
        {"split": split, "images": measured.images, **measured.confusion.to_dict(run.labels), "miou": miou},
        as_json,
    )


@app.command()
def compare(
    recipe: command.Recipe, overrides: command.Overrides = None, as_json: command.AsJson = False
) -> None:
    """Train every variant of the recipe's `compare` section under every seed, and write the table."""
    from distill.compare import CompareConfig, read_comparison
    from distill.compare import compare as run_comparison
    from distill.compare_report import render_markdown

    values = read_recipe(recipe, overrides or [])
    settings = parse_settings(CompareConfig, section(values, "compare"), f"{recipe} (compare)")
    folder = run_comparison(training_part(values), settings, str(recipe))
    result = read_comparison(folder)
    command.show(render_markdown(result))
    command.finish({"folder": str(folder), "rows": result["rows"]}, as_json)


app.command()(bench)


@app.command()
def doctor(
    recipe: command.Recipe, overrides: command.Overrides = None, as_json: command.AsJson = False
) -> None:
    """Look at the recipe's dataset before anyone trains on it."""
    from distill.config import TrainConfig
    from distill.diagnosis.diagnosis import count_of_errors
    from distill.doctor import examine
    from modelpack.errors import DatasetError

    config = parse_settings(TrainConfig, training_part(read_recipe(recipe, overrides or [])), str(recipe))
    diagnosis = examine(config.data, config.splits)
    command.show(diagnosis.render())
    command.finish(diagnosis.to_dict(), as_json)
    if diagnosis.errors:
        raise DatasetError(f"{count_of_errors(len(diagnosis.errors))} in the dataset.")


@app.command()
def replay(
    files: Annotated[list[Path], typer.Argument(help="Golden files (.npz).")],
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Where to recompute them.")] = "cpu",
    as_json: command.AsJson = False,
) -> None:
    """Recompute golden files in float64 and float32 and compare; exit 1 on any FAIL."""
    from distill.replay import run_replay

    lines, is_right = run_replay(files, device)
    for line in lines:
        command.show(line)
    command.finish({"lines": lines, "ok": is_right}, as_json)
    if not is_right:
        raise typer.Exit(1)


@app.command(name="list")
def list_entries(
    table: Annotated[str, typer.Argument(help="methods, datasets, networks or generators (of afdcd)")],
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH at which networks are counted.")] = "512x1024",
    names: Annotated[
        list[str] | None, typer.Option("--network", help="Only these networks (also smp:ARCH/ENCODER).")
    ] = None,
    map_size: Annotated[
        str, typer.Option("--map", help="CHANNELSxHEIGHTxWIDTH at which generators are counted.")
    ] = "2048x64x128",
    as_json: command.AsJson = False,
) -> None:
    """What can be named in a recipe; networks and generators with parameters and MACs."""
    from distill.datasets import DATASETS
    from distill.methods import METHODS
    from distill.methods.generator_cost import list_generators
    from distill.networks.describe import list_networks
    from modelpack.errors import UnknownNameError, UsageError

    if table == "networks":
        height, _, width = size.partition("x")
        if not (height.isdigit() and width.isdigit()):
            raise UsageError(f"--size {size!r} is not HEIGHTxWIDTH, as in 512x1024.")
        _show_rows(table, list_networks((int(height), int(width)), names), as_json)
        return
    if table == "generators":
        sides = map_size.split("x")
        if len(sides) != 3 or not all(side.isdigit() and int(side) for side in sides):
            raise UsageError(f"--map {map_size!r} is not CHANNELSxHEIGHTxWIDTH, as in 2048x64x128.")
        channels, *grid = map(int, sides)
        _show_rows(table, list_generators(channels, (grid[0], grid[1])), as_json)
        return
    tables = {"methods": sorted(METHODS), "datasets": sorted(DATASETS)}
    if table not in tables:
        raise UnknownNameError("table", table, [*tables, "networks", "generators"])
    for name in tables[table]:
        command.show(name)
    command.finish({table: tables[table]}, as_json)


def _show_rows(table: str, rows: list[dict[str, Any]], as_json: bool) -> None:
    for row in rows:
        line = "  ".join(f"{key} {value}" for key, value in row.items())
        command.show(json.dumps(row) if as_json else line)
    command.finish({table: rows}, as_json)


def main() -> None:
    sys.exit(command.run(app, sys.argv[1:], "afdcd distill"))


if __name__ == "__main__":
    main()
