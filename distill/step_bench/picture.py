"""The picture of a measured step: one bar for each formulation, its parts side by side."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from distill.step_bench.result import StepBench
from modelpack.atomic import write_with

_SMALLEST_SHARE = 0.01
"""Parts below this in every bar are drawn together."""
_OTHERS = "all others"
_COLOURS = "tab20"


def render_picture(result: StepBench, path: Path) -> None:
    """Write a PNG. Lengths are shares of the median step, so that the bars can be compared."""
    shares = [{part.name: part.share for part in side.parts} for side in result.sides]
    names = [
        name
        for name in dict.fromkeys(name for bar in shares for name in bar)
        if max(bar.get(name, 0.0) for bar in shares) >= _SMALLEST_SHARE
    ]
    for bar in shares:
        bar[_OTHERS] = sum(share for name, share in bar.items() if name not in names)
    figure = Figure(figsize=(11, 2.2 + 0.6 * len(shares) + 0.14 * len(names)), layout="constrained")
    axes = figure.subplots()
    starts = [0.0] * len(shares)
    for number, name in enumerate([*names, _OTHERS]):
        lengths = [
            side.step_ms.value * bar.get(name, 0.0) for side, bar in zip(result.sides, shares, strict=True)
        ]
        colour = "#c5cad1" if name == _OTHERS else mpl.colormaps[_COLOURS](number % 20)
        axes.barh(range(len(shares)), lengths, left=starts, height=0.6, color=colour, label=name)
        starts = [start + length for start, length in zip(starts, lengths, strict=True)]
    axes.set_yticks(range(len(shares)), [side.formulation for side in result.sides])
    axes.invert_yaxis()
    axes.set_xlabel(f"milliseconds of one step of {result.batch} images")
    axes.set_title(f"{result.name}: {result.device}, {result.precision}", loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower left", ncols=3, frameon=False, fontsize=8)
    write_with(path, lambda temporary: figure.savefig(temporary, dpi=120, format="png"))
