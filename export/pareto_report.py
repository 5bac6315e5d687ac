"""The Pareto as JSON, Markdown and a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from export.pareto import QUICK, ParetoPoint
from modelpack.atomic import write_json, write_text, write_with

COLOURS = {"fp32": "#0072b2", "fp16": "#009e73", "bf16": "#aa4499", "int8": "#d55e00"}
LEAST_SPAN_POINTS = 1.0
"""Of the mIoU axis: differences of hundredths shall not look like cliffs."""
_INK = "#56606b"
_MEBIBYTE = 2**20
_ROOM_FOR_NAMES = 1.45


def write_pareto(
    folder: Path, points: Sequence[ParetoPoint], miou_reference: float, conditions: Mapping[str, Any]
) -> None:
    """`pareto.json`, `.md` and `.png`. `conditions`: what mIoU and agreement were measured on."""
    table = {
        **conditions,
        "latency": QUICK,
        "miou_reference": miou_reference,
        "points": [point.model_dump(mode="json") for point in points],
    }
    write_json(folder / "pareto.json", table)
    write_text(folder / "pareto.md", _markdown(points, miou_reference, conditions))
    figure = _draw(points, miou_reference, conditions)
    write_with(folder / "pareto.png", lambda temporary: figure.savefig(temporary, dpi=120, format="png"))


def _markdown(points: Sequence[ParetoPoint], miou_reference: float, conditions: Mapping[str, Any]) -> str:
    lines = [
        "# Accuracy against latency and size",
        "",
        f"mIoU and agreement: {_where(conditions)}; the PyTorch network has {100 * miou_reference:.2f} %.",
        f"Latency: median in the faster runtime, {QUICK}.",
        "",
        "| graph | kept | mIoU % | agreement | size MiB | latency ms | in | holds its rule | on the front |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- | --- | --- |",
    ]
    for point in points:
        name = f"**{point.artifact}**" if point.is_packed else point.artifact
        lines.append(
            f"| {name} | {point.kept_layers} | {100 * point.miou:.2f} | {point.agreement:.5f} | "
            f"{point.size_bytes / _MEBIBYTE:.2f} | {point.latency_ms:.1f} | {point.runtime} | "
            f"{'yes' if point.passes else 'no'} | {'yes' if point.is_on_front else ''} |"
        )
    lines += ["", "Bold: packed; the others were only tried. Kept: layers in float32 by a rescue.", ""]
    return "\n".join(lines)


def _draw(points: Sequence[ParetoPoint], miou_reference: float, conditions: Mapping[str, Any]) -> Figure:
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    by_latency, by_size = figure.subplots(1, 2, sharey=True)
    _panel(by_latency, points, [point.latency_ms for point in points], miou_reference)
    _panel(by_size, points, [point.size_bytes / _MEBIBYTE for point in points], miou_reference)
    by_latency.set_xlabel("median latency, ms, in the faster runtime (quick, in process, one thread)")
    by_size.set_xlabel("file, MiB")
    by_latency.set_ylabel("mIoU, %")
    figure.suptitle(
        f"{_where(conditions)}; large: packed; dashed: the PyTorch network", fontsize=10, x=0.01, ha="left"
    )
    precisions = [name for name in COLOURS if any(point.precision == name for point in points)]
    handles = [_sign(COLOURS[name], filled=True, label=name) for name in precisions]
    handles += [_sign(_INK, filled=True, label="holds its rule")]
    handles += [_sign(_INK, filled=False, label="does not")]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9)
    return figure


def _panel(axes: Axes, points: Sequence[ParetoPoint], costs: Sequence[float], miou_reference: float) -> None:
    axes.axhline(100 * miou_reference, color=_INK, linewidth=1, linestyle="--")
    named = 0
    for point, cost in sorted(zip(points, costs, strict=True), key=lambda pair: pair[0].is_packed):
        place = (cost, 100 * point.miou)
        colour = COLOURS[point.precision]
        face = colour if point.passes else "white"
        strength, size = (1.0, 10) if point.is_packed else (0.55, 6)
        axes.plot(*place, "o", color=colour, markerfacecolor=face, markersize=size, alpha=strength)
        if point.is_packed:
            kept = f", {point.kept_layers} layers kept" if point.kept_layers else ""
            beside = (9, 6) if named % 2 else (9, -12)
            axes.annotate(f"{point.artifact}{kept}", place, beside, textcoords="offset points", fontsize=9)
            named += 1
    axes.set_xlim(0, _ROOM_FOR_NAMES * max(costs))
    lowest, highest = axes.get_ylim()
    missing = max(0.0, LEAST_SPAN_POINTS - (highest - lowest))
    axes.set_ylim(lowest - missing / 2, highest + missing / 2)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e4e8ee", linewidth=0.6)
    axes.set_axisbelow(True)


def _sign(colour: str, *, filled: bool, label: str) -> Line2D:
    face = colour if filled else "white"
    return Line2D([], [], color=colour, marker="o", markerfacecolor=face, linestyle="", label=label)


def _where(conditions: Mapping[str, Any]) -> str:
    height, width = conditions["image_size"]
    return f"{conditions['dataset']} {conditions['split']}, {conditions['images']} images at {height}x{width}"
