"""An analysis as curves: each measure over the pairs of features, and agreement over the classes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from distill.analysis.rows import MEASURES, title_of, value_of
from modelpack.atomic import write_with

_BEFORE = ("#999999", "--")
"""Colour and style: beginnings are told from results by both."""


def draw_chart(result: Mapping[str, Any], path: Path) -> None:
    """One panel for each measure and one for the agreement per class; one line for each row of the table."""
    pairs = [pair["name"] for pair in result["features"]]
    classes = list(result["rows"][0]["agreement_per_class"])
    figure = Figure(figsize=(12, 8.5), layout="constrained")
    *panels, agreement = figure.subplots(2, 2).flat
    for axes, (measure, title) in zip(panels, MEASURES.items(), strict=True):
        for index, row in enumerate(result["rows"]):
            values = [value_of(row, pair, measure) for pair in pairs]
            _line(axes, values, index, row, title_of(row, result))
        _label(axes, pairs, title)
    for index, row in enumerate(result["rows"]):
        values = [row["agreement_per_class"][name] for name in classes]
        _line(agreement, values, index, row, title_of(row, result))
    _label(agreement, classes, "agreement with the teacher, IoU")
    handles, labels = agreement.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    write_with(path, lambda temporary: figure.savefig(temporary, dpi=110, format="png"))


def _line(
    axes: Axes, values: Sequence[Sequence[float] | None], index: int, row: Mapping[str, Any], label: str
) -> None:
    """What is not defined is left out of the line."""
    colour, style = _BEFORE if row["state"] == "before" else (f"C{index}", "-")
    heights = [float("nan") if value is None else value[0] for value in values]
    places = range(len(heights))
    axes.plot(places, heights, marker="o", markersize=4, label=label, color=colour, linestyle=style)


def _label(axes: Axes, ticks: Sequence[str], title: str) -> None:
    turned = sum(map(len, ticks)) > 40
    axes.set_xticks(range(len(ticks)), ticks, fontsize=8, rotation=50 if turned else 0)
    if turned:
        for text in axes.get_xticklabels():
            text.set_horizontalalignment("right")
    axes.set_title(title, fontsize=10)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
