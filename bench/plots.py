"""The pictures of a latency report, as SVG that sits inline in the page."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from bench import pareto
from bench.config import Boundary
from bench.drawing import MUTED, SIZE_INCHES, colour, drawn, latency_axis, marker
from bench.result import BenchResult, CaseResult
from bench.validity import MAX_DRIFT

ECDF_POINTS = 400
"""Points of a distribution's curve; more would not be visible."""
TAIL = 0.995
"""The axis ends at this share of the slowest case; single outliers stand in the table as `max`."""

LINE_STYLES: dict[Boundary, str] = {"graph": "-", "image": ":"}
STEADY_PERCENT = 100 * MAX_DRIFT
"""The axis of the steadiness plot shows at least the drift that is still called valid."""
POINTS_PER_INCH = 72
LABEL_OFFSET_POINTS, LABEL_LINE_POINTS, LABEL_SIZE_POINTS = 8, 10, 9
"""Names of points: above the marker, at least a line apart, smaller than the axes."""


def distribution(result: BenchResult, boundary: Boundary) -> str:
    """Share of runs that took at most so long, one curve per session, at the smallest batch size."""
    cases = result.cases_at(boundary, result.smallest_batch)
    return drawn(lambda axes: _distribution(axes, result, cases))


def throughput(result: BenchResult) -> str:
    """Images per second over the batch size, one line per session."""
    return drawn(lambda axes: _throughput(axes, result))


def steadiness(result: BenchResult) -> str:
    """Median of every round relative to the median of all rounds: drift and disturbances show."""
    return drawn(lambda axes: _steadiness(axes, result))


def accuracy(result: BenchResult) -> str:
    """Claimed mIoU of the same file against the graph's median latency, with p90; the front is dashed."""
    return drawn(lambda axes: _accuracy(axes, result))


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
            marker=marker(result, case.session),
            ms=6,
            color=colour(result, case.session),
        )
        ends.append((samples.min(), np.quantile(samples, TAIL)))
    latency_axis(axes, min(low for low, _ in ends), max(high for _, high in ends))
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
            marker=marker(result, session.name),
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
            marker=marker(result, case.session),
            ms=4,
            color=colour(result, case.session),
        )
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -STEADY_PERCENT), max(high, STEADY_PERCENT))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g}%" if value else "0"))
    axes.set_xlabel("round")


def _accuracy(axes: Axes, result: BenchResult) -> None:
    shown = pareto.points(result)
    best = pareto.front(shown)
    medians, slows, values = (
        np.array([getattr(point, name) for point in shown]) for name in ("median_ms", "p90_ms", "miou")
    )
    axes.step([p.median_ms for p in best], [p.miou for p in best], where="post", lw=1, ls="--", color=MUTED)
    for point in shown:
        own_colour = colour(result, point.session)
        axes.plot([point.median_ms, point.p90_ms], [point.miou] * 2, lw=2, alpha=0.5, color=own_colour)
        axes.plot(point.median_ms, point.miou, marker=marker(result, point.session), ms=9, color=own_colour)
    latency_axis(axes, medians.min() * 0.8, slows.max() * 1.25)
    room = max(np.ptp(values), 0.02 * values.max()) * 0.35
    axes.set_ylim(values.min() - room, values.max() + room)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_ylabel("mIoU")
    _name_points(axes, result, shown)


def _name_points(axes: Axes, result: BenchResult, shown: list[pareto.Point]) -> None:
    """Names in the colours of their points, each above its point or above the name below it."""
    height_points = SIZE_INCHES[1] * POINTS_PER_INCH
    low, high = axes.get_ylim()
    middle = math.sqrt(math.prod(axes.get_xlim()))
    taken = {"left": -math.inf, "right": -math.inf}
    for point in sorted(shown, key=lambda point: point.miou):
        side = "left" if point.median_ms <= middle else "right"
        own = (point.miou - low) / (high - low) * height_points
        at = max(own + LABEL_OFFSET_POINTS, taken[side] + LABEL_LINE_POINTS)
        taken[side] = at
        axes.annotate(
            point.session,
            (point.median_ms, point.miou),
            xytext=(0, at - own),
            textcoords="offset points",
            ha=side,
            fontsize=LABEL_SIZE_POINTS,
            color=colour(result, point.session),
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5},
        )
