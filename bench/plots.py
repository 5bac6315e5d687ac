"""The pictures of a latency report, as SVG that sits inline in the page and takes its fonts."""

import io
import math
import re
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from bench.config import Boundary
from bench.result import BenchResult, CaseResult
from bench.validity import MAX_DRIFT

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#aa4499", "#997700", "#56606b")
"""Told apart with every common kind of colour blindness; sessions beyond the last start again."""
MARKERS = {"o": "●", "s": "■", "D": "◆", "^": "▲", "v": "▼", "P": "✚"}
"""matplotlib's name -> the sign for it in the page's legend."""
SIZE_INCHES = (4.6, 3.1)
"""Narrow, so that the labels stay readable on a phone, where it fills the width."""
ECDF_POINTS = 400
"""Points of a distribution's curve; more would not be visible."""
LOG_FROM_RATIO = 3.0
"""Latencies further apart than this get a logarithmic axis: equal distances are equal factors."""
TAIL = 0.995
"""The axis ends at this share of the slowest case; single outliers stand in the table as `max`."""

LINE_STYLES: dict[Boundary, str] = {"graph": "-", "image": ":"}
STEADY_PERCENT = 100 * MAX_DRIFT
"""The axis of the steadiness plot shows at least the drift that is still called valid."""
LOG_TICKS = ((1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9), (1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1,))
"""Marks within a decade, the densest set first."""
MAX_LOG_TICKS = 7

INK, MUTED, GRID = "#1f2933", "#5f6b7a", "#e4e8ee"
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "afdcd",
    "font.size": 11,
    "axes.edgecolor": "#b8c0cc",
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}


def distribution(result: BenchResult, boundary: Boundary) -> str:
    """Share of runs that took at most so long, one curve per session, at the smallest batch size."""
    cases = result.cases_at(boundary, result.smallest_batch)
    return _drawn(lambda axes: _distribution(axes, result, cases))


def throughput(result: BenchResult) -> str:
    """Images per second over the batch size, one line per session."""
    return _drawn(lambda axes: _throughput(axes, result))


def steadiness(result: BenchResult) -> str:
    """Median of every round relative to the median of all rounds: drift and disturbances show."""
    return _drawn(lambda axes: _steadiness(axes, result))


def accuracy(result: BenchResult) -> str:
    """Claimed mIoU of the same file against the median latency of the graph, p90 as whisker."""
    return _drawn(lambda axes: _accuracy(axes, result))


def colour(result: BenchResult, session: str) -> str:
    """The session's colour in every picture."""
    return COLOURS[_position(result, session) % len(COLOURS)]


def sign(result: BenchResult, session: str) -> str:
    """The session's marker as a character."""
    return MARKERS[_marker(result, session)]


def _distribution(axes: Axes, result: BenchResult, cases: list[CaseResult]) -> None:
    shares = np.linspace(0, 1, ECDF_POINTS)
    ends = []
    for case in cases:
        samples = np.concatenate([np.asarray(r) for r in case.rounds_ms])
        axes.plot(
            np.quantile(samples, shares),
            shares * 100,
            lw=2,
            color=colour(result, case.session),
        )
        axes.plot(
            np.median(samples),
            50,
            marker=_marker(result, case.session),
            ms=6,
            color=colour(result, case.session),
        )
        ends.append((samples.min(), np.quantile(samples, TAIL)))
    _latency_axis(axes, min(low for low, _ in ends), max(high for _, high in ends))
    axes.set_ylabel("runs that took at most this long")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}%"))
    axes.yaxis.set_major_locator(FixedLocator([0, 25, 50, 75, 90, 100]))
    axes.set_ylim(0, 101)


def _throughput(axes: Axes, result: BenchResult) -> None:
    batches = sorted({case.batch for case in result.cases})
    for session in result.sessions:
        cases = [case for case in result.cases_at("graph") if case.session == session.name]
        axes.plot(
            [case.batch for case in cases],
            [case.images_per_second for case in cases],
            marker=_marker(result, session.name),
            lw=2,
            ms=6,
            color=colour(result, session.name),
        )
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(batches))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_ylim(bottom=0)
    axes.margins(x=0.08)
    axes.set_xlabel("batch size")
    axes.set_ylabel("images per second")


def _steadiness(axes: Axes, result: BenchResult) -> None:
    cases = [case for case in result.cases if case.batch == result.smallest_batch]
    for case in cases:
        medians = np.array([np.median(r) for r in case.rounds_ms])
        overall = np.median(np.concatenate([np.asarray(r) for r in case.rounds_ms]))
        axes.plot(
            np.arange(1, len(medians) + 1),
            (medians / overall - 1) * 100,
            lw=2,
            ls=LINE_STYLES[case.boundary],
            color=colour(result, case.session),
        )
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -STEADY_PERCENT), max(high, STEADY_PERCENT))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g}%" if value else "0"))
    axes.set_xlabel("round")


def _accuracy(axes: Axes, result: BenchResult) -> None:
    shown = []
    for case in result.cases_at("graph", result.smallest_batch):
        claim = result.session(case.session).miou()
        if claim is None:
            continue
        samples = np.concatenate([np.asarray(r) for r in case.rounds_ms])
        median, slow = np.quantile(samples, [0.5, 0.9])
        own_colour = colour(result, case.session)
        axes.plot([median, slow], [claim.value] * 2, lw=2, alpha=0.5, color=own_colour)
        axes.plot(median, claim.value, marker=_marker(result, case.session), ms=9, color=own_colour)
        shown.append((median, slow, claim.value))
    medians, slows, values = (np.asarray(column) for column in zip(*shown, strict=True))
    _latency_axis(axes, medians.min() * 0.8, slows.max() * 1.25)
    room = max(np.ptp(values), 0.02 * values.max()) * 0.35
    axes.set_ylim(values.min() - room, values.max() + room)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_ylabel("mIoU")


def _latency_axis(axes: Axes, low: float, high: float) -> None:
    axes.set_xlabel("milliseconds")
    if high > low * LOG_FROM_RATIO:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(_log_ticks(low, high)))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlim(low * 0.97, high * 1.05)


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for marks in LOG_TICKS:
        ticks = [
            mark * 10.0**decade for decade in decades for mark in marks if low <= mark * 10.0**decade <= high
        ]
        if len(ticks) <= MAX_LOG_TICKS:
            break
    return ticks


def _marker(result: BenchResult, session: str) -> str:
    return list(MARKERS)[_position(result, session) % len(MARKERS)]


def _position(result: BenchResult, session: str) -> int:
    return [entry.name for entry in result.sessions].index(session)


def _drawn(draw: Callable[[Axes], None]) -> str:
    """One figure as an `<svg>` element without size, metadata or ids of groups: the page sets the width."""
    with mpl.rc_context(STYLE):
        picture = Figure(figsize=SIZE_INCHES, layout="constrained")
        draw(picture.add_subplot())
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        picture.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    svg = buffer.getvalue()
    head, _, body = svg[svg.index("<svg") :].partition(">")
    return (
        re.sub(r'\s(width|height|xmlns(:xlink)?)="[^"]*"', "", head)
        + ">"
        + re.sub(r'<g id="[^"]*"', "<g", body)
    )
