"""The pictures of a load report: the tail, the run over time, and the search for the highest rate."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from bench.drawing import COLOURS, LOG_FROM_RATIO, MARKERS, MUTED, drawn, log_ticks
from bench.load.report_tables import shown_runs
from bench.load.result import LoadResult, LoadRun

NINES = (0, 50, 90, 99, 99.9, 99.99, 99.999, 99.9999)
LINE_STYLES = {"open": "-", "closed": ":"}
HEADROOM = 1.15
MIN_RATIO = 1.2
"""Of the highest to the lowest value of a latency axis, so that it has marks."""


def tail(result: LoadResult) -> str:
    """Latency over the percentile, each further nine as far from the last as the last from the one before."""
    return drawn(lambda axes: _tail(axes, result))


def over_time(result: LoadResult) -> str:
    """Slowest and median query of every stretch of each run."""
    return drawn(lambda axes: _over_time(axes, result))


def rates(result: LoadResult) -> str:
    """Latency of the bound's percentile over the rate, for every step of the search."""
    return drawn(lambda axes: _rates(axes, result))


def colour(result: LoadResult, run: LoadRun) -> str:
    """The run's colour in every picture."""
    return COLOURS[_position(result, run) % len(COLOURS)]


def sign(result: LoadResult, run: LoadRun) -> str:
    """The run's marker as a character."""
    return list(MARKERS.values())[_position(result, run) % len(MARKERS)]


def _tail(axes: Axes, result: LoadResult) -> None:
    runs = [run for run in shown_runs(result) if run.curve.percents]
    for run in runs:
        values = run.curve.milliseconds
        nines = -np.log10(1 - np.asarray(run.curve.percents) / 100)
        axes.plot(nines, values, lw=2, ls=LINE_STYLES[run.loop.kind], color=colour(result, run))
        axes.plot(nines[-1], values[-1], marker=_marker(result, run), ms=6, color=colour(result, run))
    marks = [-np.log10(1 - percent / 100) for percent in NINES]
    axes.xaxis.set_major_locator(FixedLocator(marks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * (1 - 10.0**-value):.6g}".rstrip()))
    axes.set_xlabel("percentile")
    _latency_axis(axes, [value for run in runs for value in run.curve.milliseconds])


def _over_time(axes: Axes, result: LoadResult) -> None:
    runs = [run for run in shown_runs(result) if run.timeline.start_s]
    for run in runs:
        line, own_colour = run.timeline, colour(result, run)
        axes.plot(line.start_s, line.max_ms, lw=1.6, color=own_colour)
        axes.plot(line.start_s, line.median_ms, lw=1, ls=":", alpha=0.7, color=own_colour)
    axes.set_xlabel("seconds from the recorded start, by intended send")
    _latency_axis(axes, [value for run in runs for value in (*run.timeline.median_ms, *run.timeline.max_ms)])


def _rates(axes: Axes, result: LoadResult) -> None:
    assert result.sweep is not None
    bound = result.sweep.bounds[0]
    points = [(step, result.run(step.run).percentile(bound.percent)) for step in result.sweep.steps]
    drawable = [(step, entry.value) for step, entry in points if entry and entry.value is not None]
    for step, value in drawable:
        passes = step.keeps_bounds
        axes.plot(
            step.rate, value, marker="o" if passes else "X", ms=7, ls="", color=COLOURS[2 if passes else 1]
        )
    axes.axhline(bound.milliseconds, lw=1.2, ls="--", color=MUTED)
    axes.annotate(
        str(bound), (0.01, bound.milliseconds), xycoords=("axes fraction", "data"), va="bottom", color=MUTED
    )
    if result.sweep.best_rate is not None:
        axes.axvline(result.sweep.best_rate, lw=1.2, ls="--", color=COLOURS[2])
    axes.set_xlabel("requests per second")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.set_xlim(left=0)
    _latency_axis(axes, [*(value for _, value in drawable), bound.milliseconds])


def _latency_axis(axes: Axes, values: Sequence[float]) -> None:
    axes.set_ylabel("milliseconds")
    low, high = max(min(values, default=1.0), 1e-3), max(max(values, default=2.0), 1e-3)
    high = max(high, low * MIN_RATIO)
    if high > low * LOG_FROM_RATIO:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(FixedLocator(log_ticks(low, high * HEADROOM)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_ylim(low / HEADROOM, high * HEADROOM)
    else:
        axes.set_ylim(0, high * HEADROOM)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _marker(result: LoadResult, run: LoadRun) -> str:
    return list(MARKERS)[_position(result, run) % len(MARKERS)]


def _position(result: LoadResult, run: LoadRun) -> int:
    return [entry.name for entry in shown_runs(result)].index(run.name)
