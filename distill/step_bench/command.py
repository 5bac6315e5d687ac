"""The verb `afdcd distill bench`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from modelpack import command
from modelpack.errors import UsageError
from modelpack.recipe import read_recipe, section, training_part
from modelpack.settings import parse_settings
from modelpack.tables import lookup

if TYPE_CHECKING:
    from distill.config import TrainConfig


def bench(
    recipe: Annotated[Path | None, typer.Argument(help="Recipe (YAML); not with --loss.")] = None,
    overrides: command.Overrides = None,
    against: Annotated[
        Literal["published"] | None,
        typer.Option(help="Also time the published formulation of the contrastive term, in turn with ours."),
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option(
            help="Methods of this variant of the recipe's `compare` section. "
            "Default: the recipe's own, or the last variant's where it has none."
        ),
    ] = None,
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="Noise of the recipe's crop in the place of its data.")
    ] = False,
    steps: Annotated[int, typer.Option(min=1, help="Recorded steps in a round.")] = 5,
    rounds: Annotated[int, typer.Option(min=2, help="Rounds; intervals are over them.")] = 8,
    warm_up: Annotated[
        int,
        typer.Option(min=1, help="Longest warm-up, in windows of --steps; it ends once times stand still."),
    ] = 10,
    trace: Annotated[Path | None, typer.Option(help="Write a trace by torch's profiler here.")] = None,
    processes: Annotated[
        int, typer.Option(min=1, help="Time so many processes in place of one, against one, in turn.")
    ] = 1,
    loss: Annotated[
        bool, typer.Option("--loss", help="Time the contrastive loss alone, ours and published in turn.")
    ] = False,
    shape: Annotated[
        list[str] | None,
        typer.Option(help="With --loss: maps, as in 4x256x16x32 (images, channels, height, width)."),
    ] = None,
    as_json: command.AsJson = False,
) -> None:
    """Time the parts of the recipe's training step into OUTPUT/bench-train, or the contrastive loss alone."""
    if loss:
        _bench_loss(recipe, shape or [], rounds, as_json)
        return
    if recipe is None or shape:
        raise UsageError(
            "bench times the training step of a recipe (afdcd distill bench RECIPE), or the contrastive loss "
            "alone (afdcd distill bench --loss --shape 4x256x16x32)."
        )
    from distill.config import TrainConfig  # noqa: PLC0415  (torch takes seconds to import)
    from distill.step_bench.report import render_markdown  # noqa: PLC0415
    from distill.step_bench.stage import FOLDER, bench_step  # noqa: PLC0415

    values = read_recipe(recipe, overrides or [])
    chosen, variant = _with_methods(values, variant, str(recipe))
    config = parse_settings(TrainConfig, chosen, str(recipe))
    if processes > 1:
        if against or trace:
            raise UsageError("--processes times whole steps: leave --against and --trace out.")
        _bench_scaling(config, processes, variant, synthetic, steps, rounds, warm_up, as_json)
        return
    result = bench_step(
        config,
        against=against,
        variant=variant,
        is_synthetic=synthetic,
        steps=steps,
        rounds=rounds,
        max_windows=warm_up,
        trace=trace,
    )
    command.show(render_markdown(result))
    folder = config.output / FOLDER
    summary = result.model_dump(
        mode="json", exclude={"sides": {"__all__": {"rounds_ms"}}, "environment": True}
    )
    command.finish({"folder": str(folder), "result": summary}, as_json)


def _bench_scaling(
    config: "TrainConfig",
    processes: int,
    variant: str | None,
    is_synthetic: bool,
    steps: int,
    rounds: int,
    max_windows: int,
    as_json: bool,
) -> None:
    from distill.step_bench.scaling import bench_scaling  # noqa: PLC0415
    from distill.step_bench.scaling_report import render_scaling  # noqa: PLC0415
    from distill.step_bench.stage import FOLDER  # noqa: PLC0415

    result = bench_scaling(
        config,
        processes,
        variant=variant,
        is_synthetic=is_synthetic,
        steps=steps,
        rounds=rounds,
        max_windows=max_windows,
    )
    command.show(render_scaling(result))
    summary = result.model_dump(
        mode="json", exclude={"modes": {"__all__": {"rounds_ms"}}, "environment": True}
    )
    command.finish({"folder": str(config.output / FOLDER), "result": summary}, as_json)


def _with_methods(
    values: dict[str, Any], variant: str | None, source: str
) -> tuple[dict[str, Any], str | None]:
    """The training part of a recipe with the methods to measure, and the variant that they are of."""
    from distill.compare import CompareConfig  # noqa: PLC0415

    training = training_part(values)
    variants = parse_settings(CompareConfig, section(values, "compare"), f"{source} (compare)").variants
    if variant is None and (training.get("methods") or not training.get("teacher")):
        return training, None
    name = variant or list(variants)[-1]
    return training | {"methods": lookup(variants, "variant", name)}, name


def _bench_loss(recipe: Path | None, shapes: list[str], rounds: int, as_json: bool) -> None:
    from distill.step_bench.loss_report import render_losses  # noqa: PLC0415
    from distill.step_bench.loss_speed import compare_losses  # noqa: PLC0415
    from distill.step_bench.shapes import parse_shape  # noqa: PLC0415

    if recipe is not None:
        raise UsageError("--loss times the loss alone and reads no recipe; give --shape, or leave it out.")
    rows = compare_losses([parse_shape(text) for text in shapes], rounds)
    command.show(render_losses(rows))
    excluded = {"ours": {"rounds_ms"}, "published": {"rounds_ms"}}
    command.finish({"rows": [row.model_dump(mode="json", exclude=excluded) for row in rows]}, as_json)
