"""The pictures of a comparison: throughput by load, and the tail of the latency with 4 clients."""

from pathlib import Path
from statistics import median

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.drawing import COLOURS, LOG_FROM_RATIO, MARKERS, SIZE_INCHES, STYLE, drawn, log_ticks
from bench.service.heats import FEW, HEATS, OPEN, Heat
from bench.service.result import ServiceResult
from modelpack.atomic import write_with

DPI = 120
GROUP_WIDTH = 0.84
"""Of the distance between two loads: what their bars take."""
HEADROOM = 1.1
NINES = (50, 90, 99, 99.9)


def throughput(result: ServiceResult) -> str:
    """Answers per second of everybody under each closed loop, with the range of the rounds."""
    return drawn(lambda axes: _throughput(axes, result))


def tail(result: ServiceResult, heat: Heat) -> str:
    """Latency of everybody that was asked over HTTP, over the percentile."""
    return drawn(lambda axes: _tail(axes, result, heat))


def write_picture(result: ServiceResult, path: Path) -> None:
    """Both side by side, as PNG."""
    with mpl.rc_context({**STYLE, "font.size": 9}):
        width, height = SIZE_INCHES
        picture = Figure(figsize=(2 * width, height), layout="constrained")
        left, right = picture.subplots(1, 2)
        _throughput(left, result)
        left.legend(frameon=False, fontsize=8)
        left.set_title("answers per second", loc="left")
        _tail(right, result, FEW)
        right.set_title(f"latency with {FEW.text}", loc="left")
        write_with(path, lambda temporary: picture.savefig(temporary, format="png", dpi=DPI))


def colour(result: ServiceResult, name: str) -> str:
    """The same in every picture."""
    return COLOURS[_position(result, name) % len(COLOURS)]


def sign(result: ServiceResult, name: str) -> str:
    """The marker as a character."""
    return list(MARKERS.values())[_position(result, name) % len(MARKERS)]


def _throughput(axes: Axes, result: ServiceResult) -> None:
    heats = [heat for heat in HEATS.values() if heat is not OPEN]
    width = GROUP_WIDTH / len(result.contestants)
    for position, entry in enumerate(result.contestants):
        shift = (position - (len(result.contestants) - 1) / 2) * width
        places = [number for number, heat in enumerate(heats) if heat.name in entry.heats]
        rates = [[run.ok_per_second for run in result.runs(entry.name, heats[n].name)] for n in places]
        middles = [median(values) for values in rates]
        axes.bar(
            [place + shift for place in places],
            middles,
            width * 0.92,
            color=colour(result, entry.name),
            label=entry.name,
            yerr=[
                [middle - min(values) for middle, values in zip(middles, rates, strict=True)],
                [max(values) - middle for middle, values in zip(middles, rates, strict=True)],
            ],
            error_kw={"lw": 1, "capsize": 2},
        )
    axes.set_xticks(range(len(heats)), [heat.text for heat in heats])
    axes.grid(axis="x", visible=False)
    axes.set_ylabel("answers per second")


def _tail(axes: Axes, result: ServiceResult, heat: Heat) -> None:
    highest, lowest = 0.0, np.inf
    for entry in result.contestants:
        runs = result.runs(entry.name, heat.name)
        if not runs or runs[0].server is None:
            continue
        points = [
            (percent, median(values))
            for percent in NINES
            if (values := [p.value for run in runs if (p := run.percentile(percent)) and p.value is not None])
        ]
        axes.plot(
            [-np.log10(1 - percent / 100) for percent, _ in points],
            [value for _, value in points],
            lw=2,
            marker=list(MARKERS)[_position(result, entry.name) % len(MARKERS)],
            color=colour(result, entry.name),
            label=entry.name,
        )
        highest = max([highest, *(value for _, value in points)])
        lowest = min([lowest, *(value for _, value in points)])
    axes.xaxis.set_major_locator(FixedLocator([-np.log10(1 - percent / 100) for percent in NINES]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * (1 - 10.0**-value):.6g}"))
    axes.set_xlabel("percentile, median over the rounds")
    axes.set_ylabel("milliseconds")
    if highest > lowest * LOG_FROM_RATIO:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(FixedLocator(log_ticks(lowest / HEADROOM, highest * HEADROOM)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    elif highest:
        axes.set_ylim(0, highest * HEADROOM)


def _position(result: ServiceResult, name: str) -> int:
    return [entry.name for entry in result.contestants].index(name)
