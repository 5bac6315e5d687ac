"""The picture of a comparison: a row for each variant, with its seeds, its gain per class and its cost."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from distill.compare_report import teachers
from distill.step_cost.report import MIB, UNKNOWN, written
from modelpack.atomic import write_with

_ROW_INCHES, _CLASS_INCHES = 0.36, 0.5
_GREY = "#dddddd"
_BARS = "#8da0b8"
_USUAL, _HEADROOM, _LIGHT_TEXT = 0.95, 1.5, 0.75
"""Colours are darkest at so many times the gain that this share of cells stays below: one outlier shall not
blanch the rest. On cells darker than the last of these, numbers are white."""

Rows = Sequence[Mapping[str, Any]]


def render_picture(result: Mapping[str, Any], path: Path) -> None:
    """Write a PNG: each seed as a dot beside the mean; IoU gain per class; time and memory where measured."""
    rows: Rows = result["rows"]
    classes = list(rows[0]["iou_per_class"])
    panels = {"scores": 5.0, "gains": max(3.0, _CLASS_INCHES * len(classes))}
    if result.get("cost"):
        panels |= {"times": 2.0, "memory": 2.0}
    figure = Figure(figsize=(1.2 + sum(panels.values()), 1.6 + _ROW_INCHES * len(rows)), layout="constrained")
    axes = dict(zip(panels, figure.subplots(1, len(panels), width_ratios=list(panels.values())), strict=True))
    _draw_scores(axes["scores"], result)
    _draw_gains(axes["gains"], rows, classes, result["gain_over"])
    if result.get("cost"):
        times = [row["cost"]["step_ms"] for row in rows]
        _draw_bars(axes["times"], [time["value"] for time in times], "ms per step")
        peaks = [row["cost"]["peak_memory_bytes"] for row in rows]
        _draw_bars(axes["memory"], [None if p is None else p / MIB for p in peaks], "peak memory, MiB")
    for name, panel in axes.items():
        panel.set_ylim(len(rows) - 0.5, -0.5)
        panel.set_yticks(range(len(rows)), [row["variant"] for row in rows] if name == "scores" else [])
        panel.tick_params(axis="y", length=0)
    write_with(path, lambda temporary: figure.savefig(temporary, dpi=120, format="png"))


def _draw_scores(axes: Axes, result: Mapping[str, Any]) -> None:
    for position, row in enumerate(result["rows"]):
        axes.plot(row["miou_percent"], [position] * len(row["miou_percent"]), "o", color="C0", alpha=0.5)
        axes.vlines(row["mean"], position - 0.3, position + 0.3, color="C0", linewidth=2.5)
        _label_right_of(axes, f"{row['mean']:.2f}", max(row["miou_percent"]), position)
    taught_by = [f"{title} {100 * teacher['miou']:.2f}" for title, teacher in teachers(result).items()]
    axes.set_title("\n".join(taught_by), fontsize=10)  # on the axis it would push the students together
    axes.margins(x=0.12)
    axes.set_xlabel(f"mIoU, % ({result['report']['dataset']} {result['report']['split']})")
    _tidy(axes)


def _draw_gains(axes: Axes, rows: Rows, classes: Sequence[str], base: str) -> None:
    """Cells of a table, blue for a gain and red for a loss; in grey the IoU itself of what they gain over."""
    gains = np.array([[_number((row["gain_per_class"] or {}).get(name)) for name in classes] for row in rows])
    sizes = np.abs(gains[np.isfinite(gains)])
    darkest = _HEADROOM * max(1.0, float(np.quantile(sizes, _USUAL))) if sizes.size else 1.0
    for (position, column), gain in np.ndenumerate(gains):
        row, colour = rows[position], "white" if abs(gain) > _LIGHT_TEXT * darkest else "black"
        iou = row["iou_per_class"][classes[column]]
        text = f"{gain:+.1f}" if np.isfinite(gain) else ""
        if not row["gain_per_class"] and iou is not None:
            text = f"{iou:.0f}"
        axes.text(column, position, text, ha="center", va="center", fontsize=7.5, color=colour)
    axes.set_facecolor("#e6e6e6")
    axes.imshow(gains, cmap="RdBu", vmin=-darkest, vmax=darkest, aspect="auto")
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", fontsize=8)
    axes.set_title(f"IoU gain over {base}, points (grey: IoU of {base}, %)", fontsize=10)
    axes.spines[:].set_visible(False)


def _draw_bars(axes: Axes, values: Sequence[float | None], label: str) -> None:
    known = [0.0 if value is None else value for value in values]
    axes.barh(range(len(known)), known, height=0.6, color=_BARS)
    for position, value in enumerate(values):
        text = UNKNOWN if value is None else written(value)
        _label_right_of(axes, text, known[position], position)
    axes.set_xlim(0, 1.3 * max(*known, 1e-9))
    axes.set_xlabel(label)
    _tidy(axes)


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _label_right_of(axes: Axes, text: str, x: float, position: int) -> None:
    axes.annotate(text, (x, position), xytext=(7, 0), textcoords="offset points", va="center", fontsize=8)


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color=_GREY, linewidth=0.6)
    axes.set_axisbelow(True)
